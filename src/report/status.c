/* status.json, written beside its place and renamed into it; and read back. */
#include "report/status.h"

#include "base/clock.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *path, int code, struct mf_error *err)
{
    return mf_error_set(err, code, "%s: it cannot be written: %s", path, strerror(-code));
}

static json_t *describe(const struct mf_progress_state *state, bool is_finished)
{
    char host[HOST_NAME_MAX + 1] = "";
    json_t *chosen = NULL;

    if (state->policy_why && state->policy_why[0])
        chosen = json_pack("{s:I, s:s}", "changes", (json_int_t)state->n_policy_changes, "why",
                           state->policy_why);
    (void)gethostname(host, sizeof(host) - 1);
    return json_pack("{s:s*, s:I, s:f, s:f, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:s*, s:o*}", "host",
                     host, "pid", (json_int_t)getpid(), "updated",
                     (double)mf_clock_wall_ns() / MF_NS_PER_S, "elapsed",
                     (double)(state->now_ns - state->started_ns) / MF_NS_PER_S, "finished",
                     is_finished, "total", (json_int_t)state->n_total, "done",
                     (json_int_t)state->n_done, "failed", (json_int_t)state->n_failed, "skipped",
                     (json_int_t)state->n_skipped, "running", (json_int_t)state->n_running, "slots",
                     (json_int_t)state->n_slots, "policy", state->policy, "auto", chosen);
}

int mf_status_write(const char *run_dir, const struct mf_progress_state *state, bool is_finished,
                    struct mf_error *err)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    json_t *status;
    int r = 0;

    if (snprintf(path, sizeof(path), "%s/status.json", run_dir) >= (int)sizeof(path) ||
        snprintf(temporary, sizeof(temporary), "%s/.status.json", run_dir) >=
            (int)sizeof(temporary))
        return fail(run_dir, -ENAMETOOLONG, err);
    status = describe(state, is_finished);
    if (!status)
        return fail(path, -ENOMEM, err);
    errno = 0;
    if (json_dump_file(status, temporary, JSON_INDENT(2)) < 0 || rename(temporary, path) < 0)
        r = fail(path, errno ? -errno : -EIO, err);
    json_decref(status);
    return r;
}

/* Seconds that a number of nanoseconds can hold. */
static bool is_time(double seconds)
{
    return seconds >= 0 && seconds < (double)(INT64_MAX / MF_NS_PER_S);
}

int mf_status_read(const char *run_dir, struct mf_status *ret_status)
{
    char path[PATH_MAX];
    double updated, elapsed;
    json_int_t n_total, n_running;
    int is_finished, r;
    json_t *status;
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/status.json", run_dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    file = fopen(path, "re");
    if (!file)
        return -errno;
    status = json_loadf(file, 0, NULL);
    fclose(file);
    r = json_unpack(status, "{s:F, s:F, s:b, s:I, s:I}", "updated", &updated, "elapsed", &elapsed,
                    "finished", &is_finished, "total", &n_total, "running", &n_running);
    json_decref(status);
    if (r < 0 || n_total < 0 || n_running < 0 || !is_time(updated) || !is_time(elapsed))
        return -EBADMSG;
    *ret_status = (struct mf_status){
        .began_wall_ns = (int64_t)((updated - elapsed) * MF_NS_PER_S),
        .is_finished = is_finished,
        .n_total = (uint64_t)n_total,
        .n_running = (uint64_t)n_running,
    };
    return 0;
}
