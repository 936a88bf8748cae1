/*
 * The subcommand batch: a job of Slurm for a run, and further ones until nothing is left. All that
 * can be wrong is looked at first; then the script is written into the run directory, and
 * submitted from there. A script asks it whether a chain goes on.
 */
#include "cli/batch.h"

#include "base/clock.h"
#include "base/io.h"
#include "cli/farming_private.h"
#include "cli/subcommands.h"
#include "journal/rundir.h"
#include "runtime/query.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A controller that is busy takes its time. */
#define SBATCH_TIMEOUT_NS (300 * MF_NS_PER_S)

/* Some clusters have much to say to who submits a job; it would break off at a pipe that is shut.
 */
#define SBATCH_TEXT_BYTES (64 * 1024)

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
                                         "after three of them, else 0."},
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

static int check(struct batch *batch, struct mf_error *err)
{
    struct mf_batch_words *words = &batch->words;
    int r =
        mf_farming_parse(&batch->settings, &mf_subcommand_run, words->n_run, words->run, 0, err);

    if (r < 0)
        return r;
    batch->first = r;
    if (batch->first == words->n_run)
        return mf_error_set(err, -EINVAL, "nothing to run; usage: mpifarm batch %s",
                            mf_subcommand_batch.synopsis);
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

/* --- sbatch --- */

/* What sbatch says, without its name before each line; in one line. */
static void join_lines(char *text)
{
    static const char *const names[] = {"sbatch: ", "error: "};
    char *to = text, *from = text;

    while (*from) {
        size_t length;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (strncmp(from, names[i], strlen(names[i])) == 0)
                from += strlen(names[i]);
        length = strcspn(from, "\n");
        if (to > text && length > 0) {
            *to++ = ';';
            *to++ = ' ';
        }
        memmove(to, from, length);
        to += length;
        from += length + (from[length] == '\n');
    }
    *to = '\0';
}

/* The line of the number, "12" or "12;cluster", among what else sbatch says. */
static bool find_job(const char *text, char *job, size_t size)
{
    for (; *text; text += strcspn(text, "\n") + (text[strcspn(text, "\n")] == '\n')) {
        size_t length = strspn(text, "0123456789");

        if (length > 0 && length < size && strchr(";\n", text[length])) {
            memcpy(job, text, length);
            job[length] = '\0';
            return true;
        }
    }
    return false;
}

static int submit(const char *path, char *job, size_t size, struct mf_error *err)
{
    const char *const words[] = {"sbatch", "--parsable", path, NULL};
    char text[SBATCH_TEXT_BYTES];
    int r = mf_query(words, SBATCH_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, text, sizeof(text));

    if (r < 0 && r != -ECHILD)
        return mf_error_set(err, r, "sbatch cannot be asked: %s%s", strerror(-r),
                            r == -ENOENT ? "; is Slurm installed here?" : "");
    if (r == 0 && find_job(text, job, size))
        return 0;
    join_lines(text);
    return mf_error_set(err, -ECHILD, "sbatch has not submitted %s: %s", path,
                        text[0] ? text : "it does not say why");
}

/* sbatch waits for the job's end, however long that takes, and tells how it ended. */
static int submit_and_wait(const char *path, struct mf_error *err)
{
    const char *const words[] = {"sbatch", path, NULL};

    execvp(words[0], (char *const *)words);
    return mf_error_set(err, -errno, "sbatch cannot be run: %s%s", strerror(errno),
                        errno == ENOENT ? "; is Slurm installed here?" : "");
}

static void tell(const struct batch *batch, const char *job)
{
    const char *run_dir = batch->settings.run_dir;

    printf("Submitted batch job %s%s\n", job,
           batch->words.is_chain ? ", and others will follow until nothing is left" : "");
    printf("  squeue -j %-14s whether it has begun\n", job);
    printf("  mpifarm status %-9s how it stands\n", run_dir);
    printf("  scancel %-16s ends it%s; submitted again, it goes on\n", job,
           batch->words.is_chain ? ", and the chain" : "");
}

/* --- all of it --- */

static int carry_out(struct batch *batch, struct mf_error *err)
{
    char path[PATH_MAX], job[32];
    int r = check(batch, err);

    if (r == 0)
        r = write_text(batch, err);
    if (r < 0)
        return r;
    if (batch->words.is_dry_run) {
        fwrite(batch->text.data, 1, batch->text.size, stdout);
        return 0;
    }
    r = store(batch, path, err);
    if (r == 0 && batch->words.is_waiting)
        return submit_and_wait(path, err);
    if (r == 0)
        r = submit(path, job, sizeof(job), err);
    if (r == 0)
        tell(batch, job);
    return r;
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
        "or -n says how much of them. The FILEs are checked before anything is submitted; the job "
        "runs in the current directory.\n"
        "\n"
        "A chain (--chain) ends when all tasks have ended; when its job is cancelled; when the run "
        "is stopped by mpifarm stop, --halt, a barrier or bad input; and when three jobs in a row "
        "have ended no task. It goes on when the time of a job is up, when a job is preempted or "
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
