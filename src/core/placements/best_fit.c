/*
 * The worker whose free resources match the task most closely, so that large
 * tasks find room later: the one that has least left. What is left of slots,
 * GPUs and memory is added up as parts of the most that any worker has; ties
 * go to the lower number.
 *
 * Best fit in several dimensions: Panigrahy, Talwar, Uyeda and Wieder,
 * "Heuristics for vector bin packing", Microsoft Research, 2011. The farm keeps the
 * workers in a heap by how full they are, and the search goes down it: the
 * emptier a worker is, the more it has left at least.
 */
#include "core/placement.h"

#include <math.h>

/* More than an error of rounding, less than a slot or a GPU of any worker. */
#define MARGIN 1e-9

struct search {
    const struct mf_choice *choice;
    const struct mf_needs *needs;
    struct mf_needs largest, smallest;
    double least;
    struct mf_worker *best;
};

static double part(double left, double all)
{
    return all > 0 && left > 0 ? left / all : 0;
}

static double left_of(const struct search *search, const struct mf_worker *worker)
{
    const struct mf_needs *needs = search->needs;
    uint32_t n_free = worker->n_slots - worker->n_committed;

    return part(n_free - needs->n_slots, search->largest.n_slots) +
           part(worker->n_free_gpus - needs->n_gpus, search->largest.n_gpus) +
           part((double)(worker->free_mem_bytes - needs->mem_bytes),
                (double)search->largest.mem_bytes);
}

/* Whether one that is less full has more left at least: that of some resource must grow. */
static bool is_strict(const struct search *search, double fullness)
{
    const struct mf_needs *needs = search->needs, *smallest = &search->smallest;
    double empty = 1 - fullness;

    return (smallest->n_slots > 0 && empty * smallest->n_slots + MARGIN >= needs->n_slots) ||
           (smallest->n_gpus > 0 && empty * smallest->n_gpus + MARGIN >= needs->n_gpus);
}

/* What a worker has left at least if it is this full or less: each of its resources is, too. */
static double least_left(const struct search *search, double fullness)
{
    const struct mf_needs *needs = search->needs, *smallest = &search->smallest;
    double empty = 1 - fullness;

    return part(empty * smallest->n_slots - needs->n_slots, search->largest.n_slots) +
           part(empty * smallest->n_gpus - needs->n_gpus, search->largest.n_gpus) +
           part(empty * (double)smallest->mem_bytes - (double)needs->mem_bytes,
                (double)search->largest.mem_bytes);
}

static void compare(struct search *search, struct mf_worker *worker)
{
    double left = left_of(search, worker);

    if (left < search->least || (left == search->least && worker->id < search->best->id)) {
        search->least = left;
        search->best = worker;
    }
}

/*
 * Whether none below a worker can be better than the best found: that leaves as little as any of
 * them can, and comes before all of them that are as full.
 */
static bool is_hopeless(const struct search *search, const struct mf_worker *worker)
{
    double least = least_left(search, worker->fullness);

    if (least > search->least + MARGIN)
        return true;
    return search->best && least + MARGIN >= search->least &&
           worker->fullness == search->best->fullness &&
           search->choice->workers->by_fullness.before(search->best, worker) &&
           is_strict(search, worker->fullness);
}

static void search_below(struct search *search, uint64_t index)
{
    const struct mf_heap *by_fullness = &search->choice->workers->by_fullness;
    struct mf_worker *worker;

    if (index >= by_fullness->n_items)
        return;
    worker = by_fullness->items[index];
    if (worker->n_committed >= worker->n_slots || is_hopeless(search, worker))
        return;
    if (mf_choice_fits(search->choice, worker))
        compare(search, worker);
    search_below(search, 2 * index + 1);
    search_below(search, 2 * index + 2);
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct search search = {.choice = choice,
                            .needs = &choice->task->spec.needs,
                            .largest = mf_workers_largest(choice->workers),
                            .smallest = mf_workers_smallest(choice->workers),
                            .least = INFINITY};

    if (mf_choice_has_any(choice))
        search_below(&search, 0);
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_best_fit = {
    .name = "best-fit",
    .summary = "the worker whose free resources match most closely",
    .choose = choose,
    .has_fullness = true,
};
