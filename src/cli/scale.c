/* The subcommand scale: more workers for a running farm, or fewer. */
#include "cli/asking.h"
#include "cli/subcommands.h"

#include <ctype.h>

/* "+4" or "-4", which is no option. */
static bool is_change(const char *word)
{
    return (word[0] == '+' || word[0] == '-') && isdigit((unsigned char)word[1]);
}

static int run_scale(struct mf_context *context, int argc, char **argv)
{
    struct mf_control_request request = {.verb = MF_CONTROL_SCALE, .n_names = 1};

    if (argc < 2 || argc > 3 || !is_change(argv[argc - 1]))
        return mf_asking_of_names(context, &mf_subcommand_scale, MF_CONTROL_SCALE, "way", argc,
                                  argv);
    request.names = (const char **)argv + argc - 1;
    return mf_asking_main(context, argc == 3 ? argv[1] : MF_DEFAULT_RUN_DIR, &request);
}

const struct mf_subcommand mf_subcommand_scale = {
    .name = "scale",
    .synopsis = "[RUN] +N|-N",
    .summary = "give a running farm more workers, or fewer",
    .description =
        "With -N, the N workers that came last get no more work, and leave when what they run has "
        "ended. With +N, up to N workers come in place of those that have left or were lost, on "
        "the cores that these had: those that are still there work again, others are started "
        "where mpirun allows it. RUN is the run directory, mpifarm-run by default.",
    .operands = MF_COMPLETE_DIR,
    .examples = "Others need a part of the nodes for a while.\n"
                "mpifarm scale mpifarm-run -4\n"
                "mpifarm scale mpifarm-run +4",
    .run = run_scale,
};
