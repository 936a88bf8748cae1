/*
 * Every process below this one: killed in rounds, since the children of those
 * killed become children of this process. Run once, at the end of the
 * launcher, by its only thread.
 */
#include "exec/descendants.h"

#include "base/clock.h"
#include "base/process_stat.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Between rounds: an orphan arrives without a signal. */
#define ROUND_NS (20 * MF_NS_PER_MS)

static bool is_child(pid_t pid, pid_t parent)
{
    struct mf_process_stat stat;

    return mf_process_stat_read(pid, &stat) == 0 && stat.parent == parent;
}

static void kill_children(void)
{
    DIR *directory = opendir("/proc");
    pid_t own_pid = getpid();
    const struct dirent *entry;

    if (!directory)
        return;
    while ((entry = readdir(directory))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

        if (pid > 1 && pid != own_pid && is_child(pid, own_pid))
            kill(pid, SIGKILL);
    }
    closedir(directory);
}

/* Reaps what has ended; returns whether there are children left. */
static int reap_some(void)
{
    pid_t pid;

    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0 || (pid < 0 && errno == EINTR));
    return pid == 0;
}

int mf_descendants_kill(int64_t limit_ns)
{
    int64_t end_ns = mf_clock_monotonic_ns() + limit_ns;
    const struct timespec pause = {.tv_nsec = ROUND_NS};
    sigset_t child_ended;

    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    while (reap_some()) {
        if (mf_clock_monotonic_ns() > end_ns)
            return -ETIMEDOUT;
        kill_children();
        sigtimedwait(&child_ended, NULL, &pause);
    }
    return 0;
}
