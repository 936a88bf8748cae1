/*
 * First come, first served, until whoever drives the farm knows better: he
 * simulates what is known of the remaining work under other policies, and tells
 * the farm to go by another one. See runtime/chooser.h.
 */
#include "core/policy.h"

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    return first->id < second->id;
}

const struct mf_policy mf_policy_auto = {
    .name = "auto",
    .summary = "what simulations of the remaining work show to be best",
    .before = before,
};
