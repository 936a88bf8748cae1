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
 * Pure: no clock, no I/O. One owner, one thread. O(tasks + dependencies), in
 * time and memory; some 40 bytes a task and 8 a dependency.
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
 * Returns 0 or -ENOMEM.
 */
int mf_graph_add(struct mf_graph *graph, int64_t duration_ns, uint32_t n_slots,
                 const struct mf_dependency *after, uint32_t n_after);

/** All tasks added from now on come after all those added so far. Returns 0 or -ENOMEM. */
int mf_graph_add_barrier(struct mf_graph *graph);

/**
 * mf_graph_close() - no more tasks are added.
 *
 * Returns
 *   0       it has no cycle
 *   -ELOOP  it has: mf_graph_cycle() tells one
 *   -ENOENT a task comes after one that was never added: *ret_task and *ret_missing
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
 * What a graph looks like.
 *
 * @n_tasks, @n_dependencies   how many there are
 * @depth           tasks on the longest chain
 * @width           most tasks that are as far from the start, counted in tasks
 * @n_roots, @n_leaves  tasks that come after none, and that none comes after
 * @work_ns         slot time of all tasks
 * @critical_ns     run time along the longest chain
 */
struct mf_shape {
    uint64_t n_tasks;
    uint64_t n_dependencies;
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
 * heterogeneous computing", 2002. A task of unknown run time counts as 1 ns.
 */
int64_t mf_graph_upward_ns(const struct mf_graph *graph, mf_task_id task);

/**
 * mf_graph_critical_path() - the tasks of a longest chain, in order.
 *
 * Returns how many; *ret_tasks is the graph's.
 */
size_t mf_graph_critical_path(struct mf_graph *graph, const mf_task_id **ret_tasks);

#endif
