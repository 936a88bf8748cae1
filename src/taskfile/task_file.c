/*
 * Reads one task file line by line: see task_file.h. What lines say is read in
 * task_marks.c and task_parse.c.
 *
 * A file is read more than once: whole when it is checked (a stream while it
 * comes), then task by task. The first reader that passes a line notes what
 * later ones need to begin in the middle. The file owns its input, index and
 * defaults; a cursor owns only its buffer. One thread.
 */
#include "taskfile/task_file_private.h"

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
    free(file->hooks);
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
    cursor->repeat.n = 0;
    cursor->n_skipped = place.ordinal;
    mf_lines_seek(&cursor->lines, &file->input, place);
}

void mf_cursor_finish(struct mf_cursor *cursor)
{
    mf_lines_finish(&cursor->lines);
}

int mf_cursor_at_line(const struct mf_cursor *cursor, const struct mf_line *line, int r,
                      struct mf_error *err)
{
    return mf_error_prefix(err, r, "%s:%llu: ", cursor->file->input.name,
                           (unsigned long long)line->number);
}

int mf_cursor_refuse_length(const struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err)
{
    if (cursor->file->input.is_stream)
        return mf_error_set(err, -E2BIG, "the line has more than %zu bytes", MF_LINE_BYTES_MAX);
    return mf_error_set(err, -E2BIG, "the line is %llu bytes long, but at most %zu are taken",
                        (unsigned long long)line->length, MF_LINE_BYTES_MAX);
}

/* Takes off what is not part of the text: byte order mark, blanks in front, CR at the end. */
static void trim(const struct mf_cursor *cursor, struct mf_line *line)
{
    size_t n = strlen(BYTE_ORDER_MARK);

    if (line->number == 1 && line->size >= n && memcmp(line->text, BYTE_ORDER_MARK, n) == 0)
        mf_line_drop_front(line, n);
    if (!mf_line_is_cut(line) && line->size > 0 && line->text[line->size - 1] == '\r') {
        line->size--;
        line->length--;
    }
    for (n = 0; n < line->size && mf_is_blank(line->text[n]); n++)
        ;
    mf_line_drop_front(line, n);
    line->indent = n;
}

static bool is_json(const struct mf_line *line)
{
    return line->size > 0 && mf_line_is_json(line->text, line->size);
}

/* Returns 1 if the line is a task, 0 if it is dealt with, or -errno. */
static int pass_line(struct mf_cursor *cursor, const struct mf_line *line, struct mf_error *err)
{
    int r;

    struct mf_task_file *file = cursor->file;

    if (line->size == 0 && !mf_line_is_cut(line))
        return 0;
    /* Behind the first object, even a "#" is malformed JSON. */
    if (file->format == MF_FORMAT_JSON && cursor->task > 0)
        return 1;
    switch (line->size > 0 ? mf_line_classify(line->text, line->size) : MF_LINE_TASK) {
    case MF_LINE_COMMENT:
        return 0;
    case MF_LINE_DEFAULTS:
        return mf_cursor_pass_defaults(cursor, line, err);
    case MF_LINE_BARRIER:
        return mf_cursor_pass_barrier(cursor, line, err);
    case MF_LINE_DISBATCH:
        r = mf_cursor_pass_disbatch(cursor, line, err);
        if (r != 1)
            return r;
        break;
    case MF_LINE_TASK:
        break;
    }
    if (file->format == MF_FORMAT_UNKNOWN)
        file->format = is_json(line) ? MF_FORMAT_JSON : MF_FORMAT_PLAIN;
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
    } else if (mf_line_is_cut(line) && cursor->file->input.is_stream) {
        /* Where it ends is not known, so that it cannot be passed over even as a comment. */
        r = mf_cursor_refuse_length(cursor, line, err);
    } else {
        trim(cursor, line);
        r = pass_line(cursor, line, err);
    }
    return r < 0 ? mf_cursor_at_line(cursor, line, r, err) : r;
}

/* The line that repeats, once more; returns false when it was told often enough. */
static bool tell_again(struct mf_cursor *cursor, struct mf_line *ret_line)
{
    if (cursor->repeat.n == 0 || ++cursor->line.ordinal >= cursor->repeat.n)
        return false;
    *ret_line = cursor->line;
    return true;
}

/* Finds the next line that is a task. Returns as read_line(). */
static int find_task(struct mf_cursor *cursor, struct mf_line *ret_line, struct mf_error *err)
{
    int r;

    if (tell_again(cursor, ret_line))
        return 1;
    do {
        cursor->repeat.n = 0;
        r = read_line(cursor, ret_line, err);
    } while (r == 0);
    if (r != 1)
        return r;
    ret_line->ordinal = cursor->n_skipped;
    cursor->n_skipped = 0;
    cursor->line = *ret_line;
    return 1;
}

int mf_cursor_next(struct mf_cursor *cursor, struct mf_line *ret_line, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    int r = find_task(cursor, ret_line, err);

    if (r < 0)
        return r;
    if (r == 2)
        return 1;
    if (cursor->task++ < file->index.n_items)
        return 0;
    if (file->is_known)
        return mf_cursor_at_line(cursor, ret_line,
                                 mf_error_set(err, -ESTALE, "this task was not here before"), err);
    return mf_index_add(&file->index, ret_line) < 0 ? mf_error_set(err, -ENOMEM, "out of memory")
                                                    : 0;
}

int mf_cursor_skip_repeats(struct mf_cursor *cursor, struct mf_error *err)
{
    uint64_t n = cursor->repeat.n > 0 ? cursor->repeat.n - 1 - cursor->line.ordinal : 0;

    if (n == 0)
        return 0;
    cursor->line.ordinal++;
    if (mf_index_add_many(&cursor->file->index, &cursor->line, n) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    cursor->line.ordinal += n - 1;
    cursor->task += n;
    return 0;
}
