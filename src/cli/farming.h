/*
 * What `mpifarm run` and `mpifarm map` share: their options, and running the
 * farm. They differ only in where tasks come from.
 */
#ifndef MF_CLI_FARMING_H
#define MF_CLI_FARMING_H

#include "cli/cli.h"
#include "taskfile/source.h"

/** The option table of both subcommands, and behind it what is for task files alone. */
#define MF_N_FARMING_OPTIONS 40
#define MF_N_RUN_OPTIONS (MF_N_FARMING_OPTIONS + 4)
extern const struct mf_option mf_farming_options[MF_N_RUN_OPTIONS];

/** What files are written in: an option for the tables of all subcommands that read tasks. */
#define MF_FORMAT_OPTION                                                                           \
    {                                                                                              \
        .name = "format", .value = "FORMAT",                                                       \
        .help = "\"wfformat\" reads one workflow in WfFormat 1.5, the JSON of WfCommons; "         \
                "\"auto\", the default, task files and JSON Lines."                                \
    }

/** How to make a source of the operands: as mf_source_open_files(). */
typedef int (*mf_open_source_fn)(const char *const *words, uint32_t n_words,
                                 const struct mf_source_options *options,
                                 struct mf_source **ret_source, struct mf_error *err);

/**
 * mf_farming_main() - parse the options and run the farm.
 *
 * @subcommand  whose table is mf_farming_options
 * @open        how to make a source of the operands
 * @min_words   how many operands there must be
 *
 * Returns the exit status.
 */
int mf_farming_main(struct mf_context *context, const struct mf_subcommand *subcommand, int argc,
                    char **argv, mf_open_source_fn open_source, int min_words);

#endif
