/*
 * How this process was launched: alone, or as a rank of an MPI program. Known
 * from the environment alone, before MPI_Init.
 */
#ifndef MF_RUNTIME_LAUNCH_H
#define MF_RUNTIME_LAUNCH_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * @is_mpi   started as a rank by mpirun or srun: MPI must be initialised
 * @rank     this rank as far as the environment says, 0 otherwise
 * @n_copies processes that the launcher started, 1 when there is no launcher
 * @n_local  how many of them are on this node, 0 when that is not known
 * @is_fragile  by srun, which ends all of them when one dies
 */
struct mf_launch {
    bool is_mpi;
    uint32_t rank;
    uint32_t n_copies;
    uint32_t n_local;
    bool is_fragile;
};

/**
 * mf_launch_detect() - read the launcher's variables.
 *
 * Copies of a program that were started together without an MPI that this
 * program speaks would each run everything: that is refused.
 *
 * Returns 0, or -EINVAL with a sentence that names the flag to use.
 */
int mf_launch_detect(struct mf_launch *ret_launch, struct mf_error *err);

/**
 * mf_launch_verify() - the same after MPI_Init, which may have found fewer ranks than were started.
 *
 * @n_ranks  size of MPI_COMM_WORLD
 */
int mf_launch_verify(const struct mf_launch *launch, uint32_t n_ranks, struct mf_error *err);

#endif
