/*
 * What graph.c and graph_walk.c share: how a graph lies in memory, and how the
 * parents of a node are gone through.
 *
 * Nodes are numbered for this: tasks from 0, barriers behind them. Only
 * parents are stored; all walks are made so that they need no children.
 */
#ifndef MF_CORE_GRAPH_PRIVATE_H
#define MF_CORE_GRAPH_PRIVATE_H

#include "core/graph.h"

#include <stdbool.h>

#define MF_NODE_NONE UINT32_MAX

/**
 * @after_end   its dependencies end here, where those of the next task begin
 * @upward_ns   once closed
 * @n_barriers  before it
 */
struct mf_graph_task {
    int64_t duration_ns;
    int64_t upward_ns;
    uint64_t after_end;
    uint32_t n_slots;
    uint32_t n_barriers;
};

/**
 * @barriers  per barrier: how many tasks stand before it, growing
 * @path      the critical path, or the cycle
 */
struct mf_graph {
    struct mf_graph_task *tasks;
    uint32_t n_tasks, task_capacity;
    struct mf_dependency *after;
    uint64_t n_after, after_capacity;
    uint32_t *barriers;
    uint32_t n_barriers, barrier_capacity;
    mf_task_id *path;
    size_t n_path;
    struct mf_shape shape;
};

/**
 * What a walk knows of a node.
 *
 * @best_ns     longest way from its end to the end of all
 * @next        where that way goes; in a search for cycles, where it came from
 * @n_children  that the walk did not see yet
 * @level       tasks on the longest chain that ends with it; in a search, whether it was seen
 */
struct mf_graph_step {
    int64_t best_ns;
    uint32_t next;
    uint32_t n_children;
    uint32_t level;
};

/** A walk: n_nodes steps, and those n_ordered nodes that it came to, children first. */
struct mf_graph_walk {
    struct mf_graph_step *steps;
    uint32_t *order;
    uint32_t n_nodes, n_ordered;
};

/** Goes through the parents of a node: its dependencies, or a range of tasks, then a barrier. */
struct mf_parents {
    const struct mf_dependency *after, *after_end;
    uint32_t task, task_end;
    uint32_t barrier;
};

/** Begins with the parents of a node. */
void mf_parents_init(struct mf_parents *parents, const struct mf_graph *graph, uint32_t node);

/** Whether there is another one, in ret_node. */
bool mf_parents_next(struct mf_parents *parents, uint32_t *ret_node);

/** Returns 0 and a walk that came to nothing yet, or -ENOMEM. */
int mf_graph_walk_init(struct mf_graph_walk *walk, const struct mf_graph *graph);

void mf_graph_walk_finish(struct mf_graph_walk *walk);

/** Goes through all nodes from the leaves up; those it cannot come to have a cycle among them. */
void mf_graph_walk_up(struct mf_graph_walk *walk, const struct mf_graph *graph);

/** After a walk that came to all nodes: fills in the level of each. */
void mf_graph_walk_down(struct mf_graph_walk *walk, const struct mf_graph *graph);

/** After a walk that did not: keeps a cycle as the path of the graph. Returns 0 or -ENOMEM. */
int mf_graph_find_cycle(struct mf_graph_walk *walk, struct mf_graph *graph);

#endif
