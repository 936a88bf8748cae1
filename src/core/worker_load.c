/*
 * The load of workers, and the orders and totals that follow from it: the one place that writes
 * them. Owned by one farm, used by its thread.
 */
#include "core/farm_private.h"

#include <assert.h>
#include <math.h>

/* a/b < c/d as a*d < c*b: exact, and the products fit in 64 bits. */
static bool is_less_loaded(const void *a, const void *b)
{
    const struct mf_worker *first = a;
    const struct mf_worker *second = b;
    uint64_t left = (uint64_t)first->n_committed * second->n_slots;
    uint64_t right = (uint64_t)second->n_committed * first->n_slots;

    return left != right ? left < right : first->id < second->id;
}

static double part(double used, double all)
{
    return all > 0 ? used / all : 0;
}

double mf_worker_fullness(const struct mf_worker *worker)
{
    double slots = part(worker->n_committed, worker->n_slots);
    double gpus = part(worker->n_gpus - worker->n_free_gpus, worker->n_gpus);
    double mem =
        part((double)(worker->mem_bytes - worker->free_mem_bytes), (double)worker->mem_bytes);

    return fmax(slots, fmax(gpus, mem));
}

static bool has_free_slot(const struct mf_worker *worker)
{
    return worker->n_committed < worker->n_slots;
}

/* By what the first of their suspended tasks is ordered by. */
static bool resumes_before(const void *a, const void *b)
{
    const struct mf_worker *first = a;
    const struct mf_worker *second = b;

    return mf_policy_key_before(mf_heap_top(&first->suspended), mf_heap_top(&second->suspended));
}

static bool is_fuller(const void *a, const void *b)
{
    const struct mf_worker *first = a;
    const struct mf_worker *second = b;

    if (has_free_slot(first) != has_free_slot(second))
        return has_free_slot(first);
    if (first->fullness != second->fullness)
        return first->fullness > second->fullness;
    return first->id < second->id;
}

void mf_workers_init_orders(struct mf_workers *workers)
{
    workers->room.before = is_less_loaded;
    mf_heap_init(&workers->by_load, is_less_loaded, offsetof(struct mf_worker, heap_index));
    mf_heap_init(&workers->by_fullness, is_fuller, offsetof(struct mf_worker, fullness_index));
    mf_heap_init(&workers->resumable, resumes_before, offsetof(struct mf_worker, resumable_index));
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

/* It follows from what it holds. There is room for all. */
void mf_workers_note_free(struct mf_workers *workers, struct mf_worker *worker)
{
    bool is_there = worker->free_index != MF_WORKER_NOT_FREE;
    bool belongs_there = worker->state == MF_WORKER_UP && has_free_slot(worker);

    if (!is_there && belongs_there) {
        worker->free_index = workers->n_free_workers++;
        workers->free[worker->free_index] = worker;
    } else if (is_there && !belongs_there) {
        struct mf_worker *last = workers->free[--workers->n_free_workers];

        workers->free[worker->free_index] = last;
        last->free_index = worker->free_index;
        worker->free_index = MF_WORKER_NOT_FREE;
    }
}

int mf_workers_reserve_orders(struct mf_workers *workers, uint32_t n)
{
    int r = mf_heap_reserve(&workers->by_load, n);

    if (r == 0 && workers->preempts)
        r = mf_heap_reserve(&workers->resumable, workers->n_by_id);
    if (r == 0 && workers->has_fullness)
        r = mf_heap_reserve(&workers->by_fullness, n);
    return r;
}

static void push_reserved(struct mf_heap *heap, struct mf_worker *worker)
{
    int r = mf_heap_push(heap, worker);

    assert(r == 0 && "memory was reserved when the worker came");
    (void)r;
}

void mf_workers_count_in(struct mf_workers *workers, struct mf_worker *worker)
{
    worker->fullness = mf_worker_fullness(worker);
    push_reserved(&workers->by_load, worker);
    if (workers->has_fullness)
        push_reserved(&workers->by_fullness, worker);
    if (workers->has_room)
        mf_room_insert(&workers->room, worker);
    mf_workers_find_shape(workers, worker)->n_up++;
    workers->n_up++;
    workers->n_nodes_up +=
        workers->nodes[worker->node].n_up++ == 0 || worker->node == MF_NODE_UNKNOWN;
    workers->n_slots_up += worker->n_slots;
    add_to_totals(workers, worker);
}

void mf_workers_count_out(struct mf_workers *workers, struct mf_worker *worker)
{
    mf_heap_remove(&workers->by_load, worker);
    if (workers->has_fullness)
        mf_heap_remove(&workers->by_fullness, worker);
    if (workers->has_room)
        mf_room_remove(&workers->room, worker);
    mf_workers_find_shape(workers, worker)->n_up--;
    workers->n_up--;
    workers->n_nodes_up -=
        --workers->nodes[worker->node].n_up == 0 || worker->node == MF_NODE_UNKNOWN;
    workers->n_slots_up -= worker->n_slots;
    take_from_totals(workers, worker);
}

void mf_workers_keep_room(struct mf_workers *workers)
{
    for (uint32_t i = 0; i < workers->by_load.n_items && !workers->has_room; i++)
        mf_room_insert(&workers->room, workers->by_load.items[i]);
    workers->has_room = true;
}

void mf_workers_note_line(struct mf_workers *workers, struct mf_worker *worker)
{
    bool is_there = worker->resumable_index != MF_HEAP_NONE;
    bool belongs_there = worker->state != MF_WORKER_GONE && has_free_slot(worker) &&
                         worker->suspended.n_items > 0 && mf_list_is_empty(&worker->blocked_node);

    if (is_there && belongs_there) {
        mf_heap_update(&workers->resumable, worker);
    } else if (is_there) {
        mf_heap_remove(&workers->resumable, worker);
    } else if (belongs_there) {
        push_reserved(&workers->resumable, worker);
    }
}

static void update_fullness(struct mf_workers *workers, struct mf_worker *worker)
{
    worker->fullness = mf_worker_fullness(worker);
    mf_heap_update(&workers->by_fullness, worker);
}

/* Changes the slots that are committed, and the order of load with them. */
static void set_committed(struct mf_workers *workers, struct mf_worker *worker,
                          uint32_t n_committed)
{
    if (worker->state != MF_WORKER_UP) {
        worker->n_committed = n_committed;
        return;
    }
    take_from_totals(workers, worker);
    if (workers->has_room)
        mf_room_remove(&workers->room, worker);
    worker->n_committed = n_committed;
    if (workers->has_room)
        mf_room_insert(&workers->room, worker);
    add_to_totals(workers, worker);
    mf_workers_note_free(workers, worker);
    if (workers->has_fullness)
        update_fullness(workers, worker);
    mf_heap_update(&workers->by_load, worker);
}

void mf_workers_take_slots(struct mf_workers *workers, struct mf_worker *worker, uint32_t n_slots)
{
    set_committed(workers, worker, worker->n_committed + n_slots);
    if (workers->preempts)
        mf_workers_note_line(workers, worker);
}

void mf_workers_give_back_slots(struct mf_workers *workers, struct mf_worker *worker,
                                uint32_t n_slots)
{
    set_committed(workers, worker, worker->n_committed - n_slots);
    if (workers->preempts)
        mf_workers_note_line(workers, worker);
}

void mf_workers_take(struct mf_workers *workers, struct mf_worker *worker,
                     const struct mf_needs *needs)
{
    worker->n_free_gpus -= needs->n_gpus;
    worker->free_mem_bytes -= needs->mem_bytes;
    worker->has_suspect |= needs->is_suspect;
    mf_workers_take_slots(workers, worker, needs->n_slots);
}

void mf_workers_give_back(struct mf_workers *workers, struct mf_worker *worker,
                          const struct mf_needs *needs)
{
    worker->n_free_gpus += needs->n_gpus;
    worker->free_mem_bytes += needs->mem_bytes;
    worker->has_suspect &= !needs->is_suspect;
    mf_workers_give_back_slots(workers, worker, needs->n_slots);
}
