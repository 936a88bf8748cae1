/*
 * What the files of the book share among themselves. Nobody else includes it.
 *
 *     book.c      what a task has, and what can be asked
 *     book_add.c  new tasks
 *     book_end.c  ends, what follows from them, and who hears of them
 *     book_take.c tasks into units
 *     book_after.c  results for the tasks that come after
 *     range.c     tasks that are booked as one
 *     bookings.c  where they are kept
 *     ready.c     the READY ones
 */
#ifndef MF_CORE_BOOK_PRIVATE_H
#define MF_CORE_BOOK_PRIVATE_H

#include "core/ready.h"

#include <assert.h>
#include <stdlib.h>

/** Ended tasks that somebody is to hear of, linked by next and prev. */
struct mf_ended {
    uint32_t first, last;
};

/** How long calls of a function take. */
struct mf_pace {
    uint64_t n_calls;
    double mean_ns;
};

/**
 * @max_attempts   of tasks that do not say
 * @queued, @called_back   ended tasks with these deliveries that were not heard of
 * @concluding     tasks in a final state from which everything follows yet, linked by next
 * @is_concluding  that list is being worked off
 * @groups         group to number of unfinished tasks
 * @paces          n_paces functions
 * @n_elements     of all ranges that were added
 */
struct mf_book {
    uint32_t max_attempts;
    struct mf_bookings bookings;
    struct mf_ready ready;
    struct mf_ended queued, called_back;
    uint32_t concluding;
    bool is_concluding;
    struct mf_table *groups;
    struct mf_pace *paces;
    uint32_t n_paces;
    uint64_t by_state[MF_TASK_STATE_COUNT];
    uint64_t n_added;
    uint64_t n_retried;
    uint64_t n_elements;
};

/** The one writer of a task's state; whoever calls it counts. */
static inline void mf_booking_set_state(struct mf_booking *booking, enum mf_task_state to)
{
    assert(mf_task_may_move((enum mf_task_state)booking->state, to));
    booking->state = (uint16_t)to & 7;
}

/** How many tasks a booking stands for: of a range, those that are in the booking's own state. */
static inline uint64_t mf_booking_count(const struct mf_booking *booking)
{
    const struct mf_range *range = mf_booking_range(booking);

    return range ? range->n_ready : 1;
}

/* book.c */

/** Copies bytes to the heap, for a booking. Returns 0 or -ENOMEM. */
int mf_booking_keep_on_heap(struct mf_booking *booking, const void *bytes, size_t size);

/** Copies bytes into a booking, or takes them if they are on the heap. Returns 0 or -ENOMEM. */
static inline int mf_booking_keep_bytes(struct mf_booking *booking, const void *bytes, size_t size,
                                        bool is_taken)
{
    if (!is_taken && size > MF_BOOKING_SMALL)
        return mf_booking_keep_on_heap(booking, bytes, size);
    if (is_taken) {
        booking->bytes = (uint8_t *)bytes;
        booking->is_on_heap = true;
    } else {
        mf_copy(booking->small, bytes, size);
    }
    booking->size = size;
    return 0;
}

/** Frees what is its own of the bytes of a booking that has them on the heap. */
static inline void mf_booking_free_bytes(struct mf_booking *booking)
{
    if (booking->extra && booking->extra->is_borrowed)
        booking->extra->is_borrowed = false;
    else
        free(booking->bytes);
}

static inline void mf_booking_drop_bytes(struct mf_booking *booking)
{
    if (booking->is_on_heap)
        mf_booking_free_bytes(booking);
    booking->is_on_heap = false;
    booking->size = 0;
}

/** Whether a task is an element of some range. */
static inline bool mf_booking_is_element(const struct mf_booking *booking)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    return rare && rare->range_of;
}

/** Frees what a booking has, and its place. */
void mf_book_forget(struct mf_book *book, uint32_t number);

/** n unfinished tasks fewer in a group. */
void mf_book_leave_group(struct mf_book *book, uint32_t group, uint64_t n);

/** What few tasks have; made if it is missing. NULL when memory is out. */
struct mf_booking_extra *mf_book_need_extra(struct mf_book *book, struct mf_booking *booking);

/** The same, with room for a hearer if it is missing. */
struct mf_booking_extra *mf_book_need_hearer(struct mf_book *book, struct mf_booking *booking);

/** What hardly any task has; made if it is missing. NULL when memory is out. */
struct mf_booking_rare *mf_book_need_rare(struct mf_book *book, struct mf_booking *booking);

/* book_add.c */

/** A task or range as mf_book_add() has it; range is taken unless this fails, or NULL. */
int mf_book_add_booking(struct mf_book *book, const struct mf_order *order, struct mf_range *range,
                        mf_ticket *ret_ticket);

/* book_end.c */

/** Puts a task or range among the READY ones; without memory for that it fails. */
void mf_book_make_ready(struct mf_book *book, uint32_t number, bool is_first);

/** Moves a task that is in no list to a final state, and carries out all that follows. */
void mf_book_conclude(struct mf_book *book, uint32_t number, enum mf_task_state state);

/** An ended task or range that nobody can ask for, has to hear of, takes the result of or belongs
 * to goes out. */
void mf_book_forget_if_unwanted(struct mf_book *book, uint32_t number);

/* book_after.c */

/** A task is to be given the result of another one; it has room for that predecessor. Returns 0 or
 * -ENOMEM. */
int mf_book_note_taker(struct mf_book *book, struct mf_booking *before, mf_ticket ticket,
                       struct mf_booking *taker);

/** A task with a rare part needs the results of its predecessors no more. */
void mf_book_let_go(struct mf_book *book, struct mf_booking *taker);

/** Before a READY task with predecessors is taken: puts their results behind its input. Returns 0
 * or -ENOMEM. */
int mf_book_gather(struct mf_book *book, struct mf_booking *taker);

/** The same for an element of a range that keeps its predecessors. */
int mf_book_gather_for(struct mf_book *book, const struct mf_booking *range,
                       struct mf_booking *taker);

/* range.c */

/** NULL is accepted. */
void mf_range_destroy(struct mf_range *range);

/** The first n elements of a stretch that waits, which is cut in two or taken out of its list
 * whole. Returns it, in no list, or NULL when memory is out. */
struct mf_stretch *mf_stretch_cut(struct mf_stretch *stretch, uint64_t n);

/** Before a range is withdrawn: what is out is none of it any more. */
void mf_range_take_back(struct mf_book *book, struct mf_booking *booking);

/** A range is final: none of its elements is ready. */
void mf_range_end(struct mf_range *range);

/** Whether a result of a detached task fits into its place. */
bool mf_range_has_room(const struct mf_book *book, const struct mf_booking *booking, size_t size);

/** The result of a detached task that is DONE, and fits, goes to its place. */
void mf_range_keep_result(struct mf_book *book, const struct mf_booking *booking, const void *bytes,
                          size_t size);

/** A detached task has ended. */
void mf_range_end_detached(struct mf_book *book, mf_ticket range, bool is_done);

#endif
