/* The options of a farm on the command line: their table, and what they say. */
#include "cli/farming_private.h"

#include "base/clock.h"
#include "base/units.h"
#include "cli/terminal.h"
#include "cli/walltime.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_RUN_DIR "mpifarm-run"
#define DEFAULT_OUTPUT_LIMIT (UINT64_C(64) << 20)
#define DEFAULT_START_NS (120 * MF_NS_PER_S)
#define KILL_GRACE_NS (5 * MF_NS_PER_S)
#define MAX_PREFETCH_PER_SLOT 32

enum {
    OPTION_NP,
    OPTION_LAUNCH,
    OPTION_START_TIMEOUT,
    OPTION_JOBS,
    OPTION_KEEP_ORDER,
    OPTION_TAG,
    OPTION_OUTPUT,
    OPTION_OUTPUT_LIMIT,
    OPTION_RETRIES,
    OPTION_RETRY_DELAY,
    OPTION_CRASH_LIMIT,
    OPTION_QUARANTINE,
    OPTION_RESPAWN,
    OPTION_TIMEOUT,
    OPTION_HALT,
    OPTION_DELAY,
    OPTION_WALLTIME,
    OPTION_WARN,
    OPTION_RELEASE_IDLE,
    OPTION_POLICY,
    OPTION_AGEING,
    OPTION_SHARE,
    OPTION_QUANTUM,
    OPTION_MAX_SUSPENDED,
    OPTION_PLACEMENT,
    OPTION_RUN_DIR,
    OPTION_RESUME,
    OPTION_RESUME_FAILED,
    OPTION_FORCE,
    OPTION_STANDBY,
    OPTION_STANDBY_WAIT,
    OPTION_JOBLOG,
    OPTION_DRY_RUN,
    OPTION_BAR,
    OPTION_ETA,
    OPTION_QUIET,
    OPTION_NO_PIN,
    OPTION_MEM,
    OPTION_MEM_RETRY,
    OPTION_GPUS,
    N_COMMON_OPTIONS,
    OPTION_FORMAT = N_COMMON_OPTIONS,
    OPTION_MODULE,
    OPTION_NO_ISOLATION,
    OPTION_RESOURCE,
    N_OPTIONS
};
static_assert(N_COMMON_OPTIONS == MF_N_FARMING_OPTIONS, "the header gives the table's size");
static_assert(N_OPTIONS == MF_N_RUN_OPTIONS, "the header gives the table's size");

const struct mf_option mf_farming_options[MF_N_RUN_OPTIONS] = {
    [OPTION_NP] = {.name = "np",
                   .value = "N",
                   .help = "Start N ranks with mpirun (or what --launch says), spread over its "
                           "nodes, such that the run survives the death of any but rank 0, and "
                           "give the exit status of the run. Settings for mpirun go into OMPI_MCA_ "
                           "variables."},
    [OPTION_LAUNCH] = MF_LAUNCH_OPTION,
    [OPTION_START_TIMEOUT] =
        {.name = "start-timeout",
         .value = "TIME",
         .help = "Ranks that mpifarm starts with mpirun, and that have not found each other after "
                 "TIME, are ended and started once more; 2m by default. One that dies as it "
                 "starts can make the others wait for it without end."},
    [OPTION_JOBS] = {.name = "jobs",
                     .letter = 'j',
                     .value = "N",
                     .help = "Slots of each node: a count (8), a difference to its number of cores "
                             "(+2, -1), or a share of them (50%). One per core is the default, and "
                             "what 0 means."},
    [OPTION_KEEP_ORDER] = {.name = "keep-order",
                           .letter = 'k',
                           .help = "Print output in the order of the input, not of completion."},
    [OPTION_TAG] = {.name = "tag",
                    .help = "Begin each line of output with the id of its task (map: with its "
                            "arguments) and a TAB."},
    [OPTION_OUTPUT] = {.name = "output",
                       .value = "DIR",
                       .complete = MF_COMPLETE_DIR,
                       .help = "Store output in a few large files in DIR instead of printing it; "
                               "DIR/index.tsv says where each task's is, and \"mpifarm logs\" "
                               "prints it."},
    [OPTION_OUTPUT_LIMIT] = {.name = "output-limit",
                             .value = "SIZE",
                             .help = "Keep at the most SIZE of each stream of a task, half from "
                                     "its head and half from its tail, with a line that says how "
                                     "much was dropped. The default is 64M; 0 is no limit."},
    [OPTION_RETRIES] = MF_RETRIES_OPTION,
    [OPTION_RETRY_DELAY] = MF_RETRY_DELAY_OPTION,
    [OPTION_CRASH_LIMIT] = MF_CRASH_LIMIT_OPTION,
    [OPTION_QUARANTINE] = MF_QUARANTINE_OPTION,
    [OPTION_RESPAWN] = {.name = "respawn",
                        .value = "N",
                        .help = "Replace up to N workers that are lost, each by a new process on "
                                "its node and its cores. Needs mpirun with --enable-recovery; "
                                "elsewhere the run goes on with the other workers."},
    [OPTION_TIMEOUT] = {.name = "timeout",
                        .value = "TIME",
                        .help = "End a task that runs longer: 90, 10m, 1h30m; or 200%: longer "
                                "than twice the median of the tasks done so far."},
    [OPTION_HALT] = {.name = "halt",
                     .value = "WHEN",
                     .help = "\"soon,fail=N\" starts nothing more once N tasks have failed, "
                             "\"now,fail=N\" also ends those that run; N% is of all tasks; "
                             "\"never\" is the default."},
    [OPTION_DELAY] = {.name = "delay",
                      .value = "TIME",
                      .help = "Wait at least TIME between two starts."},
    [OPTION_WALLTIME] = {.name = "walltime",
                         .value = "TIME",
                         .help =
                             "The run ends within TIME: a task that should run longer than what "
                             "is left is not started, what still runs is ended shortly before, "
                             "and --resume continues. The end of a Slurm job is the default."},
    [OPTION_WARN] = {.name = "warn",
                     .value = "SIGNAL@TIME",
                     .help = "Send running tasks a signal TIME before the run has to end: USR1@5m. "
                             "One that then ends with a status other than 0 was cut short: that is "
                             "no failure, and --resume runs it again. A task may so be longer than "
                             "a job: a chain of jobs (mpifarm batch --chain) goes on for up to 30 "
                             "of them that end no task, instead of three."},
    [OPTION_RELEASE_IDLE] = {.name = "release-idle",
                             .help =
                                 "In a job of Slurm: give nodes back that are idle, once all tasks "
                                 "that are left fit on the others. Never that of the batch script, "
                                 "of rank 0 or of the standby. Needs ranks that mpifarm starts by "
                                 "srun."},
    [OPTION_POLICY] = {.name = "policy",
                       .value = "NAME",
                       .help =
                           "Order in which tasks are begun: priority (the default: the highest "
                           "first, and waiting counts), fifo, lifo, sjf (shortest first), lpt "
                           "(longest first), wspt (by weight over time), edf (earliest "
                           "deadline), critical-path, fair (shares for groups), auto (what "
                           "simulations of the remaining work show to be best); or rr (each in "
                           "turn) and srtf (shortest remaining time first), which stop "
                           "tasks and let them go on later: commands at any time, functions where "
                           "they call mpifarm_checkpoint()."},
    [OPTION_AGEING] = MF_AGEING_OPTION,
    [OPTION_SHARE] = MF_SHARE_OPTION,
    [OPTION_QUANTUM] = MF_QUANTUM_OPTION,
    [OPTION_MAX_SUSPENDED] = MF_MAX_SUSPENDED_OPTION,
    [OPTION_PLACEMENT] = {.name = "placement",
                          .value = "NAME",
                          .help = "How the worker of a task is chosen: least-loaded (the default), "
                                  "round-robin, random, two-choices, best-fit, pack, scatter, "
                                  "affinity (where its group was last)."},
    [OPTION_RUN_DIR] = {.name = "run-dir",
                        .value = "DIR",
                        .complete = MF_COMPLETE_DIR,
                        .help = "Directory for the journal, the joblog and captured output. The "
                                "default is mpifarm-run."},
    [OPTION_RESUME] = {.name = "resume",
                       .help = "Go on with the run in the run directory: tasks that are done or "
                               "have failed, by their id and command, are not run again."},
    [OPTION_RESUME_FAILED] = {.name = "resume-failed",
                              .help = "As --resume, but tasks that have failed are run again."},
    [OPTION_FORCE] = {.name = "force",
                      .help = "Start afresh, replacing what the run directory holds of an earlier "
                              "run."},
    [OPTION_STANDBY] = {.name = "standby",
                        .help = "When the rank that schedules dies, another one goes on with the "
                                "run: of another node if there is one. Nothing is run again but "
                                "what the death cut short. All nodes must reach the run directory "
                                "and the task files, and mpirun must let the other ranks live: "
                                "use --np, or mpirun --enable-recovery. With --np or --launch the "
                                "run goes on too when mpirun, srun or all ranks die: they are "
                                "started again, up to three times."},
    [OPTION_STANDBY_WAIT] = MF_STANDBY_WAIT_OPTION,
    [OPTION_JOBLOG] = {.name = "joblog",
                       .value = "FILE",
                       .complete = MF_COMPLETE_FILE,
                       .help = "Write a joblog with the columns of GNU Parallel to FILE too."},
    [OPTION_DRY_RUN] = {.name = "dry-run", .help = "Print the commands and run nothing."},
    [OPTION_BAR] = {.name = "bar",
                    .help = "Show the progress bar even where standard error is no terminal."},
    [OPTION_ETA] = {.name = "eta", .help = "Show the bar with the estimated time left in front."},
    [OPTION_QUIET] = {.name = "quiet",
                      .letter = 'q',
                      .help = "Show neither progress nor summary, only warnings and errors."},
    [OPTION_NO_PIN] = {.name = "no-pin", .help = "Do not bind tasks to cores."},
    [OPTION_MEM] = {.name = "mem",
                    .value = "SIZE",
                    .help = "Memory of each node that tasks with mem= share. The default is the "
                            "least of what the node has, the limit of the cgroup and what Slurm "
                            "gave."},
    [OPTION_MEM_RETRY] = {.name = "mem-retry",
                          .value = "xN",
                          .help =
                              "Try a task that was ended for using more than its mem= again "
                              "with N times as much, up to what the largest worker has, as "
                              "often as --retries or retries= lets it. Where none has more it is "
                              "not tried again."},
    [OPTION_GPUS] = {.name = "gpus",
                     .value = "N",
                     .help =
                         "GPUs of each node that tasks with gpus= share, the first N of "
                         "CUDA_VISIBLE_DEVICES (or ROCR_VISIBLE_DEVICES, ZE_AFFINITY_MASK) or of "
                         "those found. A task finds its own in the same variable and in "
                         "MPIFARM_GPUS; for one without gpus= that variable stays as it is."},
    [OPTION_FORMAT] = MF_FORMAT_OPTION,
    [OPTION_MODULE] = {.name = "module",
                       .value = "FILE",
                       .complete = MF_COMPLETE_FILE,
                       .help = "Load a shared library whose functions tasks can call, as in "
                               "\"[func=render] 3 4\". May be repeated; the first that has a "
                               "function of the name counts. A name without a slash is searched "
                               "for where libraries are."},
    [OPTION_NO_ISOLATION] = {.name = "no-isolation",
                             .help = "Call functions in the rank itself, which is faster: one at "
                                     "a time, and a time limit only asks it to stop. One that "
                                     "crashes or hangs takes the rank with it, and what it prints "
                                     "is not taken in."},
    [OPTION_RESOURCE] = {.name = "resource",
                         .value = "NAME=N",
                         .help = "The run has N of something that tasks ask for, wherever they "
                                 "run: with licence.matlab=4, two tasks \"[licence.matlab=2] "
                                 "...\" run at a time. The name has a \".\" in it. May be "
                                 "repeated."},
};

/* --- values --- */

static int parse_timeout(struct mf_farming_settings *settings, const char *text,
                         struct mf_error *err)
{
    size_t length = strlen(text);
    double percent;

    if (length == 0 || text[length - 1] != '%')
        return mf_parse_duration(text, &settings->scheduler.timeout_ns, err);
    if (mf_parse_decimal(text, 1, &percent) < 0 || !(percent >= 100 && percent <= 1e6))
        return mf_error_set(err, -EINVAL, "\"%s\" is no percentage of 100 or more", text);
    settings->scheduler.farm.timeout_factor = percent / 100;
    return 0;
}

static int refuse_halt(const char *text, struct mf_error *err)
{
    return mf_error_set(err, -EINVAL,
                        "\"%s\" is neither \"never\" nor like \"soon,fail=3\" or \"now,fail=10%%\"",
                        text);
}

static int parse_halt(struct mf_farm_config *farm, const char *text, struct mf_error *err)
{
    const char *limit;
    bool is_part;
    double value;

    if (strcmp(text, "never") == 0) {
        farm->halt_when = MF_HALT_NEVER;
        return 0;
    }
    if (strncmp(text, "soon,fail=", 10) == 0)
        farm->halt_when = MF_HALT_SOON, limit = text + 10;
    else if (strncmp(text, "now,fail=", 9) == 0)
        farm->halt_when = MF_HALT_NOW, limit = text + 9;
    else
        return refuse_halt(text, err);
    farm->halt_failed = 0;
    farm->halt_fraction = 0;
    is_part = *limit && limit[strlen(limit) - 1] == '%';
    if (mf_parse_decimal(limit, is_part, &value) < 0 || !(value > 0))
        return refuse_halt(text, err);
    if (is_part && value <= 100)
        farm->halt_fraction = value / 100;
    else if (!is_part && value < 1e18 && value == (double)(uint64_t)value)
        farm->halt_failed = (uint64_t)value;
    else
        return refuse_halt(text, err);
    return 0;
}

static int parse_output_limit(struct mf_farming_settings *settings, const char *text,
                              struct mf_error *err)
{
    uint64_t bytes;
    int r = mf_parse_size(text, &bytes, err);

    if (r < 0)
        return r;
    if (bytes > 0 && bytes < 1024)
        return mf_error_set(err, -EINVAL, "%s is too little; the least is 1K, and 0 is no limit",
                            text);
    settings->rank.launcher.output_limit_bytes = bytes ? bytes : UINT64_MAX;
    return 0;
}

static int parse_respawn(struct mf_farming_settings *settings, const char *text,
                         struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 0, 1000000, &value, err);

    if (r == 0)
        settings->scheduler.respawn = (uint32_t)value;
    return r;
}

static int parse_np(struct mf_farming_settings *settings, const char *text, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 1, 1000000, &value, err);

    if (r == 0)
        settings->n_ranks = (uint32_t)value;
    return r;
}

static int parse_start_timeout(struct mf_farming_settings *settings, const char *text,
                               struct mf_error *err)
{
    int r = mf_parse_duration(text, &settings->start_ns, err);

    if (r == 0 && settings->start_ns == 0)
        return mf_error_set(err, -EINVAL, "no rank starts in no time");
    return r;
}

static int parse_mem(struct mf_farming_settings *settings, const char *text, struct mf_error *err)
{
    int r = mf_parse_size(text, &settings->rank.mem_bytes, err);

    if (r == 0 && settings->rank.mem_bytes == 0)
        return mf_error_set(err, -EINVAL, "a node with no memory runs nothing");
    return r;
}

static int parse_mem_retry(struct mf_farm_config *farm, const char *text, struct mf_error *err)
{
    double factor;

    if (text[0] != 'x' || mf_parse_decimal(text + 1, 0, &factor) < 0 ||
        !(factor > 1 && factor <= 1000))
        return mf_error_set(err, -EINVAL, "\"%s\" is not like x2 or x1.5", text);
    farm->mem_factor = factor;
    return 0;
}

static int parse_gpus(struct mf_farming_settings *settings, const char *text, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 0, MF_MAX_GPUS, &value, err);

    if (r == 0)
        settings->rank.n_gpus = (uint32_t)value;
    return r;
}

static int add_module(struct mf_farming_settings *settings, const char *path, struct mf_error *err)
{
    if (settings->rank.n_modules == MF_MAX_MODULES)
        return mf_error_set(err, -E2BIG, "more than %d modules", MF_MAX_MODULES);
    if (path[0] == '\0')
        return mf_error_set(err, -EINVAL, "the name of a library is missing");
    settings->modules[settings->rank.n_modules++] = path;
    return 0;
}

/* Options whose value has to be understood; others are in set_option(). */
static int parse_value(struct mf_farming_settings *settings, size_t index, const char *text,
                       struct mf_error *err)
{
    switch (index) {
    case OPTION_NP:
        return parse_np(settings, text, err);
    case OPTION_LAUNCH:
        return mf_launch_way_parse(text, &settings->launch_way, err);
    case OPTION_START_TIMEOUT:
        return parse_start_timeout(settings, text, err);
    case OPTION_JOBS:
        return mf_jobs_parse(text, &settings->scheduler.jobs, err);
    case OPTION_OUTPUT_LIMIT:
        return parse_output_limit(settings, text, err);
    case OPTION_RETRIES:
        return mf_retries_parse(text, &settings->scheduler.attempts, &settings->scheduler.farm,
                                err);
    case OPTION_RETRY_DELAY:
        return mf_retry_delay_parse(text, &settings->scheduler.farm, err);
    case OPTION_CRASH_LIMIT:
        return mf_crash_limit_parse(text, &settings->scheduler.farm, err);
    case OPTION_QUARANTINE:
        return mf_quarantine_parse(text, &settings->scheduler.farm, err);
    case OPTION_TIMEOUT:
        return parse_timeout(settings, text, err);
    case OPTION_HALT:
        return parse_halt(&settings->scheduler.farm, text, err);
    case OPTION_DELAY:
        return mf_parse_duration(text, &settings->scheduler.farm.delay_ns, err);
    case OPTION_WALLTIME:
        return mf_walltime_parse(text, &settings->scheduler, err);
    case OPTION_WARN:
        return mf_warn_parse(text, &settings->scheduler, err);
    case OPTION_POLICY:
        return mf_policy_parse(text, &settings->scheduler.farm.policy, err);
    case OPTION_AGEING:
        return mf_ageing_parse(text, &settings->scheduler.farm.policy_settings, err);
    case OPTION_SHARE:
        return mf_group_shares_add(&settings->shares, text, err);
    case OPTION_QUANTUM:
        return mf_quantum_parse(text, &settings->scheduler.farm, err);
    case OPTION_MAX_SUSPENDED:
        return mf_max_suspended_parse(text, &settings->scheduler.farm, err);
    case OPTION_PLACEMENT:
        return mf_placement_parse(text, &settings->scheduler.farm.placement, err);
    case OPTION_STANDBY_WAIT:
        return mf_standby_wait_parse(text, &settings->rank.patience_ns, err);
    case OPTION_RESPAWN:
        return parse_respawn(settings, text, err);
    case OPTION_MEM:
        return parse_mem(settings, text, err);
    case OPTION_MEM_RETRY:
        return parse_mem_retry(&settings->scheduler.farm, text, err);
    case OPTION_GPUS:
        return parse_gpus(settings, text, err);
    case OPTION_FORMAT:
        return mf_source_format_parse(text, &settings->format, err);
    case OPTION_MODULE:
        return add_module(settings, text, err);
    case OPTION_RESOURCE:
        return mf_resources_add(&settings->resources, text, err);
    default:
        return 0;
    }
}

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct mf_farming_settings *settings = arg;
    int r = parse_value(settings, index, text, err);

    if (r < 0)
        return mf_error_prefix(err, r, "--%s: ", mf_farming_options[index].name);
    switch (index) {
    case OPTION_KEEP_ORDER:
        settings->scheduler.keep_order = true;
        break;
    case OPTION_TAG:
        settings->scheduler.tag = true;
        break;
    case OPTION_OUTPUT:
        settings->scheduler.output_dir = text;
        break;
    case OPTION_RUN_DIR:
        settings->run_dir = text;
        break;
    case OPTION_RESUME:
        if (settings->scheduler.resume == MF_RESUME_NONE)
            settings->scheduler.resume = MF_RESUME_UNFINISHED;
        break;
    case OPTION_RESUME_FAILED:
        settings->scheduler.resume = MF_RESUME_WITH_FAILED;
        break;
    case OPTION_FORCE:
        settings->is_forced = true;
        break;
    case OPTION_STANDBY:
        settings->scheduler.has_standby = true;
        break;
    case OPTION_JOBLOG:
        settings->scheduler.joblog = text;
        break;
    case OPTION_DRY_RUN:
        settings->is_dry_run = true;
        break;
    case OPTION_BAR:
        settings->progress = MF_PROGRESS_BAR;
        break;
    case OPTION_ETA:
        settings->progress = MF_PROGRESS_ETA;
        break;
    case OPTION_QUIET:
        settings->is_quiet = true;
        break;
    case OPTION_RELEASE_IDLE:
        settings->rank.gives_back = true;
        break;
    case OPTION_NO_PIN:
        settings->scheduler.pin = false;
        break;
    case OPTION_NO_ISOLATION:
        settings->rank.is_inline = true;
        break;
    }
    return 0;
}

static void init_settings(struct mf_farming_settings *settings)
{
    *settings = (struct mf_farming_settings){
        .scheduler = {.farm = {.policy = &mf_policy_priority,
                               .max_prefetch_per_slot = MAX_PREFETCH_PER_SLOT},
                      .jobs = {.kind = MF_JOBS_PERCENT, .value = 100},
                      .pin = true,
                      .attempts = 1},
        .rank = {.launcher = {.output_limit_bytes = DEFAULT_OUTPUT_LIMIT,
                              .grace_ns = KILL_GRACE_NS},
                 .n_gpus = MF_GPUS_FOUND},
        .run_dir = DEFAULT_RUN_DIR,
        .start_ns = DEFAULT_START_NS,
        .progress = mf_terminal_is_there() ? MF_PROGRESS_BAR : MF_PROGRESS_LINES,
    };
    settings->rank.modules = settings->modules;
    mf_recovering_init(&settings->scheduler.farm);
}

/* An option without any effect is a mistake. */
static int check_policy(const struct mf_farming_settings *settings, struct mf_error *err)
{
    const struct mf_policy *policy = settings->scheduler.farm.policy;

    if (settings->scheduler.farm.policy_settings.ageing_weight != 0 &&
        policy != &mf_policy_priority && policy != &mf_policy_auto)
        return mf_error_set(err, -EINVAL, "--ageing is about --policy priority, not %s",
                            policy->name);
    if (settings->shares.n > 0 && policy != &mf_policy_fair)
        return mf_error_set(err, -EINVAL, "--share is about groups, and needs --policy fair");
    return 0;
}

int mf_farming_parse(struct mf_farming_settings *settings, const struct mf_subcommand *subcommand,
                     int argc, char **argv, int min_words, struct mf_error *err)
{
    struct mf_farm_config *farm = &settings->scheduler.farm;
    int first, r;

    init_settings(settings);
    first = mf_options_parse(subcommand, argc, argv, set_option, settings, err);
    if (first < 0)
        return first;
    if (argc - first < min_words)
        return mf_error_set(err, -EINVAL, "nothing to run; usage: mpifarm %s %s", subcommand->name,
                            subcommand->synopsis);
    if (settings->is_forced && settings->scheduler.resume != MF_RESUME_NONE)
        return mf_error_set(err, -EINVAL, "--force and --resume exclude each other");
    if (settings->rank.is_inline && settings->rank.n_modules == 0)
        return mf_error_set(err, -EINVAL,
                            "--no-isolation is about functions, and needs --module FILE");
    if (settings->rank.patience_ns > 0 && !settings->scheduler.has_standby)
        return mf_error_set(err, -EINVAL, "--standby-wait is about --standby, and needs it");
    r = check_policy(settings, err);
    if (r == 0)
        r = mf_suspending_check(farm, farm->policy->turn_ns != NULL,
                                mf_policy_preempts(farm->policy), err);
    if (r < 0)
        return r;
    settings->scheduler.functions_yield = !settings->rank.is_inline;
    settings->scheduler.shares = settings->shares.items;
    settings->scheduler.n_shares = settings->shares.n;
    mf_resources_count(&settings->resources, settings->scheduler.farm.countables);
    if (settings->is_quiet)
        settings->progress = MF_PROGRESS_NONE;
    /* What was sent ahead would still start after the failure that halts the farm. */
    if (settings->scheduler.farm.halt_when != MF_HALT_NEVER)
        settings->scheduler.farm.max_prefetch_per_slot = 0;
    return first;
}
