/* The next worker by number after the one chosen last, so that all get as many tasks. */
#include "core/placement.h"

/*
 * Workers looked at in order before the search for those that fit: these, and so many times the
 * distance to the next one with a free slot where such are anywhere.
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

/* Of those with a free slot that fit, the first. */
static void search_free(const struct mf_choice *choice, struct search *search)
{
    const struct mf_workers *workers = choice->workers;

    for (uint32_t i = 0; i < workers->n_free_workers; i++)
        if (mf_choice_fits(choice, workers->free[i]))
            compare(workers->free[i], search);
}

/* The first of the next n_looks numbers that fits, or NULL. */
static struct mf_worker *walk(const struct mf_choice *choice, mf_worker_id first, uint64_t n_looks)
{
    const struct mf_workers *workers = choice->workers;

    for (uint64_t i = 0; i < n_looks; i++) {
        struct mf_worker *worker = workers->by_id[(first + i) % workers->n_by_id];

        if (worker && worker->state == MF_WORKER_UP && mf_choice_fits(choice, worker))
            return worker;
    }
    return NULL;
}

static struct mf_worker *choose(const struct mf_choice *choice)
{
    const struct mf_workers *workers = choice->workers;
    struct search search = {.first = *choice->cursor + 1};
    uint64_t distance = workers->n_free_workers ? workers->n_up / workers->n_free_workers : 0;

    /* In a farm that is busy the next one is far, but there are few to choose from. */
    if (workers->n_free_workers <= distance) {
        search_free(choice, &search);
    } else {
        search.best = walk(choice, search.first, MIN_LOOKS + LOOKS_PER_DISTANCE * distance);
        if (!search.best)
            mf_choice_visit(choice, compare, &search);
    }
    return search.best ? search.best : mf_choice_ahead(choice);
}

const struct mf_placement mf_placement_round_robin = {
    .name = "round-robin",
    .summary = "the next worker in turn",
    .choose = choose,
};
