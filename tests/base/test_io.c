/* Tests of base/io.c. */
#include "base/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define LARGE ((size_t)1 << 20)

static int memory_file(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    cr_assert_geq(fd, 0);
    return fd;
}

/* Reads everything from the pipe, slowly enough to make the writer wait. */
static void *drain_pipe(void *arg)
{
    int fd = *(int *)arg;
    size_t n = 0;
    ssize_t got;
    char bytes[1000];

    while ((got = read(fd, bytes, sizeof(bytes))) > 0) {
        for (ssize_t i = 0; i < got; i++)
            if (bytes[i] != 'x')
                return NULL;
        n += (size_t)got;
    }
    return (void *)n;
}

Test(io, a_write_larger_than_a_pipe_is_carried_through)
{
    char *bytes = malloc(LARGE);
    pthread_t reader;
    void *n_read;
    int fds[2];

    memset(bytes, 'x', LARGE);
    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(pthread_create(&reader, NULL, drain_pipe, &fds[0]), 0);
    cr_assert_eq(mf_write_all(fds[1], bytes, LARGE), 0);
    mf_close(&fds[1]);
    pthread_join(reader, &n_read);
    cr_assert_eq((size_t)n_read, LARGE);
    mf_close(&fds[0]);
    free(bytes);
}

Test(io, a_write_that_cannot_be_done_returns_its_error)
{
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(fds), 0);
    mf_close(&fds[0]);
    cr_assert_eq(mf_write_all(fds[1], "x", 1), -EPIPE);
    cr_assert_eq(mf_write_all(-1, "x", 1), -EBADF);
    cr_assert_eq(mf_write_all(-1, NULL, 0), 0);
    mf_close(&fds[1]);
}

Test(io, bytes_written_at_an_offset_are_read_there)
{
    int fd = memory_file();
    char bytes[8] = {0};

    cr_assert_eq(mf_pwrite_all(fd, "hello", 5, 1000), 0);
    cr_assert_eq(mf_pread_all(fd, bytes, 5, 1000), 5);
    cr_assert_str_eq(bytes, "hello");
    mf_close(&fd);
}

Test(io, a_read_across_the_end_says_how_many_there_were)
{
    int fd = memory_file();
    char bytes[8];

    cr_assert_eq(mf_pwrite_all(fd, "hello", 5, 0), 0);
    cr_assert_eq(mf_pread_all(fd, bytes, sizeof(bytes), 2), 3);
    cr_assert_eq(mf_pread_all(fd, bytes, sizeof(bytes), 5), 0);
    mf_close(&fd);
}

Test(io, offsets_that_no_file_has_are_refused)
{
    int fd = memory_file();
    char byte = 0;

    cr_assert_eq(mf_pwrite_all(fd, &byte, 1, UINT64_MAX), -EOVERFLOW);
    cr_assert_eq(mf_pwrite_all(fd, &byte, 1, INT64_MAX), -EOVERFLOW);
    cr_assert_eq(mf_pread_all(fd, &byte, 1, UINT64_MAX), -EOVERFLOW);
    mf_close(&fd);
}

Test(io, a_full_disk_is_reported)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0);
    cr_assert_eq(mf_write_all(fd, "x", 1), -ENOSPC);
    mf_close(&fd);
}

Test(io, the_limit_of_open_files_rises_to_the_hard_one)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_max = limit.rlim_max < 300 ? limit.rlim_max : 300;
    limit.rlim_cur = limit.rlim_max / 2;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(mf_raise_open_files(), limit.rlim_max);
    cr_assert_eq(mf_raise_open_files(), limit.rlim_max);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, limit.rlim_max);
}

Test(io, closing_forgets_the_number_and_keeps_errno)
{
    int fd = memory_file();
    int number = fd;

    mf_close(&fd);
    cr_assert_eq(fd, -1);
    cr_assert_eq(fcntl(number, F_GETFD), -1);
    mf_close(&fd);

    /* The number is closed by now: close() fails, and nobody hears of it. */
    errno = ENOENT;
    mf_close(&number);
    cr_assert_eq(number, -1);
    cr_assert_eq(errno, ENOENT);
}
