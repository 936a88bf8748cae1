/* The options of simulate: their table, and what they say. */
#include "cli/simulate_private.h"

#include "cli/recovering.h"
#include "cli/scheduling.h"

#include "base/units.h"
#include "cli/subcommands.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As in a run: see farming_options.c. */
#define MAX_PREFETCH_PER_SLOT 32

#define MAX_WORKERS (1 << 20)
#define MAX_SLOTS 65536
#define MAX_GPUS 1024

enum {
    OPTION_WORKERS,
    OPTION_POLICY,
    OPTION_QUANTUM,
    OPTION_MAX_SUSPENDED,
    OPTION_PLACEMENT,
    OPTION_TIME,
    OPTION_RETRIES,
    OPTION_RETRY_DELAY,
    OPTION_CRASH_LIMIT,
    OPTION_QUARANTINE,
    OPTION_LATENCY,
    OPTION_COST,
    OPTION_FAIL,
    OPTION_MTBF,
    OPTION_ARRIVALS,
    OPTION_SEED,
    OPTION_TRACE,
    OPTION_FORMAT,
    OPTION_MODULE,
    OPTION_RESOURCE,
    OPTION_DELAY,
    OPTION_AGEING,
    OPTION_SHARE,
    N_OPTIONS
};
static_assert(N_OPTIONS == MF_SIMULATE_N_OPTIONS, "the header gives the table's size");

const struct mf_option mf_simulate_options[MF_SIMULATE_N_OPTIONS] = {
    [OPTION_WORKERS] = {.name = "workers",
                        .letter = 'w',
                        .value = "LIST",
                        .help = "The workers: COUNTxSLOTS, as in 100x64, followed by :mem=SIZE and "
                                ":gpus=N where they have them; several such separated by commas. "
                                "Memory is unlimited unless it is given."},
    [OPTION_POLICY] = {.name = "policy",
                       .letter = 'p',
                       .value = "LIST",
                       .help = "Order policies to compare, separated by commas. All there are is "
                               "the default, but for auto, which simulates the remaining work "
                               "within the simulation, as a run does."},
    [OPTION_QUANTUM] = MF_QUANTUM_OPTION,
    [OPTION_MAX_SUSPENDED] = MF_MAX_SUSPENDED_OPTION,
    [OPTION_PLACEMENT] = {.name = "placement",
                          .value = "NAME",
                          .help = "How the worker of a task is chosen; least-loaded is the "
                                  "default."},
    [OPTION_TIME] = {.name = "time",
                     .value = "TIME",
                     .help = "Run time of tasks that do not say theirs by time=. Without it, such "
                             "a task is an error."},
    [OPTION_RETRIES] = MF_RETRIES_OPTION,
    [OPTION_RETRY_DELAY] = MF_RETRY_DELAY_OPTION,
    [OPTION_CRASH_LIMIT] = MF_CRASH_LIMIT_OPTION,
    [OPTION_QUARANTINE] = MF_QUARANTINE_OPTION,
    [OPTION_LATENCY] = {.name = "latency",
                        .value = "TIME",
                        .help = "How long a message takes, one way: 50us. The default is 0."},
    [OPTION_COST] = {.name = "cost",
                     .value = "TIME[,TIME]",
                     .help = "What each message costs the scheduler, and what placing each task "
                             "does: 2us,1us. The default is 0."},
    [OPTION_FAIL] = {.name = "fail",
                     .value = "P",
                     .help = "The probability that an attempt fails: 0.01 or 1%. The same attempts "
                             "fail under every policy."},
    [OPTION_MTBF] = {.name = "mtbf",
                     .value = "TIME",
                     .help = "Mean time until a worker dies, exponentially distributed. That is "
                             "noticed 2 s later, and another worker takes its place."},
    [OPTION_ARRIVALS] = {.name = "arrivals",
                         .value = "RATE",
                         .help = "Let the tasks arrive as a Poisson stream of RATE a second, and "
                                 "show what the theory of the queue M/M/c expects beside it."},
    [OPTION_SEED] = {.name = "seed",
                     .value = "N",
                     .help = "Equal seeds give equal results. The default is 1."},
    [OPTION_TRACE] = {.name = "trace",
                      .value = "FILE",
                      .complete = MF_COMPLETE_FILE,
                      .help = "Write a line for each attempt to FILE, with TABs between task, "
                              "attempt, worker, slot, start and end in seconds, and state: DONE, "
                              "FAILED, ENDED or LOST. Needs one --policy."},
    [OPTION_FORMAT] = MF_FORMAT_OPTION,
    [OPTION_MODULE] = MF_SET_MODULE_OPTION,
    [OPTION_RESOURCE] = MF_SET_RESOURCE_OPTION,
    [OPTION_DELAY] = {.name = "delay",
                      .value = "TIME",
                      .help = "Wait at least TIME between two starts."},
    [OPTION_AGEING] = MF_AGEING_OPTION,
    [OPTION_SHARE] = MF_SHARE_OPTION,
};

/* --- workers --- */

static int refuse_workers(const char *text, struct mf_error *err)
{
    return mf_error_set(err, -EINVAL, "\"%.100s\" is not like 100x64 or 4x32:mem=512G:gpus=4",
                        text);
}

/* "mem=512G" or "gpus=4", behind a colon. */
static int parse_extra(struct mf_sim_group *group, const char *text, struct mf_error *err)
{
    int64_t n_gpus;
    int r;

    if (strncmp(text, "mem=", 4) == 0)
        return mf_parse_size(text + 4, &group->has.mem_bytes, err);
    if (strncmp(text, "gpus=", 5) != 0)
        return refuse_workers(text, err);
    r = mf_parse_integer(text + 5, 0, MAX_GPUS, &n_gpus, err);
    if (r == 0)
        group->has.n_gpus = (uint32_t)n_gpus;
    return r;
}

static int parse_group(struct mf_sim_group *group, char *text, struct mf_error *err)
{
    char *rest, *extra = strchr(text, ':'), *slots;
    int64_t n_workers, n_slots;
    int r;

    if (extra)
        *extra++ = '\0';
    slots = strchr(text, 'x');
    if (!slots)
        return refuse_workers(text, err);
    *slots++ = '\0';
    r = mf_parse_integer(text, 1, MAX_WORKERS, &n_workers, err);
    if (r == 0)
        r = mf_parse_integer(slots, 1, MAX_SLOTS, &n_slots, err);
    if (r < 0)
        return r;
    *group = (struct mf_sim_group){
        .n_workers = (uint32_t)n_workers,
        .has = {.n_slots = (uint32_t)n_slots, .mem_bytes = INT64_MAX},
    };
    for (char *part = extra ? strtok_r(extra, ":", &rest) : NULL; part && r == 0;
         part = strtok_r(NULL, ":", &rest))
        r = parse_extra(group, part, err);
    return r;
}

static uint32_t count_parts(const char *text)
{
    uint32_t n = 1;

    for (; *text; text++)
        n += *text == ',';
    return n;
}

static int parse_workers(struct mf_simulate_settings *settings, const char *text,
                         struct mf_error *err)
{
    char *copy = strdup(text), *rest;
    int r = 0;

    free(settings->groups);
    settings->sim.n_groups = 0;
    settings->groups = calloc(count_parts(text), sizeof(*settings->groups));
    if (!copy || !settings->groups)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    for (char *part = r == 0 ? strtok_r(copy, ",", &rest) : NULL; part && r == 0;
         part = strtok_r(NULL, ",", &rest))
        r = parse_group(&settings->groups[settings->sim.n_groups++], part, err);
    if (r == 0 && settings->sim.n_groups == 0)
        r = refuse_workers(text, err);
    if (r == 0 && mf_simulate_n_workers(settings) > MAX_WORKERS)
        r = mf_error_set(err, -E2BIG, "more than %d workers", MAX_WORKERS);
    settings->sim.groups = settings->groups;
    free(copy);
    return r;
}

uint64_t mf_simulate_n_workers(const struct mf_simulate_settings *settings)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < settings->sim.n_groups; i++)
        n += settings->groups[i].n_workers;
    return n;
}

uint64_t mf_simulate_n_slots(const struct mf_simulate_settings *settings)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < settings->sim.n_groups; i++)
        n += (uint64_t)settings->groups[i].n_workers * settings->groups[i].has.n_slots;
    return n;
}

/* --- policies and placements --- */

static int parse_policies(struct mf_simulate_settings *settings, const char *text,
                          struct mf_error *err)
{
    char *copy = strdup(text), *rest;
    int r = 0;

    settings->n_policies = 0;
    if (!copy)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (char *part = strtok_r(copy, ",", &rest); part && r == 0;
         part = strtok_r(NULL, ",", &rest)) {
        const struct mf_policy *policy;

        r = mf_policy_parse(part, &policy, err);
        if (r < 0)
            break;
        if (settings->n_policies == MF_SIMULATE_POLICIES_MAX)
            r = mf_error_set(err, -E2BIG, "more than %d policies", MF_SIMULATE_POLICIES_MAX);
        else
            settings->policies[settings->n_policies++] = policy;
    }
    if (r == 0 && settings->n_policies == 0)
        r = mf_error_set(err, -EINVAL, "no policy is named");
    free(copy);
    return r;
}

/* But for auto, which goes by one of them after the other and takes long to simulate. */
static void choose_all_policies(struct mf_simulate_settings *settings)
{
    const struct mf_policy *policy;

    for (uint32_t i = 0; i < MF_SIMULATE_POLICIES_MAX && (policy = mf_policy_at(i)); i++)
        if (policy != &mf_policy_auto)
            settings->policies[settings->n_policies++] = policy;
}

/* --- numbers --- */

static int parse_cost(struct mf_simulate_settings *settings, const char *text, struct mf_error *err)
{
    char message[64];
    size_t length = strcspn(text, ",");
    int r;

    if (length >= sizeof(message))
        return mf_error_set(err, -EINVAL, "\"%.100s\" is not like 2us or 2us,1us", text);
    memcpy(message, text, length);
    message[length] = '\0';
    r = mf_parse_duration(message, &settings->sim.message_cost_ns, err);
    if (r == 0 && text[length] == ',')
        r = mf_parse_duration(text + length + 1, &settings->sim.task_cost_ns, err);
    return r;
}

static int parse_probability(const char *text, double *ret_probability, struct mf_error *err)
{
    bool is_percent = *text && text[strlen(text) - 1] == '%';
    double value;

    if (mf_parse_decimal(text, is_percent, &value) < 0 || value > (is_percent ? 100 : 1))
        return mf_error_set(err, -EINVAL, "\"%.100s\" is no probability, such as 0.01 or 1%%",
                            text);
    *ret_probability = is_percent ? value / 100 : value;
    return 0;
}

static int parse_rate(const char *text, double *ret_rate, struct mf_error *err)
{
    double value;

    if (mf_parse_decimal(text, 0, &value) < 0 || !(value >= 1e-9 && value <= 1e9))
        return mf_error_set(err, -EINVAL,
                            "\"%.100s\" is no number of tasks a second, such as 20 or 0.5", text);
    *ret_rate = value;
    return 0;
}

static int parse_time(const char *text, int64_t *ret_ns, struct mf_error *err)
{
    int r = mf_parse_duration(text, ret_ns, err);

    return r == 0 && *ret_ns == 0 ? mf_error_set(err, -EINVAL, "must be more than 0") : r;
}

/* --- all of them --- */

static int parse_seed(struct mf_simulate_settings *settings, const char *text, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 0, INT64_MAX, &value, err);

    if (r == 0)
        settings->sim.seed = (uint64_t)value;
    return r;
}

static int parse_value(struct mf_simulate_settings *settings, size_t index, const char *text,
                       struct mf_error *err)
{
    switch (index) {
    case OPTION_WORKERS:
        return parse_workers(settings, text, err);
    case OPTION_POLICY:
        return parse_policies(settings, text, err);
    case OPTION_QUANTUM:
        return mf_quantum_parse(text, &settings->sim.farm, err);
    case OPTION_MAX_SUSPENDED:
        return mf_max_suspended_parse(text, &settings->sim.farm, err);
    case OPTION_PLACEMENT:
        return mf_placement_parse(text, &settings->sim.farm.placement, err);
    case OPTION_TIME:
        return parse_time(text, &settings->input.time_ns, err);
    case OPTION_LATENCY:
        return mf_parse_duration(text, &settings->sim.latency_ns, err);
    case OPTION_COST:
        return parse_cost(settings, text, err);
    case OPTION_FAIL:
        return parse_probability(text, &settings->sim.fail_probability, err);
    case OPTION_MTBF:
        return parse_time(text, &settings->sim.mtbf_ns, err);
    case OPTION_ARRIVALS:
        return parse_rate(text, &settings->arrivals_per_s, err);
    case OPTION_RESOURCE:
        return mf_resources_add(&settings->input.resources, text, err);
    case OPTION_AGEING:
        return mf_ageing_parse(text, &settings->sim.farm.policy_settings, err);
    case OPTION_SHARE:
        return mf_group_shares_add(&settings->input.shares, text, err);
    case OPTION_DELAY:
        return mf_parse_duration(text, &settings->sim.farm.delay_ns, err);
    case OPTION_SEED:
        return parse_seed(settings, text, err);
    case OPTION_RETRIES:
        return mf_retries_parse(text, &settings->input.attempts, &settings->sim.farm, err);
    case OPTION_RETRY_DELAY:
        return mf_retry_delay_parse(text, &settings->sim.farm, err);
    case OPTION_CRASH_LIMIT:
        return mf_crash_limit_parse(text, &settings->sim.farm, err);
    case OPTION_QUARANTINE:
        return mf_quarantine_parse(text, &settings->sim.farm, err);
    default:
        return 0;
    }
}

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct mf_simulate_settings *settings = arg;
    int r;

    switch (index) {
    case OPTION_FORMAT:
        return mf_task_set_take_format(&settings->input, text, err);
    case OPTION_MODULE:
        return mf_task_set_take_module(&settings->input, text, err);
    case OPTION_TRACE:
        settings->trace = text;
        return 0;
    default:
        r = parse_value(settings, index, text, err);
        return r < 0 ? mf_error_prefix(err, r, "--%s: ", mf_simulate_options[index].name) : 0;
    }
}

/* Options that say something about some policies only. */
static int check_policies(struct mf_simulate_settings *settings, struct mf_error *err)
{
    struct mf_farm_config *farm = &settings->sim.farm;
    bool has_turns = false, preempts = false;

    for (uint32_t i = 0; i < settings->n_policies; i++) {
        has_turns |= settings->policies[i]->turn_ns != NULL;
        preempts |= mf_policy_preempts(settings->policies[i]);
    }
    return mf_suspending_check(farm, has_turns, preempts, err);
}

int mf_simulate_parse(struct mf_simulate_settings *settings, int argc, char **argv,
                      struct mf_error *err)
{
    int first;

    *settings = (struct mf_simulate_settings){
        .input.attempts = 1,
        .sim = {.seed = 1,
                .farm = {.placement = &mf_placement_least_loaded,
                         .max_prefetch_per_slot = MAX_PREFETCH_PER_SLOT}},
    };
    mf_recovering_init(&settings->sim.farm);
    first = mf_options_parse(&mf_subcommand_simulate, argc, argv, set_option, settings, err);
    if (first < 0)
        return first;
    if (first == argc)
        return mf_error_set(err, -EINVAL, "nothing to simulate; usage: mpifarm simulate %s",
                            mf_subcommand_simulate.synopsis);
    if (settings->sim.n_groups == 0)
        return mf_error_set(err, -EINVAL, "--workers is missing: give it like --workers 100x64");
    if (settings->trace && settings->n_policies != 1)
        return mf_error_set(err, -EINVAL,
                            "--trace is of one policy: choose it, as in --policy fifo");
    if (settings->n_policies == 0)
        choose_all_policies(settings);
    if (check_policies(settings, err) < 0)
        return -EINVAL;
    mf_resources_count(&settings->input.resources, settings->sim.farm.countables);
    return first;
}

void mf_simulate_settings_finish(struct mf_simulate_settings *settings)
{
    free(settings->groups);
}
