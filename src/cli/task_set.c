/* All tasks of an input in memory: see task_set.h. */
#include "cli/task_set.h"

#include "exec/modules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 1024

/* --- options --- */

int mf_task_set_take_format(struct mf_task_set_settings *settings, const char *text,
                            struct mf_error *err)
{
    int r = mf_source_format_parse(text, &settings->format, err);

    return r < 0 ? mf_error_prefix(err, r, "--format: ") : 0;
}

int mf_task_set_take_module(struct mf_task_set_settings *settings, const char *text,
                            struct mf_error *err)
{
    if (settings->n_modules == MF_TASK_SET_MODULES_MAX)
        return mf_error_set(err, -E2BIG, "--module: more than %d modules", MF_TASK_SET_MODULES_MAX);
    if (text[0] == '\0')
        return mf_error_set(err, -EINVAL, "--module: the name of a library is missing");
    settings->modules[settings->n_modules++] = text;
    return 0;
}

/* --- tasks --- */

static int grow_tasks(struct mf_task_set *set)
{
    uint64_t capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
    struct mf_sim_task *tasks;
    size_t *id_offsets;

    if (set->n_tasks < set->capacity)
        return 0;
    tasks = reallocarray(set->tasks, capacity, sizeof(*tasks));
    if (!tasks)
        return -ENOMEM;
    set->tasks = tasks;
    id_offsets = reallocarray(set->id_offsets, capacity, sizeof(*id_offsets));
    if (!id_offsets)
        return -ENOMEM;
    set->id_offsets = id_offsets;
    set->capacity = capacity;
    return 0;
}

static int grow_after(struct mf_task_set *set, uint64_t n)
{
    uint64_t capacity = set->after_capacity ? set->after_capacity : FIRST_CAPACITY;
    struct mf_dependency *after;

    if (set->n_after + n <= set->after_capacity)
        return 0;
    while (capacity < set->n_after + n)
        capacity *= 2;
    after = reallocarray(set->after, capacity, sizeof(*after));
    if (!after)
        return -ENOMEM;
    set->after = after;
    set->after_capacity = capacity;
    return 0;
}

static struct mf_sim_task make_task(const struct mf_task_set_settings *settings,
                                    const struct mf_entry *entry)
{
    int64_t time_ns = entry->estimate_ns ? entry->estimate_ns : settings->time_ns;

    return (struct mf_sim_task){
        .spec = {.cookie = entry->cookie,
                 .needs = entry->needs,
                 .priority = entry->priority,
                 .group = entry->group,
                 .kind = entry->kind,
                 .weight = entry->weight,
                 .estimate_ns = time_ns,
                 .is_suspendable = true,
                 .yields = entry->command.function != NULL,
                 .deadline_ns = entry->deadline_ns,
                 .max_attempts = entry->attempts ? entry->attempts : settings->attempts},
        .duration_ns = time_ns,
        .timeout_ns = entry->timeout_ns,
        .n_after = entry->n_after,
        .is_behind_barrier = entry->is_behind_barrier,
        .barrier_checks = entry->barrier_checks,
    };
}

static int add_task(struct mf_task_set *set, const struct mf_task_set_settings *settings,
                    const struct mf_entry *entry)
{
    struct mf_sim_task task = make_task(settings, entry);

    if (grow_tasks(set) < 0 || grow_after(set, entry->n_after) < 0)
        return -ENOMEM;
    if (entry->n_after > 0)
        memcpy(set->after + set->n_after, entry->after, entry->n_after * sizeof(*entry->after));
    set->n_after += entry->n_after;
    set->id_offsets[set->n_tasks] = set->ids.size;
    mf_buffer_append(&set->ids, entry->command.id, strlen(entry->command.id) + 1);
    set->tasks[set->n_tasks++] = task;
    if (task.duration_ns == 0 && set->n_untimed++ == 0)
        set->first_untimed = set->n_tasks;
    return mf_buffer_status(&set->ids);
}

/* An input of a few lines can have as many as it likes: one that repeats is one line. */
static int refuse_too_many(uint64_t n_tasks, struct mf_error *err)
{
    return mf_error_set(err, -EFBIG,
                        "%" PRIu64 " tasks or more are too many to be looked at as a whole, which "
                        "takes memory for each; mpifarm run has no such limit",
                        n_tasks);
}

static int check_size(struct mf_source *source, struct mf_error *err)
{
    struct mf_source_summary summary;

    mf_source_summarize(source, &summary);
    return summary.n_tasks > MF_TASK_SET_TASKS_MAX ? refuse_too_many(summary.n_tasks, err) : 0;
}

static int read_all(struct mf_task_set *set, const struct mf_task_set_settings *settings,
                    struct mf_source *source, struct mf_error *err)
{
    const struct mf_entry *entry;
    int r;

    while ((r = mf_source_await(source, &entry, err)) == 0) {
        if (set->n_tasks == MF_TASK_SET_TASKS_MAX)
            return refuse_too_many(set->n_tasks + 1, err);
        if (add_task(set, settings, entry) < 0)
            return mf_error_set(err, -ENOMEM, "out of memory");
    }
    return r < 0 ? r : 0;
}

/* Groups have numbers once their tasks are read. Shares of others have no effect. */
static void resolve_shares(struct mf_task_set *set, const struct mf_group_shares *shares,
                           const struct mf_source *source)
{
    const char *name;

    for (uint32_t group = 1; shares->n > 0 && (name = mf_source_group_name(source, group)); group++)
        for (uint32_t i = 0; i < shares->n; i++)
            if (strlen(name) == shares->items[i].name_size &&
                memcmp(name, shares->items[i].name, shares->items[i].name_size) == 0)
                set->shares[set->n_shares++] = (struct mf_sim_share){group, shares->items[i].share};
}

static void count_hooks(struct mf_task_set *set, const struct mf_source *source)
{
    const struct mf_hook *hook;

    for (size_t i = 0; (hook = mf_source_hook(source, i)); i++) {
        set->n_start_hooks += !hook->is_stop;
        set->n_stop_hooks += hook->is_stop;
    }
}

static int open_and_read(struct mf_task_set *set, const struct mf_task_set_settings *settings,
                         const char *const *files, uint32_t n_files, struct mf_error *err)
{
    struct mf_function_names functions = {.check = mf_modules_check};
    struct mf_source_options options = {.format = settings->format,
                                        .countables = settings->resources.items,
                                        .n_countables = settings->resources.n,
                                        .is_not_run = true};
    struct mf_modules *modules = NULL;
    struct mf_source *source = NULL;
    int r = 0;

    if (settings->n_modules > 0) {
        r = mf_modules_load(settings->modules, settings->n_modules, false, &modules, err);
        functions.arg = modules;
        options.functions = &functions;
    }
    if (r == 0)
        r = mf_source_open_files(files, n_files, &options, &source, err);
    if (r == 0)
        r = check_size(source, err);
    if (r == 0)
        count_hooks(set, source);
    if (r == 0)
        r = read_all(set, settings, source, err);
    if (r == 0)
        resolve_shares(set, &settings->shares, source);
    mf_source_close(source);
    mf_modules_destroy(modules);
    return r;
}

/* --- the graph --- */

static int add_to_graph(struct mf_task_set *set, struct mf_sim_task *task)
{
    int r = task->is_behind_barrier ? mf_graph_add_barrier(set->graph) : 0;

    return r < 0 ? r
                 : mf_graph_add(set->graph, task->duration_ns,
                                task->spec.needs.n_slots * mf_needs_n_nodes(&task->spec.needs),
                                task->after, task->n_after);
}

/* The source has checked what tasks come after, so that closing the graph finds nothing. */
static int build_graph(struct mf_task_set *set)
{
    struct mf_dependency *after = set->after;
    mf_task_id task, missing;
    int r = mf_graph_create(&set->graph);

    for (uint64_t i = 0; i < set->n_tasks && r == 0; i++) {
        set->tasks[i].after = after;
        after += set->tasks[i].n_after;
        r = add_to_graph(set, &set->tasks[i]);
    }
    if (r == 0)
        r = mf_graph_close(set->graph, &task, &missing);
    for (uint64_t i = 0; i < set->n_tasks && r == 0; i++)
        set->tasks[i].spec.upward_ns = mf_graph_upward_ns(set->graph, i + 1);
    return r;
}

int mf_task_set_read(struct mf_task_set *set, const struct mf_task_set_settings *settings,
                     const char *const *files, uint32_t n_files, struct mf_error *err)
{
    int r = open_and_read(set, settings, files, n_files, err);

    if (r < 0)
        return r;
    r = build_graph(set);
    return r < 0 ? mf_error_set(err, r, "cannot put the tasks in order: %s", strerror(-r)) : 0;
}

void mf_task_set_finish(struct mf_task_set *set)
{
    mf_graph_destroy(set->graph);
    mf_buffer_finish(&set->ids);
    free(set->id_offsets);
    free(set->after);
    free(set->tasks);
    *set = (struct mf_task_set){0};
}

const char *mf_task_set_id(const struct mf_task_set *set, mf_task_id task)
{
    return (const char *)set->ids.data + set->id_offsets[task - 1];
}
