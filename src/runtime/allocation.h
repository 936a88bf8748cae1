/*
 * The allocation that this process is in: what the resource manager says of it. Only of
 * Slurm's; elsewhere there is none.
 */
#ifndef MF_RUNTIME_ALLOCATION_H
#define MF_RUNTIME_ALLOCATION_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * What a process finds in its environment of the job that it is in.
 *
 * @job         its number (borrowed from the environment), NULL in none
 * @n_nodes     of all its components
 * @n_cpus      that were granted on all of them, 0 when that is not known
 * @n_parts     components of a heterogeneous job, 0 or 1 in any other
 * @is_in_step  srun has started this process; not of the batch script, nor of salloc's shell
 * @is_on_node  it runs on a node of the job; salloc's shell may be elsewhere
 */
struct mf_allocation {
    const char *job;
    uint32_t n_nodes;
    uint32_t n_cpus;
    uint32_t n_parts;
    bool is_in_step;
    bool is_on_node;
};

/** The number in SLURM_STEP_ID that Slurm gives to the shell of salloc on the first node. */
#define MF_ALLOCATION_INTERACTIVE_STEP "4294967290"

/**
 * mf_allocation_find() - what the environment says of the allocation.
 *
 * Returns 1, 0 in none, or -EINVAL with a sentence about a variable that makes no sense.
 */
int mf_allocation_find(struct mf_allocation *ret_allocation, struct mf_error *err);

/**
 * mf_allocation_part_of() - the component of a heterogeneous job that a node is in.
 *
 * Returns its number from 0; -1 where the job is not heterogeneous, or nothing says it.
 */
int mf_allocation_part_of(const char *node);

/**
 * mf_allocation_has_node() - whether a list of nodes as Slurm writes it, such as
 * "login,n[08-11,13]-ib,x1", has this one.
 */
bool mf_allocation_has_node(const char *list, const char *node);

/** Adds up "2(x3),1", as SLURM_JOB_CPUS_PER_NODE has it. Returns 0 or -EINVAL; no sentence. */
int mf_allocation_parse_cpus(const char *text, uint32_t *ret_n_cpus);

/**
 * Where there is this variable it says when the allocation ends, in seconds since 1970, or "none":
 * whoever started this process has found it out.
 */
#define MF_ALLOCATION_END_VARIABLE "MPIFARM_JOB_END"

/**
 * mf_allocation_time_left() - how long the allocation lasts.
 *
 * SLURM_JOB_END_TIME says it, or else squeue, which is run once and given 10 s; also when that time
 * has passed, as a job may have got more. Before any thread and before MPI_Init, as it forks.
 *
 * Returns 1 with the time, below 0 once it is over; 0 in no allocation or one without an end;
 * -ECHILD with a sentence when Slurm knows no such job, or another -errno with one when it cannot
 * be found out.
 */
int mf_allocation_time_left(int64_t *ret_ns, struct mf_error *err);

/**
 * mf_allocation_parse_left() - Slurm's "2-03:04:05", "03:04:05" or "04:05" to nanoseconds.
 *
 * Returns 1, 0 for "UNLIMITED" and "NOT_SET", or -EINVAL; no sentence.
 */
int mf_allocation_parse_left(const char *text, int64_t *ret_ns);

#endif
