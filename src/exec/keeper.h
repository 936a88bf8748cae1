/*
 * A process that stands above another one, and ends what that leaves behind
 * when it dies, even if all that it served has died with it. Killed itself, it
 * leaves the other to end everything: of the two one is always left. It also
 * answers for the process that it was forked from, which may be too busy.
 */
#ifndef MF_EXEC_KEEPER_H
#define MF_EXEC_KEEPER_H

#include "base/knock.h"

#include <signal.h>
#include <sys/types.h>

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
 * @door     of the parent of this process, with its socket door_fd; NULL for none
 *
 * Returns 0 or -errno.
 */
int mf_keeper_split(const char *scratch, const struct mf_door *door, int door_fd);

/**
 * mf_keeper_fork() - start a keeper that has nobody below it, and only answers.
 *
 * Before MPI_Init and any thread. Returns its process, which ends after this one, or -errno.
 */
pid_t mf_keeper_fork(const struct mf_door *door, int door_fd);

#endif
