/*
 * What a node has besides cores: memory and GPUs, as far as this process may
 * use them, and who of the ranks on it gets how much.
 */
#ifndef MF_TOPO_RESOURCES_H
#define MF_TOPO_RESOURCES_H

#include "topo/topo.h"

#include <stdint.h>

/** More GPUs than any node has. */
#define MF_MAX_GPUS 1024

/** The variable that says which GPUs a program may use. */
enum mf_gpu_kind { MF_GPU_CUDA, MF_GPU_ROCR, MF_GPU_HIP, MF_GPU_ZE, MF_GPU_N_KINDS };

/**
 * A GPU.
 *
 * @id      as the variable of its kind names it: "3", "GPU-8932f937-d72c-...", "MIG-..."
 * @kind    which variable that is
 * @number  of its device on the node where that is known, MF_NOWHERE where not;
 *          another one than id where a cgroup hides devices and numbers the rest anew
 * @numa, @package   as in struct mf_topo_device
 */
struct mf_gpu {
    char id[MF_GPU_ID_SIZE];
    enum mf_gpu_kind kind;
    uint32_t number;
    uint32_t numa;
    uint32_t package;
};

/** "CUDA_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", ... */
const char *mf_gpu_variable(enum mf_gpu_kind kind);

/** The largest distance. */
#define MF_GPU_MAX_DISTANCE 3

/**
 * mf_gpu_distance() - how far a GPU is from a core there.
 *
 * Returns 0 for the same NUMA node, 1 for the same package, 2 when it is not
 * known, 3 for another package.
 */
uint32_t mf_gpu_distance(const struct mf_gpu *gpu, uint32_t numa, uint32_t package);

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
 * mf_topo_keep_granted() - no more cores than Slurm has granted to the job on this node.
 *
 * Where Slurm does not confine a job to its processors, it may run anywhere on a node that it
 * shares with other jobs; SLURM_CPUS_ON_NODE says how many it was granted.
 *
 * @n_cores  in: how many there are; out: how many to use
 *
 * Returns whether some were left out: then nobody knows which of the cores are the job's own.
 */
bool mf_topo_keep_granted(const struct mf_core *cores, uint32_t *n_cores);

/**
 * mf_topo_resources() - memory and GPUs that this process may use.
 *
 * Memory is the least of what the machine has, the limits of this process's
 * cgroup (version 1 or 2) and of those above it, and what Slurm gave to the
 * job on a node (SLURM_MEM_PER_NODE; or SLURM_MEM_PER_CPU for each of
 * SLURM_CPUS_ON_NODE). GPUs are those that mf_topo_find_gpus() finds.
 *
 * @root  put before /proc, /sys and /dev; "" for this machine
 *
 * Returns 0 and what mf_topo_resources_finish() frees, or -ENOMEM. What cannot be
 * found out is unknown memory or no GPU.
 */
int mf_topo_resources(const char *root, struct mf_topo_resources *ret_resources);

/**
 * mf_topo_find_gpus() - the GPUs that this process may use, for mf_topo_resources().
 *
 * They are those listed in CUDA_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES,
 * HIP_VISIBLE_DEVICES or ZE_AFFINITY_MASK, the first of these that is set; on a
 * node with the driver of AMD and not that of NVIDIA the first is asked last,
 * since there it numbers what the others leave. Without any, those in
 * GPU_DEVICE_ORDINAL; then SLURM_STEP_GPUS or SLURM_JOB_GPUS, which have the
 * numbers of the node and count from 0 here where Slurm keeps other devices
 * from the job; then one for each /dev/nvidia0, /dev/nvidia1, ..., or for each
 * GPU that the driver of AMD tells of.
 *
 * Adds them to resources that have none. Returns 0 or -ENOMEM.
 */
int mf_topo_find_gpus(const char *root, struct mf_topo_resources *resources);

/**
 * mf_topo_resources_set_gpus() - have so many GPUs, whatever was found.
 *
 * Keeps the first of those found; where there are fewer, they are numbered
 * from 0. Returns 0, -EINVAL above MF_MAX_GPUS, or -ENOMEM.
 */
int mf_topo_resources_set_gpus(struct mf_topo_resources *resources, uint32_t n_gpus);

/**
 * mf_topo_synthetic_gpus() - the GPUs of a machine that is not this one.
 *
 * They are those of one maker, numbered from 0: the first of NVIDIA, AMD and
 * Intel that made any. Adds them to resources that have none.
 *
 * @synthetic  as for mf_topo_devices()
 *
 * Returns 0 or -errno.
 */
int mf_topo_synthetic_gpus(const char *synthetic, struct mf_topo_resources *resources);

/**
 * mf_topo_locate_gpus() - say of each GPU where it is.
 *
 * A GPU is known by the UUID in its id, or by its number among the devices of
 * its maker, in the order of their addresses. One that is not known is nowhere.
 *
 * @root       as for mf_topo_resources(); the driver of NVIDIA tells UUIDs below it
 * @synthetic  as for mf_topo_devices(), which this calls when there are GPUs
 *
 * Returns 0, or -errno with a sentence and all GPUs are nowhere.
 */
int mf_topo_locate_gpus(const char *root, const char *synthetic,
                        struct mf_topo_resources *resources, struct mf_error *err);

/** Frees the GPUs; {0} is accepted. */
void mf_topo_resources_finish(struct mf_topo_resources *resources);

/**
 * mf_topo_share_resources() - split a node's memory and GPUs among the ranks on it.
 *
 * To be called after mf_topo_share(), which says how many slots each has.
 * Memory is that of the rank with the most, in proportion to slots, and no rank
 * gets more than it has itself. Each GPU goes to one worker: one that may use it
 * if there is any, the one with the fewest for its slots; ties go to the lower
 * rank. Which of them each gets is those near its slots; neighbouring GPUs stay
 * together where nothing is known of them.
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
