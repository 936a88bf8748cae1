/*
 * The subcommand simulate: what a run would take on other workers, under other
 * policies. It reads its input as a run does, and starts nothing.
 */
#include "cli/simulate_private.h"

#include "base/rng.h"
#include "cli/subcommands.h"
#include "runtime/chooser.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The sequence of random numbers for arrivals is another one than that for deaths. */
#define ARRIVALS_SEED UINT64_C(0x9e3779b97f4a7c15)

/* Beyond this the virtual clock has run out. */
#define ARRIVAL_S_MAX 9e9

/* --- input --- */

static bool fits(const struct mf_simulate_settings *settings, const struct mf_needs *needs)
{
    uint64_t n_able = 0;

    for (uint32_t i = 0; i < settings->sim.n_groups; i++) {
        const struct mf_needs *has = &settings->groups[i].has;

        if (needs->n_slots <= has->n_slots && needs->n_gpus <= has->n_gpus &&
            needs->mem_bytes <= has->mem_bytes)
            n_able += settings->groups[i].n_workers;
    }
    return n_able >= mf_needs_n_nodes(needs);
}

static struct mf_needs find_largest(const struct mf_simulate_settings *settings)
{
    struct mf_needs largest = {0};
    uint32_t n_workers = 0;

    for (uint32_t i = 0; i < settings->sim.n_groups; i++) {
        mf_needs_raise(&largest, &settings->groups[i].has);
        n_workers += settings->groups[i].n_workers;
    }
    largest.n_nodes = n_workers;
    return largest;
}

/* What cannot be simulated is named by its first task. */
static int check_tasks(const struct mf_task_set *set, struct mf_error *err)
{
    if (set->n_tasks == 0)
        return mf_error_set(err, -EINVAL, "there are no tasks to simulate");
    if (set->n_untimed > 0)
        return mf_error_set(err, -EINVAL,
                            "task \"%.200s\" does not say how long it runs: give it time=, or all "
                            "such tasks --time",
                            mf_task_set_id(set, set->first_untimed));
    return 0;
}

/* They fail at once, and what comes after them is skipped. Returns how many. */
static uint64_t warn_of_unfit(const struct mf_simulate_settings *settings,
                              const struct mf_task_set *set, const struct mf_log *log)
{
    struct mf_needs largest = find_largest(settings);
    uint64_t n_unfit = 0, first = 0;
    char text[256];

    for (uint64_t i = set->n_tasks; i > 0; i--) {
        if (!fits(settings, &set->tasks[i - 1].spec.needs)) {
            first = i;
            n_unfit++;
        }
    }
    if (n_unfit == 0)
        return 0;
    mf_needs_explain(&set->tasks[first - 1].spec.needs, &largest, text, sizeof(text));
    mf_log_error(log,
                 "%" PRIu64
                 " of the tasks can never start, and fail: task \"%.200s\" %s; mpifarm run "
                 "refuses such a file",
                 n_unfit, mf_task_set_id(set, first), text);
    return n_unfit;
}

/* Nothing is known of what they take. */
static void tell_of_hooks(const struct mf_task_set *set, const struct mf_log *log)
{
    if (set->n_start_hooks + set->n_stop_hooks > 0)
        mf_log_warning(log, "the commands of #DISBATCH PERENGINE are not simulated");
}

/* A Poisson stream in the order of the input: exponential times between arrivals. */
static void draw_arrivals(const struct mf_simulate_settings *settings, struct mf_task_set *set)
{
    struct mf_rng rng;
    double at_s = 0;

    if (settings->arrivals_per_s <= 0)
        return;
    mf_rng_init(&rng, settings->sim.seed ^ ARRIVALS_SEED);
    for (uint64_t i = 0; i < set->n_tasks; i++) {
        at_s += -log(1 - mf_rng_unit(&rng)) / settings->arrivals_per_s;
        set->tasks[i].arrival_ns = at_s < ARRIVAL_S_MAX ? (int64_t)(at_s * 1e9) : INT64_MAX;
    }
}

/* --- the timeline --- */

struct timeline {
    FILE *file;
    const struct mf_task_set *set;
};

static void print_attempt(void *arg, const struct mf_sim_attempt *attempt)
{
    static const char *const names[] = {
        [MF_SIM_DONE] = "DONE",
        [MF_SIM_FAILED] = "FAILED",
        [MF_SIM_ENDED] = "ENDED",
        [MF_SIM_LOST] = "LOST",
    };
    const struct timeline *timeline = arg;

    fprintf(timeline->file, "%s\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu32 "\t%.9f\t%.9f\t%s\n",
            mf_task_set_id(timeline->set, attempt->task), attempt->attempt, attempt->worker,
            attempt->slot, (double)attempt->start_ns * 1e-9, (double)attempt->end_ns * 1e-9,
            names[attempt->end]);
}

static int open_timeline(const char *path, struct timeline *timeline, struct mf_error *err)
{
    timeline->file = fopen(path, "we");
    if (!timeline->file)
        return mf_error_set(err, -errno, "%s: %s", path, strerror(errno));
    fputs("task\tattempt\tworker\tslot\tstart\tend\tstate\n", timeline->file);
    return 0;
}

static int close_timeline(const char *path, struct timeline *timeline, struct mf_error *err)
{
    bool has_failed = ferror(timeline->file);

    if (fclose(timeline->file) != 0 || has_failed)
        return mf_error_set(err, -EIO, "%s: cannot be written", path);
    return 0;
}

/* --- the simulation --- */

/* What auto changed to, and why: a line each. */
static void note_chosen(void *arg, const struct mf_preference *preference)
{
    char text[MF_PREFERENCE_SIZE];

    mf_buffer_print(arg, "auto, at %.3f s: %s\n", (double)preference->at_ns * 1e-9,
                    mf_preference_describe(preference, text));
}

static int explain(int r, const char *policy, struct mf_error *err)
{
    switch (r) {
    case -ENOMEM:
        return mf_error_set(err, r, "out of memory");
    case -EOVERFLOW:
        return mf_error_set(err, r, "under %s, the simulated run takes more than 146 years",
                            policy);
    case -EDEADLK:
        return mf_error_set(err, r, "under %s, some tasks can never start", policy);
    case -ETIMEDOUT:
        return mf_error_set(err, r,
                            "under %s, each worker died %d times while no task ended: --mtbf is "
                            "too short for what they take",
                            policy, MF_SIM_MAX_DEATHS);
    default:
        return mf_error_set(err, r, "under %s, the simulation fails: %s", policy, strerror(-r));
    }
}

static int simulate_policy(const struct mf_simulate_settings *settings,
                           const struct mf_task_set *set, const struct mf_policy *policy,
                           struct mf_buffer *chosen, struct mf_sim_result *ret_result,
                           struct mf_error *err)
{
    struct timeline timeline = {.set = set};
    struct mf_sim_config config = settings->sim;
    int r = settings->trace ? open_timeline(settings->trace, &timeline, err) : 0;

    if (r < 0)
        return r;
    config.farm.policy = policy;
    config.shares = set->shares;
    config.n_shares = set->n_shares;
    config.chosen = note_chosen;
    config.chosen_arg = chosen;
    if (timeline.file) {
        config.trace = print_attempt;
        config.trace_arg = &timeline;
    }
    r = mf_sim_run(&config, set->tasks, set->n_tasks, ret_result);
    if (r < 0)
        explain(r, policy->name, err);
    if (timeline.file && r < 0)
        fclose(timeline.file);
    else if (timeline.file)
        r = close_timeline(settings->trace, &timeline, err);
    return r;
}

/* The first task that needs several nodes, 0 for none. */
static uint64_t find_spanning(const struct mf_task_set *set)
{
    for (uint64_t i = 0; i < set->n_tasks; i++)
        if (set->tasks[i].spec.needs.n_nodes > 1)
            return i + 1;
    return 0;
}

/* Policies that suspend tasks are not for those of several nodes. */
static int leave_out_preempting(struct mf_simulate_settings *settings, uint64_t spanning,
                                const struct mf_task_set *set, const struct mf_log *log,
                                struct mf_error *err)
{
    uint32_t n_kept = 0;

    for (uint32_t i = 0; i < settings->n_policies && spanning > 0; i++) {
        if (mf_policy_preempts(settings->policies[i]))
            mf_log_warning(log,
                           "%s is left out: it suspends tasks, and task \"%.200s\" needs several "
                           "nodes",
                           settings->policies[i]->name, mf_task_set_id(set, spanning));
        else
            settings->policies[n_kept++] = settings->policies[i];
    }
    if (spanning > 0)
        settings->n_policies = n_kept;
    return settings->n_policies > 0
               ? 0
               : mf_error_set(err, -EINVAL, "no policy is left to simulate: choose another one");
}

/* Returns 0, 1 if tasks can never start, or -errno with a sentence. */
static int simulate(struct mf_simulate_settings *settings, struct mf_task_set *set,
                    const struct mf_log *log, struct mf_error *err)
{
    uint64_t n_unfit = 0;
    struct mf_sim_result *results = calloc(settings->n_policies, sizeof(*results));
    struct mf_buffer chosen = {0};
    int r = results ? check_tasks(set, err) : mf_error_set(err, -ENOMEM, "out of memory");

    if (r == 0) {
        n_unfit = warn_of_unfit(settings, set, log);
        tell_of_hooks(set, log);
        draw_arrivals(settings, set);
    }
    if (r == 0)
        r = leave_out_preempting(settings, find_spanning(set), set, log, err);
    for (uint32_t i = 0; i < settings->n_policies && r == 0; i++)
        r = simulate_policy(settings, set, settings->policies[i], &chosen, &results[i], err);
    if (r == 0)
        r = mf_buffer_status(&chosen);
    if (r == 0)
        mf_simulate_print(settings, set, results, &chosen);
    mf_buffer_finish(&chosen);
    free(results);
    return r < 0 ? r : n_unfit > 0;
}

static int run_simulate(struct mf_context *context, int argc, char **argv)
{
    struct mf_simulate_settings settings;
    struct mf_task_set set = {0};
    struct mf_error err = {0};
    int first = mf_simulate_parse(&settings, argc, argv, &err);
    int r = first;

    if (r >= 0)
        r = mf_task_set_read(&set, &settings.input, (const char *const *)argv + first,
                             (uint32_t)(argc - first), &err);
    if (r >= 0)
        r = simulate(&settings, &set, &context->log, &err);
    mf_task_set_finish(&set);
    mf_simulate_settings_finish(&settings);
    if (r == 1)
        return MPIFARM_EXIT_FAILED;
    if (r >= 0 || r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    mf_log_error(&context->log, "%s", err.text);
    return MPIFARM_EXIT_USAGE;
}

const struct mf_subcommand mf_subcommand_simulate = {
    .name = "simulate",
    .synopsis = "--workers LIST [OPTION...] FILE...",
    .summary = "tell what a run would take, under each policy",
    .description =
        "Simulates a run of the tasks in the FILEs, with the scheduler of \"mpifarm run\" on a "
        "clock of its own, and runs nothing. How long each task takes is what it says by time=, or "
        "--time.\n"
        "\n"
        "For each policy it prints\n"
        "\n"
        "  makespan      until the last task has ended\n"
        "  of bound      the same over the lower bound: the critical path, or the work shared\n"
        "                evenly between all slots, whichever is longer\n"
        "  used          share of the slots' time that tasks took\n"
        "  wait, 95%     how long tasks waited that could have started, on average and at\n"
        "                the most 95 of 100\n"
        "  weighted sum  of weight= times the time of completion\n"
        "  not done      tasks that failed, or were skipped\n"
        "\n"
        "The exit status is 1 if tasks can never start, since no worker is large enough, and 2 for "
        "bad input.\n"
        "\n"
        "and what the work costs, T = T_task x N_task + T_comm x N_comm: N_task attempts, with "
        "run time and what placing them takes, and N_comm messages, with latency and what they "
        "take the scheduler, which was busy so long. Orders that leave for one worker at one time "
        "are one message.\n"
        "\n"
        "With --arrivals a line M/M/c stands beside, with c slots: what queueing theory expects of "
        "tasks with exponential run times of the same mean, by Erlang's formula C (A. K. Erlang, "
        "1917).",
    .options = mf_simulate_options,
    .n_options = MF_SIMULATE_N_OPTIONS,
    .operands = MF_COMPLETE_FILE,
    .examples = "A hundred nodes of 64 cores, under all policies.\n"
                "mpifarm simulate --workers 100x64 tasks.farm\n"
                "The timeline of a workflow on four large nodes and ten small ones.\n"
                "mpifarm simulate -w 4x64:gpus=4,10x16 -p critical-path --trace t.tsv --format "
                "wfformat montage.json\n"
                "Unreliable nodes and tasks.\n"
                "mpifarm simulate -w 100x64 --fail 1% --retries 3 --mtbf 10h --time 5m tasks.farm\n"
                "A stream of two tasks a second.\n"
                "mpifarm simulate -w 1x16 -p fifo,sjf --arrivals 2 tasks.farm",
    .run = run_simulate,
};
