/*
 * Run-wide countables, such as licences. A READY task that asks for more of
 * one than there is now is parked, with the others that lack it and in the
 * same order, so that it does not hold up those that need none.
 */
#include "core/farm_private.h"

#include <assert.h>

bool mf_farm_has_countables(const struct mf_farm *farm, const struct mf_needs *needs)
{
    uint32_t is_short = 0;

    /* Without a way out of it, the loop is a few instructions for all of them. */
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        is_short |= needs->countables[i] > farm->config.countables[i];
    return !is_short;
}

void mf_farm_take_countables(struct mf_farm *farm, const struct mf_needs *needs)
{
    if (!farm->has_countables)
        return;
    for (int i = 0; i < MF_N_COUNTABLES; i++) {
        assert(needs->countables[i] <= farm->n_free_countables[i]);
        farm->n_free_countables[i] -= needs->countables[i];
    }
}

void mf_farm_give_back_countables(struct mf_farm *farm, const struct mf_needs *needs)
{
    if (!farm->has_countables)
        return;
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        farm->n_free_countables[i] += needs->countables[i];
}

/* Whether a parked task that goes before this one needs some of a countable too. */
static bool is_wanted_before(const struct mf_farm *farm, const struct mf_task *task, int countable)
{
    for (int i = 0; i < MF_N_COUNTABLES; i++) {
        const struct mf_task *first = mf_heap_top(&farm->parked[i]);

        if (first && first->spec.needs.countables[countable] > 0 &&
            farm->parked[i].before(first, task))
            return true;
    }
    return false;
}

/* What is free of a countable but for what the task has coming that a worker is kept for. */
static uint64_t free_for(const struct mf_farm *farm, const struct mf_task *task, int countable)
{
    const struct mf_task *kept_for = NULL;
    uint64_t n_free = farm->n_free_countables[countable], n_kept;

    if (farm->reservation.is_standing && farm->reservation.task != task->id)
        kept_for = mf_tasks_find(&farm->tasks, farm->reservation.task);
    n_kept = kept_for ? kept_for->spec.needs.countables[countable] : 0;
    return n_free > n_kept ? n_free - n_kept : 0;
}

/*
 * The first countable that a task has to wait for, or -1. It also waits where
 * one before it waits for another thing: those that need many would starve
 * behind those that need few.
 */
static int find_lacking(const struct mf_farm *farm, const struct mf_task *task)
{
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (task->spec.needs.countables[i] > 0 &&
            (task->spec.needs.countables[i] > free_for(farm, task, i) ||
             is_wanted_before(farm, task, i)))
            return i;
    return -1;
}

bool mf_farm_park_if_lacking(struct mf_farm *farm, struct mf_task *task)
{
    int lacking = farm->has_countables ? find_lacking(farm, task) : -1;

    if (lacking < 0)
        return false;
    mf_farm_park_ready(farm, task, (uint8_t)(lacking + 1));
    return true;
}

/* Lets the first of those that lack a countable try again, as far as there are so many. */
static void unpark(struct mf_farm *farm, int i, uint64_t n_free)
{
    struct mf_task *task;

    while ((task = mf_heap_top(&farm->parked[i])) && task->spec.needs.countables[i] <= n_free) {
        n_free -= task->spec.needs.countables[i];
        mf_heap_pop(&farm->parked[i]);
        mf_farm_put_back(farm, task);
    }
}

void mf_farm_unpark(struct mf_farm *farm, bool all)
{
    for (int i = 0; i < MF_N_COUNTABLES && farm->has_countables; i++)
        if (farm->parked[i].n_items > 0)
            unpark(farm, i, all ? UINT64_MAX : farm->n_free_countables[i]);
}
