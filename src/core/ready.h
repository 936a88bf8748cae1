/*
 * The READY tasks of the book: one list for each priority and rank, each in
 * order of submission. A range is on a list once, and counts as its elements
 * that are ready. Private to the core.
 */
#ifndef MF_CORE_READY_H
#define MF_CORE_READY_H

#include "base/table.h"
#include "core/bookings.h"
#include "core/range.h"

/** What tasks on one list have in common; all bytes are set, as keys are compared as memory. */
struct mf_ready_key {
    uint32_t rank;
    int32_t priority;
};

/** @first, @last  of the list through the tasks' next and prev; MF_BOOKING_NONE when empty */
struct mf_ready_list {
    struct mf_ready_key key;
    uint32_t first, last;
    mf_heap_index heap_index;
};

/** The lists of one rank that are not empty, highest priority first. */
struct mf_ready_rank {
    uint32_t rank;
    uint64_t n_tasks;
    struct mf_heap by_priority;
};

/**
 * @bookings   the tasks (borrowed)
 * @by_key     struct mf_ready_key to struct mf_ready_list *; those not empty, and `plain`
 * @plain      the list of most tasks: any rank, priority 0
 * @anywhere   of rank 0, that is of any
 * @by_rank    other ranks with READY tasks: rank to struct mf_ready_rank *
 */
struct mf_ready {
    struct mf_bookings *bookings;
    struct mf_table *by_key;
    struct mf_ready_list plain;
    struct mf_ready_rank anywhere;
    struct mf_table *by_rank;
};

/** Returns 0 or -ENOMEM; to be finished in any case. */
int mf_ready_init(struct mf_ready *ready, struct mf_bookings *bookings);
void mf_ready_finish(struct mf_ready *ready);

/**
 * mf_ready_put() - put a task, which is in no list, on its list.
 *
 * @is_first  before the others rather than behind them
 *
 * Returns 0 or -ENOMEM. O(1), or O(log priorities) if the list was empty.
 */
int mf_ready_put(struct mf_ready *ready, uint32_t number, bool is_first);

/** Takes a task off its list. */
void mf_ready_remove(struct mf_ready *ready, uint32_t number);

/** Takes the first n tasks, the last of which is `last`, off the list of which they are the front.
 */
void mf_ready_cut(struct mf_ready *ready, uint32_t last, uint64_t n);

/** A range on a list has so many more elements, or fewer. */
void mf_ready_add(struct mf_ready *ready, uint32_t number, int64_t n);

/** The first task of highest priority for a rank (0: any), or MF_BOOKING_NONE. O(1). */
uint32_t mf_ready_first(const struct mf_ready *ready, uint32_t rank);

#endif
