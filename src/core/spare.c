/*
 * Workers that a run can do without: see mf_farm_spare() in farm.h. What is left must find room at
 * once, so that nobody waits for a worker that was given away.
 *
 * All tasks that no worker holds are packed into what is free, first where workers stay anyway. The
 * workers that nothing was packed into can go, but for those that have more of something than all
 * others: what is tried again may need as much.
 */
#include "core/farm_private.h"

#include <stdlib.h>

/* What of a worker is free, or what a task needs. */
struct room {
    uint64_t mem_bytes;
    uint32_t n_slots, n_gpus;
    struct mf_worker *worker;
};

/**
 * @may_go  by number of the worker, for all of a node or none; of those that stay it is false
 * @rooms   n_rooms of the workers that are UP
 * @tasks   n_tasks of those that no worker holds
 */
struct sparing {
    const struct mf_farm *farm;
    bool *may_go;
    struct room *rooms, *tasks;
    uint32_t n_rooms;
    uint64_t n_tasks;
};

/* --- who stays --- */

/* Its node stays. */
static void keep(struct sparing *sparing, const struct mf_worker *worker)
{
    const struct mf_worker_node *node = &sparing->farm->workers.nodes[worker->node];

    sparing->may_go[worker->id] = false;
    for (worker = worker->node == MF_NODE_UNKNOWN ? NULL : node->first; worker;
         worker = worker->next_on_node)
        sparing->may_go[worker->id] = false;
}

static bool is_idle(const struct mf_worker *worker)
{
    return worker->state == MF_WORKER_UP && mf_worker_is_empty(worker);
}

/* Nothing waits there for a slot, and it serves no task that needs several nodes, also if that is
 * tried again. */
static bool is_even(const struct mf_worker *worker)
{
    return worker->n_committed <= worker->n_slots && worker->suspended.n_items == 0 &&
           worker->n_parts == 0;
}

/* Returns false if one that stays has more to do than it has room for. */
static bool look_at_workers(struct sparing *sparing)
{
    const struct mf_workers *workers = &sparing->farm->workers;

    for (uint32_t i = 0; i < workers->n_by_id; i++)
        if (workers->by_id[i] && sparing->may_go[i] && !is_idle(workers->by_id[i]))
            keep(sparing, workers->by_id[i]);
    for (uint32_t i = 0; i < workers->n_by_id; i++) {
        const struct mf_worker *worker = workers->by_id[i];

        if (worker && worker->state != MF_WORKER_GONE && !sparing->may_go[i] && !is_even(worker))
            return false;
    }
    return true;
}

/* Those that may go are the last, by their number: the first ones are filled, and stay. */
static void list_rooms(struct sparing *sparing)
{
    const struct mf_workers *workers = &sparing->farm->workers;

    for (int may_go = 0; may_go < 2; may_go++)
        for (uint32_t i = 0; i < workers->n_by_id; i++) {
            struct mf_worker *worker = workers->by_id[i];

            if (worker && worker->state == MF_WORKER_UP && sparing->may_go[i] == (may_go == 1))
                sparing->rooms[sparing->n_rooms++] =
                    (struct room){.n_slots = worker->n_slots - worker->n_committed,
                                  .n_gpus = worker->n_free_gpus,
                                  .mem_bytes = worker->free_mem_bytes,
                                  .worker = worker};
        }
}

/* --- what is left to do --- */

/* Returns false if one needs several nodes. The only worker that may run one stays. */
static bool list_tasks(struct sparing *sparing)
{
    const struct mf_farm *farm = sparing->farm;
    uint64_t n = 0;

    for (const struct mf_task *task = mf_farm_after(farm, 0); task && n < sparing->n_tasks;
         task = mf_farm_after(farm, task->id)) {
        const struct mf_worker *target =
            task->spec.has_target ? mf_workers_find(&farm->workers, task->spec.target) : NULL;

        if (task->state != MF_TASK_WAITING && task->state != MF_TASK_READY)
            continue;
        if (mf_task_n_parts(task) > 0)
            return false;
        if (target)
            keep(sparing, target);
        sparing->tasks[n++] = (struct room){.n_slots = task->spec.needs.n_slots,
                                            .n_gpus = task->spec.needs.n_gpus,
                                            .mem_bytes = task->spec.needs.mem_bytes};
    }
    return true;
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

static bool has_room(const struct room *room, const struct room *task)
{
    return room->n_slots >= task->n_slots && room->n_gpus >= task->n_gpus &&
           room->mem_bytes >= task->mem_bytes;
}

/* Each into the first that has room for it, behind those that had none for one that is alike. */
static bool pack(struct sparing *sparing)
{
    uint32_t k = 0;

    qsort(sparing->tasks, sparing->n_tasks, sizeof(*sparing->tasks), compare);
    for (uint64_t i = 0; i < sparing->n_tasks; i++) {
        const struct room *task = &sparing->tasks[i];
        struct room *room;

        if (i > 0 && compare(task, &sparing->tasks[i - 1]) != 0)
            k = 0;
        while (k < sparing->n_rooms && !has_room(&sparing->rooms[k], task))
            k++;
        if (k == sparing->n_rooms)
            return false;
        room = &sparing->rooms[k];
        room->n_slots -= task->n_slots;
        room->n_gpus -= task->n_gpus;
        room->mem_bytes -= task->mem_bytes;
        keep(sparing, room->worker);
    }
    return true;
}

/* --- what those have that go --- */

static uint64_t slots_of(const struct mf_worker *worker)
{
    return worker->n_slots;
}

static uint64_t gpus_of(const struct mf_worker *worker)
{
    return worker->n_gpus;
}

static uint64_t memory_of(const struct mf_worker *worker)
{
    return worker->mem_bytes;
}

/* One that has the most of a kind stays. */
static void keep_most(struct sparing *sparing, uint64_t (*amount_of)(const struct mf_worker *))
{
    const struct mf_worker *best = sparing->rooms[0].worker;

    for (uint32_t i = 1; i < sparing->n_rooms; i++) {
        const struct mf_worker *worker = sparing->rooms[i].worker;
        uint64_t amount = amount_of(worker), most = amount_of(best);

        if (amount > most ||
            (amount == most && sparing->may_go[best->id] > sparing->may_go[worker->id]))
            best = worker;
    }
    keep(sparing, best);
}

/* --- all of it --- */

static bool choose(struct sparing *sparing)
{
    if (!list_tasks(sparing) || !look_at_workers(sparing))
        return false;
    list_rooms(sparing);
    if (sparing->n_rooms == 0 || !pack(sparing))
        return false;
    keep_most(sparing, slots_of);
    keep_most(sparing, gpus_of);
    keep_most(sparing, memory_of);
    for (uint32_t i = 0; i < sparing->n_rooms; i++)
        if (sparing->may_go[sparing->rooms[i].worker->id])
            return true;
    return false;
}

bool mf_farm_spare(const struct mf_farm *farm, bool *may_go)
{
    struct sparing sparing = {.farm = farm, .may_go = may_go};
    const uint64_t *n = farm->counts.by_state;
    bool has_any = false;

    sparing.n_tasks = n[MF_TASK_WAITING] + n[MF_TASK_READY];
    /* While there is much to do this is all that it takes. */
    if (sparing.n_tasks > farm->workers.n_free)
        return false;
    sparing.rooms = calloc(farm->workers.n_by_id + (size_t)1, sizeof(*sparing.rooms));
    sparing.tasks = calloc(sparing.n_tasks + 1, sizeof(*sparing.tasks));
    if (sparing.rooms && sparing.tasks)
        has_any = choose(&sparing);
    free(sparing.rooms);
    free(sparing.tasks);
    return has_any;
}
