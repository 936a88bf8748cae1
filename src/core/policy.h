/*
 * In which order ready tasks are placed. A policy is one file in
 * core/policies with one const vtable; adding one touches nothing but the
 * list in policy.c.
 */
#ifndef MF_CORE_POLICY_H
#define MF_CORE_POLICY_H

#include "core/task.h"

struct mf_shares;

/**
 * Numbers that policies go by; each has a default where it is 0.
 *
 * @ageing_weight      priority: what waiting adds at most (10)
 * @ageing_window_ns   priority: about how long a task waits until half of that is added (1 h)
 * @ageing_saturation  priority: how steep the curve is there, in windows (0.25)
 * @quantum_ns         rr: how long a task runs before the next one's turn (1 s)
 */
struct mf_policy_settings {
    double ageing_weight;
    int64_t ageing_window_ns;
    double ageing_saturation;
    int64_t quantum_ns;
};

/**
 * What a policy sees of the farm when it computes a key.
 *
 * @now_ns       time of the event
 * @estimate_ns  how long the task should run, by its author or by those like it; 0 when unknown
 * @shares       what groups have had: see core/shares.h
 */
struct mf_policy_view {
    const struct mf_policy_settings *settings;
    int64_t now_ns;
    int64_t estimate_ns;
    struct mf_shares *shares;
};

/**
 * @name     as the user says it
 * @summary  a clause for --help
 * @before   true when the task a goes before the task b (both const struct
 *           mf_task *, as the heap hands them over); a total order on different
 *           tasks, which stays the same until keys are computed anew
 * @key      the task's key, computed when it becomes READY, and kept in
 *           task->key; NULL when before() looks at none
 * @rekey_ns keys of all READY tasks are computed anew this often, as they depend on
 *           the time or on what was learned; 0 for never. O(ready tasks) each time
 */
struct mf_policy {
    const char *name;
    const char *summary;
    mf_heap_before_fn before;
    double (*key)(const struct mf_policy_view *view, const struct mf_task *task);
    int64_t rekey_ns;
};

/** First come, first served, in order of submission. */
extern const struct mf_policy mf_policy_fifo;

/** Higher priority first; among equals, first come, first served. */
extern const struct mf_policy mf_policy_priority;

/** The policy of that name, or NULL. */
const struct mf_policy *mf_policy_find(const char *name);

/** The i-th policy there is, from 0, or NULL after the last. */
const struct mf_policy *mf_policy_at(uint32_t i);

#endif
