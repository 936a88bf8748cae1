/*
 * The invariants of the workers of a farm, each with the sentence that names its
 * breach. For tests: looks at everything and changes nothing.
 */
#include "core/farm_private.h"

/* What a worker has beside slots is its tasks' or free, and one of them may be a suspect. */
static const char *check_beside_slots(const struct mf_worker *worker)
{
    uint64_t n_gpus = worker->n_free_gpus;
    uint64_t mem_bytes = worker->free_mem_bytes;
    uint32_t n_suspects = 0;

    if (n_gpus > worker->n_gpus || mem_bytes > worker->mem_bytes)
        return "a worker has more free than it has";
    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        n_gpus += task->spec.needs.n_gpus;
        mem_bytes += task->spec.needs.mem_bytes;
        n_suspects += task->spec.needs.is_suspect;
    }
    mf_list_for_each (node, &worker->parts) {
        const struct mf_span_part *part = mf_container_of(node, struct mf_span_part, node);

        n_gpus += part->task->spec.needs.n_gpus;
        mem_bytes += part->task->spec.needs.mem_bytes;
        n_suspects += part->task->spec.needs.is_suspect;
    }
    if (n_suspects > 1)
        return "a worker has two suspects";
    if (n_suspects != worker->has_suspect)
        return "a worker does not know of its suspect";
    if (n_gpus != worker->n_gpus || mem_bytes != worker->mem_bytes)
        return "the GPUs or the memory of a worker do not add up";
    return NULL;
}

/* Those with a free slot are listed, each in its place. */
static const char *check_free(const struct mf_workers *workers, const struct mf_worker *worker)
{
    bool is_free = worker->state == MF_WORKER_UP && worker->n_committed < worker->n_slots;
    bool is_listed =
        worker->free_index < workers->n_free_workers && workers->free[worker->free_index] == worker;

    if (is_free != is_listed || (!is_free && worker->free_index != MF_WORKER_NOT_FREE))
        return "the list of workers with a free slot is wrong";
    return NULL;
}

/* Slots of the parts of tasks that others run. */
static const char *check_parts(const struct mf_farm *farm, const struct mf_worker *worker,
                               uint64_t *ret_n_slots)
{
    *ret_n_slots = 0;
    if (mf_check_count_nodes(&worker->parts, worker->n_parts) != worker->n_parts)
        return "a worker's list has too many or too few parts";
    mf_list_for_each (node, &worker->parts) {
        const struct mf_span_part *part = mf_container_of(node, struct mf_span_part, node);

        if (mf_tasks_find(&farm->tasks, part->task->id) != part->task ||
            !mf_task_is_held(part->task) || part->worker != worker->id)
            return "a worker's list has a part that it does not hold";
        *ret_n_slots += part->task->spec.needs.n_slots;
    }
    return NULL;
}

/* What the tasks of a worker add up to. */
static const char *check_load(const struct mf_farm *farm, const struct mf_worker *worker)
{
    uint64_t n_single = 0;
    uint64_t n_wide;
    uint32_t n_long = 0;
    uint32_t n_recalling = 0;
    uint64_t most = farm->config.delay_ns > 0 ? 0 : farm->config.max_prefetch_per_slot;

    if (check_parts(farm, worker, &n_wide))
        return check_parts(farm, worker, &n_wide);
    if (mf_check_count_nodes(&worker->tasks, worker->n_tasks) != worker->n_tasks)
        return "a worker's list has too many or too few tasks";
    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        if (mf_tasks_find(&farm->tasks, task->id) != task || !mf_task_is_held(task) ||
            task->worker != worker->id)
            return "a worker's list has a task that it does not hold";
        if (task->has_slots)
            *(task->spec.needs.n_slots > 1 || mf_task_n_parts(task) > 0 ? &n_wide : &n_single) +=
                task->spec.needs.n_slots;
        n_recalling += task->wish == MF_WISH_RECALL;
        n_long += task->spec.is_long;
    }
    if (n_long != worker->n_long)
        return "a worker's count of long tasks is wrong";
    if (n_single + n_wide != worker->n_committed)
        return "a worker's load is not that of its tasks";
    if (n_wide > worker->n_slots)
        return "a task of several slots was sent ahead";
    if (farm->preempts && worker->n_committed > worker->n_slots)
        return "a worker was sent more ahead than allowed";
    if (farm->preempts &&
        worker->n_tasks > worker->n_slots * (1 + (uint64_t)farm->config.max_suspended_per_slot))
        return "a worker has begun more tasks than it may";
    if (worker->n_committed > worker->n_slots * (1 + most))
        return "a worker was sent more ahead than allowed";
    if (n_recalling != worker->n_recalling)
        return "a worker's count of recalls is wrong";
    return check_beside_slots(worker);
}

static const char *check_worker(const struct mf_farm *farm, const struct mf_worker *worker)
{
    const struct mf_heap *by_load = &farm->workers.by_load;
    const struct mf_heap *by_fullness = &farm->workers.by_fullness;
    bool is_in_heap =
        worker->heap_index < by_load->n_items && by_load->items[worker->heap_index] == worker;

    if ((worker->state == MF_WORKER_UP) != is_in_heap)
        return "the workers in the order of load are not those that are up";
    if (farm->workers.has_fullness && worker->state == MF_WORKER_UP &&
        (by_fullness->items[worker->fullness_index] != worker ||
         worker->fullness != mf_worker_fullness(worker)))
        return "a worker is not as full as it thinks";
    if ((worker->resumable_index != MF_HEAP_NONE) !=
        (worker->state != MF_WORKER_GONE && worker->suspended.n_items > 0 &&
         worker->n_committed < worker->n_slots))
        return "the workers on which a task could go on are not those in their heap";
    if (mf_check_heap(&worker->suspended))
        return "a worker's line is out of order";
    if (worker->is_awaited || !mf_list_is_empty(&worker->blocked_node))
        return "a worker is blocked between two ticks";
    if ((worker->state == MF_WORKER_QUARANTINED) == mf_list_is_empty(&worker->quarantine_node))
        return "the workers in quarantine are not those in their list";
    if (worker->state == MF_WORKER_GONE && !mf_worker_is_empty(worker))
        return "a worker that is gone holds a task";
    if (worker->state == MF_WORKER_DRAINING && mf_worker_is_empty(worker))
        return "a worker that drains holds nothing and is not gone";
    if (check_free(&farm->workers, worker))
        return check_free(&farm->workers, worker);
    return check_load(farm, worker);
}

/* Whether no worker of its node that is UP has a lower number. */
static bool is_first_up(const struct mf_worker *worker, const struct mf_workers *workers)
{
    for (const struct mf_worker *other = workers->nodes[worker->node].first; other;
         other = other->next_on_node)
        if (other->state == MF_WORKER_UP && other->id < worker->id)
            return false;
    return true;
}

/* The totals over the workers that are UP. */
static const char *check_totals(const struct mf_workers *workers)
{
    struct mf_workers sum = {0};

    for (uint32_t i = 0; i < workers->n_by_id; i++) {
        const struct mf_worker *worker = workers->by_id[i];

        if (!worker || worker->state != MF_WORKER_UP)
            continue;
        sum.n_up++;
        sum.n_nodes_up += worker->node == MF_NODE_UNKNOWN || is_first_up(worker, workers);
        sum.n_slots_up += worker->n_slots;
        sum.n_surplus += mf_worker_surplus(worker);
        sum.n_free += worker->n_slots + mf_worker_surplus(worker) - worker->n_committed;
    }
    if (mf_room_check(&workers->room) != (workers->has_room ? (int64_t)sum.n_up : 0))
        return "the workers by what they have free are not those that are up";
    if (sum.n_nodes_up != workers->n_nodes_up)
        return "the count of nodes is wrong";
    if (sum.n_up != workers->n_up || sum.n_up != workers->by_load.n_items ||
        workers->by_fullness.n_items != (workers->has_fullness ? sum.n_up : 0))
        return "the count of workers is wrong";
    if (sum.n_slots_up != workers->n_slots_up || sum.n_free != workers->n_free ||
        sum.n_surplus != workers->n_surplus)
        return "the slots of all workers do not add up";
    for (uint32_t i = 0; i < workers->n_shapes; i++)
        sum.n_up -= workers->shapes[i].n_up;
    if (sum.n_up != 0)
        return "the workers of all shapes are not those that are up";
    if (mf_check_count_nodes(&workers->quarantined, workers->n_quarantined) !=
        workers->n_quarantined)
        return "the count of workers in quarantine is wrong";
    if (workers->n_quarantined > workers->n_up)
        return "more workers are in quarantine than out of it";
    return NULL;
}

const char *mf_check_workers(const struct mf_farm *farm)
{
    const struct mf_workers *workers = &farm->workers;
    uint64_t n_held = 0;
    uint64_t n_in_line = 0;

    for (uint32_t i = 0; i < workers->n_by_id; i++) {
        const struct mf_worker *worker = workers->by_id[i];
        const char *breach = worker ? check_worker(farm, worker) : NULL;

        if (breach)
            return breach;
        if (worker && worker->id != i)
            return "a worker is kept under the wrong number";
        n_held += worker ? worker->n_tasks : 0;
        n_in_line += worker ? worker->suspended.n_items : 0;
    }
    if (n_in_line != farm->n_in_line)
        return "the count of tasks in line is wrong";
    if (n_held != farm->counts.by_state[MF_TASK_PLACED] + farm->counts.by_state[MF_TASK_RUNNING] +
                      farm->counts.by_state[MF_TASK_SUSPENDED])
        return "a held task is in two workers' lists or in none";
    return check_totals(workers);
}
