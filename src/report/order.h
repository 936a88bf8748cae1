/*
 * What came out of order, until it is its turn: for --keep-order.
 *
 * Numbers 1, 2, 3, ... arrive in any order, each as an item or as one to skip,
 * and the items come out in order. A number skipped ahead of its turn costs a
 * bit, an item that waits a pointer.
 */
#ifndef MF_REPORT_ORDER_H
#define MF_REPORT_ORDER_H

#include "base/heap.h"

#include <stdint.h>

/** Embedded in what is to be ordered. */
struct mf_order_item {
    uint64_t number;
    mf_heap_index heap_index;
};

/**
 * @next     the number whose turn it is
 * @waiting  items, smallest number first (borrowed)
 * @skipped  bit of number n: n modulo the n_bits bits, a power of two
 */
struct mf_order {
    uint64_t next;
    struct mf_heap waiting;
    uint64_t *skipped;
    uint64_t n_bits;
};

/** Begins with the turn of number 1; allocates nothing. */
void mf_order_init(struct mf_order *order);

/** Frees the order, not the items. */
void mf_order_finish(struct mf_order *order);

/** Adds an item. Returns 0, -ENOMEM, or -EEXIST when its number has had its turn. O(log n). */
int mf_order_add(struct mf_order *order, struct mf_order_item *item);

/** Says that a number has no item. Returns 0 or -ENOMEM. */
int mf_order_skip(struct mf_order *order, uint64_t number);

/** Takes out the next item in order; NULL when it has not arrived yet. Amortised O(log n). */
struct mf_order_item *mf_order_next(struct mf_order *order);

/** Takes out the item of the smallest number, whatever is missing before it; NULL for none. */
struct mf_order_item *mf_order_pop(struct mf_order *order);

#endif
