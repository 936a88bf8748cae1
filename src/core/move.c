/*
 * Every move of a task. The lists, counts and loads that follow from a task's
 * state change here and nowhere else, together with the state.
 */
#include "core/farm_private.h"

#include <assert.h>

static void mark_dirty(struct mf_farm *farm, struct mf_task *task)
{
    if (task->is_dirty)
        return;
    task->is_dirty = true;
    mf_list_push_back(&farm->dirty, &task->dirty_node);
}

/* The one writer of a task's state. */
static void move(struct mf_farm *farm, struct mf_task *task, enum mf_task_state to)
{
    enum mf_task_state from = task->state;

    assert(mf_task_may_move(from, to));
    task->state = to;
    farm->counts.by_state[from]--;
    farm->counts.by_state[to]++;

    /* Ready for the first time: nobody has to do anything. */
    if (from != MF_TASK_WAITING || to != MF_TASK_READY)
        mark_dirty(farm, task);
}

void mf_farm_make_ready(struct mf_farm *farm, struct mf_task *task)
{
    int r;

    if (task->state == MF_TASK_WAITING)
        task->ready_ns = farm->now_ns;
    move(farm, task, MF_TASK_READY);
    if (farm->has_keys)
        mf_farm_order(farm, task);
    r = mf_heap_push(&farm->ready, task);
    assert(r == 0 && "memory was reserved when the task was submitted");
    (void)r;
}

void mf_farm_place(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    mf_heap_remove(&farm->ready, task);
    mf_farm_take_countables(farm, &task->spec.needs);
    if (farm->has_shares)
        mf_farm_charge(farm, task);
    if (farm->has_homes)
        mf_homes_set(&farm->homes, task->spec.group, worker->id);
    move(farm, task, MF_TASK_PLACED);
    task->attempt++;
    task->is_overtaken = false;
    farm->n_placed++;
    task->worker = worker->id;
    task->started_ns = farm->now_ns;
    mf_list_push_back(&worker->tasks, &task->node);
    worker->n_tasks++;
    worker->n_long += task->spec.is_long;
    mf_workers_take(&farm->workers, worker, &task->spec.needs);
}

void mf_farm_start(struct mf_farm *farm, struct mf_task *task)
{
    if (task->wish == MF_WISH_RECALL)
        mf_farm_wish(farm, task, MF_WISH_NONE, MF_CAUSE_NONE);
    move(farm, task, MF_TASK_RUNNING);
    task->started_ns = farm->now_ns;
    if (task->wish != MF_WISH_END)
        mf_list_push_back(&farm->running, &task->running_node);
}

void mf_farm_release(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, task->worker);

    assert(mf_task_is_held(task));
    mf_farm_wish(farm, task, MF_WISH_NONE, MF_CAUSE_NONE);
    mf_list_remove(&task->running_node);
    mf_list_remove(&task->node);
    worker->n_tasks--;
    worker->n_long -= task->spec.is_long;
    mf_workers_give_back(&farm->workers, worker, &task->spec.needs);
    mf_farm_give_back_countables(farm, &task->spec.needs);
    task->worker = MF_WORKER_NONE;
    if (worker->state == MF_WORKER_DRAINING && worker->n_tasks == 0)
        mf_workers_move(&farm->workers, worker, MF_WORKER_GONE);
}

void mf_farm_settle(struct mf_farm *farm, struct mf_task *task, enum mf_task_state state,
                    enum mf_cause cause)
{
    if (task->heap_index != MF_HEAP_NONE)
        mf_heap_remove(mf_farm_heap_of(farm, task), task);
    if (farm->has_shares && task->state == MF_TASK_READY)
        mf_shares_leave(&farm->shares, task->spec.group);
    task->cause = cause;
    move(farm, task, state);
    if (farm->config.has_dependencies)
        mf_list_push_back(&farm->ended, &task->node);
}

void mf_farm_wish(struct mf_farm *farm, struct mf_task *task, enum mf_wish wish,
                  enum mf_cause end_cause)
{
    struct mf_worker *worker;

    if (task->wish == wish)
        return;
    worker = mf_workers_find(&farm->workers, task->worker);
    if (task->wish == MF_WISH_RECALL) {
        worker->n_recalling--;
        farm->n_recalling--;
    } else if (wish == MF_WISH_RECALL) {
        worker->n_recalling++;
        farm->n_recalling++;
    }
    task->wish = wish;
    task->end_cause = end_cause;

    /* Once asked to end, it needs no more watching for its time limit. */
    if (wish == MF_WISH_END)
        mf_list_remove(&task->running_node);
    mark_dirty(farm, task);
}
