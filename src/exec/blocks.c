/* Mapping blocks of shared memory: see blocks.h. */
#include "exec/blocks.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct mf_attached_block *find(const struct mf_blocks *blocks, mpifarm_block block)
{
    for (uint32_t i = 0; i < blocks->n_items; i++)
        if (blocks->items[i].block == block && !blocks->items[i].is_retired)
            return &blocks->items[i];
    return NULL;
}

static void unmap(struct mf_attached_block *item)
{
    munmap((void *)(uintptr_t)item->data, item->size);
}

void mf_blocks_finish(struct mf_blocks *blocks)
{
    for (uint32_t i = 0; i < blocks->n_items; i++)
        unmap(&blocks->items[i]);
    free(blocks->items);
    *blocks = (struct mf_blocks){0};
}

/* Touching what lies behind the end of the object would kill the process: look at its size first.
 */
static int check_size(int fd, size_t size)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    return size == 0 || (uint64_t)status.st_size < size ? -EINVAL : 0;
}

int mf_block_open(const char *name, size_t size)
{
    int fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
    int r = fd < 0 ? -errno : check_size(fd, size);

    if (r < 0)
        mf_close(&fd);
    return r < 0 ? r : fd;
}

int mf_blocks_attach_fd(struct mf_blocks *blocks, mpifarm_block block, int fd, size_t size)
{
    struct mf_attached_block item = {.block = block, .size = size};
    struct mf_attached_block *items;
    void *data;
    int r;

    if (find(blocks, block))
        return -EEXIST;
    items = reallocarray(blocks->items, blocks->n_items + 1, sizeof(*items));
    if (!items)
        return -ENOMEM;
    blocks->items = items;
    r = check_size(fd, size);
    if (r < 0)
        return r;
    data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    item.data = data;
    blocks->items[blocks->n_items++] = item;
    return 0;
}

int mf_blocks_attach(struct mf_blocks *blocks, mpifarm_block block, const char *name, size_t size)
{
    int fd, r;

    if (find(blocks, block))
        return -EEXIST;
    fd = mf_block_open(name, size);
    if (fd < 0)
        return fd;
    r = mf_blocks_attach_fd(blocks, block, fd, size);
    mf_close(&fd);
    return r;
}

void mf_blocks_drop(struct mf_blocks *blocks, mpifarm_block block)
{
    struct mf_attached_block *item = find(blocks, block);

    if (!item)
        return;
    unmap(item);
    *item = blocks->items[--blocks->n_items];
}

void mf_blocks_retire(struct mf_blocks *blocks, mpifarm_block block)
{
    struct mf_attached_block *item = find(blocks, block);

    if (!item)
        return;
    item->is_retired = true;
    blocks->n_retired++;
}

void mf_blocks_sweep(struct mf_blocks *blocks)
{
    for (uint32_t i = blocks->n_items; blocks->n_retired > 0 && i > 0; i--) {
        struct mf_attached_block *item = &blocks->items[i - 1];

        if (!item->is_retired)
            continue;
        unmap(item);
        *item = blocks->items[--blocks->n_items];
        blocks->n_retired--;
    }
}

const void *mf_blocks_find(const struct mf_blocks *blocks, mpifarm_block block, size_t *ret_size)
{
    const struct mf_attached_block *item = find(blocks, block);

    if (!item)
        return NULL;
    *ret_size = item->size;
    return item->data;
}
