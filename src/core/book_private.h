/*
 * What the files of the book share among themselves. Nobody else includes it.
 *
 *     book.c      tasks from their submission to their end
 *     book_take.c tasks into units
 *     book_after.c  results for the tasks that come after
 *     bookings.c  where they are kept
 *     ready.c     the READY ones
 */
#ifndef MF_CORE_BOOK_PRIVATE_H
#define MF_CORE_BOOK_PRIVATE_H

#include "core/ready.h"

#include <assert.h>

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
};

/** The one writer of a task's state; whoever calls it counts. */
static inline void mf_booking_set_state(struct mf_booking *booking, enum mf_task_state to)
{
    assert(mf_task_may_move((enum mf_task_state)booking->state, to));
    booking->state = (uint16_t)to & 7;
}

/** Moves a task that is in no list to a final state, and carries out all that follows. */
void mf_book_conclude(struct mf_book *book, uint32_t number, enum mf_task_state state);

/** What few tasks have; made if it is missing. NULL when memory is out. */
struct mf_booking_extra *mf_book_need_extra(struct mf_book *book, struct mf_booking *booking);

/** An ended task that nobody can ask for, has to hear of or takes the result of goes out. */
void mf_book_forget_if_unwanted(struct mf_book *book, uint32_t number);

/* book_after.c */

/** A task is to be given the result of another one; it has room for that predecessor. Returns 0 or
 * -ENOMEM. */
int mf_book_note_taker(struct mf_book *book, struct mf_booking *before, mf_ticket ticket,
                       struct mf_booking *taker);

/** A task with extra needs the results of its predecessors no more. */
void mf_book_let_go(struct mf_book *book, struct mf_booking *taker);

/** Before a READY task with predecessors is taken: puts their results behind its input. Returns 0
 * or -ENOMEM. */
int mf_book_gather(struct mf_book *book, struct mf_booking *taker);

#endif
