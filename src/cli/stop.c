/* The subcommand stop: an orderly end of a running farm, as by a signal to it. */
#include "cli/asking.h"
#include "cli/subcommands.h"

#include <errno.h>

enum { OPTION_NOW };

static const struct mf_option options[] = {
    [OPTION_NOW] = {.name = "now", .help = "End the running tasks, too."},
};

static int set_option(void *arg, size_t index, const char *text, struct mf_error *err)
{
    struct mf_control_request *request = arg;

    request->is_now = true;
    return 0;
}

static int run_stop(struct mf_context *context, int argc, char **argv)
{
    struct mf_control_request request = {.verb = MF_CONTROL_STOP};
    struct mf_error err = {0};
    int r = mf_options_parse(&mf_subcommand_stop, argc, argv, set_option, &request, &err);

    if (r == -ECANCELED)
        return MPIFARM_EXIT_DONE;
    if (r >= 0 && argc - r > 1)
        r = mf_error_set(&err, -EINVAL, "\"%.100s\" is one word too many", argv[r + 1]);
    if (r < 0)
        return mf_asking_refuse(context, &err);
    return mf_asking_main(context, r < argc ? argv[r] : MF_DEFAULT_RUN_DIR, &request);
}

const struct mf_subcommand mf_subcommand_stop = {
    .name = "stop",
    .synopsis = "[--now] [RUN]",
    .summary = "stop a running farm in order",
    .description =
        "Nothing new is started; running tasks may end. With --now they are ended. It is what the "
        "first and the second SIGTERM do, from any shell of the same user on the node of rank 0. "
        "RUN is the run directory, mpifarm-run by default.\n"
        "\n"
        "The run ends with status 3, and --resume continues it.",
    .options = options,
    .n_options = sizeof(options) / sizeof(options[0]),
    .operands = MF_COMPLETE_DIR,
    .examples = "Let the running tasks end.\n"
                "mpifarm stop mpifarm-run",
    .run = run_stop,
};
