/*
 * The blocks that this rank has stored in the shared memory of its node, for
 * itself and the other ranks there. What is stored here is removed here, so
 * that nothing stays behind. One owner, one thread.
 */
#ifndef MF_RUNTIME_SHELF_H
#define MF_RUNTIME_SHELF_H

#include "base/list.h"

#include <stddef.h>
#include <stdint.h>

struct mf_shelf {
    struct mf_list blocks;
};

void mf_shelf_init(struct mf_shelf *shelf);

/** Removes all blocks. Who has mapped one keeps it. */
void mf_shelf_finish(struct mf_shelf *shelf);

/**
 * mf_shelf_store() - make shared memory of a name, with these bytes.
 *
 * Returns 0, -EEXIST if there is some of that name, -ENOSPC when the node has no room for it,
 * -ENOMEM or what the system says; then nothing is left behind.
 */
int mf_shelf_store(struct mf_shelf *shelf, uint64_t block, const char *name, const void *data,
                   size_t size);

/** Removes one block; one that was not stored here is ignored. */
void mf_shelf_remove(struct mf_shelf *shelf, uint64_t block);

#endif
