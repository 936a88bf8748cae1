/* Where the book keeps its tasks: see bookings.h. Owned by one book. */
#include "core/bookings.h"

#include <stdlib.h>

void mf_bookings_init(struct mf_bookings *bookings)
{
    *bookings = (struct mf_bookings){0};
    mf_list_init(&bookings->with_room);
}

void mf_bookings_finish(struct mf_bookings *bookings)
{
    for (uint32_t i = 0; i < bookings->n_chunks; i++)
        free(bookings->chunks[i]);
    free(bookings->chunks);
    mf_bookings_init(bookings);
}

/* An entry of the directory without a chunk, or -1 when memory is out. */
static int64_t find_gap(struct mf_bookings *bookings)
{
    uint32_t capacity = bookings->capacity ? 2 * bookings->capacity : 16;
    void *grown;

    while (bookings->first_gap < bookings->n_chunks && bookings->chunks[bookings->first_gap])
        bookings->first_gap++;
    if (bookings->first_gap < bookings->n_chunks)
        return bookings->first_gap;
    if (bookings->n_chunks == UINT32_MAX / MF_BOOKINGS_PER_CHUNK)
        return -1;
    if (bookings->n_chunks == bookings->capacity) {
        grown = reallocarray(bookings->chunks, capacity, sizeof(struct mf_booking_chunk *));
        if (!grown)
            return -1;
        bookings->chunks = grown;
        bookings->capacity = capacity;
    }
    bookings->chunks[bookings->n_chunks] = NULL;
    return bookings->n_chunks++;
}

static struct mf_booking_chunk *add_chunk(struct mf_bookings *bookings)
{
    int64_t index = find_gap(bookings);
    struct mf_booking_chunk *chunk;

    if (index < 0)
        return NULL;
    chunk = aligned_alloc(64, sizeof(*chunk));
    if (!chunk)
        return NULL;
    chunk->index = (uint32_t)index;
    chunk->n_used = 0;
    chunk->first_free = 0;
    for (uint32_t i = 0; i < MF_BOOKINGS_PER_CHUNK; i++) {
        chunk->items[i].generation = 0;
        chunk->items[i].next = i + 1;
    }
    mf_list_init(&chunk->node);
    mf_list_push_front(&bookings->with_room, &chunk->node);
    bookings->chunks[index] = chunk;
    bookings->n_empty++;
    return chunk;
}

struct mf_booking *mf_bookings_add(struct mf_bookings *bookings, uint32_t *ret_number)
{
    struct mf_booking_chunk *chunk;
    struct mf_booking *booking;
    uint32_t place;

    if (mf_list_is_empty(&bookings->with_room))
        chunk = add_chunk(bookings);
    else
        chunk = mf_container_of(bookings->with_room.next, struct mf_booking_chunk, node);
    if (!chunk)
        return NULL;
    place = chunk->first_free;
    booking = &chunk->items[place];
    chunk->first_free = booking->next;
    bookings->n_empty -= chunk->n_used++ == 0;
    if (chunk->first_free == MF_BOOKINGS_PER_CHUNK)
        mf_list_remove(&chunk->node);
    if (++bookings->generation == MF_BOOKING_GENERATIONS)
        bookings->generation = 1;
    booking->generation = bookings->generation;
    *ret_number = chunk->index * MF_BOOKINGS_PER_CHUNK + place;
    return booking;
}

void mf_bookings_remove(struct mf_bookings *bookings, uint32_t number)
{
    struct mf_booking_chunk *chunk = bookings->chunks[number / MF_BOOKINGS_PER_CHUNK];
    struct mf_booking *booking = mf_bookings_at(bookings, number);

    if (chunk->first_free == MF_BOOKINGS_PER_CHUNK)
        mf_list_push_back(&bookings->with_room, &chunk->node);
    booking->generation = 0;
    booking->next = chunk->first_free;
    chunk->first_free = number % MF_BOOKINGS_PER_CHUNK;
    if (--chunk->n_used > 0)
        return;
    /* One stays, so that a farm with a few tasks at a time does not allocate for ever. */
    if (bookings->n_empty == 0) {
        bookings->n_empty++;
        return;
    }
    mf_list_remove(&chunk->node);
    bookings->chunks[chunk->index] = NULL;
    if (chunk->index < bookings->first_gap)
        bookings->first_gap = chunk->index;
    free(chunk);
}
