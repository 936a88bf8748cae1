/*
 * sbatch, and what is known of a job that was submitted: its number is noted in the run directory,
 * and squeue is asked about it.
 */
#include "cli/batch.h"

#include "base/clock.h"
#include "base/io.h"
#include "runtime/query.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A controller that is busy takes its time. */
#define SBATCH_TIMEOUT_NS (300 * MF_NS_PER_S)
#define SQUEUE_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Some clusters have much to say to who submits a job; it would break off at a pipe that is shut.
 */
#define SBATCH_TEXT_BYTES (64 * 1024)

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
static bool find_line(const char *text, char *line, size_t size)
{
    size_t length;

    for (; *text; text += length + (text[length] == '\n')) {
        size_t n = strspn(text, "0123456789");

        length = strcspn(text, "\n");
        if (n > 0 && n < MF_BATCH_JOB_SIZE && length < size && strchr(";\n", text[n])) {
            memcpy(line, text, length);
            line[length] = '\0';
            return true;
        }
    }
    return false;
}

/* Owned by the caller; NULL where there is no memory. */
static const char **make_command(const struct mf_batch_words *words, const char *way,
                                 const char *path)
{
    const char **command = calloc((size_t)words->n_submit + 4, sizeof(*command));
    int n = 0;

    if (!command)
        return NULL;
    command[n++] = "sbatch";
    if (way)
        command[n++] = way;
    for (int i = 0; i < words->n_submit; i++)
        command[n++] = words->submit[i];
    command[n] = path;
    return command;
}

int mf_batch_submit(const struct mf_batch_words *words, const char *path, char *line, size_t size,
                    struct mf_error *err)
{
    const char **command = make_command(words, "--parsable", path);
    char text[SBATCH_TEXT_BYTES];
    int r;

    if (!command)
        return mf_error_set(err, -ENOMEM, "out of memory");
    r = mf_query(command, SBATCH_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, text, sizeof(text));
    free(command);
    if (r < 0 && r != -ECHILD)
        return mf_error_set(err, r, "sbatch cannot be asked: %s%s", strerror(-r),
                            r == -ENOENT ? "; is Slurm installed here?" : "");
    if (r == 0 && find_line(text, line, size))
        return 0;
    join_lines(text);
    return mf_error_set(err, -ECHILD, "sbatch has not submitted %s: %s", path,
                        text[0] ? text : "it does not say why");
}

int mf_batch_become_sbatch(const struct mf_batch_words *words, const char *path,
                           struct mf_error *err)
{
    const char **command = make_command(words, NULL, path);
    int error;

    if (!command)
        return mf_error_set(err, -ENOMEM, "out of memory");
    execvp(command[0], (char *const *)command);
    error = errno;
    free(command);
    return mf_error_set(err, -error, "sbatch cannot be run: %s%s", strerror(error),
                        error == ENOENT ? "; is Slurm installed here?" : "");
}

/* --- the job of a run directory --- */

static int job_path(const char *run_dir, char path[PATH_MAX])
{
    return snprintf(path, PATH_MAX, "%s/" MF_BATCH_JOB, run_dir) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int mf_batch_note_job(const char *run_dir, const char *line)
{
    char path[PATH_MAX];
    int fd, r = job_path(run_dir, path);

    if (r < 0)
        return r;
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : mf_write_all(fd, line, strlen(line));
    if (r == 0)
        r = mf_write_all(fd, "\n", 1);
    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

void mf_batch_forget_job(const char *run_dir)
{
    char path[PATH_MAX];

    if (job_path(run_dir, path) == 0)
        (void)unlink(path);
}

/* Returns 0, or -ENOENT if none is noted. */
static int read_job(const char *run_dir, char job[MF_BATCH_JOB_SIZE], char cluster[64])
{
    char path[PATH_MAX];
    int n = 0, r = job_path(run_dir, path);
    FILE *file = r == 0 ? fopen(path, "re") : NULL;

    cluster[0] = '\0';
    if (file) {
        n = fscanf(file, "%31[0-9];%63[^\n]", job, cluster);
        fclose(file);
    }
    return n > 0 ? 0 : -ENOENT;
}

/* Whether squeue tells of a job that is neither over nor waits: also one whose nodes start up, or
 * that is to go back into the queue. One that is over while its nodes are cleaned is not asked for.
 */
static bool tells_of_life(const char *text)
{
    const char *const states[] = {"RUNNING",  "SUSPENDED", "CONFIGURING", "COMPLETING", "STOPPED",
                                  "RESIZING", "SIGNALING", "STAGE_OUT",   "REQUEUE",    NULL};

    for (int i = 0; states[i]; i++)
        if (strstr(text, states[i]))
            return true;
    return false;
}

/* It fails for a number that it has forgotten, and for other reasons. */
static enum mf_batch_job_state ask_squeue(const char *job, const char *cluster)
{
    const char *const words[] = {"squeue", "-h", "-t", "PENDING,RUNNING,SUSPENDED", "-o",
                                 "%T",     "-j", job,  cluster[0] ? "-M" : NULL,    cluster,
                                 NULL};
    char text[1024];
    int r = mf_query(words, SQUEUE_TIMEOUT_NS, MF_QUERY_OUTPUT_AND_ERRORS, text, sizeof(text));

    if (r == -ECHILD && strstr(text, "Invalid job id"))
        return MF_BATCH_JOB_GONE;
    if (r < 0)
        return MF_BATCH_JOB_UNKNOWN;
    if (strstr(text, "PENDING"))
        return MF_BATCH_JOB_WAITS;
    return tells_of_life(text) ? MF_BATCH_JOB_RUNS : MF_BATCH_JOB_GONE;
}

int mf_batch_find_job(const char *run_dir, char job[MF_BATCH_JOB_SIZE],
                      enum mf_batch_job_state *ret_state)
{
    char cluster[64];
    int r = read_job(run_dir, job, cluster);

    if (r == 0)
        *ret_state = ask_squeue(job, cluster);
    return r;
}
