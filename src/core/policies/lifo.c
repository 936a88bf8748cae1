/* Last come, first served: the order in which a stack hands out work. */
#include "core/policy.h"

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    return first->id > second->id;
}

const struct mf_policy mf_policy_lifo = {
    .name = "lifo",
    .summary = "last come, first served",
    .before = before,
};
