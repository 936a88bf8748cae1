/*
 * Lines wait in memory until they are flushed, once a turn; what a full disk
 * does not take stays for the next flush. Used by rank 0, one thread.
 */
#include "report/tsv.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mf_tsv {
    char *path;
    int fd;
    struct mf_buffer lines;
};

static int fail(const char *path, int code, const char *done, struct mf_error *err)
{
    return mf_error_set(err, code, "%s: it cannot be %s: %s%s", path, done, strerror(-code),
                        code == -ENOSPC || code == -EDQUOT || code == -EFBIG ? "; make room there"
                                                                             : "");
}

/* Goes on behind what is there; a line that a crash cut off is ended first. */
static int begin(struct mf_tsv *tsv, const char *header)
{
    struct stat status;
    char last = '\n';

    if (fstat(tsv->fd, &status) < 0)
        return -errno;
    if (S_ISREG(status.st_mode) && status.st_size > 0) {
        ssize_t n = mf_pread_all(tsv->fd, &last, 1, (uint64_t)status.st_size - 1);

        if (n < 0)
            return (int)n;
        if (last != '\n')
            mf_buffer_put_u8(&tsv->lines, '\n');
    } else {
        mf_buffer_append(&tsv->lines, header, strlen(header));
    }
    return mf_buffer_status(&tsv->lines);
}

int mf_tsv_open(const char *path, const char *header, bool append, struct mf_tsv **ret_tsv,
                struct mf_error *err)
{
    struct mf_tsv *tsv = calloc(1, sizeof(*tsv));
    int flags = O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | (append ? 0 : O_TRUNC);
    int code = 0;

    if (!tsv)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", path);
    tsv->fd = -1;
    tsv->path = strdup(path);
    if (!tsv->path) {
        code = -ENOMEM;
    } else {
        tsv->fd = open(path, flags | O_RDWR, 0666);
        code = tsv->fd < 0 ? -errno : begin(tsv, header);
    }
    if (code) {
        fail(path, code, "opened", err);
        mf_close(&tsv->fd);
        mf_buffer_finish(&tsv->lines);
        free(tsv->path);
        free(tsv);
        return code;
    }
    *ret_tsv = tsv;
    return 0;
}

struct mf_buffer *mf_tsv_lines(struct mf_tsv *tsv)
{
    return &tsv->lines;
}

int mf_tsv_end_line(struct mf_tsv *tsv, size_t line)
{
    int code;

    mf_buffer_put_u8(&tsv->lines, '\n');
    code = mf_buffer_status(&tsv->lines);
    if (code) {
        tsv->lines.size = line;
        tsv->lines.has_failed = false;
    }
    return code;
}

void mf_tsv_put_text(struct mf_tsv *tsv, const char *text)
{
    struct mf_buffer *lines = &tsv->lines;
    size_t start = lines->size;

    mf_buffer_append(lines, text, strlen(text));
    for (size_t i = start; !lines->has_failed && i < lines->size; i++) {
        if (lines->data[i] == '\n' || lines->data[i] == '\t')
            lines->data[i] = ' ';
    }
}

int mf_tsv_flush(struct mf_tsv *tsv, struct mf_error *err)
{
    while (tsv->lines.size > 0) {
        ssize_t n = write(tsv->fd, tsv->lines.data, tsv->lines.size);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(tsv->path, -errno, "written", err);
        /* Taking away what was written keeps another try from repeating half a line. */
        mf_buffer_consume(&tsv->lines, (size_t)n);
    }
    return 0;
}

int mf_tsv_close(struct mf_tsv *tsv, struct mf_error *err)
{
    int code;

    if (!tsv)
        return 0;
    code = mf_tsv_flush(tsv, err);
    /* Network file systems report a failed write only here. */
    if (close(tsv->fd) < 0 && errno != EINTR && !code)
        code = fail(tsv->path, -errno, "written", err);
    mf_buffer_finish(&tsv->lines);
    free(tsv->path);
    free(tsv);
    return code;
}
