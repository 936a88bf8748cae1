/*
 * The invariants of the farm, each with the sentence that names its breach.
 * For tests: looks at everything and changes nothing.
 */
#include "core/farm_private.h"

#include <math.h>
#include <string.h>

uint64_t mf_check_count_nodes(const struct mf_list *head, uint64_t most)
{
    uint64_t n = 0;

    mf_list_for_each (node, head) {
        if (node->next->prev != node || n++ == most)
            return UINT64_MAX;
    }
    return n;
}

static const char *check_wish(const struct mf_farm *farm, const struct mf_task *task,
                              const struct mf_worker *worker)
{
    bool is_placed = task->state == MF_TASK_PLACED;

    if (task->wish == MF_WISH_RECALL && !is_placed)
        return "a running task is recalled";
    if (task->wish == MF_WISH_END && task->end_cause != MF_CAUSE_STOPPED &&
        task->end_cause != MF_CAUSE_TIMEOUT &&
        !(task->end_cause == MF_CAUSE_LOST && mf_task_n_parts(task) > 0))
        return "a task is to be ended without a cause";
    if (task->wish == MF_WISH_SUSPEND && task->state != MF_TASK_RUNNING)
        return "a task that does not run is to be suspended";
    if (task->wish == MF_WISH_YIELD && (task->state != MF_TASK_RUNNING || !task->spec.yields))
        return "a task that does not run, or cannot yield, is to do so";
    if (task->wish == MF_WISH_CONTINUE && is_placed)
        return "a task that never ran is to go on";
    if (task->is_cancelled && task->wish != MF_WISH_END)
        return "a cancelled task is not asked to end";
    if (is_placed && task->wish == MF_WISH_NONE &&
        (farm->stop != MF_STOP_NONE || worker->state == MF_WORKER_DRAINING))
        return "a placed task is left to start though its farm or worker stops";
    if (farm->stop == MF_STOP_NOW && task->wish != MF_WISH_END)
        return "a task is left to run though the farm stops now";
    return NULL;
}

/* Who has slots, who waits for some in line, and whose may be taken. */
static const char *check_slots(const struct mf_farm *farm, const struct mf_task *task,
                               const struct mf_worker *worker)
{
    bool is_in_line = mf_task_is_in_line(task);
    bool is_victim = farm->preempts && task->spec.is_suspendable &&
                     task->state == MF_TASK_RUNNING && task->wish == MF_WISH_NONE;
    const struct mf_heap *heap = is_in_line ? &worker->suspended : &farm->victims;

    if ((task->state == MF_TASK_SUSPENDED || is_in_line || task->wish == MF_WISH_CONTINUE ||
         task->wish == MF_WISH_YIELD) &&
        (!farm->preempts || !task->spec.is_suspendable))
        return "a task is suspended that cannot be";
    if (task->has_slots ? is_in_line : !is_in_line && task->wish != MF_WISH_END)
        return "a task waits for slots that it has, or has none and does not wait";
    if ((is_in_line || is_victim) != (task->heap_index != MF_HEAP_NONE))
        return "the tasks in line and those to suspend are not those in heaps";
    if (task->heap_index != MF_HEAP_NONE &&
        (task->heap_index >= heap->n_items || heap->items[task->heap_index] != task))
        return "a held task is not where it thinks in its heap";
    return task->ran_ns < 0 || (!farm->preempts && task->ran_ns > 0)
               ? "a task has run for an impossible time"
               : NULL;
}

/* Each part is on a node of its own; what was lost is to be ended, unless it was never begun. */
static const char *check_parts(const struct mf_farm *farm, const struct mf_task *task,
                               const struct mf_worker *worker)
{
    uint32_t n_held = 0, n_lost = 0;

    for (uint32_t i = 0; i < mf_task_n_parts(task); i++) {
        const struct mf_span_part *part = &task->parts[i];
        const struct mf_worker *other = mf_workers_find(&farm->workers, part->worker);

        n_held += part->is_held;
        n_lost += !other;
        if ((other == NULL) != mf_list_is_empty(&part->node))
            return "the parts of a task are not those in the workers' lists";
        if (other && !mf_worker_is_apart(other, worker))
            return "a task has two rooms on one node";
        for (uint32_t j = 0; j < i && other; j++)
            if (task->parts[j].worker != MF_WORKER_NONE &&
                !mf_worker_is_apart(other, mf_workers_find(&farm->workers, task->parts[j].worker)))
                return "a task has two parts on one node";
    }
    if (n_held != task->n_parts_held)
        return "the count of the parts that are held is wrong";
    if (n_lost > 0 && (mf_task_is_gathering(task) || task->wish != MF_WISH_END))
        return "a task goes on without all of its rooms";
    if (mf_task_is_gathering(task) && task->wish != MF_WISH_NONE)
        return "something is wished of a worker that does not know of the task";
    return NULL;
}

static const char *check_held(const struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_worker *worker = mf_workers_find(&farm->workers, task->worker);

    if (!worker || worker->state == MF_WORKER_GONE)
        return "a task is held by a worker that is not there";
    if (task->attempt == 0 || task->tries >= task->attempt)
        return "a task has used up more tries than it had attempts";
    if (task->charged >= task->spec.max_attempts || task->charged > task->tries)
        return "a task is tried more often than it may be";
    if (task->is_probe && worker->state == MF_WORKER_UP)
        return "a worker that is up runs a probe";
    if (task->spec.has_target && task->worker != task->spec.target)
        return "a task is held by a worker that may not run it";
    if (mf_list_is_empty(&task->node))
        return "a held task is in no worker's list";
    if (mf_list_is_empty(&task->running_node) == mf_task_runs_on(task))
        return "the list of running tasks is not those that may go on running";
    if (check_slots(farm, task, worker))
        return check_slots(farm, task, worker);
    if (check_parts(farm, task, worker))
        return check_parts(farm, task, worker);
    return check_wish(farm, task, worker);
}

static const char *check_not_held(const struct mf_farm *farm, const struct mf_task *task)
{
    if (task->has_slots || task->ran_ns != 0)
        return "a task that no worker holds has slots";
    for (uint32_t i = 0; task->parts && i < mf_task_n_parts(task); i++)
        if (task->parts[i].worker != MF_WORKER_NONE || !mf_list_is_empty(&task->parts[i].node))
            return "a task that no worker holds has room on others";
    if (task->worker != MF_WORKER_NONE || !mf_list_is_empty(&task->node) ||
        !mf_list_is_empty(&task->running_node))
        return "a task that no worker holds is in a worker's list";
    if (task->wish != MF_WISH_NONE)
        return "something is wished of a worker for a task it does not hold";
    if (mf_task_state_is_final(task->state))
        return task->is_dirty ? NULL : "a settled task was told and is still kept";
    if (task->is_cancelled)
        return "a cancelled task is tried again";
    if (task->is_probe)
        return "a task that no worker holds is a probe";
    if (task->charged >= task->spec.max_attempts)
        return "a task that used up its attempts is not settled";
    return NULL;
}

static const char *check_key(const struct mf_farm *farm, const struct mf_task *task)
{
    if (farm->has_keys && isnan(task->key))
        return "the key of a ready task is not a number";
    if (task->ready_ns > farm->now_ns)
        return "a task was ready before its time";
    return NULL;
}

static const char *check_task(const struct mf_farm *farm, const struct mf_task *task)
{
    bool is_in_heap = task->heap_index != MF_HEAP_NONE && !mf_task_is_held(task);
    const struct mf_heap *heap;

    if ((unsigned int)task->state >= MF_TASK_STATE_COUNT)
        return "a task is in no state";
    if ((task->state == MF_TASK_WAITING) != (task->n_waiting_for > 0) &&
        !mf_task_state_is_final(task->state))
        return "the waiting tasks are not those that wait for another";
    if ((task->state == MF_TASK_SKIPPED) != (task->root != 0))
        return "a task was skipped for no reason, or has one and was not";
    if (!mf_task_state_is_final(task->state) &&
        task->spec.needs.is_suspect !=
            (farm->config.crash_limit > 1 && task->lost + 1 >= farm->config.crash_limit))
        return "the suspects are not those that fail with the next worker";
    if (is_in_heap != (task->state == MF_TASK_READY))
        return "the ready tasks are not those in the heap";
    heap = mf_farm_heap_of((struct mf_farm *)farm, task);
    if (is_in_heap && (task->heap_index >= heap->n_items || heap->items[task->heap_index] != task))
        return "a ready task is not where it thinks in the heap";
    if (is_in_heap && check_key(farm, task))
        return check_key(farm, task);
    return mf_task_is_held(task) ? check_held(farm, task) : check_not_held(farm, task);
}

const char *mf_check_heap(const struct mf_heap *heap)
{
    for (uint32_t i = 1; i < heap->n_items; i++) {
        if (heap->before(heap->items[i], heap->items[(i - 1) / 2]))
            return "a heap is out of order";
    }
    return NULL;
}

/* The tasks themselves, and the totals over them. */
static const char *check_tasks(const struct mf_farm *farm)
{
    uint64_t n[MF_TASK_STATE_COUNT] = {0};
    uint64_t n_dirty = 0;
    uint64_t n_running = 0;
    uint64_t n_recalling = 0;
    uint64_t n_yielding = 0;
    uint64_t n_parked = 0;
    uint64_t n_all = 0;

    for (const struct mf_task *task = mf_tasks_after(&farm->tasks, 0); task;
         task = mf_tasks_after(&farm->tasks, task->id)) {
        const char *breach = check_task(farm, task);

        if (breach)
            return breach;
        if (task->state == MF_TASK_READY && task->parked == MF_PARKED_DELAYED &&
            farm->config.retry_delay_ns == 0)
            return "a task waits to be tried again, which none does";
        n[task->state]++;
        n_dirty += task->is_dirty;
        n_running += !mf_list_is_empty(&task->running_node);
        n_recalling += task->wish == MF_WISH_RECALL;
        n_yielding += task->wish == MF_WISH_YIELD ? task->spec.needs.n_slots : 0;
    }
    for (int state = 0; state < MF_TASK_STATE_COUNT; state++) {
        uint64_t counted = farm->counts.by_state[state];

        n_all += counted;
        if (mf_task_state_is_final((enum mf_task_state)state) ? counted < n[state]
                                                              : counted != n[state])
            return "the counts by state are wrong";
    }
    if (n_all + farm->n_settled_earlier != farm->tasks.n_added)
        return "a task was lost or counted twice";
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        n_parked += farm->parked[i].n_items;
    n_parked += mf_farm_n_aside(farm) + mf_farm_n_late(farm) + mf_farm_n_stranded(farm) +
                farm->delayed.n_items;
    if (n[MF_TASK_READY] != farm->ready.n_items + n_parked)
        return "the heap holds what is not a ready task";
    /* The one found last is behind all others. */
    if (n[MF_TASK_READY] > 0 && !mf_farm_ready_at(farm, n[MF_TASK_READY] - 1))
        return "a ready task is not found by its number";
    if (n[MF_TASK_WAITING] + n[MF_TASK_READY] + n[MF_TASK_PLACED] + n[MF_TASK_RUNNING] +
            n[MF_TASK_SUSPENDED] >
        farm->ready.capacity)
        return "a task might find no memory to become ready";
    if (n_dirty != mf_check_count_nodes(&farm->dirty, n_dirty))
        return "the changes to tell are not those of the tasks that changed";
    if (n_running != mf_check_count_nodes(&farm->running, n_running))
        return "the list of running tasks has too many or too few";
    if (n_recalling != farm->n_recalling)
        return "the count of recalls is wrong";
    if (n_yielding != farm->n_yielding)
        return "the count of slots that are to be yielded is wrong";
    return NULL;
}

static const char *check_running_order(const struct mf_farm *farm)
{
    int64_t last_ns = INT64_MIN;

    mf_list_for_each (node, &farm->running) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, running_node);

        if (task->started_ns > farm->now_ns)
            return "a task runs that was not started yet";
        if (farm->preempts && farm->config.timeout_factor == 0)
            continue;
        if (task->started_ns - task->ran_ns < last_ns)
            return "the running tasks are not in order of their start";
        last_ns = task->started_ns - task->ran_ns;
    }
    return NULL;
}

/* What is free of the countables, and what held tasks have, is what there is. */
static const char *check_countables(const struct mf_farm *farm)
{
    uint64_t n[MF_N_COUNTABLES];

    memcpy(n, farm->n_free_countables, sizeof(n));
    for (const struct mf_task *task = mf_tasks_after(&farm->tasks, 0); task;
         task = mf_tasks_after(&farm->tasks, task->id))
        for (int i = 0; i < MF_N_COUNTABLES && mf_task_is_held(task); i++)
            n[i] += task->spec.needs.countables[i];
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (n[i] != farm->config.countables[i])
            return "a countable was lent twice, or lost";
    return NULL;
}

/* Each READY task is in the line of its group. */
static const char *check_shares(const struct mf_farm *farm)
{
    const struct mf_shares *shares = &farm->shares;
    uint64_t n_ready = shares->others.n_ready;
    size_t cursor = 0;
    void *value;

    while (shares->by_group && mf_table_next(shares->by_group, &cursor, NULL, &value) == 1) {
        const struct mf_share *share = value;

        n_ready += share->n_ready;
        if (!isfinite(share->used_ns) || !isfinite(share->line_ns))
            return "the account of a group is not a number";
    }
    return n_ready == (farm->has_shares ? farm->counts.by_state[MF_TASK_READY] : 0)
               ? NULL
               : "the lines of the groups are not the ready tasks";
}

/* For none of these is there a worker, and for the others of their farm there is memory. */
static const char *check_stranded(const struct mf_farm *farm)
{
    for (uint32_t i = 0; i < farm->stranded.n_items; i++) {
        const struct mf_task *task = farm->stranded.items[i];

        if (mf_workers_have_nodes(&farm->workers, &task->spec.needs, MF_NODE_UNKNOWN, true))
            return "a task is stranded though there are workers for it";
    }
    if (farm->may_strand && farm->stranded.capacity < farm->ready.n_items)
        return "a task might find no memory to be stranded";
    return mf_check_heap(&farm->stranded);
}

const char *mf_farm_check(const struct mf_farm *farm)
{
    const char *breach = check_tasks(farm);

    if (!breach)
        breach = check_running_order(farm);
    if (!breach)
        breach = check_countables(farm);
    if (!breach)
        breach = mf_check_heap(&farm->ready);
    for (int i = 0; i < MF_N_COUNTABLES && !breach; i++)
        breach = mf_check_heap(&farm->parked[i]);
    if (!breach)
        breach = mf_check_heap(&farm->late);
    if (!breach)
        breach = check_stranded(farm);
    if (!breach && mf_check_count_nodes(&farm->left, farm->tasks.n_added) == UINT64_MAX)
        breach = "the list of tasks that left their rooms is broken";
    for (uint32_t i = 0; i < farm->n_asides && !breach; i++)
        breach = mf_check_heap(&farm->asides[i].tasks);
    if (!breach)
        breach = mf_check_heap(&farm->delayed);
    if (!breach)
        breach = check_shares(farm);
    if (!breach)
        breach = mf_check_heap(&farm->victims);
    if (!breach)
        breach = mf_check_heap(&farm->workers.resumable);
    if (!breach)
        breach = mf_check_heap(&farm->workers.by_load);
    if (!breach)
        breach = mf_check_heap(&farm->workers.by_fullness);
    if (!breach)
        breach = mf_check_workers(farm);
    return breach;
}
