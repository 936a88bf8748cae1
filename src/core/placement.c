/* The list of placements, and what they have in common. Constant data, any thread. */
#include "core/placement.h"

#include <stddef.h>
#include <string.h>

/* Lots drawn among the workers with a free slot before the search for those that fit. */
#define MAX_DRAWS 8

static const struct mf_placement *const placements[] = {
    &mf_placement_least_loaded, &mf_placement_round_robin, &mf_placement_random,
    &mf_placement_two_choices,  &mf_placement_best_fit,    &mf_placement_pack,
    &mf_placement_scatter,      &mf_placement_affinity,
};

const struct mf_placement *mf_placement_find(const char *name)
{
    for (size_t i = 0; i < sizeof(placements) / sizeof(placements[0]); i++) {
        if (strcmp(placements[i]->name, name) == 0)
            return placements[i];
    }
    return NULL;
}

const struct mf_placement *mf_placement_at(uint32_t i)
{
    return i < sizeof(placements) / sizeof(placements[0]) ? placements[i] : NULL;
}

bool mf_choice_fits(const struct mf_choice *choice, const struct mf_worker *worker)
{
    const struct mf_needs *needs = &choice->task->spec.needs;

    return mf_choice_allows(choice, worker) &&
           (uint64_t)worker->n_committed + needs->n_slots <= worker->n_slots &&
           mf_worker_has_room(choice->workers, worker, needs);
}

bool mf_choice_has_any(const struct mf_choice *choice)
{
    if (mf_needs_are_plain(&choice->task->spec.needs))
        return choice->workers->n_free > 0;
    return mf_room_first(&choice->workers->room, choice, NULL) != NULL;
}

/* All below a worker are at least as loaded, so that none below one without a free slot has one. */
static void visit_below(const struct mf_choice *choice, uint64_t index,
                        void (*visit)(struct mf_worker *worker, void *data), void *data)
{
    const struct mf_heap *by_load = &choice->workers->by_load;
    struct mf_worker *worker;

    if (index >= by_load->n_items)
        return;
    worker = by_load->items[index];
    if (worker->n_committed >= worker->n_slots)
        return;
    if (mf_choice_fits(choice, worker))
        visit(worker, data);
    visit_below(choice, 2 * index + 1, visit, data);
    visit_below(choice, 2 * index + 2, visit, data);
}

void mf_choice_visit(const struct mf_choice *choice,
                     void (*visit)(struct mf_worker *worker, void *data), void *data)
{
    if (mf_choice_has_any(choice))
        visit_below(choice, 0, visit, data);
}

struct lottery {
    struct mf_rng *rng;
    uint64_t n_seen;
    struct mf_worker *winner;
};

/* The n-th seen wins with a chance of 1/n, so that each is as likely in the end. */
static void enter_lottery(struct mf_worker *worker, void *data)
{
    struct lottery *lottery = data;

    if (mf_rng_below(lottery->rng, ++lottery->n_seen) == 0)
        lottery->winner = worker;
}

struct mf_worker *mf_choice_draw(const struct mf_choice *choice)
{
    const struct mf_workers *workers = choice->workers;
    struct lottery lottery = {.rng = choice->rng};

    for (int i = 0; i < MAX_DRAWS && workers->n_free_workers > 0; i++) {
        struct mf_worker *worker =
            workers->free[mf_rng_below(choice->rng, workers->n_free_workers)];

        if (mf_choice_fits(choice, worker))
            return worker;
    }
    mf_choice_visit(choice, enter_lottery, &lottery);
    return lottery.winner;
}

struct mf_worker *mf_choice_ahead(const struct mf_choice *choice)
{
    return mf_placement_least_loaded.choose(choice);
}
