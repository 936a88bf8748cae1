/*
 * Which worker gets a task. A placement is one file in core/placements with
 * one const vtable; adding one touches nothing but the list in placement.c.
 */
#ifndef MF_CORE_PLACEMENT_H
#define MF_CORE_PLACEMENT_H

#include "base/rng.h"
#include "core/worker.h"

/**
 * @name    as the user says it
 * @choose  the worker for a task that needs n_slots, among those that are UP,
 *          are not `avoid`, and have mf_worker_has_room(); NULL when there is
 *          none now. Should cost O(log workers) at most where all fit.
 */
struct mf_placement {
    const char *name;
    struct mf_worker *(*choose)(const struct mf_workers *workers, uint32_t n_slots,
                                mf_worker_id avoid, struct mf_rng *rng);
};

/** The worker with the least work outstanding per slot; ties go to the lower rank. */
extern const struct mf_placement mf_placement_least_loaded;

/** The placement of that name, or NULL. */
const struct mf_placement *mf_placement_find(const char *name);

#endif
