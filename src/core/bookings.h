/*
 * Where the book keeps its tasks: found by number at once, in chunks that are
 * freed when all in them are gone. Private to the core.
 */
#ifndef MF_CORE_BOOKINGS_H
#define MF_CORE_BOOKINGS_H

#include "base/list.h"
#include "core/book.h"

#define MF_BOOKINGS_PER_CHUNK 1024
#define MF_BOOKING_NONE UINT32_MAX

/** Generations are below this: the numbers of elements of ranges are above all tickets. */
#define MF_BOOKING_GENERATIONS (UINT32_C(1) << 31)

/**
 * @node        its place among the chunks with room
 * @first_free  number within the chunk of a free place, MF_BOOKINGS_PER_CHUNK for none;
 *              free places are linked by `next`
 */
struct mf_booking_chunk {
    _Alignas(64) struct mf_booking items[MF_BOOKINGS_PER_CHUNK];
    struct mf_list node;
    uint32_t index;
    uint32_t n_used;
    uint32_t first_free;
};

/**
 * Starts with mf_bookings_init().
 *
 * @chunks      n_chunks entries, NULL where there is none
 * @with_room   chunks that have free places
 * @n_empty     chunks among them without any task: at most one is kept
 * @first_gap   no entry before this one is NULL
 * @generation  of the last task added; 0 is skipped when it wraps around
 */
struct mf_bookings {
    struct mf_booking_chunk **chunks;
    uint32_t n_chunks;
    uint32_t capacity;
    uint32_t first_gap;
    uint32_t n_empty;
    uint32_t generation;
    struct mf_list with_room;
};

void mf_bookings_init(struct mf_bookings *bookings);

/** Frees the chunks, not what the tasks own. */
void mf_bookings_finish(struct mf_bookings *bookings);

/** A new task, of which only the generation is set. Returns NULL when memory is out. O(1)
 * amortised. */
struct mf_booking *mf_bookings_add(struct mf_bookings *bookings, uint32_t *ret_number);

/** Makes its place free. */
void mf_bookings_remove(struct mf_bookings *bookings, uint32_t number);

/** The task of that number, which is there. */
static inline struct mf_booking *mf_bookings_at(const struct mf_bookings *bookings, uint32_t number)
{
    return &bookings->chunks[number / MF_BOOKINGS_PER_CHUNK]->items[number % MF_BOOKINGS_PER_CHUNK];
}

/** The ticket of the task of that number. */
static inline mf_ticket mf_booking_ticket(const struct mf_booking *booking, uint32_t number)
{
    return (mf_ticket)booking->generation << 32 | number;
}

/** The task of that ticket, or NULL. */
static inline struct mf_booking *mf_bookings_find(const struct mf_bookings *bookings,
                                                  mf_ticket ticket)
{
    uint32_t number = (uint32_t)ticket, index = number / MF_BOOKINGS_PER_CHUNK;
    struct mf_booking *booking;

    if (index >= bookings->n_chunks || !bookings->chunks[index] || ticket >> 32 == 0)
        return NULL;
    booking = mf_bookings_at(bookings, number);
    return booking->generation == ticket >> 32 ? booking : NULL;
}

#endif
