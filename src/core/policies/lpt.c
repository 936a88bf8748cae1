/*
 * Longest processing time first: independent tasks are done within 4/3 - 1/(3m)
 * of the least time on m slots.
 *
 * R. L. Graham, "Bounds on multiprocessing timing anomalies", SIAM Journal on
 * Applied Mathematics 17 (1969). A task whose run time nobody gave counts as the
 * median of its kind, or of all; before that is known it is first, as it may be
 * the longest.
 */
#include "core/farm.h"

#include <math.h>

static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    return estimate_ns > 0 ? -(double)estimate_ns : -INFINITY;
}

const struct mf_policy mf_policy_lpt = {
    .name = "lpt",
    .summary = "the longest job first",
    .before = mf_policy_key_before,
    .key = key,
    .rekey_ns = mf_policy_rekey_estimates,
};
