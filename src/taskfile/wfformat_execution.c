/* How the tasks of a workflow ran: time, needs, command. One thread. */
#include "taskfile/wfformat_private.h"

#include "taskfile/json.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS_MAX 4e9 /* 126 years, within 63 bits of nanoseconds */
#define CORES_MAX 1e6
#define BYTES_MAX 9e18

/* A number within bounds; the value stays as it is if there is none. */
static int take_number(const json_t *object, const char *path, const char *key, double min,
                       double max, double *value, struct mf_error *err)
{
    json_t *number;
    int r = mf_json_take(object, path, key, "a number", &number, err);

    if (r < 0 || !number)
        return r;
    *value = json_number_value(number);
    if (*value < 0)
        return mf_error_set(err, -ERANGE, "%s.%s: %.15g is negative", path, key, *value);
    if (*value < min || *value > max)
        return mf_error_set(err, -ERANGE, "%s.%s: %.15g is not between %g and %g", path, key,
                            *value, min, max);
    return 0;
}

static int take_needs(struct mf_workflow_task *task, const json_t *object, const char *path,
                      struct mf_error *err)
{
    double cores = 1, bytes = 0;
    int r = take_number(object, path, "coreCount", 1, CORES_MAX, &cores, err);

    if (r == 0)
        r = take_number(object, path, "memoryInBytes", 0, BYTES_MAX, &bytes, err);
    if (r < 0)
        return r;
    /* A part of a core is a core. */
    task->needs.n_slots = (uint32_t)cores + (cores > (double)(uint32_t)cores);
    task->needs.mem_bytes = (uint64_t)bytes;
    return 0;
}

static int take_runtime(struct mf_workflow_task *task, const json_t *object, const char *path,
                        struct mf_error *err)
{
    double seconds = 0;
    int r = take_number(object, path, "runtimeInSeconds", 0, SECONDS_MAX, &seconds, err);

    if (r < 0)
        return r;
    if (!json_object_get(object, "runtimeInSeconds"))
        return mf_error_set(err, -EINVAL, "%s.runtimeInSeconds: is missing", path);
    task->runtime_ns = (int64_t)(seconds * 1e9 + 0.5);
    return 0;
}

static int take_priority(struct mf_workflow_task *task, const json_t *object, const char *path,
                         struct mf_error *err)
{
    json_t *value;
    int r = mf_json_take(object, path, "priority", "a number", &value, err);

    if (r < 0 || !value)
        return r;
    if (!json_is_integer(value) || json_integer_value(value) < INT32_MIN ||
        json_integer_value(value) > INT32_MAX)
        return mf_error_set(err, -ERANGE, "%s.priority: not an integer of 32 bits", path);
    task->priority = (int32_t)json_integer_value(value);
    return 0;
}

static int keep_word(struct mf_workflow_task *task, const json_t *value, struct mf_arena *arena,
                     struct mf_error *err)
{
    int r = mf_words_check_length("argument", json_string_length(value), err);
    const char *word;

    if (r < 0)
        return r;
    word = mf_arena_copy(arena, json_string_value(value), json_string_length(value));
    if (!word)
        return mf_error_set(err, -ENOMEM, "out of memory");
    task->args[task->n_args++] = word;
    return 0;
}

static int keep_arguments(struct mf_workflow_task *task, const json_t *array, const char *path,
                          struct mf_arena *arena, struct mf_error *err)
{
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *value = json_array_get(array, i);
        int r;

        if (!json_is_string(value))
            return mf_error_set(err, -EINVAL, "%s.arguments[%zu]: %s, but a string is expected",
                                path, i, mf_json_type_name(value));
        r = keep_word(task, value, arena, err);
        if (r < 0)
            return mf_error_prefix(err, r, "%s.arguments[%zu]: ", path, i);
    }
    return 0;
}

/* The program and its arguments; arguments without a program are no command. */
static int take_command(struct mf_workflow_task *task, const json_t *object,
                        const char *parent_path, struct mf_arena *arena, struct mf_error *err)
{
    json_t *command, *program, *array;
    char path[MF_JSON_PATH_SIZE];
    int r = mf_json_take(object, parent_path, "command", "an object", &command, err);

    if (r < 0 || !command)
        return r;
    snprintf(path, sizeof(path), "%.100s.command", parent_path);
    r = mf_json_take(command, path, "program", "a string", &program, err);
    if (r == 0)
        r = mf_json_take(command, path, "arguments", "an array", &array, err);
    if (r < 0 || !program)
        return r;
    if (json_string_length(program) == 0)
        return mf_error_set(err, -EINVAL, "%s.program: is empty", path);
    task->args = mf_arena_alloc(arena, (1 + json_array_size(array)) * sizeof(*task->args));
    if (!task->args)
        return mf_error_set(err, -ENOMEM, "out of memory");
    r = keep_word(task, program, arena, err);
    return r < 0 ? mf_error_prefix(err, r, "%s.program: ", path)
                 : keep_arguments(task, array, path, arena, err);
}

/* The task that an entry is about, which no other entry is. */
static int find_task(struct mf_workflow_reader *reader, const json_t *object, const char *path,
                     struct mf_workflow_task **ret_task, struct mf_error *err)
{
    int64_t place;
    json_t *id;
    int r = mf_json_take_needed(object, path, "id", "a string", &id, err);

    if (r < 0)
        return r;
    place = mf_workflow_find(reader, json_string_value(id));
    if (place < 0)
        return mf_error_set(err, -ENOENT, "%s.id: there is no task \"%.200s\"", path,
                            json_string_value(id));
    *ret_task = &reader->workflow->tasks[place];
    if ((*ret_task)->runtime_ns >= 0)
        return mf_error_set(err, -EEXIST, "%s.id: task \"%.200s\" was there before", path,
                            json_string_value(id));
    return 0;
}

static int read_entry(struct mf_workflow_reader *reader, json_t *object, size_t index,
                      struct mf_error *err)
{
    struct mf_workflow_task *task = NULL;
    char path[MF_JSON_PATH_SIZE];
    int r;

    snprintf(path, sizeof(path), "workflow.execution.tasks[%zu]", index);
    if (!json_is_object(object))
        return mf_error_set(err, -EINVAL, "%s: %s, but an object is expected", path,
                            mf_json_type_name(object));
    r = find_task(reader, object, path, &task, err);
    if (r == 0)
        r = take_runtime(task, object, path, err);
    if (r == 0)
        task->execution_place = index;
    if (r == 0)
        r = take_needs(task, object, path, err);
    if (r == 0)
        r = take_priority(task, object, path, err);
    if (r == 0)
        r = take_command(task, object, path, &reader->workflow->arena, err);
    return r;
}

int mf_workflow_read_execution(struct mf_workflow_reader *reader, const json_t *execution,
                               struct mf_error *err)
{
    json_t *tasks;
    int r = mf_json_take_needed(execution, "workflow.execution", "tasks", "an array", &tasks, err);

    for (size_t i = 0; r == 0 && i < json_array_size(tasks); i++)
        r = read_entry(reader, json_array_get(tasks, i), i, err);
    return r;
}
