/*
 * Reads one task file line by line: see task_file.h.
 *
 * A file is read more than once: whole when it is checked (a stream while it
 * comes), then task by task. The first reader that passes a line notes what
 * later ones need to begin in the middle. The file owns its input, index and
 * defaults; a cursor owns only its buffer. One thread.
 */
#include "taskfile/task_file.h"

#include "taskfile/jsonl.h"
#include "taskfile/line.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

int mf_task_file_open(struct mf_task_file *file, const char *path,
                      const struct mf_source_options *options, struct mf_error *err)
{
    *file = (struct mf_task_file){.options = options};
    return mf_input_open(&file->input, path, err);
}

void mf_task_file_close(struct mf_task_file *file)
{
    mf_input_close(&file->input);
    mf_index_finish(&file->index);
    mf_arena_finish(&file->memory);
    free(file->defaults);
    free(file->barriers);
}

void mf_cursor_seek(struct mf_cursor *cursor, struct mf_task_file *file, uint64_t task)
{
    struct mf_place place = mf_lines_start(&file->input);

    if (file->index.n_items > 0 && task > 0)
        place = mf_index_find(&file->index, task);
    cursor->file = file;
    cursor->task = task - task % MF_INDEX_STRIDE;
    cursor->n_defaults = 0;
    while (cursor->n_defaults < file->n_defaults &&
           file->defaults[cursor->n_defaults].line < place.number)
        cursor->n_defaults++;
    mf_lines_seek(&cursor->lines, &file->input, place);
}

void mf_cursor_finish(struct mf_cursor *cursor)
{
    mf_lines_finish(&cursor->lines);
}

/* Says where it is that something is wrong. */
static int at_line(const struct mf_cursor *cursor, const struct mf_line *line, int r,
                   struct mf_error *err)
{
    return mf_error_prefix(err, r, "%s:%llu: ", cursor->file->input.name,
                           (unsigned long long)line->number);
}

static int refuse_length(const struct mf_cursor *cursor, const struct mf_line *line,
                         struct mf_error *err)
{
    if (cursor->file->input.is_stream)
        return mf_error_set(err, -E2BIG, "the line has more than %zu bytes", MF_LINE_BYTES_MAX);
    return mf_error_set(err, -E2BIG, "the line is %llu bytes long, but at most %zu are taken",
                        (unsigned long long)line->length, MF_LINE_BYTES_MAX);
}

static bool is_cut(const struct mf_line *line)
{
    return line->size < line->length;
}

static void drop_front(struct mf_line *line, size_t n)
{
    line->text += n;
    line->size -= n;
    line->length -= n;
}

/* Takes off what is not part of the text: byte order mark, blanks in front, CR at the end. */
static void trim(const struct mf_cursor *cursor, struct mf_line *line)
{
    size_t n = strlen(BYTE_ORDER_MARK);

    if (line->number == 1 && line->size >= n && memcmp(line->text, BYTE_ORDER_MARK, n) == 0)
        drop_front(line, n);
    if (!is_cut(line) && line->size > 0 && line->text[line->size - 1] == '\r') {
        line->size--;
        line->length--;
    }
    for (n = 0; n < line->size && mf_is_blank(line->text[n]); n++)
        ;
    drop_front(line, n);
}

/* Adds what a #FARM line says to the defaults in force before it. */
static int add_defaults(struct mf_cursor *cursor, const struct mf_line *line, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    struct mf_fields fields = {.options = file->options};
    struct mf_defaults *defaults;
    int r;

    if (is_cut(line))
        return refuse_length(cursor, line, err);
    r = mf_line_take_defaults(line->text, line->size, &fields, &file->memory, err);
    if (r < 0)
        return r;
    if (file->n_defaults > 0 &&
        mf_fields_inherit(&fields, &file->defaults[file->n_defaults - 1].fields, &file->memory) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    /* Grows whenever the count reaches a power of two. */
    if ((file->n_defaults & (file->n_defaults - 1)) == 0) {
        defaults = reallocarray(file->defaults, file->n_defaults ? file->n_defaults * 2 : 1,
                                sizeof(*defaults));
        if (!defaults)
            return mf_error_set(err, -ENOMEM, "out of memory");
        file->defaults = defaults;
    }
    file->defaults[file->n_defaults++] = (struct mf_defaults){line->number, fields};
    return 0;
}

static int pass_defaults(struct mf_cursor *cursor, const struct mf_line *line, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;

    if (cursor->n_defaults == file->n_defaults) {
        int r = file->is_known ? mf_error_set(err, -EINVAL, "this line was not here before")
                               : add_defaults(cursor, line, err);

        if (r < 0)
            return r;
    }
    cursor->n_defaults++;
    return 0;
}

/* The first barrier that does not stand before a task of a lower number. */
static size_t find_barrier(const struct mf_task_file *file, uint64_t task)
{
    size_t low = 0, high = file->n_barriers;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (file->barriers[middle].task < task)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool mf_task_file_has_barrier(const struct mf_task_file *file, uint64_t task, bool *ret_checks)
{
    size_t first = find_barrier(file, task);
    size_t i = first;

    for (; i < file->n_barriers && file->barriers[i].task == task; i++)
        *ret_checks |= file->barriers[i].checks;
    return i > first;
}

static int add_barrier(struct mf_cursor *cursor, uint64_t line, bool checks, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;

    /* Grows whenever the count reaches a power of two. */
    if ((file->n_barriers & (file->n_barriers - 1)) == 0) {
        size_t capacity = file->n_barriers ? file->n_barriers * 2 : 1;
        struct mf_barrier *barriers = reallocarray(file->barriers, capacity, sizeof(*barriers));

        if (!barriers)
            return mf_error_set(err, -ENOMEM, "out of memory");
        file->barriers = barriers;
    }
    file->barriers[file->n_barriers++] =
        (struct mf_barrier){.line = line, .task = cursor->task, .checks = checks};
    return 0;
}

/* The first reader that comes by notes it. */
static int pass_barrier(struct mf_cursor *cursor, const struct mf_line *line, struct mf_error *err)
{
    const struct mf_task_file *file = cursor->file;
    bool checks = false;
    int r;

    if (is_cut(line))
        return refuse_length(cursor, line, err);
    if (file->n_barriers > 0 && file->barriers[file->n_barriers - 1].line >= line->number)
        return 0;
    if (file->is_known)
        return mf_error_set(err, -EINVAL, "this line was not here before");
    r = mf_line_take_barrier(line->text, line->size, &checks, err);
    return r < 0 ? r : add_barrier(cursor, line->number, checks, err);
}

/* Returns 1 if the line is a task, 0 if it is dealt with, or -errno. */
static int pass_line(struct mf_cursor *cursor, const struct mf_line *line, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;

    if (line->size == 0 && !is_cut(line))
        return 0;
    /* Behind the first object, even a "#" is malformed JSON. */
    if (file->format == MF_FORMAT_JSON && cursor->task > 0)
        return 1;
    switch (line->size > 0 ? mf_line_classify(line->text, line->size) : MF_LINE_TASK) {
    case MF_LINE_COMMENT:
        return 0;
    case MF_LINE_DEFAULTS:
        return pass_defaults(cursor, line, err);
    case MF_LINE_BARRIER:
        return pass_barrier(cursor, line, err);
    case MF_LINE_UNSUPPORTED:
        return mf_line_refuse(line->text, err);
    case MF_LINE_TASK:
        break;
    }
    if (file->format == MF_FORMAT_UNKNOWN)
        file->format = line->size > 0 && mf_line_is_json(line->text, line->size) ? MF_FORMAT_JSON
                                                                                 : MF_FORMAT_PLAIN;
    return 1;
}

/* Reads one line and sees what it is. Returns 1 for a task, 0 for another line, 2 at the end. */
static int read_line(struct mf_cursor *cursor, struct mf_line *line, struct mf_error *err)
{
    int r = mf_lines_next(&cursor->lines, line);

    if (r > 0)
        return 2;
    if (r == -EAGAIN)
        return r;
    if (r < 0)
        return mf_error_set(err, r, "%s: cannot be read: %s", cursor->file->input.name,
                            strerror(-r));
    if (memchr(line->text, '\0', line->size)) {
        r = mf_error_set(err, -EINVAL, "the line has a NUL byte");
    } else if (is_cut(line) && cursor->file->input.is_stream) {
        /* Where it ends is not known, so that it cannot be passed over even as a comment. */
        r = refuse_length(cursor, line, err);
    } else {
        trim(cursor, line);
        r = pass_line(cursor, line, err);
    }
    return r < 0 ? at_line(cursor, line, r, err) : r;
}

int mf_cursor_next(struct mf_cursor *cursor, struct mf_line *ret_line, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    int r;

    do
        r = read_line(cursor, ret_line, err);
    while (r == 0);
    if (r < 0)
        return r;
    if (r == 2)
        return 1;
    if (cursor->task++ < file->index.n_items)
        return 0;
    if (file->is_known)
        return at_line(cursor, ret_line,
                       mf_error_set(err, -ESTALE, "this task was not here before"), err);
    return mf_index_add(&file->index, ret_line) < 0 ? mf_error_set(err, -ENOMEM, "out of memory")
                                                    : 0;
}

/* Adds the defaults in force. */
static int inherit(const struct mf_cursor *cursor, struct mf_fields *fields, struct mf_arena *arena)
{
    if (cursor->n_defaults == 0)
        return 0;
    return mf_fields_inherit(fields, &cursor->file->defaults[cursor->n_defaults - 1].fields, arena);
}

/* Puts a text before a command. */
static int add_head(struct mf_line *line, const char *head, struct mf_arena *arena)
{
    size_t n = strlen(head);
    char *text = mf_arena_alloc(arena, n + line->size);

    if (!text)
        return -ENOMEM;
    memcpy(text, head, n);
    memcpy(text + n, line->text, line->size);
    line->text = text;
    line->size += n;
    line->length += n;
    return 0;
}

/* Takes the prefix off a plain line, so that the command is left. */
static int take_prefix(const struct mf_cursor *cursor, struct mf_line *line,
                       struct mf_fields *fields, struct mf_arena *arena, struct mf_error *err)
{
    const char *text = line->text;
    size_t size = line->size;
    int r = 0;

    if (is_cut(line) && size > 0 && text[0] == '[')
        return refuse_length(cursor, line, err);
    if (size > 0)
        r = mf_line_take_prefix(&text, &size, fields, arena, err);
    if (r < 0)
        return r;
    if (fields->func && line->length > MF_LINE_BYTES_MAX)
        return refuse_length(cursor, line, err);
    drop_front(line, (size_t)(text - line->text));
    if (fields->head && add_head(line, fields->head, arena) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return fields->func ? 0 : mf_words_check_length("command", line->length, err);
}

/* What a plain line has behind its prefix. */
static int take_rest(const struct mf_line *line, const struct mf_fields *fields,
                     struct mf_command *command, struct mf_arena *arena)
{
    return fields->func ? mf_words_to_input(line->text, line->size, arena, command)
                        : mf_words_to_command(line->text, line->size, arena, command);
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

static int parse(const struct mf_cursor *cursor, struct mf_line line, struct mf_arena *arena,
                 struct mf_fields *fields, struct mf_command *command, struct mf_error *err)
{
    int r;

    if (cursor->file->format == MF_FORMAT_JSON) {
        r = is_cut(&line) ? refuse_length(cursor, &line, err)
                          : mf_jsonl_parse(line.text, line.size, fields, command, arena, err);
    } else {
        r = take_prefix(cursor, &line, fields, arena, err);
        if (r == 0 && command && take_rest(&line, fields, command, arena) < 0)
            r = mf_error_set(err, -ENOMEM, "out of memory");
    }
    if (r == 0 && inherit(cursor, fields, arena) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    if (r == 0 && fields->func)
        r = check_function(cursor, fields, err);
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
    return r < 0 ? at_line(cursor, line, r, err) : 0;
}

int mf_cursor_check(const struct mf_cursor *cursor, const struct mf_line *line,
                    struct mf_arena *arena, struct mf_fields *ret_fields, struct mf_error *err)
{
    struct mf_command command = {0};
    bool is_json = cursor->file->format == MF_FORMAT_JSON;

    /* Splitting a plain command cannot fail, so that checking it would only take time. */
    return mf_cursor_parse(cursor, line, arena, ret_fields, is_json ? &command : NULL, err);
}
