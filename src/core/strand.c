/*
 * Tasks whose workers are lost. A READY task that fits no worker has failed if it never fitted
 * those that there were: nobody can run it. If it did, it is stranded: it is not started, and those
 * behind it that fit are. A worker that comes lets all stranded ones be looked at again; if none
 * does, the run ends without them, and another one that has such workers can go on with them.
 */
#include "core/farm_private.h"

int mf_farm_expect_stranded(struct mf_farm *farm)
{
    int r;

    if (farm->config.stranding == MF_STRANDING_NONE)
        return 0;
    r = mf_heap_reserve(&farm->stranded, farm->ready.capacity);
    if (r == 0)
        farm->may_strand = true;
    return r;
}

/* Without memory for it no worker has left yet, so that there is nothing that it could miss. */
static bool did_fit(const struct mf_farm *farm, const struct mf_task *task)
{
    return farm->config.stranding == MF_STRANDING_ALL ||
           (farm->may_strand && mf_workers_had_nodes(&farm->workers, &task->spec.needs));
}

bool mf_farm_strand_if_so(struct mf_farm *farm, struct mf_task *task)
{
    if (!did_fit(farm, task))
        return false;
    mf_farm_park_ready(farm, task, MF_PARKED_STRANDED);
    return true;
}

uint64_t mf_farm_n_stranded(const struct mf_farm *farm)
{
    return farm->stranded.n_items;
}
