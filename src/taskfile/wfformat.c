/*
 * The file of a workflow and the names of its tasks: see wfformat.h. The JSON
 * values are freed before the call returns; what is kept is copied. One thread.
 */
#include "taskfile/wfformat_private.h"

#include "taskfile/input.h"
#include "taskfile/json.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERSION "1.5"

/* --- values --- */

int mf_json_take(const json_t *object, const char *path, const char *key, const char *type,
                 json_t **ret_value, struct mf_error *err)
{
    json_t *value = json_object_get(object, key);
    const char *actual;

    *ret_value = value;
    if (!value)
        return 0;
    actual = mf_json_type_name(value);
    if (strcmp(actual, type) != 0)
        return mf_error_set(err, -EINVAL, "%s%s%s: %s, but %s is expected", path, *path ? "." : "",
                            key, actual, type);
    return 0;
}

int mf_json_take_needed(const json_t *object, const char *path, const char *key, const char *type,
                        json_t **ret_value, struct mf_error *err)
{
    int r = mf_json_take(object, path, key, type, ret_value, err);

    if (r == 0 && !*ret_value)
        return mf_error_set(err, -EINVAL, "%s%s%s: is missing", path, *path ? "." : "", key);
    return r;
}

int64_t mf_workflow_find(const struct mf_workflow_reader *reader, const char *id)
{
    const json_t *place = json_object_get(reader->numbers, id);

    return place ? json_integer_value(place) : -1;
}

/* --- tasks --- */

/* As everywhere else: an id is one word that can be printed. */
static int check_id(const char *id, const char *path, struct mf_error *err)
{
    if (id[0] == '\0')
        return mf_error_set(err, -EINVAL, "%s.id: is empty", path);
    for (const char *c = id; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return mf_error_set(err, -EINVAL,
                                "%s.id: an id has no blanks and no control characters", path);
    return 0;
}

static int note_id(struct mf_workflow_reader *reader, const char *id, size_t place,
                   const char *path, struct mf_error *err)
{
    int64_t other = mf_workflow_find(reader, id);

    if (other >= 0)
        return mf_error_set(err, -EEXIST,
                            "%s.id: \"%.200s\" is the id of workflow.specification.tasks[%lld] too",
                            path, id, (long long)other);
    if (json_object_set_new(reader->numbers, id, json_integer((json_int_t)place)) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int read_task(struct mf_workflow_reader *reader, json_t *object, size_t place,
                     struct mf_error *err)
{
    struct mf_workflow_task *task = &reader->workflow->tasks[place];
    struct mf_arena *arena = &reader->workflow->arena;
    char path[MF_JSON_PATH_SIZE];
    json_t *id, *name;
    int r;

    snprintf(path, sizeof(path), "workflow.specification.tasks[%zu]", place);
    if (!json_is_object(object))
        return mf_error_set(err, -EINVAL, "%s: %s, but an object is expected", path,
                            mf_json_type_name(object));
    r = mf_json_take_needed(object, path, "id", "a string", &id, err);
    if (r == 0)
        r = mf_json_take_needed(object, path, "name", "a string", &name, err);
    if (r == 0)
        r = check_id(json_string_value(id), path, err);
    if (r == 0)
        r = note_id(reader, json_string_value(id), place, path, err);
    if (r < 0)
        return r;
    *task = (struct mf_workflow_task){
        .id = mf_arena_copy(arena, json_string_value(id), json_string_length(id)),
        .name = mf_arena_copy(arena, json_string_value(name), json_string_length(name)),
        .needs.n_slots = 1,
        .runtime_ns = -1,
        .place = place,
    };
    return task->id && task->name ? 0 : mf_error_set(err, -ENOMEM, "out of memory");
}

static int read_tasks(struct mf_workflow_reader *reader, const json_t *specification,
                      struct mf_error *err)
{
    struct mf_workflow *workflow = reader->workflow;
    json_t *tasks;
    int r = mf_json_take_needed(specification, "workflow.specification", "tasks", "an array",
                                &tasks, err);

    if (r < 0)
        return r;
    workflow->n_tasks = json_array_size(tasks);
    if (workflow->n_tasks == 0)
        return mf_error_set(err, -EINVAL, "workflow.specification.tasks: is empty");
    workflow->tasks =
        mf_arena_alloc(&workflow->arena, workflow->n_tasks * sizeof(*workflow->tasks));
    if (!workflow->tasks)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < workflow->n_tasks && r == 0; i++)
        r = read_task(reader, json_array_get(tasks, i), i, err);
    return r < 0 ? r : mf_workflow_read_parents(reader, tasks, err);
}

/* --- the file --- */

static int check_version(const json_t *root, struct mf_error *err)
{
    json_t *version;
    int r = mf_json_take_needed(root, "", "schemaVersion", "a string", &version, err);

    if (r < 0)
        return r;
    if (strcmp(json_string_value(version), VERSION) != 0)
        return mf_error_set(err, -EINVAL,
                            "schemaVersion: \"%.100s\" is not known; \"" VERSION "\" is",
                            json_string_value(version));
    return 0;
}

static int read_root(struct mf_workflow_reader *reader, const json_t *root, struct mf_error *err)
{
    json_t *workflow, *specification, *execution;
    int r;

    if (!json_is_object(root))
        return mf_error_set(err, -EINVAL, "%s, but an object is expected", mf_json_type_name(root));
    r = check_version(root, err);
    if (r == 0)
        r = mf_json_take_needed(root, "", "workflow", "an object", &workflow, err);
    if (r == 0)
        r = mf_json_take_needed(workflow, "workflow", "specification", "an object", &specification,
                                err);
    if (r == 0)
        r = mf_json_take(workflow, "workflow", "execution", "an object", &execution, err);
    if (r == 0)
        r = read_tasks(reader, specification, err);
    if (r == 0 && execution)
        r = mf_workflow_read_execution(reader, execution, err);
    return r < 0 ? r : mf_workflow_sort(reader->workflow, err);
}

static int load(const char *path, json_t **ret_root, struct mf_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0, is_unreadable;
    FILE *file = is_stdin ? stdin : fopen(path, "re");
    json_error_t syntax;

    if (!file)
        return mf_error_set(err, -errno, "%s: %s", path, strerror(errno));
    *ret_root = json_loadf(file, JSON_REJECT_DUPLICATES, &syntax);
    is_unreadable = ferror(file);
    if (!is_stdin)
        fclose(file);
    if (is_unreadable) {
        json_decref(*ret_root);
        return mf_error_set(err, -EIO, "%s: cannot be read", mf_input_name(path));
    }
    if (!*ret_root)
        return mf_error_set(err, -EINVAL, "%s:%d: %s", mf_input_name(path), syntax.line,
                            mf_json_explain(&syntax));
    return 0;
}

int mf_workflow_read(struct mf_workflow *workflow, const char *path, struct mf_error *err)
{
    struct mf_workflow_reader reader = {.workflow = workflow};
    json_t *root;
    int r = load(path, &root, err);

    if (r < 0)
        return r;
    reader.numbers = json_object();
    if (reader.numbers)
        r = read_root(&reader, root, err);
    else
        r = mf_error_set(err, -ENOMEM, "out of memory");
    json_decref(reader.numbers);
    json_decref(root);
    return r < 0 ? mf_error_prefix(err, r, "%s: ", mf_input_name(path)) : 0;
}

void mf_workflow_finish(struct mf_workflow *workflow)
{
    if (!workflow)
        return;
    mf_arena_finish(&workflow->arena);
    *workflow = (struct mf_workflow){0};
}
