/*
 * In which order ready tasks are placed. A policy is one file in
 * core/policies with one const vtable; adding one touches nothing but the
 * list in policy.c.
 */
#ifndef MF_CORE_POLICY_H
#define MF_CORE_POLICY_H

#include "core/task.h"

/**
 * @name    as the user says it
 * @before  true when the task a goes before the task b (both const struct
 *          mf_task *, as the heap hands them over); a total order on different
 *          tasks, which stays the same while both are ready
 */
struct mf_policy {
    const char *name;
    mf_heap_before_fn before;
};

/** First come, first served, in order of submission. */
extern const struct mf_policy mf_policy_fifo;

/** Higher priority first; among equals, first come, first served. */
extern const struct mf_policy mf_policy_priority;

/** The policy of that name, or NULL. */
const struct mf_policy *mf_policy_find(const char *name);

#endif
