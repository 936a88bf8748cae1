/*
 * The end of the allocation. A READY task that should run beyond it is late: it is not
 * started, and those behind it that fit into what is left of the time are. So is one that
 * was told of the end, and has saved what it had. Time only goes on, so one that is late
 * stays so, unless the allocation is made longer.
 */
#include "core/farm_private.h"

/* Whether a task that starts now should run beyond the end. */
static bool is_late(const struct mf_farm *farm, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(farm, task);

    return task->cause == MF_CAUSE_WALLTIME || farm->now_ns >= farm->end_ns ||
           estimate_ns > farm->end_ns - farm->now_ns;
}

bool mf_farm_put_late_if_so(struct mf_farm *farm, struct mf_task *task)
{
    if (farm->end_ns == INT64_MAX || !is_late(farm, task))
        return false;
    mf_farm_park_ready(farm, task, MF_PARKED_LATE);
    return true;
}

/* It was another end that cut them short. Not all such tasks are late: no tick may have come since.
 */
static void forget_cuts(struct mf_farm *farm)
{
    for (struct mf_task *task = mf_tasks_after(&farm->tasks, 0); task;
         task = mf_tasks_after(&farm->tasks, task->id))
        if (task->state == MF_TASK_READY && task->cause == MF_CAUSE_WALLTIME)
            task->cause = MF_CAUSE_NONE;
}

int mf_farm_handle_walltime(struct mf_farm *farm, const struct mf_event *event)
{
    int r = mf_heap_reserve(&farm->late, farm->ready.capacity);

    if (r < 0)
        return r;
    farm->end_ns = event->end_ns;
    forget_cuts(farm);
    mf_farm_put_all_back(farm, &farm->late);
    return 0;
}

uint64_t mf_farm_n_late(const struct mf_farm *farm)
{
    return farm->late.n_items;
}
