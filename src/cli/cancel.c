/* The subcommand cancel: tasks of a running farm that need not be run any more. */
#include "cli/asking.h"
#include "cli/subcommands.h"

static int run_cancel(struct mf_context *context, int argc, char **argv)
{
    return mf_asking_of_names(context, &mf_subcommand_cancel, MF_CONTROL_CANCEL, "task", argc,
                              argv);
}

const struct mf_subcommand mf_subcommand_cancel = {
    .name = "cancel",
    .synopsis = "RUN TASK...",
    .summary = "withdraw tasks of a running farm",
    .description =
        "Withdraws tasks, named by their ids (line numbers, where they have none): what waits is "
        "not started, what runs is ended, and what comes after it is skipped. A task that is still "
        "unread in the input is withdrawn when it comes. RUN is the run directory.\n"
        "\n"
        "What became of each is printed. If one is of no task, or had ended, nothing is changed "
        "for "
        "it; the exit status is 1 for ids that no task has.\n"
        "\n"
        "The run then ends with status 3, and --resume runs these tasks after all.",
    .operands = MF_COMPLETE_DIR,
    .examples = "Tasks 17 and fit need not be run.\n"
                "mpifarm cancel mpifarm-run 17 fit",
    .run = run_cancel,
};
