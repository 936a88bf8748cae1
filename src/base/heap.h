/*
 * A binary heap of pointers that knows where each element is, so that an
 * element can be moved or removed when its key changes.
 *
 * The order is the caller's comparison; elements that compare equal come out
 * in an unspecified but reproducible order, so a comparison should break ties.
 */
#ifndef MF_BASE_HEAP_H
#define MF_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Place of an element in its heap, embedded in it; MF_HEAP_NONE outside. */
typedef uint32_t mf_heap_index;
#define MF_HEAP_NONE UINT32_MAX

/** True when a must come out before b. */
typedef bool (*mf_heap_before_fn)(const void *a, const void *b);

/**
 * @items         elements, borrowed
 * @n_items       how many there are
 * @capacity      how many fit before the array grows
 * @before        order
 * @index_offset  offset of the element's mf_heap_index member
 */
struct mf_heap {
    void **items;
    uint32_t n_items;
    uint32_t capacity;
    mf_heap_before_fn before;
    size_t index_offset;
};

/** Prepares an empty heap in place; allocates nothing. */
void mf_heap_init(struct mf_heap *heap, mf_heap_before_fn before, size_t index_offset);

/** Frees the array, not the elements. NULL is accepted. */
void mf_heap_finish(struct mf_heap *heap);

/** Memory for n elements in all, so that pushing so many never fails. Returns 0 or -ENOMEM. */
int mf_heap_reserve(struct mf_heap *heap, uint64_t n);

/** Adds an element in O(log n). Returns 0 or -ENOMEM. */
int mf_heap_push(struct mf_heap *heap, void *item);

/** The first element, which stays in the heap; NULL when it is empty. O(1). */
void *mf_heap_top(const struct mf_heap *heap);

/** Takes the first element out in O(log n); NULL when the heap is empty. */
void *mf_heap_pop(struct mf_heap *heap);

/** Takes out an element that is in the heap in O(log n). */
void mf_heap_remove(struct mf_heap *heap, void *item);

/** Restores the order after the key of an element in the heap changed. O(log n). */
void mf_heap_update(struct mf_heap *heap, void *item);

/** Restores the order after any keys changed, or the array itself was put in another order. O(n).
 */
void mf_heap_rebuild(struct mf_heap *heap);

#endif
