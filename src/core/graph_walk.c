/*
 * Walks over a graph: see graph_private.h.
 *
 * All are loops over arrays, so that a chain of any length is gone through
 * without a deep stack: from the leaves up in the manner of Kahn, "Topological
 * sorting of large networks", 1962, and a breadth-first search for cycles. A
 * walk owns its arrays. One thread.
 */
#include "core/graph_private.h"

#include <errno.h>
#include <stdlib.h>

void mf_parents_init(struct mf_parents *parents, const struct mf_graph *graph, uint32_t node)
{
    uint32_t n_barriers;

    *parents = (struct mf_parents){.barrier = MF_NODE_NONE};
    if (node < graph->n_tasks) {
        /* Without any dependency there is no memory for them, and NULL cannot be counted from. */
        if (graph->after) {
            parents->after = graph->after + (node > 0 ? graph->tasks[node - 1].after_end : 0);
            parents->after_end = graph->after + graph->tasks[node].after_end;
        }
        n_barriers = graph->tasks[node].n_barriers;
    } else {
        n_barriers = node - graph->n_tasks;
        parents->task = n_barriers > 0 ? graph->barriers[n_barriers - 1] : 0;
        parents->task_end = graph->barriers[n_barriers];
    }
    if (n_barriers > 0)
        parents->barrier = graph->n_tasks + n_barriers - 1;
}

bool mf_parents_next(struct mf_parents *parents, uint32_t *ret_node)
{
    if (parents->after < parents->after_end) {
        *ret_node = (uint32_t)(parents->after++->task - 1);
        return true;
    }
    if (parents->task < parents->task_end) {
        *ret_node = parents->task++;
        return true;
    }
    *ret_node = parents->barrier;
    parents->barrier = MF_NODE_NONE;
    return *ret_node != MF_NODE_NONE;
}

int mf_graph_walk_init(struct mf_graph_walk *walk, const struct mf_graph *graph)
{
    uint32_t n_nodes = graph->n_tasks + graph->n_barriers;

    *walk = (struct mf_graph_walk){.n_nodes = n_nodes};
    walk->steps = calloc(n_nodes ? n_nodes : 1, sizeof(*walk->steps));
    walk->order = malloc((n_nodes ? n_nodes : 1) * sizeof(*walk->order));
    if (walk->steps && walk->order)
        return 0;
    mf_graph_walk_finish(walk);
    return -ENOMEM;
}

void mf_graph_walk_finish(struct mf_graph_walk *walk)
{
    free(walk->steps);
    free(walk->order);
}

static int64_t add_ns(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* Time from the start of a node to the end of all, once all its children are known. */
static int64_t upward_of(const struct mf_graph_walk *walk, const struct mf_graph *graph,
                         uint32_t node)
{
    int64_t own_ns = 0;

    if (node < graph->n_tasks)
        own_ns = graph->tasks[node].duration_ns > 0 ? graph->tasks[node].duration_ns : 1;
    return add_ns(own_ns, walk->steps[node].best_ns);
}

static void count_children(struct mf_graph_walk *walk, const struct mf_graph *graph)
{
    struct mf_parents parents;
    uint32_t parent;

    for (uint32_t node = 0; node < walk->n_nodes; node++) {
        mf_parents_init(&parents, graph, node);
        while (mf_parents_next(&parents, &parent))
            walk->steps[parent].n_children++;
    }
}

/* A node whose children are all done with is next; the order is the queue. */
static void offer_upward(struct mf_graph_walk *walk, const struct mf_graph *graph, uint32_t node)
{
    int64_t upward_ns = upward_of(walk, graph, node);
    struct mf_parents parents;
    uint32_t parent;

    if (node < graph->n_tasks)
        graph->tasks[node].upward_ns = upward_ns;
    mf_parents_init(&parents, graph, node);
    while (mf_parents_next(&parents, &parent)) {
        struct mf_graph_step *step = &walk->steps[parent];

        if (upward_ns > step->best_ns) {
            step->best_ns = upward_ns;
            step->next = node;
        }
        if (--step->n_children == 0)
            walk->order[walk->n_ordered++] = parent;
    }
}

void mf_graph_walk_up(struct mf_graph_walk *walk, const struct mf_graph *graph)
{
    count_children(walk, graph);
    for (uint32_t node = 0; node < walk->n_nodes; node++) {
        walk->steps[node].next = MF_NODE_NONE;
        if (walk->steps[node].n_children == 0)
            walk->order[walk->n_ordered++] = node;
    }
    for (uint32_t i = 0; i < walk->n_ordered; i++)
        offer_upward(walk, graph, walk->order[i]);
}

void mf_graph_walk_down(struct mf_graph_walk *walk, const struct mf_graph *graph)
{
    for (uint32_t i = walk->n_nodes; i > 0; i--) {
        uint32_t node = walk->order[i - 1];
        struct mf_parents parents;
        uint32_t parent, level = 0;

        mf_parents_init(&parents, graph, node);
        while (mf_parents_next(&parents, &parent))
            if (walk->steps[parent].level > level)
                level = walk->steps[parent].level;
        walk->steps[node].level = level + (node < graph->n_tasks);
    }
}

/*
 * Some task of a cycle: of all that the walk did not come to, each is a parent
 * of another, so that going from child to child ends up in a circle.
 */
static uint32_t find_task_in_cycle(struct mf_graph_walk *walk, const struct mf_graph *graph)
{
    uint32_t at = 0, parent, first;
    struct mf_parents parents;

    for (uint32_t node = 0; node < walk->n_nodes; node++) {
        if (walk->steps[node].n_children == 0)
            continue;
        at = node;
        mf_parents_init(&parents, graph, node);
        while (mf_parents_next(&parents, &parent))
            walk->steps[parent].next = node;
    }
    while (walk->steps[at].level == 0) {
        walk->steps[at].level = 1;
        at = walk->steps[at].next;
    }
    /* Tasks come before barriers, and no cycle is of barriers alone. */
    first = at;
    for (uint32_t node = walk->steps[at].next; node != at; node = walk->steps[node].next)
        if (node < first)
            first = node;
    return first;
}

/* Looks for the shortest way through parents from a node to itself; returns the last on it. */
static uint32_t search_back(struct mf_graph_walk *walk, const struct mf_graph *graph,
                            uint32_t first)
{
    uint32_t n_queued = 0, parent;
    struct mf_parents parents;

    for (uint32_t node = 0; node < walk->n_nodes; node++)
        walk->steps[node].level = 0;
    walk->steps[first].next = MF_NODE_NONE;
    walk->order[n_queued++] = first;
    for (uint32_t i = 0; i < n_queued; i++) {
        mf_parents_init(&parents, graph, walk->order[i]);
        while (mf_parents_next(&parents, &parent)) {
            if (parent == first)
                return walk->order[i];
            if (walk->steps[parent].level > 0)
                continue;
            walk->steps[parent].level = 1;
            walk->steps[parent].next = walk->order[i];
            walk->order[n_queued++] = parent;
        }
    }
    return first;
}

int mf_graph_find_cycle(struct mf_graph_walk *walk, struct mf_graph *graph)
{
    uint32_t last = search_back(walk, graph, find_task_in_cycle(walk, graph));
    size_t n = 0;

    for (uint32_t node = last; node != MF_NODE_NONE; node = walk->steps[node].next)
        n++;
    graph->path = malloc(n * sizeof(*graph->path));
    if (!graph->path)
        return -ENOMEM;
    graph->n_path = n;
    for (uint32_t node = last; node != MF_NODE_NONE; node = walk->steps[node].next)
        graph->path[--n] = node < graph->n_tasks ? (mf_task_id)node + 1 : 0;
    return 0;
}
