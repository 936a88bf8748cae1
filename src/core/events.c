/*
 * What each kind of event does to the farm. Every handler checks and allocates
 * before it changes anything; ticks are in place.c.
 */
#include "core/farm_private.h"

#include <errno.h>
#include <stdlib.h>

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

static int handle_worker_up(struct mf_farm *farm, const struct mf_event *event)
{
    int r = mf_workers_add(&farm->workers, event->worker, event->node, &event->has);

    if (r < 0)
        return r;
    mf_farm_quarantine_again(farm, mf_workers_find(&farm->workers, event->worker));
    mf_farm_put_all_back(farm, &farm->stranded);
    return 0;
}

static int handle_worker_drain(struct mf_farm *farm, const struct mf_event *event)
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

/* An attempt ended with what ran it, which it may have brought down, unless it is innocent. */
static void note_lost(struct mf_task *task, enum mf_cause cause, bool is_innocent)
{
    task->lost += !is_innocent;
    task->tries++;
    task->cause = cause;
}

/* That is no fault of the task, unless it happens to it again and again. */
static void go_on_after_loss(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause,
                             bool was_running)
{
    uint32_t limit = farm->config.crash_limit;

    task->is_probe = false;
    if (task->is_cancelled) {
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, MF_CAUSE_STOPPED);
    } else if (limit > 0 && task->lost >= limit) {
        mf_farm_settle(farm, task, MF_TASK_FAILED, cause);
    } else {
        farm->counts.retried += was_running;
        if (was_running)
            mf_farm_set_delay(farm, task);
        mf_farm_make_ready(farm, task);
    }
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
        note_lost(task, MF_CAUSE_LOST, was_suspended);
        task->avoid_node = worker->node;
    }
    go_on_after_loss(farm, task, MF_CAUSE_LOST, was_running);
}

static int handle_worker_lost(struct mf_farm *farm, const struct mf_event *event)
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

/* The task that an event from its worker is about, if it still has that attempt. */
static int find_held(struct mf_farm *farm, const struct mf_event *event, struct mf_task **ret_task)
{
    struct mf_task *task = mf_tasks_find(&farm->tasks, event->task);

    if (task && mf_task_is_held(task) && !mf_task_is_gathering(task) &&
        task->worker == event->worker && task->attempt == event->attempt) {
        *ret_task = task;
        return 0;
    }
    if (!mf_tasks_has_added(&farm->tasks, event->task) ||
        !mf_workers_find(&farm->workers, event->worker))
        return -EINVAL;
    return MF_FARM_E_STALE;
}

static int handle_started(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r = find_held(farm, event, &task);

    if (r != 0)
        return r;
    if (task->state != MF_TASK_PLACED)
        return MF_FARM_E_STALE;
    mf_farm_start(farm, task);
    return 0;
}

/* It was asked for, though something else may be wished by now. */
static int handle_suspended(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r = find_held(farm, event, &task);

    if (r != 0)
        return r;
    if (task->state != MF_TASK_RUNNING || task->wish == MF_WISH_NONE || !farm->preempts)
        return MF_FARM_E_STALE;
    /* One that gives its slots up now gets in line now. */
    if (task->wish == MF_WISH_YIELD &&
        !mf_farm_has_line(mf_workers_find(&farm->workers, task->worker)))
        return -ENOMEM;
    mf_farm_note_suspended(farm, task, event->duration_ns);
    return 0;
}

static int handle_continued(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r = find_held(farm, event, &task);

    if (r != 0)
        return r;
    if (task->state != MF_TASK_SUSPENDED || !task->has_slots)
        return MF_FARM_E_STALE;
    mf_farm_note_continued(farm, task);
    return 0;
}

/*
 * Tried with the same again it would end as before. A target may have less than others. Returns
 * whether there is more for it: with a factor there is no sense in another try without.
 */
static bool grow_memory(const struct mf_farm *farm, struct mf_task *task)
{
    struct mf_needs *needs = &task->spec.needs;
    double wanted = (double)needs->mem_bytes * farm->config.mem_factor;
    uint64_t most = mf_workers_most_memory(&farm->workers, needs);

    if (task->spec.has_target)
        most = mf_workers_find(&farm->workers, task->spec.target)->mem_bytes;
    if (wanted > (double)most)
        wanted = (double)most;
    if (wanted > (double)needs->mem_bytes) {
        needs->mem_bytes = (uint64_t)wanted;
        return true;
    }
    return farm->config.mem_factor <= 1;
}

/* A failed attempt: again, elsewhere if possible, or the end of the task. */
static void fail_attempt(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause)
{
    if (mf_farm_is_used_up(farm, task, cause)) {
        mf_farm_settle(farm, task, MF_TASK_FAILED, cause);
    } else if (farm->stop != MF_STOP_NONE) {
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, cause);
    } else if (cause == MF_CAUSE_MEMORY && !grow_memory(farm, task)) {
        task->has_most_memory = true;
        mf_farm_settle(farm, task, MF_TASK_FAILED, cause);
    } else {
        task->cause = cause;
        farm->counts.retried++;
        mf_farm_set_delay(farm, task);
        mf_farm_make_ready(farm, task);
    }
}

static int64_t duration_of(const struct mf_event *event)
{
    return event->duration_ns > 0 ? event->duration_ns : 0;
}

/* What it held is others'. */
static void leave_worker(struct mf_farm *farm, struct mf_task *task, int64_t used_ns)
{
    if (farm->has_shares)
        mf_farm_account(farm, task, used_ns);
    mf_farm_release(farm, task);
}

/* A signal that all processes get, of which the farm was told, means that it is to stop. */
static enum mf_cause cause_of(const struct mf_farm *farm, const struct mf_event *event)
{
    bool is_cut = event->cause == MF_CAUSE_TERMINATED || event->cause == MF_CAUSE_WALLTIME;

    return is_cut && farm->stop != MF_STOP_NONE ? MF_CAUSE_STOPPED : event->cause;
}

/* What becomes of a task whose attempt has ended, and has left its worker. */
static void end_attempt(struct mf_farm *farm, struct mf_task *task, const struct mf_event *event)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, event->worker);
    enum mf_cause cause = cause_of(farm, event);
    int64_t duration_ns = duration_of(event);

    if (cause == MF_CAUSE_LAUNCHER || cause == MF_CAUSE_TERMINATED) {
        task->avoid = event->worker;
        task->avoid_node = worker->node;
    }
    /* LOST is a part of it, for which it was ended. */
    if (!mf_cause_is_charged(cause)) {
        bool is_late = cause == MF_CAUSE_WALLTIME;

        note_lost(task, cause, is_late || event->is_innocent);
        go_on_after_loss(farm, task, cause, !is_late);
        return;
    }
    task->tries++;
    if (cause != MF_CAUSE_STOPPED && !task->is_cancelled)
        mf_farm_judge(farm, task, worker, cause != MF_CAUSE_NONE, duration_ns);
    mf_average_add(&farm->duration, event->duration_ns);
    if (cause == MF_CAUSE_NONE) {
        if (!farm->config.forgets_run_times)
            mf_median_add(&farm->median, duration_ns);
        if (task->spec.kind != 0)
            mf_estimates_learn(&farm->estimates, task->spec.kind, duration_ns);
        mf_farm_settle(farm, task, MF_TASK_DONE, MF_CAUSE_NONE);
    } else if (cause == MF_CAUSE_STOPPED || task->is_cancelled) {
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, cause);
    } else {
        mf_farm_charge_failure(farm, task, cause);
        task->avoid = event->worker;
        task->avoid_node = worker->node;
        fail_attempt(farm, task, cause);
    }
    task->is_probe = false;
}

static int handle_ended(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r;

    if ((unsigned int)event->cause > MF_CAUSE_MAX)
        return -EINVAL;
    r = find_held(farm, event, &task);
    if (r != 0)
        return r;

    leave_worker(farm, task, duration_of(event));
    end_attempt(farm, task, event);
    return 0;
}

void mf_farm_take_back(struct mf_farm *farm, struct mf_task *task)
{
    leave_worker(farm, task, 0);
    farm->counts.recalled++;
    task->is_probe = false;
    if (task->is_cancelled)
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, MF_CAUSE_STOPPED);
    else
        mf_farm_make_ready(farm, task);
}

static int handle_returned(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r = find_held(farm, event, &task);

    if (r != 0)
        return r;
    if (task->state != MF_TASK_PLACED)
        return -EINVAL;
    mf_farm_take_back(farm, task);
    return 0;
}

/* --- what an earlier scheduler has given out --- */

/* Whether a worker has what a task that it is said to have needs; of slots, unless it is suspended.
 */
static bool has_room_to_adopt(const struct mf_farm *farm, const struct mf_worker *worker,
                              const struct mf_task *task, bool is_suspended)
{
    const struct mf_needs *needs = &task->spec.needs;

    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (needs->countables[i] > farm->n_free_countables[i])
            return false;
    return needs->n_gpus <= worker->n_free_gpus && needs->mem_bytes <= worker->free_mem_bytes &&
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
    leave_worker(farm, task, 0);
    task->spec.needs = needs;
    end_attempt(farm, task, event);
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
static int handle_adopted(struct mf_farm *farm, const struct mf_event *event)
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
        end(farm, task);
    return 0;
}

static int handle_let_go(struct mf_farm *farm, const struct mf_event *event)
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
        return handle_worker_up(farm, event);
    case MF_EVENT_WORKER_DRAIN:
        return handle_worker_drain(farm, event);
    case MF_EVENT_WORKER_LOST:
        return handle_worker_lost(farm, event);
    case MF_EVENT_ADOPTED:
        return handle_adopted(farm, event);
    case MF_EVENT_LET_GO:
        return handle_let_go(farm, event);
    case MF_EVENT_HELD:
        return mf_span_handle_held(farm, event);
    case MF_EVENT_STARTED:
        return handle_started(farm, event);
    case MF_EVENT_ENDED:
        return handle_ended(farm, event);
    case MF_EVENT_RETURNED:
        return handle_returned(farm, event);
    case MF_EVENT_SUSPENDED:
        return handle_suspended(farm, event);
    case MF_EVENT_CONTINUED:
        return handle_continued(farm, event);
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
