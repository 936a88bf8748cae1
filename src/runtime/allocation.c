/* What Slurm says of a job, from its environment and squeue. No state; before any thread. */
#include "runtime/allocation.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A controller that is busy answers late. */
#define SQUEUE_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Longest that Slurm knows, and more. */
#define MAX_DAYS 100000

int mf_allocation_parse_left(const char *text, int64_t *ret_ns)
{
    unsigned int days = 0, hours = 0, minutes, seconds;
    const char *dash = strchr(text, '-');
    int n = 0;

    if (strcmp(text, "UNLIMITED") == 0 || strcmp(text, "NOT_SET") == 0)
        return 0;
    if (dash && (sscanf(text, "%6u-%n", &days, &n) != 1 || text + n != dash + 1))
        return -EINVAL;
    text = dash ? dash + 1 : text;
    if (sscanf(text, "%2u:%2u:%2u%n", &hours, &minutes, &seconds, &n) != 3) {
        hours = 0;
        if (dash || sscanf(text, "%2u:%2u%n", &minutes, &seconds, &n) != 2)
            return -EINVAL;
    }
    if (text[n] != '\0' || days > MAX_DAYS || hours > 23 || minutes > 59 || seconds > 59)
        return -EINVAL;
    *ret_ns = (((int64_t)days * 24 + hours) * 60 + minutes) * 60 * MF_NS_PER_S +
              (int64_t)seconds * MF_NS_PER_S;
    return 1;
}

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
    }
    text[n] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

static int spawn(const char *const *words, int out, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    int r = posix_spawn_file_actions_init(&actions);

    if (r != 0)
        return -r;
    r = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    if (r == 0)
        r = posix_spawnp(ret_pid, words[0], &actions, NULL, (char *const *)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* Runs a program and takes the first line of what it writes. Returns 0 or -errno. */
static int ask(const char *const *words, char *text, size_t size)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + SQUEUE_TIMEOUT_NS;
    int pipe_fds[2], r, status = 0;
    pid_t pid;

    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    r = spawn(words, pipe_fds[1], &pid);
    mf_close(&pipe_fds[1]);
    if (r == 0) {
        r = read_until(pipe_fds[0], deadline_ns, text, size);
        if (r < 0)
            (void)kill(pid, SIGKILL);
        /* It is not to wait for anybody who reads on. */
        mf_close(&pipe_fds[0]);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        if (r == 0 && status != 0)
            r = -ECHILD;
    }
    mf_close(&pipe_fds[0]);
    return r;
}

/* The number of the job as squeue knows it: an element of an array shares one with the array. */
static void name_job(const char *job, char *text, size_t size)
{
    const char *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *element = getenv("SLURM_ARRAY_TASK_ID");

    if (array && element)
        snprintf(text, size, "%s_%s", array, element);
    else
        snprintf(text, size, "%s", job);
}

static int ask_squeue(const char *job, int64_t *ret_ns, struct mf_error *err)
{
    const char *const words[] = {"squeue", "--noheader", "--format=%L", "--jobs", job, NULL};
    char text[64];
    int r = ask(words, text, sizeof(text));

    if (r == -ECHILD)
        return mf_error_set(err, r, "squeue knows no job %s", job);
    if (r < 0)
        return mf_error_set(err, r, "cannot ask squeue when job %s ends: %s", job, strerror(-r));
    r = mf_allocation_parse_left(text, ret_ns);
    if (r < 0)
        return mf_error_set(err, r, "squeue says that job %s ends in \"%s\"", job, text);
    return r;
}

int mf_allocation_time_left(int64_t *ret_ns, struct mf_error *err)
{
    const char *end = getenv("SLURM_JOB_END_TIME");
    const char *job = getenv("SLURM_JOB_ID");
    char name[64];
    char *behind;
    long long end_s;

    if (!job)
        return 0;
    if (!end) {
        name_job(job, name, sizeof(name));
        return ask_squeue(name, ret_ns, err);
    }
    end_s = strtoll(end, &behind, 10);
    if (behind == end || *behind != '\0' || end_s <= 0 || end_s > INT64_MAX / MF_NS_PER_S)
        return mf_error_set(err, -EINVAL, "SLURM_JOB_END_TIME is \"%s\", not seconds since 1970",
                            end);
    *ret_ns = end_s * MF_NS_PER_S - mf_clock_wall_ns();
    return 1;
}
