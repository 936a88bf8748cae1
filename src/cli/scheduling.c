/* Scheduling on the command line: see scheduling.h. */
#include "cli/scheduling.h"

#include "base/units.h"

#include <errno.h>
#include <stddef.h>

#define MAX_NAMES 32

static int refuse(const char *what, const char *name, const char *const *names, size_t n,
                  struct mf_error *err)
{
    const char *nearest = mf_nearest(name, names, n);

    return mf_error_set(err, -EINVAL, "no %s is called \"%.100s\"%s%s%s", what, name,
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
}

int mf_policy_parse(const char *name, const struct mf_policy **ret_policy, struct mf_error *err)
{
    const char *names[MAX_NAMES];
    size_t n = 0;

    *ret_policy = mf_policy_find(name);
    if (*ret_policy)
        return 0;
    for (; n < MAX_NAMES && mf_policy_at((uint32_t)n); n++)
        names[n] = mf_policy_at((uint32_t)n)->name;
    return refuse("policy", name, names, n, err);
}

int mf_placement_parse(const char *name, const struct mf_placement **ret_placement,
                       struct mf_error *err)
{
    const char *names[MAX_NAMES];
    size_t n = 0;

    *ret_placement = mf_placement_find(name);
    if (*ret_placement)
        return 0;
    for (; n < MAX_NAMES && mf_placement_at((uint32_t)n); n++)
        names[n] = mf_placement_at((uint32_t)n)->name;
    return refuse("placement", name, names, n, err);
}
