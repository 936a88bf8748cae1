/* Asking other programs: see program.h. No state; any thread. */
#include "base/program.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static int wait_for_more(int fd, int64_t deadline_ns)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    int64_t left_ms = -1;

    if (deadline_ns < INT64_MAX)
        left_ms = (deadline_ns - mf_clock_monotonic_ns()) / MF_NS_PER_MS + 1;
    if (deadline_ns < INT64_MAX && left_ms <= 0)
        return 0;
    return poll(&poller, 1, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
}

/* Reads to the end, also what there is no room for: the program is not to be held up. */
static int read_until(int fd, int64_t deadline_ns, char *text, size_t size)
{
    char rest[512];
    size_t n = 0;

    text[0] = '\0';
    for (;;) {
        bool has_room = n < size - 1;
        int ready = wait_for_more(fd, deadline_ns);
        ssize_t got;

        if (ready == 0)
            return -ETIMEDOUT;
        got = ready < 0
                  ? -1
                  : read(fd, has_room ? text + n : rest, has_room ? size - 1 - n : sizeof(rest));
        if (got == 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return -errno;
        n += got > 0 && has_room ? (size_t)got : 0;
        text[n] = '\0';
    }
}

static int spawn(const char *const *words, int out, bool with_errors, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return -r;
    r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0 && with_errors)
        r = posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
    if (r == 0)
        r = posix_spawnp(ret_pid, words[0], &actions, NULL, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

int mf_program_ask(const char *const *words, int64_t timeout_ns, bool with_errors, char *text,
                   size_t size)
{
    int64_t deadline_ns = INT64_MAX;
    int pipe_fds[2], r, status = 0;
    pid_t pid;

    if (timeout_ns < INT64_MAX)
        deadline_ns = mf_clock_monotonic_ns() + timeout_ns;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    r = spawn(words, pipe_fds[1], with_errors, &pid);
    mf_close(&pipe_fds[1]);
    if (r == 0) {
        r = read_until(pipe_fds[0], deadline_ns, text, size);
        if (r < 0)
            (void)kill(pid, SIGKILL);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    }
    mf_close(&pipe_fds[0]);
    if (r < 0)
        return r;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
