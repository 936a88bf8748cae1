/*
 * Running a farm from the command line: options, run directory, and the parts
 * of a rank put together. Every rank comes through here with the same words;
 * only rank 0 reads tasks and speaks.
 */
#include "cli/farming.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/units.h"
#include "exec/process.h"
#include "runtime/rank.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_RUN_DIR "mpifarm-run"
#define DEFAULT_OUTPUT_LIMIT (UINT64_C(64) << 20)
#define KILL_GRACE_NS (5 * MF_NS_PER_S)
#define CRASH_LIMIT 3
#define MAX_PREFETCH_PER_SLOT 32
#define MAX_MODULES 64

enum {
    OPTION_JOBS,
    OPTION_KEEP_ORDER,
    OPTION_TAG,
    OPTION_OUTPUT,
    OPTION_OUTPUT_LIMIT,
    OPTION_RETRIES,
    OPTION_TIMEOUT,
    OPTION_HALT,
    OPTION_DELAY,
    OPTION_RUN_DIR,
    OPTION_RESUME,
    OPTION_RESUME_FAILED,
    OPTION_FORCE,
    OPTION_JOBLOG,
    OPTION_DRY_RUN,
    OPTION_BAR,
    OPTION_ETA,
    OPTION_QUIET,
    OPTION_NO_PIN,
    N_COMMON_OPTIONS,
    OPTION_MODULE = N_COMMON_OPTIONS,
    OPTION_NO_ISOLATION,
    N_OPTIONS
};
static_assert(N_COMMON_OPTIONS == MF_N_FARMING_OPTIONS, "the header gives the table's size");
static_assert(N_OPTIONS == MF_N_RUN_OPTIONS, "the header gives the table's size");

const struct mf_option mf_farming_options[MF_N_RUN_OPTIONS] = {
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
    [OPTION_RETRIES] = {.name = "retries",
                        .value = "N",
                        .help = "Try a failing task N times in all, on another worker each time "
                                "if there is one. The default is 1."},
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
                      .help = "Show neither progress nor summary, only errors."},
    [OPTION_NO_PIN] = {.name = "no-pin", .help = "Do not bind tasks to cores."},
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
};

/* The options as understood. */
struct settings {
    struct mf_scheduler_config scheduler;
    struct mf_rank_config rank;
    const char *modules[MAX_MODULES];
    const char *run_dir;
    bool is_dry_run;
    bool is_forced;
    bool is_quiet;
    enum mf_progress_mode progress;
};

/* --- options --- */

static int parse_timeout(struct settings *settings, const char *text, struct mf_error *err)
{
    size_t length = strlen(text);
    char *end;
    double percent;

    if (length == 0 || text[length - 1] != '%')
        return mf_parse_duration(text, &settings->scheduler.timeout_ns, err);
    percent = strtod(text, &end);
    if (end != text + length - 1 || !(percent >= 100 && percent <= 1e6))
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
    char *end;
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
    value = strtod(limit, &end);
    if (end == limit || !(value > 0))
        return refuse_halt(text, err);
    if (strcmp(end, "%") == 0 && value <= 100)
        farm->halt_fraction = value / 100;
    else if (*end == '\0' && value < 1e18 && value == (double)(uint64_t)value)
        farm->halt_failed = (uint64_t)value;
    else
        return refuse_halt(text, err);
    return 0;
}

static int parse_output_limit(struct settings *settings, const char *text, struct mf_error *err)
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

static int parse_retries(struct settings *settings, const char *text, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 1, 1000000, &value, err);

    if (r == 0)
        settings->scheduler.attempts = (uint32_t)value;
    return r;
}

static int add_module(struct settings *settings, const char *path, struct mf_error *err)
{
    if (settings->rank.n_modules == MAX_MODULES)
        return mf_error_set(err, -E2BIG, "more than %d modules", MAX_MODULES);
    if (path[0] == '\0')
        return mf_error_set(err, -EINVAL, "the name of a library is missing");
    settings->modules[settings->rank.n_modules++] = path;
    return 0;
}

/* Options whose value has to be understood; others are in set_option(). */
static int parse_value(struct settings *settings, size_t index, const char *text,
                       struct mf_error *err)
{
    switch (index) {
    case OPTION_JOBS:
        return mf_jobs_parse(text, &settings->scheduler.jobs, err);
    case OPTION_OUTPUT_LIMIT:
        return parse_output_limit(settings, text, err);
    case OPTION_RETRIES:
        return parse_retries(settings, text, err);
    case OPTION_TIMEOUT:
        return parse_timeout(settings, text, err);
    case OPTION_HALT:
        return parse_halt(&settings->scheduler.farm, text, err);
    case OPTION_DELAY:
        return mf_parse_duration(text, &settings->scheduler.farm.delay_ns, err);
    case OPTION_MODULE:
        return add_module(settings, text, err);
    default:
        return 0;
    }
}

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct settings *settings = arg;
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
    case OPTION_NO_PIN:
        settings->scheduler.pin = false;
        break;
    case OPTION_NO_ISOLATION:
        settings->rank.is_inline = true;
        break;
    }
    return 0;
}

static void init_settings(struct settings *settings)
{
    *settings = (struct settings){
        .scheduler = {.farm = {.policy = &mf_policy_priority,
                               .crash_limit = CRASH_LIMIT,
                               .max_prefetch_per_slot = MAX_PREFETCH_PER_SLOT},
                      .jobs = {.kind = MF_JOBS_PERCENT, .value = 100},
                      .pin = true,
                      .attempts = 1},
        .rank = {.launcher = {.output_limit_bytes = DEFAULT_OUTPUT_LIMIT,
                              .grace_ns = KILL_GRACE_NS}},
        .run_dir = DEFAULT_RUN_DIR,
        .progress = isatty(STDERR_FILENO) ? MF_PROGRESS_BAR : MF_PROGRESS_LINES,
    };
    settings->rank.modules = settings->modules;
}

static int parse(struct settings *settings, const struct mf_subcommand *subcommand, int argc,
                 char **argv, int min_words, struct mf_error *err)
{
    int first;

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
    if (settings->is_quiet)
        settings->progress = MF_PROGRESS_NONE;
    /* What was sent ahead would still start after the failure that halts the farm. */
    if (settings->scheduler.farm.halt_when != MF_HALT_NEVER)
        settings->scheduler.farm.max_prefetch_per_slot = 0;
    return first;
}

/* --- dry run --- */

static int print_command(const struct mf_entry *entry, struct mf_buffer *line)
{
    mf_buffer_clear(line);
    mf_command_print(&entry->command, line);
    mf_buffer_put_u8(line, '\n');
    if (mf_buffer_status(line) < 0)
        return mf_buffer_status(line);
    return fwrite(line->data, 1, line->size, stdout) == line->size ? 0 : -errno;
}

static int print_commands(struct mf_source *source, struct mf_error *err)
{
    const struct mf_entry *entry;
    struct mf_buffer line = {0};
    int r;

    while ((r = mf_source_next(source, &entry, err)) != 1) {
        struct pollfd fd = {.fd = mf_source_fd(source), .events = POLLIN};

        if (r == -EAGAIN && (poll(&fd, 1, -1) >= 0 || errno == EINTR))
            continue;
        if (r < 0)
            break;
        r = print_command(entry, &line);
        if (r < 0) {
            mf_error_set(err, r, "cannot print the commands: %s", strerror(-r));
            break;
        }
    }
    mf_buffer_finish(&line);
    return r < 0 ? r : 0;
}

static int dry_run(struct mf_context *context, const struct settings *settings,
                   mf_open_source_fn open_source, char **words, int n_words)
{
    struct mf_function_names functions = {.check = mf_modules_check};
    struct mf_source_options options = {0};
    struct mf_modules *modules = NULL;
    struct mf_source *source = NULL;
    struct mf_error err = {0};
    int r = 0;

    if (settings->rank.n_modules > 0)
        r = mf_modules_load(settings->modules, settings->rank.n_modules, false, &modules, &err);
    functions.arg = modules;
    if (modules)
        options.functions = &functions;
    if (r == 0)
        r = open_source((const char *const *)words, (uint32_t)n_words, &options, &source, &err);
    if (r == 0)
        r = print_commands(source, &err);
    mf_source_close(source);
    mf_modules_destroy(modules);
    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

/* --- the run --- */

static uint32_t terminal_columns(void)
{
    struct winsize size;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

static int exit_status(enum mf_run_result result)
{
    switch (result) {
    case MF_RUN_DONE:
        return MPIFARM_EXIT_DONE;
    case MF_RUN_FAILED:
        return MPIFARM_EXIT_FAILED;
    case MF_RUN_REFUSED:
        return MPIFARM_EXIT_USAGE;
    case MF_RUN_STOPPED:
        break;
    }
    return MPIFARM_EXIT_STOPPED;
}

/* What rank 0 has open for a run. */
struct run {
    struct mf_function_names functions;
    struct mf_source_options options;
    struct mf_journal *journal;
    struct mf_source *source;
    struct mf_progress *progress;
    char run_dir[PATH_MAX];
    char output_dir[PATH_MAX];
};

static int open_journal(struct run *run, struct settings *settings, struct mf_error *err)
{
    enum mf_journal_mode mode = settings->is_forced ? MF_JOURNAL_REPLACE : MF_JOURNAL_NEW;

    if (settings->scheduler.resume != MF_RESUME_NONE)
        mode = MF_JOURNAL_CONTINUE;
    return mf_journal_open(settings->run_dir, mode, &run->journal, err);
}

/* Makes the directory for stored output, and its name one that holds from anywhere. */
static int make_output_dir(struct run *run, struct settings *settings, struct mf_error *err)
{
    const char *dir = settings->scheduler.output_dir;

    if (!dir)
        return 0;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return mf_error_set(err, -errno, "%s: cannot make the directory: %s", dir, strerror(errno));
    if (!realpath(dir, run->output_dir))
        return mf_error_set(err, -errno, "%s: %s", dir, strerror(errno));
    if (access(run->output_dir, W_OK | X_OK) < 0)
        return mf_error_set(err, -errno, "%s: %s", dir, strerror(errno));
    settings->scheduler.output_dir = run->output_dir;
    return 0;
}

static int check_joblog(const struct settings *settings, struct mf_error *err)
{
    const char *path = settings->scheduler.joblog;
    struct stat info;
    int fd;

    if (!path)
        return 0;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode))
        return mf_error_set(err, -EINVAL, "%s: a joblog must be a file", path);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return mf_error_set(err, -errno, "%s: %s", path, strerror(errno));
    close(fd);
    return 0;
}

/*
 * Where kept output is, for `mpifarm logs`. One run has one such place: its
 * journal names files, not directories.
 */
static int note_output_dir(struct run *run, const struct settings *settings, struct mf_error *err)
{
    char earlier[PATH_MAX];
    int r = mf_journal_get_text(run->journal, "output", earlier, sizeof(earlier), err);

    if (r == 0 && strcmp(earlier, run->output_dir) != 0)
        return mf_error_set(err, -EINVAL, "%s: this run was begun %s%s; continue it so",
                            settings->run_dir, earlier[0] ? "with --output " : "without --output",
                            earlier);
    if (r < 0 && r != -ENOENT)
        return r;
    return r == 0 ? 0 : mf_journal_set_text(run->journal, "output", run->output_dir, err);
}

/*
 * All that can be wrong is looked at before the journal is opened, because
 * opening it replaces what an earlier run has left.
 */
static int open_run(struct run *run, struct settings *settings, mf_open_source_fn open_source,
                    char **words, int n_words, struct mf_error *err)
{
    int r;

    if (run->functions.arg)
        run->options.functions = &run->functions;
    r = open_source((const char *const *)words, (uint32_t)n_words, &run->options, &run->source,
                    err);
    if (r == 0)
        r = make_output_dir(run, settings, err);
    if (r == 0)
        r = check_joblog(settings, err);
    if (r == 0)
        r = open_journal(run, settings, err);
    if (r == 0)
        r = note_output_dir(run, settings, err);
    if (r < 0)
        return r;
    if (!realpath(settings->run_dir, run->run_dir))
        return mf_error_set(err, -errno, "%s: %s", settings->run_dir, strerror(errno));
    r = mf_progress_create(stderr, settings->progress, terminal_columns(), &run->progress);
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

static int close_run(struct mf_context *context, struct run *run, int status)
{
    struct mf_error err;

    context->log.before = NULL;
    mf_progress_destroy(run->progress);
    mf_source_close(run->source);
    if (mf_journal_close(run->journal, &err) < 0) {
        mf_log_error(&context->log, "%s", err.text);
        status = MPIFARM_EXIT_STOPPED;
    }
    return status;
}

static int schedule(struct mf_context *context, struct mf_rank *rank, struct settings *settings,
                    mf_open_source_fn open_source, char **words, int n_words)
{
    struct run run = {.functions = {.check = mf_modules_check, .arg = rank->modules}};
    struct mf_error err = {0};
    enum mf_run_result result;
    int r, status = MPIFARM_EXIT_USAGE;

    r = open_run(&run, settings, open_source, words, n_words, &err);
    if (r == 0) {
        context->log.before = mf_progress_step_aside;
        context->log.before_arg = run.progress;
        settings->scheduler.source = run.source;
        settings->scheduler.journal = run.journal;
        settings->scheduler.progress = run.progress;
        settings->scheduler.run_dir = run.run_dir;
        settings->scheduler.shown_run_dir = settings->run_dir;
        r = mf_rank_schedule(rank, &settings->scheduler, settings->is_quiet ? NULL : stderr,
                             &result, &err);
    }
    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    else
        status = exit_status(result);
    return close_run(context, &run, status);
}

/* A module that cannot be loaded is one file for all ranks of a node: said once there. */
static bool is_silent(const struct mf_launch *launch, int error)
{
    return error == -ELIBACC && launch->rank != 0 && launch->n_local == launch->n_copies;
}

/*
 * mpirun ends all ranks as soon as one has failed. What all ranks find out
 * before they can talk to each other rank 0 says, so the others let it go first.
 */
static void let_rank_0_speak(const struct mf_launch *launch)
{
    const struct timespec pause = {.tv_sec = 1};

    if (launch->rank != 0)
        nanosleep(&pause, NULL);
}

static int take_part(struct mf_context *context, const struct mf_launch *launch,
                     struct settings *settings, mf_open_source_fn open_source, char **words,
                     int n_words)
{
    struct mf_rank rank = {0};
    struct mf_error err = {0};
    int status = MPIFARM_EXIT_DONE;
    int r;

    settings->rank.launch = launch;
    settings->rank.log = &context->log;
    r = mf_rank_start(&rank, &settings->rank, &err);

    if (r == 0 && rank.is_root)
        status = schedule(context, &rank, settings, open_source, words, n_words);
    if (r < 0)
        status = MPIFARM_EXIT_USAGE;
    if (r == 0 && !rank.is_root) {
        r = mf_rank_work(&rank, &err);
        status = r < 0 ? MPIFARM_EXIT_STOPPED : MPIFARM_EXIT_DONE;
    }
    if (r < 0 && is_silent(launch, r))
        let_rank_0_speak(launch);
    else if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    mf_rank_finish(&rank);
    return status;
}

int mf_farming_main(struct mf_context *context, const struct mf_subcommand *subcommand, int argc,
                    char **argv, mf_open_source_fn open_source, int min_words)
{
    struct mf_launch launch;
    struct settings settings;
    struct mf_error err = {0};
    int detected = mf_launch_detect(&launch, &err);
    bool speaks = launch.rank == 0;
    int first = detected < 0 ? detected : parse(&settings, subcommand, argc, argv, min_words, &err);

    if (first == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (first < 0) {
        if (speaks)
            mf_log_error(&context->log, "%s", err.text);
        let_rank_0_speak(&launch);
        return MPIFARM_EXIT_USAGE;
    }
    if (settings.is_dry_run)
        return speaks ? dry_run(context, &settings, open_source, argv + first, argc - first)
                      : MPIFARM_EXIT_DONE;
    return take_part(context, &launch, &settings, open_source, argv + first, argc - first);
}
