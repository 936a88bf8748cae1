/* status.json, written beside its place and renamed into it; and read back. */
#include "report/status.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fail(const char *path, int code, struct mf_error *err)
{
    return mf_error_set(err, code, "%s: it cannot be written: %s", path, strerror(-code));
}

/* A text of which JSON can tell, with "?" for what is no UTF-8; or what it says itself, borrowed.
 * It is cut to size. */
static const char *clean(const char *text, char *buffer, size_t size)
{
    json_t *string = text ? json_string(text) : NULL;

    if (!text || string) {
        json_decref(string);
        return text;
    }
    snprintf(buffer, size, "%s", text);
    for (char *at = buffer; *at; at++)
        if ((unsigned char)*at >= 0x80)
            *at = '?';
    return buffer;
}

/* An id that is no UTF-8 cannot be told in JSON. */
static json_t *describe_suspended(const struct mf_status_suspended *suspended, uint64_t n)
{
    json_t *tasks = json_array();

    for (uint64_t i = 0; i < n && tasks; i++) {
        json_t *task = json_pack("{s:s, s:f}", "id", suspended[i].id, "since",
                                 (double)suspended[i].since_wall_ns / MF_NS_PER_S);

        if (task)
            (void)json_array_append_new(tasks, task);
    }
    return tasks;
}

static json_t *describe(const struct mf_progress_state *state,
                        const struct mf_status_suspended *suspended, uint64_t n_suspended,
                        bool is_finished)
{
    char host[HOST_NAME_MAX + 1] = "";
    char stopped_by[600], why[600];
    json_t *chosen = NULL;

    if (state->policy_why && state->policy_why[0])
        chosen = json_pack("{s:I, s:s}", "changes", (json_int_t)state->n_policy_changes, "why",
                           clean(state->policy_why, why, sizeof(why)));
    (void)gethostname(host, sizeof(host) - 1);
    return json_pack(
        "{s:s*, s:I, s:f, s:f, s:b, s:b, s:s*, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:I, s:o, "
        "s:s*, s:o*}",
        "host", host, "pid", (json_int_t)getpid(), "updated",
        (double)mf_clock_wall_ns() / MF_NS_PER_S, "elapsed",
        (double)(state->now_ns - state->started_ns) / MF_NS_PER_S, "finished", is_finished,
        "interrupted", state->stopped_by && state->is_interrupted, "stopped_by",
        clean(state->stopped_by, stopped_by, sizeof(stopped_by)), "total",
        (json_int_t)state->n_total, "done", (json_int_t)state->n_done, "failed",
        (json_int_t)state->n_failed, "skipped", (json_int_t)state->n_skipped, "running",
        (json_int_t)state->n_running, "slots", (json_int_t)state->n_slots, "suspended",
        (json_int_t)state->n_suspended, "workers", (json_int_t)state->n_workers, "lost",
        (json_int_t)state->n_lost, "renewed", (json_int_t)state->n_renewed, "quarantined",
        (json_int_t)state->n_quarantined, "warned", (json_int_t)state->n_warned, "suspended_tasks",
        describe_suspended(suspended, n_suspended), "policy", state->policy, "auto", chosen);
}

/* Where there is no room for a new file there is still that of the old one, whose blocks it has: it
 * is overwritten, and cut. */
static int overwrite(const char *path, const json_t *status)
{
    char *text = json_dumps(status, JSON_INDENT(2));
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), r = text ? 0 : -ENOMEM;

    if (fd < 0 && r == 0)
        r = -errno;
    if (r == 0)
        r = mf_pwrite_all(fd, text, strlen(text), 0);
    if (r == 0 && ftruncate(fd, (off_t)strlen(text)) < 0)
        r = -errno;
    mf_close(&fd);
    free(text);
    return r;
}

/* Beside its place, and then into it. */
static int replace(const char *path, const char *temporary, const json_t *status)
{
    int r;

    errno = 0;
    if (json_dump_file(status, temporary, JSON_INDENT(2)) == 0 && rename(temporary, path) == 0)
        return 0;
    r = errno ? -errno : -EIO;
    (void)unlink(temporary);
    return r;
}

int mf_status_write(const char *run_dir, const struct mf_progress_state *state,
                    const struct mf_status_suspended *suspended, uint64_t n_suspended,
                    bool is_finished, struct mf_error *err)
{
    char path[PATH_MAX], temporary[PATH_MAX];
    json_t *status;
    int r;

    if (snprintf(path, sizeof(path), "%s/status.json", run_dir) >= (int)sizeof(path) ||
        snprintf(temporary, sizeof(temporary), "%s/.status.json", run_dir) >=
            (int)sizeof(temporary))
        return fail(run_dir, -ENAMETOOLONG, err);
    status = describe(state, suspended, n_suspended, is_finished);
    if (!status)
        return fail(path, -ENOMEM, err);
    r = replace(path, temporary, status);
    /* A reader may see half of it, but nothing comes after it that would be whole. */
    if (r < 0 && is_finished)
        r = overwrite(path, status);
    json_decref(status);
    return r < 0 ? fail(path, r, err) : 0;
}

/* Seconds that a number of nanoseconds can hold. */
static bool is_time(double seconds)
{
    return seconds >= 0 && seconds < (double)(INT64_MAX / MF_NS_PER_S);
}

/* Returns 0 with what is there, NULL if that is no JSON; or -errno. */
static int load(const char *run_dir, json_t **ret_status)
{
    char path[PATH_MAX];
    FILE *file;

    if (snprintf(path, sizeof(path), "%s/status.json", run_dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    file = fopen(path, "re");
    if (!file)
        return -errno;
    *ret_status = json_loadf(file, 0, NULL);
    fclose(file);
    return 0;
}

/* A count that may be missing, as in what an older version wrote. */
static uint64_t get_count(const json_t *status, const char *name)
{
    json_int_t value = json_integer_value(json_object_get(status, name));

    return value > 0 ? (uint64_t)value : 0;
}

static void take_rest(const json_t *status, struct mf_status *ret_status)
{
    const char *host = json_string_value(json_object_get(status, "host"));
    const char *stopped_by = json_string_value(json_object_get(status, "stopped_by"));

    ret_status->n_done = get_count(status, "done");
    ret_status->n_failed = get_count(status, "failed");
    ret_status->n_skipped = get_count(status, "skipped");
    ret_status->n_workers = get_count(status, "workers");
    ret_status->n_slots = get_count(status, "slots");
    ret_status->n_lost = get_count(status, "lost");
    ret_status->n_renewed = get_count(status, "renewed");
    ret_status->n_quarantined = get_count(status, "quarantined");
    ret_status->n_warned = get_count(status, "warned");
    ret_status->pid = (int64_t)get_count(status, "pid");
    snprintf(ret_status->host, sizeof(ret_status->host), "%s", host ? host : "");
    snprintf(ret_status->stopped_by, sizeof(ret_status->stopped_by), "%s",
             stopped_by ? stopped_by : "");
    ret_status->is_interrupted = json_is_true(json_object_get(status, "interrupted"));
}

static int parse(const json_t *json, struct mf_status *ret_status)
{
    double updated, elapsed;
    json_int_t n_total, n_running, n_suspended = 0;
    int is_finished;

    if (json_unpack((json_t *)json, "{s:F, s:F, s:b, s:I, s:I, s?I}", "updated", &updated,
                    "elapsed", &elapsed, "finished", &is_finished, "total", &n_total, "running",
                    &n_running, "suspended", &n_suspended) < 0)
        return -EBADMSG;
    if (n_total < 0 || n_running < 0 || n_suspended < 0 || !is_time(updated) || !is_time(elapsed))
        return -EBADMSG;
    *ret_status = (struct mf_status){
        .began_wall_ns = (int64_t)((updated - elapsed) * MF_NS_PER_S),
        .updated_wall_ns = (int64_t)(updated * MF_NS_PER_S),
        .is_finished = is_finished,
        .n_total = (uint64_t)n_total,
        .n_running = (uint64_t)n_running,
        .n_suspended = (uint64_t)n_suspended,
    };
    take_rest(json, ret_status);
    return 0;
}

int mf_status_read(const char *run_dir, struct mf_status *ret_status)
{
    json_t *status;
    int r = load(run_dir, &status);

    if (r < 0)
        return r;
    r = parse(status, ret_status);
    json_decref(status);
    return r;
}

int64_t mf_status_age_ns(const struct mf_status *status)
{
    int64_t age = mf_clock_wall_ns() - status->updated_wall_ns;

    return age > 0 ? age : 0;
}

/* What was told by the run, and how old that is. */
static int take_told(const char *run_dir, json_t **ret_status)
{
    struct mf_status told;
    json_t *status = NULL;
    int r = load(run_dir, &status);

    if (r < 0)
        return r;
    r = parse(status, &told);
    if (r == 0 && json_object_set_new(status, "age",
                                      json_real((double)mf_status_age_ns(&told) / MF_NS_PER_S)) < 0)
        r = -ENOMEM;
    if (r == 0)
        *ret_status = status;
    else
        json_decref(status);
    return r;
}

static int add_job(json_t *status, const struct mf_status_job *job)
{
    json_t *state = job->state ? json_string(job->state) : json_null();

    if (json_object_set_new(status, "job", json_string(job->id)) < 0 ||
        json_object_set_new(status, "job_state", state) < 0)
        return -ENOMEM;
    return 0;
}

int mf_status_print(const char *run_dir, int alive, const struct mf_status_job *job, FILE *file)
{
    json_t *status = NULL;
    int r = take_told(run_dir, &status);

    if (r == -ENOENT && job) {
        status = json_pack("{s:b}", "finished", false);
        r = status ? 0 : -ENOMEM;
    }
    if (r == 0 && job)
        r = add_job(status, job);
    if (r == 0 &&
        json_object_set_new(status, "alive", alive < 0 ? json_null() : json_boolean(alive)) < 0)
        r = -ENOMEM;
    if (r == 0 && (json_dumpf(status, file, JSON_INDENT(2)) < 0 || fputc('\n', file) == EOF))
        r = -EIO;
    json_decref(status);
    return r;
}

int mf_status_find_suspended(const char *run_dir, const char *id, int64_t *ret_since_wall_ns)
{
    json_t *status, *task;
    int r = -ENOENT;
    size_t i;

    if (load(run_dir, &status) < 0)
        return r;
    json_array_foreach(json_object_get(status, "suspended_tasks"), i, task)
    {
        const char *name;
        double since;

        if (json_unpack(task, "{s:s, s:F}", "id", &name, "since", &since) < 0 ||
            strcmp(name, id) != 0 || !is_time(since))
            continue;
        *ret_since_wall_ns = (int64_t)(since * MF_NS_PER_S);
        r = 0;
    }
    json_decref(status);
    return r;
}
