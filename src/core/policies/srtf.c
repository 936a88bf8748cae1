/*
 * Shortest remaining time first: the least mean time from submission to end on
 * one slot, whenever tasks arrive.
 *
 * L. Schrage, "A proof of the optimality of the shortest remaining processing
 * time discipline", Operations Research 16 (1968). A task whose run time nobody
 * gave counts as the median of its kind, or of all; before that is known it is
 * last, and gives way to any other. One that is over its time may end any
 * moment: it keeps its slots.
 */
#include "core/farm.h"

#include <math.h>

static double remaining_ns(const struct mf_policy_view *view, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    if (estimate_ns == 0)
        return INFINITY;
    return fmax(0, (double)(estimate_ns - mf_task_ran_ns(task, view->now_ns)));
}

/* When it should end: as all that run come closer to it alike, their order stays the same. */
static double yield_key(const struct mf_policy_view *view, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    if (estimate_ns == 0)
        return -INFINITY;
    return -((double)(task->started_ns - task->ran_ns) + (double)estimate_ns);
}

static bool may_take(const struct mf_policy_view *view, const struct mf_task *waiting,
                     const struct mf_task *running)
{
    return remaining_ns(view, waiting) < remaining_ns(view, running);
}

const struct mf_policy mf_policy_srtf = {
    .name = "srtf",
    .summary = "the shortest remaining time first (preemptive)",
    .before = mf_policy_key_before,
    .key = remaining_ns,
    .rekey_ns = mf_policy_rekey_estimates,
    .yield_key = yield_key,
    .may_take = may_take,
};
