/*
 * The task first from whose start the way to the end of all work is longest.
 *
 * The upward rank of HEFT: Topcuoglu, Hariri and Wu, "Performance-effective and
 * low-complexity task scheduling for heterogeneous computing", IEEE Transactions
 * on Parallel and Distributed Systems 13 (2002). Where nobody computed it, the
 * way is at least the task itself, as long as its author says that it runs.
 */
#include "core/policy.h"

static int64_t way_of(const struct mf_task *task)
{
    return task->spec.upward_ns > 0 ? task->spec.upward_ns : task->spec.estimate_ns;
}

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    if (way_of(first) != way_of(second))
        return way_of(first) > way_of(second);
    return first->id < second->id;
}

const struct mf_policy mf_policy_critical_path = {
    .name = "critical-path",
    .summary = "the longest way to the end first",
    .before = before,
};
