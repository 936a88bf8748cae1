/* Bytes and descriptors from one end of a socket to the other. */
#include "base/passing.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

static int ends[2];

static void setup(void)
{
    cr_assert(eq(int, socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0));
}

static void teardown(void)
{
    close(ends[0]);
    close(ends[1]);
}

TestSuite(passing, .init = setup, .fini = teardown);

Test(passing, descriptors_come_with_the_bytes_and_are_closed_by_exec)
{
    int pipe_fds[2], fds[MF_PASSING_MAX_FDS];
    uint32_t n_fds;
    bool is_cut;
    char text[8];

    cr_assert(eq(int, pipe(pipe_fds), 0));
    cr_assert(eq(int, (int)mf_pass(ends[0], "both", 4, pipe_fds, 2), 4));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    cr_assert(eq(int, (int)mf_take_passed(ends[1], text, sizeof(text), fds, &n_fds, &is_cut), 4));
    cr_assert(eq(u32, n_fds, 2));
    cr_assert(not(is_cut));
    cr_assert(eq(int, fcntl(fds[0], F_GETFD), FD_CLOEXEC));
    cr_assert(eq(int, (int)write(fds[1], "x", 1), 1));
    cr_assert(eq(int, (int)read(fds[0], text, sizeof(text)), 1));
    close(fds[0]);
    close(fds[1]);
}

Test(passing, bytes_alone_bring_none_and_the_end_is_seen)
{
    int fds[MF_PASSING_MAX_FDS];
    uint32_t n_fds;
    char text[8];

    cr_assert(
        eq(int, (int)mf_take_passed(ends[1], text, sizeof(text), fds, &n_fds, NULL), -EAGAIN));
    cr_assert(eq(int, (int)mf_pass(ends[0], "none", 4, NULL, 0), 4));
    cr_assert(eq(int, (int)mf_take_passed(ends[1], text, sizeof(text), fds, &n_fds, NULL), 4));
    cr_assert(eq(u32, n_fds, 0));
    close(ends[0]);
    cr_assert(eq(int, (int)mf_take_passed(ends[1], text, sizeof(text), fds, &n_fds, NULL), 0));
    cr_assert(eq(int, (int)mf_pass(ends[1], "none", 4, NULL, 0), -EPIPE));
    ends[0] = dup(ends[1]);
}
