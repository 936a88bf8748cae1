/*
 * What a task line says: see task_file.h. Nothing is owned here; one thread.
 */
#include "taskfile/task_file_private.h"

#include "taskfile/jsonl.h"
#include "taskfile/line.h"
#include "taskfile/words.h"

#include <errno.h>
#include <string.h>

/* Adds the defaults in force. */
static int inherit(const struct mf_cursor *cursor, struct mf_fields *fields, struct mf_arena *arena)
{
    if (cursor->n_defaults == 0)
        return 0;
    return mf_fields_inherit(fields, &cursor->file->defaults[cursor->n_defaults - 1].fields, arena);
}

/* Takes the prefix off a plain line, so that the command is left. */
static int take_prefix(const struct mf_cursor *cursor, struct mf_line *line,
                       struct mf_fields *fields, struct mf_arena *arena, struct mf_error *err)
{
    const char *text = line->text;
    size_t size = line->size;
    int r = 0;

    if (mf_line_is_cut(line) && size > 0 && text[0] == '[')
        return mf_cursor_refuse_length(cursor, line, err);
    if (size > 0)
        r = mf_line_take_prefix(&text, &size, fields, arena, err);
    if (r < 0)
        return r;
    if (fields->func && line->length > MF_LINE_BYTES_MAX)
        return mf_cursor_refuse_length(cursor, line, err);
    if (text > line->text)
        line->indent = 0;
    mf_line_drop_front(line, (size_t)(text - line->text));
    return 0;
}

/* What a plain line or a repeating one has for a command, and what it says of the task. */
static int take_plain(const struct mf_cursor *cursor, struct mf_line *line,
                      struct mf_fields *fields, struct mf_arena *arena, struct mf_error *err)
{
    if (cursor->repeat.n == 0)
        return take_prefix(cursor, line, fields, arena, err);
    line->text = cursor->repeat.text;
    line->size = line->length = cursor->repeat.size;
    line->indent = 0;
    return 0;
}

static char *append(char *out, const char *text, size_t size)
{
    memcpy(out, text, size);
    return out + size;
}

static size_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

/* Puts texts around a command; the blanks before it count when there is one before them. */
static int compose(struct mf_line *line, const struct mf_fields *fields, struct mf_arena *arena)
{
    size_t n_prefix = length_of(fields->prefix), n_head = length_of(fields->head);
    size_t n_suffix = length_of(fields->suffix);
    char *text, *out;

    if (n_prefix + n_head + n_suffix == 0 || mf_line_is_cut(line))
        return 0;
    line->text -= line->indent;
    line->size += line->indent;
    text = out = mf_arena_alloc(arena, n_prefix + n_head + line->size + n_suffix);
    if (!text)
        return -ENOMEM;
    out = append(out, fields->prefix ? fields->prefix : "", n_prefix);
    out = append(out, fields->head ? fields->head : "", n_head);
    out = append(out, line->text, line->size);
    out = append(out, fields->suffix ? fields->suffix : "", n_suffix);
    line->text = text;
    line->size = line->length = (size_t)(out - text);
    return 0;
}

static bool is_blank_line(const struct mf_line *line)
{
    for (size_t i = 0; i < line->size; i++)
        if (!mf_is_blank(line->text[i]))
            return false;
    return true;
}

/* Makes the text of a command what it is to be, and sees whether it can be one. */
static int finish_text(const struct mf_cursor *cursor, struct mf_line *line,
                       const struct mf_fields *fields, struct mf_arena *arena, struct mf_error *err)
{
    if (fields->func)
        return 0;
    if (compose(line, fields, arena) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    if (cursor->repeat.n > 0 && is_blank_line(line))
        return mf_error_set(err, -EINVAL,
                            "#DISBATCH REPEAT has no command, and there is no PREFIX before it");
    return mf_words_check_length("command", line->length, err);
}

/* disBatch runs bash, and tells it where the task comes from. */
static int make_disbatch(const struct mf_cursor *cursor, const struct mf_line *line,
                         struct mf_fields *fields, struct mf_command *command,
                         struct mf_arena *arena)
{
    const struct mf_task_file *file = cursor->file;
    const struct mf_disbatch *repeat = &cursor->repeat;
    uint64_t task = cursor->task - 1;
    struct mf_disbatch_task told = {
        .file = file->input.name,
        .run_name = file->options ? file->options->run_name : NULL,
        .line = line->number,
        .has_index = repeat->n > 0,
        .index = repeat->start + line->ordinal * repeat->step,
        .task = task + mf_task_file_barriers_before(file, task),
    };

    if (mf_words_to_bash(line->text, line->size, arena, command) < 0)
        return -ENOMEM;
    return mf_disbatch_add_env(fields, &told, arena);
}

static int make_command(const struct mf_cursor *cursor, const struct mf_line *line,
                        struct mf_fields *fields, struct mf_command *command,
                        struct mf_arena *arena)
{
    int r;

    if (fields->func)
        return mf_words_to_input(line->text, line->size, arena, command);
    if (cursor->file->disbatch_line > 0 && cursor->file->disbatch_line <= line->number)
        return make_disbatch(cursor, line, fields, command, arena);
    r = mf_words_to_command(line->text, line->size, arena, command);
    /* Without a directive too, a task may count on disBatch to run it. */
    if (r == 0 && command->is_shell && strstr(command->args[0], "DISBATCH_"))
        return make_disbatch(cursor, line, fields, command, arena);
    return r;
}

static int check_function(const struct mf_cursor *cursor, const struct mf_fields *fields,
                          struct mf_error *err)
{
    const struct mf_source_options *options = cursor->file->options;
    const struct mf_function_names *functions = options ? options->functions : NULL;
    int r = mf_fields_check_function(fields, err);

    if (r < 0)
        return r;
    if (!functions)
        return mf_error_set(err, -ENOENT,
                            "function \"%s\" needs a module that has it: run with --module FILE",
                            fields->func);
    return functions->check(functions->arg, fields->func, err);
}

/* Which tasks {out:ID} names: a plain line is looked at whole, a JSON array element by element. */
static int take_outs(const struct mf_line *line, bool is_json, struct mf_command *command,
                     struct mf_fields *fields, struct mf_arena *arena, struct mf_error *err)
{
    int r = 0;

    if (!is_json)
        return mf_fields_take_outs(fields, line->text, line->size, arena, err);
    for (uint32_t i = 0; r == 0 && i < command->n_args; i++)
        r = mf_fields_take_outs(fields, command->args[i], strlen(command->args[i]), arena, err);
    return r;
}

static int parse(const struct mf_cursor *cursor, struct mf_line line, struct mf_arena *arena,
                 struct mf_fields *fields, struct mf_command *command, struct mf_error *err)
{
    bool is_json = cursor->file->format == MF_FORMAT_JSON;
    int r;

    if (!is_json)
        r = take_plain(cursor, &line, fields, arena, err);
    else if (mf_line_is_cut(&line))
        r = mf_cursor_refuse_length(cursor, &line, err);
    else
        r = mf_jsonl_parse(line.text, line.size, fields, command, arena, err);
    if (r == 0 && inherit(cursor, fields, arena) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && !is_json)
        r = finish_text(cursor, &line, fields, arena, err);
    if (r == 0)
        r = take_outs(&line, is_json, command, fields, arena, err);
    if (r == 0 && command)
        command->has_outs = fields->has_outs;
    if (r == 0 && !is_json && command && make_command(cursor, &line, fields, command, arena) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    if (r == 0)
        r = fields->func ? check_function(cursor, fields, err) : mf_fields_spread(fields, err);
    if (r == 0 && command)
        command->function = fields->func;
    return r;
}

int mf_cursor_parse(const struct mf_cursor *cursor, const struct mf_line *line,
                    struct mf_arena *arena, struct mf_fields *ret_fields,
                    struct mf_command *command, struct mf_error *err)
{
    int r;

    *ret_fields = (struct mf_fields){.options = cursor->file->options};
    r = parse(cursor, *line, arena, ret_fields, command, err);
    return r < 0 ? mf_cursor_at_line(cursor, line, r, err) : 0;
}

int mf_cursor_check(const struct mf_cursor *cursor, const struct mf_line *line,
                    struct mf_arena *arena, struct mf_fields *ret_fields, struct mf_error *err)
{
    struct mf_command command = {0};
    bool is_json = cursor->file->format == MF_FORMAT_JSON;

    /* Splitting a plain command cannot fail, so that checking it would only take time. */
    return mf_cursor_parse(cursor, line, arena, ret_fields, is_json ? &command : NULL, err);
}
