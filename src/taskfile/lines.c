/*
 * Lines out of blocks, and where they were: see lines.h.
 *
 * The reader owns its buffer, which grows from one block to the longest line
 * at most. A jump reads little, because a single line may be all that is
 * wanted; what follows in sequence is read in ever larger blocks. One thread.
 */
#include "taskfile/lines.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_READ_BYTES ((size_t)16 << 10)
#define LARGEST_READ_BYTES ((size_t)256 << 10)

/* What is kept of a line that is too long, for the message about it. */
#define HEAD_BYTES ((size_t)4 << 10)

struct mf_place mf_lines_start(const struct mf_input *input)
{
    return (struct mf_place){.offset = input->start, .number = 1};
}

void mf_lines_seek(struct mf_lines *lines, const struct mf_input *input, struct mf_place place)
{
    if (lines->input == input && lines->place.offset == place.offset && lines->read_bytes > 0)
        return;
    lines->input = input;
    lines->place = place;
    lines->begin = lines->end = 0;
    lines->read_bytes = FIRST_READ_BYTES;
}

void mf_lines_finish(struct mf_lines *lines)
{
    if (lines)
        free(lines->data);
}

/* How much the input has at offset, n at most. */
static size_t available(const struct mf_lines *lines, uint64_t offset, size_t n)
{
    uint64_t left = offset < lines->input->size ? lines->input->size - offset : 0;

    return left < n ? (size_t)left : n;
}

/* Makes room for n bytes behind those held, which move to the front. */
static int make_room(struct mf_lines *lines, size_t n)
{
    size_t held = lines->end - lines->begin;

    if (lines->begin > 0) {
        memmove(lines->data, lines->data + lines->begin, held);
        lines->begin = 0;
        lines->end = held;
    }
    if (lines->capacity < held + n) {
        char *data = realloc(lines->data, held + n);

        if (!data)
            return -ENOMEM;
        lines->data = data;
        lines->capacity = held + n;
    }
    return 0;
}

/* Reads on behind what is held. Returns how many bytes came, 0 at the end of the input, or -errno.
 */
static ssize_t refill(struct mf_lines *lines)
{
    uint64_t offset = lines->place.offset + (lines->end - lines->begin);
    size_t wanted = available(lines, offset, lines->read_bytes);
    ssize_t n;
    int r;

    if (wanted == 0)
        return 0;
    r = make_room(lines, wanted);
    if (r < 0)
        return r;
    n = mf_pread_all(lines->input->fd, lines->data + lines->end, wanted, offset);
    if (n <= 0)
        return n;
    lines->end += (size_t)n;
    if (lines->read_bytes < LARGEST_READ_BYTES)
        lines->read_bytes *= 2;
    return n;
}

/* Gives the first `size` bytes held as a line of which `length` bytes were read. */
static int give(struct mf_lines *lines, size_t size, uint64_t length, bool has_newline,
                struct mf_line *ret_line)
{
    *ret_line = (struct mf_line){
        .text = lines->data + lines->begin,
        .size = size,
        .length = length,
        .number = lines->place.number,
        .offset = lines->place.offset,
    };
    lines->place.offset += length + has_newline;
    lines->place.number++;
    return 0;
}

static int give_whole(struct mf_lines *lines, size_t size, bool has_newline,
                      struct mf_line *ret_line)
{
    give(lines, size, size, has_newline, ret_line);
    lines->begin += size + has_newline;
    return 0;
}

/* Gives the head of a line that is longer than the bound, having looked for its end. */
static int give_head(struct mf_lines *lines, struct mf_line *ret_line)
{
    char *block = lines->data + HEAD_BYTES;
    uint64_t length = lines->end;
    char *newline = NULL;

    /* A stream may never end it: there the bound is all that is known. */
    while (!newline && !lines->input->is_stream) {
        uint64_t offset = lines->place.offset + length;
        size_t wanted = available(lines, offset, lines->capacity - HEAD_BYTES);
        ssize_t n = mf_pread_all(lines->input->fd, block, wanted, offset);

        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        newline = memchr(block, '\n', (size_t)n);
        length += newline ? (size_t)(newline - block) : (size_t)n;
    }
    give(lines, HEAD_BYTES, length, newline != NULL, ret_line);
    /* The head stays where it is until the next call reads over it. */
    lines->begin = lines->end = 0;
    return 0;
}

int mf_lines_next(struct mf_lines *lines, struct mf_line *ret_line)
{
    size_t searched = 0;

    for (;;) {
        size_t held = lines->end - lines->begin;
        const char *start = held ? lines->data + lines->begin : NULL;
        const char *newline =
            held > searched ? memchr(start + searched, '\n', held - searched) : NULL;
        ssize_t n;

        if (newline)
            return give_whole(lines, (size_t)(newline - start), true, ret_line);
        if (held > MF_LINE_BYTES_MAX) {
            /* Without anything to add this only moves the line to the front. */
            int r = make_room(lines, 0);

            return r < 0 ? r : give_head(lines, ret_line);
        }
        searched = held;
        n = refill(lines);
        if (n < 0)
            return (int)n;
        if (n > 0)
            continue;
        if (!lines->input->is_complete)
            return -EAGAIN;
        return held == 0 ? 1 : give_whole(lines, held, false, ret_line);
    }
}

static int add_place(struct mf_index *index, struct mf_place place, uint64_t item)
{
    size_t at = item / MF_INDEX_STRIDE;

    if (at == index->capacity) {
        size_t capacity = index->capacity ? index->capacity * 2 : 16;
        struct mf_place *places = reallocarray(index->places, capacity, sizeof(*index->places));

        if (!places)
            return -ENOMEM;
        index->places = places;
        index->capacity = capacity;
    }
    index->places[at] = place;
    return 0;
}

int mf_index_add_many(struct mf_index *index, const struct mf_line *line, uint64_t n)
{
    uint64_t n_over = index->n_items % MF_INDEX_STRIDE;
    struct mf_place place = {.offset = line->offset, .number = line->number};

    for (uint64_t i = n_over ? MF_INDEX_STRIDE - n_over : 0; i < n; i += MF_INDEX_STRIDE) {
        place.ordinal = line->ordinal + i;
        if (add_place(index, place, index->n_items + i) < 0)
            return -ENOMEM;
    }
    index->n_items += n;
    return 0;
}

int mf_index_add(struct mf_index *index, const struct mf_line *line)
{
    return mf_index_add_many(index, line, 1);
}

struct mf_place mf_index_find(const struct mf_index *index, uint64_t item)
{
    return index->places[item / MF_INDEX_STRIDE];
}

void mf_index_finish(struct mf_index *index)
{
    free(index->places);
}
