/*
 * What was sent ahead comes back: to give idle slots something to do, or
 * because a task that goes before it waits for that worker.
 */
#include "core/farm_private.h"

/* Workers that are asked to give tasks back in one tick. */
#define MAX_RECALLED_WORKERS 8

/* Tasks that a worker may be asked to give back: half of its surplus, as it goes on meanwhile. */
static uint32_t count_recallable(const struct mf_worker *worker)
{
    uint32_t half = (mf_worker_surplus(worker) + 1) / 2;

    return half > worker->n_recalling ? half - worker->n_recalling : 0;
}

/* The most loaded workers that have something to give back, most loaded first. O(workers). */
static uint32_t find_overloaded(const struct mf_farm *farm,
                                struct mf_worker *ret_workers[MAX_RECALLED_WORKERS])
{
    const struct mf_heap *by_load = &farm->workers.by_load;
    uint32_t n = 0;

    for (uint32_t i = 0; i < by_load->n_items; i++) {
        struct mf_worker *worker = by_load->items[i];
        uint32_t at = n;

        if (count_recallable(worker) == 0)
            continue;
        while (at > 0 && by_load->before(ret_workers[at - 1], worker)) {
            if (at < MAX_RECALLED_WORKERS)
                ret_workers[at] = ret_workers[at - 1];
            at--;
        }
        if (at < MAX_RECALLED_WORKERS)
            ret_workers[at] = worker;
        if (n < MAX_RECALLED_WORKERS)
            n++;
    }
    return n;
}

/*
 * Asks a worker for up to n tasks back, those placed last first. A task that
 * avoids a worker, or can go to no other, stays where it is: the free slot may be the one it
 * avoids, and it would come straight back.
 *
 * Returns for how many it asked.
 */
static uint64_t recall_from(struct mf_farm *farm, struct mf_worker *worker, uint64_t n)
{
    uint32_t most = count_recallable(worker);
    uint32_t n_behind = mf_worker_surplus(worker);
    uint64_t n_asked = 0;

    if (n > most)
        n = most;
    /* What is in front of the surplus has slots, and is running or about to. */
    for (struct mf_list *node = worker->tasks.prev;
         node != &worker->tasks && n_asked < n && n_behind > 0; node = node->prev) {
        struct mf_task *task = mf_container_of(node, struct mf_task, node);

        n_behind -= task->spec.needs.n_slots < n_behind ? task->spec.needs.n_slots : n_behind;

        if (task->state != MF_TASK_PLACED || task->wish != MF_WISH_NONE ||
            task->spec.needs.n_slots > 1 || mf_task_n_parts(task) > 0 || task->spec.has_target ||
            !mf_avoid_is_nothing(mf_farm_to_avoid(farm, task)))
            continue;
        mf_farm_wish(farm, task, MF_WISH_RECALL, MF_CAUSE_NONE);
        n_asked++;
    }
    return n_asked;
}

/*
 * Whether a task that waits goes before one that was sent ahead. The key of that one is as old
 * as its placement: what it has gained by waiting since counts too. What groups
 * were charged cannot be asked anew.
 */
static bool goes_before(struct mf_farm *farm, const struct mf_task *waiting,
                        const struct mf_task *sent)
{
    struct mf_task first = *waiting, second = *sent;

    if (farm->rekey_ns > 0 && !farm->has_shares) {
        mf_farm_order(farm, &first);
        mf_farm_order(farm, &second);
    }
    return farm->ready.before(&first, &second);
}

void mf_farm_recall_behind(struct mf_farm *farm, struct mf_worker *worker,
                           const struct mf_task *first)
{
    uint32_t n_behind = mf_worker_surplus(worker);

    for (struct mf_list *node = worker->tasks.prev; node != &worker->tasks && n_behind > 0;
         node = node->prev) {
        struct mf_task *task = mf_container_of(node, struct mf_task, node);

        n_behind -= task->spec.needs.n_slots < n_behind ? task->spec.needs.n_slots : n_behind;
        if (task->state == MF_TASK_PLACED && task->wish == MF_WISH_NONE &&
            goes_before(farm, first, task))
            mf_farm_wish(farm, task, MF_WISH_RECALL, MF_CAUSE_NONE);
    }
}

/* Free slots, but for those that are kept for a large task: these are not idle. */
static uint64_t count_idle(const struct mf_farm *farm)
{
    const struct mf_reservation *reservation = &farm->reservation;
    uint64_t n_free = farm->workers.n_free;

    for (uint32_t i = 0; i < reservation->n_workers && reservation->is_standing; i++) {
        const struct mf_worker *kept = mf_workers_find(&farm->workers, reservation->workers[i]);

        if (kept->state == MF_WORKER_UP && kept->n_committed < kept->n_slots)
            n_free -= kept->n_slots - kept->n_committed;
    }
    return n_free;
}

void mf_farm_recall_surplus(struct mf_farm *farm)
{
    struct mf_worker *overloaded[MAX_RECALLED_WORKERS];
    uint64_t n_free = count_idle(farm);
    uint64_t n_wanted;
    uint32_t n;

    if (n_free <= farm->n_recalling || farm->workers.n_surplus == 0)
        return;
    n_wanted = n_free - farm->n_recalling;
    n = find_overloaded(farm, overloaded);
    for (uint32_t i = 0; i < n && n_wanted > 0; i++)
        n_wanted -= recall_from(farm, overloaded[i], n_wanted);
}
