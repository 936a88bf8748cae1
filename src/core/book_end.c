/*
 * Ends of tasks of the book, what follows from them, and who hears of them. See book.h. Owned by
 * the book's owner, one thread.
 *
 * A task that ends may let others begin, or skip them, and those others again:
 * such chains can be as long as the book, so they are worked off from a list
 * rather than by recursion.
 */
#include "core/book_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- lists of ended tasks --- */

static void push_ended(struct mf_book *book, struct mf_ended *ended, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    booking->next = MF_BOOKING_NONE;
    booking->prev = ended->last;
    if (ended->last == MF_BOOKING_NONE)
        ended->first = number;
    else
        mf_bookings_at(&book->bookings, ended->last)->next = number;
    ended->last = number;
}

static void remove_ended(struct mf_book *book, struct mf_ended *ended, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (booking->prev == MF_BOOKING_NONE)
        ended->first = booking->next;
    else
        mf_bookings_at(&book->bookings, booking->prev)->next = booking->next;
    if (booking->next == MF_BOOKING_NONE)
        ended->last = booking->prev;
    else
        mf_bookings_at(&book->bookings, booking->next)->prev = booking->prev;
}

static struct mf_ended *list_of(struct mf_book *book, unsigned delivery)
{
    if (delivery == MF_DELIVER_QUEUE)
        return &book->queued;
    return delivery == MF_DELIVER_CALLBACK ? &book->called_back : NULL;
}

static inline void move(struct mf_book *book, struct mf_booking *booking, enum mf_task_state to)
{
    uint64_t n = mf_booking_count(booking);

    book->by_state[booking->state] -= n;
    book->by_state[to] += n;
    mf_booking_set_state(booking, to);
}

/* Whether other tasks are still to be given its result. */
static inline bool is_awaited(const struct mf_booking *booking)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    return rare && rare->n_takers > 0;
}

void mf_book_forget_if_unwanted(struct mf_book *book, uint32_t number)
{
    const struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    const struct mf_range *range = mf_booking_range(booking);

    if (booking->is_held || (list_of(book, booking->delivery) && !booking->is_heard) ||
        is_awaited(booking) || (range && range->n_detached > 0))
        return;
    mf_book_forget(book, number);
}

/* --- ends, and what follows --- */

void mf_book_make_ready(struct mf_book *book, uint32_t number, bool is_first)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    move(book, booking, MF_TASK_READY);
    if (mf_ready_put(&book->ready, number, is_first) == 0)
        return;
    if (mf_booking_range(booking))
        mf_range_take_back(book, booking);
    mf_booking_drop_bytes(booking);
    booking->cause = MF_BOOK_OUT_OF_MEMORY;
    booking->code = 0;
    mf_book_conclude(book, number, MF_TASK_FAILED);
}

/* One of the tasks that it waits for has ended. */
static void hear_predecessor(struct mf_book *book, mf_ticket ticket, bool is_done)
{
    struct mf_booking *booking = mf_bookings_find(&book->bookings, ticket);
    uint32_t number = (uint32_t)ticket;

    if (!booking || booking->state != MF_TASK_WAITING)
        return;
    if (is_done) {
        if (--booking->extra->rare->n_waiting_for == 0)
            mf_book_make_ready(book, number, false);
        return;
    }
    move(book, booking, MF_TASK_SKIPPED);
    booking->next = book->concluding;
    book->concluding = number;
}

/* What follows from the end of a task with a rare part, whose state is final, for others. */
static void conclude_rare(struct mf_book *book, struct mf_booking *booking, bool is_done)
{
    struct mf_booking_rare *rare = booking->extra->rare;

    for (uint32_t i = 0; i < rare->n_successors; i++)
        hear_predecessor(book, rare->successors[i], is_done);
    free(rare->successors);
    free(rare->checkpoint);
    rare->successors = NULL;
    rare->checkpoint = NULL;
    rare->n_successors = rare->successors_capacity = 0;
    rare->checkpoint_size = 0;
    rare->is_concluded = true;
    mf_book_let_go(book, booking);
    if (rare->range)
        mf_range_end(rare->range);
    if (rare->range_of)
        mf_range_end_detached(book, rare->range_of, is_done);
}

/* Everything that follows from the end of one task, whose state is final. */
static void conclude_one(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    bool is_done = booking->state == MF_TASK_DONE;
    struct mf_ended *ended = list_of(book, booking->delivery);

    if (!is_done && booking->state != MF_TASK_FAILED)
        mf_booking_drop_bytes(booking);
    mf_book_leave_group(book, booking->group, mf_booking_count(booking));
    if (mf_booking_rare(booking))
        conclude_rare(book, booking, is_done);
    if (ended)
        push_ended(book, ended, number);
    mf_book_forget_if_unwanted(book, number);
}

/* What most tasks are: nothing follows from their end but that they may be asked for. */
static inline bool is_of_no_consequence(const struct mf_booking *booking)
{
    return !booking->extra && booking->group == 0 &&
           (booking->delivery == MF_DELIVER_FUTURE || booking->delivery == MF_DELIVER_NONE);
}

void mf_book_conclude(struct mf_book *book, uint32_t number, enum mf_task_state state)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    move(book, booking, state);
    booking->next = book->concluding;
    book->concluding = number;
    if (book->is_concluding)
        return;
    book->is_concluding = true;
    while (book->concluding != MF_BOOKING_NONE) {
        uint32_t next = book->concluding;

        book->concluding = mf_bookings_at(&book->bookings, next)->next;
        conclude_one(book, next);
    }
    book->is_concluding = false;
}

/* --- coming back --- */

static void fail(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                 const void *message, size_t size)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    mf_booking_drop_bytes(booking);
    /* A failure without its message is still a failure. */
    (void)mf_booking_keep_bytes(booking, message, size, false);
    booking->cause = cause & 127;
    booking->code = code;
    mf_book_conclude(book, number, MF_TASK_FAILED);
}

static void try_again(struct mf_book *book, uint32_t number)
{
    mf_bookings_at(&book->bookings, number)->is_alone = true;
    book->n_retried++;
    mf_book_make_ready(book, number, true);
}

static void end_failed(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                       mf_worker_id worker, const void *message, size_t size)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    struct mf_booking_extra *extra = booking->extra;

    if (!extra && book->max_attempts > 1)
        extra = mf_book_need_extra(book, booking);
    if (extra) {
        extra->tries++;
        extra->avoid = worker + 1;
        if (extra->tries < extra->max_attempts) {
            try_again(book, number);
            return;
        }
    }
    fail(book, number, cause, code, message, size);
}

int mf_book_end(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                mf_worker_id worker, const void *bytes, size_t size, bool is_taken)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (cause != 0) {
        end_failed(book, number, cause, code, worker, bytes, size);
        if (is_taken)
            free((void *)bytes);
        return 0;
    }
    if (mf_booking_is_element(booking) && !mf_range_has_room(book, booking, size)) {
        fail(book, number, MF_BOOK_TOO_LONG, code, NULL, 0);
        if (is_taken)
            free((void *)bytes);
        return 0;
    }
    mf_booking_drop_bytes(booking);
    if (!booking->is_held && booking->delivery == MF_DELIVER_NONE && !is_awaited(booking)) {
        if (mf_booking_is_element(booking))
            mf_range_keep_result(book, booking, bytes, size);
        if (is_taken)
            free((void *)bytes);
    } else if (mf_booking_keep_bytes(booking, bytes, size, is_taken) < 0) {
        fail(book, number, MF_BOOK_OUT_OF_MEMORY, 0, NULL, 0);
        return -ENOMEM;
    }
    if (!is_of_no_consequence(booking)) {
        mf_book_conclude(book, number, MF_TASK_DONE);
        return 0;
    }
    move(book, booking, MF_TASK_DONE);
    if (!booking->is_held)
        mf_book_forget(book, number);
    return 0;
}

void mf_book_return(struct mf_book *book, uint32_t number)
{
    mf_book_make_ready(book, number, true);
}

void mf_book_lose(struct mf_book *book, uint32_t number, uint32_t limit, uint8_t cause,
                  const char *message)
{
    struct mf_booking_extra *extra =
        mf_book_need_extra(book, mf_bookings_at(&book->bookings, number));

    if (!extra || ++extra->n_lost >= limit)
        fail(book, number, cause, 0, message, strlen(message) + 1);
    else
        try_again(book, number);
}

/* What is to end is not READY any more, and nothing of it is out. */
static void leave_lists(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (booking->state == MF_TASK_READY)
        mf_ready_remove(&book->ready, number);
    if (mf_booking_range(booking))
        mf_range_take_back(book, booking);
}

void mf_book_refuse(struct mf_book *book, uint32_t number, uint8_t cause, const char *message)
{
    leave_lists(book, number);
    fail(book, number, cause, 0, message, strlen(message) + 1);
}

void mf_book_cancel(struct mf_book *book, uint32_t number)
{
    leave_lists(book, number);
    mf_book_conclude(book, number, MF_TASK_CANCELLED);
}

int mf_book_take_checkpoint(struct mf_book *book, uint32_t number, uint8_t *bytes, size_t size)
{
    struct mf_booking_rare *rare = mf_book_need_rare(book, mf_bookings_at(&book->bookings, number));

    if (!rare)
        return -ENOMEM;
    free(rare->checkpoint);
    rare->checkpoint = bytes;
    rare->checkpoint_size = size;
    return 0;
}

int mf_book_checkpoint(struct mf_book *book, uint32_t number, const void *bytes, size_t size)
{
    uint8_t *kept = NULL;
    int r;

    if (size > 0) {
        kept = malloc(size);
        if (!kept)
            return -ENOMEM;
        memcpy(kept, bytes, size);
    }
    r = mf_book_take_checkpoint(book, number, kept, size);
    if (r < 0)
        free(kept);
    return r;
}

/* --- hearing and releasing --- */

int mf_book_hear(struct mf_book *book, enum mf_delivery delivery, mf_ticket *ret_ticket)
{
    struct mf_ended *ended = list_of(book, delivery);
    struct mf_booking *booking;

    if (ended->first == MF_BOOKING_NONE)
        return 0;
    *ret_ticket = mf_book_ticket(book, ended->first);
    booking = mf_bookings_at(&book->bookings, ended->first);
    remove_ended(book, ended, ended->first);
    booking->is_heard = true;
    booking->is_held = true;
    return 1;
}

int mf_book_release(struct mf_book *book, mf_ticket ticket)
{
    struct mf_booking *booking = mf_bookings_find(&book->bookings, ticket);
    struct mf_ended *ended;

    if (!booking || !booking->is_held)
        return -ESTALE;
    ended = list_of(book, booking->delivery);
    booking->is_held = false;
    booking->delivery = MF_DELIVER_NONE;
    if (!mf_task_state_is_final((enum mf_task_state)booking->state))
        return 0;
    if (ended && !booking->is_heard)
        remove_ended(book, ended, (uint32_t)ticket);
    mf_book_forget_if_unwanted(book, (uint32_t)ticket);
    return 0;
}

void mf_book_undo_add(struct mf_book *book, mf_ticket ticket)
{
    struct mf_booking *booking = mf_bookings_find(&book->bookings, ticket);

    if (!booking)
        return;
    /* So that it stays until it is taken off whatever list it is on. */
    booking->is_held = true;
    if (!mf_task_state_is_final((enum mf_task_state)booking->state))
        mf_book_cancel(book, (uint32_t)ticket);
    book->by_state[booking->state]--;
    book->n_added--;
    mf_book_release(book, ticket);
}
