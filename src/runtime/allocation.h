/*
 * The allocation that this process is in: what the resource manager says of it. Only of
 * Slurm's; elsewhere there is none.
 */
#ifndef MF_RUNTIME_ALLOCATION_H
#define MF_RUNTIME_ALLOCATION_H

#include "base/error.h"

#include <stdint.h>

/**
 * mf_allocation_time_left() - how long the allocation lasts.
 *
 * SLURM_JOB_END_TIME says it, or else squeue, which is run once and given 10 s. Before any thread
 * and before MPI_Init, as it forks.
 *
 * Returns 1 with the time, 0 in no allocation or one without an end, or -errno with a sentence
 * when it cannot be found out.
 */
int mf_allocation_time_left(int64_t *ret_ns, struct mf_error *err);

/**
 * mf_allocation_parse_left() - Slurm's "2-03:04:05", "03:04:05" or "04:05" to nanoseconds.
 *
 * Returns 1, 0 for "UNLIMITED" and "NOT_SET", or -EINVAL; no sentence.
 */
int mf_allocation_parse_left(const char *text, int64_t *ret_ns);

#endif
