/*
 * The subcommand explain: why a task is not running, or why it failed. It
 * changes nothing and can be used while the run goes on.
 */
#include "cli/explain_private.h"
#include "cli/farming_private.h"
#include "cli/invocation.h"
#include "cli/subcommands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_RUN_DIR "mpifarm-run"

enum { OPTION_INPUT, OPTION_FORMAT, OPTION_MODULE, OPTION_RESOURCE };

static const struct mf_option options[] = {
    [OPTION_INPUT] = {.name = "input",
                      .value = "FILE",
                      .complete = MF_COMPLETE_FILE,
                      .help = "A task file of the run; all of them are given, in their order. It "
                              "tells which tasks there are, and what a task that has not ended "
                              "waits for. Without it those are read that the run was started "
                              "with."},
    [OPTION_FORMAT] = MF_FORMAT_OPTION,
    [OPTION_MODULE] = MF_SET_MODULE_OPTION,
    [OPTION_RESOURCE] = MF_SET_RESOURCE_OPTION,
};

/*
 * What was asked for.
 *
 * @inputs  n_inputs names of files, room for all words of the command line (owned)
 */
struct question {
    const char *run_dir;
    const char *task;
    const char **inputs;
    uint32_t n_inputs;
    struct mf_task_set_settings settings;
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct question *question = arg;
    int r;

    switch (index) {
    case OPTION_FORMAT:
        return mf_task_set_take_format(&question->settings, text, err);
    case OPTION_MODULE:
        return mf_task_set_take_module(&question->settings, text, err);
    case OPTION_RESOURCE:
        r = mf_resources_add(&question->settings.resources, text, err);
        return r < 0 ? mf_error_prefix(err, r, "--resource: ") : 0;
    default:
        question->inputs[question->n_inputs++] = text;
        return 0;
    }
}

static int take_operands(struct question *question, int n, char **words, struct mf_error *err)
{
    if (n > 2)
        return mf_error_set(err, -EINVAL, "usage: mpifarm explain %s",
                            mf_subcommand_explain.synopsis);
    question->run_dir = n > 0 ? words[0] : DEFAULT_RUN_DIR;
    question->task = n > 1 ? words[1] : NULL;
    if (question->n_inputs > 0 && !question->task)
        return mf_error_set(err, -EINVAL, "--input goes with a TASK; usage: mpifarm explain %s",
                            mf_subcommand_explain.synopsis);
    return 0;
}

/* --- the tasks of the run --- */

/* What `mpifarm run` was told, for reading its files as it did. */
static int make_settings(const struct mf_invocation *invocation,
                         const struct mf_farming_settings *farming,
                         struct mf_task_set_settings *settings)
{
    settings->format = farming->format;
    for (uint32_t i = 0; i < farming->rank.n_modules; i++) {
        const char *name = farming->modules[i];

        /* One without a slash is searched for where libraries are. */
        settings->modules[i] =
            strchr(name, '/') ? mf_invocation_path(invocation, name) : strdup(name);
        settings->n_modules += settings->modules[i] != NULL;
        if (!settings->modules[i])
            return -ENOMEM;
    }
    for (uint32_t i = 0; i < farming->resources.n; i++) {
        char text[MF_RESOURCE_NAME_BYTES + 16];
        struct mf_error ignored;

        snprintf(text, sizeof(text), "%s=%u", farming->resources.items[i].name,
                 farming->resources.items[i].count);
        (void)mf_resources_add(&settings->resources, text, &ignored);
    }
    return 0;
}

/* Standard input is gone. */
static int read_files(const struct mf_invocation *invocation,
                      const struct mf_task_set_settings *settings, char **words, uint32_t n,
                      struct mf_task_set *set)
{
    const char **files = calloc(n + 1, sizeof(*files));
    struct mf_error ignored;
    int r = files ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < n && r == 0; i++) {
        files[i] = mf_invocation_path(invocation, words[i]);
        r = strcmp(words[i], "-") == 0 ? -ENOENT : files[i] ? 0 : -ENOMEM;
    }
    if (r == 0)
        r = mf_task_set_read(set, settings, files, n, &ignored);
    for (uint32_t i = 0; i < n && files; i++)
        free((char *)files[i]);
    free(files);
    return r;
}

static int read_as_run(const struct mf_invocation *invocation, struct mf_task_set *set)
{
    struct mf_task_set_settings settings = {.attempts = 1};
    struct mf_farming_settings farming;
    struct mf_error ignored;
    int first = mf_farming_parse(&farming, &mf_subcommand_run, invocation->argc, invocation->argv,
                                 1, &ignored);
    int r = first < 0 ? first : make_settings(invocation, &farming, &settings);

    if (r == 0)
        r = read_files(invocation, &settings, invocation->argv + first,
                       (uint32_t)(invocation->argc - first), set);
    for (uint32_t i = 0; i < settings.n_modules; i++)
        free((char *)settings.modules[i]);
    return r;
}

/* Whether the tasks are known now as they were to the run, as far as its files are still there. */
static bool find_tasks(struct mf_explain *explain, struct mf_task_set *set)
{
    struct mf_invocation invocation = {0};
    bool is_known = false;

    if (mf_invocation_read(explain->journal, &invocation) < 0)
        return false;
    if (strcmp(invocation.argv[0], mf_subcommand_map.name) == 0)
        explain->n_numbered = explain->status.n_total;
    else
        is_known = read_as_run(&invocation, set) == 0;
    mf_invocation_finish(&invocation);
    return is_known;
}

static int answer_about_task(const struct question *question, struct mf_explain *explain,
                             struct mf_error *err)
{
    struct mf_task_set set = {0};
    bool is_known = question->n_inputs > 0;
    int r = 0;

    if (is_known)
        r = mf_task_set_read(&set, &question->settings, question->inputs, question->n_inputs, err);
    else if (!mf_explain_is_final(explain, mf_explain_find(explain, question->task)))
        is_known = find_tasks(explain, &set);
    if (r == 0)
        r = mf_explain_task(explain, is_known ? &set : NULL, question->task, stdout, err);
    mf_task_set_finish(&set);
    return r;
}

static int answer(const struct question *question, struct mf_error *err)
{
    struct mf_explain explain = {0};
    int r = mf_explain_open(&explain, question->run_dir, err);

    if (r == 0 && question->task)
        r = answer_about_task(question, &explain, err);
    else if (r == 0)
        r = mf_explain_run(&explain, stdout, err);
    mf_explain_finish(&explain);
    return r;
}

static int run_explain(struct mf_context *context, int argc, char **argv)
{
    struct question question = {.inputs = calloc((size_t)argc + 1, sizeof(char *)),
                                .settings = {.attempts = 1}};
    struct mf_error err = {0};
    int r = question.inputs
                ? mf_options_parse(&mf_subcommand_explain, argc, argv, set_option, &question, &err)
                : mf_error_set(&err, -ENOMEM, "out of memory");

    if (r >= 0)
        r = take_operands(&question, argc - r, argv + r, &err);
    if (r == 0)
        r = answer(&question, &err);
    free(question.inputs);
    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r < 0)
        mf_log_error(&context->log, "%s", err.text);
    return r < 0 ? MPIFARM_EXIT_USAGE : MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_explain = {
    .name = "explain",
    .synopsis = "[OPTION...] [RUN [TASK]]",
    .summary = "say why a task is not running, or why it failed",
    .description =
        "RUN is a run directory, mpifarm-run by default. Without TASK, prints how many tasks "
        "ended how, the causes of failure, most frequent first, each with a task for which it "
        "holds, and what was skipped because of which task.\n"
        "\n"
        "With TASK, an id or a line number, prints what became of it, and each of its attempts "
        "that ran. The journal has only attempts that ended: what a task that has not ended "
        "waits for is in the task files that the run was started with. Where they are not to be "
        "found any more, --input names them.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_DIR,
    .examples = "What went wrong, and how often?\n"
                "mpifarm explain mpifarm-run\n"
                "Why did task 17 fail?\n"
                "mpifarm explain mpifarm-run 17\n"
                "What does task fit wait for?\n"
                "mpifarm explain mpifarm-run fit\n"
                "The same where the task file was moved.\n"
                "mpifarm explain --input old/tasks.farm mpifarm-run fit",
    .run = run_explain,
};
