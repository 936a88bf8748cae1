/* The list of placements. Constant data, any thread. */
#include "core/placement.h"

#include <stddef.h>
#include <string.h>

static const struct mf_placement *const placements[] = {
    &mf_placement_least_loaded,
};

const struct mf_placement *mf_placement_find(const char *name)
{
    for (size_t i = 0; i < sizeof(placements) / sizeof(placements[0]); i++) {
        if (strcmp(placements[i]->name, name) == 0)
            return placements[i];
    }
    return NULL;
}

const struct mf_placement *mf_placement_at(uint32_t i)
{
    return i < sizeof(placements) / sizeof(placements[0]) ? placements[i] : NULL;
}
