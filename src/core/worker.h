/* The workers of a farm, and how much each has to do. */
#ifndef MF_CORE_WORKER_H
#define MF_CORE_WORKER_H

#include "base/heap.h"
#include "base/list.h"
#include "core/room.h"
#include "core/task.h"

/** States of a worker; core/worker.c holds the table of moves. */
enum mf_worker_state {
    MF_WORKER_UP,          /* takes tasks */
    MF_WORKER_DRAINING,    /* finishes what it has, unless it is called back */
    MF_WORKER_GONE,        /* left or lost; one that comes back has nothing but its record */
    MF_WORKER_QUARANTINED, /* gets none but those for it alone, and a probe now and then */
};
#define MF_WORKER_STATE_COUNT 4

/**
 * What speaks against a worker, or a node; starts as {0}.
 *
 * @n_elsewhere    attempts that failed here, of tasks that were then done elsewhere; each attempt
 *                 that succeeds here takes one away
 * @n_failed       attempts that failed here since the last one that succeeded
 * @longest_ns     the longest of these
 * @began_ns       when the first of them ended
 * @n_done_before, @n_failed_before   attempts of all workers that had succeeded, and failed, before
 *                 the first of them
 */
struct mf_suspicion {
    uint32_t n_elsewhere;
    uint32_t n_failed;
    int64_t longest_ns;
    int64_t began_ns;
    uint64_t n_done_before, n_failed_before;
};

/** Put on nodes that were chosen or counted, so that nobody looks for them in a list.
 * @number  the last one put; 0 for none   @at  what who put it remembers */
struct mf_worker_mark {
    uint64_t number;
    uint32_t at;
};

/** A node. @first  its workers, also those that are GONE; @n_up  of them, those that are UP */
struct mf_worker_node {
    struct mf_worker *first;
    uint32_t n_up;
    struct mf_suspicion suspicion;
    struct mf_worker_mark mark;
};

/**
 * A worker. Placements read it; only the farm writes it.
 *
 * @n_slots      single-slot tasks it can run at once
 * @n_committed  slots of all tasks it holds, those beyond n_slots being prefetched
 * @n_long       tasks among those it holds that are is_long
 * @n_gpus, @mem_bytes   what else it has
 * @n_free_gpus, @free_mem_bytes   of these, what no task that it holds was promised
 * @tasks        tasks it holds, in the order in which they were placed
 * @n_tasks      how many those are
 * @parts        n_parts rooms of tasks that others run
 * @has_suspect  one of these tasks is_suspect, or one that has a part here: at most one
 * @is_kept      it is in the farm's reservation; then @spare is what it has left when that begins
 * @suspended    of them, those that wait for slots to go on, in the order of the policy
 * @is_awaited   the first of those waits for more slots than are free: no other task gets one
 * @n_recalling  tasks among them that it was asked to give back
 * @fullness     the largest part in use of its slots, GPUs or memory, if the workers are
 *               ordered by that
 * @heap_index   its place in the order of load
 * @resumable_index   its place among those on which a suspended task might go on
 * @blocked_node      its place among those of which this turned out not to be so
 * @fullness_index   its place in the order of fullness
 * @free_index   its place among those with a free slot, MF_WORKER_NOT_FREE for none
 * @room         its place in the tree of what is free
 * @next_on_node the next worker of its node
 * @mark         where its node is not known; see mf_workers_mark()
 * @quarantine_node   its place among those in quarantine
 * @probe_ns     when it gets a probe, while in quarantine
 * @n_looked     READY tasks that were looked at for one
 * @n_quarantines     how often it was put there, or stayed after a probe
 * @was_quarantined   it was there when it got lost
 */
#define MF_WORKER_NOT_FREE UINT32_MAX
struct mf_worker {
    mf_worker_id id;
    mf_node_id node;
    enum mf_worker_state state;
    uint32_t n_slots;
    uint32_t n_committed;
    uint32_t n_long;
    uint32_t n_gpus, n_free_gpus;
    uint64_t mem_bytes, free_mem_bytes;
    struct mf_list tasks;
    uint32_t n_tasks;
    struct mf_list parts;
    uint32_t n_parts;
    bool has_suspect;
    bool is_kept;
    struct mf_needs spare;
    uint32_t n_recalling;
    struct mf_heap suspended;
    bool is_awaited;
    double fullness;
    mf_heap_index heap_index;
    mf_heap_index resumable_index;
    struct mf_list blocked_node;
    mf_heap_index fullness_index;
    uint32_t free_index;
    struct mf_room_node room;
    struct mf_worker *next_on_node;
    struct mf_worker_mark mark;
    struct mf_suspicion suspicion;
    struct mf_list quarantine_node;
    int64_t probe_ns;
    uint32_t n_looked;
    uint32_t n_quarantines;
    bool was_quarantined;
};

/** Workers that have the same, of which there are few kinds. */
struct mf_worker_shape {
    uint32_t n_slots;
    uint32_t n_gpus;
    uint64_t mem_bytes;
    uint32_t n_up;
};

/**
 * The set of workers: by number, and those that are UP in order of load.
 *
 * @by_id          n_by_id pointers, NULL where no such worker came up
 * @n_added        workers that ever came up
 * @nodes          n_nodes of them, by number
 * @n_marks        marks that were ever put on them
 * @quarantined    n_quarantined workers, in the order in which they were put there
 * @by_load        least loaded first; ties go to the lower number
 * @by_fullness    with has_fullness: those with a free slot first, of these the fullest first,
 *                 then the lower number
 * @has_fullness   set before the first worker comes, for placements that look at it
 * @resumable      those that have a free slot, and suspended tasks in line for it
 * @preempts       the policy suspends tasks; set before the first worker comes
 * @max_suspended_per_slot  with preempts: tasks that a worker begins, beyond one for each slot
 * @room           with has_room: in order of load, for tasks that need more than a slot
 * @has_room       set by mf_workers_keep_room(), since most runs have no such tasks
 * @free           n_free_workers of those that are UP and have a free slot, in no order
 * @n_up           how many are UP
 * @n_nodes_up     on how many nodes those are; each that is nowhere counts as one
 * @shapes         n_shapes kinds of workers that ever were UP, and how many of each are
 * @n_slots_up     slots of all workers that are UP
 * @n_free         those of them that no task is committed to
 * @n_surplus      tasks prefetched by workers that are UP: slots committed beyond theirs
 * @prefetch_per_1024_slots  single-slot tasks sent ahead, for 1024 slots
 */
struct mf_workers {
    struct mf_worker **by_id;
    uint32_t n_by_id;
    uint32_t n_added;
    struct mf_worker_node *nodes;
    uint32_t n_nodes;
    uint64_t n_marks;
    struct mf_list quarantined;
    uint32_t n_quarantined;
    struct mf_heap by_load;
    struct mf_heap by_fullness;
    bool has_fullness;
    struct mf_heap resumable;
    bool preempts;
    uint32_t max_suspended_per_slot;
    struct mf_room room;
    bool has_room;
    struct mf_worker **free;
    uint32_t n_free_workers;
    uint32_t n_up;
    uint32_t n_nodes_up;
    struct mf_worker_shape *shapes;
    uint32_t n_shapes;
    uint64_t n_slots_up;
    uint64_t n_free;
    uint64_t n_surplus;
    uint32_t prefetch_per_1024_slots;
};

/** The worker, or NULL if none of that number came up. O(1). */
struct mf_worker *mf_workers_find(const struct mf_workers *workers, mf_worker_id id);

/**
 * Whether a task may be placed on the worker now: it has all that the task
 * needs or, for a task that needs one slot and nothing else, room to prefetch
 * instead of a free slot.
 */
bool mf_worker_has_room(const struct mf_workers *workers, const struct mf_worker *worker,
                        const struct mf_needs *needs);

/** Slots that no task has which the worker is known to have started. O(tasks that it holds). */
uint32_t mf_worker_n_idle(const struct mf_worker *worker);

/**
 * mf_task_may_have_begun() - whether a task may be what its worker was lost with.
 *
 * A worker tells of a start only after a while, and not at all of a task that ended it at once:
 * the first of those sent to it have begun as far as anybody knows, those beyond its slots were
 * sent ahead. To be asked of all that a worker holds, in their order.
 *
 * @n_idle  starts as mf_worker_n_idle(); goes down by what the task takes
 */
bool mf_task_may_have_begun(const struct mf_task *task, uint32_t *n_idle);

/** With preempts: whether it may begin one more task, since those that it suspends hold memory. */
static inline bool mf_worker_may_begin(const struct mf_workers *workers,
                                       const struct mf_worker *worker)
{
    return worker->n_tasks < worker->n_slots * (1 + (uint64_t)workers->max_suspended_per_slot);
}

/** Whether tasks that it alone may run still go to it. */
static inline bool mf_worker_may_be_target(const struct mf_worker *worker)
{
    return worker->state == MF_WORKER_UP || worker->state == MF_WORKER_QUARANTINED;
}

/** Whether it has all that a task needs beside slots. */
bool mf_worker_has_beside_slots(const struct mf_worker *worker, const struct mf_needs *needs);

/** Whether a task needs one slot and nothing else, so that it may wait at a worker for that. */
bool mf_needs_are_plain(const struct mf_needs *needs);

/** Keeps workers->room from now on. O(workers log workers) the first time. */
void mf_workers_keep_room(struct mf_workers *workers);

/** Whether it has neither a free slot nor, by its load alone, room to prefetch. */
bool mf_worker_is_full(const struct mf_workers *workers, const struct mf_worker *worker);

/** The same for a task that needs one slot and nothing else. */
static inline bool mf_worker_has_slot(const struct mf_workers *workers,
                                      const struct mf_worker *worker)
{
    const struct mf_needs slot = {.n_slots = 1};

    return mf_worker_has_room(workers, worker, &slot);
}

/** The largest part in use of a worker's slots, GPUs or memory, its dominant share. O(1). */
double mf_worker_fullness(const struct mf_worker *worker);

/** Whether the worker has all that a task needs once it does nothing else. */
bool mf_worker_could_run(const struct mf_worker *worker, const struct mf_needs *needs);

/** How many workers that are UP could run a task. O(shapes). */
uint32_t mf_workers_n_able(const struct mf_workers *workers, const struct mf_needs *needs);

/** Whether a worker that is UP, and on another node, could run a task. O(workers of the node). */
bool mf_workers_is_any_able_beyond(const struct mf_workers *workers, mf_node_id node,
                                   const struct mf_needs *needs);

/** Whether so many nodes have a worker each that is UP, or with_quarantined in quarantine, and
 * could run a part of the task. O(1) where all workers are alike, else O(workers). */
bool mf_workers_have_nodes(const struct mf_workers *workers, const struct mf_needs *needs,
                           mf_node_id without, bool with_quarantined);

/** The same of all workers that ever came up, as they were last. O(workers) where it is not so. */
bool mf_workers_had_nodes(const struct mf_workers *workers, const struct mf_needs *needs);

/** Whether two workers are on different nodes, as far as anybody said. */
static inline bool mf_worker_is_apart(const struct mf_worker *worker, const struct mf_worker *other)
{
    return worker != other && (worker->node == MF_NODE_UNKNOWN || worker->node != other->node);
}

/** A new mark, which no node has. */
static inline uint64_t mf_workers_new_mark(struct mf_workers *workers)
{
    return ++workers->n_marks;
}

/** The mark of a worker's node, or its own if nobody said where it is. O(1). */
static inline struct mf_worker_mark *mf_workers_mark(const struct mf_workers *workers,
                                                     struct mf_worker *worker)
{
    return worker->node == MF_NODE_UNKNOWN ? &worker->mark : &workers->nodes[worker->node].mark;
}

/** Whether a worker is on a node that has a mark. O(1). */
static inline bool mf_workers_is_marked(const struct mf_workers *workers,
                                        const struct mf_worker *worker, uint64_t mark)
{
    return (worker->node == MF_NODE_UNKNOWN ? worker->mark.number
                                            : workers->nodes[worker->node].mark.number) == mark;
}

/** Whether it holds nothing: no task, and no room for one of another worker. */
static inline bool mf_worker_is_empty(const struct mf_worker *worker)
{
    return worker->n_tasks == 0 && worker->n_parts == 0;
}

/** The most of each that any one worker that is UP has, and the nodes that are. O(shapes). */
struct mf_needs mf_workers_largest(const struct mf_workers *workers);

/** The most memory of any worker that is UP and could run a task but for its memory. O(shapes). */
uint64_t mf_workers_most_memory(const struct mf_workers *workers, const struct mf_needs *needs);

/** The least of each that any one worker that is UP has, 0 without any. O(shapes). */
struct mf_needs mf_workers_smallest(const struct mf_workers *workers);

/** Whether a worker may go from one state to the other: the state machine's table. */
bool mf_worker_may_move(enum mf_worker_state from, enum mf_worker_state to);

#endif
