/*
 * The worker with the least work outstanding per slot.
 *
 * The farm keeps the workers in a heap by load, so the answer is its top where
 * that one fits. Where it does not, the search goes down the heap and turns
 * back at what cannot lead to a better worker: it looks at five places at most, as
 * two workers may be ruled out, and at more for a task that keeps off a whole node.
 *
 * That is so for a task that needs one slot and nothing else, for which all workers are the
 * same. For others there is a tree that knows what is free. It looks at many
 * workers only where slots, GPUs and memory are free on different ones: see room.h.
 */
#include "core/placement.h"

struct search {
    const struct mf_choice *choice;
    const struct mf_workers *workers;
    const struct mf_needs *needs;
    struct mf_worker *best;
};

static void search_below(struct search *search, uint64_t index)
{
    const struct mf_heap *heap = &search->workers->by_load;
    struct mf_worker *worker;

    if (index >= heap->n_items)
        return;
    worker = heap->items[index];
    if (search->best && !heap->before(worker, search->best))
        return;

    /*
     * With this worker, all below it in the heap are full. With f prefetched tasks per
     * slot, a worker of s slots is full at s + ceil(f * s) tasks. Being at least as
     * loaded as a full one means holding (1 + f) * s or more, and since tasks are
     * whole, s + ceil(f * s).
     */
    if (mf_worker_is_full(search->workers, worker))
        return;
    if (mf_choice_allows(search->choice, worker) &&
        mf_worker_has_room(search->workers, worker, search->needs)) {
        search->best = worker;
        return;
    }
    search_below(search, 2 * index + 1);
    search_below(search, 2 * index + 2);
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct search search = {
        .choice = choice, .workers = choice->workers, .needs = &choice->task->spec.needs};

    if (!mf_needs_are_plain(search.needs))
        return mf_room_first(&choice->workers->room, choice, NULL);
    search_below(&search, 0);
    return search.best;
}

const struct mf_placement mf_placement_least_loaded = {
    .name = "least-loaded",
    .summary = "the worker with the least work per slot",
    .choose = choose,
};
