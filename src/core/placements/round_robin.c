/* The next worker by number after the one chosen last, so that all get as many tasks. */
#include "core/placement.h"

/*
 * Workers looked at in order before the search for those that fit: these, and so many times the
 * distance to the next one with a free slot where such are anywhere. Where fewer have a free slot,
 * only those are looked at.
 */
#define MIN_LOOKS 8
#define LOOKS_PER_DISTANCE 4

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

static struct mf_worker *choose_free(const struct mf_choice *choice, struct search *search)
{
    for (uint32_t i = 0; i < choice->workers->n_free_workers; i++)
        if (mf_choice_fits(choice, choice->workers->free[i]))
            compare(choice->workers->free[i], search);
    return search->best ? search->best : mf_choice_ahead(choice);
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    const struct mf_workers *workers = choice->workers;
    struct search search = {.first = *choice->cursor + 1};
    uint32_t n_looks = MIN_LOOKS;

    if (workers->n_free_workers > 0)
        n_looks += LOOKS_PER_DISTANCE * (workers->n_up / workers->n_free_workers);
    if (workers->n_free_workers <= n_looks)
        return choose_free(choice, &search);
    for (uint64_t i = 0; i < n_looks && workers->n_free > 0; i++) {
        struct mf_worker *worker = workers->by_id[(search.first + i) % workers->n_by_id];

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
