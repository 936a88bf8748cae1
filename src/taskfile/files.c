/*
 * The source that reads task files, one after the other: see source.h.
 *
 * Files that can be read twice are checked whole when they are opened;
 * streams as they come. A cookie is a file's number (24 bits) and the number
 * of the task in it (40 bits). Two cursors read: `front` in order for
 * mf_source_next(), `back` wherever mf_source_load() wants; both are nearly
 * sequential in practice, and each keeps its own block in memory.
 *
 * The source owns its files, cursors and the memory of the entry it last
 * gave. One thread.
 */
#include "taskfile/files_private.h"
#include "taskfile/wfformat_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TASK_BITS 40
#define FILES_MAX (UINT32_C(1) << 24)

static struct files *files_of(const struct mf_source *source)
{
    return (struct files *)source;
}

static void close_files(struct mf_source *source)
{
    struct files *files = files_of(source);

    for (uint32_t i = 0; i < files->n_open; i++)
        mf_task_file_close(&files->files[i]);
    for (uint32_t i = 0; files->names && i < files->n_files; i++)
        free((char *)files->names[i]);
    mf_cursor_finish(&files->front);
    mf_cursor_finish(&files->back);
    mf_arena_finish(&files->arena);
    mf_ids_finish(&files->ids);
    mf_graph_destroy(files->graph);
    mf_after_finish(&files->after);
    free(files->files);
    free(files->names);
    free(files->first_seq);
    free(files);
}

/* A file that fails now but passed the check is not the same any more. */
static int explain(const struct mf_task_file *file, int r, struct mf_error *err)
{
    if (r >= 0 || r == -EAGAIN || !file->is_known || !mf_input_has_changed(&file->input))
        return r;
    return mf_error_prefix(err, r, "%s has changed since it was checked: ", file->input.name);
}

/* The end of a file came before the tasks that were seen in it. */
static int refuse_missing(const struct mf_task_file *file, struct mf_error *err)
{
    return mf_error_set(err, -ESTALE, "%s has changed since it was checked: tasks are missing",
                        file->input.name);
}

/* The id of a line without one is written here, as only some lines need it. */
static const char *default_id(struct files *files, const struct mf_cursor *cursor,
                              const struct mf_line *line)
{
    uint32_t number = (uint32_t)(cursor->file - files->files);
    char *id = mf_arena_alloc(&files->arena, MF_ID_ROOM(strlen(files->names[number])));

    if (id && cursor->repeat.n > 0)
        mf_ids_default_repeat(&files->ids, number, line->number, line->ordinal, id);
    else if (id)
        mf_ids_default(&files->ids, number, line->number, id);
    return id;
}

/* Identity and command of a line that was just read. */
static int make_command(struct files *files, const struct mf_cursor *cursor,
                        const struct mf_line *line, struct mf_fields *fields, struct mf_error *err)
{
    uint32_t number = (uint32_t)(cursor->file - files->files);
    struct mf_command *command = &files->entry.command;
    int r = mf_cursor_parse(cursor, line, &files->arena, fields, command, err);

    if (r < 0)
        return r;
    command->id = fields->id ? fields->id : default_id(files, cursor, line);
    if (!command->id)
        return mf_error_set(err, -ENOMEM, "out of memory");
    command->has_given_id = fields->id != NULL;
    command->tag = command->id;
    command->seq = files->first_seq[number] + cursor->task - 1;
    command->cwd = fields->cwd;
    command->n_nodes = fields->needs.n_nodes;
    command->n_ranks = fields->n_ranks;
    command->n_env = fields->n_env;
    command->env = fields->env;
    return 0;
}

/* What the keys say of the task; group and kind as numbers. */
static int fill_in(struct files *files, const struct mf_fields *fields, struct mf_error *err)
{
    struct mf_entry *entry = &files->entry;

    entry->needs = fields->needs;
    if (entry->needs.n_slots == 0)
        entry->needs.n_slots = 1;
    entry->priority = fields->priority;
    entry->attempts = fields->attempts;
    entry->timeout_ns = fields->timeout_ns;
    entry->estimate_ns = entry->upward_ns = fields->estimate_ns;
    entry->deadline_ns = fields->deadline_ns;
    entry->weight = fields->weight;
    if (mf_source_set_kind(&files->source, entry) < 0 ||
        (fields->group && mf_names_number(&files->source.groups, fields->group,
                                          strlen(fields->group), UINT32_MAX, &entry->group) < 0))
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

/* Makes the entry of a line that was just read, but for what it comes after. */
static int make_entry(struct files *files, const struct mf_cursor *cursor,
                      const struct mf_line *line, struct mf_fields *fields, struct mf_error *err)
{
    uint64_t number = (uint64_t)(cursor->file - files->files);
    int r;

    files->entry = (struct mf_entry){.cookie = number << TASK_BITS | (cursor->task - 1)};
    r = make_command(files, cursor, line, fields, err);
    return r < 0 ? r : fill_in(files, fields, err);
}

/*
 * The lists are read again: without a graph, for which all tasks before this one are known; and
 * for the outputs that a command takes, of which the graph knows no places.
 */
static int resolve(struct files *files, const struct mf_cursor *cursor, const struct mf_line *line,
                   const struct mf_fields *fields, struct mf_error *err)
{
    struct mf_after_place place = {
        .ids = &files->ids,
        .first_seq = files->first_seq,
        .file = (uint32_t)(cursor->file - files->files),
        .line = line->number,
        .seq = files->entry.command.seq,
        .only_before = !files->graph,
    };
    int r;

    if (!mf_after_is_given(fields))
        return 0;
    r = mf_after_resolve(&files->after, &place, fields, err);
    if (r < 0)
        return mf_files_at_line(files, place.file, line->number, r, err);
    files->entry.after = files->after.items;
    files->entry.n_after = files->after.n;
    files->entry.outs = files->after.outs;
    files->entry.n_outs = files->after.n_outs;
    return 0;
}

/* What the entry comes after, and how far it is from the end. */
static int place_entry(struct files *files, const struct mf_cursor *cursor,
                       const struct mf_line *line, const struct mf_fields *fields,
                       struct mf_error *err)
{
    struct mf_entry *entry = &files->entry;
    uint32_t number = (uint32_t)(cursor->file - files->files);
    int r = 0;

    entry->is_behind_barrier =
        mf_files_has_barrier(files, number, cursor->task - 1, &entry->barrier_checks);
    if (files->graph ? fields->n_outs > 0 : files->has_dependencies)
        r = resolve(files, cursor, line, fields, err);
    if (r < 0 || !files->graph)
        return r;
    entry->n_after = mf_graph_after(files->graph, entry->command.seq, &entry->after);
    entry->upward_ns = mf_graph_upward_ns(files->graph, entry->command.seq);
    return 0;
}

/* Goes on to the next file; returns 1 after the last. */
static int advance(struct files *files)
{
    struct mf_task_file *file = &files->files[files->current];

    file->is_known = true;
    if (files->current + 1 == files->n_files)
        return 1;
    files->first_seq[files->current + 1] = files->first_seq[files->current] + file->index.n_items;
    files->current++;
    mf_cursor_seek(&files->front, &files->files[files->current], 0);
    return 0;
}

/* Reads the next task line of any file. */
static int next_line(struct files *files, struct mf_line *ret_line, struct mf_error *err)
{
    for (;;) {
        struct mf_task_file *file = &files->files[files->current];
        int r = mf_cursor_next(&files->front, ret_line, err);

        if (r == -EAGAIN) {
            r = mf_input_fill(&file->input, err);
            if (r < 0)
                return r;
            continue;
        }
        if (r <= 0)
            return explain(file, r, err);
        if (file->is_known && files->front.task != file->index.n_items)
            return refuse_missing(file, err);
        if (advance(files) > 0)
            return 1;
    }
}

static int read_next(struct files *files, struct mf_error *err)
{
    struct mf_task_file *file;
    struct mf_fields fields;
    struct mf_line line;
    bool is_known;
    int r;

    mf_arena_clear(&files->arena);
    r = next_line(files, &line, err);
    if (r != 0)
        return r;
    file = files->front.file;
    is_known = file->is_known;
    r = make_entry(files, &files->front, &line, &fields, err);
    if (r == 0 && !is_known)
        r = mf_files_register(files, files->current, &line, &fields, err);
    if (r == 0)
        r = place_entry(files, &files->front, &line, &fields, err);
    return explain(file, r, err);
}

static int next_task(struct mf_source *source, const struct mf_entry **ret_entry,
                     struct mf_error *err)
{
    struct files *files = files_of(source);
    int r = read_next(files, err);

    if (r == 0)
        *ret_entry = &files->entry;
    return r;
}

int mf_files_find_line(struct files *files, uint32_t number, uint64_t task,
                       struct mf_line *ret_line, struct mf_error *err)
{
    struct mf_task_file *file = &files->files[number];
    struct mf_cursor *cursor = &files->back;
    int r;

    if (cursor->file != file || task < cursor->task || task - cursor->task > MF_INDEX_STRIDE)
        mf_cursor_seek(cursor, file, task);
    do
        r = mf_cursor_next(cursor, ret_line, err);
    while (r == 0 && cursor->task <= task);
    if (r == 0)
        return 0;
    cursor->file = NULL;
    return r > 0 ? refuse_missing(file, err) : explain(file, r, err);
}

static int load_task(struct mf_source *source, uint64_t cookie, const struct mf_entry **ret_entry,
                     struct mf_error *err)
{
    struct files *files = files_of(source);
    uint64_t number = cookie >> TASK_BITS;
    uint64_t task = cookie & ((UINT64_C(1) << TASK_BITS) - 1);
    struct mf_fields fields;
    struct mf_line line;
    int r;

    if (number >= files->n_files || task >= files->files[number].index.n_items)
        return mf_error_set(err, -ENOENT, "there is no task with cookie %llu",
                            (unsigned long long)cookie);
    r = mf_files_find_line(files, (uint32_t)number, task, &line, err);
    if (r < 0)
        return r;
    mf_arena_clear(&files->arena);
    r = make_entry(files, &files->back, &line, &fields, err);
    if (r == 0)
        r = place_entry(files, &files->back, &line, &fields, err);
    if (r < 0) {
        files->back.file = NULL;
        return explain(&files->files[number], r, err);
    }
    *ret_entry = &files->entry;
    return 0;
}

static void summarize(const struct mf_source *source, struct mf_source_summary *ret_summary)
{
    const struct files *files = files_of(source);
    struct mf_source_summary summary = {
        .is_counted = true,
        .has_priority = files->has_priority,
        .has_dependencies = files->has_dependencies,
        .has_outs = files->has_outs,
        .has_barriers = mf_files_have_barriers(files),
        .has_estimates = files->has_estimates,
        .largest = files->largest,
    };

    for (uint32_t i = 0; i < files->n_files; i++) {
        summary.n_tasks += files->files[i].index.n_items;
        summary.is_counted &= files->files[i].is_known;
    }
    if (!summary.is_counted)
        summary.n_tasks = 0;
    *ret_summary = summary;
}

static void rewind_files(struct mf_source *source)
{
    struct files *files = files_of(source);

    files->current = 0;
    mf_cursor_seek(&files->front, &files->files[0], 0);
}

static int at_task(struct mf_source *source, uint64_t cookie, int r, struct mf_error *err)
{
    struct files *files = files_of(source);
    uint32_t number = (uint32_t)(cookie >> TASK_BITS);
    struct mf_error trouble;
    struct mf_line line;
    int found = mf_files_find_line(files, number, cookie & ((UINT64_C(1) << TASK_BITS) - 1), &line,
                                   &trouble);

    if (found < 0)
        return mf_error_set(err, found, "%s", trouble.text);
    return mf_files_at_line(files, number, line.number, r, err);
}

static int wait_fd(const struct mf_source *source)
{
    const struct files *files = files_of(source);

    return mf_input_wait_fd(&files->files[files->current].input);
}

static const struct mf_graph *graph_of(const struct mf_source *source)
{
    return files_of(source)->graph;
}

static const struct mf_hook *hook_of(const struct mf_source *source, size_t number)
{
    const struct files *files = files_of(source);

    for (uint32_t i = 0; i < files->n_files; i++) {
        if (number < files->files[i].n_hooks)
            return &files->files[i].hooks[number];
        number -= files->files[i].n_hooks;
    }
    return NULL;
}

static const struct mf_source_ops ops = {
    .close = close_files,
    .summarize = summarize,
    .next = next_task,
    .rewind = rewind_files,
    .at = at_task,
    .fd = wait_fd,
    .graph = graph_of,
    .hook = hook_of,
    .load = load_task,
};

/* Copies the names as messages and ids show them, each of which must be there once. */
static int copy_names(struct files *files, const char *const *paths, struct mf_error *err)
{
    for (uint32_t i = 0; i < files->n_files; i++) {
        files->names[i] = strdup(mf_input_name(paths[i]));
        if (!files->names[i])
            return mf_error_set(err, -ENOMEM, "out of memory");
        for (uint32_t j = 0; j < i; j++)
            if (strcmp(files->names[j], files->names[i]) == 0)
                return mf_error_set(err, -EEXIST, "\"%s\" is given twice", paths[i]);
    }
    return 0;
}

static int open_file(struct files *files, const char *path, struct mf_error *err)
{
    struct mf_task_file *file = &files->files[files->n_open];
    int r = mf_task_file_open(file, path, files->options, err);

    if (r < 0)
        return r;
    file->input.name = files->names[files->n_open++];
    files->has_stream |= file->input.is_stream;
    return 0;
}

static int open_and_check(struct files *files, const char *const *paths, struct mf_error *err)
{
    int r = copy_names(files, paths, err);

    for (uint32_t i = 0; r == 0 && i < files->n_files; i++)
        r = open_file(files, paths[i], err);
    if (r == 0)
        r = mf_files_check(files, err);
    if (r < 0)
        return r;
    /* Without streams there is nothing left to compare ids with, or to look up. */
    if (!files->has_stream && !files->has_outs)
        mf_ids_finish(&files->ids);
    files->first_seq[0] = 1;
    mf_cursor_seek(&files->front, &files->files[0], 0);
    return 0;
}

/* What is to be said of the call itself. */
static int check_call(uint32_t n_files, const struct mf_source_options *options,
                      struct mf_error *err)
{
    if (n_files == 0 || n_files > FILES_MAX)
        return mf_error_set(err, -EINVAL, "between 1 and %u task files can be read", FILES_MAX);
    if (options && options->format == MF_SOURCE_WFFORMAT && n_files > 1)
        return mf_error_set(err, -EINVAL, "a workflow in WfFormat is one file, not %u", n_files);
    if (options && options->n_countables > MF_N_COUNTABLES)
        return mf_error_set(err, -E2BIG, "a run has %d countables at most, not %u", MF_N_COUNTABLES,
                            options->n_countables);
    return 0;
}

int mf_source_open_files(const char *const *paths, uint32_t n_files,
                         const struct mf_source_options *options, struct mf_source **ret_source,
                         struct mf_error *err)
{
    struct files *files;
    int r = check_call(n_files, options, err);

    if (r < 0)
        return r;
    if (options && options->format == MF_SOURCE_WFFORMAT)
        return mf_source_open_workflow(paths[0], !options->is_not_run, ret_source, err);
    files = calloc(1, sizeof(*files));
    if (!files)
        return mf_error_set(err, -ENOMEM, "out of memory");
    *files = (struct files){.source.ops = &ops, .options = options, .n_files = n_files};
    files->names = calloc(n_files, sizeof(*files->names));
    files->files = calloc(n_files, sizeof(*files->files));
    files->first_seq = calloc(n_files, sizeof(*files->first_seq));
    if (!files->names || !files->files || !files->first_seq ||
        mf_ids_init(&files->ids, files->names, n_files) < 0)
        r = mf_error_set(err, -ENOMEM, "out of memory");
    else
        r = open_and_check(files, paths, err);
    if (r < 0) {
        mf_source_close(&files->source);
        return r;
    }
    *ret_source = &files->source;
    return 0;
}
