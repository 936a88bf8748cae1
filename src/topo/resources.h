/*
 * What a node has besides cores: memory and GPUs, as far as this process may
 * use them, and who of the ranks on it gets how much.
 */
#ifndef MF_TOPO_RESOURCES_H
#define MF_TOPO_RESOURCES_H

#include "topo/topo.h"

#include <stdint.h>

/** Bytes of a GPU's id with its NUL; the longest in use, of parts of a GPU, has 58. */
#define MF_GPU_ID_SIZE 80

/** More GPUs than any node has. */
#define MF_MAX_GPUS 1024

/** A GPU as CUDA_VISIBLE_DEVICES names it: "3", "GPU-8932f937-d72c-...". */
struct mf_gpu {
    char id[MF_GPU_ID_SIZE];
};

/**
 * @mem_bytes  memory, 0 when unknown
 * @gpus       n_gpus different ones; owned
 */
struct mf_topo_resources {
    uint64_t mem_bytes;
    struct mf_gpu *gpus;
    uint32_t n_gpus;
};

/**
 * mf_topo_resources() - memory and GPUs that this process may use.
 *
 * Memory is the least of what the machine has, the limits of this process's
 * cgroup (version 1 or 2) and of those above it, and what Slurm gave to the
 * job on a node (SLURM_MEM_PER_NODE; or SLURM_MEM_PER_CPU for each of
 * SLURM_CPUS_ON_NODE). GPUs are those listed in CUDA_VISIBLE_DEVICES, if it is
 * set; else in GPU_DEVICE_ORDINAL, SLURM_STEP_GPUS or SLURM_JOB_GPUS; else one
 * for each /dev/nvidia0, /dev/nvidia1, ...
 *
 * @root  put before /proc, /sys and /dev; "" for this machine
 *
 * Returns 0 and what mf_topo_resources_finish() frees, or -ENOMEM. What cannot be
 * found out is unknown memory or no GPU.
 */
int mf_topo_resources(const char *root, struct mf_topo_resources *ret_resources);

/**
 * mf_topo_resources_set_gpus() - have so many GPUs, whatever was found.
 *
 * Keeps the first of those found; where there are fewer, they are numbered
 * from 0. Returns 0, -EINVAL above MF_MAX_GPUS, or -ENOMEM.
 */
int mf_topo_resources_set_gpus(struct mf_topo_resources *resources, uint32_t n_gpus);

/** Frees the GPUs; {0} is accepted. */
void mf_topo_resources_finish(struct mf_topo_resources *resources);

/**
 * mf_topo_share_resources() - split a node's memory and GPUs among the ranks on it.
 *
 * To be called after mf_topo_share(), which says how many slots each has.
 * Memory is that of the rank with the most, in proportion to slots, and no rank
 * gets more than it has itself. Each GPU goes to one worker: one that may use it
 * if there is any, the one with the fewest for its slots; ties go to the lower
 * rank, and neighbouring GPUs stay together.
 *
 * @ranks   n_ranks of one node; has of each says what it may use, mem_bytes and
 *          gpus are set here
 * @split   of the same node; owns the GPUs then
 *
 * Returns 0 or -ENOMEM.
 */
int mf_topo_share_resources(struct mf_topo_rank *ranks, uint32_t n_ranks,
                            struct mf_topo_split *split);

#endif
