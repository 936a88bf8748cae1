/*
 * Events about attempts, from the workers that have them: how far an attempt is, and what becomes
 * of a task when it has ended.
 */
#include "core/farm_private.h"

#include <errno.h>

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

int mf_farm_handle_started(struct mf_farm *farm, const struct mf_event *event)
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
int mf_farm_handle_suspended(struct mf_farm *farm, const struct mf_event *event)
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

int mf_farm_handle_continued(struct mf_farm *farm, const struct mf_event *event)
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

void mf_farm_note_lost(struct mf_task *task, enum mf_cause cause, bool is_innocent)
{
    task->lost += !is_innocent;
    task->tries++;
    task->cause = cause;
}

void mf_farm_go_on_after_loss(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause,
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
        mf_farm_suspect_if_so(farm, task);
        mf_farm_make_ready(farm, task);
    }
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

void mf_farm_leave_worker(struct mf_farm *farm, struct mf_task *task, int64_t used_ns)
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

void mf_farm_end_attempt(struct mf_farm *farm, struct mf_task *task, const struct mf_event *event)
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

        mf_farm_note_lost(task, cause, is_late || event->is_innocent);
        mf_farm_go_on_after_loss(farm, task, cause, !is_late);
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

int mf_farm_handle_ended(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    int r;

    if ((unsigned int)event->cause > MF_CAUSE_MAX)
        return -EINVAL;
    r = find_held(farm, event, &task);
    if (r != 0)
        return r;

    mf_farm_leave_worker(farm, task, duration_of(event));
    mf_farm_end_attempt(farm, task, event);
    return 0;
}

void mf_farm_take_back(struct mf_farm *farm, struct mf_task *task)
{
    mf_farm_leave_worker(farm, task, 0);
    farm->counts.recalled++;
    task->is_probe = false;
    if (task->is_cancelled)
        mf_farm_settle(farm, task, MF_TASK_CANCELLED, MF_CAUSE_STOPPED);
    else
        mf_farm_make_ready(farm, task);
}

int mf_farm_handle_returned(struct mf_farm *farm, const struct mf_event *event)
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
