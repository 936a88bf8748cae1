/*
 * Workers that the user wants to get no more work: see draining.c. Owned by the
 * requests of a scheduler, in rank 0's only thread.
 */
#ifndef MF_RUNTIME_DRAINING_H
#define MF_RUNTIME_DRAINING_H

#include "control/control.h"
#include "runtime/scheduler_private.h"

struct mf_draining;

/** Returns 0 or -ENOMEM. */
int mf_draining_create(struct mf_draining **ret_draining);

/** NULL is accepted. */
void mf_draining_destroy(struct mf_draining *draining);

/**
 * mf_draining_ask() - give the workers that a request names, by rank or host, no more work.
 *
 * Returns false: the answer comes in a later turn, under the ticket; or true with a reply that
 * says why not.
 */
bool mf_draining_ask(const struct mf_scheduler *scheduler, struct mf_draining *draining,
                     uint64_t ticket, const struct mf_control_request *request,
                     struct mf_control_reply *reply);

/** Looks at some tasks for whether they need such a worker; once at all, drains them and answers.
 * Returns whether it stopped early to be brief. */
bool mf_draining_turn(struct mf_scheduler *scheduler, struct mf_draining *draining,
                      struct mf_control *control);

/** Whether a worker is one that gets work. */
bool mf_draining_is_working(const struct mf_scheduler *scheduler, const struct mf_peer *peer);

#endif
