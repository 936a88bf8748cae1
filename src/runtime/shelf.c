/* Blocks that this rank has stored: see shelf.h. */
#include "runtime/shelf.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>

struct stored_block {
    struct mf_list node;
    uint64_t block;
    int fd;
};

static struct stored_block *stored_of(struct mf_list *node)
{
    return mf_container_of(node, struct stored_block, node);
}

static void remove_stored(struct stored_block *stored)
{
    mf_list_remove(&stored->node);
    mf_close(&stored->fd);
    free(stored);
}

void mf_shelf_init(struct mf_shelf *shelf)
{
    mf_list_init(&shelf->blocks);
}

void mf_shelf_finish(struct mf_shelf *shelf)
{
    while (!mf_list_is_empty(&shelf->blocks))
        remove_stored(stored_of(shelf->blocks.next));
}

int mf_shelf_store(struct mf_shelf *shelf, uint64_t block, const void *data, size_t size,
                   struct mf_block_place *ret_place)
{
    struct stored_block *stored = malloc(sizeof(*stored));
    int r;

    if (!stored)
        return -ENOMEM;
    r = mf_block_create(data, size, ret_place);
    if (r < 0) {
        free(stored);
        return r;
    }
    stored->block = block;
    stored->fd = (int)ret_place->fd;
    mf_list_push_back(&shelf->blocks, &stored->node);
    return 0;
}

void mf_shelf_remove(struct mf_shelf *shelf, uint64_t block)
{
    mf_list_for_each_safe (node, &shelf->blocks)
        if (stored_of(node)->block == block)
            remove_stored(stored_of(node));
}
