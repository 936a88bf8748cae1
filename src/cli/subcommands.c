/* The list of subcommands, in the order of the overview. */
#include "cli/subcommands.h"

const struct mf_subcommand *const mf_subcommands[] = {
    &mf_subcommand_run,      &mf_subcommand_map,     &mf_subcommand_batch,
    &mf_subcommand_logs,     &mf_subcommand_explain, &mf_subcommand_check,
    &mf_subcommand_simulate, &mf_subcommand_status,  &mf_subcommand_stop,
    &mf_subcommand_cancel,   &mf_subcommand_drain,   &mf_subcommand_scale,
    &mf_subcommand_topo,     &mf_subcommand_help,    NULL,
};
