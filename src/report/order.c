/*
 * Keeping order: see order.h.
 *
 * Tasks without output are the many, and one slow task at the front may keep
 * millions of them waiting: they are bits in a ring that begins at the next
 * number, while those with output are in a heap. One thread.
 */
#include "report/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#define BITS_PER_WORD 64
#define FIRST_N_BITS 4096

static bool is_before(const void *a, const void *b)
{
    return ((const struct mf_order_item *)a)->number < ((const struct mf_order_item *)b)->number;
}

void mf_order_init(struct mf_order *order)
{
    *order = (struct mf_order){.next = 1};
    mf_heap_init(&order->waiting, is_before, offsetof(struct mf_order_item, heap_index));
}

void mf_order_finish(struct mf_order *order)
{
    mf_heap_finish(&order->waiting);
    free(order->skipped);
    mf_order_init(order);
}

static uint64_t *word_of(uint64_t *bits, uint64_t n_bits, uint64_t number)
{
    return &bits[(number & (n_bits - 1)) / BITS_PER_WORD];
}

static uint64_t mask_of(uint64_t number)
{
    return UINT64_C(1) << (number % BITS_PER_WORD);
}

static bool is_skipped(const struct mf_order *order, uint64_t number)
{
    return number - order->next < order->n_bits &&
           (*word_of(order->skipped, order->n_bits, number) & mask_of(number));
}

/* Makes the ring reach from the next number to this one. */
static int grow(struct mf_order *order, uint64_t number)
{
    uint64_t distance = number - order->next;
    uint64_t n_bits = order->n_bits ? order->n_bits : FIRST_N_BITS;
    uint64_t *bits;

    while (n_bits <= distance && n_bits <= UINT64_MAX / 4)
        n_bits *= 2;
    if (n_bits == order->n_bits)
        return 0;
    bits = n_bits > distance ? calloc(n_bits / BITS_PER_WORD, sizeof(*bits)) : NULL;
    if (!bits)
        return -ENOMEM;
    for (uint64_t i = 0; i < order->n_bits; i++) {
        if (is_skipped(order, order->next + i))
            *word_of(bits, n_bits, order->next + i) |= mask_of(order->next + i);
    }
    free(order->skipped);
    order->skipped = bits;
    order->n_bits = n_bits;
    return 0;
}

int mf_order_add(struct mf_order *order, struct mf_order_item *item)
{
    if (item->number < order->next)
        return -EEXIST;
    return mf_heap_push(&order->waiting, item);
}

int mf_order_skip(struct mf_order *order, uint64_t number)
{
    int code;

    if (number < order->next)
        return 0;
    /* In order already, as after --resume with a million tasks done: nothing to keep. */
    if (number == order->next) {
        order->next++;
        return 0;
    }
    code = grow(order, number);
    if (code)
        return code;
    *word_of(order->skipped, order->n_bits, number) |= mask_of(number);
    return 0;
}

struct mf_order_item *mf_order_next(struct mf_order *order)
{
    const struct mf_order_item *first;

    while (is_skipped(order, order->next)) {
        *word_of(order->skipped, order->n_bits, order->next) &= ~mask_of(order->next);
        order->next++;
    }
    first = mf_heap_top(&order->waiting);
    if (!first || first->number > order->next)
        return NULL;
    /* A number given twice comes out twice, and moves the turn on once. */
    if (first->number == order->next)
        order->next++;
    return mf_heap_pop(&order->waiting);
}

struct mf_order_item *mf_order_pop(struct mf_order *order)
{
    return mf_heap_pop(&order->waiting);
}
