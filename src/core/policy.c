/* The list of policies. Constant data, any thread. */
#include "core/policy.h"

#include <stddef.h>
#include <string.h>

static const struct mf_policy *const policies[] = {
    &mf_policy_fifo,
    &mf_policy_priority,
};

const struct mf_policy *mf_policy_find(const char *name)
{
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (strcmp(policies[i]->name, name) == 0)
            return policies[i];
    }
    return NULL;
}

const struct mf_policy *mf_policy_at(uint32_t i)
{
    return i < sizeof(policies) / sizeof(policies[0]) ? policies[i] : NULL;
}
