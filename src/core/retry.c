/*
 * Attempts that failed: which budget each counts against, and how long a task
 * waits before it is tried again. Those that wait are READY, in a heap of their own.
 *
 * Of the tasks that ran on a worker when it was lost nobody knows which one brought it down, if any
 * did. One that was there so often that it fails with the next one is a suspect, and a worker
 * has one at a time: so it is not failed by another one of those that were lost with it. That is a
 * need as any other, of which each worker has one to give.
 */
#include "core/farm_private.h"

/* Doublings after which the longest delay is reached whatever the first one is. */
#define MAX_DOUBLINGS 62

enum mf_budget mf_budget_of(enum mf_cause cause)
{
    switch (cause) {
    case MF_CAUSE_SIGNAL:
        return MF_BUDGET_SIGNAL;
    case MF_CAUSE_TIMEOUT:
        return MF_BUDGET_TIME;
    case MF_CAUSE_MEMORY:
        return MF_BUDGET_MEMORY;
    default:
        return MF_BUDGET_EXIT;
    }
}

void mf_farm_charge_failure(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause)
{
    enum mf_budget budget = mf_budget_of(cause);

    /* It was sent to a worker that had failed others, for the sake of that worker. */
    if (task->is_probe)
        return;
    task->failed[budget]++;
    task->charged += farm->config.budgets[budget] == 0;
}

void mf_farm_suspect_if_so(struct mf_farm *farm, struct mf_task *task)
{
    uint32_t limit = farm->config.crash_limit;

    /* With a limit of 1 nothing is known of any before it is over. */
    if (limit < 2 || task->lost + 1 < limit)
        return;
    task->spec.needs.is_suspect = true;
    mf_workers_keep_room(&farm->workers);
}

void mf_farm_recall_history(struct mf_farm *farm, struct mf_task *task,
                            const struct mf_task_history *history)
{
    task->lost = history->n_lost;
    task->tries = history->n_tries;
    for (int i = 0; i < MF_N_BUDGETS; i++) {
        task->failed[i] = history->failed[i];
        if (farm->config.budgets[i] == 0)
            task->charged += history->failed[i];
    }
    /* More than it may have had: then this try is its last. */
    if (task->charged >= task->spec.max_attempts)
        task->charged = task->spec.max_attempts - 1;
    mf_farm_suspect_if_so(farm, task);
}

bool mf_farm_is_used_up(const struct mf_farm *farm, const struct mf_task *task, enum mf_cause cause)
{
    enum mf_budget budget = mf_budget_of(cause);
    uint32_t own = farm->config.budgets[budget];

    return own > 0 ? task->failed[budget] >= own : task->charged >= task->spec.max_attempts;
}

void mf_farm_set_delay(struct mf_farm *farm, struct mf_task *task)
{
    int64_t delay_ns = farm->config.retry_delay_ns, most = farm->config.retry_delay_max_ns;

    if (delay_ns == 0)
        return;
    for (uint32_t i = 1; i < task->tries && i < MAX_DOUBLINGS && delay_ns < most; i++)
        delay_ns = delay_ns > most / 2 ? most : 2 * delay_ns;
    task->not_before_ns = farm->now_ns > INT64_MAX - delay_ns ? INT64_MAX : farm->now_ns + delay_ns;
}

bool mf_farm_delayed_before(const void *a, const void *b)
{
    const struct mf_task *first = a, *second = b;

    if (first->not_before_ns != second->not_before_ns)
        return first->not_before_ns < second->not_before_ns;
    return first->id < second->id;
}

void mf_farm_end_delays(struct mf_farm *farm, bool all)
{
    struct mf_task *task;

    while ((task = mf_heap_top(&farm->delayed)) && (all || task->not_before_ns <= farm->now_ns)) {
        mf_heap_pop(&farm->delayed);
        mf_farm_put_back(farm, task);
    }
}

void mf_farm_delay_again(struct mf_farm *farm)
{
    struct mf_heap *ready = &farm->ready;
    uint32_t n_kept = 0;

    for (uint32_t i = 0; i < ready->n_items; i++) {
        struct mf_task *task = ready->items[i];

        if (task->not_before_ns > farm->now_ns)
            mf_farm_park(farm, task, MF_PARKED_DELAYED);
        else
            ready->items[n_kept++] = task;
    }
    ready->n_items = n_kept;
}
