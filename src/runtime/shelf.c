/* Blocks in shared memory: see shelf.h. */
#include "runtime/shelf.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct stored_block {
    struct mf_list node;
    uint64_t block;
    char name[];
};

static struct stored_block *stored_of(struct mf_list *node)
{
    return mf_container_of(node, struct stored_block, node);
}

static void remove_stored(struct stored_block *stored)
{
    mf_list_remove(&stored->node);
    shm_unlink(stored->name);
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

/* Writing, rather than filling a mapping, makes a full file system an error and no signal. */
static int write_object(const char *name, const void *data, size_t size)
{
    int fd = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    int r;

    if (fd < 0)
        return -errno;
    r = -posix_fallocate(fd, 0, (off_t)size);
    if (r == 0)
        r = mf_pwrite_all(fd, data, size, 0);
    if (r < 0)
        shm_unlink(name);
    mf_close(&fd);
    return r;
}

int mf_shelf_store(struct mf_shelf *shelf, uint64_t block, const char *name, const void *data,
                   size_t size)
{
    size_t name_size = strlen(name) + 1;
    struct stored_block *stored = malloc(sizeof(*stored) + name_size);
    int r;

    if (!stored)
        return -ENOMEM;
    r = write_object(name, data, size);
    if (r < 0) {
        free(stored);
        return r;
    }
    stored->block = block;
    memcpy(stored->name, name, name_size);
    mf_list_push_back(&shelf->blocks, &stored->node);
    return 0;
}

void mf_shelf_remove(struct mf_shelf *shelf, uint64_t block)
{
    mf_list_for_each_safe (node, &shelf->blocks)
        if (stored_of(node)->block == block)
            remove_stored(stored_of(node));
}
