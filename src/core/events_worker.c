/* Events about workers: those that come, that are drained, and that are lost with what they ran. */
#include "core/farm_private.h"

#include <errno.h>

/* A worker that is not there, or had gone. */
static int add(struct mf_farm *farm, const struct mf_event *event)
{
    int r = mf_workers_add(&farm->workers, event->worker, event->node, &event->has);

    if (r == 0)
        mf_farm_quarantine_again(farm, mf_workers_find(&farm->workers, event->worker));
    return r;
}

int mf_farm_handle_worker_up(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, event->worker);
    int r = 0;

    /* What it still holds is its own as before; what it was to give back, it gives back. */
    if (worker && worker->state == MF_WORKER_DRAINING)
        mf_farm_call_back(farm, worker);
    else
        r = add(farm, event);
    if (r < 0)
        return r;
    mf_farm_put_all_back(farm, &farm->stranded);
    return 0;
}

int mf_farm_handle_worker_drain(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, event->worker);

    if (!worker)
        return -EINVAL;
    if (worker->state == MF_WORKER_GONE)
        return MF_FARM_E_STALE;
    if (worker->state == MF_WORKER_DRAINING)
        return 0;
    if (mf_farm_expect_stranded(farm) < 0)
        return -ENOMEM;
    mf_workers_move(&farm->workers, worker, MF_WORKER_DRAINING);
    mf_farm_recall_all(farm, worker);
    if (worker->state == MF_WORKER_DRAINING && mf_worker_is_empty(worker))
        mf_workers_move(&farm->workers, worker, MF_WORKER_GONE);
    mf_farm_let_out_needed(farm);
    return 0;
}

/* Its worker disappeared. One that was stopped has not brought it down. */
static void lose_task(struct mf_farm *farm, struct mf_task *task, const struct mf_worker *worker,
                      uint32_t *n_idle)
{
    bool was_suspended = task->state == MF_TASK_SUSPENDED;
    bool was_running = mf_task_may_have_begun(task, n_idle);

    if (farm->has_shares)
        mf_farm_account(farm, task, was_running ? farm->now_ns - task->started_ns : 0);
    mf_farm_release(farm, task);
    if (was_running) {
        mf_farm_note_lost(task, MF_CAUSE_LOST, was_suspended);
        task->avoid_node = worker->node;
    }
    mf_farm_go_on_after_loss(farm, task, MF_CAUSE_LOST, was_running);
}

int mf_farm_handle_worker_lost(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, event->worker);
    uint32_t n_idle;

    if (!worker)
        return -EINVAL;
    if (worker->state == MF_WORKER_GONE)
        return MF_FARM_E_STALE;
    if (mf_farm_expect_stranded(farm) < 0)
        return -ENOMEM;
    n_idle = mf_worker_n_idle(worker);
    mf_workers_move(&farm->workers, worker, MF_WORKER_GONE);
    mf_list_for_each_safe (node, &worker->tasks)
        lose_task(farm, mf_container_of(node, struct mf_task, node), worker, &n_idle);
    mf_list_for_each_safe (node, &worker->parts)
        mf_span_lose_part(farm, mf_container_of(node, struct mf_span_part, node), worker);
    mf_farm_let_out_needed(farm);
    return 0;
}
