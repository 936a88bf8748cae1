/*
 * The source that reads a workflow in WfFormat: see source.h. The workflow stays
 * in memory, as its tasks cannot be read one by one; a cookie is a task's number.
 * The source owns the workflow, its graph and the entry it last gave. One thread.
 */
#include "taskfile/wfformat_source.h"

#include "taskfile/input.h"
#include "taskfile/source_ops.h"
#include "taskfile/wfformat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/**
 * @path             of the file, as sentences name it; in the arena of the workflow
 * @next             place of the task that mf_source_next() gives next
 * @has_priority     whether tasks differ in it
 * @has_estimates    whether a task has a run time
 * @largest          the most that any task needs of each kind
 */
struct flow {
    struct mf_source source;
    struct mf_workflow workflow;
    const char *path;
    struct mf_graph *graph;
    size_t next;
    bool has_priority, has_dependencies, has_estimates;
    struct mf_needs largest;
    struct mf_entry entry;
};

static struct flow *flow_of(const struct mf_source *source)
{
    return (struct flow *)source;
}

static void close_flow(struct mf_source *source)
{
    struct flow *flow = flow_of(source);

    mf_graph_destroy(flow->graph);
    mf_workflow_finish(&flow->workflow);
    free(flow);
}

static void summarize(const struct mf_source *source, struct mf_source_summary *ret_summary)
{
    const struct flow *flow = flow_of(source);

    *ret_summary = (struct mf_source_summary){
        .n_tasks = flow->workflow.n_tasks,
        .is_counted = true,
        .has_priority = flow->has_priority,
        .has_dependencies = flow->has_dependencies,
        .has_estimates = flow->has_estimates,
        .largest = flow->largest,
    };
}

/* What is known to take no time is not unknown. */
static int64_t estimate_ns(const struct mf_workflow_task *task)
{
    return task->runtime_ns > 0 ? task->runtime_ns : task->runtime_ns == 0;
}

static int make_entry(struct flow *flow, size_t place)
{
    const struct mf_workflow_task *task = &flow->workflow.tasks[place];

    flow->entry = (struct mf_entry){
        .cookie = place + 1,
        .command = {.id = task->id,
                    .has_given_id = true,
                    .seq = place + 1,
                    .tag = task->id,
                    .n_args = task->n_args ? task->n_args : 1,
                    .args = task->n_args ? task->args : (const char *const *)&task->name},
        .needs = task->needs,
        .priority = task->priority,
        .estimate_ns = estimate_ns(task),
        .upward_ns = mf_graph_upward_ns(flow->graph, place + 1),
        .after = task->after,
        .n_after = task->n_after,
    };
    return mf_source_set_kind(&flow->source, &flow->entry);
}

static int load_task(struct mf_source *source, uint64_t cookie, const struct mf_entry **ret_entry,
                     struct mf_error *err)
{
    struct flow *flow = flow_of(source);

    if (cookie == 0 || cookie > flow->workflow.n_tasks)
        return mf_error_set(err, -ENOENT, "there is no task with cookie %llu",
                            (unsigned long long)cookie);
    if (make_entry(flow, cookie - 1) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    *ret_entry = &flow->entry;
    return 0;
}

static int next_task(struct mf_source *source, const struct mf_entry **ret_entry,
                     struct mf_error *err)
{
    struct flow *flow = flow_of(source);

    if (flow->next == flow->workflow.n_tasks)
        return 1;
    return load_task(source, ++flow->next, ret_entry, err);
}

static void rewind_flow(struct mf_source *source)
{
    flow_of(source)->next = 0;
}

/* What a task needs stands among the executions. */
static int at_task(struct mf_source *source, uint64_t cookie, int r, struct mf_error *err)
{
    const struct flow *flow = flow_of(source);

    return mf_error_prefix(err, r, "%s: workflow.execution.tasks[%zu]: ", flow->path,
                           flow->workflow.tasks[cookie - 1].execution_place);
}

static int wait_fd(const struct mf_source *source)
{
    return -1;
}

static const struct mf_graph *graph_of(const struct mf_source *source)
{
    return flow_of(source)->has_dependencies ? flow_of(source)->graph : NULL;
}

static const struct mf_source_ops ops = {
    .close = close_flow,
    .summarize = summarize,
    .next = next_task,
    .rewind = rewind_flow,
    .at = at_task,
    .fd = wait_fd,
    .graph = graph_of,
    .load = load_task,
};

/* Tasks stand behind those that they come after, so that there is no cycle to find. */
static int take_in(struct flow *flow, const char *path)
{
    mf_task_id task, missing;
    int r = mf_graph_create(&flow->graph);

    flow->path = mf_arena_copy(&flow->workflow.arena, path, strlen(path));
    if (!flow->path)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < flow->workflow.n_tasks; i++) {
        const struct mf_workflow_task *added = &flow->workflow.tasks[i];

        flow->has_dependencies |= added->n_after > 0;
        flow->has_estimates |= added->runtime_ns >= 0;
        flow->has_priority |= added->priority != flow->workflow.tasks[0].priority;
        mf_needs_raise(&flow->largest, &added->needs);
        r = mf_graph_add(flow->graph, estimate_ns(added), added->needs.n_slots, added->after,
                         added->n_after);
    }
    return r < 0 ? r : mf_graph_close(flow->graph, &task, &missing);
}

/* What is to be run has to say how. */
static int check_commands(const struct mf_workflow *workflow, const char *path,
                          struct mf_error *err)
{
    for (size_t i = 0; i < workflow->n_tasks; i++)
        if (workflow->tasks[i].n_args == 0)
            return mf_error_set(err, -EINVAL,
                                "%s: workflow.specification.tasks[%zu]: task \"%s\" has no "
                                "command.program in workflow.execution.tasks",
                                path, workflow->tasks[i].place, workflow->tasks[i].id);
    return 0;
}

int mf_source_open_workflow(const char *path, bool is_run, struct mf_source **ret_source,
                            struct mf_error *err)
{
    struct flow *flow = calloc(1, sizeof(*flow));
    int r;

    if (!flow)
        return mf_error_set(err, -ENOMEM, "out of memory");
    flow->source.ops = &ops;
    r = mf_workflow_read(&flow->workflow, path, err);
    if (r == 0 && is_run)
        r = check_commands(&flow->workflow, path, err);
    if (r == 0) {
        r = take_in(flow, mf_input_name(path));
        if (r < 0)
            mf_error_set(err, r, "out of memory");
    }
    if (r < 0) {
        mf_source_close(&flow->source);
        return r;
    }
    *ret_source = &flow->source;
    return 0;
}
