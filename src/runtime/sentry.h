/*
 * Who of the peers is still there: by their processes where these are within
 * reach, else by their silence. A process that exists is there however silent
 * it is: it may be stopped, or its machine overloaded. So before one that is
 * out of reach is taken for gone, it is asked for at its door, where another
 * process answers, a few times. One owner, one thread.
 */
#ifndef MF_RUNTIME_SENTRY_H
#define MF_RUNTIME_SENTRY_H

#include "base/life.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_sentry;

/** Which peers silence says something of. */
enum mf_sentry_rule {
    MF_SENTRY_ALL,      /* any: they let hear of them */
    MF_SENTRY_ANSWERING /* those that are answered for: else they may be silent for hours */
};

/** How a peer went: its process has ended for sure, or nothing is heard of it any more. */
enum mf_passing { MF_PASSING_ENDED, MF_PASSING_SILENT };

/**
 * mf_sentry_create() - watch peers 0 to n_peers - 1, none of which is known yet.
 *
 * @loop        tells of ended processes (borrowed, outlives the sentry); NULL for looks that find
 *              out by themselves
 * @silence_ns  how long a peer may be silent whose process is out of reach
 * @rule        which of these
 *
 * Returns 0 or -errno.
 */
int mf_sentry_create(struct mf_loop *loop, uint32_t n_peers, int64_t silence_ns,
                     enum mf_sentry_rule rule, struct mf_sentry **ret_sentry);

/** NULL is accepted. */
void mf_sentry_destroy(struct mf_sentry *sentry);

/** The process of a peer is known: it is watched if it is within reach. */
void mf_sentry_meet(struct mf_sentry *sentry, uint32_t peer, const struct mf_life *life);

/** From now on the peer should not be silent, if that is all there is to go by. */
void mf_sentry_expect(struct mf_sentry *sentry, uint32_t peer);

/** Something came from the peer. */
void mf_sentry_heard(struct mf_sentry *sentry, uint32_t peer);

/** Whether the peer's process is there as far as is known: it is watched, or was answered for. */
bool mf_sentry_vouches(const struct mf_sentry *sentry, uint32_t peer);

/** The peer is not watched any more. */
void mf_sentry_forget(struct mf_sentry *sentry, uint32_t peer);

/**
 * mf_sentry_is_due() - whether a look can tell anything that the one before did not: some
 * milliseconds later, or when a process has ended. Costs next to nothing, for each turn.
 */
bool mf_sentry_is_due(const struct mf_sentry *sentry, int64_t now_ns);

/** The next look is to see all that has happened by then, however little time has passed. */
void mf_sentry_hasten(struct mf_sentry *sentry);

/** Looks who is there, before or after what has come is taken in: it is mf_sentry_next() that must
 * come behind that. */
void mf_sentry_look(struct mf_sentry *sentry, int64_t now_ns);

/**
 * mf_sentry_next() - a peer that has passed.
 *
 * Each is told of once: one that ended is forgotten, one that is silent is not expected any more.
 * Called after a look until there is none, and behind taking in what has come: else one is silent
 * of which there is something that nobody has read.
 *
 * Returns whether there is one.
 */
bool mf_sentry_next(struct mf_sentry *sentry, uint32_t *ret_peer, enum mf_passing *ret_passing);

#endif
