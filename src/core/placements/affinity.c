/*
 * The worker that ran the task's group last, which has its files and caches
 * warm, while it has room; else the least loaded, which is the home from then on.
 */
#include "core/placement.h"

static struct mf_worker *choose(const struct mf_choice *choice)
{
    struct mf_worker *home = mf_workers_find(choice->workers, choice->home);
    struct mf_worker *other;

    if (!home || home->state != MF_WORKER_UP || !mf_choice_allows(choice, home) ||
        !mf_worker_has_room(choice->workers, home, &choice->task->spec.needs))
        return mf_placement_least_loaded.choose(choice);
    if (mf_choice_fits(choice, home))
        return home;

    /* It can only be sent ahead to its home: not while another one could begin at once. */
    other = mf_placement_least_loaded.choose(choice);
    return other && mf_choice_fits(choice, other) ? other : home;
}

const struct mf_placement mf_placement_affinity = {
    .name = "affinity",
    .summary = "the worker that ran the group last",
    .choose = choose,
    .has_homes = true,
};
