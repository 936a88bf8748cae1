/*
 * Weighted shortest processing time first: the least sum of weight times time of
 * completion on one slot.
 *
 * W. E. Smith, "Various optimizers for single-stage production", Naval Research
 * Logistics Quarterly 3 (1956): in order of weight over run time. A task whose
 * run time nobody gave counts as the median of its kind, or of all; before that
 * is known it counts as the longest there can be, so those are last, and by weight.
 */
#include "core/farm.h"

static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    double weight = task->spec.weight > 0 ? (double)task->spec.weight : 1;
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    return -weight / (double)(estimate_ns > 0 ? estimate_ns : INT64_MAX);
}

const struct mf_policy mf_policy_wspt = {
    .name = "wspt",
    .summary = "the most weight per run time first",
    .before = mf_policy_key_before,
    .key = key,
    .rekey_ns = mf_policy_rekey_estimates,
};
