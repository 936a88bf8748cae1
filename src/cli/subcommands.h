/* The subcommands, each defined in the file of its name, and finding one. */
#ifndef MF_CLI_SUBCOMMANDS_H
#define MF_CLI_SUBCOMMANDS_H

#include "cli/cli.h"
#include "cli/manual.h"

extern const struct mf_subcommand mf_subcommand_run;
extern const struct mf_subcommand mf_subcommand_map;
extern const struct mf_subcommand mf_subcommand_batch;
extern const struct mf_subcommand mf_subcommand_logs;
extern const struct mf_subcommand mf_subcommand_explain;
extern const struct mf_subcommand mf_subcommand_check;
extern const struct mf_subcommand mf_subcommand_simulate;
extern const struct mf_subcommand mf_subcommand_status;
extern const struct mf_subcommand mf_subcommand_stop;
extern const struct mf_subcommand mf_subcommand_cancel;
extern const struct mf_subcommand mf_subcommand_drain;
extern const struct mf_subcommand mf_subcommand_scale;
extern const struct mf_subcommand mf_subcommand_topo;
extern const struct mf_subcommand mf_subcommand_help;

/** The subcommand of that name, or NULL. */
const struct mf_subcommand *mf_subcommand_find(mf_subcommand_list list, const char *name);

/** Returns -EINVAL with a sentence that names the nearest subcommand, if one is near. */
int mf_subcommand_refuse(mf_subcommand_list list, const char *name, struct mf_error *err);

#endif
