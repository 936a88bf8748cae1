/*
 * What the files of a rank share:
 *
 *     rank_start.c    its start
 *     rank_signals.c  signals that it gets
 *     rank.c          its loop, as a worker or as the scheduler, and its end
 */
#ifndef MF_RUNTIME_RANK_PRIVATE_H
#define MF_RUNTIME_RANK_PRIVATE_H

#include "runtime/rank.h"

#include "wire/message.h"

/** From now on signals are kept for the loop. Returns 0 or -errno. */
int mf_rank_take_signals(struct mf_rank *rank);

/** They are heard, by the loop that there is now. Returns 0 or -errno. */
int mf_rank_watch_signals(struct mf_rank *rank);

/**
 * A rank that has taken over stops the run by signals that came while it was a worker. The first of
 * them may have been known to the scheduler before.
 */
void mf_rank_take_up_signals(struct mf_rank *rank);

/** Sends the same to all other ranks. Returns 0 or the first -errno. */
int mf_rank_tell_workers(struct mf_rank *rank, const struct mf_message *message);

#endif
