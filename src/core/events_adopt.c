/*
 * Events about what an earlier scheduler has given out: attempts that workers still have of it, and
 * tasks that none has.
 */
#include "core/farm_private.h"

#include <errno.h>

/* Whether a worker has what a task that it is said to have needs; of slots, unless it is suspended.
 */
static bool has_room_to_adopt(const struct mf_farm *farm, const struct mf_worker *worker,
                              const struct mf_task *task, bool is_suspended)
{
    const struct mf_needs *needs = &task->spec.needs;

    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (needs->countables[i] > farm->n_free_countables[i])
            return false;
    return mf_worker_has_beside_slots(worker, needs) &&
           (is_suspended || worker->n_committed + needs->n_slots <= worker->n_slots) &&
           (!farm->preempts || mf_worker_may_begin(&farm->workers, worker));
}

/* It holds nothing any more, so that it is placed and ended without any needs. */
static void adopt_ended(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker,
                        const struct mf_event *event)
{
    struct mf_needs needs = task->spec.needs;

    task->spec.needs = (struct mf_needs){0};
    mf_farm_adopt(farm, task, worker, event);
    mf_farm_leave_worker(farm, task, 0);
    task->spec.needs = needs;
    mf_farm_end_attempt(farm, task, event);
}

static bool adoption_makes_sense(const struct mf_farm *farm, const struct mf_event *event)
{
    switch (event->state) {
    case MF_TASK_RUNNING:
        break;
    case MF_TASK_SUSPENDED:
        if (!farm->preempts)
            return false;
        break;
    case MF_TASK_DONE:
        if ((unsigned int)event->cause > MF_CAUSE_MAX)
            return false;
        break;
    default:
        return false;
    }
    return event->attempt > event->n_tries && mf_tasks_has_added(&farm->tasks, event->task);
}

/* An attempt that a scheduler before this one gave out, and that its worker still has. */
int mf_farm_handle_adopted(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, event->worker);
    struct mf_task *task = mf_tasks_find(&farm->tasks, event->task);
    bool is_suspended = event->state == MF_TASK_SUSPENDED;

    if (!worker || !adoption_makes_sense(farm, event))
        return -EINVAL;
    if (!task || task->state != MF_TASK_WAITING || !task->is_withheld || task->n_waiting_for > 1 ||
        worker->state == MF_WORKER_GONE)
        return MF_FARM_E_STALE;
    /* The end of that attempt is known already. */
    if (event->n_tries < task->tries)
        return -EINVAL;
    if (event->state == MF_TASK_DONE) {
        adopt_ended(farm, task, worker, event);
        return 0;
    }
    if (!mf_worker_could_run(worker, &task->spec.needs) ||
        !mf_farm_has_countables(farm, &task->spec.needs))
        return -EINVAL;
    /* The rooms that it has on other nodes went with the scheduler before. */
    if (mf_task_n_parts(task) > 0)
        return -EINVAL;
    if (!has_room_to_adopt(farm, worker, task, is_suspended))
        return MF_FARM_E_STALE;
    if (is_suspended && mf_heap_reserve(&worker->suspended, worker->n_tasks + 1) < 0)
        return -ENOMEM;
    mf_farm_adopt(farm, task, worker, event);
    if (farm->stop == MF_STOP_NOW)
        mf_farm_wish(farm, task, MF_WISH_END, MF_CAUSE_STOPPED);
    return 0;
}

int mf_farm_handle_let_go(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task = mf_tasks_find(&farm->tasks, event->task);

    if (!mf_tasks_has_added(&farm->tasks, event->task))
        return -EINVAL;
    if (!task || !task->is_withheld || task->state != MF_TASK_WAITING)
        return MF_FARM_E_STALE;
    task->is_withheld = false;
    if (--task->n_waiting_for == 0)
        mf_farm_make_ready(farm, task);
    return 0;
}
