/*
 * What the processes that a rank forks to help it let go of: files and signals of the rank. And how
 * the rank waits for the end of one.
 */
#ifndef MF_EXEC_HELPER_H
#define MF_EXEC_HELPER_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** Descriptors that can be kept. */
#define MF_HELPER_MAX_FDS 4

/**
 * mf_helper_keep_only() - close all that the rank had open, but some descriptors and standard
 * error.
 *
 * Standard input becomes /dev/null, and so does standard output unless it is
 * kept, and whatever of the three was not open.
 *
 * @fds  n_fds descriptors, some of which may be -1; what they are now, above standard error, is
 *       written here
 *
 * Returns 0, or -errno, and what is open then is not known.
 */
int mf_helper_keep_only(int *fds, unsigned n_fds, bool keeps_output);

/** Blocks all signals and gives each its default action. Returns 0 or -errno. */
int mf_helper_mute_signals(void);

/**
 * mf_helper_reap() - wait for the end of a child, which is killed after limit_ns nanoseconds.
 *
 * Whatever holds it up, being stopped above all, the rank is not held up for longer.
 *
 * Returns 0 when it has ended, 1 when it had to be killed, or -errno.
 */
int mf_helper_reap(pid_t pid, int64_t limit_ns, int *ret_status);

#endif
