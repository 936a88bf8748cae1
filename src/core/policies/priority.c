/* Higher priority first; among equals, first come, first served. */
#include "core/policy.h"

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    if (first->spec.priority != second->spec.priority)
        return first->spec.priority > second->spec.priority;
    return first->id < second->id;
}

const struct mf_policy mf_policy_priority = {
    .name = "priority",
    .summary = "the highest priority first",
    .before = before,
};
