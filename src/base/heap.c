/*
 * A binary heap of pointers that knows where each element is: see heap.h.
 *
 * The heap owns its array; elements belong to the caller, who keeps them alive
 * while they are in it. One thread.
 */
#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 64u

void mf_heap_init(struct mf_heap *heap, mf_heap_before_fn before, size_t index_offset)
{
    *heap = (struct mf_heap){.before = before, .index_offset = index_offset};
}

void mf_heap_finish(struct mf_heap *heap)
{
    if (!heap)
        return;
    free(heap->items);
    heap->items = NULL;
    heap->n_items = heap->capacity = 0;
}

static mf_heap_index *index_of(const struct mf_heap *heap, void *item)
{
    return (mf_heap_index *)((char *)item + heap->index_offset);
}

static void place(struct mf_heap *heap, uint32_t at, void *item)
{
    heap->items[at] = item;
    *index_of(heap, item) = at;
}

/* Moves the hole at `at` towards the root until item may stand in it. */
static void sift_up(struct mf_heap *heap, uint32_t at, void *item)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;

        if (!heap->before(item, heap->items[parent]))
            break;
        place(heap, at, heap->items[parent]);
        at = parent;
    }
    place(heap, at, item);
}

/* Moves the hole at `at` towards the leaves until item may stand in it. Inline, as most of the
 * scheduler's time goes here. */
static inline void sift_down(struct mf_heap *heap, uint32_t at, void *item)
{
    /* 64 bits, since the child of a high index does not fit in 32. */
    for (uint64_t child = 2 * (uint64_t)at + 1; child < heap->n_items;
         child = 2 * (uint64_t)at + 1) {
        if (child + 1 < heap->n_items && heap->before(heap->items[child + 1], heap->items[child]))
            child++;
        if (!heap->before(heap->items[child], item))
            break;
        place(heap, at, heap->items[child]);
        at = (uint32_t)child;
    }
    place(heap, at, item);
}

/* Puts item, whose key is new to the place `at`, where it belongs. */
static void settle(struct mf_heap *heap, uint32_t at, void *item)
{
    if (at > 0 && heap->before(item, heap->items[(at - 1) / 2]))
        sift_up(heap, at, item);
    else
        sift_down(heap, at, item);
}

int mf_heap_reserve(struct mf_heap *heap, uint64_t n)
{
    uint32_t capacity = heap->capacity ? heap->capacity : FIRST_CAPACITY;
    void **items;

    if (n <= heap->capacity)
        return 0;
    /* The last index is MF_HEAP_NONE. */
    if (n > UINT32_MAX / 2)
        return -ENOMEM;
    while (capacity < n)
        capacity *= 2;
    items = reallocarray(heap->items, capacity, sizeof(*items));
    if (!items)
        return -ENOMEM;
    heap->items = items;
    heap->capacity = capacity;
    return 0;
}

int mf_heap_push(struct mf_heap *heap, void *item)
{
    if (heap->n_items == heap->capacity) {
        int r = mf_heap_reserve(heap, (uint64_t)heap->n_items + 1);

        if (r < 0)
            return r;
    }
    sift_up(heap, heap->n_items++, item);
    return 0;
}

void *mf_heap_top(const struct mf_heap *heap)
{
    return heap->n_items > 0 ? heap->items[0] : NULL;
}

void *mf_heap_pop(struct mf_heap *heap)
{
    void *item = mf_heap_top(heap);

    if (item)
        mf_heap_remove(heap, item);
    return item;
}

void mf_heap_remove(struct mf_heap *heap, void *item)
{
    uint32_t at = *index_of(heap, item);
    void *last;

    assert(at < heap->n_items && heap->items[at] == item);
    last = heap->items[--heap->n_items];
    *index_of(heap, item) = MF_HEAP_NONE;
    if (last != item)
        settle(heap, at, last);
}

void mf_heap_update(struct mf_heap *heap, void *item)
{
    uint32_t at = *index_of(heap, item);

    assert(at < heap->n_items && heap->items[at] == item);
    settle(heap, at, item);
}

/* Floyd 1964: from the last parent up, so that each element sinks into a heap. */
void mf_heap_rebuild(struct mf_heap *heap)
{
    for (uint32_t at = 0; at < heap->n_items; at++)
        *index_of(heap, heap->items[at]) = at;
    for (uint32_t at = heap->n_items / 2; at-- > 0;)
        sift_down(heap, at, heap->items[at]);
}
