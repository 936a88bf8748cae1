/* Finding a subcommand by its name, in a list that the caller gives. */
#include "cli/subcommands.h"

#include "base/units.h"

#include <errno.h>
#include <string.h>

/* As many as can be compared with a name that was mistyped. */
#define MAX_NAMES 32

const struct mf_subcommand *mf_subcommand_find(mf_subcommand_list list, const char *name)
{
    for (; *list; list++)
        if (strcmp((*list)->name, name) == 0)
            return *list;
    return NULL;
}

int mf_subcommand_refuse(mf_subcommand_list list, const char *name, struct mf_error *err)
{
    const char *names[MAX_NAMES], *nearest;
    size_t n_names = 0;

    for (; *list && n_names < MAX_NAMES; list++)
        names[n_names++] = (*list)->name;
    nearest = mf_nearest(name, names, n_names);
    if (nearest)
        return mf_error_set(err, -EINVAL, "unknown subcommand \"%.100s\"; did you mean \"%s\"?",
                            name, nearest);
    return mf_error_set(err, -EINVAL, "unknown subcommand \"%.100s\"; \"mpifarm help\" lists them",
                        name);
}
