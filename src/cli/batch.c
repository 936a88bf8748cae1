/*
 * The subcommand batch: a job of Slurm for a run, and further ones until nothing is left. All that
 * can be wrong is looked at first; then the script is written into the run directory, and
 * submitted from there. A script asks it whether a chain goes on.
 */
#include "cli/batch.h"

#include "base/io.h"
#include "cli/farming_private.h"
#include "cli/subcommands.h"
#include "journal/rundir.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const struct mf_option mf_batch_options[MF_BATCH_N_OPTIONS] = {
    [MF_BATCH_OPTION_CHAIN] = {.name = "chain",
                               .help = "Go on in further jobs until nothing is left. Each submits "
                                       "the one that follows it as it begins, which waits for its "
                                       "end, however that comes."},
    [MF_BATCH_OPTION_DRY_RUN] = {.name = "dry-run", .help = "Print the script and submit nothing."},
    [MF_BATCH_OPTION_GETS_ON] = {.name = "gets-on",
                                 .value = "RUN",
                                 .complete = MF_COMPLETE_DIR,
                                 .help = "For scripts, as a job of a chain begins: count, in RUN, "
                                         "jobs in a row that have ended no task. Exit status 3 "
                                         "after three of them, or 30 that warned tasks of their "
                                         "end, else 0."},
    [MF_BATCH_OPTION_IS_LEFT] =
        {.name = "is-left",
         .value = "RUN",
         .complete = MF_COMPLETE_DIR,
         .help = "For scripts, behind a run: exit status 0 if the time was up, or the run broke "
                 "off, so that another job could go on with it; 1 if its tasks have ended, or "
                 "it was stopped by mpifarm stop, --halt, a barrier or bad input."},
};

/**
 * A batch on its way.
 *
 * @first  of words.run, the first task file
 */
struct batch {
    struct mf_batch_words words;
    struct mf_farming_settings settings;
    int first;
    struct mf_buffer text;
};

/* --- checks --- */

/* Runs of jobs go on with what there is: --resume is put in unless the user says something else. */
static int add_resume(struct batch *batch, struct mf_error *err)
{
    static char resume[] = "--resume";
    struct mf_batch_words *words = &batch->words;

    if (batch->settings.is_forced && words->is_chain)
        return mf_error_set(err, -EINVAL,
                            "--force would begin anew in each job of the chain; remove the run "
                            "directory instead");
    if (batch->settings.is_forced || batch->settings.scheduler.resume != MF_RESUME_NONE)
        return 0;
    memmove(words->run + 2, words->run + 1, (size_t)(words->n_run - 1) * sizeof(*words->run));
    words->run[1] = resume;
    words->n_run++;
    batch->first++;
    return 0;
}

/* No task file: one that stands behind an option of sbatch may have been taken for its value. */
static int tell_missing(const struct mf_batch_words *words, struct mf_error *err)
{
    if (words->taken_by)
        return mf_error_set(err, -EINVAL,
                            "nothing to run: \"%.100s\" was taken for the value of %.50s; put task "
                            "files first, as in \"mpifarm batch tasks.txt -N 4\"",
                            words->taken, words->taken_by);
    return mf_error_set(err, -EINVAL, "nothing to run; usage: mpifarm batch %s",
                        mf_subcommand_batch.synopsis);
}

static int check(struct batch *batch, struct mf_error *err)
{
    struct mf_batch_words *words = &batch->words;
    int r =
        mf_farming_parse(&batch->settings, &mf_subcommand_run, words->n_run, words->run, 0, err);

    if (r < 0)
        return r;
    batch->first = r;
    if (batch->first == words->n_run)
        return tell_missing(words, err);
    if (batch->settings.is_dry_run)
        return mf_error_set(err, -EINVAL, "--dry-run stands before \"--\"");
    r = add_resume(batch, err);
    if (r < 0)
        return r;
    return mf_farming_check(&batch->settings, words->run + batch->first,
                            words->n_run - batch->first, err);
}

/* --- the script --- */

static int write_text(struct batch *batch, struct mf_error *err)
{
    char cwd[PATH_MAX], program[PATH_MAX] = "";
    struct mf_batch_script script = {
        .words = &batch->words,
        .cwd = cwd,
        .program = program,
        .run_dir = batch->settings.run_dir,
        .options = batch->words.run + 1,
        .n_options = batch->first - 1,
        .files = batch->words.run + batch->first,
        .n_files = batch->words.n_run - batch->first,
    };
    int r;

    if (!getcwd(cwd, sizeof(cwd)))
        return mf_error_set(err, -errno, "the current directory is gone: %s", strerror(errno));
    if (strchr(cwd, '\n'))
        return mf_error_set(err, -EINVAL, "the name of the current directory has a newline in it");
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        return mf_error_set(err, -errno, "/proc/self/exe: %s", strerror(errno));
    mf_batch_script_put(&script, &batch->text);
    r = mf_buffer_status(&batch->text);
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

static int write_file(const char *path, const struct mf_buffer *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0700);
    int r = fd < 0 ? -errno : mf_write_all(fd, text->data, text->size);

    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

/* Makes the run directory if need be. Whoever runs there now is not to lose its script. */
static int store(const struct batch *batch, char path[PATH_MAX], struct mf_error *err)
{
    const char *run_dir = batch->settings.run_dir;
    struct mf_rundir rundir;
    int r = mf_rundir_open(&rundir, run_dir, err);

    if (r == 0 && snprintf(path, PATH_MAX, "%s/" MF_BATCH_SCRIPT, run_dir) >= PATH_MAX)
        r = mf_error_set(err, -ENAMETOOLONG, "%s: %s", run_dir, strerror(ENAMETOOLONG));
    if (r == 0) {
        mf_batch_forget(run_dir);
        r = write_file(path, &batch->text);
        if (r < 0)
            mf_error_set(err, r, "%s: it cannot be written: %s%s", path, strerror(-r),
                         mf_rundir_advice(r));
    }
    mf_rundir_finish(&rundir);
    return r;
}

/* --- submitting --- */

/* As sbatch would, with --quiet and --parsable; else what to do with it, too. */
static void tell(const struct batch *batch, const char *line)
{
    const struct mf_batch_words *words = &batch->words;
    const char *run_dir = batch->settings.run_dir;
    int n = (int)strcspn(line, ";");

    if (words->is_parsable)
        printf("%s\n", line);
    if (words->is_parsable || words->is_quiet)
        return;
    printf("Submitted batch job %.*s%s\n", n, line,
           words->is_chain ? ", and others will follow until nothing is left" : "");
    printf("  squeue -j %-14.*s whether it has begun\n", n, line);
    printf("  mpifarm status %-9s how it stands\n", run_dir);
    printf("  scancel %-16.*s ends it%s; submitted again, it goes on\n", n, line,
           words->is_chain ? ", and the chain" : "");
}

/* Of two jobs for one run the second would be refused as it begins, unless it waits for the first.
 */
static int check_others(const struct batch *batch, struct mf_error *err)
{
    enum mf_batch_job_state state;
    char job[MF_BATCH_JOB_SIZE];

    if (batch->words.is_behind || mf_batch_find_job(batch->settings.run_dir, job, &state) < 0 ||
        state < MF_BATCH_JOB_WAITS)
        return 0;
    return mf_error_set(err, -EBUSY,
                        "%s: job %s for it %s already: end it first (scancel %s), or name another "
                        "run directory behind \"--\" (--run-dir)",
                        batch->settings.run_dir, job,
                        state == MF_BATCH_JOB_RUNS ? "runs" : "is in the queue", job);
}

/* The script as standard input, so that nothing is left of it. */
static int test_only(const struct batch *batch, struct mf_error *err)
{
    int fd = memfd_create("batch", MFD_CLOEXEC);
    int r = fd < 0 ? -errno : mf_write_all(fd, batch->text.data, batch->text.size);

    if (r == 0 && (lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, STDIN_FILENO) < 0))
        r = -errno;
    if (r < 0)
        return mf_error_set(err, r, "the script cannot be given to sbatch: %s", strerror(-r));
    return mf_batch_become_sbatch(&batch->words, NULL, err);
}

static int submit(const struct batch *batch, struct mf_error *err)
{
    char path[PATH_MAX], line[256];
    int r = check_others(batch, err);

    if (r == 0)
        r = store(batch, path, err);
    if (r == 0 && batch->words.is_waiting) {
        /* Nobody will note the number of this one, and that of the last would mislead. */
        mf_batch_forget_job(batch->settings.run_dir);
        return mf_batch_become_sbatch(&batch->words, path, err);
    }
    if (r == 0)
        r = mf_batch_submit(&batch->words, path, line, sizeof(line), err);
    if (r < 0)
        return r;
    /* The job is there; that "mpifarm status" does not know of it until it begins is no failure. */
    (void)mf_batch_note_job(batch->settings.run_dir, line);
    tell(batch, line);
    return 0;
}

/* --- all of it --- */

static int carry_out(struct batch *batch, struct mf_error *err)
{
    int r = check(batch, err);

    if (r == 0)
        r = write_text(batch, err);
    if (r < 0)
        return r;
    if (batch->words.is_dry_run) {
        fwrite(batch->text.data, 1, batch->text.size, stdout);
        return 0;
    }
    return batch->words.is_test ? test_only(batch, err) : submit(batch, err);
}

static int answer(struct mf_context *context, const struct mf_batch_words *words)
{
    struct mf_error err;

    if (words->question == MF_BATCH_IS_LEFT)
        return mf_batch_is_left(words->run_dir) ? MPIFARM_EXIT_DONE : MPIFARM_EXIT_FAILED;
    if (mf_batch_gets_on(words->run_dir, &err) == 0)
        return MPIFARM_EXIT_DONE;
    mf_log_error(&context->log, "%s", err.text);
    return MPIFARM_EXIT_STOPPED;
}

static int run_batch(struct mf_context *context, int argc, char **argv)
{
    struct batch batch = {.first = 0};
    struct mf_error err = {0};
    int status = MPIFARM_EXIT_DONE;
    int r = mf_batch_sort(argc, argv, &batch.words, &err);

    if (r == 0 && batch.words.is_help)
        mf_usage_subcommand(&mf_subcommand_batch, mf_usage_columns(stdout), stdout);
    else if (r == 0 && batch.words.question != MF_BATCH_NO_QUESTION)
        status = answer(context, &batch.words);
    else if (r == 0)
        r = carry_out(&batch, &err);
    if (r == -ECANCELED)
        r = 0;
    if (r < 0) {
        mf_log_error(&context->log, "%s", err.text);
        status = MPIFARM_EXIT_USAGE;
    }
    mf_buffer_finish(&batch.text);
    mf_batch_words_finish(&batch.words);
    return status;
}

const struct mf_subcommand mf_subcommand_batch = {
    .name = "batch",
    .synopsis = "[OPTION...] FILE... [SBATCH-OPTION...] [-- RUN-OPTION...]",
    .summary = "run task files in a job of Slurm, or in a chain of jobs",
    .description =
        "Writes a batch script that runs the FILEs on all nodes of a job, with one rank on each, "
        "and submits it. The script stays in the run directory as batch.sh, and may be submitted "
        "again: the run goes on where it stopped, as with \"mpifarm run --resume\". With --wait it "
        "ends "
        "with the job, and as that.\n"
        "\n"
        "Options that are not listed below are those of sbatch, such as -N, -t, -p and "
        "--output; behind \"--\" stand options of \"mpifarm run\". Whole nodes are taken unless -c "
        "says how many CPUs of each node, or -n how many in all, wherever Slurm finds them. The "
        "FILEs are checked before anything is submitted; the job "
        "runs in the current directory.\n"
        "\n"
        "A chain (--chain) ends when all tasks have ended; when its job is cancelled; when the run "
        "is stopped by mpifarm stop, --halt, a barrier or bad input; and when three jobs in a row "
        "have ended no task, or 30 whose tasks were warned to save what they have (--warn). It "
        "goes on when the time of a job is up, when a job is preempted or "
        "killed, and when its nodes crash: but if that is the node of the script, the first, only "
        "at the time limit.",
    .options = mf_batch_options,
    .n_options = MF_BATCH_N_OPTIONS,
    .operands = MF_COMPLETE_FILE,
    .examples = "On four nodes, for at most twelve hours.\n"
                "mpifarm batch tasks.txt -N 4 -t 12:00:00\n"
                "The same until all is done, and each task three times if need be.\n"
                "mpifarm batch --chain tasks.txt -N 4 -t 12:00:00 -- --retries 3\n"
                "What would be submitted?\n"
                "mpifarm batch --dry-run tasks.txt -N 4",
    .run = run_batch,
};
