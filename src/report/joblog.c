/*
 * joblog.tsv in the columns of GNU Parallel, so that its users' scripts read it.
 *
 * Lines wait in memory until they are flushed, once a turn; what a full disk
 * does not take stays for the next flush. Used by rank 0, one thread.
 */
#include "report/joblog.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char header[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

struct mf_joblog {
    char *path;
    int fd;
    struct mf_buffer lines;
};

static int fail(const char *path, int code, const char *done, struct mf_error *err)
{
    return mf_error_set(
        err, code, "%s: the job log cannot be %s: %s%s", path, done, strerror(-code),
        code == -ENOSPC || code == -EDQUOT || code == -EFBIG ? "; make room there" : "");
}

/* Goes on behind what is there; a line that a crash cut off is ended first. */
static int begin(struct mf_joblog *joblog)
{
    struct stat status;
    char last = '\n';

    if (fstat(joblog->fd, &status) < 0)
        return -errno;
    if (S_ISREG(status.st_mode) && status.st_size > 0) {
        ssize_t n = mf_pread_all(joblog->fd, &last, 1, (uint64_t)status.st_size - 1);

        if (n < 0)
            return (int)n;
        if (last != '\n')
            mf_buffer_put_u8(&joblog->lines, '\n');
    } else {
        mf_buffer_append(&joblog->lines, header, sizeof(header) - 1);
    }
    return mf_buffer_status(&joblog->lines);
}

int mf_joblog_open(const char *path, bool append, struct mf_joblog **ret_joblog,
                   struct mf_error *err)
{
    struct mf_joblog *joblog = calloc(1, sizeof(*joblog));
    int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | (append ? 0 : O_TRUNC);
    int code = 0;

    if (!joblog)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", path);
    joblog->fd = -1;
    joblog->path = strdup(path);
    if (!joblog->path) {
        code = -ENOMEM;
    } else {
        joblog->fd = open(path, flags | O_RDWR, 0666);
        code = joblog->fd < 0 ? -errno : begin(joblog);
    }
    if (code) {
        fail(path, code, "opened", err);
        mf_close(&joblog->fd);
        mf_buffer_finish(&joblog->lines);
        free(joblog->path);
        free(joblog);
        return code;
    }
    *ret_joblog = joblog;
    return 0;
}

/* GNU Parallel has 0 beside a signal, and -1 for what it ended itself. */
static int exit_value(const struct mf_outcome *outcome)
{
    if (outcome->cause == MF_CAUSE_TIMEOUT || outcome->cause == MF_CAUSE_STOPPED)
        return -1;
    if (outcome->signal)
        return 0;
    if (outcome->exit_status == 0 && !mf_outcome_is_success(outcome))
        return -1;
    return outcome->exit_status;
}

/* A line of the log must stay one line of nine columns. */
static void put_command(struct mf_buffer *buffer, const char *text)
{
    size_t start = buffer->size;

    mf_buffer_append(buffer, text, strlen(text));
    for (size_t i = start; !buffer->has_failed && i < buffer->size; i++) {
        if (buffer->data[i] == '\n' || buffer->data[i] == '\t')
            buffer->data[i] = ' ';
    }
}

int mf_joblog_add(struct mf_joblog *joblog, uint64_t seq, const char *host,
                  const struct mf_outcome *outcome, const char *command_text)
{
    struct mf_buffer *lines = &joblog->lines;
    size_t old_size = lines->size;
    int64_t started_ms = outcome->started_wall_ns / MF_NS_PER_MS;
    int64_t runtime_ms = (outcome->duration_ns + MF_NS_PER_MS / 2) / MF_NS_PER_MS;
    int code;

    mf_buffer_print(lines, "%" PRIu64 "\t%s\t%" PRId64 ".%03d\t%6" PRId64 ".%03d\t0\t%" PRIu64 "\t",
                    seq, host && *host ? host : ":", started_ms / 1000, (int)(started_ms % 1000),
                    runtime_ms / 1000, (int)(runtime_ms % 1000),
                    outcome->produced_bytes[MF_STDOUT] + outcome->produced_bytes[MF_STDERR]);
    mf_buffer_print(lines, "%d\t%d\t", exit_value(outcome), outcome->signal);
    put_command(lines, command_text);
    mf_buffer_put_u8(lines, '\n');
    code = mf_buffer_status(lines);
    if (code) {
        lines->size = old_size;
        lines->has_failed = false;
    }
    return code;
}

int mf_joblog_flush(struct mf_joblog *joblog, struct mf_error *err)
{
    while (joblog->lines.size > 0) {
        ssize_t n = write(joblog->fd, joblog->lines.data, joblog->lines.size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(joblog->path, -errno, "written", err);
        /* Taking away what was written keeps another try from repeating half a line. */
        mf_buffer_consume(&joblog->lines, (size_t)n);
    }
    return 0;
}

int mf_joblog_close(struct mf_joblog *joblog, struct mf_error *err)
{
    int code;

    if (!joblog)
        return 0;
    code = mf_joblog_flush(joblog, err);
    /* Network file systems report a failed write only here. */
    if (close(joblog->fd) < 0 && errno != EINTR && !code)
        code = fail(joblog->path, -errno, "written", err);
    mf_buffer_finish(&joblog->lines);
    free(joblog->path);
    free(joblog);
    return code;
}
