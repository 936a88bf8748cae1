/* Handing over streams: see streams.h. No state. */
#include "cli/streams.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/passing.h"
#include "cli/ending.h"
#include "control/place.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <xxhash.h>

/* A supervisor answers at once, unless it is stopped: then nobody else is to wait for it. */
#define PATIENCE_NS (1 * MF_NS_PER_S)

/* Schedulers that follow one another while the supervisor is stopped. */
#define BACKLOG 8

/* The first byte of such a name is 0. Returns the size of the address. */
static socklen_t find_address(const char *ending, struct sockaddr_un *ret_address)
{
    XXH128_hash_t hash = XXH3_128bits(ending, strlen(ending));
    int n;

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    n = snprintf(ret_address->sun_path + 1, sizeof(ret_address->sun_path) - 1,
                 "mpifarm-%016" PRIx64 "%016" PRIx64, hash.high64, hash.low64);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

int mf_streams_offer(const char *ending)
{
    struct sockaddr_un address;
    socklen_t size = find_address(ending, &address);
    int error, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (bind(fd, (struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    error = -errno;
    mf_close(&fd);
    return error;
}

void mf_streams_give(int fd)
{
    const int streams[] = {STDOUT_FILENO, STDERR_FILENO};
    int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

    if (peer < 0)
        return;
    /* Who does not get them prints by way of what started it. */
    if (mf_control_is_own(peer))
        (void)mf_pass(peer, "", 1, streams, 2);
    mf_close(&peer);
}

/* Waits for them. Returns whether they came. */
static bool receive(int fd, int ret_streams[MF_PASSING_MAX_FDS])
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    uint32_t n_fds = 0;
    char byte;

    if (poll(&item, 1, (int)(PATIENCE_NS / MF_NS_PER_MS)) != 1 || !mf_control_is_own(fd))
        return false;
    if (mf_take_passed(fd, &byte, 1, ret_streams, &n_fds, NULL) == 1 && n_fds == 2)
        return true;
    while (n_fds > 0)
        mf_close(&ret_streams[--n_fds]);
    return false;
}

void mf_streams_take(void)
{
    const char *ending = getenv(MF_ENDING_VARIABLE);
    int streams[MF_PASSING_MAX_FDS], fd = -1;
    struct sockaddr_un address;
    socklen_t size;

    if (!ending)
        return;
    size = find_address(ending, &address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, size) == 0 && receive(fd, streams)) {
        /* On a terminal that asks for it, who is not in the foreground is stopped as it writes. */
        (void)signal(SIGTTOU, SIG_IGN);
        (void)dup2(streams[0], STDOUT_FILENO);
        (void)dup2(streams[1], STDERR_FILENO);
        mf_close(&streams[0]);
        mf_close(&streams[1]);
    }
    mf_close(&fd);
}
