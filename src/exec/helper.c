/*
 * Processes forked to help the rank: see helper.h. Called in a process that
 * was just forked and has one thread.
 */
#include "exec/helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

/* What close_range() does, for kernels and sandboxes that do not have it. */
static int close_one_by_one(int kept_fd)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    if (!dir)
        return -errno;
    while ((entry = readdir(dir))) {
        int fd = atoi(entry->d_name);

        if (fd > STDERR_FILENO && fd != kept_fd && fd != dirfd(dir))
            close(fd);
    }
    closedir(dir);
    return 0;
}

static int close_others(int kept_fd)
{
    if ((kept_fd == STDERR_FILENO + 1 ||
         close_range(STDERR_FILENO + 1, (unsigned)kept_fd - 1, 0) == 0) &&
        close_range((unsigned)kept_fd + 1, UINT_MAX, 0) == 0)
        return 0;
    return close_one_by_one(kept_fd);
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

int mf_helper_keep_only(int fd, bool keeps_output)
{
    int kept_fd = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int result;

    if (kept_fd < 0)
        return -errno;
    result = close_others(kept_fd);
    if (result == 0)
        result = replace_streams(keeps_output);
    return result < 0 ? result : kept_fd;
}

int mf_helper_close_all(void)
{
    int result = 0;

    if (close_range(STDERR_FILENO + 1, UINT_MAX, 0) < 0)
        result = close_one_by_one(-1);
    return result < 0 ? result : replace_streams(false);
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
