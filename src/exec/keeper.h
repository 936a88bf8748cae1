/*
 * A process that stands above another one, and ends what that leaves behind
 * when it dies, even if all that it served has died with it. Killed itself, it
 * leaves the other to end everything: of the two one is always left.
 */
#ifndef MF_EXEC_KEEPER_H
#define MF_EXEC_KEEPER_H

#include <signal.h>

/** The kernel says with this one that the keeper is gone. */
#define MF_KEEPER_GONE SIGHUP

/**
 * mf_keeper_split() - put a keeper above the rest of this process.
 *
 * Called in a process that was just forked and has one thread. That process becomes the keeper,
 * and ends as the other one did, once nothing below it is left; the call returns in a new process,
 * which is sent MF_KEEPER_GONE when its parent is not the keeper any more.
 *
 * @scratch  directory of files that is removed in the end, NULL for none
 *
 * Returns 0 or -errno.
 */
int mf_keeper_split(const char *scratch);

#endif
