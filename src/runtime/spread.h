/*
 * A command that has room on several nodes, or that is several ranks: what it is started as, and
 * what it is told.
 *
 * With ranks= the command itself is started so many times, as the ranks of one MPI program: by
 * srun in a job of Slurm, by Open MPI's mpirun elsewhere. With nodes= alone it is started once,
 * and launches on the other nodes what it likes. Both find in their environment
 *
 *     MPIFARM_HOSTFILE   a file with a line "HOST slots=N" for each node, the own one first
 *     MPIFARM_NODES      how many these are
 *     MPIFARM_RANKS      with ranks=: how many ranks there are
 *     MPIFARM_SPREAD     a name that its processes are known by, wherever they are
 *
 * GPUs have other numbers on each node, and launchers hand on what is set on the first, or set what
 * they think right. So each rank is begun by a shell that knows what goes for its node.
 */
#ifndef MF_RUNTIME_SPREAD_H
#define MF_RUNTIME_SPREAD_H

#include "base/buffer.h"
#include "base/command.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Where a command may run.
 *
 * @hosts      n_hosts names, that of the node where it is started first
 * @gpus       for each of them the variable that names those GPUs which it has there, such as
 *             "CUDA_VISIBLE_DEVICES=0,1", or NULL
 * @parts      for each of them the component of a heterogeneous job that it is in, below n_parts;
 *             NULL in any other
 * @n_slots    cores that it has on each of them
 * @hostfile   name of the file for MPIFARM_HOSTFILE
 * @name       for MPIFARM_SPREAD
 * @has_slurm  it is in a job of Slurm
 * @has_mpi_type  and the user has said there which kind of MPI srun is to speak (SLURM_MPI_TYPE)
 * @has_omp    OMP_NUM_THREADS is set by the user
 */
struct mf_spread {
    const char *const *hosts;
    const char *const *gpus;
    const uint32_t *parts;
    uint32_t n_parts;
    uint32_t n_hosts;
    uint32_t n_slots;
    const char *hostfile;
    const char *name;
    bool has_slurm;
    bool has_mpi_type;
    bool has_omp;
};

/** Whether commands of this rank find which kind of MPI srun is to speak in SLURM_MPI_TYPE. */
bool mf_spread_is_mpi_type_set(void);

/** Appends the text of the host file: with ranks, those of each host, else the cores there. */
void mf_spread_print_hosts(const struct mf_command *command, const struct mf_spread *spread,
                           struct mf_buffer *text);

/**
 * mf_spread_encode() - append the command as it is to be executed, encoded.
 *
 * @command  as its author wrote it
 *
 * Returns 0 or -ENOMEM.
 */
int mf_spread_encode(const struct mf_command *command, const struct mf_spread *spread,
                     struct mf_buffer *buffer);

#endif
