/* Graphs of tasks: cycles, shapes and ranks, against what is obvious and slow. */
#include "base/rng.h"
#include "core/graph.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 9

/* A small graph as a table: edge[a][b] says that a comes after b. Tasks count from 1. */
struct table {
    int n;
    int64_t duration_ns[TASKS_MAX + 1];
    uint32_t n_slots[TASKS_MAX + 1];
    bool is_behind_barrier[TASKS_MAX + 1];
    bool is_given[TASKS_MAX + 1][TASKS_MAX + 1];
    bool edge[TASKS_MAX + 1][TASKS_MAX + 1];
    bool reach[TASKS_MAX + 1][TASKS_MAX + 1];
};

static struct mf_graph *create(void)
{
    struct mf_graph *graph;

    cr_assert_eq(mf_graph_create(&graph), 0);
    return graph;
}

static void add(struct mf_graph *graph, int64_t duration_ns, uint32_t n_after, mf_task_id a,
                mf_task_id b)
{
    struct mf_dependency after[2] = {{.task = a}, {.task = b, .condition = MF_AFTER_ANY}};

    cr_assert_eq(mf_graph_add(graph, duration_ns, 1, after, n_after), 0);
}

static int close_graph(struct mf_graph *graph)
{
    mf_task_id task, missing;

    return mf_graph_close(graph, &task, &missing);
}

/* --- by hand --- */

Test(graph, an_empty_one_has_no_shape)
{
    struct mf_graph *graph = create();
    struct mf_shape shape;
    const mf_task_id *tasks;

    cr_assert_eq(mf_graph_add_barrier(graph), 0);
    cr_assert_eq(close_graph(graph), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(shape.n_tasks + shape.depth + shape.width + shape.n_barriers, 0);
    cr_assert_eq(mf_graph_critical_path(graph, &tasks), 0);
    mf_graph_destroy(graph);
}

Test(graph, a_diamond_is_three_deep_and_two_wide)
{
    struct mf_graph *graph = create();
    struct mf_shape shape;
    const mf_task_id *path;

    add(graph, 1, 0, 0, 0);
    add(graph, 5, 1, 1, 0);
    add(graph, 9, 1, 1, 0);
    add(graph, 2, 2, 2, 3);
    cr_assert_eq(close_graph(graph), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(shape.depth, 3);
    cr_assert_eq(shape.width, 2);
    cr_assert_eq(shape.n_roots, 1);
    cr_assert_eq(shape.n_leaves, 1);
    cr_assert_eq(shape.n_dependencies, 4);
    cr_assert_eq(shape.work_ns, 17);
    cr_assert_eq(shape.critical_ns, 12);
    cr_assert_eq(mf_graph_upward_ns(graph, 1), 12);
    cr_assert_eq(mf_graph_upward_ns(graph, 2), 7);
    cr_assert_eq(mf_graph_critical_path(graph, &path), 3);
    cr_assert(path[0] == 1 && path[1] == 3 && path[2] == 4);
    mf_graph_destroy(graph);
}

Test(graph, a_task_after_itself_is_a_cycle_of_one)
{
    struct mf_graph *graph = create();
    const mf_task_id *tasks;

    add(graph, 1, 0, 0, 0);
    add(graph, 1, 2, 1, 2);
    cr_assert_eq(close_graph(graph), -ELOOP);
    cr_assert_eq(mf_graph_cycle(graph, &tasks), 1);
    cr_assert_eq(tasks[0], 2);
    mf_graph_destroy(graph);
}

Test(graph, a_task_that_waits_for_one_behind_a_barrier_is_a_cycle_through_the_barrier)
{
    struct mf_graph *graph = create();
    const mf_task_id *tasks;

    add(graph, 1, 1, 2, 0);
    cr_assert_eq(mf_graph_add_barrier(graph), 0);
    add(graph, 1, 0, 0, 0);
    cr_assert_eq(close_graph(graph), -ELOOP);
    cr_assert_eq(mf_graph_cycle(graph, &tasks), 3);
    cr_assert(tasks[0] == 1 && tasks[1] == 2 && tasks[2] == 0);
    mf_graph_destroy(graph);
}

Test(graph, the_shortest_cycle_through_its_first_task_is_told)
{
    struct mf_graph *graph = create();
    const mf_task_id *tasks;

    add(graph, 1, 1, 2, 0);
    add(graph, 1, 1, 3, 0);
    add(graph, 1, 2, 4, 1);
    add(graph, 1, 1, 1, 0);
    cr_assert_eq(close_graph(graph), -ELOOP);
    cr_assert_eq(mf_graph_cycle(graph, &tasks), 3);
    cr_assert(tasks[0] == 1 && tasks[1] == 2 && tasks[2] == 3);
    mf_graph_destroy(graph);
}

Test(graph, a_task_that_was_never_added_is_named)
{
    struct mf_graph *graph = create();
    mf_task_id task, missing;

    add(graph, 1, 1, 2, 0);
    add(graph, 1, 1, 7, 0);
    cr_assert_eq(mf_graph_close(graph, &task, &missing), -ENOENT);
    cr_assert_eq(task, 2);
    cr_assert_eq(missing, 7);
    mf_graph_destroy(graph);
}

Test(graph, what_a_task_comes_after_is_kept_as_it_was_added)
{
    struct mf_graph *graph = create();
    const struct mf_dependency *after;

    add(graph, 1, 0, 0, 0);
    add(graph, 1, 1, 1, 0);
    cr_assert_eq(mf_graph_add_barrier(graph), 0);
    cr_assert_eq(mf_graph_add_barrier(graph), 0);
    add(graph, 1, 2, 2, 1);
    cr_assert_eq(close_graph(graph), 0);
    cr_assert_eq(mf_graph_after(graph, 1, &after), 0);
    cr_assert_eq(mf_graph_after(graph, 3, &after), 2);
    cr_assert(after[0].task == 2 && after[0].condition == MF_AFTER_OK);
    cr_assert(after[1].task == 1 && after[1].condition == MF_AFTER_ANY);
    cr_assert_eq(mf_graph_n_barriers_before(graph, 2), 0);
    cr_assert_eq(mf_graph_n_barriers_before(graph, 3), 1);
    mf_graph_destroy(graph);
}

Test(graph, times_end_at_the_largest_number)
{
    struct mf_graph *graph = create();
    struct mf_shape shape;

    add(graph, INT64_MAX - 1, 0, 0, 0);
    add(graph, INT64_MAX - 1, 1, 1, 0);
    cr_assert_eq(close_graph(graph), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(mf_graph_upward_ns(graph, 1), INT64_MAX);
    cr_assert_eq(shape.work_ns, INT64_MAX);
    cr_assert_eq(shape.critical_ns, INT64_MAX);
    mf_graph_destroy(graph);
}

/* --- large ones --- */

Test(graph, a_chain_of_a_million_tasks_needs_no_deep_stack)
{
    struct mf_graph *graph = create();
    struct mf_shape shape;
    const mf_task_id *path;
    const uint32_t n = 1000000;

    for (uint32_t i = 1; i <= n; i++)
        add(graph, 0, i > 1, i - 1, 0);
    cr_assert_eq(close_graph(graph), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(shape.depth, n);
    cr_assert_eq(shape.width, 1);
    cr_assert_eq(mf_graph_upward_ns(graph, 1), n);
    cr_assert_eq(mf_graph_critical_path(graph, &path), n);
    cr_assert_eq(path[n - 1], n);
    mf_graph_destroy(graph);
}

Test(graph, a_circle_of_a_million_tasks_is_found_whole)
{
    struct mf_graph *graph = create();
    const mf_task_id *tasks;
    const uint32_t n = 1000000;

    for (uint32_t i = 1; i <= n; i++)
        add(graph, 0, 1, i % n + 1, 0);
    cr_assert_eq(close_graph(graph), -ELOOP);
    cr_assert_eq(mf_graph_cycle(graph, &tasks), n);
    cr_assert(tasks[0] == 1 && tasks[n - 1] == n);
    mf_graph_destroy(graph);
}

/* As edges these were a billion. */
Test(graph, a_thousand_barriers_between_a_million_tasks_cost_one_node_each)
{
    struct mf_graph *graph = create();
    struct mf_shape shape;

    for (int i = 0; i <= 1000; i++) {
        for (int j = 0; j < 1000; j++)
            add(graph, 3, 0, 0, 0);
        cr_assert_eq(mf_graph_add_barrier(graph), 0);
    }
    cr_assert_eq(close_graph(graph), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(shape.n_barriers, 1000);
    cr_assert_eq(shape.depth, 1001);
    cr_assert_eq(shape.width, 1000);
    cr_assert_eq(shape.n_roots, 1000);
    cr_assert_eq(shape.n_leaves, 1000);
    cr_assert_eq(shape.critical_ns, 3003);
    cr_assert_eq(mf_graph_upward_ns(graph, 500 * 1000 + 1), 3 * 501);
    mf_graph_destroy(graph);
}

/* --- against brute force --- */

/* Few or many edges, to any task or only to earlier ones, barriers or none. */
static void draw(struct table *table, struct mf_rng *rng)
{
    uint64_t density = 1 + mf_rng_below(rng, 4);
    bool is_backward = mf_rng_below(rng, 2) == 0;
    bool has_barriers = mf_rng_below(rng, 2) == 0;

    *table = (struct table){.n = 1 + (int)mf_rng_below(rng, TASKS_MAX)};
    for (int a = 1; a <= table->n; a++) {
        table->duration_ns[a] = (int64_t)mf_rng_below(rng, 5);
        table->n_slots[a] = 1 + (uint32_t)mf_rng_below(rng, 3);
        table->is_behind_barrier[a] = has_barriers && mf_rng_below(rng, 3) == 0;
        for (int b = 1; b <= (is_backward ? a - 1 : table->n); b++)
            table->is_given[a][b] = table->edge[a][b] = mf_rng_below(rng, 10) < density;
    }
    for (int first = 1; first <= table->n; first++)
        for (int a = first; table->is_behind_barrier[first] && a <= table->n; a++)
            for (int b = 1; b < first; b++)
                table->edge[a][b] = true;
    memcpy(table->reach, table->edge, sizeof(table->reach));
    for (int k = 1; k <= table->n; k++)
        for (int a = 1; a <= table->n; a++)
            for (int b = 1; b <= table->n; b++)
                table->reach[a][b] |= table->reach[a][k] && table->reach[k][b];
}

static struct mf_graph *build(const struct table *table)
{
    struct mf_graph *graph = create();

    for (int a = 1; a <= table->n; a++) {
        struct mf_dependency after[TASKS_MAX];
        uint32_t n = 0;

        for (int b = 1; b <= table->n; b++)
            if (table->is_given[a][b])
                after[n++] = (struct mf_dependency){.task = (mf_task_id)b};
        if (table->is_behind_barrier[a])
            cr_assert_eq(mf_graph_add_barrier(graph), 0);
        cr_assert_eq(mf_graph_add(graph, table->duration_ns[a], table->n_slots[a], after, n), 0);
    }
    return graph;
}

static bool has_cycle(const struct table *table)
{
    for (int a = 1; a <= table->n; a++)
        if (table->reach[a][a])
            return true;
    return false;
}

/* A step into a barrier and out of it is one edge of the table. */
static void check_cycle(const struct table *table, const struct mf_graph *graph)
{
    const mf_task_id *tasks;
    size_t n = mf_graph_cycle(graph, &tasks);
    mf_task_id from = 0;

    cr_assert_gt(n, 0);
    cr_assert_gt(tasks[0], 0);
    for (size_t i = 0; i <= n; i++) {
        mf_task_id to = tasks[i % n];

        if (to == 0)
            continue;
        cr_assert(from == 0 || table->edge[from][to]);
        from = to;
    }
}

static int64_t slow_upward(const struct table *table, int task)
{
    int64_t best = 0;

    for (int child = 1; child <= table->n; child++) {
        int64_t way = table->edge[child][task] ? slow_upward(table, child) : 0;

        best = way > best ? way : best;
    }
    return best + (table->duration_ns[task] ? table->duration_ns[task] : 1);
}

static uint64_t slow_level(const struct table *table, int task)
{
    uint64_t level = 0;

    for (int parent = 1; parent <= table->n; parent++) {
        uint64_t above = table->edge[task][parent] ? slow_level(table, parent) : 0;

        level = above > level ? above : level;
    }
    return level + 1;
}

static void check_shape(const struct table *table, const struct mf_graph *graph)
{
    uint64_t widths[TASKS_MAX + 1] = {0}, depth = 0, width = 0, n_leaves = 0;
    struct mf_shape shape;
    int64_t work_ns = 0;

    mf_graph_shape(graph, &shape);
    for (int a = 1; a <= table->n; a++) {
        uint64_t level = slow_level(table, a);
        bool is_leaf = true;

        for (int child = 1; child <= table->n; child++)
            is_leaf &= !table->edge[child][a];
        n_leaves += is_leaf;
        depth = level > depth ? level : depth;
        width = ++widths[level] > width ? widths[level] : width;
        work_ns += table->duration_ns[a] * table->n_slots[a];
    }
    cr_assert_eq(shape.depth, depth);
    cr_assert_eq(shape.width, width);
    cr_assert_eq(shape.n_roots, widths[1]);
    cr_assert_eq(shape.n_leaves, n_leaves);
    cr_assert_eq(shape.work_ns, work_ns);
}

/* It is a chain, and as long as the largest rank says. */
static void check_path(const struct table *table, const struct mf_graph *graph)
{
    int64_t longest = 0, length = 0, known = 0;
    const mf_task_id *path;
    size_t n = mf_graph_critical_path(graph, &path);
    struct mf_shape shape;

    for (int a = 1; a <= table->n; a++) {
        int64_t upward = slow_upward(table, a);

        cr_assert_eq(mf_graph_upward_ns(graph, (mf_task_id)a), upward);
        longest = upward > longest ? upward : longest;
    }
    for (size_t i = 0; i < n; i++) {
        cr_assert(i == 0 || table->edge[path[i]][path[i - 1]]);
        known += table->duration_ns[path[i]];
        length += table->duration_ns[path[i]] ? table->duration_ns[path[i]] : 1;
    }
    mf_graph_shape(graph, &shape);
    cr_assert_eq(length, longest);
    cr_assert_eq(shape.critical_ns, known);
}

Test(graph, small_random_ones_are_as_brute_force_finds_them)
{
    struct mf_rng rng;
    int n_cyclic = 0;

    mf_rng_init(&rng, 4);
    for (int i = 0; i < 5000; i++) {
        struct table table;
        struct mf_graph *graph;

        draw(&table, &rng);
        graph = build(&table);
        if (has_cycle(&table)) {
            n_cyclic++;
            cr_assert_eq(close_graph(graph), -ELOOP);
            check_cycle(&table, graph);
        } else {
            cr_assert_eq(close_graph(graph), 0);
            check_shape(&table, graph);
            check_path(&table, graph);
        }
        mf_graph_destroy(graph);
    }
    /* Both kinds were drawn often. */
    cr_assert(n_cyclic > 500 && n_cyclic < 4500);
}

Test(graph, barriers_alone_are_a_graph)
{
    const struct mf_dependency *after;
    struct mf_graph *graph;
    struct mf_shape shape;
    mf_task_id task, missing;

    cr_assert_eq(mf_graph_create(&graph), 0);
    cr_assert_eq(mf_graph_add(graph, 5, 1, NULL, 0), 0);
    cr_assert_eq(mf_graph_add_barrier(graph), 0);
    cr_assert_eq(mf_graph_add(graph, 7, 1, NULL, 0), 0);
    cr_assert_eq(mf_graph_close(graph, &task, &missing), 0);
    mf_graph_shape(graph, &shape);
    cr_assert_eq(shape.critical_ns, 12);
    cr_assert_eq(mf_graph_after(graph, 2, &after), 0);
    mf_graph_destroy(graph);
}
