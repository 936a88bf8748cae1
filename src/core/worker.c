/*
 * The workers: the one place that writes their state, their load, and the
 * totals that follow from both. Owned by one farm, used by its thread.
 */
#include "core/worker.h"
#include "core/farm_private.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TO(state) (1u << MF_WORKER_##state)

/* Ranks beyond this are garbage rather than a farm. */
#define MAX_WORKERS (1u << 24)

/* For each state, those that may follow it. */
static const unsigned int moves[MF_WORKER_STATE_COUNT] = {
    [MF_WORKER_UP] = TO(DRAINING) | TO(GONE) | TO(QUARANTINED),
    [MF_WORKER_DRAINING] = TO(GONE),
    [MF_WORKER_QUARANTINED] = TO(UP) | TO(DRAINING) | TO(GONE),
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

void mf_workers_init(struct mf_workers *workers)
{
    *workers = (struct mf_workers){.room.before = is_less_loaded};
    mf_list_init(&workers->quarantined);
    mf_heap_init(&workers->by_load, is_less_loaded, offsetof(struct mf_worker, heap_index));
    mf_heap_init(&workers->by_fullness, is_fuller, offsetof(struct mf_worker, fullness_index));
    mf_heap_init(&workers->resumable, resumes_before, offsetof(struct mf_worker, resumable_index));
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

bool mf_worker_has_beside_slots(const struct mf_worker *worker, const struct mf_needs *needs)
{
    return needs->n_gpus <= worker->n_free_gpus && needs->mem_bytes <= worker->free_mem_bytes;
}

bool mf_worker_is_full(const struct mf_workers *workers, const struct mf_worker *worker)
{
    uint64_t n_prefetched =
        ((uint64_t)worker->n_slots * workers->prefetch_per_1024_slots + 1023) / 1024;

    return worker->n_committed >= worker->n_slots + n_prefetched;
}

bool mf_needs_are_plain(const struct mf_needs *needs)
{
    uint64_t n_beside = needs->n_gpus | needs->mem_bytes;

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
    unsigned int states = TO(UP) | (with_quarantined ? TO(QUARANTINED) : 0);

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

/* The shape of a worker, added if there is none like it; NULL when memory is out. */
static struct mf_worker_shape *find_shape(struct mf_workers *workers,
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

/* Whether it is among those with a free slot follows from what it holds. There is room for all. */
static void note_free(struct mf_workers *workers, struct mf_worker *worker)
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

/* Memory for n workers in each order: one that comes out of quarantine needs none. */
static int reserve_order(struct mf_workers *workers, uint32_t n)
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

/* It is UP: into all orders and totals. */
static void count_in(struct mf_workers *workers, struct mf_worker *worker)
{
    worker->fullness = mf_worker_fullness(worker);
    push_reserved(&workers->by_load, worker);
    if (workers->has_fullness)
        push_reserved(&workers->by_fullness, worker);
    if (workers->has_room)
        mf_room_insert(&workers->room, worker);
    find_shape(workers, worker)->n_up++;
    workers->n_up++;
    workers->n_nodes_up +=
        workers->nodes[worker->node].n_up++ == 0 || worker->node == MF_NODE_UNKNOWN;
    workers->n_slots_up += worker->n_slots;
    add_to_totals(workers, worker);
}

/* It is not UP any more. */
static void count_out(struct mf_workers *workers, struct mf_worker *worker)
{
    mf_heap_remove(&workers->by_load, worker);
    if (workers->has_fullness)
        mf_heap_remove(&workers->by_fullness, worker);
    if (workers->has_room)
        mf_room_remove(&workers->room, worker);
    find_shape(workers, worker)->n_up--;
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
        r = reserve_order(workers, workers->n_added + 1);
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
    if (!find_shape(workers, worker)) {
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
    count_in(workers, worker);
    note_free(workers, worker);
    return 0;
}

void mf_workers_move(struct mf_workers *workers, struct mf_worker *worker, enum mf_worker_state to)
{
    enum mf_worker_state from = worker->state;

    assert(mf_worker_may_move(from, to));
    if (from == MF_WORKER_UP)
        count_out(workers, worker);
    if (from == MF_WORKER_QUARANTINED) {
        mf_list_remove(&worker->quarantine_node);
        workers->n_quarantined--;
    }
    worker->was_quarantined = from == MF_WORKER_QUARANTINED && to == MF_WORKER_GONE;
    worker->state = to;
    if (to == MF_WORKER_UP)
        count_in(workers, worker);
    if (to == MF_WORKER_QUARANTINED) {
        mf_list_push_back(&workers->quarantined, &worker->quarantine_node);
        workers->n_quarantined++;
    }
    note_free(workers, worker);
    mf_workers_note_line(workers, worker);
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
        int r = mf_heap_push(&workers->resumable, worker);

        assert(r == 0 && "memory was reserved when the worker came");
        (void)r;
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
    note_free(workers, worker);
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
    mf_workers_take_slots(workers, worker, needs->n_slots);
}

void mf_workers_give_back(struct mf_workers *workers, struct mf_worker *worker,
                          const struct mf_needs *needs)
{
    worker->n_free_gpus += needs->n_gpus;
    worker->free_mem_bytes += needs->mem_bytes;
    mf_workers_give_back_slots(workers, worker, needs->n_slots);
}
