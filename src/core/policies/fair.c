/*
 * Slot time in proportion to the shares of groups; within a group, first come,
 * first served.
 *
 * Start-time fair queueing (Goyal, Vin and Cheng 1996): see core/shares.h. A task
 * is charged what it should take on all of its slots. One of which nothing is
 * known is charged a millisecond: little, since its group pays the rest when it
 * is done, while what was charged too much would hold up others until then.
 */
#include "core/farm.h"
#include "core/shares.h"

#define UNKNOWN_NS 1000000

static double charge(const struct mf_policy_view *view, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(view->farm, task);

    return (double)(estimate_ns > 0 ? estimate_ns : UNKNOWN_NS) * task->spec.needs.n_slots *
           mf_needs_n_nodes(&task->spec.needs);
}

static double key(const struct mf_policy_view *view, const struct mf_task *task)
{
    double slot_ns = charge(view, task);

    return view->is_anew ? mf_shares_rejoin(view->shares, task->spec.group, slot_ns)
                         : mf_shares_join(view->shares, task->spec.group, slot_ns);
}

const struct mf_policy mf_policy_fair = {
    .name = "fair",
    .summary = "slot time shared between groups",
    .before = mf_policy_key_before,
    .key = key,
    .rekey_ns = mf_policy_rekey_estimates,
    .charge = charge,
};
