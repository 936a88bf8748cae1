/*
 * Who has not been heard of for too long: bookkeeping only, times are inputs.
 *
 * Time counts while we listen. Whoever was stopped, or busy elsewhere, has not
 * listened meanwhile, and finds nobody silent when it is back: what the others
 * have sent is waiting then.
 */
#ifndef MF_RUNTIME_VIGIL_H
#define MF_RUNTIME_VIGIL_H

#include <stdbool.h>
#include <stdint.h>

struct mf_vigil;

/** No peer. */
#define MF_VIGIL_NOBODY UINT32_MAX

/**
 * mf_vigil_create() - keep a vigil over peers 0 to n_peers - 1, none of which is expected yet.
 *
 * @silence_ns  how long one may be silent
 *
 * Returns 0 or -ENOMEM.
 */
int mf_vigil_create(uint32_t n_peers, int64_t silence_ns, struct mf_vigil **ret_vigil);

/** NULL is accepted. */
void mf_vigil_destroy(struct mf_vigil *vigil);

/** From now on the peer is expected to be heard of. */
void mf_vigil_begin(struct mf_vigil *vigil, uint32_t peer);

/** From now on it is not. */
void mf_vigil_end(struct mf_vigil *vigil, uint32_t peer);

/** Whether the peer is expected. */
bool mf_vigil_expects(const struct mf_vigil *vigil, uint32_t peer);

/** The peer is there. */
void mf_vigil_heard(struct mf_vigil *vigil, uint32_t peer);

/** How long the peer has been silent, as time counts here; 0 if it is not expected. */
int64_t mf_vigil_silence_ns(const struct mf_vigil *vigil, uint32_t peer);

/** Whoever listens looks now, before or after what has come is taken in. */
void mf_vigil_look(struct mf_vigil *vigil, int64_t now_ns);

/**
 * mf_vigil_next() - a peer that has been silent for too long.
 *
 * It is not expected any more then. Called behind taking in what had come by the last look, until
 * there is nobody; O(peers) a few times in the
 * time that one may be silent, else O(1).
 *
 * Returns its number or MF_VIGIL_NOBODY.
 */
uint32_t mf_vigil_next(struct mf_vigil *vigil);

#endif
