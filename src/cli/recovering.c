/* Recovering on the command line: see recovering.h. */
#include "cli/recovering.h"

#include "base/clock.h"
#include "base/units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CRASH_LIMIT 3
#define QUARANTINE 5
#define MAX_ATTEMPTS 1000000

/* Ranks that might take over come one after the other; and what waits holds its nodes. */
#define MIN_STANDBY_WAIT_NS MF_NS_PER_S
#define MAX_STANDBY_WAIT_NS (86400 * MF_NS_PER_S)

static const char *const budget_names[MF_N_BUDGETS] = {
    [MF_BUDGET_EXIT] = "exit",
    [MF_BUDGET_SIGNAL] = "signal",
    [MF_BUDGET_TIME] = "time",
    [MF_BUDGET_MEMORY] = "memory",
};

void mf_recovering_init(struct mf_farm_config *farm)
{
    farm->crash_limit = CRASH_LIMIT;
    farm->quarantine = QUARANTINE;
}

static int parse_count(const char *text, uint32_t *ret_count, struct mf_error *err)
{
    int64_t value;
    int r = mf_parse_integer(text, 1, MAX_ATTEMPTS, &value, err);

    if (r == 0)
        *ret_count = (uint32_t)value;
    return r;
}

/* "time=1" */
static int parse_budget(char *text, uint32_t budgets[MF_N_BUDGETS], struct mf_error *err)
{
    char *number = strchr(text, '=');
    int at = 0;

    if (!number)
        return mf_error_set(err, -EINVAL, "\"%.100s\" is not like 3 or 3,time=1,memory=5", text);
    *number++ = '\0';
    while (at < MF_N_BUDGETS && strcmp(text, budget_names[at]) != 0)
        at++;
    if (at == MF_N_BUDGETS)
        return mf_error_set(err, -EINVAL,
                            "\"%.100s\" is no cause with attempts of its own: exit, signal, time "
                            "and memory are",
                            text);
    if (budgets[at] > 0)
        return mf_error_set(err, -EINVAL, "%s is given twice", text);
    return parse_count(number, &budgets[at], err);
}

int mf_retries_parse(const char *text, uint32_t *ret_attempts, struct mf_farm_config *farm,
                     struct mf_error *err)
{
    uint32_t budgets[MF_N_BUDGETS] = {0}, attempts = 0;
    char copy[256], *rest = NULL, *part;
    int r;

    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return mf_error_set(err, -EINVAL, "\"%.100s...\" is too long", text);
    part = strtok_r(copy, ",", &rest);
    r = parse_count(part ? part : "", &attempts, err);
    while (r == 0 && (part = strtok_r(NULL, ",", &rest)))
        r = parse_budget(part, budgets, err);
    if (r < 0)
        return r;
    *ret_attempts = attempts;
    memcpy(farm->budgets, budgets, sizeof(farm->budgets));
    return 0;
}

int mf_retry_delay_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err)
{
    const char *dots = strstr(text, "..");
    char first[64];
    int64_t delay_ns, max_ns;
    int r;

    if (snprintf(first, sizeof(first), "%.*s", (int)(dots ? (size_t)(dots - text) : strlen(text)),
                 text) >= (int)sizeof(first))
        return mf_error_set(err, -EINVAL, "\"%.100s\" is not like 5s or 1s..1m", text);
    r = mf_parse_duration(first, &delay_ns, err);
    max_ns = delay_ns;
    if (r == 0 && dots)
        r = mf_parse_duration(dots + 2, &max_ns, err);
    if (r < 0)
        return r;
    if (max_ns < delay_ns)
        return mf_error_set(err, -EINVAL, "%s: the longest wait is shorter than the first", text);
    farm->retry_delay_ns = delay_ns;
    farm->retry_delay_max_ns = max_ns;
    return 0;
}

/* A count, or "none" for 0. */
static int parse_limit(const char *text, uint32_t *ret_limit, struct mf_error *err)
{
    if (strcmp(text, "none") != 0)
        return parse_count(text, ret_limit, err);
    *ret_limit = 0;
    return 0;
}

int mf_crash_limit_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err)
{
    return parse_limit(text, &farm->crash_limit, err);
}

int mf_quarantine_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err)
{
    return parse_limit(text, &farm->quarantine, err);
}

int mf_standby_wait_parse(const char *text, int64_t *ret_wait_ns, struct mf_error *err)
{
    int64_t wait_ns;
    int r = mf_parse_duration(text, &wait_ns, err);

    if (r < 0)
        return r;
    if (wait_ns < MIN_STANDBY_WAIT_NS || wait_ns > MAX_STANDBY_WAIT_NS)
        return mf_error_set(err, -ERANGE, "\"%s\" is not between 1s and 1d", text);
    *ret_wait_ns = wait_ns;
    return 0;
}
