/*
 * Tasks and what they come after: see graph.h. The walks are in graph_walk.c.
 *
 * The graph owns its arrays; while tasks are added they only grow. One thread.
 */
#include "core/graph_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* So that tasks and barriers together can be numbered in 32 bits. */
#define NODES_MAX (UINT32_C(1) << 31)

int mf_graph_create(struct mf_graph **ret_graph)
{
    struct mf_graph *graph = calloc(1, sizeof(*graph));

    if (!graph)
        return -ENOMEM;
    *ret_graph = graph;
    return 0;
}

void mf_graph_destroy(struct mf_graph *graph)
{
    if (!graph)
        return;
    free(graph->tasks);
    free(graph->after);
    free(graph->barriers);
    free(graph->path);
    free(graph);
}

static int reserve_task(struct mf_graph *graph)
{
    uint32_t capacity = graph->task_capacity ? 2 * graph->task_capacity : 64;
    struct mf_graph_task *tasks;

    if (graph->n_tasks < graph->task_capacity)
        return 0;
    if (graph->n_tasks >= NODES_MAX)
        return -E2BIG;
    tasks = reallocarray(graph->tasks, capacity, sizeof(*tasks));
    if (!tasks)
        return -ENOMEM;
    graph->tasks = tasks;
    graph->task_capacity = capacity;
    return 0;
}

static int reserve_after(struct mf_graph *graph, uint32_t n)
{
    uint64_t capacity = graph->after_capacity ? graph->after_capacity : 64;
    struct mf_dependency *after;

    if (graph->n_after + n <= graph->after_capacity)
        return 0;
    while (capacity < graph->n_after + n)
        capacity *= 2;
    after = reallocarray(graph->after, capacity, sizeof(*after));
    if (!after)
        return -ENOMEM;
    graph->after = after;
    graph->after_capacity = capacity;
    return 0;
}

int mf_graph_add(struct mf_graph *graph, int64_t duration_ns, uint32_t n_slots,
                 const struct mf_dependency *after, uint32_t n_after)
{
    int r = reserve_task(graph);

    if (r == 0)
        r = reserve_after(graph, n_after);
    if (r < 0)
        return r;
    if (n_after > 0)
        memcpy(graph->after + graph->n_after, after, n_after * sizeof(*after));
    graph->n_after += n_after;
    graph->tasks[graph->n_tasks++] = (struct mf_graph_task){
        .duration_ns = duration_ns,
        .n_slots = n_slots,
        .after_end = graph->n_after,
        .n_barriers = graph->n_barriers,
    };
    return 0;
}

int mf_graph_add_barrier(struct mf_graph *graph)
{
    uint32_t before = graph->n_barriers > 0 ? graph->barriers[graph->n_barriers - 1] : 0;

    /* Without tasks in between, two are one. */
    if (graph->n_tasks == before)
        return 0;
    if (graph->n_barriers == graph->barrier_capacity) {
        uint32_t capacity = graph->barrier_capacity ? 2 * graph->barrier_capacity : 16;
        uint32_t *barriers = reallocarray(graph->barriers, capacity, sizeof(*barriers));

        if (!barriers)
            return -ENOMEM;
        graph->barriers = barriers;
        graph->barrier_capacity = capacity;
    }
    graph->barriers[graph->n_barriers++] = graph->n_tasks;
    return 0;
}

static int check_parents(const struct mf_graph *graph, mf_task_id *ret_task,
                         mf_task_id *ret_missing)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < graph->n_tasks; i++) {
        for (; at < graph->tasks[i].after_end; at++) {
            mf_task_id parent = graph->after[at].task;

            if (parent > 0 && parent <= graph->n_tasks)
                continue;
            *ret_task = i + 1;
            *ret_missing = parent;
            return -ENOENT;
        }
    }
    return 0;
}

static int64_t add_ns(int64_t a, int64_t b)
{
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static int64_t work_of(const struct mf_graph_task *task)
{
    int64_t work_ns;

    if (__builtin_mul_overflow(task->duration_ns, (int64_t)task->n_slots, &work_ns))
        return INT64_MAX;
    return work_ns;
}

/* Keeps the way from the start that takes longest, task by task. */
static int keep_path(struct mf_graph *graph, const struct mf_graph_walk *walk)
{
    uint32_t first = 0;

    for (uint32_t i = 1; i < graph->n_tasks; i++)
        if (graph->tasks[i].upward_ns > graph->tasks[first].upward_ns)
            first = i;
    graph->path = malloc((graph->shape.depth ? graph->shape.depth : 1) * sizeof(*graph->path));
    if (!graph->path)
        return -ENOMEM;
    if (graph->n_tasks == 0)
        return 0;
    for (uint32_t node = first; node != MF_NODE_NONE; node = walk->steps[node].next) {
        if (node >= graph->n_tasks)
            continue;
        graph->path[graph->n_path++] = (mf_task_id)node + 1;
        graph->shape.critical_ns = add_ns(graph->shape.critical_ns, graph->tasks[node].duration_ns);
    }
    return 0;
}

/* How many tasks are on each level; those on the first are the roots. */
static int measure_levels(struct mf_graph *graph, const struct mf_graph_walk *walk)
{
    uint64_t *widths;

    for (uint32_t i = 0; i < graph->n_tasks; i++)
        if (walk->steps[i].level > graph->shape.depth)
            graph->shape.depth = walk->steps[i].level;
    widths = calloc(graph->shape.depth + 2, sizeof(*widths));
    if (!widths)
        return -ENOMEM;
    for (uint32_t i = 0; i < graph->n_tasks; i++) {
        uint64_t width = ++widths[walk->steps[i].level];

        if (width > graph->shape.width)
            graph->shape.width = width;
    }
    graph->shape.n_roots = widths[1];
    free(widths);
    return 0;
}

static int measure(struct mf_graph *graph, struct mf_graph_walk *walk)
{
    int r;

    graph->shape = (struct mf_shape){
        .n_tasks = graph->n_tasks,
        .n_dependencies = graph->n_after,
        .n_barriers = graph->n_barriers,
    };
    mf_graph_walk_down(walk, graph);
    for (uint32_t i = 0; i < graph->n_tasks; i++) {
        graph->shape.work_ns = add_ns(graph->shape.work_ns, work_of(&graph->tasks[i]));
        graph->shape.n_leaves += walk->steps[i].next == MF_NODE_NONE;
    }
    r = measure_levels(graph, walk);
    return r < 0 ? r : keep_path(graph, walk);
}

int mf_graph_close(struct mf_graph *graph, mf_task_id *ret_task, mf_task_id *ret_missing)
{
    struct mf_graph_walk walk;
    int r = check_parents(graph, ret_task, ret_missing);

    /* Nothing comes after a barrier at the end. */
    if (graph->n_barriers > 0 && graph->barriers[graph->n_barriers - 1] == graph->n_tasks)
        graph->n_barriers--;
    if (r == 0)
        r = mf_graph_walk_init(&walk, graph);
    if (r < 0)
        return r;
    mf_graph_walk_up(&walk, graph);
    if (walk.n_ordered == walk.n_nodes) {
        r = measure(graph, &walk);
    } else {
        r = mf_graph_find_cycle(&walk, graph);
        if (r == 0)
            r = -ELOOP;
    }
    mf_graph_walk_finish(&walk);
    return r;
}

size_t mf_graph_cycle(const struct mf_graph *graph, const mf_task_id **ret_tasks)
{
    *ret_tasks = graph->path;
    return graph->n_path;
}

uint32_t mf_graph_after(const struct mf_graph *graph, mf_task_id task,
                        const struct mf_dependency **ret_after)
{
    uint64_t begin = task > 1 ? graph->tasks[task - 2].after_end : 0;

    *ret_after = graph->after ? graph->after + begin : NULL;
    return (uint32_t)(graph->tasks[task - 1].after_end - begin);
}

uint32_t mf_graph_n_barriers_before(const struct mf_graph *graph, mf_task_id task)
{
    return graph->tasks[task - 1].n_barriers;
}

void mf_graph_shape(const struct mf_graph *graph, struct mf_shape *ret_shape)
{
    *ret_shape = graph->shape;
}

int64_t mf_graph_upward_ns(const struct mf_graph *graph, mf_task_id task)
{
    return graph->tasks[task - 1].upward_ns;
}

size_t mf_graph_critical_path(const struct mf_graph *graph, const mf_task_id **ret_tasks)
{
    *ret_tasks = graph->path;
    return graph->n_path;
}
