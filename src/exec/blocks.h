/*
 * Blocks of bytes in the shared memory of a node, and those of them that
 * functions of this process can read. One owner, one thread.
 *
 * A block is memory without a name in any file system: the kernel frees it with
 * the last process that has it, however that ends. Another process of the node
 * opens it as /proc/PID/fd/FD while the process that made it, or one that has
 * opened it, keeps it open.
 *
 * MPI_Win_allocate_shared() is not used for it: that is collective, so that a rank
 * that died would hang the others; and executor processes, which are forked before
 * MPI_Init, are no ranks and could not reach such memory.
 */
#ifndef MF_EXEC_BLOCKS_H
#define MF_EXEC_BLOCKS_H

#include <mpifarm/mpifarm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A process of this node that has a block open, and a number that no other block has. */
struct mf_block_place {
    uint32_t pid;
    uint32_t fd;
    uint64_t key;
};

_Static_assert(sizeof(struct mf_block_place) == 16, "travels as it stands");

/**
 * mf_block_create() - make a block.
 *
 * @data  size bytes, at least 1; copied
 *
 * Returns 0 with its place, the descriptor of which is the caller's; -ENOMEM or what the system
 * says.
 */
int mf_block_create(const void *data, size_t size, struct mf_block_place *ret_place);

/**
 * mf_block_open() - a descriptor, the caller's, to read a block of some process.
 *
 * @size  at least 1; the block has that many bytes, or more
 *
 * Returns it; -ENOENT when that process does not have that block, or is not in sight; -EINVAL if it
 * is shorter; or what the system says.
 */
int mf_block_open(const struct mf_block_place *place, size_t size);

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
 * Returns 0, -EEXIST if there is a block of that number, -ENOMEM, or what mf_block_open() does.
 */
int mf_blocks_attach(struct mf_blocks *blocks, mpifarm_block block,
                     const struct mf_block_place *place, size_t size);

/** The same from a descriptor of the block (borrowed), which is not needed any more then. */
int mf_blocks_attach_fd(struct mf_blocks *blocks, mpifarm_block block, int fd, size_t size);

/** Unmaps one; an unknown one is ignored. */
void mf_blocks_drop(struct mf_blocks *blocks, mpifarm_block block);

/** Lets nobody find a block any more, and keeps it mapped for who has found it, until the sweep. */
void mf_blocks_retire(struct mf_blocks *blocks, mpifarm_block block);

/** Unmaps the retired ones. */
void mf_blocks_sweep(struct mf_blocks *blocks);

/** The bytes of a block, or NULL. */
const void *mf_blocks_find(const struct mf_blocks *blocks, mpifarm_block block, size_t *ret_size);

#endif
