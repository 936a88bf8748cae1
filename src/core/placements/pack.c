/*
 * The fullest worker that fits, so that others stay empty and can be given
 * back, or take a large task. Ties go to the lower number.
 *
 * How full a worker is says the resource used most, its dominant one: Ghodsi
 * and others, "Dominant resource fairness", NSDI 2011. The farm keeps the workers
 * in a heap by that; where its top does not fit, the search goes down and
 * turns back at what cannot lead to a fuller one that does.
 */
#include "core/placement.h"

static void search_below(const struct mf_choice *choice, uint64_t index, struct mf_worker **best)
{
    const struct mf_heap *by_fullness = &choice->workers->by_fullness;
    struct mf_worker *worker;

    if (index >= by_fullness->n_items)
        return;
    worker = by_fullness->items[index];
    if (worker->n_committed >= worker->n_slots || (*best && !by_fullness->before(worker, *best)))
        return;
    if (mf_choice_fits(choice, worker)) {
        *best = worker;
        return;
    }
    search_below(choice, 2 * index + 1, best);
    search_below(choice, 2 * index + 2, best);
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct mf_worker *best = NULL;

    if (mf_choice_has_any(choice))
        search_below(choice, 0, &best);
    return best ? best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_pack = {
    .name = "pack",
    .summary = "the fullest worker that fits",
    .choose = choose,
    .has_fullness = true,
};
