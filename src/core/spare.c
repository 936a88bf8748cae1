/*
 * Workers that a run can do without: see farm.h. What is left must find room at once, so that
 * nobody waits for a worker that was given away.
 */
#include "core/farm_private.h"

#include <stdlib.h>
#include <string.h>

/* What of a worker is free, or what a task needs. */
struct room {
    uint64_t mem_bytes;
    uint32_t n_slots, n_gpus;
};

static bool is_spared(const struct mf_worker *worker, const bool *spared)
{
    return spared[worker->id];
}

/* Nothing waits there for a slot, and it serves no task that needs several nodes, also if that is
 * tried again. */
static bool is_even(const struct mf_worker *worker)
{
    return worker->n_committed <= worker->n_slots && worker->suspended.n_items == 0 &&
           worker->n_parts == 0;
}

static bool is_idle(const struct mf_worker *worker)
{
    return worker->state == MF_WORKER_UP && mf_worker_is_empty(worker);
}

/* The workers that are UP and stay. Returns how many, or 0 when they cannot do without the rest. */
static uint32_t list_kept(const struct mf_workers *workers, const bool *spared, struct room *kept,
                          uint64_t *ret_n_free)
{
    struct mf_needs largest = {0}, most_spared = {0};
    uint32_t n = 0;

    *ret_n_free = 0;
    for (uint32_t i = 0; i < workers->n_by_id; i++) {
        const struct mf_worker *worker = workers->by_id[i];
        struct mf_needs has;

        if (!worker || worker->state == MF_WORKER_GONE)
            continue;
        if (is_spared(worker, spared) ? !is_idle(worker) : !is_even(worker))
            return 0;
        if (worker->state != MF_WORKER_UP)
            continue;
        has = (struct mf_needs){
            .n_slots = worker->n_slots, .n_gpus = worker->n_gpus, .mem_bytes = worker->mem_bytes};
        mf_needs_raise(is_spared(worker, spared) ? &most_spared : &largest, &has);
        if (is_spared(worker, spared))
            continue;
        kept[n++] = (struct room){.n_slots = worker->n_slots - worker->n_committed,
                                  .n_gpus = worker->n_free_gpus,
                                  .mem_bytes = worker->free_mem_bytes};
        *ret_n_free += kept[n - 1].n_slots;
    }
    /* What is tried again may need as much as any had. */
    return mf_needs_exceed(&most_spared, &largest) ? 0 : n;
}

/* The largest first. */
static int compare(const void *a, const void *b)
{
    const struct room *x = a, *y = b;

    if (x->n_slots != y->n_slots)
        return x->n_slots > y->n_slots ? -1 : 1;
    if (x->n_gpus != y->n_gpus)
        return x->n_gpus > y->n_gpus ? -1 : 1;
    return x->mem_bytes > y->mem_bytes ? -1 : x->mem_bytes < y->mem_bytes;
}

/* Each into the first that has room for it. */
static bool pack(const struct room *tasks, uint64_t n_tasks, struct room *kept, uint32_t n_kept)
{
    for (uint64_t i = 0; i < n_tasks; i++) {
        uint32_t k = 0;

        while (k < n_kept &&
               (kept[k].n_slots < tasks[i].n_slots || kept[k].n_gpus < tasks[i].n_gpus ||
                kept[k].mem_bytes < tasks[i].mem_bytes))
            k++;
        if (k == n_kept)
            return false;
        kept[k].n_slots -= tasks[i].n_slots;
        kept[k].n_gpus -= tasks[i].n_gpus;
        kept[k].mem_bytes -= tasks[i].mem_bytes;
    }
    return true;
}

/* Returns false if one may only run on a worker that goes, or needs several nodes. */
static bool list_tasks(const struct mf_farm *farm, const bool *spared, struct room *tasks,
                       uint64_t n_tasks)
{
    uint64_t n = 0;

    for (const struct mf_task *task = mf_farm_after(farm, 0); task && n < n_tasks;
         task = mf_farm_after(farm, task->id)) {
        if (task->state != MF_TASK_WAITING && task->state != MF_TASK_READY)
            continue;
        if (mf_task_n_parts(task) > 0 || (task->spec.has_target && spared[task->spec.target]))
            return false;
        tasks[n++] = (struct room){.n_slots = task->spec.needs.n_slots,
                                   .n_gpus = task->spec.needs.n_gpus,
                                   .mem_bytes = task->spec.needs.mem_bytes};
    }
    qsort(tasks, n_tasks, sizeof(*tasks), compare);
    return true;
}

static bool fit(const struct mf_farm *farm, const bool *spared, uint64_t n_tasks, struct room *kept,
                uint32_t n_kept)
{
    struct room *tasks = calloc(n_tasks, sizeof(*tasks));
    bool do_fit;

    if (!tasks)
        return false;
    do_fit = list_tasks(farm, spared, tasks, n_tasks) && pack(tasks, n_tasks, kept, n_kept);
    free(tasks);
    return do_fit;
}

bool mf_farm_can_spare(const struct mf_farm *farm, const bool *spared)
{
    struct room *kept = calloc(farm->workers.n_by_id + (size_t)1, sizeof(*kept));
    struct mf_farm_counts counts;
    uint64_t n_tasks, n_free;
    uint32_t n_kept;
    bool can;

    if (!kept)
        return false;
    mf_farm_count(farm, &counts);
    n_tasks = counts.by_state[MF_TASK_WAITING] + counts.by_state[MF_TASK_READY];
    n_kept = list_kept(&farm->workers, spared, kept, &n_free);
    can = n_kept > 0 && n_tasks <= n_free;
    if (can && n_tasks > 0)
        can = fit(farm, spared, n_tasks, kept, n_kept);
    free(kept);
    return can;
}
