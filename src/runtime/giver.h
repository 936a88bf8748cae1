/*
 * Giving nodes of a Slurm job back while it runs: a small process beside rank 0, forked before
 * MPI_Init, that runs scontrol when it is told to. A rank may not fork after that, and is not to
 * wait for a controller that is busy.
 */
#ifndef MF_RUNTIME_GIVER_H
#define MF_RUNTIME_GIVER_H

#include "base/loop.h"

struct mf_giver;

/** Hears how it went: why NULL, or a sentence of why the nodes are still the job's. */
typedef void (*mf_giver_fn)(void *arg, const char *why);

/** Before MPI_Init and any thread. Returns 0 or -errno. */
int mf_giver_fork(struct mf_giver **ret_giver);

/** Whom to tell, from within the loop. Returns 0 or -errno. */
int mf_giver_listen(struct mf_giver *giver, struct mf_loop *loop, mf_giver_fn fn, void *arg);

/** Gives back nodes, by their names with blanks between; fn hears of it. Returns 0 or -errno. */
int mf_giver_give(struct mf_giver *giver, const char *hosts);

/** Whether the scheduler may not do without a node: that of the batch script, or of no such job. */
bool mf_giver_must_keep(const char *host);

/** Ends the process; NULL is accepted. */
void mf_giver_destroy(struct mf_giver *giver);

#endif
