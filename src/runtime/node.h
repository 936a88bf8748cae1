/*
 * What ranks tell each other about their nodes: HELLO carries the cores, memory
 * and GPUs that a rank may use, WELCOME its share of its node as slots and GPUs,
 * HOOKS what it is to run there once.
 */
#ifndef MF_RUNTIME_NODE_H
#define MF_RUNTIME_NODE_H

#include "base/buffer.h"
#include "base/command.h"
#include "exec/executor.h"
#include "topo/resources.h"
#include "topo/stock.h"
#include "topo/topo.h"

#include <stdbool.h>
#include <stdint.h>

/** Bytes of a host's name with its NUL, as in MF_MESSAGE_HELLO. */
#define MF_HOST_SIZE 256

/** This node's name as the system has it, unique among the nodes of a run. */
void mf_node_host(char host[MF_HOST_SIZE]);

/** Its name as launchers have it: in a job of Slurm that of Slurm, else as mf_node_host(). */
void mf_node_name(char name[MF_HOST_SIZE]);

/** Appends the cores of a rank. */
void mf_node_encode_cores(const struct mf_core *cores, uint32_t n_cores, struct mf_buffer *buffer);

/** Reads them; returns 0 with a heap block that the caller frees, -EBADMSG or -ENOMEM. */
int mf_node_decode_cores(const void *data, size_t size, struct mf_core **ret_cores,
                         uint32_t *ret_n_cores);

/** Appends what a rank has, the payload of a HELLO of `mpifarm run`. */
void mf_node_encode_offer(const struct mf_core *cores, uint32_t n_cores,
                          const struct mf_topo_resources *resources, struct mf_buffer *buffer);

/**
 * What a rank has; cores are a heap block.
 *
 * @is_unconfined  it was granted as many cores, but not told which: it pins nothing. Not told to
 *                 others
 */
struct mf_offer {
    struct mf_core *cores;
    uint32_t n_cores;
    struct mf_topo_resources resources;
    bool is_unconfined;
};

/** As many GPUs as are found. */
#define MF_GPUS_FOUND UINT32_MAX

/**
 * mf_node_look() - what this process may use of its node.
 *
 * @synthetic  a machine to use in place of this one, or NULL: see mf_topo_cores();
 *             it has the GPUs of its file, and no memory
 * @n_gpus     how many GPUs it has, whatever is found there; MF_GPUS_FOUND otherwise
 *
 * Returns 0 and what mf_offer_finish() frees, or -errno with a sentence.
 */
int mf_node_look(const char *synthetic, uint32_t n_gpus, struct mf_offer *ret_offer,
                 struct mf_error *err);

/** Reads it; returns 0 and what mf_offer_finish() frees, -EBADMSG or -ENOMEM. */
int mf_node_decode_offer(const void *data, size_t size, struct mf_offer *ret_offer);

/** Frees what decode allocated; {0} is accepted. */
void mf_offer_finish(struct mf_offer *offer);

/** How many ranks of a farm share how many cores of a node, as they are bound; zeros: unknown. */
struct mf_sharing {
    uint32_t n_ranks;
    uint32_t n_cores;
};

/**
 * What WELCOME says; places of the n_slots slots. A worker of function tasks has no GPUs. With
 * `suspends`, the scheduler may take the slots of an attempt that runs for another one.
 */
struct mf_welcome {
    char *run_dir;
    bool suspends;
    struct mf_slot *slots;
    struct mf_place *places;
    uint32_t n_slots;
    struct mf_gpu *gpus;
    uint32_t n_gpus;
};

/**
 * mf_node_encode_welcome() - the payload of WELCOME for one rank.
 *
 * @rank      its share
 * @split     of its node
 * @pin       false leaves the slots without processors
 * @suspends  attempts may be suspended
 */
void mf_node_encode_welcome(const char *run_dir, const struct mf_topo_rank *rank,
                            const struct mf_topo_split *split, bool pin, bool suspends,
                            struct mf_buffer *buffer);

/** Reads it; returns 0 and what mf_welcome_finish() frees, -EBADMSG or -ENOMEM. */
int mf_node_decode_welcome(const void *data, size_t size, struct mf_welcome *ret_welcome);

/** Frees what decode allocated; {0} is accepted. */
void mf_welcome_finish(struct mf_welcome *welcome);

/** Appends a command to the payload of HOOKS; `is_stop` is for the end of the worker. */
void mf_node_put_hook(bool is_stop, const struct mf_command *command, struct mf_buffer *buffer);

/** Reads one: the encoded command, in the reader's bytes. The reader may have failed then. */
const uint8_t *mf_node_get_hook(struct mf_reader *reader, bool *ret_is_stop, size_t *ret_size);

#endif
