/*
 * A run of the command line where it is scheduled: what rank 0, or the rank that takes over from
 * it, opens for it, checks and closes. One thread.
 */
#include "cli/farming_private.h"

#include "cli/ending.h"
#include "cli/invocation.h"
#include "cli/streams.h"
#include "cli/terminal.h"
#include "exec/modules.h"
#include "journal/rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* Says what --resume did not find there. Who goes on with a run by itself found it running. */
static void tell_missing(const struct run *run)
{
    const struct mf_scheduler_config *config = &run->settings->scheduler;
    uint64_t n = mf_journal_missing(run->journal);

    if (n > 0)
        mf_log_warning(&run->context->log,
                       "%s: the journal has lost its end, with %" PRIu64 " of the ended tasks that "
                       "joblog.tsv tells of; they are run again",
                       run->settings->run_dir, n);
    else if (mf_journal_next_row(run->journal) == 1 && !config->is_takeover &&
             !config->is_continued)
        mf_log_info(&run->context->log,
                    "%s: there is nothing to continue: no task has ended there; the run begins",
                    run->settings->run_dir);
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
    if (mode == MF_JOURNAL_CONTINUE)
        tell_missing(run);
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

static int open_tasks(struct run *run, const struct mf_farming_input *input, struct mf_error *err)
{
    int r;

    run->options = mf_farming_source_options(run->settings, &run->functions);
    r = input->open((const char *const *)input->words, (uint32_t)input->n_words, &run->options,
                    &run->source, err);
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

static int open_run(struct run *run, struct mf_rank *rank, const struct mf_farming_input *input,
                    struct mf_error *err)
{
    struct mf_farming_settings *settings = run->settings;
    int r;

    r = mf_farming_check_streams(err);
    if (r < 0)
        return r;
    r = open_tasks(run, input, err);
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

int mf_farming_schedule(struct mf_context *context, struct mf_rank *rank,
                        struct mf_farming_settings *settings, const struct mf_farming_input *input)
{
    struct run run = {.context = context,
                      .settings = settings,
                      .functions = {.check = mf_modules_check, .arg = rank->modules}};
    struct mf_error err = {0};
    enum mf_run_result result;
    int r, status = MPIFARM_EXIT_USAGE;

    mf_streams_take();
    r = open_run(&run, rank, input, &err);
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

int mf_farming_take_over(struct mf_context *context, struct mf_rank *rank,
                         const struct mf_farming_settings *settings,
                         const struct mf_farming_input *input)
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
    return mf_farming_schedule(context, rank, &own, input);
}
