/* Making blocks of shared memory, and mapping them: see blocks.h. */
#include "exec/blocks.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the kernel calls the memory, but for "/memfd:" before and " (deleted)" behind. */
#define LABEL "mpifarm-block.%016" PRIx64

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

/* Writing, rather than filling a mapping, makes a lack of memory an error and no signal. The size
 * is sealed, so that nobody can take the bytes from under those who have mapped them. */
static int fill(int fd, const void *data, size_t size)
{
    int r = -posix_fallocate(fd, 0, (off_t)size);

    if (r == 0)
        r = mf_pwrite_all(fd, data, size, 0);
    if (r == 0 && fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
        r = -errno;
    return r;
}

int mf_block_create(const void *data, size_t size, struct mf_block_place *ret_place)
{
    struct mf_block_place place = {.pid = (uint32_t)getpid()};
    char label[64];
    int fd, r;

    if (getrandom(&place.key, sizeof(place.key), 0) != sizeof(place.key))
        return -errno;
    snprintf(label, sizeof(label), LABEL, place.key);
    fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    r = fill(fd, data, size);
    if (r < 0) {
        mf_close(&fd);
        return r;
    }
    place.fd = (uint32_t)fd;
    *ret_place = place;
    return 0;
}

/* The process may have ended, or be one of another container that has the same number: what is
 * opened has to be that block. */
static bool is_there(const struct mf_block_place *place, const char *path)
{
    char expected[96], target[sizeof(expected)];
    ssize_t n = readlink(path, target, sizeof(target));
    int expected_size =
        snprintf(expected, sizeof(expected), "/memfd:" LABEL " (deleted)", place->key);

    return n == expected_size && memcmp(target, expected, (size_t)n) == 0;
}

int mf_block_open(const struct mf_block_place *place, size_t size)
{
    char path[64];
    int fd, r;

    snprintf(path, sizeof(path), "/proc/%" PRIu32 "/fd/%" PRIu32, place->pid, place->fd);
    if (!is_there(place, path))
        return -ENOENT;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    r = fd < 0 ? -errno : check_size(fd, size);
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

int mf_blocks_attach(struct mf_blocks *blocks, mpifarm_block block,
                     const struct mf_block_place *place, size_t size)
{
    int fd, r;

    if (find(blocks, block))
        return -EEXIST;
    fd = mf_block_open(place, size);
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
