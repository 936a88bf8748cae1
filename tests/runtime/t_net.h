/*
 * A network in one process and on a virtual clock, between a scheduler (rank 0)
 * and workers: what one sends arrives later, in order and once, as with MPI.
 *
 * Only a death disturbs that. The last frames of the dead may never arrive,
 * earlier ones may arrive again and in another order, and what is sent to it is
 * lost without a word.
 */
#ifndef T_NET_H
#define T_NET_H

#include "base/rng.h"
#include "transport/transport.h"

struct t_net;

/** @now_ns the virtual clock (borrowed); @n_ranks with the scheduler */
struct t_net *t_net_create(uint32_t n_ranks, uint64_t seed, const int64_t *now_ns);
void t_net_destroy(struct t_net *net);

/** The end of a rank; the net's. */
struct mf_transport *t_net_end(struct t_net *net, uint32_t rank);

/** From now on this rank sends and receives nothing. */
void t_net_kill(struct t_net *net, uint32_t rank);

/** When the next frame arrives at a rank; INT64_MAX if none is on its way. */
int64_t t_net_next_ns(const struct t_net *net, uint32_t rank);

#endif
