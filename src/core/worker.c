/*
 * The workers: the one place that adds them and writes their state. Owned by one farm, used by its
 * thread.
 */
#include "core/worker.h"
#include "core/farm_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TO(state) (1u << MF_WORKER_##state)

/* Ranks beyond this are garbage rather than a farm. */
#define MAX_WORKERS (1u << 24)

/* For each state, those that may follow it. */
static const unsigned int moves[MF_WORKER_STATE_COUNT] = {
    [MF_WORKER_UP] = TO(DRAINING) | TO(GONE) | TO(QUARANTINED),
    [MF_WORKER_DRAINING] = TO(GONE) | TO(UP),
    [MF_WORKER_QUARANTINED] = TO(UP) | TO(DRAINING) | TO(GONE),
};

bool mf_worker_may_move(enum mf_worker_state from, enum mf_worker_state to)
{
    return (unsigned int)from < MF_WORKER_STATE_COUNT && (unsigned int)to < MF_WORKER_STATE_COUNT &&
           (moves[from] & (1u << to)) != 0;
}

void mf_workers_init(struct mf_workers *workers)
{
    *workers = (struct mf_workers){0};
    mf_list_init(&workers->quarantined);
    mf_workers_init_orders(workers);
}

void mf_workers_finish(struct mf_workers *workers)
{
    for (uint32_t i = 0; i < workers->n_by_id; i++) {
        if (workers->by_id[i])
            mf_heap_finish(&workers->by_id[i]->suspended);
        free(workers->by_id[i]);
    }
    free(workers->by_id);
    free(workers->free);
    free(workers->shapes);
    free(workers->nodes);
    mf_heap_finish(&workers->by_load);
    mf_heap_finish(&workers->by_fullness);
    mf_heap_finish(&workers->resumable);
}

struct mf_worker *mf_workers_find(const struct mf_workers *workers, mf_worker_id id)
{
    return id < workers->n_by_id ? workers->by_id[id] : NULL;
}

/* Makes by_id reach beyond id, growing to powers of two. */
static int reach(struct mf_workers *workers, mf_worker_id id)
{
    uint32_t n = workers->n_by_id ? workers->n_by_id : 16;
    struct mf_worker **by_id, **idle;

    if (id < workers->n_by_id)
        return 0;
    if (id >= MAX_WORKERS)
        return -EINVAL;
    while (n <= id)
        n *= 2;
    idle = reallocarray(workers->free, n, sizeof(struct mf_worker *));
    if (!idle)
        return -ENOMEM;
    workers->free = idle;
    by_id = reallocarray(workers->by_id, n, sizeof(struct mf_worker *));
    if (!by_id)
        return -ENOMEM;
    memset(by_id + workers->n_by_id, 0, (n - workers->n_by_id) * sizeof(struct mf_worker *));
    workers->by_id = by_id;
    workers->n_by_id = n;
    return 0;
}

/* Makes nodes reach beyond a number. */
static int reach_node(struct mf_workers *workers, mf_node_id node)
{
    struct mf_worker_node *nodes;
    uint32_t n = workers->n_nodes ? workers->n_nodes : 16;

    if (node < workers->n_nodes)
        return 0;
    if (node >= MAX_WORKERS)
        return -EINVAL;
    while (n <= node)
        n *= 2;
    nodes = reallocarray(workers->nodes, n, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    memset(nodes + workers->n_nodes, 0, (n - workers->n_nodes) * sizeof(*nodes));
    workers->nodes = nodes;
    workers->n_nodes = n;
    return 0;
}

/* What speaks against one that was lost does so when it is back. */
static void carry_record(struct mf_worker *worker, const struct mf_worker *earlier)
{
    worker->suspicion = earlier->suspicion;
    worker->probe_ns = earlier->probe_ns;
    worker->n_quarantines = earlier->n_quarantines;
    worker->was_quarantined = earlier->was_quarantined;
}

/* Frees one that is GONE, to be replaced by another of its number. */
static void forget(struct mf_workers *workers, struct mf_worker *worker)
{
    struct mf_worker **at = &workers->nodes[worker->node].first;

    while (*at != worker)
        at = &(*at)->next_on_node;
    *at = worker->next_on_node;
    mf_heap_finish(&worker->suspended);
    free(worker);
    workers->n_added--;
}

int mf_workers_add(struct mf_workers *workers, mf_worker_id id, mf_node_id node,
                   const struct mf_needs *has)
{
    struct mf_worker *worker, *earlier = mf_workers_find(workers, id);
    int r;

    if (has->n_slots == 0 || (earlier && earlier->state != MF_WORKER_GONE))
        return -EINVAL;
    r = reach(workers, id);
    if (r == 0)
        r = reach_node(workers, node);
    if (r == 0)
        r = mf_workers_reserve_orders(workers, workers->n_added + 1);
    if (r < 0)
        return r;
    worker = malloc(sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    *worker = (struct mf_worker){
        .id = id,
        .node = node,
        .state = MF_WORKER_UP,
        .n_slots = has->n_slots,
        .n_gpus = has->n_gpus,
        .n_free_gpus = has->n_gpus,
        .mem_bytes = has->mem_bytes,
        .free_mem_bytes = has->mem_bytes,
        .resumable_index = MF_HEAP_NONE,
        .free_index = MF_WORKER_NOT_FREE,
    };
    mf_list_init(&worker->tasks);
    mf_list_init(&worker->parts);
    mf_list_init(&worker->blocked_node);
    mf_list_init(&worker->quarantine_node);
    mf_heap_init(&worker->suspended, mf_policy_key_before, offsetof(struct mf_task, heap_index));
    if (!mf_workers_find_shape(workers, worker)) {
        free(worker);
        return -ENOMEM;
    }

    if (earlier) {
        carry_record(worker, earlier);
        forget(workers, earlier);
    }
    workers->by_id[id] = worker;
    workers->n_added++;
    worker->next_on_node = workers->nodes[node].first;
    workers->nodes[node].first = worker;
    mf_workers_count_in(workers, worker);
    mf_workers_note_free(workers, worker);
    return 0;
}

void mf_workers_move(struct mf_workers *workers, struct mf_worker *worker, enum mf_worker_state to)
{
    enum mf_worker_state from = worker->state;

    assert(mf_worker_may_move(from, to));
    if (from == MF_WORKER_UP)
        mf_workers_count_out(workers, worker);
    if (from == MF_WORKER_QUARANTINED) {
        mf_list_remove(&worker->quarantine_node);
        workers->n_quarantined--;
    }
    worker->was_quarantined = from == MF_WORKER_QUARANTINED && to == MF_WORKER_GONE;
    worker->state = to;
    if (to == MF_WORKER_UP)
        mf_workers_count_in(workers, worker);
    if (to == MF_WORKER_QUARANTINED) {
        mf_list_push_back(&workers->quarantined, &worker->quarantine_node);
        workers->n_quarantined++;
    }
    mf_workers_note_free(workers, worker);
    mf_workers_note_line(workers, worker);
}
