/* First come, first served: a task that is tried again keeps its place. */
#include "core/policy.h"

static bool before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    return first->id < second->id;
}

const struct mf_policy mf_policy_fifo = {
    .name = "fifo",
    .summary = "first come, first served",
    .before = before,
};
