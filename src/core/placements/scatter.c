/*
 * The emptiest worker, so that tasks share memory and its bandwidth with as few
 * others as can be. Ties go to the lower number.
 *
 * Unlike the load, which knows slots alone, how empty a worker is says the
 * resource used most. That is never less than the load, by which the workers
 * are in a heap: so the search goes down it, and turns back where even the load
 * is above the best found.
 */
#include "core/placement.h"

struct search {
    const struct mf_choice *choice;
    double fullness;
    struct mf_worker *best;
};

static bool is_better(const struct search *search, const struct mf_worker *worker, double fullness)
{
    return !search->best || fullness < search->fullness ||
           (fullness == search->fullness && worker->id < search->best->id);
}

static void search_below(struct search *search, uint64_t index)
{
    const struct mf_heap *by_load = &search->choice->workers->by_load;
    struct mf_worker *worker;
    double fullness;

    if (index >= by_load->n_items)
        return;
    worker = by_load->items[index];

    /* All below have more load, or as much and a higher number. */
    if (worker->n_committed >= worker->n_slots ||
        !is_better(search, worker, (double)worker->n_committed / worker->n_slots))
        return;
    fullness = mf_worker_fullness(worker);
    if (mf_choice_fits(search->choice, worker) && is_better(search, worker, fullness)) {
        search->fullness = fullness;
        search->best = worker;
    }
    search_below(search, 2 * index + 1);
    search_below(search, 2 * index + 2);
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct search search = {.choice = choice};

    if (mf_choice_has_any(choice))
        search_below(&search, 0);
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_scatter = {
    .name = "scatter",
    .summary = "the emptiest worker",
    .choose = choose,
};
