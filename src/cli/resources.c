/* Reads --resource: see resources.h. Nothing is owned here; one thread. */
#include "cli/resources.h"

#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* Whether a task file could have it as a key: a letter, then letters, digits, "_", "-" and ".". */
static bool is_name(const char *name)
{
    if (!isalpha((unsigned char)*name) || !strchr(name, '.'))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_-.", *name))
            return false;
    return true;
}

static int take_name(const struct mf_resources *resources, const char *text,
                     char ret_name[MF_RESOURCE_NAME_BYTES], struct mf_error *err)
{
    size_t size = strcspn(text, "=");

    if (text[size] != '=')
        return mf_error_set(err, -EINVAL, "\"%s\" is not NAME=NUMBER, as in licence.matlab=4",
                            text);
    if (size >= MF_RESOURCE_NAME_BYTES)
        return mf_error_set(err, -EINVAL, "a name has at most %d bytes, not %zu",
                            MF_RESOURCE_NAME_BYTES - 1, size);
    memcpy(ret_name, text, size);
    ret_name[size] = '\0';
    if (!is_name(ret_name))
        return mf_error_set(err, -EINVAL,
                            "\"%s\" is no name: it has letters, digits, \"_\", \"-\" and at least "
                            "one \".\", as licence.matlab",
                            ret_name);
    for (uint32_t i = 0; i < resources->n; i++)
        if (strcmp(resources->names[i], ret_name) == 0)
            return mf_error_set(err, -EEXIST, "%s is given twice", ret_name);
    return 0;
}

int mf_resources_add(struct mf_resources *resources, const char *text, struct mf_error *err)
{
    char name[MF_RESOURCE_NAME_BYTES];
    int64_t number;
    int r;

    if (resources->n == MF_N_COUNTABLES)
        return mf_error_set(err, -E2BIG, "more than %d resources", MF_N_COUNTABLES);
    r = take_name(resources, text, name, err);
    if (r < 0)
        return r;
    r = mf_parse_integer(text + strlen(name) + 1, 1, UINT32_MAX, &number, err);
    if (r < 0)
        return mf_error_prefix(err, r, "%s: ", name);
    strcpy(resources->names[resources->n], name);
    resources->items[resources->n] =
        (struct mf_countable){.name = resources->names[resources->n], .count = (uint32_t)number};
    resources->n++;
    return 0;
}

void mf_resources_count(const struct mf_resources *resources, uint32_t ret_counts[MF_N_COUNTABLES])
{
    memset(ret_counts, 0, MF_N_COUNTABLES * sizeof(*ret_counts));
    for (uint32_t i = 0; i < resources->n; i++)
        ret_counts[i] = resources->items[i].count;
}
