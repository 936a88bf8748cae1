/* What the processes that a rank forks to help it let go of: files and signals of the rank. */
#ifndef MF_EXEC_HELPER_H
#define MF_EXEC_HELPER_H

#include <signal.h>
#include <stdbool.h>

/**
 * mf_helper_keep_only() - close all that the rank had open, but fd and standard error.
 *
 * Standard input becomes /dev/null, and so does standard output unless it is
 * kept, and whatever of the three was not open.
 *
 * Returns the new number of fd, above standard error, or -errno.
 */
int mf_helper_keep_only(int fd, bool keeps_output);

/** Closes all that the rank had open, but standard error; the rest of the three becomes /dev/null.
 * Returns 0 or -errno. */
int mf_helper_close_all(void);

/** Blocks all signals and gives each its default action. Returns 0 or -errno. */
int mf_helper_mute_signals(void);

#endif
