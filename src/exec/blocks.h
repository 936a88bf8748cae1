/*
 * The blocks of shared memory that functions of this process can read. They
 * are made by who stores them (runtime/server.h); here they are mapped. One
 * owner, one thread.
 */
#ifndef MF_EXEC_BLOCKS_H
#define MF_EXEC_BLOCKS_H

#include <mpifarm/mpifarm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_attached_block {
    mpifarm_block block;
    const void *data;
    size_t size;
    bool is_retired;
};

/** Starts as {0}. */
struct mf_blocks {
    struct mf_attached_block *items;
    uint32_t n_items;
    uint32_t n_retired;
};

/** Unmaps all. */
void mf_blocks_finish(struct mf_blocks *blocks);

/**
 * mf_blocks_attach() - map a block to read it.
 *
 * @name  that shm_open() knows
 * @size  at least 1; the shared memory has that many bytes, or more
 *
 * Returns 0, -EEXIST if there is a block of that number, -EINVAL if the shared memory is shorter,
 * -ENOMEM or what the system says.
 */
int mf_blocks_attach(struct mf_blocks *blocks, mpifarm_block block, const char *name, size_t size);

/** The same from a descriptor of the shared memory (borrowed). */
int mf_blocks_attach_fd(struct mf_blocks *blocks, mpifarm_block block, int fd, size_t size);

/** A descriptor of shared memory that has size bytes or more, the caller's; or errors as above. */
int mf_block_open(const char *name, size_t size);

/** Unmaps one; an unknown one is ignored. */
void mf_blocks_drop(struct mf_blocks *blocks, mpifarm_block block);

/** Lets nobody find a block any more, and keeps it mapped for who has found it, until the sweep. */
void mf_blocks_retire(struct mf_blocks *blocks, mpifarm_block block);

/** Unmaps the retired ones. */
void mf_blocks_sweep(struct mf_blocks *blocks);

/** The bytes of a block, or NULL. */
const void *mf_blocks_find(const struct mf_blocks *blocks, mpifarm_block block, size_t *ret_size);

#endif
