/* The next worker by number after the one chosen last, so that all get as many tasks. */
#include "core/placement.h"

/* Workers looked at in order before the search for those that fit. */
#define MAX_LOOKS 8

struct search {
    mf_worker_id first;
    struct mf_worker *best;
};

/* Who comes first, counted from `first`: those below it are 2^32 further on. */
static void compare(struct mf_worker *worker, void *data)
{
    struct search *search = data;

    if (!search->best || worker->id - search->first < search->best->id - search->first)
        search->best = worker;
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    const struct mf_workers *workers = choice->workers;
    struct search search = {.first = *choice->cursor + 1};

    for (mf_worker_id id = search.first; id - search.first < MAX_LOOKS && workers->n_free > 0;
         id++) {
        struct mf_worker *worker = mf_workers_find(workers, id);

        if (worker && worker->state == MF_WORKER_UP && mf_choice_fits(choice, worker))
            return worker;
    }
    mf_choice_visit(choice, compare, &search);
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_round_robin = {
    .name = "round-robin",
    .summary = "the next worker in turn",
    .choose = choose,
};
