/* What the kernel tells of a process in /proc/PID/stat. No state. */
#ifndef MF_BASE_PROCESS_STAT_H
#define MF_BASE_PROCESS_STAT_H

#include <stdint.h>
#include <sys/types.h>

/**
 * @state    a letter: 'R' runs, 'S' and 'D' wait, 'T' is stopped, 'Z' has ended and was not reaped
 * @parent   its parent, 0 for one in another namespace
 * @started  when it began, in clock ticks since the boot
 */
struct mf_process_stat {
    char state;
    pid_t parent;
    uint64_t started;
};

/**
 * mf_process_stat_read() - how a process stands now.
 *
 * Returns 0, or -errno: -ENOENT or -ESRCH there is none of that number, -EBADMSG the kernel tells
 * something else.
 */
int mf_process_stat_read(pid_t pid, struct mf_process_stat *ret_stat);

#endif
