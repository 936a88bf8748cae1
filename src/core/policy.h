/*
 * In which order ready tasks are placed. A policy is one file in
 * core/policies with one const vtable; adding one touches nothing but the
 * list in policy.c.
 */
#ifndef MF_CORE_POLICY_H
#define MF_CORE_POLICY_H

#include "core/task.h"

struct mf_farm;
struct mf_shares;

/**
 * Numbers that policies go by; each has a default where it is 0.
 *
 * @ageing_weight      priority: what waiting adds at most (10); below 0 for nothing
 * @ageing_window_ns   priority: about how long a task waits until half of that is added (1 h)
 * @ageing_saturation  priority: how long that half takes to come, in windows: the less, the
 *                     steeper the curve is there (0.25)
 * @quantum_ns         rr: how long a task runs before the next one's turn (100 ms)
 * @rekey_ns           least time between two reorderings by what was learned (the policy's own)
 */
struct mf_policy_settings {
    double ageing_weight;
    int64_t ageing_window_ns;
    double ageing_saturation;
    int64_t quantum_ns;
    int64_t rekey_ns;
};

/**
 * What a policy sees of the farm when it computes a key.
 *
 * @farm         for mf_farm_estimate_ns(): how long the task should run; 0 when unknown
 * @now_ns       time of the event
 * @shares       what groups have had: see core/shares.h
 * @is_anew      the task was READY already: all keys are computed anew
 * @n_lined_up   keys computed before, to tell who came first
 */
struct mf_policy_view {
    const struct mf_farm *farm;
    const struct mf_policy_settings *settings;
    int64_t now_ns;
    struct mf_shares *shares;
    bool is_anew;
    uint64_t n_lined_up;
};

/**
 * @name     as the user says it
 * @summary  a clause for --help
 * @before   true when the task a goes before the task b (both const struct
 *           mf_task *, as the heap hands them over); a total order on different
 *           tasks, which stays the same until keys are computed anew
 * @key      the task's key, not a NaN, computed when it becomes READY, and kept in
 *           task->key; NULL when before() looks at none
 * @rekey_ns keys of all READY tasks are computed anew this often at most, as they depend
 *           on the time or on what was learned; NULL or 0 for never. O(ready tasks) each
 *           time, so it is done less often where there are many: see core/order.c
 * @charge   slot time that the task's group pays when it is placed, and which is set
 *           right when it ends; NULL where groups have no shares. With it, keys are
 *           computed anew in order of ids
 *
 * A policy that preempts has yield_key, orders by mf_policy_key_before(), charges nothing,
 * and has at least one of the two that follow it; else all three are NULL. Tasks that are
 * suspended wait in the same order as READY ones, each for slots of its worker.
 *
 * @yield_key  of a RUNNING task, computed when its turn begins: the least one's slots are taken
 *             first; with turn_ns, of the lowest turn
 * @turn_ns    how long a task runs until it has to wait behind those that wait
 * @may_take   whether a task that waits may take the slots of one that runs
 */
struct mf_policy {
    const char *name;
    const char *summary;
    mf_heap_before_fn before;
    double (*key)(const struct mf_policy_view *view, const struct mf_task *task);
    int64_t (*rekey_ns)(const struct mf_policy_settings *settings);
    double (*charge)(const struct mf_policy_view *view, const struct mf_task *task);
    double (*yield_key)(const struct mf_policy_view *view, const struct mf_task *task);
    int64_t (*turn_ns)(const struct mf_policy_settings *settings);
    bool (*may_take)(const struct mf_policy_view *view, const struct mf_task *waiting,
                     const struct mf_task *running);
};

/** First come, first served, in order of submission. */
extern const struct mf_policy mf_policy_fifo;

/** Last come, first served, in order of submission. */
extern const struct mf_policy mf_policy_lifo;

/** Higher priority first, to which waiting adds; among equals, first come, first served. */
extern const struct mf_policy mf_policy_priority;

/** Shortest job first; those that nothing is known of are last. */
extern const struct mf_policy mf_policy_sjf;

/** Longest processing time first; those that nothing is known of are first. */
extern const struct mf_policy mf_policy_lpt;

/** Most weight per run time first; those that nothing is known of are last, by weight. */
extern const struct mf_policy mf_policy_wspt;

/** Earliest deadline first; those without are last. */
extern const struct mf_policy mf_policy_edf;

/** Longest way to the end of all that comes after a task first. */
extern const struct mf_policy mf_policy_critical_path;

/** Slot time in proportion to the shares of groups. */
extern const struct mf_policy mf_policy_fair;

/** Preemptive: shortest remaining time first; those that nothing is known of are last. */
extern const struct mf_policy mf_policy_srtf;

/** Preemptive: each task in turn runs for a quantum. */
extern const struct mf_policy mf_policy_rr;

/** As fifo, until simulations show another one to be better: see runtime/chooser.h. */
extern const struct mf_policy mf_policy_auto;

/** The policy of that name, or NULL. */
const struct mf_policy *mf_policy_find(const char *name);

/** The i-th policy there is, from 0, or NULL after the last. */
const struct mf_policy *mf_policy_at(uint32_t i);

/* What policies have in common. */

/** The lower key first; ties go to the lower id. */
bool mf_policy_key_before(const void *a, const void *b);

/** Whether a policy suspends running tasks. */
static inline bool mf_policy_preempts(const struct mf_policy *policy)
{
    return policy->yield_key != NULL;
}

/** How often policies that go by estimates compute keys anew: every second. */
int64_t mf_policy_rekey_estimates(const struct mf_policy_settings *settings);

#endif
