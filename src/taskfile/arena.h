/*
 * Memory that is handed out piece by piece and taken back all at once: the
 * texts and arrays of one entry, or of what a whole source keeps.
 */
#ifndef MF_TASKFILE_ARENA_H
#define MF_TASKFILE_ARENA_H

#include <stddef.h>

struct mf_arena_block;

/** Starts as {0}. */
struct mf_arena {
    struct mf_arena_block *blocks;
};

/** Returns size bytes, aligned for any object, or NULL when memory is out. */
void *mf_arena_alloc(struct mf_arena *arena, size_t size);

/** Returns a copy of n characters and a NUL, or NULL when memory is out. */
char *mf_arena_copy(struct mf_arena *arena, const char *text, size_t n);

/** Takes back everything handed out; keeps one block for what comes next. */
void mf_arena_clear(struct mf_arena *arena);

/** Frees everything and leaves {0}; NULL is accepted. */
void mf_arena_finish(struct mf_arena *arena);

#endif
