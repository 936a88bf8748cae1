/*
 * Which worker gets a task. A placement is one file in core/placements with
 * one const vtable; adding one touches nothing but the list in placement.c.
 */
#ifndef MF_CORE_PLACEMENT_H
#define MF_CORE_PLACEMENT_H

#include "base/rng.h"
#include "core/worker.h"

/**
 * What a placement chooses from.
 *
 * @workers  the workers
 * @task     the task to place
 * @avoid    a worker that it must not get, or MF_WORKER_NONE
 * @home     the worker that ran a task of its group last, or MF_WORKER_NONE
 * @rng      for those that draw lots
 * @cursor   for those that go round: the number of the worker chosen last
 */
struct mf_choice {
    const struct mf_workers *workers;
    const struct mf_task *task;
    mf_worker_id avoid;
    mf_worker_id home;
    struct mf_rng *rng;
    mf_worker_id *cursor;
};

/**
 * @name     as the user says it
 * @summary  a clause for --help
 * @choose   a worker among those that are UP, are not `avoid`, and have
 *           mf_worker_has_room() for the task's needs; NULL when there is
 *           none now. Should cost O(log workers) at most where all fit.
 */
struct mf_placement {
    const char *name;
    const char *summary;
    struct mf_worker *(*choose)(const struct mf_choice *choice);
};

/** The worker with the least work outstanding per slot; ties go to the lower rank. */
extern const struct mf_placement mf_placement_least_loaded;

/** The placement of that name, or NULL. */
const struct mf_placement *mf_placement_find(const char *name);

/** The i-th placement there is, from 0, or NULL after the last. */
const struct mf_placement *mf_placement_at(uint32_t i);

#endif
