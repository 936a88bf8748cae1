/* Messages between a rank and its keeper: see lifeline.h. No state. */
#include "exec/lifeline.h"

#include "base/io.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static const char question = '?', farewell = '.';

int mf_lifeline_create(int ret_fds[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds) < 0)
        return -errno;
    return 0;
}

int mf_lifeline_ask(int fd)
{
    return send(fd, &question, sizeof(question), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void mf_lifeline_close(int *fd)
{
    /* Where nobody is left to hear it that is as good. */
    if (*fd >= 0)
        (void)send(*fd, &farewell, sizeof(farewell), MSG_NOSIGNAL);
    mf_close(fd);
}

int mf_lifeline_hear(int fd)
{
    int heard = MF_LIFELINE_NOTHING;
    char byte;
    ssize_t n;

    while (heard != MF_LIFELINE_OVER && (n = recv(fd, &byte, sizeof(byte), 0)) > 0)
        heard = byte == farewell ? MF_LIFELINE_OVER : MF_LIFELINE_ASKED;
    if (heard != MF_LIFELINE_NOTHING || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return heard;
    return -EPIPE;
}

int mf_lifeline_offer(int fd, const struct mf_offer *offer, int channel_fd)
{
    struct iovec iov = {.iov_base = (void *)offer, .iov_len = sizeof(*offer)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    int result;

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(channel_fd));
    memcpy(CMSG_DATA(header), &channel_fd, sizeof(channel_fd));
    result = sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
    mf_close(&channel_fd);
    return result;
}

int mf_lifeline_take(int fd, struct mf_offer *ret_offer, int *ret_channel_fd)
{
    struct iovec iov = {.iov_base = ret_offer, .iov_len = sizeof(*ret_offer)};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header;

    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return -EPIPE;
    header = CMSG_FIRSTHDR(&message);
    /* Without a descriptor this process has none left. */
    if (!header || header->cmsg_type != SCM_RIGHTS || n != (ssize_t)sizeof(*ret_offer))
        return -EMFILE;
    memcpy(ret_channel_fd, CMSG_DATA(header), sizeof(*ret_channel_fd));
    return 1;
}
