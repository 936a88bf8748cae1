/*
 * The worker whose free resources match the task most closely, so that large
 * tasks find room later: the one that has least left. What is left of slots,
 * GPUs and memory is added up as parts of the most that any worker has; ties
 * go to the lower number.
 *
 * Best fit in several dimensions: Panigrahy, Talwar, Uyeda and Wieder,
 * "Heuristics for vector bin packing", Microsoft Research, 2011. Looks at every
 * worker that has a free slot.
 */
#include "core/placement.h"

#include <math.h>

struct search {
    const struct mf_needs *needs;
    struct mf_needs largest;
    double least;
    struct mf_worker *best;
};

static double part(uint64_t left, uint64_t all)
{
    return all > 0 ? (double)left / (double)all : 0;
}

static double left_of(const struct search *search, const struct mf_worker *worker)
{
    const struct mf_needs *needs = search->needs;
    uint32_t n_free = worker->n_slots - worker->n_committed;

    return part(n_free - needs->n_slots, search->largest.n_slots) +
           part(worker->n_free_gpus - needs->n_gpus, search->largest.n_gpus) +
           part(worker->free_mem_bytes - needs->mem_bytes, search->largest.mem_bytes);
}

static void compare(struct mf_worker *worker, void *data)
{
    struct search *search = data;
    double left = left_of(search, worker);

    if (left < search->least || (left == search->least && worker->id < search->best->id)) {
        search->least = left;
        search->best = worker;
    }
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct search search = {.needs = &choice->task->spec.needs,
                            .largest = mf_workers_largest(choice->workers),
                            .least = INFINITY};

    mf_choice_visit(choice, compare, &search);
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_best_fit = {
    .name = "best-fit",
    .summary = "the worker whose free resources match most closely",
    .choose = choose,
};
