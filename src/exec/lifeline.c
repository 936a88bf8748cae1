/* Messages between a rank and its keeper: see lifeline.h. No state. */
#include "exec/lifeline.h"

#include "base/io.h"
#include "base/passing.h"

#include <errno.h>
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
    ssize_t sent = mf_pass(fd, offer, sizeof(*offer), &channel_fd, 1);

    mf_close(&channel_fd);
    return sent < 0 ? (int)sent : 0;
}

int mf_lifeline_take(int fd, struct mf_offer *ret_offer, int *ret_channel_fd)
{
    int fds[MF_PASSING_MAX_FDS];
    uint32_t n_fds;
    ssize_t n = mf_take_passed(fd, ret_offer, sizeof(*ret_offer), fds, &n_fds, NULL);

    if (n < 0)
        return n == -EAGAIN ? 0 : (int)n;
    if (n == 0)
        return -EPIPE;
    /* Without a descriptor this process has none left. */
    if (n_fds == 0 || n != (ssize_t)sizeof(*ret_offer))
        return -EMFILE;
    *ret_channel_fd = fds[0];
    return 1;
}
