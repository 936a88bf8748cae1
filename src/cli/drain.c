/* The subcommand drain: workers of a running farm that shall get no more work. */
#include "cli/asking.h"
#include "cli/subcommands.h"

static int run_drain(struct mf_context *context, int argc, char **argv)
{
    return mf_asking_of_names(context, &mf_subcommand_drain, MF_CONTROL_DRAIN, "worker", argc,
                              argv);
}

const struct mf_subcommand mf_subcommand_drain = {
    .name = "drain",
    .synopsis = "RUN RANK|HOST...",
    .summary = "give workers of a running farm no more work",
    .description =
        "What these workers run may end; what was only sent to them goes to others. A worker is "
        "named by its rank, or all of a node by its host name. The last one cannot be drained: "
        "mpifarm stop does that.",
    .operands = MF_COMPLETE_DIR,
    .examples = "Node n3 shall be free soon.\n"
                "mpifarm drain mpifarm-run n3",
    .run = run_drain,
};
