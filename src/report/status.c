/* status.json, written beside its place and renamed into it. */
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

    (void)gethostname(host, sizeof(host) - 1);
    return json_pack(
        "{s:s*, s:I, s:f, s:f, s:b, s:I, s:I, s:I, s:I, s:I, s:I}", "host", host, "pid",
        (json_int_t)getpid(), "updated", (double)mf_clock_wall_ns() / MF_NS_PER_S, "elapsed",
        (double)(state->now_ns - state->started_ns) / MF_NS_PER_S, "finished", is_finished, "total",
        (json_int_t)state->n_total, "done", (json_int_t)state->n_done, "failed",
        (json_int_t)state->n_failed, "skipped", (json_int_t)state->n_skipped, "running",
        (json_int_t)state->n_running, "slots", (json_int_t)state->n_slots);
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
