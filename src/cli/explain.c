/*
 * The subcommand explain: why a task is not running, or why it failed. It
 * changes nothing and can be used while the run goes on.
 */
#include "cli/explain_private.h"
#include "cli/subcommands.h"

#include <errno.h>
#include <stdlib.h>

#define DEFAULT_RUN_DIR "mpifarm-run"

enum { OPTION_INPUT, OPTION_FORMAT, OPTION_MODULE, OPTION_RESOURCE };

static const struct mf_option options[] = {
    [OPTION_INPUT] = {.name = "input",
                      .value = "FILE",
                      .complete = MF_COMPLETE_FILE,
                      .help = "A task file of the run; all of them are given, in their order. It "
                              "tells which tasks there are, and what a task that has not ended "
                              "waits for."},
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

static int answer_about_task(const struct question *question, struct mf_explain *explain,
                             struct mf_error *err)
{
    struct mf_task_set set = {0};
    bool has_set = question->n_inputs > 0;
    int r = 0;

    if (has_set)
        r = mf_task_set_read(&set, &question->settings, question->inputs, question->n_inputs, err);
    if (r == 0)
        r = mf_explain_task(explain, has_set ? &set : NULL, question->task, stdout, err);
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
        "waits for is in the task files, which --input names.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_DIR,
    .examples = "What went wrong, and how often?\n"
                "mpifarm explain mpifarm-run\n"
                "Why did task 17 fail?\n"
                "mpifarm explain mpifarm-run 17\n"
                "What does task fit wait for?\n"
                "mpifarm explain --input tasks.farm mpifarm-run fit",
    .run = run_explain,
};
