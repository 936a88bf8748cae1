/* Looking at the tasks of a run of which none is run: printing them, and checking them. No state.
 */
#include "cli/farming_private.h"

#include "base/command.h"
#include "exec/modules.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int print_command(const struct mf_entry *entry, struct mf_buffer *line)
{
    mf_buffer_clear(line);
    mf_command_print(&entry->command, line);
    mf_buffer_put_u8(line, '\n');
    if (mf_buffer_status(line) < 0)
        return mf_buffer_status(line);
    return fwrite(line->data, 1, line->size, stdout) == line->size ? 0 : -errno;
}

/* What workers run once is no command of the farm: it stands there as comments. */
static int print_hooks(struct mf_source *source, struct mf_error *err)
{
    struct mf_buffer lines = {0};
    const struct mf_hook *hook;
    int r;

    for (size_t i = 0; (hook = mf_source_hook(source, i)); i++) {
        mf_buffer_print(&lines, "# PERENGINE %s: ", hook->is_stop ? "STOP" : "START");
        mf_command_print(&hook->command, &lines);
        mf_buffer_put_u8(&lines, '\n');
    }
    r = mf_buffer_status(&lines);
    if (r == 0 && lines.size > 0 && fwrite(lines.data, 1, lines.size, stdout) < lines.size)
        r = -errno;
    mf_buffer_finish(&lines);
    return r < 0 ? mf_error_set(err, r, "cannot print the commands: %s", strerror(-r)) : 0;
}

static int print_commands(struct mf_source *source, struct mf_error *err)
{
    const struct mf_entry *entry;
    struct mf_buffer line = {0};
    int r;

    while ((r = mf_source_await(source, &entry, err)) == 0) {
        r = print_command(entry, &line);
        if (r < 0) {
            mf_error_set(err, r, "cannot print the commands: %s", strerror(-r));
            break;
        }
    }
    mf_buffer_finish(&line);
    return r < 0 ? r : 0;
}

struct mf_source_options mf_farming_source_options(const struct mf_farming_settings *settings,
                                                   const struct mf_function_names *functions)
{
    const char *slash = strrchr(settings->run_dir, '/');

    return (struct mf_source_options){
        .functions = functions->arg ? functions : NULL,
        .format = settings->format,
        .countables = settings->resources.items,
        .n_countables = settings->resources.n,
        .run_name = slash ? slash + 1 : settings->run_dir,
    };
}

static int open_tasks(const struct mf_farming_settings *settings,
                      const struct mf_farming_input *input,
                      const struct mf_function_names *functions, struct mf_source_options *options,
                      struct mf_source **ret_source, struct mf_error *err)
{
    *options = mf_farming_source_options(settings, functions);
    return input->open((const char *const *)input->words, (uint32_t)input->n_words, options,
                       ret_source, err);
}

/* Opens the tasks, and calls fn with them: none is run. */
static int look_at_tasks(const struct mf_farming_settings *settings,
                         const struct mf_farming_input *input,
                         int (*fn)(struct mf_source *source, struct mf_error *err),
                         struct mf_error *err)
{
    struct mf_function_names functions = {.check = mf_modules_check};
    struct mf_source_options options;
    struct mf_modules *modules = NULL;
    struct mf_source *source = NULL;
    int r = 0;

    if (settings->rank.n_modules > 0)
        r = mf_modules_load(settings->modules, settings->rank.n_modules, false, &modules, err);
    functions.arg = modules;
    if (r == 0)
        r = open_tasks(settings, input, &functions, &options, &source, err);
    if (r == 0)
        r = fn(source, err);
    mf_source_close(source);
    mf_modules_destroy(modules);
    return r;
}

static int print_tasks(struct mf_source *source, struct mf_error *err)
{
    int r = print_hooks(source, err);

    return r < 0 ? r : print_commands(source, err);
}

int mf_farming_dry_run(struct mf_context *context, const struct mf_farming_settings *settings,
                       const struct mf_farming_input *input)
{
    struct mf_error err = {0};
    int r = look_at_tasks(settings, input, print_tasks, &err);

    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

static int refuse_pipe(struct mf_error *err)
{
    return mf_error_set(err, -EINVAL,
                        "a job cannot read standard input and other pipes of where it is "
                        "submitted: put the tasks into a file");
}

static int refuse_stream(struct mf_source *source, struct mf_error *err)
{
    struct mf_source_summary summary;

    mf_source_summarize(source, &summary);
    return summary.is_counted ? 0 : refuse_pipe(err);
}

int mf_farming_check(const struct mf_farming_settings *settings, char **files, int n_files,
                     struct mf_error *err)
{
    struct mf_farming_input input = {
        .open = mf_source_open_files, .words = files, .n_words = n_files};

    for (int i = 0; i < n_files; i++)
        if (strcmp(files[i], "-") == 0)
            return refuse_pipe(err);
    return look_at_tasks(settings, &input, refuse_stream, err);
}

/* Modules may need what only nodes of ranks have: whether there is a function is found there. */
static int accept_function(void *arg, const char *name, struct mf_error *err)
{
    return 0;
}

int mf_farming_preview(const struct mf_farming_settings *settings,
                       const struct mf_farming_input *input, struct mf_error *err)
{
    bool has_modules = settings->rank.n_modules > 0;
    struct mf_function_names functions = {.check = accept_function,
                                          .arg = has_modules ? &functions : NULL};
    struct mf_source_options options;
    struct mf_source *source = NULL;
    int r = open_tasks(settings, input, &functions, &options, &source, err);

    mf_source_close(source);
    return r;
}
