/*
 * What workers have room for now, and what they could run: of all alike at once, by their shapes.
 * Owned by one farm, used by its thread.
 */
#include "core/farm_private.h"

#include <stdlib.h>

#define IN(state) (1u << MF_WORKER_##state)

bool mf_worker_has_beside_slots(const struct mf_worker *worker, const struct mf_needs *needs)
{
    return needs->n_gpus <= worker->n_free_gpus && needs->mem_bytes <= worker->free_mem_bytes &&
           !(needs->is_suspect && worker->has_suspect);
}

bool mf_worker_is_full(const struct mf_workers *workers, const struct mf_worker *worker)
{
    uint64_t n_prefetched =
        ((uint64_t)worker->n_slots * workers->prefetch_per_1024_slots + 1023) / 1024;

    return worker->n_committed >= worker->n_slots + n_prefetched;
}

bool mf_needs_are_plain(const struct mf_needs *needs)
{
    uint64_t n_beside = needs->n_gpus | needs->mem_bytes | needs->is_suspect;

    for (int i = 0; i < MF_N_COUNTABLES; i++)
        n_beside |= needs->countables[i];
    return needs->n_slots == 1 && n_beside == 0 && needs->n_nodes <= 1;
}

bool mf_worker_has_room(const struct mf_workers *workers, const struct mf_worker *worker,
                        const struct mf_needs *needs)
{
    if (!mf_worker_has_beside_slots(worker, needs))
        return false;
    if (workers->preempts && (worker->is_awaited || !mf_worker_may_begin(workers, worker)))
        return false;
    if ((uint64_t)worker->n_committed + needs->n_slots <= worker->n_slots)
        return true;
    /* What waits behind another task should hold nothing meanwhile but its place. */
    return mf_needs_are_plain(needs) && worker->n_long == 0 && !mf_worker_is_full(workers, worker);
}

uint32_t mf_worker_n_idle(const struct mf_worker *worker)
{
    uint32_t n = worker->n_slots;

    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        if (task->state != MF_TASK_PLACED && task->has_slots)
            n -= task->spec.needs.n_slots < n ? task->spec.needs.n_slots : n;
    }
    mf_list_for_each (node, &worker->parts) {
        const struct mf_span_part *part = mf_container_of(node, struct mf_span_part, node);

        n -= part->task->spec.needs.n_slots < n ? part->task->spec.needs.n_slots : n;
    }
    return n;
}

bool mf_task_may_have_begun(const struct mf_task *task, uint32_t *n_idle)
{
    if (task->state != MF_TASK_PLACED)
        return true;
    /* Of one that is dirty its worker was not told yet. */
    if (task->is_dirty || mf_task_is_gathering(task) || task->spec.needs.n_slots > *n_idle)
        return false;
    *n_idle -= task->spec.needs.n_slots;
    return true;
}

static bool shape_fits(const struct mf_worker_shape *shape, const struct mf_needs *needs)
{
    return needs->n_slots <= shape->n_slots && needs->n_gpus <= shape->n_gpus &&
           needs->mem_bytes <= shape->mem_bytes;
}

static struct mf_worker_shape shape_of(const struct mf_worker *worker)
{
    return (struct mf_worker_shape){worker->n_slots, worker->n_gpus, worker->mem_bytes, 0};
}

bool mf_worker_could_run(const struct mf_worker *worker, const struct mf_needs *needs)
{
    struct mf_worker_shape shape = shape_of(worker);

    return shape_fits(&shape, needs);
}

struct mf_worker_shape *mf_workers_find_shape(struct mf_workers *workers,
                                              const struct mf_worker *worker)
{
    struct mf_worker_shape shape = shape_of(worker), *grown;

    for (uint32_t i = 0; i < workers->n_shapes; i++) {
        struct mf_worker_shape *other = &workers->shapes[i];

        if (other->n_slots == shape.n_slots && other->n_gpus == shape.n_gpus &&
            other->mem_bytes == shape.mem_bytes)
            return other;
    }
    grown = reallocarray(workers->shapes, workers->n_shapes + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    workers->shapes = grown;
    grown[workers->n_shapes] = shape;
    return &grown[workers->n_shapes++];
}

uint32_t mf_workers_n_able(const struct mf_workers *workers, const struct mf_needs *needs)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < workers->n_shapes; i++)
        if (shape_fits(&workers->shapes[i], needs))
            n += workers->shapes[i].n_up;
    return n;
}

bool mf_workers_is_any_able_beyond(const struct mf_workers *workers, mf_node_id node,
                                   const struct mf_needs *needs)
{
    uint32_t n_there = 0;

    /* Where all workers are alike, counting them is enough. */
    if (workers->n_shapes == 1)
        return shape_fits(&workers->shapes[0], needs) && workers->n_up > workers->nodes[node].n_up;
    for (const struct mf_worker *worker = workers->nodes[node].first; worker;
         worker = worker->next_on_node)
        n_there += worker->state == MF_WORKER_UP && mf_worker_could_run(worker, needs);
    return mf_workers_n_able(workers, needs) > n_there;
}

/* Nodes that have a worker in one of these states which may have a part, up to so many. */
static uint32_t count_able_nodes(const struct mf_workers *workers, const struct mf_needs *needs,
                                 mf_node_id without, unsigned int states)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < workers->n_nodes && n < mf_needs_n_nodes(needs); i++) {
        const struct mf_worker *worker = workers->nodes[i].first;
        bool is_able = false;

        for (; worker && (!is_able || i == MF_NODE_UNKNOWN); worker = worker->next_on_node) {
            is_able = (states & (1u << worker->state)) != 0 && mf_worker_could_run(worker, needs);
            n += is_able && (i != without || i == MF_NODE_UNKNOWN);
        }
    }
    return n;
}

bool mf_workers_have_nodes(const struct mf_workers *workers, const struct mf_needs *needs,
                           mf_node_id without, bool with_quarantined)
{
    unsigned int states = IN(UP) | (with_quarantined ? IN(QUARANTINED) : 0);

    if (workers->n_shapes == 1 && without == MF_NODE_UNKNOWN && !with_quarantined)
        return shape_fits(&workers->shapes[0], needs) &&
               workers->n_nodes_up >= mf_needs_n_nodes(needs);
    return count_able_nodes(workers, needs, without, states) >= mf_needs_n_nodes(needs);
}

bool mf_workers_had_nodes(const struct mf_workers *workers, const struct mf_needs *needs)
{
    return count_able_nodes(workers, needs, MF_NODE_UNKNOWN, ~0u) >= mf_needs_n_nodes(needs);
}

uint64_t mf_workers_most_memory(const struct mf_workers *workers, const struct mf_needs *needs)
{
    struct mf_needs others = *needs;
    uint64_t most = 0;

    others.mem_bytes = 0;
    for (uint32_t i = 0; i < workers->n_shapes; i++) {
        const struct mf_worker_shape *shape = &workers->shapes[i];

        if (shape->n_up > 0 && shape->mem_bytes > most && shape_fits(shape, &others))
            most = shape->mem_bytes;
    }
    return most;
}

struct mf_needs mf_workers_largest(const struct mf_workers *workers)
{
    struct mf_needs most = {0};

    for (uint32_t i = 0; i < workers->n_shapes; i++) {
        const struct mf_worker_shape *shape = &workers->shapes[i];
        const struct mf_needs has = {
            .n_slots = shape->n_slots, .n_gpus = shape->n_gpus, .mem_bytes = shape->mem_bytes};

        if (shape->n_up > 0)
            mf_needs_raise(&most, &has);
    }
    most.n_nodes = workers->n_nodes_up;
    return most;
}

struct mf_needs mf_workers_smallest(const struct mf_workers *workers)
{
    struct mf_needs least = mf_workers_largest(workers);

    for (uint32_t i = 0; i < workers->n_shapes; i++) {
        const struct mf_worker_shape *shape = &workers->shapes[i];

        if (shape->n_up == 0)
            continue;
        if (shape->n_slots < least.n_slots)
            least.n_slots = shape->n_slots;
        if (shape->n_gpus < least.n_gpus)
            least.n_gpus = shape->n_gpus;
        if (shape->mem_bytes < least.mem_bytes)
            least.mem_bytes = shape->mem_bytes;
    }
    return least;
}
