/* The list of policies, and what they have in common. Constant data, any thread. */
#include "core/policy.h"

#include <stddef.h>
#include <string.h>

static const struct mf_policy *const policies[] = {
    &mf_policy_fifo, &mf_policy_lifo, &mf_policy_priority, &mf_policy_sjf,
    &mf_policy_lpt,  &mf_policy_wspt, &mf_policy_edf,      &mf_policy_critical_path,
    &mf_policy_fair, &mf_policy_srtf, &mf_policy_rr,       &mf_policy_auto,
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

bool mf_policy_key_before(const void *a, const void *b)
{
    const struct mf_task *first = a;
    const struct mf_task *second = b;

    if (first->key != second->key)
        return first->key < second->key;
    return first->id < second->id;
}

int64_t mf_policy_rekey_estimates(const struct mf_policy_settings *settings)
{
    return INT64_C(1000000000);
}
