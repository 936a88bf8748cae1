/*
 * Checks task files before anything starts: see source.h.
 *
 * The first pass reads every line of the regular files. Only where tasks come
 * after others, or barriers stand between them, a second one follows, now
 * that all ids are known: it makes the graph, in which cycles show. What it
 * makes belongs to the source. One thread.
 */
#include "taskfile/files_private.h"

#include <errno.h>
#include <string.h>

/* Of a longer cycle, the first tasks are told. */
#define CYCLE_TOLD_MAX 10

int mf_files_at_line(const struct files *files, uint32_t number, uint64_t line, int r,
                     struct mf_error *err)
{
    return mf_error_prefix(err, r, "%s:%llu: ", files->names[number], (unsigned long long)line);
}

static void note_priority(struct files *files, int32_t priority)
{
    if (!files->has_first_priority) {
        files->has_first_priority = true;
        files->first_priority = priority;
    }
    files->has_priority |= priority != files->first_priority;
}

/* A line that repeats is known by the first of its tasks. */
static int add_id(struct files *files, uint32_t number, const struct mf_line *line,
                  const struct mf_fields *fields, struct mf_error *err)
{
    uint64_t n_repeats = files->front.repeat.n;

    if (n_repeats == 0)
        return mf_ids_add(&files->ids, fields->id, number, line->number, err);
    if (line->ordinal > 0)
        return 0;
    return mf_ids_add_repeat(&files->ids, number, line->number, n_repeats, err);
}

/* Which output is to be kept must be known when its task ends. */
static int check_outs(const struct files *files, const struct mf_fields *fields,
                      struct mf_error *err)
{
    if (fields->n_outs == 0 || !files->has_stream)
        return 0;
    return mf_error_set(err, -ENOTSUP,
                        "{out:%s} needs all of the input before the run, which standard input "
                        "and pipes do not give: put the tasks into a file",
                        fields->outs[0]);
}

int mf_files_register(struct files *files, uint32_t number, const struct mf_line *line,
                      const struct mf_fields *fields, struct mf_error *err)
{
    int r = check_outs(files, fields, err);

    if (r == 0)
        r = add_id(files, number, line, fields, err);

    if (r == -ENOMEM)
        return mf_error_set(err, r, "out of memory");
    if (r < 0)
        return mf_files_at_line(files, number, line->number, r, err);
    note_priority(files, fields->priority);
    files->has_dependencies |= mf_after_is_given(fields);
    files->has_outs |= fields->n_outs > 0;
    files->has_estimates |= fields->estimate_ns > 0;
    mf_needs_raise(&files->largest, &fields->needs);
    return 0;
}

/* Reads a regular file from end to end. */
static int check_file(struct files *files, uint32_t number, struct mf_error *err)
{
    struct mf_task_file *file = &files->files[number];
    struct mf_fields fields;
    struct mf_line line;
    int r;

    mf_cursor_seek(&files->front, file, 0);
    for (;;) {
        mf_arena_clear(&files->arena);
        r = mf_cursor_next(&files->front, &line, err);
        if (r == 0)
            r = mf_cursor_check(&files->front, &line, &files->arena, &fields, err);
        if (r == 0)
            r = mf_files_register(files, number, &line, &fields, err);
        if (r == 0)
            r = mf_cursor_skip_repeats(&files->front, err);
        if (r < 0)
            return r;
        if (r > 0)
            break;
    }
    file->is_known = true;
    return 0;
}

/* --- barriers --- */

bool mf_files_have_barriers(const struct files *files)
{
    for (uint32_t i = 0; i < files->n_files; i++)
        if (files->files[i].n_barriers > 0)
            return true;
    return false;
}

bool mf_files_has_barrier(const struct files *files, uint32_t number, uint64_t task,
                          bool *ret_checks)
{
    bool has_barrier = mf_task_file_has_barrier(&files->files[number], task, ret_checks);

    /* A barrier at the end of a file stands before the first task of the next. */
    while (task == 0 && number > 0) {
        task = files->files[--number].index.n_items;
        has_barrier |= mf_task_file_has_barrier(&files->files[number], task, ret_checks);
    }
    return has_barrier;
}

/* --- the graph --- */

static int add_task(struct files *files, uint32_t number, const struct mf_line *line,
                    struct mf_error *err)
{
    uint64_t task = files->front.task - 1;
    struct mf_after_place place = {
        .ids = &files->ids,
        .first_seq = files->first_seq,
        .file = number,
        .line = line->number,
        .seq = files->first_seq[number] + task,
    };
    struct mf_fields fields;
    bool checks = false;
    int r = mf_cursor_check(&files->front, line, &files->arena, &fields, err);

    if (r < 0)
        return r;
    r = mf_after_resolve(&files->after, &place, &fields, err);
    if (r < 0)
        return mf_files_at_line(files, number, line->number, r, err);
    if (mf_files_has_barrier(files, number, task, &checks))
        r = mf_graph_add_barrier(files->graph);
    if (r == 0)
        r = mf_graph_add(files->graph, fields.estimate_ns,
                         (fields.needs.n_slots ? fields.needs.n_slots : 1) *
                             mf_needs_n_nodes(&fields.needs),
                         files->after.items, files->after.n);
    if (r == -E2BIG)
        return mf_error_set(err, r, "there are too many tasks to order them");
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

static int add_file(struct files *files, uint32_t number, struct mf_error *err)
{
    struct mf_line line;
    int r = 0;

    mf_cursor_seek(&files->front, &files->files[number], 0);
    while (r == 0) {
        mf_arena_clear(&files->arena);
        r = mf_cursor_next(&files->front, &line, err);
        if (r == 0)
            r = add_task(files, number, &line, err);
    }
    return r < 0 ? r : 0;
}

/* The file that has the task of a number. */
static uint32_t file_of(const struct files *files, mf_task_id seq)
{
    uint32_t low = 0, high = files->n_files;

    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;

        if (files->first_seq[middle] <= seq)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Writes a task as a sentence names it: its id, and its line unless that is said already. */
static int name_task(struct files *files, mf_task_id seq, bool has_line, struct mf_buffer *text,
                     uint64_t *ret_line, struct mf_error *err)
{
    uint32_t number = file_of(files, seq);
    struct mf_fields fields;
    struct mf_line line;
    int r;

    mf_arena_clear(&files->arena);
    r = mf_files_find_line(files, number, seq - files->first_seq[number], &line, err);
    if (r == 0)
        r = mf_cursor_check(&files->back, &line, &files->arena, &fields, err);
    if (r < 0)
        return r;
    *ret_line = line.number;
    if (fields.id)
        mf_buffer_print(text, "\"%s\"", fields.id);
    else if (files->back.repeat.n > 0)
        mf_buffer_print(text, "\"%llu.%llu\"", (unsigned long long)line.number,
                        (unsigned long long)line.ordinal);
    else
        mf_buffer_print(text, "\"%llu\"", (unsigned long long)line.number);
    if (has_line && files->n_files > 1)
        mf_buffer_print(text, " (%s:%llu)", files->names[number], (unsigned long long)line.number);
    else if (has_line)
        mf_buffer_print(text, " (line %llu)", (unsigned long long)line.number);
    return 0;
}

/* Writes `task "a" comes after "b" (line 7), which comes after "a"`. */
static int tell_cycle(struct files *files, const mf_task_id *tasks, size_t n,
                      struct mf_buffer *text, uint64_t *ret_line, struct mf_error *err)
{
    const char *link = " comes after ";
    uint64_t line;
    int r;

    mf_buffer_print(text, "task ");
    r = name_task(files, tasks[0], false, text, ret_line, err);
    for (size_t i = 1; r == 0 && i <= n; i++) {
        if (i == CYCLE_TOLD_MAX && n > CYCLE_TOLD_MAX + 1) {
            mf_buffer_print(text, ", and so on over %zu more", n - i);
            i = n;
        }
        if (i < n && tasks[i] == 0) {
            link = ", behind a barrier that comes after ";
            continue;
        }
        mf_buffer_print(text, "%s", link);
        r = name_task(files, tasks[i % n], i < n, text, &line, err);
        link = ", which comes after ";
    }
    mf_buffer_put_u8(text, '\0');
    if (r == 0 && mf_buffer_status(text) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    return r;
}

static int refuse_cycle(struct files *files, struct mf_error *err)
{
    const mf_task_id *tasks;
    size_t n = mf_graph_cycle(files->graph, &tasks);
    struct mf_buffer text = {0};
    uint64_t line;
    int r = tell_cycle(files, tasks, n, &text, &line, err);

    if (r == 0) {
        r = mf_error_set(err, -ELOOP, "%s: none of them could ever start", (const char *)text.data);
        mf_files_at_line(files, file_of(files, tasks[0]), line, r, err);
    }
    mf_buffer_finish(&text);
    return r;
}

static int make_graph(struct files *files, struct mf_error *err)
{
    mf_task_id task, missing;
    int r;

    if (mf_graph_create(&files->graph) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    files->first_seq[0] = 1;
    for (uint32_t i = 1; i < files->n_files; i++)
        files->first_seq[i] = files->first_seq[i - 1] + files->files[i - 1].index.n_items;
    for (uint32_t i = 0; i < files->n_files; i++) {
        r = add_file(files, i, err);
        if (r < 0)
            return r;
    }
    r = mf_graph_close(files->graph, &task, &missing);
    if (r == -ELOOP)
        return refuse_cycle(files, err);
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

int mf_files_check(struct files *files, struct mf_error *err)
{
    for (uint32_t i = 0; i < files->n_files; i++) {
        int r = files->files[i].input.is_stream ? 0 : check_file(files, i, err);

        if (r < 0)
            return r;
    }
    if (files->has_stream || (!files->has_dependencies && !mf_files_have_barriers(files)))
        return 0;
    return make_graph(files, err);
}
