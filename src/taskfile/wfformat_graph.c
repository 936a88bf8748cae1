/*
 * Which tasks of a workflow come after which: parents and children, which have to
 * agree, and an order in which each task stands behind its parents. One thread.
 */
#include "taskfile/wfformat_private.h"

#include "base/buffer.h"
#include "base/table.h"
#include "taskfile/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX (UINT64_C(1) << 31)

/* --- parents and children --- */

/* A parent and a child by their places: all bytes are set, as keys are compared as memory. */
struct edge {
    uint32_t parent, child;
};

/**
 * @by_parents   edges that children name
 * @by_children  edges that parents name
 */
struct edges {
    struct mf_workflow_reader *reader;
    const json_t *tasks;
    struct mf_table *by_parents;
    struct mf_table *by_children;
};

/* Whether a list of the task at `place` is that of its parents or of its children. */
enum list { PARENTS, CHILDREN };

static const char *const list_names[] = {"parents", "children"};

static const char *id_of(const struct edges *edges, size_t place)
{
    return edges->reader->workflow->tasks[place].id;
}

static struct edge edge_of(enum list list, size_t place, size_t other)
{
    return list == PARENTS ? (struct edge){(uint32_t)other, (uint32_t)place}
                           : (struct edge){(uint32_t)place, (uint32_t)other};
}

/* Takes in one entry of a list: it names another task of the workflow, once. */
static int note_edge(struct edges *edges, enum list list, size_t place, size_t index,
                     const json_t *value, struct mf_error *err)
{
    char path[MF_JSON_PATH_SIZE];
    struct edge edge;
    int64_t other;
    int r;

    snprintf(path, sizeof(path), "workflow.specification.tasks[%zu].%s[%zu]", place,
             list_names[list], index);
    if (!json_is_string(value))
        return mf_error_set(err, -EINVAL, "%s: %s, but a string is expected", path,
                            mf_json_type_name(value));
    other = mf_workflow_find(edges->reader, json_string_value(value));
    if (other < 0)
        return mf_error_set(err, -ENOENT, "%s: there is no task \"%.200s\"", path,
                            json_string_value(value));
    if ((size_t)other == place)
        return mf_error_set(err, -ELOOP, "%s: task \"%.200s\" comes after itself", path,
                            json_string_value(value));
    edge = edge_of(list, place, (size_t)other);
    r = mf_table_insert(list == PARENTS ? edges->by_parents : edges->by_children, &edge, NULL);
    if (r < 0)
        return mf_error_set(err, r, "out of memory");
    if (r > 0)
        return mf_error_set(err, -EEXIST, "%s: task \"%.200s\" is named twice", path,
                            json_string_value(value));
    return 0;
}

static int note_list(struct edges *edges, enum list list, size_t place, struct mf_error *err)
{
    char path[MF_JSON_PATH_SIZE];
    json_t *array;
    int r;

    snprintf(path, sizeof(path), "workflow.specification.tasks[%zu]", place);
    r = mf_json_take_needed(json_array_get(edges->tasks, place), path, list_names[list], "an array",
                            &array, err);
    for (size_t i = 0; r == 0 && i < json_array_size(array); i++)
        r = note_edge(edges, list, place, i, json_array_get(array, i), err);
    return r;
}

/* Whatever one list says, the list at the other end has to say too. */
static int compare_list(const struct edges *edges, enum list list, size_t place,
                        struct mf_error *err)
{
    const struct mf_table *others = list == PARENTS ? edges->by_children : edges->by_parents;
    const json_t *array = json_object_get(json_array_get(edges->tasks, place), list_names[list]);

    for (size_t i = 0; i < json_array_size(array); i++) {
        int64_t other =
            mf_workflow_find(edges->reader, json_string_value(json_array_get(array, i)));
        struct edge edge = edge_of(list, place, (size_t)other);

        if (!mf_table_find(others, &edge))
            return mf_error_set(err, -EINVAL,
                                "workflow.specification.tasks[%zu].%s[%zu]: \"%.200s\" does not "
                                "have \"%.200s\" among its %s",
                                place, list_names[list], i, id_of(edges, (size_t)other),
                                id_of(edges, place), list_names[list == PARENTS]);
    }
    return 0;
}

/* The dependencies of a task, from a list that was checked. */
static int keep_parents(const struct edges *edges, size_t place)
{
    struct mf_workflow_task *task = &edges->reader->workflow->tasks[place];
    const json_t *array = json_object_get(json_array_get(edges->tasks, place), "parents");

    task->n_after = (uint32_t)json_array_size(array);
    task->after =
        mf_arena_alloc(&edges->reader->workflow->arena, (task->n_after + 1) * sizeof(*task->after));
    if (!task->after)
        return -ENOMEM;
    for (uint32_t i = 0; i < task->n_after; i++)
        task->after[i] = (struct mf_dependency){
            .task = (mf_task_id)mf_workflow_find(edges->reader,
                                                 json_string_value(json_array_get(array, i))),
            .condition = MF_AFTER_OK,
        };
    return 0;
}

static int read_edges(struct edges *edges, struct mf_error *err)
{
    size_t n = edges->reader->workflow->n_tasks;
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        r = note_list(edges, PARENTS, i, err);
        if (r == 0)
            r = note_list(edges, CHILDREN, i, err);
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        r = compare_list(edges, PARENTS, i, err);
        if (r == 0)
            r = compare_list(edges, CHILDREN, i, err);
    }
    for (size_t i = 0; i < n && r == 0; i++)
        if (keep_parents(edges, i) < 0)
            r = mf_error_set(err, -ENOMEM, "out of memory");
    return r;
}

int mf_workflow_read_parents(struct mf_workflow_reader *reader, const json_t *tasks,
                             struct mf_error *err)
{
    struct edges edges = {.reader = reader, .tasks = tasks};
    int r;

    if (reader->workflow->n_tasks >= TASKS_MAX)
        return mf_error_set(err, -E2BIG, "workflow.specification.tasks: too many tasks");
    r = mf_table_create(sizeof(struct edge), 0, &edges.by_parents);
    if (r == 0)
        r = mf_table_create(sizeof(struct edge), 0, &edges.by_children);
    if (r < 0)
        mf_error_set(err, r, "out of memory");
    else
        r = read_edges(&edges, err);
    mf_table_destroy(edges.by_parents);
    mf_table_destroy(edges.by_children);
    return r;
}

/* --- order --- */

/* A task on the way down to those that come after nothing. */
struct step {
    size_t place;
    uint32_t next;
};

/**
 * @numbers  by place: 0 for a task not seen yet, UNDER_WAY, or its number
 * @steps    n_steps tasks, each of which comes after the next one
 */
struct sorter {
    struct mf_workflow *workflow;
    uint32_t *numbers;
    struct step *steps;
    size_t n_steps;
    uint32_t n_numbered;
};

#define UNDER_WAY UINT32_MAX

/* "a" comes after "c", which comes after "b", which comes after "a". */
static int refuse_cycle(const struct sorter *sorter, size_t place, struct mf_error *err)
{
    const struct mf_workflow_task *tasks = sorter->workflow->tasks;
    struct mf_buffer text = {0};
    size_t first = sorter->n_steps;

    while (sorter->steps[first - 1].place != place)
        first--;
    mf_buffer_print(&text, "\"%s\" comes after ", tasks[place].id);
    for (size_t i = first; i < sorter->n_steps; i++)
        mf_buffer_print(&text, "\"%s\", which comes after ", tasks[sorter->steps[i].place].id);
    mf_buffer_print(&text, "\"%s\"", tasks[place].id);
    if (mf_buffer_status(&text) < 0)
        mf_error_set(err, -ENOMEM, "out of memory");
    else
        mf_error_set(err, -ELOOP, "workflow.specification.tasks[%zu].parents: a cycle: %.*s", place,
                     (int)text.size, (const char *)text.data);
    mf_buffer_finish(&text);
    return -ELOOP;
}

static void step_into(struct sorter *sorter, size_t place)
{
    sorter->numbers[place] = UNDER_WAY;
    sorter->steps[sorter->n_steps++] = (struct step){.place = place};
}

/* Numbers a task, after all that it comes after: a walk in depth, without recursion. */
static int number_task(struct sorter *sorter, size_t place, struct mf_error *err)
{
    if (sorter->numbers[place] > 0)
        return 0;
    step_into(sorter, place);
    while (sorter->n_steps > 0) {
        struct step *step = &sorter->steps[sorter->n_steps - 1];
        const struct mf_workflow_task *task = &sorter->workflow->tasks[step->place];
        size_t parent;

        if (step->next == task->n_after) {
            sorter->numbers[step->place] = ++sorter->n_numbered;
            sorter->n_steps--;
            continue;
        }
        parent = (size_t)task->after[step->next++].task;
        if (sorter->numbers[parent] == UNDER_WAY)
            return refuse_cycle(sorter, parent, err);
        if (sorter->numbers[parent] == 0)
            step_into(sorter, parent);
    }
    return 0;
}

static int compare_dependencies(const void *a, const void *b)
{
    mf_task_id left = ((const struct mf_dependency *)a)->task;
    mf_task_id right = ((const struct mf_dependency *)b)->task;

    return (left > right) - (left < right);
}

/* Moves each task to its number, and names what it comes after by number. */
static int renumber(struct sorter *sorter)
{
    struct mf_workflow *workflow = sorter->workflow;
    struct mf_workflow_task *sorted =
        mf_arena_alloc(&workflow->arena, workflow->n_tasks * sizeof(*sorted));

    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < workflow->n_tasks; i++) {
        struct mf_workflow_task *task = &workflow->tasks[i];

        for (uint32_t j = 0; j < task->n_after; j++)
            task->after[j].task = sorter->numbers[task->after[j].task];
        qsort(task->after, task->n_after, sizeof(*task->after), compare_dependencies);
        sorted[sorter->numbers[i] - 1] = *task;
    }
    workflow->tasks = sorted;
    return 0;
}

int mf_workflow_sort(struct mf_workflow *workflow, struct mf_error *err)
{
    struct sorter sorter = {.workflow = workflow};
    int r = -ENOMEM;

    sorter.numbers = calloc(workflow->n_tasks, sizeof(*sorter.numbers));
    sorter.steps = calloc(workflow->n_tasks, sizeof(*sorter.steps));
    if (sorter.numbers && sorter.steps)
        r = 0;
    for (size_t i = 0; i < workflow->n_tasks && r == 0; i++)
        r = number_task(&sorter, i, err);
    if (r == 0)
        r = renumber(&sorter);
    if (r == -ENOMEM)
        mf_error_set(err, r, "out of memory");
    free(sorter.numbers);
    free(sorter.steps);
    return r;
}
