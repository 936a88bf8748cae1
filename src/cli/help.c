/* The subcommand help: the overview, one subcommand, the man page, completion. */
#include "cli/manual.h"
#include "cli/subcommands.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { OPTION_MAN, OPTION_COMPLETION };

static const struct mf_option options[] = {
    [OPTION_MAN] = {.name = "man", .help = "Print the man page mpifarm(1) in roff."},
    [OPTION_COMPLETION] = {.name = "completion",
                           .value = "SHELL",
                           .help = "Print completion for SHELL: bash or zsh."},
};

enum form { FORM_TEXT, FORM_MAN, FORM_BASH, FORM_ZSH };

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    enum form *form = arg;

    if (index == OPTION_MAN)
        *form = FORM_MAN;
    else if (strcmp(text, "bash") == 0)
        *form = FORM_BASH;
    else if (strcmp(text, "zsh") == 0)
        *form = FORM_ZSH;
    else
        return mf_error_set(err, -EINVAL, "no completion for \"%.100s\"; there is bash and zsh",
                            text);
    return 0;
}

static int print_text(const char *name, FILE *file, struct mf_error *err)
{
    const struct mf_subcommand *subcommand;

    if (!name) {
        mf_usage_overview(mf_subcommands, mf_usage_columns(file), file);
        return 0;
    }
    subcommand = mf_subcommand_find(mf_subcommands, name);
    if (!subcommand)
        return mf_subcommand_refuse(mf_subcommands, name, err);
    mf_usage_subcommand(subcommand, mf_usage_columns(file), file);
    return 0;
}

static int print_form(enum form form, const char *name, FILE *file, struct mf_error *err)
{
    if (name && form != FORM_TEXT)
        return mf_error_set(err, -EINVAL, "\"%.100s\" is one word too many", name);

    switch (form) {
    case FORM_TEXT:
        return print_text(name, file, err);
    case FORM_MAN:
        mf_man_page(mf_subcommands, MF_VERSION, file);
        return 0;
    case FORM_BASH:
        mf_completion_bash(mf_subcommands, file);
        return 0;
    case FORM_ZSH:
        mf_completion_zsh(mf_subcommands, file);
        return 0;
    }
    return 0;
}

static int run_help(struct mf_context *context, int argc, char **argv)
{
    enum form form = FORM_TEXT;
    struct mf_error err = {0};
    int r = mf_options_parse(&mf_subcommand_help, argc, argv, set_option, &form, &err);

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r >= 0 && argc - r > 1)
        r = mf_error_set(&err, -EINVAL, "\"%.100s\" is one word too many", argv[r + 1]);
    if (r >= 0)
        r = print_form(form, argv[r], stdout, &err);
    if (r < 0) {
        mf_log_error(&context->log, "%s", err.text);
        return MPIFARM_EXIT_USAGE;
    }
    return MPIFARM_EXIT_DONE;
}

const struct mf_subcommand mf_subcommand_help = {
    .name = "help",
    .synopsis = "[OPTION] [SUBCOMMAND]",
    .summary = "tell about mpifarm or one of its subcommands",
    .description = "Without an argument, lists the subcommands and what holds for all of them. "
                   "With one, tells all about it; \"mpifarm SUBCOMMAND --help\" does the same.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_SUBCOMMAND,
    .examples = "All about running a list of commands.\n"
                "mpifarm help run\n"
                "Completion in this shell.\n"
                "source <(mpifarm help --completion bash)",
    .run = run_help,
};
