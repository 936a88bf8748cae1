/* Ending every process below this one. */
#ifndef MF_EXEC_DESCENDANTS_H
#define MF_EXEC_DESCENDANTS_H

#include <stdint.h>

/**
 * mf_descendants_kill() - kill all descendants of this process and reap them.
 *
 * The process must be a subreaper, so that those whose parents die become its
 * children, and must have SIGCHLD blocked.
 *
 * @limit_ns  how long to wait for those that the kernel does not let go
 *
 * Returns 0 when none is left, or -ETIMEDOUT.
 */
int mf_descendants_kill(int64_t limit_ns);

#endif
