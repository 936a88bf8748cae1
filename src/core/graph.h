/*
 * Which tasks of an input come after which others, known before any is run.
 *
 * For all that needs the whole of it: finding cycles, the shape of the work,
 * and how long the way is from each task to the end. The farm itself only
 * needs what each task comes after, as it is submitted.
 *
 *     mf_graph_create()
 *     mf_graph_add()          for each task in order: its run time and what it comes after
 *     mf_graph_add_barrier()  between two tasks: those behind it come after all before it
 *     mf_graph_close()        finds cycles, and computes all else
 *     mf_graph_shape(), mf_graph_upward_ns(), ...
 *
 * Pure: no clock, no I/O, no recursion. One owner, one thread. O(tasks +
 * dependencies + barriers) in time and memory: 32 bytes a task and 16 a
 * dependency, and 28 more a task while it is closed.
 */
#ifndef MF_CORE_GRAPH_H
#define MF_CORE_GRAPH_H

#include "core/farm.h"

struct mf_graph;

/** Returns 0 and an empty graph, the caller's to destroy, or -ENOMEM. */
int mf_graph_create(struct mf_graph **ret_graph);

/** NULL is accepted. */
void mf_graph_destroy(struct mf_graph *graph);

/**
 * mf_graph_add() - the next task; its id is one more than that of the last.
 *
 * @duration_ns  how long it should run, 0 when nobody says
 * @n_slots      slots it takes
 * @after        n_after tasks that it comes after, which may be added later; copied
 *
 * Returns 0, -ENOMEM, or -E2BIG for more than 2^31 tasks.
 */
int mf_graph_add(struct mf_graph *graph, int64_t duration_ns, uint32_t n_slots,
                 const struct mf_dependency *after, uint32_t n_after);

/**
 * mf_graph_add_barrier() - all tasks added from now on come after all those added so far.
 *
 * Not an edge for each pair of them, but one node that comes after the ones,
 * and that the others come after; two in a row are one.
 *
 * Returns 0 or -ENOMEM.
 */
int mf_graph_add_barrier(struct mf_graph *graph);

/**
 * mf_graph_close() - no more tasks are added.
 *
 * Returns
 *   0       it has no cycle
 *   -ELOOP  it has: mf_graph_cycle() tells one
 *   -ENOENT a task comes after one that was never added: *ret_task after *ret_missing
 *   -ENOMEM
 * and but for 0, only mf_graph_cycle() and mf_graph_destroy() may follow.
 */
int mf_graph_close(struct mf_graph *graph, mf_task_id *ret_task, mf_task_id *ret_missing);

/**
 * mf_graph_cycle() - the tasks of a cycle, each of which comes after the next one, and the
 * last after the first. One of the shortest through its first task.
 *
 * A barrier in it is task 0.
 *
 * Returns how many; *ret_tasks is the graph's.
 */
size_t mf_graph_cycle(const struct mf_graph *graph, const mf_task_id **ret_tasks);

/**
 * mf_graph_after() - what a task comes after, as it was added; barriers apart.
 *
 * Returns how many; *ret_after is the graph's. O(1).
 */
uint32_t mf_graph_after(const struct mf_graph *graph, mf_task_id task,
                        const struct mf_dependency **ret_after);

/** How many barriers stand between the first task and this one, two in a row being one. O(1). */
uint32_t mf_graph_n_barriers_before(const struct mf_graph *graph, mf_task_id task);

/**
 * What a graph looks like.
 *
 * @n_tasks, @n_dependencies, @n_barriers  how many there are; barriers with tasks on both sides
 * @depth           tasks on the longest chain
 * @width           most tasks that are as far from the start, counted in tasks
 * @n_roots, @n_leaves  tasks that come after none, and that none comes after
 * @work_ns         slot time of all tasks, those of unknown run time left out
 * @critical_ns     run time along the critical path, likewise
 *
 * Times end at INT64_MAX.
 */
struct mf_shape {
    uint64_t n_tasks;
    uint64_t n_dependencies;
    uint64_t n_barriers;
    uint64_t depth;
    uint64_t width;
    uint64_t n_roots;
    uint64_t n_leaves;
    int64_t work_ns;
    int64_t critical_ns;
};

void mf_graph_shape(const struct mf_graph *graph, struct mf_shape *ret_shape);

/**
 * mf_graph_upward_ns() - run time along the longest way from the start of a task to the end.
 *
 * The upward rank of HEFT without costs of communication: Topcuoglu, Hariri and
 * Wu, "Performance-effective and low-complexity task scheduling for
 * heterogeneous computing", 2002. A task of unknown run time counts as 1 ns,
 * so that chains count where nobody says how long tasks run. O(1).
 */
int64_t mf_graph_upward_ns(const struct mf_graph *graph, mf_task_id task);

/**
 * mf_graph_critical_path() - the tasks along the longest way by upward_ns, in order.
 *
 * Returns how many; *ret_tasks is the graph's. O(1).
 */
size_t mf_graph_critical_path(const struct mf_graph *graph, const mf_task_id **ret_tasks);

#endif
