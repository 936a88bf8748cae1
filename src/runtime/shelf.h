/*
 * The blocks that this rank has stored in the memory of its node (exec/blocks.h),
 * for itself and the other ranks there: kept open so that these can find them.
 * One owner, one thread.
 */
#ifndef MF_RUNTIME_SHELF_H
#define MF_RUNTIME_SHELF_H

#include "base/list.h"
#include "exec/blocks.h"

#include <stddef.h>
#include <stdint.h>

struct mf_shelf {
    struct mf_list blocks;
};

void mf_shelf_init(struct mf_shelf *shelf);

/** Removes all blocks. Who has mapped one keeps it. */
void mf_shelf_finish(struct mf_shelf *shelf);

/**
 * mf_shelf_store() - make a block with these bytes.
 *
 * Returns 0 with its place, for the other ranks of the node; -ENOMEM or what the system says.
 */
int mf_shelf_store(struct mf_shelf *shelf, uint64_t block, const void *data, size_t size,
                   struct mf_block_place *ret_place);

/** Removes one block; one that was not stored here is ignored. */
void mf_shelf_remove(struct mf_shelf *shelf, uint64_t block);

#endif
