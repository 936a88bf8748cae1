/* The ceiling for latency: a message goes to and fro between two ranks, in blocking calls, which
 * spin. */
#ifndef MF_BENCH_ROUND_TRIPS_H
#define MF_BENCH_ROUND_TRIPS_H

#include <mpi.h>

/**
 * mf_round_trips() - time round trips between ranks 0 and 1 of comm, both of which call it.
 *
 * @message, @bytes  what travels
 * @n                round trips
 *
 * Returns the mean time of one in us.
 */
double mf_round_trips(MPI_Comm comm, void *message, int bytes, int n);

#endif
