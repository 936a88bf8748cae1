/*
 * Lines of a task file that are no tasks but say something of those behind
 * them: defaults, barriers, directives of disBatch. What is noted of them
 * belongs to the file. One thread.
 */
#include "taskfile/task_file_private.h"

#include "taskfile/line.h"

#include <errno.h>
#include <stdlib.h>

/* --- defaults --- */

/* Adds what a line says to the defaults in force before it. */
static int add_defaults(struct mf_task_file *file, uint64_t line, struct mf_fields *fields,
                        struct mf_error *err)
{
    struct mf_defaults *defaults;

    if (file->n_defaults > 0 &&
        mf_fields_inherit(fields, &file->defaults[file->n_defaults - 1].fields, &file->memory) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    /* Grows whenever the count reaches a power of two. */
    if ((file->n_defaults & (file->n_defaults - 1)) == 0) {
        defaults = reallocarray(file->defaults, file->n_defaults ? file->n_defaults * 2 : 1,
                                sizeof(*defaults));
        if (!defaults)
            return mf_error_set(err, -ENOMEM, "out of memory");
        file->defaults = defaults;
    }
    file->defaults[file->n_defaults++] = (struct mf_defaults){line, *fields};
    return 0;
}

static int refuse_new(struct mf_error *err)
{
    return mf_error_set(err, -EINVAL, "this line was not here before");
}

/* Whether the defaults on this line were noted by an earlier reader. */
static bool are_known(const struct mf_cursor *cursor)
{
    return cursor->n_defaults < cursor->file->n_defaults;
}

int mf_cursor_pass_defaults(struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    struct mf_fields fields = {.options = file->options};
    int r = 0;

    if (!are_known(cursor)) {
        if (file->is_known)
            return refuse_new(err);
        if (mf_line_is_cut(line))
            return mf_cursor_refuse_length(cursor, line, err);
        r = mf_line_take_defaults(line->text, line->size, &fields, &file->memory, err);
        if (r == 0)
            r = add_defaults(file, line->number, &fields, err);
    }
    if (r == 0)
        cursor->n_defaults++;
    return r;
}

/* PREFIX and SUFFIX are defaults like others. */
static int pass_text(struct mf_cursor *cursor, const struct mf_line *line,
                     const struct mf_disbatch *disbatch, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    struct mf_fields fields = {.options = file->options};
    const char *text;
    int r = 0;

    if (!are_known(cursor)) {
        if (file->is_known)
            return refuse_new(err);
        text = mf_arena_copy(&file->memory, disbatch->text, disbatch->size);
        if (!text)
            return mf_error_set(err, -ENOMEM, "out of memory");
        if (disbatch->kind == MF_DISBATCH_PREFIX)
            fields.prefix = text;
        else
            fields.suffix = text;
        r = add_defaults(file, line->number, &fields, err);
    }
    if (r == 0)
        cursor->n_defaults++;
    return r;
}

/* --- barriers --- */

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

/* Whether an earlier reader has noted the barrier on a line. */
static bool has_barrier_line(const struct mf_task_file *file, uint64_t line)
{
    return file->n_barriers > 0 && file->barriers[file->n_barriers - 1].line >= line;
}

int mf_cursor_pass_barrier(struct mf_cursor *cursor, const struct mf_line *line,
                           struct mf_error *err)
{
    bool checks = false;
    int r;

    if (mf_line_is_cut(line))
        return mf_cursor_refuse_length(cursor, line, err);
    if (has_barrier_line(cursor->file, line->number))
        return 0;
    if (cursor->file->is_known)
        return refuse_new(err);
    r = mf_line_take_barrier(line->text, line->size, &checks, err);
    return r < 0 ? r : add_barrier(cursor, line->number, checks, err);
}

uint64_t mf_task_file_barriers_before(const struct mf_task_file *file, uint64_t task)
{
    return find_barrier(file, task + 1);
}

/* --- disBatch --- */

static int pass_disbatch_barrier(struct mf_cursor *cursor, const struct mf_line *line, bool checks,
                                 struct mf_error *err)
{
    if (has_barrier_line(cursor->file, line->number))
        return 0;
    if (cursor->file->is_known)
        return refuse_new(err);
    return add_barrier(cursor, line->number, checks, err);
}

int mf_cursor_pass_disbatch(struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err)
{
    struct mf_disbatch disbatch;
    int r;

    if (mf_line_is_cut(line))
        return mf_cursor_refuse_length(cursor, line, err);
    r = mf_disbatch_parse(line->text, line->size, &disbatch, err);
    if (r < 0)
        return r;
    if (cursor->file->disbatch_line == 0)
        cursor->file->disbatch_line = line->number;
    switch (disbatch.kind) {
    case MF_DISBATCH_PREFIX:
    case MF_DISBATCH_SUFFIX:
        return pass_text(cursor, line, &disbatch, err);
    case MF_DISBATCH_BARRIER:
        return pass_disbatch_barrier(cursor, line, disbatch.checks, err);
    case MF_DISBATCH_PERENGINE:
        return mf_cursor_pass_hook(cursor, line, &disbatch, err);
    case MF_DISBATCH_REPEAT:
        break;
    }
    cursor->repeat = disbatch;
    return disbatch.n > 0;
}
