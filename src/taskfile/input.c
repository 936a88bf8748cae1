/*
 * Files and streams as bytes that can be read at any offset: see input.h.
 *
 * The input owns its descriptors except standard input itself, whose flags it
 * leaves alone because they are shared with other processes. One thread.
 */
#include "taskfile/input.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a pipe holds by default. */
#define STREAM_BYTES ((size_t)64 << 10)

static bool is_stdin(const char *path)
{
    return strcmp(path, "-") == 0;
}

const char *mf_input_name(const char *path)
{
    return is_stdin(path) ? MF_INPUT_STDIN : path;
}

/* What holds the bytes of a stream; only its descriptor names it. */
static int open_temporary(struct mf_input *input, struct mf_error *err)
{
    const char *dir = getenv("TMPDIR");
    char path[4096];
    int n = snprintf(path, sizeof(path), "%s/mpifarm-XXXXXX", dir && *dir ? dir : "/tmp");
    int r;

    if (n < 0 || (size_t)n >= sizeof(path))
        return mf_error_set(err, -ENAMETOOLONG, "TMPDIR is too long");
    input->fd = mkostemp(path, O_CLOEXEC);
    if (input->fd < 0) {
        r = -errno;
        return mf_error_set(err, r, "%s: cannot be created: %s", path, strerror(-r));
    }
    if (unlink(path) < 0) {
        r = -errno;
        mf_close(&input->fd);
        return mf_error_set(err, r, "%s: cannot be removed: %s", path, strerror(-r));
    }
    return 0;
}

/* A regular file as standard input may have been read in part by whoever had it before. */
static int start_regular(struct mf_input *input, const struct stat *status, struct mf_error *err)
{
    off_t start = lseek(input->fd, 0, SEEK_CUR);

    if (start < 0) {
        int r = -errno;

        return mf_error_set(err, r, "%s: cannot be read: %s", input->name, strerror(-r));
    }
    input->start = (uint64_t)start;
    input->size =
        (uint64_t)status->st_size > input->start ? (uint64_t)status->st_size : input->start;
    input->modified = status->st_mtim;
    input->is_complete = true;
    return 0;
}

static int start_input(struct mf_input *input, struct mf_error *err)
{
    struct stat status;
    int r = 0;

    if (fstat(input->fd, &status) < 0)
        r = -errno;
    else if (S_ISDIR(status.st_mode))
        r = -EISDIR;
    if (r < 0)
        return mf_error_set(err, r, "%s: cannot be read: %s", input->name, strerror(-r));
    if (S_ISREG(status.st_mode))
        return start_regular(input, &status, err);

    input->is_stream = true;
    input->stream_fd = input->fd;
    input->fd = -1;
    return open_temporary(input, err);
}

int mf_input_open(struct mf_input *ret_input, const char *path, struct mf_error *err)
{
    struct mf_input input = {.name = mf_input_name(path), .fd = -1, .stream_fd = -1};
    int r;

    /* Without O_NONBLOCK a FIFO would wait here for its writer. */
    if (is_stdin(path))
        input.fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    else
        input.fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (input.fd < 0) {
        r = -errno;
        return mf_error_set(err, r, "%s: cannot be opened: %s", input.name, strerror(-r));
    }
    r = start_input(&input, err);
    if (r < 0) {
        mf_input_close(&input);
        return r;
    }
    *ret_input = input;
    return 0;
}

void mf_input_close(struct mf_input *input)
{
    mf_close(&input->fd);
    mf_close(&input->stream_fd);
}

/* Reads what is there; asking first keeps a descriptor that may block from blocking. */
static ssize_t read_now(int fd, void *data, size_t n)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t got;

    for (;;) {
        int r = poll(&ready, 1, 0);

        if (r < 0 && errno != EINTR)
            return -errno;
        if (r == 0)
            return -EAGAIN;
        if (r < 0)
            continue;
        got = read(fd, data, n);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
}

int mf_input_fill(struct mf_input *input, struct mf_error *err)
{
    char data[STREAM_BYTES];
    ssize_t n;
    int r;

    if (input->is_complete)
        return 0;
    n = read_now(input->stream_fd, data, sizeof(data));
    if (n == -EAGAIN)
        return -EAGAIN;
    if (n < 0)
        return mf_error_set(err, (int)n, "%s: cannot be read: %s", input->name, strerror((int)-n));
    if (n == 0) {
        input->is_complete = true;
        mf_close(&input->stream_fd);
        return 0;
    }
    r = mf_pwrite_all(input->fd, data, (size_t)n, input->size);
    if (r < 0)
        return mf_error_set(err, r, "%s: cannot be copied to a temporary file: %s", input->name,
                            strerror(-r));
    input->size += (uint64_t)n;
    return 0;
}

int mf_input_wait_fd(const struct mf_input *input)
{
    struct stat status;

    if (input->stream_fd < 0 || fstat(input->stream_fd, &status) < 0)
        return -1;
    /* Devices other than terminals always have something to say, and epoll refuses them. */
    if (S_ISCHR(status.st_mode) && !isatty(input->stream_fd))
        return -1;
    return input->stream_fd;
}

bool mf_input_has_changed(const struct mf_input *input)
{
    struct stat status;

    if (input->is_stream)
        return false;
    if (fstat(input->fd, &status) < 0)
        return true;
    return (uint64_t)status.st_size < input->size ||
           status.st_mtim.tv_sec != input->modified.tv_sec ||
           status.st_mtim.tv_nsec != input->modified.tv_nsec;
}
