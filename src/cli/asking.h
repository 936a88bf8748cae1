/* Asking something of a running farm: what the subcommands of its control channel share. */
#ifndef MF_CLI_ASKING_H
#define MF_CLI_ASKING_H

#include "cli/cli.h"
#include "control/control.h"

/** What a subcommand works on when no run directory is named. */
#define MF_DEFAULT_RUN_DIR "mpifarm-run"

/** Asks, and prints the answer. Returns the exit status. */
int mf_asking_main(struct mf_context *context, const char *run_dir,
                   const struct mf_control_request *request);

/** Logs a sentence about wrong words. Returns the exit status. */
int mf_asking_refuse(struct mf_context *context, const struct mf_error *err);

/** An mf_option_fn for subcommands without options. */
int mf_asking_set_no_option(void *arg, size_t index, const char *text, struct mf_error *err);

/**
 * mf_asking_of_names() - run a subcommand "RUN NAME...": options first, of which there are none.
 *
 * @what   one of the names, for the sentence when there is none
 */
int mf_asking_of_names(struct mf_context *context, const struct mf_subcommand *subcommand,
                       enum mf_control_verb verb, const char *what, int argc, char **argv);

#endif
