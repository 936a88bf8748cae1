/*
 * Memory in blocks, newest first: see arena.h. The arena owns its blocks. One thread.
 */
#include "taskfile/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Room for an ordinary task line and all that is made of it. */
#define BLOCK_BYTES ((size_t)16 << 10)

struct mf_arena_block {
    struct mf_arena_block *older;
    size_t used, capacity;
    alignas(max_align_t) uint8_t data[];
};

static struct mf_arena_block *add_block(struct mf_arena *arena, size_t size)
{
    size_t capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES;
    struct mf_arena_block *block;

    if (capacity > SIZE_MAX - sizeof(*block))
        return NULL;
    block = malloc(sizeof(*block) + capacity);
    if (!block)
        return NULL;
    *block = (struct mf_arena_block){.older = arena->blocks, .capacity = capacity};
    arena->blocks = block;
    return block;
}

void *mf_arena_alloc(struct mf_arena *arena, size_t size)
{
    const size_t mask = alignof(max_align_t) - 1;
    struct mf_arena_block *block = arena->blocks;
    void *memory;

    if (size > SIZE_MAX - mask)
        return NULL;
    size = (size + mask) & ~mask;
    if (!block || block->capacity - block->used < size) {
        block = add_block(arena, size);
        if (!block)
            return NULL;
    }
    memory = block->data + block->used;
    block->used += size;
    return memory;
}

char *mf_arena_copy(struct mf_arena *arena, const char *text, size_t n)
{
    char *copy = mf_arena_alloc(arena, n + 1);

    if (!copy)
        return NULL;
    if (n > 0)
        memcpy(copy, text, n);
    copy[n] = '\0';
    return copy;
}

/* Frees all blocks that are newer than `kept`. */
static void free_down_to(struct mf_arena *arena, const struct mf_arena_block *kept)
{
    while (arena->blocks != kept) {
        struct mf_arena_block *older = arena->blocks->older;

        free(arena->blocks);
        arena->blocks = older;
    }
}

void mf_arena_clear(struct mf_arena *arena)
{
    struct mf_arena_block *oldest = arena->blocks;

    if (!oldest)
        return;
    while (oldest->older)
        oldest = oldest->older;
    free_down_to(arena, oldest);
    oldest->used = 0;
}

void mf_arena_finish(struct mf_arena *arena)
{
    if (arena)
        free_down_to(arena, NULL);
}
