/*
 * Tasks that the user withdraws from a running farm: see cancelling.c. Owned by
 * the requests of a scheduler, in rank 0's only thread.
 */
#ifndef MF_RUNTIME_CANCELLING_H
#define MF_RUNTIME_CANCELLING_H

#include "control/control.h"
#include "runtime/scheduler_private.h"

struct mf_cancelling;

/** @first_row  of this run in the journal. Returns 0 or -ENOMEM. */
int mf_cancelling_create(uint64_t first_row, struct mf_cancelling **ret_cancelling);

/** NULL is accepted. */
void mf_cancelling_destroy(struct mf_cancelling *cancelling);

/**
 * mf_cancelling_ask() - withdraw the tasks that a request names.
 *
 * Returns false: the answer comes in a later turn, under the ticket; or true with a reply that
 * says why not.
 */
bool mf_cancelling_ask(struct mf_cancelling *cancelling, uint64_t ticket,
                       const struct mf_control_request *request, struct mf_control_reply *reply);

/** The same of a request that was answered under the scheduler before. Returns 0 or -errno. */
int mf_cancelling_recall(struct mf_cancelling *cancelling,
                         const struct mf_control_request *request);

/** Looks for some of them, and answers who asked once all were looked for. Returns whether it
 * stopped early to be brief. */
bool mf_cancelling_turn(struct mf_scheduler *scheduler, struct mf_cancelling *cancelling,
                        struct mf_control *control);

/** At the end of the run: says how many were never found. */
void mf_cancelling_warn(const struct mf_scheduler *scheduler,
                        const struct mf_cancelling *cancelling);

/** A task's id; NULL where it cannot be told any more. Borrowed until the next look at a task. */
const char *mf_cancelling_id(struct mf_scheduler *scheduler, const struct mf_task *task);

#endif
