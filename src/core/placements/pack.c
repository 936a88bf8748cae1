/*
 * The fullest worker that fits, so that others stay empty and can be given
 * back, or take a large task. Ties go to the lower number. Looks at every worker that
 * has a free slot.
 *
 * How full a worker is says the resource used most, its dominant one: Ghodsi
 * and others, "Dominant resource fairness", NSDI 2011.
 */
#include "core/placement.h"

struct search {
    double fullness;
    struct mf_worker *best;
};

static void compare(struct mf_worker *worker, void *data)
{
    struct search *search = data;
    double fullness = mf_worker_fullness(worker);

    if (!search->best || fullness > search->fullness ||
        (fullness == search->fullness && worker->id < search->best->id)) {
        search->fullness = fullness;
        search->best = worker;
    }
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct search search = {0};

    mf_choice_visit(choice, compare, &search);
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_pack = {
    .name = "pack",
    .summary = "the fullest worker that fits",
    .choose = choose,
};
