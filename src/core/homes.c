/* Homes of groups: see homes.h. Owned by one farm, used by its thread. */
#include "core/homes.h"

void mf_homes_finish(struct mf_homes *homes)
{
    mf_table_destroy(homes->by_group);
    homes->by_group = NULL;
}

int mf_homes_reserve(struct mf_homes *homes, uint32_t group)
{
    void *home;
    int r = 0;

    if (group == 0)
        return 0;
    if (!homes->by_group)
        r = mf_table_create(sizeof(group), sizeof(mf_worker_id), &homes->by_group);
    if (r < 0 || mf_table_count(homes->by_group) >= MF_HOMES_MAX_GROUPS)
        return r;
    r = mf_table_insert(homes->by_group, &group, &home);
    if (r == 0)
        *(mf_worker_id *)home = MF_WORKER_NONE;
    return r < 0 ? r : 0;
}

static mf_worker_id *find(const struct mf_homes *homes, uint32_t group)
{
    return group != 0 && homes->by_group ? mf_table_find(homes->by_group, &group) : NULL;
}

void mf_homes_set(struct mf_homes *homes, uint32_t group, mf_worker_id worker)
{
    mf_worker_id *home = find(homes, group);

    if (home)
        *home = worker;
}

mf_worker_id mf_homes_find(const struct mf_homes *homes, uint32_t group)
{
    const mf_worker_id *home = find(homes, group);

    return home ? *home : MF_WORKER_NONE;
}
