/* Scheduling on the command line: see scheduling.h. */
#include "cli/scheduling.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 32
#define MAX_WEIGHT 1e9
#define MAX_SATURATION 1e6
#define MAX_SHARE 1e6

/* Tasks that are suspended for each slot, unless --max-suspended says otherwise. */
#define DEFAULT_SUSPENDED 15

/* Names them all: there are few. */
static int refuse(const char *what, const char *name, const char *const *names, size_t n,
                  struct mf_error *err)
{
    const char *nearest = mf_nearest(name, names, n);
    struct mf_buffer all = {0};
    int r;

    for (size_t i = 0; i < n; i++)
        mf_buffer_print(&all, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " and ", names[i]);
    mf_buffer_put_u8(&all, '\0');
    r = mf_buffer_status(&all);
    if (r == 0)
        mf_error_set(err, -EINVAL, "no %s is called \"%.100s\"%s%s%s; there are %s", what, name,
                     nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                     nearest ? "\"?" : "", (const char *)all.data);
    mf_buffer_finish(&all);
    return r < 0 ? mf_error_set(err, r, "out of memory") : -EINVAL;
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

/* --- parameters of policies --- */

static int refuse_ageing(const char *text, struct mf_error *err)
{
    return mf_error_set(
        err, -EINVAL,
        "\"%.100s\" is not like 20 or 20,30m or 20,30m,0.25: a weight of 0 or more, "
        "a time and a number above 0",
        text);
}

/* A number up to a limit, of which nothing is left over. Written so that a NaN is none. */
static bool parse_number(const char *text, double max, double *ret_value)
{
    char *end;

    *ret_value = strtod(text, &end);
    return end != text && *end == '\0' && *ret_value >= 0 && *ret_value <= max;
}

static bool parse_window(const char *text, int64_t *ret_ns)
{
    struct mf_error ignored;

    return mf_parse_duration(text, ret_ns, &ignored) == 0 && *ret_ns > 0;
}

int mf_ageing_parse(const char *text, struct mf_policy_settings *settings, struct mf_error *err)
{
    struct mf_policy_settings parsed = *settings;
    char copy[128], *weight = copy, *window, *saturation;

    if (strlen(text) >= sizeof(copy))
        return refuse_ageing(text, err);
    strcpy(copy, text);
    window = strchr(copy, ',');
    saturation = window ? strchr(window + 1, ',') : NULL;
    if (window)
        *window++ = '\0';
    if (saturation)
        *saturation++ = '\0';
    if (!parse_number(weight, MAX_WEIGHT, &parsed.ageing_weight) ||
        (window && !parse_window(window, &parsed.ageing_window_ns)) ||
        (saturation && (!parse_number(saturation, MAX_SATURATION, &parsed.ageing_saturation) ||
                        parsed.ageing_saturation == 0)))
        return refuse_ageing(text, err);
    /* Where these settings are 0, that is the default. */
    if (parsed.ageing_weight == 0)
        parsed.ageing_weight = -1;
    *settings = parsed;
    return 0;
}

int mf_group_shares_add(struct mf_group_shares *shares, const char *text, struct mf_error *err)
{
    const char *equals = strrchr(text, '=');
    struct mf_group_share share = {.name = text};

    if (!equals || equals == text || !parse_number(equals + 1, MAX_SHARE, &share.share) ||
        share.share < 1 / MAX_SHARE)
        return mf_error_set(err, -EINVAL,
                            "\"%.100s\" is not NAME=N with a number above 0, as in production=3",
                            text);
    share.name_size = (size_t)(equals - text);
    for (uint32_t i = 0; i < shares->n; i++)
        if (shares->items[i].name_size == share.name_size &&
            memcmp(shares->items[i].name, text, share.name_size) == 0)
            return mf_error_set(err, -EEXIST, "%.*s is given twice", (int)share.name_size, text);
    if (shares->n == MF_GROUP_SHARES_MAX)
        return mf_error_set(err, -E2BIG, "more than %d groups", MF_GROUP_SHARES_MAX);
    shares->items[shares->n++] = share;
    return 0;
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
