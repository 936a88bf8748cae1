/*
 * Earliest deadline first: on one slot the least lateness of the latest task.
 *
 * J. R. Jackson, "Scheduling a production line to minimize maximum tardiness",
 * UCLA, 1955; C. L. Liu and J. W. Layland, "Scheduling algorithms for
 * multiprogramming in a hard-real-time environment", Journal of the ACM 20
 * (1973). Tasks without a deadline are last.
 */
#include "core/policy.h"

static int64_t deadline_of(const struct mf_task *task)
{
    return task->spec.deadline_ns != 0 ? task->spec.deadline_ns : INT64_MAX;
}

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    if (deadline_of(first) != deadline_of(second))
        return deadline_of(first) < deadline_of(second);
    return first->id < second->id;
}

const struct mf_policy mf_policy_edf = {
    .name = "edf",
    .summary = "the earliest deadline first",
    .before = before,
};
