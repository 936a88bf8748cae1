/*
 * The book of function tasks: what a task has, and what can be asked. See book.h. Owned by the
 * book's owner, one thread.
 */
#include "core/book_private.h"

#include "base/large.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- one task --- */

int mf_booking_keep_on_heap(struct mf_booking *booking, const void *bytes, size_t size)
{
    uint8_t *kept = mf_large_alloc(size);

    if (!kept)
        return -ENOMEM;
    memcpy(kept, bytes, size);
    booking->bytes = kept;
    booking->is_on_heap = true;
    booking->size = size;
    return 0;
}

static struct mf_booking_extra *need_extra(struct mf_book *book, struct mf_booking *booking,
                                           size_t n_hearers)
{
    struct mf_booking_extra *extra = booking->extra;

    if (extra)
        return extra;
    extra = calloc(1, sizeof(*extra) + n_hearers * sizeof(extra->hearer[0]));
    if (extra)
        extra->max_attempts = book->max_attempts;
    return booking->extra = extra;
}

struct mf_booking_extra *mf_book_need_extra(struct mf_book *book, struct mf_booking *booking)
{
    return need_extra(book, booking, 0);
}

struct mf_booking_extra *mf_book_need_hearer(struct mf_book *book, struct mf_booking *booking)
{
    return need_extra(book, booking, 1);
}

struct mf_booking_rare *mf_book_need_rare(struct mf_book *book, struct mf_booking *booking)
{
    struct mf_booking_extra *extra = mf_book_need_extra(book, booking);

    if (extra && !extra->rare)
        extra->rare = calloc(1, sizeof(*extra->rare));
    return extra ? extra->rare : NULL;
}

static void free_extra(struct mf_booking *booking)
{
    struct mf_booking_rare *rare = mf_booking_rare(booking);

    if (rare) {
        free(rare->successors);
        free(rare->predecessors);
        free(rare->checkpoint);
        mf_range_destroy(rare->range);
        free(rare);
    }
    free(booking->extra);
    booking->extra = NULL;
}

void mf_book_forget(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    mf_booking_drop_bytes(booking);
    if (mf_booking_rare(booking))
        mf_book_let_go(book, booking);
    free_extra(booking);
    mf_bookings_remove(&book->bookings, number);
}

/* --- groups --- */

void mf_book_leave_group(struct mf_book *book, uint32_t group, uint64_t n)
{
    uint64_t *n_tasks;

    if (group == 0 || n == 0)
        return;
    n_tasks = mf_table_find(book->groups, &group);
    *n_tasks -= n;
    if (*n_tasks == 0)
        mf_table_remove(book->groups, &group);
}

uint64_t mf_book_group_size(const struct mf_book *book, uint32_t group)
{
    const uint64_t *n_tasks = mf_table_find(book->groups, &group);

    return n_tasks ? *n_tasks : 0;
}

/* --- questions --- */

struct mf_booking *mf_book_find(const struct mf_book *book, mf_ticket ticket)
{
    return mf_bookings_find(&book->bookings, ticket);
}

struct mf_booking *mf_book_at(const struct mf_book *book, uint32_t number)
{
    return mf_bookings_at(&book->bookings, number);
}

mf_ticket mf_book_ticket(const struct mf_book *book, uint32_t number)
{
    return mf_booking_ticket(mf_bookings_at(&book->bookings, number), number);
}

int mf_book_next(const struct mf_book *book, uint64_t *cursor, uint32_t *ret_number)
{
    uint64_t end = (uint64_t)book->bookings.n_chunks * MF_BOOKINGS_PER_CHUNK;

    while (*cursor < end) {
        uint32_t number = (uint32_t)*cursor;

        if (!book->bookings.chunks[number / MF_BOOKINGS_PER_CHUNK]) {
            *cursor += MF_BOOKINGS_PER_CHUNK - *cursor % MF_BOOKINGS_PER_CHUNK;
            continue;
        }
        ++*cursor;
        if (mf_bookings_at(&book->bookings, number)->generation != 0) {
            *ret_number = number;
            return 1;
        }
    }
    return 0;
}

uint64_t mf_book_n_unfinished(const struct mf_book *book)
{
    uint64_t n = 0;

    for (int i = 0; i < MF_TASK_DONE; i++)
        n += book->by_state[i];
    return n;
}

uint64_t mf_book_n_ended(const struct mf_book *book)
{
    return book->n_added - mf_book_n_unfinished(book);
}

void mf_book_count(const struct mf_book *book, struct mf_book_counts *ret_counts)
{
    *ret_counts = (struct mf_book_counts){.submitted = book->n_added,
                                          .unfinished = mf_book_n_unfinished(book),
                                          .retried = book->n_retried};
    memcpy(ret_counts->by_state, book->by_state, sizeof(book->by_state));
}

/* --- life --- */

int mf_book_create(uint32_t max_attempts, struct mf_book **ret_book)
{
    struct mf_book *book = calloc(1, sizeof(*book));
    int r;

    if (!book)
        return -ENOMEM;
    book->max_attempts = max_attempts;
    book->concluding = MF_BOOKING_NONE;
    book->queued = book->called_back = (struct mf_ended){MF_BOOKING_NONE, MF_BOOKING_NONE};
    mf_bookings_init(&book->bookings);
    r = mf_ready_init(&book->ready, &book->bookings);
    if (r == 0)
        r = mf_table_create(sizeof(uint32_t), sizeof(uint64_t), &book->groups);
    if (r < 0)
        mf_book_destroy(book);
    else
        *ret_book = book;
    return r;
}

void mf_book_destroy(struct mf_book *book)
{
    uint64_t cursor = 0;
    uint32_t number;

    if (!book)
        return;
    while (mf_book_next(book, &cursor, &number)) {
        mf_booking_drop_bytes(mf_bookings_at(&book->bookings, number));
        free_extra(mf_bookings_at(&book->bookings, number));
    }
    mf_ready_finish(&book->ready);
    mf_bookings_finish(&book->bookings);
    mf_table_destroy(book->groups);
    free(book->paces);
    free(book);
}
