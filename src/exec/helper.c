/*
 * Processes forked to help the rank: see helper.h. Called in a process that
 * was just forked and has one thread, but for mf_helper_reap(), which any thread
 * of the rank may call.
 */
#include "exec/helper.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The longest pause between looks at a child that is to end. */
#define MAX_NAP_NS (5 * MF_NS_PER_MS)

/* What close_range() does, for kernels and sandboxes that do not have it. */
static int close_one_by_one(int first_fd)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (fd >= first_fd && fd != dirfd(dir))
            close(fd);
    }
    closedir(dir);
    return 0;
}

static int close_from(int first_fd)
{
    if (close_range((unsigned)first_fd, UINT_MAX, 0) == 0)
        return 0;
    return close_one_by_one(first_fd);
}

/* Standard streams that are not kept, or that the rank did not have. */
static int replace_streams(bool keeps_output)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null_fd < 0)
        return -errno;
    /* The rank may lack some of them; what is opened later must not take their place. */
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        bool is_kept = i == STDERR_FILENO || (i == STDOUT_FILENO && keeps_output);

        if (!(is_kept && fcntl(i, F_GETFD) >= 0) && dup2(null_fd, i) < 0)
            return -errno;
    }
    if (null_fd > STDERR_FILENO)
        close(null_fd);
    return 0;
}

/* Copies of the descriptors, beyond all numbers that they are to get. Returns 0 or -errno. */
static int copy_above(const int *fds, unsigned n_fds, int *ret_copies)
{
    for (unsigned i = 0; i < n_fds; i++) {
        ret_copies[i] = fds[i];
        if (fds[i] >= 0)
            ret_copies[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1 + (int)n_fds);
        if (fds[i] >= 0 && ret_copies[i] < 0)
            return -errno;
    }
    return 0;
}

int mf_helper_keep_only(int *fds, unsigned n_fds, bool keeps_output)
{
    int copies[MF_HELPER_MAX_FDS];
    int next = STDERR_FILENO + 1;
    int result = n_fds > MF_HELPER_MAX_FDS ? -EINVAL : copy_above(fds, n_fds, copies);

    for (unsigned i = 0; i < n_fds && result == 0; i++) {
        if (copies[i] < 0)
            continue;
        if (dup3(copies[i], next, O_CLOEXEC) < 0)
            return -errno;
        fds[i] = next++;
    }
    if (result == 0)
        result = close_from(next);
    return result < 0 ? result : replace_streams(keeps_output);
}

int mf_helper_mute_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0)
        return -errno;
    /* Those that cannot be set have their default already. */
    for (int i = 1; i <= SIGRTMAX; i++)
        (void)signal(i, SIG_DFL);
    return 0;
}

int mf_helper_reap(pid_t pid, int64_t limit_ns, int *ret_status)
{
    int64_t end_ns = mf_clock_monotonic_ns() + limit_ns;
    struct timespec nap = {.tv_nsec = 50 * MF_NS_PER_US};
    pid_t found;

    while ((found = waitpid(pid, ret_status, WNOHANG)) != pid) {
        if (found < 0 && errno != EINTR)
            return -errno;
        if (mf_clock_monotonic_ns() >= end_ns)
            break;
        (void)nanosleep(&nap, NULL);
        if (nap.tv_nsec < MAX_NAP_NS)
            nap.tv_nsec *= 2;
    }
    if (found == pid)
        return 0;
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 1;
}
