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
    case ENOENT:
    case ECONNREFUSED:
        return mf_error_set(
            err, code,
            "%s: no farm listens there: the run is over, runs on another host, or is "
            "just being taken over; see mpifarm status",
            run_dir);
    case EAGAIN:
        return mf_error_set(err, -ETIMEDOUT,
                            "%s: the farm does not answer; what it has not taken up yet is not "
                            "done any more",
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

static int exchange(int fd, const struct mf_buffer *packet, char *reply, size_t size)
{
    ssize_t n = send(fd, packet->data, packet->size, MSG_NOSIGNAL);

    if (n >= 0)
        n = recv(fd, reply, size, 0);
    /* A farm that hangs up without a word ended just then. */
    return n < 0 ? -errno : n == 0 ? -ECONNREFUSED : (int)n;
}

/* Returns 0 or -errno. */
static int talk(int fd, const struct sockaddr_un *address, const struct mf_buffer *packet,
                int64_t timeout_ns, struct mf_control_reply *ret_reply)
{
    char *reply = malloc(MF_CONTROL_REPLY_BYTES);
    int r = reply ? set_limit(fd, timeout_ns) : -ENOMEM;

    if (r == 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        r = -errno;
    if (r == 0 && !mf_control_is_own(fd))
        r = -EACCES;
    if (r == 0)
        r = exchange(fd, packet, reply, MF_CONTROL_REPLY_BYTES);
    if (r > 0)
        r = mf_control_reply_decode(reply, (size_t)r, ret_reply);
    free(reply);
    return r;
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
