/* The asking end of the control channel: blocking, with a limit of time. */
#include "base/clock.h"
#include "base/io.h"
#include "control/control.h"
#include "control/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int fail(const char *run_dir, int code, struct mf_error *err)
{
    switch (-code) {
    case ECONNREFUSED:
        return mf_error_set(err, code, "%s: no farm listens there", run_dir);
    case ECONNRESET:
        return mf_error_set(err, code,
                            "%s: the farm went away before it answered; it may have done what was "
                            "asked",
                            run_dir);
    case EINPROGRESS:
        return mf_error_set(err, code,
                            "%s: the farm fell silent before it answered; it may still do what was "
                            "asked",
                            run_dir);
    case ETIMEDOUT:
    case EAGAIN:
        return mf_error_set(err, -ETIMEDOUT,
                            "%s: the farm does not answer, and will not do what was asked",
                            run_dir);
    case EACCES:
        return mf_error_set(err, code, "%s: the farm is not yours", run_dir);
    default:
        return mf_error_set(err, code, "%s: the farm cannot be asked: %s", run_dir,
                            strerror(-code));
    }
}

static int set_limit(int fd, int64_t timeout_ns)
{
    struct timeval limit = {.tv_sec = timeout_ns / MF_NS_PER_S,
                            .tv_usec = timeout_ns % MF_NS_PER_S / MF_NS_PER_US};

    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0 ||
                   setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0
               ? -errno
               : 0;
}

/* Returns 0 or -errno, -EAGAIN when nothing comes. */
static int receive(int fd, int flags, struct mf_control_reply *ret_reply)
{
    char *packet = malloc(MF_CONTROL_REPLY_BYTES);
    ssize_t n = -1;
    int r;

    if (!packet)
        return -ENOMEM;
    n = recv(fd, packet, MF_CONTROL_REPLY_BYTES, flags);
    r = n < 0 ? -errno : n == 0 ? -ECONNRESET : 0;
    if (r == 0)
        r = mf_control_reply_decode(packet, (size_t)n, ret_reply);
    free(packet);
    return r;
}

/*
 * The first word. The farm does nothing before it has said it, and from when this end is shut it
 * cannot: what has not come by then was not said, and will not be.
 */
static int await_word(int fd, struct mf_control_reply *ret_reply)
{
    int r = receive(fd, 0, ret_reply);

    /* It may be the last word, too. */
    if (r == -EAGAIN && shutdown(fd, SHUT_RD) == 0 && receive(fd, MSG_DONTWAIT, ret_reply) == 0)
        return ret_reply->is_later ? -EINPROGRESS : 0;
    /* A farm that hangs up without a word ended just then. */
    return r == -EAGAIN ? -ETIMEDOUT : r == -ECONNRESET ? -ECONNREFUSED : r;
}

static int exchange(int fd, const struct mf_buffer *packet, struct mf_control_reply *ret_reply)
{
    int r;

    if (send(fd, packet->data, packet->size, MSG_NOSIGNAL) < 0)
        return errno == EPIPE || errno == ECONNRESET ? -ECONNREFUSED : -errno;
    r = await_word(fd, ret_reply);
    while (r == 0 && ret_reply->is_later) {
        r = receive(fd, 0, ret_reply);
        if (r == -EAGAIN)
            r = -EINPROGRESS;
    }
    return r;
}

/* Returns 0 or -errno. */
static int talk(int fd, const struct sockaddr_un *address, const struct mf_buffer *packet,
                int64_t timeout_ns, struct mf_control_reply *ret_reply)
{
    int r = set_limit(fd, timeout_ns);

    if (r == 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        r = errno == ENOENT ? -ECONNREFUSED : -errno;
    if (r == 0 && !mf_control_is_own(fd))
        r = -EACCES;
    return r < 0 ? r : exchange(fd, packet, ret_reply);
}

int mf_control_ask(const char *run_dir, const struct mf_control_request *request,
                   int64_t timeout_ns, struct mf_control_reply *ret_reply, struct mf_error *err)
{
    struct mf_buffer packet = {0};
    struct sockaddr_un address;
    int fd = -1, place_fd, r;

    place_fd = mf_control_open_place(run_dir, &address, err);
    if (place_fd < 0)
        return place_fd;
    r = mf_control_request_encode(request, &packet);
    if (r == 0) {
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        r = fd < 0 ? -errno : talk(fd, &address, &packet, timeout_ns, ret_reply);
    }
    mf_close(&fd);
    mf_close(&place_fd);
    mf_buffer_finish(&packet);
    return r < 0 ? fail(run_dir, r, err) : 0;
}
