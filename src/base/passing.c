/* Messages with SCM_RIGHTS: see passing.h. No state. */
#include "base/passing.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define CONTROL_BYTES CMSG_SPACE(sizeof(int[MF_PASSING_MAX_FDS]))

static void attach(struct msghdr *message, char *control, const int *fds, uint32_t n_fds)
{
    size_t n_bytes = n_fds * sizeof(fds[0]);
    struct cmsghdr *header;

    memset(control, 0, CONTROL_BYTES);
    message->msg_control = control;
    message->msg_controllen = CMSG_SPACE(n_bytes);
    header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(n_bytes);
    memcpy(CMSG_DATA(header), fds, n_bytes);
}

ssize_t mf_pass(int socket, const void *data, size_t n, const int *fds, uint32_t n_fds)
{
    struct iovec iov = {.iov_base = (void *)data, .iov_len = n};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    ssize_t sent;

    if (n_fds > 0)
        attach(&message, control, fds, n_fds);
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

ssize_t mf_take_passed(int socket, void *data, size_t size, int ret_fds[MF_PASSING_MAX_FDS],
                       uint32_t *ret_n_fds, bool *ret_is_cut)
{
    struct iovec iov = {.iov_base = data, .iov_len = size};
    _Alignas(struct cmsghdr) char control[CONTROL_BYTES];
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header;
    ssize_t got;

    *ret_n_fds = 0;
    do
        got = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return -errno;
    if (ret_is_cut)
        *ret_is_cut = message.msg_flags & MSG_CTRUNC;
    header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        size_t n_bytes = header->cmsg_len - CMSG_LEN(0);

        memcpy(ret_fds, CMSG_DATA(header), n_bytes);
        *ret_n_fds = (uint32_t)(n_bytes / sizeof(ret_fds[0]));
    }
    return got;
}
