/*
 * Running a farm from the command line: run directory, and the parts of a rank
 * put together. Every rank comes through here with the same words; only rank 0
 * reads tasks and speaks.
 */
#include "cli/farming_private.h"
#include "cli/walltime.h"

#include "base/command.h"
#include "cli/ending.h"
#include "cli/invocation.h"
#include "cli/supervise.h"
#include "cli/terminal.h"
#include "exec/modules.h"
#include "journal/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

/* What workers run once is no command of the farm: it stands there as comments. */
static int print_hooks(struct mf_source *source, struct mf_error *err)
{
    struct mf_buffer lines = {0};
    const struct mf_hook *hook;
    int r;

    for (size_t i = 0; (hook = mf_source_hook(source, i)); i++) {
        mf_buffer_print(&lines, "# PERENGINE %s: ", hook->is_stop ? "STOP" : "START");
        mf_command_print(&hook->command, &lines);
        mf_buffer_put_u8(&lines, '\n');
    }
    r = mf_buffer_status(&lines);
    if (r == 0 && lines.size > 0 && fwrite(lines.data, 1, lines.size, stdout) < lines.size)
        r = -errno;
    mf_buffer_finish(&lines);
    return r < 0 ? mf_error_set(err, r, "cannot print the commands: %s", strerror(-r)) : 0;
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

/* What there is to know of the run for those who read its tasks. */
static struct mf_source_options source_options(const struct mf_farming_settings *settings,
                                               const struct mf_function_names *functions)
{
    const char *slash = strrchr(settings->run_dir, '/');

    return (struct mf_source_options){
        .functions = functions->arg ? functions : NULL,
        .format = settings->format,
        .countables = settings->resources.items,
        .n_countables = settings->resources.n,
        .run_name = slash ? slash + 1 : settings->run_dir,
    };
}

/* Opens the tasks, and calls fn with them: none is run. */
static int look_at_tasks(const struct mf_farming_settings *settings, mf_open_source_fn open_source,
                         char **words, int n_words,
                         int (*fn)(struct mf_source *source, struct mf_error *err),
                         struct mf_error *err)
{
    struct mf_function_names functions = {.check = mf_modules_check};
    struct mf_source_options options;
    struct mf_modules *modules = NULL;
    struct mf_source *source = NULL;
    int r = 0;

    if (settings->rank.n_modules > 0)
        r = mf_modules_load(settings->modules, settings->rank.n_modules, false, &modules, err);
    functions.arg = modules;
    options = source_options(settings, &functions);
    if (r == 0)
        r = open_source((const char *const *)words, (uint32_t)n_words, &options, &source, err);
    if (r == 0)
        r = fn(source, err);
    mf_source_close(source);
    mf_modules_destroy(modules);
    return r;
}

static int print_tasks(struct mf_source *source, struct mf_error *err)
{
    int r = print_hooks(source, err);

    return r < 0 ? r : print_commands(source, err);
}

static int dry_run(struct mf_context *context, const struct mf_farming_settings *settings,
                   mf_open_source_fn open_source, char **words, int n_words)
{
    struct mf_error err = {0};
    int r = look_at_tasks(settings, open_source, words, n_words, print_tasks, &err);

    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

static int refuse_pipe(struct mf_error *err)
{
    return mf_error_set(err, -EINVAL,
                        "a job cannot read standard input and other pipes of where it is "
                        "submitted: put the tasks into a file");
}

static int refuse_stream(struct mf_source *source, struct mf_error *err)
{
    struct mf_source_summary summary;

    mf_source_summarize(source, &summary);
    return summary.is_counted ? 0 : refuse_pipe(err);
}

int mf_farming_check(const struct mf_farming_settings *settings, char **files, int n_files,
                     struct mf_error *err)
{
    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i], "-") == 0)
            return refuse_pipe(err);
    return look_at_tasks(settings, mf_source_open_files, files, n_files, refuse_stream, err);
}

/* --- the run --- */

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
    case MF_RUN_SUPERSEDED:
        break;
    }
    return MPIFARM_EXIT_STOPPED;
}

/**
 * What rank 0 has open for a run.
 *
 * @given_output_dir  as the user names it; output_dir is its name from anywhere, "" for none
 * @run_dir           name of the run directory from anywhere, whether it exists or not
 * @hindrance         why the tasks cannot be read again by whoever takes over
 */
struct run {
    struct mf_context *context;
    struct mf_farming_settings *settings;
    const char *given_output_dir;
    struct mf_function_names functions;
    struct mf_source_options options;
    struct mf_journal *journal;
    struct mf_source *source;
    struct mf_progress *progress;
    struct mf_error hindrance;
    char run_dir[PATH_MAX];
    char output_dir[PATH_MAX];
};

/* Makes the directory for stored output, and its name one that holds from anywhere. */
static int make_output_dir(struct run *run, struct mf_error *err)
{
    const char *dir = run->given_output_dir;
    struct stat info;

    if (!dir)
        return 0;
    if (mkdir(dir, 0777) < 0 && errno != EEXIST)
        return mf_error_set(err, -errno, "%s: cannot make the directory: %s", dir, strerror(errno));
    if (!realpath(dir, run->output_dir) || stat(run->output_dir, &info) < 0)
        return mf_error_set(err, -errno, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(info.st_mode))
        return mf_error_set(err, -ENOTDIR, "%s: is a file, and --output needs a directory", dir);
    if (access(run->output_dir, W_OK | X_OK) < 0)
        return mf_error_set(err, -errno, "%s: %s", dir, strerror(errno));
    return 0;
}

static int check_joblog(const struct mf_farming_settings *settings, struct mf_error *err)
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
static int note_output_dir(struct run *run, struct mf_error *err)
{
    char earlier[PATH_MAX];
    int r = mf_journal_get_text(run->journal, "output", earlier, sizeof(earlier), err);

    if (r == 0 && strcmp(earlier, run->output_dir) != 0)
        return mf_error_set(err, -EINVAL, "%s: this run was begun %s%s; continue it so",
                            run->settings->run_dir,
                            earlier[0] ? "with --output " : "without --output", earlier);
    if (r < 0 && r != -ENOENT)
        return r;
    return r == 0 ? 0 : mf_journal_set_text(run->journal, "output", run->output_dir, err);
}

/* What is taken over must be there, and nobody must have it. */
static int check_run_dir(const struct mf_farming_settings *settings, struct mf_error *err)
{
    int r = mf_rundir_is_held(settings->run_dir);

    if (r < 0)
        return mf_error_set(err, r, "%s: %s", settings->run_dir, strerror(-r));
    return r > 0 ? mf_error_set(err, -EBUSY, "%s: in use", settings->run_dir) : 0;
}

/*
 * Opening the journal replaces what an earlier run has left, so that all else
 * that can be wrong is looked at before.
 */
static int open_journal(void *arg, struct mf_journal **ret_journal, struct mf_error *err)
{
    struct run *run = arg;
    const struct mf_farming_settings *settings = run->settings;
    enum mf_journal_mode mode = settings->is_forced ? MF_JOURNAL_REPLACE : MF_JOURNAL_NEW;
    int r = make_output_dir(run, err);

    if (settings->scheduler.resume != MF_RESUME_NONE)
        mode = MF_JOURNAL_CONTINUE;
    if (r == 0 && settings->scheduler.is_takeover)
        r = check_run_dir(settings, err);
    if (r == 0)
        r = check_joblog(settings, err);
    if (r == 0)
        r = mf_journal_open(settings->run_dir, mode, &run->journal, err);
    if (r == 0)
        r = note_output_dir(run, err);
    if (r == 0)
        r = mf_invocation_note(run->journal, run->context->argc - 1, run->context->argv + 1, err);
    if (r < 0)
        return r;
    mf_ending_note_begun();
    *ret_journal = run->journal;
    return 0;
}

/* The name from anywhere of a directory that may be missing. Where its parent is missing too, it
 * cannot be made, which is told when it is tried. */
static int find_run_dir(struct run *run, struct mf_error *err)
{
    const char *dir = run->settings->run_dir;
    char parent_copy[PATH_MAX], name_copy[PATH_MAX], parent[PATH_MAX];
    int n;

    if (realpath(dir, run->run_dir))
        return 0;
    if (strlen(dir) >= PATH_MAX)
        return mf_error_set(err, -ENAMETOOLONG, "%s: %s", dir, strerror(ENAMETOOLONG));
    strcpy(parent_copy, dir);
    strcpy(name_copy, dir);
    if (!realpath(dirname(parent_copy), parent))
        return 0;
    n = snprintf(run->run_dir, sizeof(run->run_dir), "%s/%s", parent, basename(name_copy));
    if (n >= PATH_MAX)
        return mf_error_set(err, -ENAMETOOLONG, "%s: %s", dir, strerror(ENAMETOOLONG));
    return 0;
}

/* Who takes over has to read the tasks again. */
static int check_source(const struct run *run, struct mf_error *err)
{
    struct mf_source_summary summary;

    mf_source_summarize(run->source, &summary);
    if (!run->settings->scheduler.has_standby || summary.is_counted)
        return 0;
    return mf_error_set(err, -EINVAL,
                        "--standby reads the tasks again, which standard input and other pipes do "
                        "not allow: put them into a file");
}

static int open_tasks(struct run *run, mf_open_source_fn open_source, char **words, int n_words,
                      struct mf_error *err)
{
    int r;

    run->options = source_options(run->settings, &run->functions);
    r = open_source((const char *const *)words, (uint32_t)n_words, &run->options, &run->source,
                    err);
    return r == 0 ? check_source(run, err) : r;
}

/*
 * To take over a run that nobody can go on with is to end it in order. Returns 0; -EAGAIN when it
 * is for others to try first; or another -errno with a sentence.
 */
static int open_no_tasks(struct run *run, struct mf_rank *rank, struct mf_error *err)
{
    const char *const none[] = {"/dev/null"};

    if (mf_rank_pass(rank))
        return -EAGAIN;
    run->hindrance = *err;
    run->settings->scheduler.hindrance = run->hindrance.text;
    mf_source_close(run->source);
    run->source = NULL;
    return mf_source_open_files(none, 1, &run->options, &run->source, err);
}

static int open_run(struct run *run, struct mf_rank *rank, mf_open_source_fn open_source,
                    char **words, int n_words, struct mf_error *err)
{
    struct mf_farming_settings *settings = run->settings;
    int r;

    r = mf_farming_check_streams(err);
    if (r < 0)
        return r;
    r = open_tasks(run, open_source, words, n_words, err);
    if (r < 0 && settings->scheduler.is_takeover)
        r = open_no_tasks(run, rank, err);
    if (r == 0 && !settings->scheduler.is_takeover)
        r = mf_ending_check(settings->run_dir, err);
    if (r == 0)
        r = find_run_dir(run, err);
    if (r < 0)
        return r;
    r = mf_progress_create(stderr, settings->progress, mf_terminal_columns(), &run->progress);
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

/* Whoever supervises this knows the status by then, should this process die while ranks leave. */
static void note_over(void *arg, enum mf_run_result result)
{
    mf_ending_note_over(exit_status(result));
}

/* What the scheduler is to use of it. */
static void hand_over(struct run *run)
{
    struct mf_scheduler_config *config = &run->settings->scheduler;

    run->given_output_dir = config->output_dir;
    config->source = run->source;
    config->open_journal = open_journal;
    config->open_arg = run;
    config->over = note_over;
    config->progress = run->progress;
    config->run_dir = run->run_dir;
    config->shown_run_dir = run->settings->run_dir;
    config->output_dir = config->output_dir ? run->output_dir : NULL;
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

/* Returns the exit status; or -errno if a run could not be taken over. */
static int schedule(struct mf_context *context, struct mf_rank *rank,
                    struct mf_farming_settings *settings, mf_open_source_fn open_source,
                    char **words, int n_words)
{
    struct run run = {.context = context,
                      .settings = settings,
                      .functions = {.check = mf_modules_check, .arg = rank->modules}};
    struct mf_error err = {0};
    enum mf_run_result result;
    int r, status = MPIFARM_EXIT_USAGE;

    r = open_run(&run, rank, open_source, words, n_words, &err);
    if (r == 0) {
        context->log.before = mf_progress_step_aside;
        context->log.before_arg = run.progress;
        hand_over(&run);
        r = mf_rank_schedule(rank, &settings->scheduler, settings->is_quiet ? NULL : stderr,
                             &result, &err);
    }
    if (r == 0)
        status = exit_status(result);
    else if ((r != -EBUSY && r != -EAGAIN) || !settings->scheduler.is_takeover)
        mf_log_error(&context->log, "%s", err.text);
    status = close_run(context, &run, status);
    return r < 0 && settings->scheduler.is_takeover ? r : status;
}

/* As schedule(), or -errno: this rank stays a worker. */
static int take_over(struct mf_context *context, struct mf_rank *rank,
                     const struct mf_farming_settings *settings, mf_open_source_fn open_source,
                     char **words, int n_words)
{
    struct mf_farming_settings own = *settings;
    struct mf_error err;
    int r = check_run_dir(settings, &err);

    if (r < 0) {
        mf_rank_try_later(rank);
        return r;
    }
    own.scheduler.is_takeover = true;
    own.scheduler.resume = MF_RESUME_UNFINISHED;
    mf_walltime_find(&own.scheduler, &context->log);
    return schedule(context, rank, &own, open_source, words, n_words);
}

/* Tells who supervises this. Returns the status to exit with. */
static int note_end(const struct mf_rank *rank, int status)
{
    if (rank->is_superseded && mf_ending_is_awaited())
        return MPIFARM_EXIT_DONE;
    return mf_ending_note(status, rank->remote && rank->remote->has_losses);
}

/* The same of a mistake of the user, which another start would only repeat. */
static int note_mistake(const struct mf_launch *launch)
{
    return launch->rank == 0 ? mf_ending_note(MPIFARM_EXIT_USAGE, false) : MPIFARM_EXIT_USAGE;
}

/* A worker, until it has to take over. */
static int work(struct mf_context *context, struct mf_rank *rank,
                const struct mf_farming_settings *settings, mf_open_source_fn open_source,
                char **words, int n_words, struct mf_error *err)
{
    int r;

    while ((r = mf_rank_work(rank, err)) == MF_RANK_SUCCEEDS) {
        int status = take_over(context, rank, settings, open_source, words, n_words);

        if (status >= 0)
            return note_end(rank, status);
    }
    return r < 0 ? r : MPIFARM_EXIT_DONE;
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

/* Options that have no effect with such a launcher, or without any. */
static void warn_of_no_effect(const struct mf_log *log, const struct mf_launch *launch,
                              const struct mf_scheduler_config *config)
{
    if (config->has_standby && launch->n_copies == 1)
        mf_log_warning(log, "--standby has no effect: there is no other rank that could take over; "
                            "--np N starts some");
    if (config->respawn > 0 && !mf_supervise_is_by_mpirun())
        mf_log_warning(log, "--respawn has no effect: only mpirun can start another worker, as "
                            "with --np N");
}

/* Ranks that were started to go on with a run do what this command line says of what is left. */
static void go_on_if_renewed(struct mf_farming_settings *settings)
{
    if (!mf_ending_is_renewed(&settings->scheduler.end_ns))
        return;
    settings->is_forced = false;
    settings->scheduler.resume = MF_RESUME_UNFINISHED;
    settings->scheduler.is_continued = true;
}

static int take_part(struct mf_context *context, const struct mf_launch *launch,
                     struct mf_farming_settings *settings, mf_open_source_fn open_source,
                     char **words, int n_words)
{
    struct mf_rank rank = {0};
    struct mf_error err = {0};
    int status = MPIFARM_EXIT_DONE;
    int r;

    go_on_if_renewed(settings);
    if (launch->rank == 0)
        mf_walltime_find(&settings->scheduler, &context->log);
    settings->rank.launch = launch;
    settings->rank.log = &context->log;
    settings->rank.is_in_job = getenv("SLURM_JOB_ID") != NULL;
    settings->rank.hears_mpirun = mf_ending_is_awaited() && getenv("OMPI_COMM_WORLD_SIZE");
    r = mf_rank_start(&rank, &settings->rank, &err);

    if (r == 0 && rank.is_root && launch->n_copies > 1 && mf_supervise_is_advised())
        mf_log_info(&context->log,
                    "mpirun ends all ranks when one dies; with --enable-recovery, "
                    "or as mpifarm %s --np N, the others go on",
                    settings->name);
    if (r == 0 && rank.is_root)
        warn_of_no_effect(&context->log, launch, &settings->scheduler);
    if (r == 0 && rank.is_root && settings->rank.is_inline &&
        mf_policy_preempts(settings->scheduler.farm.policy))
        mf_log_info(
            &context->log,
            "--policy %s suspends commands; with --no-isolation functions run on to their end",
            settings->scheduler.farm.policy->name);
    if (r == 0 && rank.is_root)
        status = note_end(&rank, schedule(context, &rank, settings, open_source, words, n_words));
    if (r < 0)
        status = r == -ELIBACC ? note_mistake(launch) : MPIFARM_EXIT_USAGE;
    if (r == 0 && !rank.is_root) {
        r = work(context, &rank, settings, open_source, words, n_words, &err);
        status = r < 0 ? MPIFARM_EXIT_STOPPED : r;
    }
    if (r < 0 && is_silent(launch, r))
        let_rank_0_speak(launch);
    else if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    mf_rank_finish(&rank, status);
    return status;
}

/* A usage error: of several ranks the first says it. */
static int refuse(struct mf_context *context, const struct mf_launch *launch,
                  const struct mf_error *err)
{
    if (launch->rank == 0)
        mf_log_error(&context->log, "%s", err->text);
    let_rank_0_speak(launch);
    return note_mistake(launch);
}

int mf_farming_main(struct mf_context *context, const struct mf_subcommand *subcommand, int argc,
                    char **argv, mf_open_source_fn open_source, int min_words)
{
    struct mf_launch launch;
    struct mf_farming_settings settings;
    struct mf_error err = {0};
    int r, status, detected = mf_launch_detect(&launch, &err);
    int first = detected < 0 ? detected
                             : mf_farming_parse(&settings, subcommand, argc, argv, min_words, &err);

    if (first == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (first < 0)
        return refuse(context, &launch, &err);
    argv += first;
    argc -= first;
    if (settings.is_dry_run)
        return launch.rank == 0 ? dry_run(context, &settings, open_source, argv, argc)
                                : MPIFARM_EXIT_DONE;
    r = mf_farming_launch(context, &settings, subcommand, &launch, argv, argc, &status, &err);
    if (r < 0)
        return refuse(context, &launch, &err);
    if (r > 0)
        return status;
    settings.name = subcommand->name;
    if (settings.is_quiet)
        context->log.level = MF_LOG_WARNING;
    return take_part(context, &launch, &settings, open_source, argv, argc);
}
