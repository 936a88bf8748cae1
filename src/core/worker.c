/*
 * The workers: the one place that writes their state, their load, and the
 * totals that follow from both. Owned by one farm, used by its thread.
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
    [MF_WORKER_UP] = TO(DRAINING) | TO(GONE),
    [MF_WORKER_DRAINING] = TO(GONE),
};

bool mf_worker_may_move(enum mf_worker_state from, enum mf_worker_state to)
{
    return (unsigned int)from < MF_WORKER_STATE_COUNT && (unsigned int)to < MF_WORKER_STATE_COUNT &&
           (moves[from] & (1u << to)) != 0;
}

/* a/b < c/d as a*d < c*b: exact, and the products fit in 64 bits. */
static bool is_less_loaded(const void *a, const void *b)
{
    const struct mf_worker *first = a;
    const struct mf_worker *second = b;
    uint64_t left = (uint64_t)first->n_committed * second->n_slots;
    uint64_t right = (uint64_t)second->n_committed * first->n_slots;

    return left != right ? left < right : first->id < second->id;
}

void mf_workers_init(struct mf_workers *workers)
{
    *workers = (struct mf_workers){0};
    mf_heap_init(&workers->by_load, is_less_loaded, offsetof(struct mf_worker, heap_index));
}

void mf_workers_finish(struct mf_workers *workers)
{
    for (uint32_t i = 0; i < workers->n_by_id; i++)
        free(workers->by_id[i]);
    free(workers->by_id);
    mf_heap_finish(&workers->by_load);
}

struct mf_worker *mf_workers_find(const struct mf_workers *workers, mf_worker_id id)
{
    return id < workers->n_by_id ? workers->by_id[id] : NULL;
}

bool mf_worker_has_room(const struct mf_workers *workers, const struct mf_worker *worker,
                        uint32_t n_slots)
{
    uint64_t n_prefetched;

    if ((uint64_t)worker->n_committed + n_slots <= worker->n_slots)
        return true;
    if (n_slots > 1)
        return false;
    n_prefetched = ((uint64_t)worker->n_slots * workers->prefetch_per_1024_slots + 1023) / 1024;
    return worker->n_committed < worker->n_slots + n_prefetched;
}

/* Makes by_id reach beyond id, growing to powers of two. */
static int reach(struct mf_workers *workers, mf_worker_id id)
{
    uint32_t n = workers->n_by_id ? workers->n_by_id : 16;
    struct mf_worker **by_id;

    if (id < workers->n_by_id)
        return 0;
    if (id >= MAX_WORKERS)
        return -EINVAL;
    while (n <= id)
        n *= 2;
    by_id = reallocarray(workers->by_id, n, sizeof(struct mf_worker *));
    if (!by_id)
        return -ENOMEM;
    memset(by_id + workers->n_by_id, 0, (n - workers->n_by_id) * sizeof(struct mf_worker *));
    workers->by_id = by_id;
    workers->n_by_id = n;
    return 0;
}

static void rank_size(struct mf_workers *workers, uint32_t n_slots)
{
    if (n_slots > workers->largest_slots) {
        workers->second_slots = workers->largest_slots;
        workers->largest_slots = n_slots;
    } else if (n_slots > workers->second_slots) {
        workers->second_slots = n_slots;
    }
}

/* Finds the two largest again after a worker stopped being UP. O(workers), as rare as that. */
static void rank_all_sizes(struct mf_workers *workers)
{
    workers->largest_slots = workers->second_slots = 0;
    for (uint32_t i = 0; i < workers->by_load.n_items; i++) {
        const struct mf_worker *worker = workers->by_load.items[i];

        rank_size(workers, worker->n_slots);
    }
}

static uint32_t free_slots(const struct mf_worker *worker)
{
    return worker->n_committed < worker->n_slots ? worker->n_slots - worker->n_committed : 0;
}

static void add_to_totals(struct mf_workers *workers, const struct mf_worker *worker)
{
    workers->n_free += free_slots(worker);
    workers->n_surplus += mf_worker_surplus(worker);
}

static void take_from_totals(struct mf_workers *workers, const struct mf_worker *worker)
{
    workers->n_free -= free_slots(worker);
    workers->n_surplus -= mf_worker_surplus(worker);
}

int mf_workers_add(struct mf_workers *workers, mf_worker_id id, uint32_t n_slots)
{
    struct mf_worker *worker;
    int r;

    if (n_slots == 0 || mf_workers_find(workers, id))
        return -EINVAL;
    r = reach(workers, id);
    if (r < 0)
        return r;
    worker = malloc(sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    *worker = (struct mf_worker){.id = id, .state = MF_WORKER_UP, .n_slots = n_slots};
    mf_list_init(&worker->tasks);
    r = mf_heap_push(&workers->by_load, worker);
    if (r < 0) {
        free(worker);
        return r;
    }

    workers->by_id[id] = worker;
    workers->n_up++;
    workers->n_slots_up += n_slots;
    add_to_totals(workers, worker);
    rank_size(workers, n_slots);
    return 0;
}

void mf_workers_move(struct mf_workers *workers, struct mf_worker *worker, enum mf_worker_state to)
{
    assert(mf_worker_may_move(worker->state, to));
    if (worker->state == MF_WORKER_UP) {
        mf_heap_remove(&workers->by_load, worker);
        workers->n_up--;
        workers->n_slots_up -= worker->n_slots;
        take_from_totals(workers, worker);
        rank_all_sizes(workers);
    }
    worker->state = to;
}

void mf_workers_commit(struct mf_workers *workers, struct mf_worker *worker, uint32_t n_committed)
{
    if (worker->state != MF_WORKER_UP) {
        worker->n_committed = n_committed;
        return;
    }
    take_from_totals(workers, worker);
    worker->n_committed = n_committed;
    add_to_totals(workers, worker);
    mf_heap_update(&workers->by_load, worker);
}
