/*
 * Where READY tasks wait: among those that may be placed, in order of the policy, or parked in a
 * heap apart, out of their way, as they cannot be placed for the time being. Which one says
 * `parked` of the task; what parks them is in countables.c, aside.c, walltime.c, strand.c and
 * retry.c.
 */
#include "core/farm_private.h"

#include <assert.h>

struct mf_heap *mf_farm_heap_of(struct mf_farm *farm, const struct mf_task *task)
{
    if (mf_task_is_held(task))
        return mf_task_is_in_line(task) ? &mf_workers_find(&farm->workers, task->worker)->suspended
                                        : &farm->victims;
    if (task->parked == MF_PARKED_LATE)
        return &farm->late;
    if (task->parked == MF_PARKED_STRANDED)
        return &farm->stranded;
    if (task->parked == MF_PARKED_DELAYED)
        return &farm->delayed;
    if (task->parked > MF_N_COUNTABLES)
        return &farm->asides[task->parked - MF_N_COUNTABLES - 1].tasks;
    return task->parked > 0 ? &farm->parked[task->parked - 1] : &farm->ready;
}

static void push(struct mf_heap *heap, struct mf_task *task)
{
    int r = mf_heap_push(heap, task);

    assert(r == 0 && "memory was reserved when the task was submitted, or before it was parked");
    (void)r;
}

void mf_farm_park(struct mf_farm *farm, struct mf_task *task, uint8_t parked)
{
    task->parked = parked;
    push(mf_farm_heap_of(farm, task), task);
}

void mf_farm_park_ready(struct mf_farm *farm, struct mf_task *task, uint8_t parked)
{
    mf_heap_remove(&farm->ready, task);
    mf_farm_park(farm, task, parked);
}

void mf_farm_put_back(struct mf_farm *farm, struct mf_task *task)
{
    task->parked = 0;
    push(&farm->ready, task);
}

void mf_farm_put_all_back(struct mf_farm *farm, struct mf_heap *heap)
{
    struct mf_task *task;

    while ((task = mf_heap_pop(heap)))
        mf_farm_put_back(farm, task);
}
