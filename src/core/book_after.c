/*
 * What a task of the book is given by those that it comes after: their results,
 * behind its input, when it goes into a unit. Until then the results stay where
 * they are, so that many tasks that wait for one cost no copies of it. See
 * book.h. Owned by the book's owner, one thread.
 */
#include "core/book_private.h"

#include "base/bundle.h"

#include <errno.h>
#include <stdlib.h>

int mf_book_note_taker(struct mf_book *book, struct mf_booking *before, mf_ticket ticket,
                       struct mf_booking *taker)
{
    struct mf_booking_rare *of_taker = taker->extra->rare;
    bool had_rare = mf_booking_rare(before) != NULL;
    struct mf_booking_rare *rare = mf_book_need_rare(book, before);

    if (!rare)
        return -ENOMEM;
    if (!had_rare)
        rare->is_concluded = mf_task_state_is_final((enum mf_task_state)before->state);
    rare->n_takers++;
    of_taker->predecessors[of_taker->n_predecessors++] = ticket;
    return 0;
}

void mf_book_let_go(struct mf_book *book, struct mf_booking *taker)
{
    struct mf_booking_rare *rare = taker->extra->rare;

    for (uint32_t i = 0; i < rare->n_predecessors; i++) {
        struct mf_booking *before = mf_bookings_find(&book->bookings, rare->predecessors[i]);

        /* What follows from its end may not have been carried out yet. */
        if (--before->extra->rare->n_takers == 0 && before->extra->rare->is_concluded)
            mf_book_forget_if_unwanted(book, (uint32_t)rare->predecessors[i]);
    }
    free(rare->predecessors);
    rare->predecessors = NULL;
    rare->n_predecessors = 0;
}

int mf_book_gather_for(struct mf_book *book, const struct mf_booking *range,
                       struct mf_booking *taker)
{
    const struct mf_booking_rare *rare = range->extra->rare;
    struct mf_part_bytes *parts;
    uint8_t *bytes;
    size_t size;
    int r;

    parts = calloc(rare->n_predecessors + (size_t)1, sizeof(*parts));
    if (!parts)
        return -ENOMEM;
    parts[0] = (struct mf_part_bytes){mf_booking_bytes(taker), taker->size};
    for (uint32_t i = 0; i < rare->n_predecessors; i++) {
        const struct mf_booking *before = mf_bookings_find(&book->bookings, rare->predecessors[i]);

        parts[i + 1] = (struct mf_part_bytes){mf_booking_bytes(before), before->size};
    }
    r = mf_bundle_make(parts, rare->n_predecessors + (size_t)1, &bytes, &size);
    free(parts);
    if (r < 0)
        return r;
    if (taker->is_on_heap)
        mf_booking_free_bytes(taker);
    taker->bytes = bytes;
    taker->size = size;
    taker->is_on_heap = true;
    taker->extra->has_results = true;
    return 0;
}

int mf_book_gather(struct mf_book *book, struct mf_booking *taker)
{
    int r = mf_book_gather_for(book, taker, taker);

    if (r == 0)
        mf_book_let_go(book, taker);
    return r;
}
