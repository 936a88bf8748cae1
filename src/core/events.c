/*
 * What each kind of event does to the farm. Every handler checks and allocates
 * before it changes anything; those about workers and attempts are in files of their own, ticks in
 * place.c.
 */
#include "core/farm_private.h"

#include <errno.h>

/* Tasks that are not final. */
static uint64_t count_live(const struct mf_farm *farm)
{
    const uint64_t *n = farm->counts.by_state;

    return n[MF_TASK_WAITING] + n[MF_TASK_READY] + n[MF_TASK_PLACED] + n[MF_TASK_RUNNING] +
           n[MF_TASK_SUSPENDED];
}

/* Memory for n tasks, so that a retry, a recall, a lost worker or a start never needs any. */
static int reserve_ready(struct mf_farm *farm, uint64_t n)
{
    int r = mf_heap_reserve(&farm->ready, n);

    if (r == 0 && farm->preempts)
        r = mf_heap_reserve(&farm->victims, n);
    if (r == 0 && farm->config.retry_delay_ns > 0)
        r = mf_heap_reserve(&farm->delayed, n);
    for (int i = 0; i < MF_N_COUNTABLES && r == 0 && farm->has_countables; i++)
        if (farm->config.countables[i] > 0)
            r = mf_heap_reserve(&farm->parked[i], n);
    if (r == 0 && farm->end_ns != INT64_MAX)
        r = mf_heap_reserve(&farm->late, n);
    if (r == 0 && farm->may_strand)
        r = mf_heap_reserve(&farm->stranded, n);
    return r;
}

static int handle_submitted(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r;

    if (farm->is_closed || event->spec.needs.n_slots == 0 || event->spec.max_attempts == 0)
        return -EINVAL;
    /* Parts have no line to wait in for their slots, and no worker of their own. */
    if (event->spec.needs.n_nodes > 1 && (farm->preempts || event->spec.has_target))
        return -EINVAL;
    if (event->task != 0 && event->task != farm->tasks.n_added + 1)
        return -EINVAL;
    r = mf_farm_expect(farm, &event->spec);
    if (r < 0)
        return r;
    r = mf_tasks_reserve(&farm->tasks);
    if (r < 0)
        return r;
    r = reserve_ready(farm, count_live(farm) + 1);
    if (r == 0)
        r = mf_farm_reserve_links(farm, event);
    if (r < 0)
        return r;

    if (!mf_needs_are_plain(&event->spec.needs))
        mf_workers_keep_room(&farm->workers);
    task = mf_tasks_add(&farm->tasks);
    task->spec = event->spec;
    if (event->history)
        mf_farm_recall_history(farm, task, event->history);
    task->is_withheld = event->is_withheld;
    task->n_waiting_for = event->is_withheld;
    task->worker = MF_WORKER_NONE;
    task->avoid = event->spec.has_avoid ? event->spec.avoid : MF_WORKER_NONE;
    task->heap_index = MF_HEAP_NONE;
    mf_list_init(&task->node);
    mf_list_init(&task->running_node);
    farm->counts.by_state[MF_TASK_WAITING]++;
    mf_farm_link(farm, task, event);
    return 0;
}

static int handle_closed(struct mf_farm *farm)
{
    farm->is_closed = true;
    mf_farm_follow_close(farm);
    return 0;
}

static void recall(struct mf_farm *farm, struct mf_task *task)
{
    if (mf_task_is_gathering(task))
        mf_farm_take_back(farm, task);
    else if (task->state == MF_TASK_PLACED && task->wish == MF_WISH_NONE)
        mf_farm_wish(farm, task, MF_WISH_RECALL, MF_CAUSE_NONE);
}

void mf_farm_recall_all(struct mf_farm *farm, struct mf_worker *worker)
{
    mf_list_for_each_safe (node, &worker->tasks)
        recall(farm, mf_container_of(node, struct mf_task, node));
    mf_list_for_each_safe (node, &worker->parts)
        recall(farm, mf_container_of(node, struct mf_span_part, node)->task);
}

/* Nobody is to be asked to end one that is gathering. */
static void end(struct mf_farm *farm, struct mf_task *task)
{
    if (!mf_task_is_gathering(task)) {
        mf_farm_wish(farm, task, MF_WISH_END, MF_CAUSE_STOPPED);
        return;
    }
    task->is_cancelled = true;
    mf_farm_take_back(farm, task);
}

/* Asks for the end of all tasks of a worker; one that is over its time keeps that cause. */
static void end_all(struct mf_farm *farm, struct mf_worker *worker)
{
    mf_list_for_each_safe (node, &worker->tasks)
        end(farm, mf_container_of(node, struct mf_task, node));
}

static void stop(struct mf_farm *farm, enum mf_stop how)
{
    if (how <= farm->stop)
        return;
    farm->stop = how;
    for (uint32_t i = 0; i < farm->workers.n_by_id; i++) {
        struct mf_worker *worker = farm->workers.by_id[i];

        if (!worker)
            continue;
        if (how == MF_STOP_NOW)
            end_all(farm, worker);
        else
            mf_farm_recall_all(farm, worker);
    }
}

static int handle_stop(struct mf_farm *farm, const struct mf_event *event)
{
    if (event->stop != MF_STOP_SOON && event->stop != MF_STOP_NOW)
        return -EINVAL;
    stop(farm, event->stop);
    return 0;
}

void mf_farm_halt_if_due(struct mf_farm *farm)
{
    const struct mf_farm_config *config = &farm->config;
    uint64_t failed = farm->counts.by_state[MF_TASK_FAILED] + farm->n_failed_before;
    uint64_t all = config->expected_tasks ? config->expected_tasks : farm->tasks.n_added;
    bool is_due;

    if (config->halt_when == MF_HALT_NEVER || failed == farm->n_failed_before)
        return;
    is_due = config->halt_failed > 0 && failed >= config->halt_failed;

    /* 7 of 100 are 7 %, though 0.07 * 100 is a little more than 7. */
    if (config->halt_fraction > 0)
        is_due = is_due || (double)failed + 1e-6 >= config->halt_fraction * (double)all;
    if (is_due)
        stop(farm, config->halt_when == MF_HALT_NOW ? MF_STOP_NOW : MF_STOP_SOON);
}

static int handle_cancel(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task = mf_tasks_find(&farm->tasks, event->task);

    if (!mf_tasks_has_added(&farm->tasks, event->task))
        return -EINVAL;
    if (!task || mf_task_state_is_final(task->state))
        return MF_FARM_E_STALE;
    if (mf_task_is_gathering(task)) {
        end(farm, task);
    } else if (mf_task_is_held(task)) {
        task->is_cancelled = true;
        mf_farm_wish(farm, task, MF_WISH_END, MF_CAUSE_STOPPED);
    } else {
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, MF_CAUSE_STOPPED);
    }
    return 0;
}

static int handle_learned(struct mf_farm *farm, const struct mf_event *event)
{
    if (event->spec.kind == 0 || event->duration_ns < 0 || event->n_samples == 0)
        return -EINVAL;
    return mf_estimates_add_earlier(&farm->estimates, event->spec.kind, event->duration_ns,
                                    event->n_samples);
}

int mf_farm_handle(struct mf_farm *farm, const struct mf_event *event)
{
    switch (event->kind) {
    case MF_EVENT_SUBMITTED:
        return handle_submitted(farm, event);
    case MF_EVENT_SETTLED:
        return mf_farm_handle_settled(farm, event);
    case MF_EVENT_CLOSED:
        return handle_closed(farm);
    case MF_EVENT_WORKER_UP:
        return mf_farm_handle_worker_up(farm, event);
    case MF_EVENT_WORKER_DRAIN:
        return mf_farm_handle_worker_drain(farm, event);
    case MF_EVENT_WORKER_LOST:
        return mf_farm_handle_worker_lost(farm, event);
    case MF_EVENT_ADOPTED:
        return mf_farm_handle_adopted(farm, event);
    case MF_EVENT_LET_GO:
        return mf_farm_handle_let_go(farm, event);
    case MF_EVENT_HELD:
        return mf_span_handle_held(farm, event);
    case MF_EVENT_STARTED:
        return mf_farm_handle_started(farm, event);
    case MF_EVENT_ENDED:
        return mf_farm_handle_ended(farm, event);
    case MF_EVENT_RETURNED:
        return mf_farm_handle_returned(farm, event);
    case MF_EVENT_SUSPENDED:
        return mf_farm_handle_suspended(farm, event);
    case MF_EVENT_CONTINUED:
        return mf_farm_handle_continued(farm, event);
    case MF_EVENT_CANCEL:
        return handle_cancel(farm, event);
    case MF_EVENT_STOP:
        return handle_stop(farm, event);
    case MF_EVENT_LEARNED:
        return handle_learned(farm, event);
    case MF_EVENT_SHARE:
        return mf_shares_set(&farm->shares, event->spec.group, (double)event->spec.weight);
    case MF_EVENT_POLICY:
        return mf_farm_change_policy(farm, event->policy);
    case MF_EVENT_WALLTIME:
        return mf_farm_handle_walltime(farm, event);
    default:
        return -EINVAL;
    }
}
