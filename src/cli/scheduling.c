/* Scheduling on the command line: see scheduling.h. */
#include "cli/scheduling.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <stddef.h>

#define MAX_NAMES 32

/* Tasks that are suspended for each slot, unless --max-suspended says otherwise. */
#define DEFAULT_SUSPENDED 15

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

int mf_quantum_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err)
{
    int64_t quantum_ns;
    int r = mf_parse_duration(text, &quantum_ns, err);

    if (r < 0)
        return r;
    if (quantum_ns < MF_NS_PER_MS)
        return mf_error_set(err, -EINVAL,
                            "%s is too short: tasks would be stopped all the time; the least is "
                            "1ms",
                            text);
    farm->policy_settings.quantum_ns = quantum_ns;
    return 0;
}

int mf_max_suspended_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 1, 1000000, &value, err);

    if (r == 0)
        farm->max_suspended_per_slot = (uint32_t)value;
    return r;
}

int mf_suspending_check(struct mf_farm_config *farm, bool has_turns, bool preempts,
                        struct mf_error *err)
{
    if (farm->policy_settings.quantum_ns > 0 && !has_turns)
        return mf_error_set(err, -EINVAL, "--quantum is about turns, and needs --policy rr");
    if (farm->max_suspended_per_slot > 0 && !preempts)
        return mf_error_set(err, -EINVAL,
                            "--max-suspended is about policies that suspend tasks, and needs "
                            "--policy rr or srtf");
    if (farm->max_suspended_per_slot == 0)
        farm->max_suspended_per_slot = DEFAULT_SUSPENDED;
    return 0;
}
