/* Scheduling on the command line: see scheduling.h. */
#include "cli/scheduling.h"

#include "base/units.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

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

static int check_new(const struct mf_countables *countables, const char *name, struct mf_error *err)
{
    if (countables->n == MF_N_COUNTABLES)
        return mf_error_set(err, -E2BIG, "more than %d resources", MF_N_COUNTABLES);
    for (uint32_t i = 0; i < countables->n; i++)
        if (strcmp(countables->names[i], name) == 0)
            return mf_error_set(err, -EEXIST, "\"%s\" is given twice", name);
    return 0;
}

int mf_countables_add(struct mf_countables *countables, const char *text, struct mf_error *err)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0;
    char name[MF_COUNTABLE_NAME_SIZE];
    int64_t count;
    int r;

    if (length == 0 || length >= sizeof(name) || !memchr(text, '.', length))
        return mf_error_set(err, -EINVAL, "\"%.100s\" is not like licence.matlab=4", text);
    memcpy(name, text, length);
    name[length] = '\0';
    r = mf_parse_integer(equals + 1, 1, UINT32_MAX, &count, err);
    if (r == 0)
        r = check_new(countables, name, err);
    if (r < 0)
        return r;
    memcpy(countables->names[countables->n], name, length + 1);
    countables->items[countables->n] =
        (struct mf_countable){.name = countables->names[countables->n], .count = (uint32_t)count};
    countables->n++;
    return 0;
}
