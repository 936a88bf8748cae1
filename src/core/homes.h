/*
 * Which worker ran a task of each group last. Bounded: the first
 * MF_HOMES_MAX_GROUPS groups have one. Private to the core.
 */
#ifndef MF_CORE_HOMES_H
#define MF_CORE_HOMES_H

#include "base/table.h"
#include "core/task.h"

#define MF_HOMES_MAX_GROUPS 65536

/** Starts as {0}: @by_group is uint32_t to mf_worker_id, NULL before the first group. */
struct mf_homes {
    struct mf_table *by_group;
};

void mf_homes_finish(struct mf_homes *homes);

/** Memory for a group's home, so that setting it never fails; 0 is none. Returns 0 or -ENOMEM. */
int mf_homes_reserve(struct mf_homes *homes, uint32_t group);

/** Does nothing for a group that there is no memory for. O(1). */
void mf_homes_set(struct mf_homes *homes, uint32_t group, mf_worker_id worker);

/** The worker set last, or MF_WORKER_NONE. O(1). */
mf_worker_id mf_homes_find(const struct mf_homes *homes, uint32_t group);

#endif
