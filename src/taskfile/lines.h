/*
 * The lines of an input, one after the other from any place, in bounded
 * memory; and an index of places, so that any item can be read again.
 */
#ifndef MF_TASKFILE_LINES_H
#define MF_TASKFILE_LINES_H

#include "taskfile/input.h"

#include <stddef.h>

/** The longest line that is held as a whole. */
#define MF_LINE_BYTES_MAX ((size_t)1 << 20)

/**
 * A line without its newline.
 *
 * @text    size bytes, borrowed until the next call; no NUL follows
 * @length  bytes of the whole line: more than size when only its beginning is
 *          held, and for a stream then only a lower bound
 * @number  from 1
 * @offset  of its first byte in the input
 * @indent  blanks before text that a reader has passed over
 * @ordinal which of the items on this line is meant, from 0
 */
struct mf_line {
    const char *text;
    size_t size;
    uint64_t length;
    uint64_t number;
    uint64_t offset;
    size_t indent;
    uint64_t ordinal;
};

/** Where the next line begins; of an item, which one on its line it is. */
struct mf_place {
    uint64_t offset;
    uint64_t number;
    uint64_t ordinal;
};

/**
 * A reader. Starts as {0} with an input, then mf_lines_seek().
 *
 * @place       of the next line
 * @data        bytes begin to end are read ahead from place.offset
 * @read_bytes  what the next read asks for: little after a jump, more in sequence
 */
struct mf_lines {
    const struct mf_input *input;
    struct mf_place place;
    char *data;
    size_t begin, end, capacity;
    size_t read_bytes;
};

/** The first line of an input. */
struct mf_place mf_lines_start(const struct mf_input *input);

/** Goes on at place in input; free when it is there already. */
void mf_lines_seek(struct mf_lines *lines, const struct mf_input *input, struct mf_place place);

/** Frees the buffer; NULL is accepted. */
void mf_lines_finish(struct mf_lines *lines);

/**
 * mf_lines_next() - read one line.
 *
 * Returns 0 with the line, 1 at the end, -EAGAIN when a stream has no whole
 * line yet (nothing was consumed then), or -errno.
 */
int mf_lines_next(struct mf_lines *lines, struct mf_line *ret_line);

/** Items between two places in an index. */
#define MF_INDEX_STRIDE 256

/** Places of every MF_INDEX_STRIDE-th item. Starts as {0}. */
struct mf_index {
    struct mf_place *places;
    size_t capacity;
    uint64_t n_items;
};

/** Appends the item whose line is given. Returns 0 or -ENOMEM. Amortised O(1). */
int mf_index_add(struct mf_index *index, const struct mf_line *line);

/** Appends n items of one line, of which line->ordinal is the first. O(n / MF_INDEX_STRIDE). */
int mf_index_add_many(struct mf_index *index, const struct mf_line *line, uint64_t n);

/** The place from which on to look for item, which exists: item % MF_INDEX_STRIDE items before it.
 */
struct mf_place mf_index_find(const struct mf_index *index, uint64_t item);

void mf_index_finish(struct mf_index *index);

#endif
