/*
 * Memory that functions use in executor processes: what these and their
 * children have beyond what the process had when the function began. So what
 * modules and earlier functions have left in the process is not charged to it,
 * and what it uses of that again is not seen.
 */
#ifndef MF_EXEC_MEMORY_WATCH_H
#define MF_EXEC_MEMORY_WATCH_H

#include "exec/memory.h"

/**
 * One process; {0} watches none.
 *
 * @pid          leader of its process group
 * @limit_bytes  most that it may get
 * @base_bytes, @exact_base_bytes   what it had: resident, and with shared pages divided
 * @used_bytes   out: what it has got
 * @is_over      out: that is more than the limit
 */
struct mf_memory_watch {
    pid_t pid;
    uint64_t limit_bytes;
    uint64_t base_bytes;
    uint64_t exact_base_bytes;
    uint64_t used_bytes;
    bool is_over;
    struct mf_memory_trend trend;
};

/** Watches the process from now on. What is gone had nothing. */
void mf_memory_watch_begin(struct mf_memory_watch *watch, const char *proc, pid_t pid,
                           uint64_t limit_bytes, int64_t now_ns);

/**
 * mf_memory_watch_look() - look at some processes.
 *
 * @proc      "/proc"
 * @watches   n of different processes
 * @now_ns    monotonic
 * @ret_wait_ns  how long to wait for the next look
 *
 * One or two passes over the processes of the node. Returns 0, or -errno and
 * nothing is known.
 */
int mf_memory_watch_look(const char *proc, struct mf_memory_watch *const *watches, uint32_t n,
                         int64_t now_ns, int64_t *ret_wait_ns);

#endif
