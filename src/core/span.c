/*
 * Tasks that need room on several nodes: a program of many ranks.
 *
 * Such a task is placed on one worker, which runs it, as any other. On each further node it has a
 * part: room of one worker there, booked and given back together with the task's own, all or
 * nothing. A part runs nothing. Its worker is told to keep the room free, and says when it does;
 * until all have, the task is gathering, and the worker that is to run it was not told of it. So
 * one that is gathering leaves its worker at once, with nobody to ask.
 *
 * When a worker is lost that has a part, the attempt is at an end as if its own worker had been
 * lost: that one is asked to end it, for that cause.
 */
#include "core/farm_private.h"

#include <errno.h>
#include <stdlib.h>

bool mf_span_prepare(struct mf_farm *farm, struct mf_task *task)
{
    uint32_t n_nodes = mf_needs_n_nodes(&task->spec.needs);
    struct mf_worker **grown;

    if (farm->taken_capacity < n_nodes) {
        grown = reallocarray(farm->taken, n_nodes, sizeof(struct mf_worker *));
        if (!grown)
            return false;
        farm->taken = grown;
        farm->taken_capacity = n_nodes;
    }
    if (n_nodes == 1 || task->parts)
        return true;
    task->parts = calloc(n_nodes - 1, sizeof(*task->parts));
    for (uint32_t i = 0; task->parts && i < n_nodes - 1; i++) {
        task->parts[i] = (struct mf_span_part){.task = task, .worker = MF_WORKER_NONE};
        mf_list_init(&task->parts[i].node);
        mf_list_init(&task->parts[i].left_node);
    }
    return task->parts != NULL;
}

void mf_span_take(struct mf_farm *farm, struct mf_task *task)
{
    task->n_parts_held = 0;
    for (uint32_t i = 0; i < mf_task_n_parts(task); i++) {
        struct mf_span_part *part = &task->parts[i];
        struct mf_worker *worker = farm->taken[i + 1];

        part->worker = worker->id;
        part->is_held = false;
        mf_list_push_back(&worker->parts, &part->node);
        worker->n_parts++;
        mf_workers_take(&farm->workers, worker, &task->spec.needs);
    }
}

static void leave(struct mf_farm *farm, struct mf_span_part *part)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, part->worker);

    mf_list_remove(&part->node);
    worker->n_parts--;
    mf_workers_give_back(&farm->workers, worker, &part->task->spec.needs);
    part->worker = MF_WORKER_NONE;
    if (worker->state == MF_WORKER_DRAINING && mf_worker_is_empty(worker))
        mf_workers_move(&farm->workers, worker, MF_WORKER_GONE);
}

void mf_span_give_back(struct mf_farm *farm, struct mf_task *task)
{
    if (!task->parts)
        return;
    for (uint32_t i = 0; i < mf_task_n_parts(task); i++)
        if (task->parts[i].worker != MF_WORKER_NONE)
            leave(farm, &task->parts[i]);
    task->n_parts_held = 0;
    if (mf_list_is_empty(&task->parts[0].left_node))
        mf_list_push_back(&farm->left, &task->parts[0].left_node);
}

mf_task_id mf_farm_next_left(struct mf_farm *farm)
{
    struct mf_list *node = mf_list_pop_front(&farm->left);

    return node ? mf_container_of(node, struct mf_span_part, left_node)->task->id : 0;
}

void mf_span_lose_part(struct mf_farm *farm, struct mf_span_part *part, struct mf_worker *worker)
{
    struct mf_task *task = part->task;

    leave(farm, part);
    if (mf_task_is_gathering(task)) {
        mf_farm_take_back(farm, task);
        return;
    }
    task->avoid_node = worker->node;
    mf_farm_wish(farm, task, MF_WISH_END, MF_CAUSE_LOST);
}

/* The part of a task on a worker, or NULL. */
static struct mf_span_part *find_part(struct mf_task *task, mf_worker_id worker)
{
    for (uint32_t i = 0; task->parts && i < mf_task_n_parts(task); i++)
        if (task->parts[i].worker == worker)
            return &task->parts[i];
    return NULL;
}

int mf_span_handle_held(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task = mf_tasks_find(&farm->tasks, event->task);
    struct mf_span_part *part;

    if (!mf_tasks_has_added(&farm->tasks, event->task) ||
        !mf_workers_find(&farm->workers, event->worker))
        return -EINVAL;
    if (!task || !mf_task_is_held(task) || task->attempt != event->attempt)
        return MF_FARM_E_STALE;
    part = find_part(task, event->worker);
    if (!part || part->is_held)
        return MF_FARM_E_STALE;
    part->is_held = true;
    task->n_parts_held++;
    if (!mf_task_is_gathering(task))
        mf_farm_tell(farm, task);
    return 0;
}
