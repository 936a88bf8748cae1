/*
 * Whether a chain of jobs goes on, asked by its script. What is known of the run is what its
 * status.json says: the ranks may be dead, and the journal belongs to whoever runs.
 */
#include "cli/batch.h"

#include "base/io.h"
#include "journal/rundir.h"
#include "report/status.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* As a job began: how many tasks had ended, how many jobs in a row had ended none, those apart
 * whose tasks were warned of the end, and of when the status was, 0 for none. */
#define NOTE_NAME "chain"

struct note {
    uint64_t n_ended;
    uint32_t n_idle;
    int64_t updated_ns;
    uint32_t n_warned;
};

static int note_path(const char *run_dir, char path[PATH_MAX], struct mf_error *err)
{
    if (snprintf(path, PATH_MAX, "%s/" NOTE_NAME, run_dir) < PATH_MAX)
        return 0;
    return mf_error_set(err, -ENAMETOOLONG, "%s: %s", run_dir, strerror(ENAMETOOLONG));
}

/* Returns 1, or 0 if there is none: the first job. */
static int read_note(const char *path, struct note *ret_note)
{
    FILE *file = fopen(path, "re");
    int n = file ? fscanf(file, "%" SCNu64 " %" SCNu32 " %" SCNd64 " %" SCNu32, &ret_note->n_ended,
                          &ret_note->n_idle, &ret_note->updated_ns, &ret_note->n_warned)
                 : 0;

    if (file)
        fclose(file);
    return n == 4;
}

static int write_note(const char *path, const struct note *note, struct mf_error *err)
{
    char text[96];
    int n = snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu32 " %" PRId64 " %" PRIu32 "\n",
                     note->n_ended, note->n_idle, note->updated_ns, note->n_warned);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : mf_write_all(fd, text, (size_t)n);

    if (fd >= 0 && close(fd) < 0 && r == 0)
        r = -errno;
    return r < 0 ? mf_error_set(err, r, "%s: it cannot be written: %s", path, strerror(-r)) : 0;
}

/* Before there is a status nothing has ended. @ret_has_warned  the run that it tells of has warned
 * tasks of the end */
static struct note look(const char *run_dir, bool *ret_has_warned)
{
    struct mf_status status;

    *ret_has_warned = false;
    if (mf_status_read(run_dir, &status) < 0)
        return (struct note){0};
    *ret_has_warned = status.n_warned > 0;
    return (struct note){.n_ended = status.n_done + status.n_failed + status.n_skipped,
                         .updated_ns = status.updated_wall_ns};
}

/*
 * One more job that has ended no task. One that warned some may have got on: they saved what they
 * had. Nobody knows whether they did, so that such jobs are counted too, and more are let pass.
 */
static void count_idle(struct note *now, const struct note *before, bool has_warned)
{
    /* The status of an earlier run says nothing of this one. */
    has_warned = has_warned && now->updated_ns != before->updated_ns;
    now->n_idle = has_warned ? 0 : before->n_idle + 1;
    now->n_warned = before->n_warned + has_warned;
}

/* The first job may find no run directory. A run that goes on there is not this chain's. */
static int make_place(const char *run_dir, struct mf_error *err)
{
    struct mf_rundir rundir;
    int r = mf_rundir_open(&rundir, run_dir, err);

    mf_rundir_finish(&rundir);
    return r;
}

int mf_batch_gets_on(const char *run_dir, struct mf_error *err)
{
    bool has_warned;
    struct note now = look(run_dir, &has_warned), before;
    char path[PATH_MAX];
    int r = note_path(run_dir, path, err);

    if (r == 0)
        r = make_place(run_dir, err);
    if (r < 0)
        return r;
    /* A run that was killed at its very beginning had not yet counted what was done before it. */
    if (read_note(path, &before) == 1 && now.n_ended <= before.n_ended) {
        now.n_ended = before.n_ended;
        count_idle(&now, &before, has_warned);
    }
    if (now.n_idle < MF_BATCH_IDLE_JOBS && now.n_warned < MF_BATCH_WARNED_JOBS)
        return write_note(path, &now, err);
    (void)unlink(path);
    return mf_error_set(err, -EOVERFLOW,
                        "%s: %u jobs in a row have ended no task: the chain ends; see \"mpifarm "
                        "explain %s\", and submit it again",
                        run_dir, now.n_warned + now.n_idle, run_dir);
}

void mf_batch_forget(const char *run_dir)
{
    char path[PATH_MAX];

    if (note_path(run_dir, path, NULL) == 0)
        (void)unlink(path);
}

bool mf_batch_is_left(const char *run_dir)
{
    struct mf_status status;
    struct note began;
    char path[PATH_MAX];

    /* Nobody knows of any end. */
    if (mf_status_read(run_dir, &status) < 0)
        return true;
    /* It tells of an earlier run: this one broke off before it said anything. */
    if (note_path(run_dir, path, NULL) == 0 && read_note(path, &began) == 1 &&
        began.updated_ns == status.updated_wall_ns)
        return true;
    return !status.is_finished || status.is_interrupted;
}
