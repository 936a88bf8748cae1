/* Asking another program: see query.h. No state; before any thread. */
#include "runtime/query.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Reads what a program writes, until it ends or the time is over. Returns 0 or -errno. */
static int read_until(int fd, int64_t deadline_ns, char *text, size_t size)
{
    size_t n = 0;

    for (;;) {
        int64_t left_ns = deadline_ns - mf_clock_monotonic_ns();
        struct pollfd poller = {.fd = fd, .events = POLLIN};
        int ready = left_ns > 0 ? poll(&poller, 1, (int)(left_ns / MF_NS_PER_MS) + 1) : 0;
        ssize_t got;

        if (ready == 0)
            return -ETIMEDOUT;
        got = ready < 0 ? -1 : read(fd, text + n, size - 1 - n);
        if (got < 0 && errno != EINTR)
            return -errno;
        if (got == 0 || n == size - 1)
            break;
        n += got > 0 ? (size_t)got : 0;
        text[n] = '\0';
    }
    return 0;
}

static int spawn(const char *const *words, enum mf_query_streams streams, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return -r;
    r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0 && streams == MF_QUERY_OUTPUT_AND_ERRORS)
        r = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawnp(ret_pid, words[0], &actions, NULL, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* It may go on once it has closed its output. Returns 0 when it has ended, or -errno. */
static int wait_until(pid_t pid, int64_t deadline_ns)
{
    struct pollfd poller = {.fd = pidfd_open(pid, 0), .events = POLLIN};
    int ready;

    if (poller.fd < 0)
        return -errno;
    do {
        int64_t left_ns = deadline_ns - mf_clock_monotonic_ns();

        ready = poll(&poller, 1, left_ns > 0 ? (int)(left_ns / MF_NS_PER_MS) + 1 : 0);
    } while (ready < 0 && errno == EINTR);
    mf_close(&poller.fd);
    return ready > 0 ? 0 : -ETIMEDOUT;
}

int mf_query(const char *const *words, int64_t timeout_ns, enum mf_query_streams streams,
             char *text, size_t size)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + timeout_ns;
    int pipe_fds[2], r, status = 0;
    pid_t pid;

    text[0] = '\0';
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    r = spawn(words, streams, pipe_fds[1], &pid);
    mf_close(&pipe_fds[1]);
    if (r == 0) {
        r = read_until(pipe_fds[0], deadline_ns, text, size);
        /* It is not to wait for anybody who reads on. */
        mf_close(&pipe_fds[0]);
        if (r == 0)
            r = wait_until(pid, deadline_ns);
        if (r < 0)
            (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (r == 0 && status != 0)
            r = -ECHILD;
    }
    mf_close(&pipe_fds[0]);
    return r;
}
