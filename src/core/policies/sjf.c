/*
 * Shortest job first: the least mean wait on one slot.
 *
 * W. E. Smith, "Various optimizers for single-stage production", Naval Research
 * Logistics Quarterly 3 (1956). A task whose run time nobody gave counts as the
 * median of its kind, or of all; before that is known it is last.
 */
#include "core/farm.h"

#include <math.h>

static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    return estimate_ns > 0 ? (double)estimate_ns : INFINITY;
}

const struct mf_policy mf_policy_sjf = {
    .name = "sjf",
    .summary = "the shortest job first",
    .before = mf_policy_key_before,
    .key = key,
    .rekey_ns = mf_policy_rekey_estimates,
};
