/*
 * Tasks that are alike, booked as one: a range.
 *
 * An array of inputs for one function is one entry of the book, however many
 * elements it has. They are taken, ended and given back in stretches of
 * neighbours:
 *
 *     mf_book_add_range()        n tasks
 *     mf_book_take_stretch()     READY to PLACED: the next ones, for a unit
 *     mf_book_end_elements()     PLACED to DONE: the first ones of a stretch
 *     mf_book_detach()           the first one becomes a task of its own
 *     mf_book_return_stretch()   PLACED to READY: they were not run
 *
 * An element that does not simply end is detached, with its state: as a task of
 * its own it is tried again, fails, or keeps a checkpoint as any other. Its
 * result goes to its place in the range all the same. All else that the book
 * says of tasks (counts, groups, ready ones) counts elements.
 *
 * Part of the book: one owner, one thread.
 */
#ifndef MF_CORE_RANGE_H
#define MF_CORE_RANGE_H

#include "base/list.h"
#include "core/book.h"

/** The number of no range, and of no task. */
#define MF_NO_RANGE UINT32_MAX

/**
 * Neighbours in a range, that wait or that are in a unit.
 *
 * @node      its place among those of the range that wait, or that are out
 * @range     of one that is out: the number of the range, MF_NO_RANGE once that was withdrawn or
 * all elements have ended: it has no part in it any more
 * @first, @n the elements that have not ended
 * @is_alone  its elements travel one by one
 */
struct mf_stretch {
    struct mf_list node;
    uint32_t range;
    bool is_alone;
    uint64_t first;
    uint64_t n;
};

/**
 * What a range has beside its booking, whose tag is that of element 0.
 *
 * @n             elements
 * @n_ready       that wait to be sent, or for other tasks
 * @n_placed      in stretches that are out
 * @n_detached    tasks of their own that have not ended
 * @n_not_done    ended otherwise than DONE
 * @first_id      of element 0; the others count up
 * @inputs        n times the booking's size; borrowed, or owned if is_owned
 * @results       if has_results, n times result_size bytes (borrowed)
 * @waiting, @out   stretches that wait, the first to go first; and that were taken
 */
struct mf_range {
    uint64_t n;
    uint64_t n_ready;
    uint64_t n_placed;
    uint64_t n_detached;
    uint64_t n_not_done;
    uint64_t first_id;
    const uint8_t *inputs;
    bool is_owned;
    bool has_results;
    uint8_t *results;
    size_t result_size;
    struct mf_list waiting;
    struct mf_list out;
};

/** What becomes of results: elements that end DONE write up to size bytes, and zeros behind that.
 */
struct mf_range_results {
    void *data;
    size_t size;
};

/** The range of a booking, or NULL: it is a task. */
static inline struct mf_range *mf_booking_range(const struct mf_booking *booking)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    return rare ? rare->range : NULL;
}

/**
 * mf_book_add_range() - n tasks that are alike, n at least 1.
 *
 * As mf_book_add() of each; `order` is that of element 0, its delivery NONE, or FUTURE to be asked
 * for the whole. The tags count up.
 *
 * @results  NULL copies the inputs and drops the results; else inputs and results are borrowed
 *           until the range and its detached tasks have ended
 *
 * Returns 0 with the ticket of the range; -ESTALE or -ENOMEM.
 */
int mf_book_add_range(struct mf_book *book, const struct mf_order *order, uint64_t n,
                      const struct mf_range_results *results, mf_ticket *ret_ticket);

/**
 * mf_book_take_stretch() - the next elements of the range that is first in line.
 *
 * As many as the limits allow; one that cannot travel with others, alone.
 *
 * Returns the stretch, which is the book's and out until mf_book_return_stretch(); or NULL with
 * *ret_error 0 when a task is first in line, or none, and -ENOMEM.
 */
struct mf_stretch *mf_book_take_stretch(struct mf_book *book, uint32_t rank,
                                        const struct mf_unit_limits *limits, int *ret_error);

/** A stretch is given back: what is left of it is READY again, before others; and `is_suspect` of
 * having ended a worker, so that each travels alone. Frees it. */
void mf_book_return_stretch(struct mf_book *book, struct mf_stretch *stretch, bool is_suspect);

/**
 * mf_book_end_elements() - the first n elements of a stretch are DONE; FAILED if their results are
 * longer than their places.
 *
 * @results  n times size bytes
 */
void mf_book_end_elements(struct mf_book *book, struct mf_stretch *stretch, uint64_t n,
                          const uint8_t *results, size_t size);

/**
 * mf_book_detach() - the first element of a stretch becomes a task of its own, PLACED.
 *
 * It keeps its identity: see mf_book_task_id(). The stretch has part in a range. Returns its
 * number, or MF_NO_RANGE when there is no memory, and has failed it then; the stretch goes on
 * behind it in either case.
 */
uint32_t mf_book_detach(struct mf_book *book, struct mf_stretch *stretch, uint32_t unit);

/** Whether elements have to become tasks to travel: their input is large, or they are given the
 * results of tasks before them. */
static inline bool mf_booking_must_detach(const struct mf_booking *range, size_t large_bytes)
{
    return range->size > large_bytes || range->extra->rare->n_predecessors > 0;
}

/** Whether a task is an element of that range. */
static inline bool mf_booking_is_of(const struct mf_booking *booking, mf_ticket range)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    return rare && rare->range_of == range;
}

/** What a task function sees as the number of the task: the same for each of its tries. */
uint64_t mf_book_task_id(const struct mf_book *book, uint32_t number);

#endif
