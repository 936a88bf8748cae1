/*
 * What the files of the subcommand batch share:
 *
 *     batch.c         the subcommand: checks, writes the script, submits it
 *     batch_words.c   whose the words of its command line are
 *     batch_script.c  the text of the script
 *     batch_chain.c   whether a chain of jobs goes on
 *     batch_submit.c  sbatch, and what is known of a job that was submitted
 */
#ifndef MF_CLI_BATCH_H
#define MF_CLI_BATCH_H

#include "base/buffer.h"
#include "base/error.h"
#include "cli/cli.h"

#include <stdbool.h>

/** The script's name in the run directory. */
#define MF_BATCH_SCRIPT "batch.sh"

/** In the run directory, the number of the job that was submitted last for it. */
#define MF_BATCH_JOB "job"

/** Bytes of the number of a job, with its NUL. */
#define MF_BATCH_JOB_SIZE 32

/** What a batch script asks, behind its option; see mf_batch_gets_on() and mf_batch_is_left(). */
enum mf_batch_question { MF_BATCH_NO_QUESTION, MF_BATCH_GETS_ON, MF_BATCH_IS_LEFT };

/**
 * The words of the command line; texts are those of argv, the lists are owned.
 *
 * @question, @run_dir   asked by a script, and about which run; nothing else counts then
 * @is_help              --help
 * @is_waiting, @is_requeued  what sbatch is told so: --wait, --requeue
 * @is_test, @is_parsable, @is_quiet, @is_behind  the same: --test-only, --parsable, --quiet,
 *          --dependency
 * @slurm   n_slurm words for sbatch, about the job
 * @submit  n_submit words for sbatch, about how it is submitted this time
 * @taken_by, @taken  an option of sbatch that took the name of a file for its value; NULL for none
 * @run     n_run words of "mpifarm run", that being the first: task files first
 */
struct mf_batch_words {
    enum mf_batch_question question;
    const char *run_dir;
    bool is_help, is_chain, is_dry_run, is_waiting, is_requeued;
    bool is_test, is_parsable, is_quiet, is_behind;
    const char **slurm, **submit;
    int n_slurm, n_submit;
    const char *taken_by, *taken;
    char **run;
    int n_run;
};

/** The option table of the subcommand, of which mf_batch_sort() knows the order. */
enum {
    MF_BATCH_OPTION_CHAIN,
    MF_BATCH_OPTION_DRY_RUN,
    MF_BATCH_OPTION_GETS_ON,
    MF_BATCH_OPTION_IS_LEFT,
    MF_BATCH_N_OPTIONS
};
extern const struct mf_option mf_batch_options[MF_BATCH_N_OPTIONS];

/**
 * mf_batch_sort() - tell apart what is for whom.
 *
 * Before "--": the options of batch itself, those of sbatch with their values, and task files.
 * Behind it: options of "mpifarm run", and task files.
 *
 * Returns 0, or -errno with a sentence. Whatever it returns, mf_batch_words_finish() frees.
 */
int mf_batch_sort(int argc, char **argv, struct mf_batch_words *words, struct mf_error *err);
void mf_batch_words_finish(struct mf_batch_words *words);

/**
 * A script, all borrowed.
 *
 * @cwd       where it was submitted, and runs
 * @program   path of mpifarm
 * @run_dir   as the user names it
 * @options   n_options words for "mpifarm run" before the files
 * @files     n_files task files
 */
struct mf_batch_script {
    const struct mf_batch_words *words;
    const char *cwd, *program, *run_dir;
    char **options;
    int n_options;
    char **files;
    int n_files;
};

/** Appends its text; failure shows in mf_buffer_status(). */
void mf_batch_script_put(const struct mf_batch_script *script, struct mf_buffer *buffer);

/**
 * mf_batch_submit() - give a script to sbatch.
 *
 * @path  of the script
 * @line  what sbatch --parsable says: the number of the job, and behind a ";" its cluster
 *
 * Returns 0, or -errno with a sentence, which is sbatch's own where it has one.
 */
int mf_batch_submit(const struct mf_batch_words *words, const char *path, char *line, size_t size,
                    struct mf_error *err);

/**
 * mf_batch_become_sbatch() - leave it all to sbatch: --wait, --test-only.
 *
 * @path  of the script, NULL for standard input
 *
 * Returns -errno with a sentence when that cannot be.
 */
int mf_batch_become_sbatch(const struct mf_batch_words *words, const char *path,
                           struct mf_error *err);

/** Notes in the run directory which job was submitted for it. Returns 0 or -errno. */
int mf_batch_note_job(const char *run_dir, const char *line);

/** Which job was submitted last is not known any more. */
void mf_batch_forget_job(const char *run_dir);

/** What squeue knows of a job. */
enum mf_batch_job_state {
    MF_BATCH_JOB_UNKNOWN, /* it cannot be asked */
    MF_BATCH_JOB_GONE,
    MF_BATCH_JOB_WAITS,
    MF_BATCH_JOB_RUNS,
};

/**
 * mf_batch_find_job() - the job that was submitted last for a run.
 *
 * Asks squeue once, for some seconds at most.
 *
 * @job  its number, filled in with a NUL
 *
 * Returns 0; -ENOENT if the run directory knows none; or another -errno.
 */
int mf_batch_find_job(const char *run_dir, char job[MF_BATCH_JOB_SIZE],
                      enum mf_batch_job_state *ret_state);

/** Jobs in a row that end no task before a chain is given up. */
#define MF_BATCH_IDLE_JOBS 3

/** The same of jobs that warned tasks of the end (--warn), which may have saved what they had. */
#define MF_BATCH_WARNED_JOBS 30

/**
 * mf_batch_gets_on() - as a job of a chain begins: whether those before it have got on.
 *
 * Counts, in a small file of the run directory, jobs in a row that have ended no task, and apart
 * those of them that warned tasks of their end.
 *
 * Returns 0; or -EOVERFLOW with a sentence when they were too many, which are forgotten then: who
 * submits it again means it. Another -errno with a sentence if that cannot be found out.
 */
int mf_batch_gets_on(const char *run_dir, struct mf_error *err);

/** A new chain: what an earlier one has counted is forgotten. */
void mf_batch_forget(const char *run_dir);

/**
 * mf_batch_is_left() - after a run: whether there is something for a job to go on with.
 *
 * Not where all tasks have ended, and not where somebody stopped the run, or --halt or bad input:
 * only where the time was up, or the run broke off.
 */
bool mf_batch_is_left(const char *run_dir);

#endif
