/* Tests of base/heap.c. */
#include "base/heap.h"

#include "base/rng.h"

#include <criterion/criterion.h>

#define N_ITEMS 500

struct item {
    uint32_t other;
    mf_heap_index at;
    uint64_t key;
};

static bool item_before(const void *a, const void *b)
{
    return ((const struct item *)a)->key < ((const struct item *)b)->key;
}

static void init(struct mf_heap *heap)
{
    mf_heap_init(heap, item_before, offsetof(struct item, at));
}

/* Fails unless each parent comes before its children and each element knows its place. */
static void check(const struct mf_heap *heap)
{
    for (uint32_t i = 0; i < heap->n_items; i++) {
        const struct item *item = heap->items[i];

        cr_assert_eq(item->at, i);
        if (i > 0)
            cr_assert(!item_before(item, heap->items[(i - 1) / 2]));
    }
}

static void push_random(struct mf_heap *heap, struct mf_rng *rng, struct item items[N_ITEMS])
{
    for (int i = 0; i < N_ITEMS; i++) {
        items[i] = (struct item){.key = mf_rng_below(rng, 200), .at = MF_HEAP_NONE};
        cr_assert_eq(mf_heap_push(heap, &items[i]), 0);
    }
}

/* Empties the heap; fails unless n elements come out in order. */
static void drain(struct mf_heap *heap, int n)
{
    uint64_t last = 0;

    for (; n > 0; n--) {
        struct item *item = mf_heap_pop(heap);

        cr_assert_not_null(item);
        cr_assert_geq(item->key, last);
        cr_assert_eq(item->at, MF_HEAP_NONE);
        last = item->key;
    }
    cr_assert_null(mf_heap_pop(heap));
}

Test(heap, elements_come_out_in_order)
{
    static struct item items[N_ITEMS];
    struct mf_heap heap;
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    init(&heap);
    push_random(&heap, &rng, items);
    check(&heap);
    drain(&heap, N_ITEMS);
    mf_heap_finish(&heap);
}

Test(heap, the_top_stays_in_the_heap)
{
    struct item small = {.key = 1}, large = {.key = 2};
    struct mf_heap heap;

    init(&heap);
    cr_assert_null(mf_heap_top(&heap));
    mf_heap_push(&heap, &large);
    mf_heap_push(&heap, &small);
    cr_assert_eq(mf_heap_top(&heap), &small);
    cr_assert_eq(heap.n_items, 2u);
    mf_heap_finish(&heap);
}

Test(heap, any_element_can_be_removed)
{
    static struct item items[N_ITEMS];
    struct mf_heap heap;
    struct mf_rng rng;

    mf_rng_init(&rng, 2);
    init(&heap);
    push_random(&heap, &rng, items);
    for (int i = 0; i < N_ITEMS; i += 2) {
        mf_heap_remove(&heap, &items[i]);
        cr_assert_eq(items[i].at, MF_HEAP_NONE);
        check(&heap);
    }
    drain(&heap, N_ITEMS / 2);
    mf_heap_finish(&heap);
}

Test(heap, a_changed_key_moves_its_element_either_way)
{
    static struct item items[N_ITEMS];
    struct mf_heap heap;
    struct mf_rng rng;

    mf_rng_init(&rng, 3);
    init(&heap);
    push_random(&heap, &rng, items);
    for (int i = 0; i < N_ITEMS; i++) {
        items[i].key = mf_rng_below(&rng, 200);
        mf_heap_update(&heap, &items[i]);
        check(&heap);
    }
    drain(&heap, N_ITEMS);
    mf_heap_finish(&heap);
}

Test(heap, removing_the_last_place_needs_no_repair)
{
    struct item items[] = {{.key = 1}, {.key = 2}, {.key = 3}};
    struct mf_heap heap;

    init(&heap);
    for (int i = 0; i < 3; i++)
        mf_heap_push(&heap, &items[i]);
    mf_heap_remove(&heap, heap.items[2]);
    check(&heap);
    drain(&heap, 2);
    mf_heap_finish(&heap);
}

Test(heap, finishing_accepts_nothing_and_the_unused)
{
    struct mf_heap heap;

    init(&heap);
    mf_heap_finish(&heap);
    mf_heap_finish(NULL);
}

Test(heap, it_is_in_order_after_all_keys_changed_and_the_array_was_shuffled)
{
    struct item items[N_ITEMS];
    struct mf_heap heap;
    struct mf_rng rng;

    mf_rng_init(&rng, 5);
    init(&heap);
    mf_heap_rebuild(&heap);
    push_random(&heap, &rng, items);
    for (uint32_t i = 0; i < N_ITEMS; i++) {
        uint32_t other = (uint32_t)mf_rng_below(&rng, N_ITEMS);
        void *item = heap.items[i];

        heap.items[i] = heap.items[other];
        heap.items[other] = item;
        items[i].key = mf_rng_below(&rng, 200);
    }
    mf_heap_rebuild(&heap);
    check(&heap);
    drain(&heap, N_ITEMS);
    mf_heap_finish(&heap);
}
