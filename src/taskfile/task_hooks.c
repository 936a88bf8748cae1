/*
 * Lines of a task file that are run by workers and not by the farm:
 * `#DISBATCH PERENGINE START|STOP command`. Their commands belong to the file.
 * One thread.
 */
#include "taskfile/task_file_private.h"

#include "taskfile/words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids of such commands: "START 12", where 12 is the line. */
#define HOOK_ID_BYTES 32

/* Appends room for one more. */
static int grow(struct mf_task_file *file)
{
    size_t n = file->n_hooks;
    struct mf_hook *hooks;

    /* Grows whenever the count reaches a power of two. */
    if ((n & (n - 1)) != 0)
        return 0;
    hooks = reallocarray(file->hooks, n ? n * 2 : 1, sizeof(*hooks));
    if (!hooks)
        return -ENOMEM;
    file->hooks = hooks;
    return 0;
}

/* The number that disBatch counts it by: among those of its kind, from 0. */
static uint64_t count_alike(const struct mf_task_file *file, bool is_stop)
{
    uint64_t n = 0;

    for (size_t i = 0; i < file->n_hooks; i++)
        n += file->hooks[i].is_stop == is_stop;
    return n;
}

/* The prefix and the suffix in force stand around it, as around a task. */
static int compose(const struct mf_cursor *cursor, const struct mf_disbatch *disbatch,
                   char **ret_text)
{
    struct mf_task_file *file = cursor->file;
    const struct mf_fields *fields =
        cursor->n_defaults > 0 ? &file->defaults[cursor->n_defaults - 1].fields : NULL;
    const char *prefix = fields && fields->prefix ? fields->prefix : "";
    const char *suffix = fields && fields->suffix ? fields->suffix : "";
    size_t n = strlen(prefix) + disbatch->size + strlen(suffix);
    char *text = mf_arena_alloc(&file->memory, n + 1);

    if (!text)
        return -ENOMEM;
    snprintf(text, n + 1, "%s%.*s%s", prefix, (int)disbatch->size, disbatch->text, suffix);
    *ret_text = text;
    return 0;
}

static int make_command(struct mf_task_file *file, const struct mf_line *line, const char *text,
                        struct mf_hook *hook)
{
    struct mf_fields fields = {0};
    struct mf_disbatch_task told = {
        .file = file->input.name,
        .run_name = file->options ? file->options->run_name : NULL,
        .line = line->number,
        .task = count_alike(file, hook->is_stop),
    };
    char *id = mf_arena_alloc(&file->memory, HOOK_ID_BYTES);

    if (!id || mf_words_to_bash(text, strlen(text), &file->memory, &hook->command) < 0 ||
        mf_disbatch_add_env(&fields, &told, &file->memory) < 0)
        return -ENOMEM;
    snprintf(id, HOOK_ID_BYTES, "%s %llu", hook->is_stop ? "STOP" : "START",
             (unsigned long long)line->number);
    hook->command.id = hook->command.tag = id;
    hook->command.n_env = fields.n_env;
    hook->command.env = fields.env;
    return 0;
}

static int add_hook(struct mf_cursor *cursor, const struct mf_line *line,
                    const struct mf_disbatch *disbatch, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;
    struct mf_hook hook = {.line = line->number, .is_stop = disbatch->is_stop};
    char *text;
    int r;

    if (compose(cursor, disbatch, &text) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    if (text[strspn(text, " \t")] == '\0')
        return mf_error_set(err, -EINVAL, "#DISBATCH PERENGINE %s has no command",
                            disbatch->is_stop ? "STOP" : "START");
    r = mf_words_check_length("command", strlen(text), err);
    if (r < 0)
        return r;
    if (grow(file) < 0 || make_command(file, line, text, &hook) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    file->hooks[file->n_hooks++] = hook;
    return 0;
}

int mf_cursor_pass_hook(struct mf_cursor *cursor, const struct mf_line *line,
                        const struct mf_disbatch *disbatch, struct mf_error *err)
{
    struct mf_task_file *file = cursor->file;

    if (file->n_hooks > 0 && file->hooks[file->n_hooks - 1].line >= line->number)
        return 0;
    if (file->is_known)
        return mf_error_set(err, -EINVAL, "this line was not here before");
    if (file->input.is_stream)
        return mf_error_set(err, -ENOTSUP,
                            "#DISBATCH PERENGINE must be known before the run, which standard "
                            "input and pipes do not give: put the tasks into a file");
    if (cursor->task > 0)
        return mf_error_set(err, -EINVAL,
                            "#DISBATCH PERENGINE must stand before the first task of the file");
    return add_hook(cursor, line, disbatch, err);
}
