/*
 * The cores of a node, and who gets which. The only user of hwloc.
 *
 * A *core* here is what one slot is pinned to: a physical core with those of
 * its hardware threads that the process may use.
 */
#ifndef MF_TOPO_TOPO_H
#define MF_TOPO_TOPO_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/** Most hardware threads of one core. */
#define MF_CORE_MAX_CPUS 8

/**
 * @cpus     n_cpus operating-system numbers of its hardware threads, ascending;
 *           cpus[0] names the core on its node
 * @numa     number of its NUMA node, 0 when there is one only
 * @package  number of its package (socket)
 * @cache    lowest hardware thread among those that share its last cache;
 *           MF_NOWHERE when it shares none
 */
struct mf_core {
    uint32_t n_cpus;
    uint32_t cpus[MF_CORE_MAX_CPUS];
    uint32_t numa;
    uint32_t package;
    uint32_t cache;
};

/** In place of a number of a part of the machine: not known, or in no one of them. */
#define MF_NOWHERE UINT32_MAX

/** Bytes of a PCI address such as "0000:3b:00.0" with its NUL. */
#define MF_BUS_ID_SIZE 24

/** Bytes of a GPU's id with its NUL; the longest in use, of parts of a GPU, has 58. */
#define MF_GPU_ID_SIZE 80

/**
 * A GPU as the PCI bus has it.
 *
 * @vendor   number of its maker: MF_VENDOR_NVIDIA, ...
 * @uuid     "GPU-8932f937-d72c-...", "" when not known
 * @numa, @package   where the cores next to it are, MF_NOWHERE when they are in several
 */
struct mf_topo_device {
    uint32_t vendor;
    char bus[MF_BUS_ID_SIZE];
    char uuid[MF_GPU_ID_SIZE];
    uint32_t numa;
    uint32_t package;
};

enum { MF_VENDOR_AMD = 0x1002, MF_VENDOR_NVIDIA = 0x10de, MF_VENDOR_INTEL = 0x8086 };

/**
 * mf_topo_cores() - the cores that this process may use (affinity and cgroup).
 *
 * @synthetic  what to use in place of this machine: an hwloc synthetic
 *             description such as "pack:2 numa:1 core:4 pu:2", or the name of
 *             an XML file that lstopo wrote, ending in ".xml"; or NULL
 *
 * Returns 0 and n_cores cores in hwloc's logical order (neighbours share
 * caches), a heap block that the caller frees; or -errno with a sentence.
 */
int mf_topo_cores(const char *synthetic, struct mf_core **ret_cores, uint32_t *ret_n_cores,
                  struct mf_error *err);

/**
 * mf_topo_devices() - the GPUs on the PCI bus, and the cores next to them.
 *
 * Takes much longer than mf_topo_cores(), so it is for nodes that have GPUs.
 *
 * @synthetic  as for mf_topo_cores()
 *
 * Returns 0 and n_devices devices in the order of their addresses, a heap block
 * that the caller frees; or -errno with a sentence.
 */
int mf_topo_devices(const char *synthetic, struct mf_topo_device **ret_devices,
                    uint32_t *ret_n_devices, struct mf_error *err);

/** How many slots a node has: -j, with GNU Parallel's forms. */
struct mf_jobs {
    enum { MF_JOBS_PERCENT, MF_JOBS_COUNT, MF_JOBS_PLUS, MF_JOBS_MINUS } kind;
    uint32_t value;
};

/** "8", "+2", "-1", "50%", "0" (as many as there are cores); returns 0 or -EINVAL. */
int mf_jobs_parse(const char *text, struct mf_jobs *ret_jobs, struct mf_error *err);

/** Slots of a node with n_cores cores; at least 1. */
uint32_t mf_jobs_slots(const struct mf_jobs *jobs, uint32_t n_cores);

struct mf_gpu;
struct mf_topo_resources;

/**
 * One rank of a node, for mf_topo_share() and mf_topo_share_resources().
 *
 * @is_worker   whether it gets slots; a rank that does not still brings cores
 * @cores, @n_cores   those it may use (borrowed)
 * @has         memory and GPUs that it may use, NULL for none (borrowed)
 * @first_slot  out: number of its first slot on the node, from 1
 * @n_slots     out: how many slots it gets
 * @slot_cores  out: n_slots indexes into pool, the core of each slot
 * @mem_bytes   out: its share of the memory, 0 when unknown
 * @gpus        out: n_gpus that are its own, in the split
 */
struct mf_topo_rank {
    bool is_worker;
    const struct mf_core *cores;
    uint32_t n_cores;
    const struct mf_topo_resources *has;
    uint32_t first_slot;
    uint32_t n_slots;
    uint32_t *slot_cores;
    uint64_t mem_bytes;
    const struct mf_gpu *gpus;
    uint32_t n_gpus;
};

/** The cores of a node, each once, and the slots and GPUs of each rank. */
struct mf_topo_split {
    struct mf_core *pool;
    uint32_t n_pool;
    uint32_t *slot_cores;
    struct mf_gpu *gpus;
};

/**
 * mf_topo_share() - split a node's cores and slots among the ranks on it.
 *
 * The pool is the union of the cores of all its ranks. Each core goes to one
 * worker: one that may use it if there is any, the one with the fewest so far
 * (a core that only a rank without slots may use goes to the worker with the
 * fewest); neighbouring cores stay together where that is fair. Slots are
 * shared evenly, cores in turn when there are more slots than cores; where
 * there are more workers than slots, every worker still gets one.
 *
 * @ranks  n_ranks of one node, their outputs set here; slot_cores of each
 *         points into the split
 *
 * Returns 0, -EINVAL when there is no worker or no core, or -ENOMEM.
 */
int mf_topo_share(struct mf_topo_rank *ranks, uint32_t n_ranks, const struct mf_jobs *jobs,
                  struct mf_topo_split *ret_split);

/** Frees what share allocated; {0} is accepted. */
void mf_topo_split_finish(struct mf_topo_split *split);

#endif
