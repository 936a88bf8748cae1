/*
 * JSON objects to tasks: see jsonl.h.
 *
 * jansson checks syntax, UTF-8, NUL characters and duplicate keys; values go
 * through the same table of keys as those of a plain line. The object is
 * freed before the call returns. One thread.
 */
#include "taskfile/jsonl.h"

#include "taskfile/json.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Room for a number as text. */
#define NUMBER_BYTES 64

/* An argument vector: nothing in it is looked at. */
static int take_array(const json_t *array, struct mf_command *command, struct mf_arena *arena,
                      struct mf_error *err)
{
    size_t n = json_array_size(array);
    const char **args = mf_arena_alloc(arena, n * sizeof(*args));

    if (n == 0 || n > UINT32_MAX)
        return mf_error_set(err, -EINVAL, "cmd: the array is empty");
    if (!args)
        return mf_error_set(err, -ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, i);
        int r;

        if (!json_is_string(item))
            return mf_error_set(err, -EINVAL, "cmd: element %zu is %s, not a string", i + 1,
                                mf_json_type_name(item));
        r = mf_words_check_length("argument", json_string_length(item), err);
        if (r < 0)
            return mf_error_prefix(err, r, "cmd: ");
        args[i] = mf_arena_copy(arena, json_string_value(item), json_string_length(item));
        if (!args[i])
            return mf_error_set(err, -ENOMEM, "out of memory");
    }
    if (args[0][0] == '\0')
        return mf_error_set(err, -EINVAL, "cmd: the name of the program is empty");
    command->is_shell = false;
    command->args = args;
    command->n_args = (uint32_t)n;
    return 0;
}

/* The input of a function: nothing in it is looked at. */
static int take_input(const json_t *value, struct mf_command *command, struct mf_arena *arena,
                      struct mf_error *err)
{
    if (!json_is_string(value))
        return mf_error_set(err, -EINVAL, "input: %s, but a string is expected",
                            mf_json_type_name(value));
    if (mf_words_to_input(json_string_value(value), json_string_length(value), arena, command) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* A command as on a line of a plain task file. */
static int take_text(const json_t *value, struct mf_command *command, struct mf_arena *arena,
                     struct mf_error *err)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    size_t blanks = strspn(text, " \t\n");
    int r;

    if (blanks == size)
        return mf_error_set(err, -EINVAL, "cmd: the command is empty");
    r = mf_words_check_length("command", size - blanks, err);
    if (r < 0)
        return mf_error_prefix(err, r, "cmd: ");
    command->has_outs = true; /* what may be one is a path, or else is refused later */
    if (mf_words_to_command(text + blanks, size - blanks, arena, command) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int take_cmd(const json_t *value, struct mf_command *command, struct mf_arena *arena,
                    struct mf_error *err)
{
    if (json_is_string(value))
        return take_text(value, command, arena, err);
    if (json_is_array(value))
        return take_array(value, command, arena, err);
    return mf_error_set(err, -EINVAL, "cmd: %s, but a string or an array of strings is expected",
                        mf_json_type_name(value));
}

static int take_env(json_t *object, struct mf_fields *fields, struct mf_arena *arena,
                    struct mf_error *err)
{
    const char *name;
    json_t *value;

    if (!json_is_object(object))
        return mf_error_set(err, -EINVAL, "env: %s, but an object is expected",
                            mf_json_type_name(object));
    json_object_foreach(object, name, value)
    {
        size_t name_size = strlen(name);
        char *text;
        int r;

        if (!json_is_string(value))
            return mf_error_set(err, -EINVAL, "env: %s is %s, but a string is expected", name,
                                mf_json_type_name(value));
        text = mf_arena_alloc(arena, name_size + json_string_length(value) + 2);
        if (!text)
            return mf_error_set(err, -ENOMEM, "out of memory");
        memcpy(text, name, name_size);
        text[name_size] = '=';
        strcpy(text + name_size + 1, json_string_value(value));
        r = mf_fields_set(fields, "env", text, arena, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const char *text_of(const json_t *value, char number[NUMBER_BYTES])
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        snprintf(number, NUMBER_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, NUMBER_BYTES, "%.15g", json_real_value(value));
    else
        return NULL;
    return number;
}

/* Numbers go through the table of keys as text, like everything else. */
static int take_field(const char *key, const json_t *value, struct mf_fields *fields,
                      struct mf_arena *arena, struct mf_error *err)
{
    char number[NUMBER_BYTES];
    const char *text = text_of(value, number);

    if (!text)
        return mf_error_set(err, -EINVAL, "%s: %s, but a number or a string is expected", key,
                            mf_json_type_name(value));
    return mf_fields_set(fields, key, text, arena, err);
}

/* A list of tasks: as a text with commas, or as an array. */
static int take_after(const char *key, const json_t *value, struct mf_fields *fields,
                      struct mf_arena *arena, struct mf_error *err)
{
    struct mf_buffer list = {0};
    char number[NUMBER_BYTES];
    int r = 0;

    if (!json_is_array(value))
        return take_field(key, value, fields, arena, err);
    for (size_t i = 0; r == 0 && i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const char *text = text_of(item, number);

        if (!text)
            r = mf_error_set(err, -EINVAL, "%s: element %zu is %s, not a string or a number", key,
                             i + 1, mf_json_type_name(item));
        else
            mf_buffer_append(&list, text, strlen(text));
        mf_buffer_put_u8(&list, ',');
    }
    /* The last comma becomes the end. */
    if (list.size > 0)
        list.size--;
    mf_buffer_put_u8(&list, '\0');
    if (r == 0 && mf_buffer_status(&list) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = mf_fields_set(fields, key, (const char *)list.data, arena, err);
    mf_buffer_finish(&list);
    return r;
}

static bool is_list(const char *key)
{
    for (int i = 0; i < MF_N_CONDITIONS; i++)
        if (strcmp(key, mf_condition_key((enum mf_condition)i)) == 0)
            return true;
    return false;
}

static const char *const own_keys[] = {"cmd", "input", NULL};

static int take_member(const char *key, json_t *value, struct mf_fields *fields,
                       struct mf_command *command, struct mf_arena *arena, struct mf_error *err)
{
    int r;

    if (strcmp(key, "cmd") == 0)
        return take_cmd(value, command, arena, err);
    if (strcmp(key, "input") == 0)
        return take_input(value, command, arena, err);
    if (strcmp(key, "env") == 0)
        return take_env(value, fields, arena, err);
    if (is_list(key))
        return take_after(key, value, fields, arena, err);
    r = take_field(key, value, fields, arena, err);
    return r == -ENOENT && !strchr(key, '.') ? mf_fields_refuse(key, own_keys, err) : r;
}

/* An object has "cmd", or else "func" and maybe "input". */
static int check_kind(const json_t *object, const struct mf_fields *fields,
                      struct mf_command *command, struct mf_arena *arena, struct mf_error *err)
{
    bool has_cmd = json_object_get(object, "cmd") != NULL;

    if (fields->func && has_cmd)
        return mf_error_set(err, -EINVAL, "a task has either cmd or func, not both");
    if (!fields->func && json_object_get(object, "input"))
        return mf_error_set(err, -EINVAL, "input is for a function, and func is missing");
    if (!fields->func && !has_cmd)
        return mf_error_set(err, -EINVAL, "cmd is missing");
    if (!command->args && mf_words_to_input("", 0, arena, command) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int take_object(json_t *object, struct mf_fields *fields, struct mf_command *command,
                       struct mf_arena *arena, struct mf_error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object))
        return mf_error_set(err, -EINVAL, "an object is expected, not %s",
                            mf_json_type_name(object));
    json_object_foreach(object, key, value)
    {
        int r = take_member(key, value, fields, command, arena, err);

        if (r < 0)
            return r;
    }
    return check_kind(object, fields, command, arena, err);
}

int mf_jsonl_parse(const char *text, size_t size, struct mf_fields *fields,
                   struct mf_command *command, struct mf_arena *arena, struct mf_error *err)
{
    json_error_t syntax;
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &syntax);
    int r;

    if (!object)
        return mf_error_set(err, -EINVAL, "column %d: %s", syntax.column, mf_json_explain(&syntax));
    r = take_object(object, fields, command, arena, err);
    json_decref(object);
    return r;
}
