/*
 * Writing without blocking: see sink.h.
 *
 * Setting O_NONBLOCK on an inherited descriptor would set it for every process
 * that shares it, the user's shell among them. Opening /proc/self/fd/N makes
 * a descriptor of our own for the same pipe or terminal instead. Where that is
 * refused, poll() says when a pipe has room for PIPE_BUF bytes, and no more
 * than these are written at a time. Used by rank 0, one thread.
 */
#include "report/sink.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The loop is to wake up, no more: the printer writes in its turn. */
static void wake_up(void *arg, uint32_t events)
{
    (void)arg;
    (void)events;
}

static void open_again(struct mf_sink *sink)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", sink->fd);
    sink->own_fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (sink->own_fd < 0) {
        sink->kind = MF_SINK_POLLED;
        return;
    }
    sink->kind = MF_SINK_PRIVATE;
    sink->fd = sink->own_fd;
}

int mf_sink_init(struct mf_sink *sink, int fd, struct mf_loop *loop)
{
    struct stat status;

    *sink = (struct mf_sink){.kind = MF_SINK_FILE, .fd = fd, .own_fd = -1, .loop = loop};
    if (fstat(fd, &status) < 0)
        return -errno;
    if (S_ISSOCK(status.st_mode))
        sink->kind = MF_SINK_SOCKET;
    else if (S_ISFIFO(status.st_mode) || isatty(fd))
        open_again(sink);
    if (sink->kind == MF_SINK_FILE)
        return 0;
    return mf_loop_add(loop, sink->fd, 0, wake_up, NULL, &sink->watch);
}

void mf_sink_finish(struct mf_sink *sink)
{
    mf_loop_remove(sink->loop, sink->watch);
    sink->watch = NULL;
    mf_close(&sink->own_fd);
}

bool mf_sink_is_ready(const struct mf_sink *sink)
{
    struct pollfd waiting = {.fd = sink->fd, .events = POLLOUT};

    return poll(&waiting, 1, 0) > 0;
}

static ssize_t write_polled(const struct mf_sink *sink, const void *data, size_t n)
{
    if (!mf_sink_is_ready(sink)) {
        errno = EAGAIN;
        return -1;
    }
    return write(sink->fd, data, n < PIPE_BUF ? n : PIPE_BUF);
}

ssize_t mf_sink_write(struct mf_sink *sink, const void *data, size_t n)
{
    ssize_t n_written;

    do {
        if (sink->kind == MF_SINK_SOCKET)
            n_written = send(sink->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        else if (sink->kind == MF_SINK_POLLED)
            n_written = write_polled(sink, data, n);
        else
            n_written = write(sink->fd, data, n);
    } while (n_written < 0 && errno == EINTR);
    if (n_written < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    return n_written;
}

int mf_sink_set_waiting(struct mf_sink *sink, bool is_waiting)
{
    if (!sink->watch)
        return 0;
    return mf_loop_modify(sink->loop, sink->watch, is_waiting ? EPOLLOUT : 0);
}
