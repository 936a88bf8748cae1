/*
 * The source that makes tasks of a command and arguments: see source.h.
 *
 * Arguments are lists in memory whose combinations are numbered, or, when
 * there is nothing but one file or standard input, lines that are read as
 * they are needed. Either way the cookie is the number of the combination,
 * from 0, and the task is made anew whenever it is asked for. Owns all it
 * read; one thread.
 */
#include "taskfile/source_ops.h"

#include "base/outs.h"

#include "taskfile/argument_file.h"
#include "taskfile/combinations.h"
#include "taskfile/template.h"
#include "taskfile/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * @path    of the file of arguments, NULL when there are lists
 * @file    is open if has_file
 * @n_next  number of the next combination
 * @values  room for the arguments of one combination
 */
struct sweep {
    struct mf_source source;
    char *text;
    struct mf_template template;
    struct mf_combinations combinations;
    char *path;
    struct mf_argument_file file;
    bool has_file;
    uint64_t n_next;
    const char **values;
    uint32_t n_values;
    struct mf_arena arena;
    struct mf_entry entry;
};

static struct sweep *sweep_of(const struct mf_source *source)
{
    return (struct sweep *)source;
}

static void close_sweep(struct mf_source *source)
{
    struct sweep *sweep = sweep_of(source);

    if (sweep->has_file)
        mf_argument_file_close(&sweep->file);
    mf_combinations_finish(&sweep->combinations);
    mf_template_finish(&sweep->template);
    mf_arena_finish(&sweep->arena);
    free(sweep->values);
    free(sweep->path);
    free(sweep->text);
    free(sweep);
}

/* The arguments as --tag shows them. */
static const char *make_tag(struct sweep *sweep)
{
    size_t size = 0;
    char *tag, *out;

    for (uint32_t i = 0; i < sweep->n_values; i++)
        size += strlen(sweep->values[i]) + 1;
    tag = out = mf_arena_alloc(&sweep->arena, size);
    for (uint32_t i = 0; tag && i < sweep->n_values; i++) {
        out = stpcpy(out, sweep->values[i]);
        *out++ = ' ';
    }
    if (tag)
        out[-1] = '\0';
    return tag;
}

/* Makes the entry of the combination whose arguments are in `values`. */
static int make_entry(struct sweep *sweep, uint64_t index, struct mf_error *err)
{
    struct mf_entry *entry = &sweep->entry;
    char id[24];
    int n = snprintf(id, sizeof(id), "%llu", (unsigned long long)index + 1);
    int r;

    *entry = (struct mf_entry){.cookie = index, .needs.n_slots = 1, .command.seq = index + 1};
    entry->command.id = mf_arena_copy(&sweep->arena, id, (size_t)n);
    entry->command.tag = make_tag(sweep);
    if (!entry->command.id || !entry->command.tag)
        return mf_error_set(err, -ENOMEM, "out of memory");
    r = mf_template_expand(&sweep->template, sweep->values, sweep->n_values, index + 1,
                           &sweep->arena, &entry->command, err);
    if (r < 0 && sweep->has_file)
        return mf_error_prefix(err, r, "%s:%llu: ", sweep->file.input.name,
                               (unsigned long long)index + 1);
    if (r < 0)
        return mf_error_prefix(err, r, "combination %llu: ", (unsigned long long)index + 1);
    if (mf_source_set_kind(&sweep->source, entry) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    return 0;
}

static int next_combination(struct mf_source *source, const struct mf_entry **ret_entry,
                            struct mf_error *err)
{
    struct sweep *sweep = sweep_of(source);
    int r = 0;

    mf_arena_clear(&sweep->arena);
    if (sweep->has_file) {
        r = mf_argument_file_next(&sweep->file, &sweep->arena, &sweep->values[0], err);
    } else {
        if (sweep->n_next == sweep->combinations.n_combinations)
            return 1;
        mf_combinations_get(&sweep->combinations, sweep->n_next, sweep->values);
    }
    if (r == 0)
        r = make_entry(sweep, sweep->n_next, err);
    if (r != 0)
        return r;
    sweep->n_next++;
    *ret_entry = &sweep->entry;
    return 0;
}

static int load_combination(struct mf_source *source, uint64_t cookie,
                            const struct mf_entry **ret_entry, struct mf_error *err)
{
    struct sweep *sweep = sweep_of(source);
    uint64_t end = sweep->has_file ? sweep->file.index.n_items : sweep->combinations.n_combinations;
    int r = 0;

    if (cookie >= end)
        return mf_error_set(err, -ENOENT, "there is no task with cookie %llu",
                            (unsigned long long)cookie);
    mf_arena_clear(&sweep->arena);
    if (sweep->has_file)
        r = mf_argument_file_load(&sweep->file, cookie, &sweep->arena, &sweep->values[0], err);
    else
        mf_combinations_get(&sweep->combinations, cookie, sweep->values);
    if (r == 0)
        r = make_entry(sweep, cookie, err);
    if (r == 0)
        *ret_entry = &sweep->entry;
    return r;
}

static void summarize(const struct mf_source *source, struct mf_source_summary *ret_summary)
{
    const struct sweep *sweep = sweep_of(source);
    struct mf_source_summary summary = {.is_counted = !sweep->has_file || sweep->file.is_known};

    if (summary.is_counted)
        summary.n_tasks =
            sweep->has_file ? sweep->file.index.n_items : sweep->combinations.n_combinations;
    *ret_summary = summary;
}

static int wait_fd(const struct mf_source *source)
{
    const struct sweep *sweep = sweep_of(source);

    return sweep->has_file ? mf_input_wait_fd(&sweep->file.input) : -1;
}

static const struct mf_graph *no_graph(const struct mf_source *source)
{
    return NULL;
}

static const struct mf_source_ops ops = {
    .close = close_sweep,
    .summarize = summarize,
    .next = next_combination,
    .fd = wait_fd,
    .graph = no_graph,
    .load = load_combination,
};

/* Joins the words of the command as a shell would be given them. */
/* All tasks of a sweep have one text, so that it would name one of themselves. */
static int check_outs(const char *text, struct mf_error *err)
{
    size_t size = strlen(text);
    struct mf_out out;

    for (size_t at = 0; mf_outs_next(text, size, at, &out); at = mf_outs_behind(&out))
        if (!out.is_literal)
            return mf_error_set(err, -ENOTSUP,
                                "%.*s: the tasks of a sweep cannot take each other's output; use "
                                "a task file, or write \\{out: for these characters themselves",
                                (int)(out.size < 100 ? out.size : 100), text + out.offset);
    return 0;
}

static int join_command(struct sweep *sweep, const char *const *words, uint32_t n_words,
                        struct mf_error *err)
{
    struct mf_buffer text = {0};

    for (uint32_t i = 0; i < n_words; i++) {
        if (i > 0)
            mf_buffer_put_u8(&text, ' ');
        mf_buffer_append(&text, words[i], strlen(words[i]));
    }
    mf_buffer_put_u8(&text, '\0');
    if (mf_buffer_status(&text) < 0) {
        mf_buffer_finish(&text);
        return mf_error_set(err, -ENOMEM, "out of memory");
    }
    sweep->text = (char *)text.data;
    if (sweep->text[strspn(sweep->text, " \t\n")] == '\0')
        return mf_error_set(err, -EINVAL, "there is no command for the arguments");
    return check_outs(sweep->text, err);
}

/* Reads a file of arguments once, so that a bad line is found before anything starts. */
static int check_file(struct sweep *sweep, struct mf_error *err)
{
    const char *argument;
    int r;

    if (sweep->file.input.is_stream)
        return 0;
    do {
        mf_arena_clear(&sweep->arena);
        r = mf_argument_file_next(&sweep->file, &sweep->arena, &argument, err);
    } while (r == 0);
    mf_argument_file_rewind(&sweep->file);
    return r < 0 ? r : 0;
}

static int open_file(struct sweep *sweep, const char *path, struct mf_error *err)
{
    int r;

    sweep->path = strdup(path);
    if (!sweep->path)
        return mf_error_set(err, -ENOMEM, "out of memory");
    r = mf_argument_file_open(&sweep->file, sweep->path, err);
    if (r < 0)
        return r;
    sweep->has_file = true;
    sweep->n_values = 1;
    return check_file(sweep, err);
}

static int open_arguments(struct sweep *sweep, const char *const *words, uint32_t n_words,
                          struct mf_error *err)
{
    int r;

    if (n_words == 0)
        return open_file(sweep, "-", err);
    /* A single file need not be held in memory. */
    if (n_words == 2 && strcmp(words[0], "::::") == 0 && !mf_combinations_is_separator(words[1]))
        return open_file(sweep, words[1], err);
    r = mf_combinations_parse(&sweep->combinations, words, n_words, err);
    sweep->n_values = sweep->combinations.n_lists;
    return r;
}

/* Only with very long arguments can a command become too long: then makes them all to see. */
static int check_lengths(struct sweep *sweep, struct mf_error *err)
{
    size_t longest = sweep->has_file ? sweep->file.longest : sweep->combinations.longest;
    struct mf_source_summary summary;
    const struct mf_entry *entry;

    if (mf_template_bound(&sweep->template, longest, sweep->n_values) <= MF_ARGUMENT_BYTES_MAX)
        return 0;
    summarize(&sweep->source, &summary);
    for (uint64_t i = 0; i < summary.n_tasks; i++) {
        int r = load_combination(&sweep->source, i, &entry, err);

        if (r < 0)
            return r;
    }
    return 0;
}

static int open_sweep(struct sweep *sweep, const char *const *words, uint32_t n_words,
                      struct mf_error *err)
{
    uint32_t n_command = 0;
    int r;

    while (n_command < n_words && !mf_combinations_is_separator(words[n_command]))
        n_command++;
    r = join_command(sweep, words, n_command, err);
    if (r == 0)
        r = open_arguments(sweep, words + n_command, n_words - n_command, err);
    if (r < 0)
        return r;
    sweep->values = calloc(sweep->n_values + 1, sizeof(*sweep->values));
    if (!sweep->values)
        return mf_error_set(err, -ENOMEM, "out of memory");
    /* Files without a name after "::::" make no list, and so no task. */
    r = mf_template_init(&sweep->template, sweep->text, sweep->n_values, err);
    return r < 0 ? r : check_lengths(sweep, err);
}

int mf_source_open_sweep(const char *const *words, uint32_t n_words, struct mf_source **ret_source,
                         struct mf_error *err)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));
    int r;

    if (!sweep)
        return mf_error_set(err, -ENOMEM, "out of memory");
    *sweep = (struct sweep){.source.ops = &ops};
    r = open_sweep(sweep, words, n_words, err);
    if (r < 0) {
        mf_source_close(&sweep->source);
        return r;
    }
    *ret_source = &sweep->source;
    return 0;
}
