/*
 * What the files of farming share:
 *
 *     farming_options.c  the options, from words to settings
 *     farming_launch.c   starting the ranks, where nobody has
 *     farming.c          the run with these settings
 */
#ifndef MF_CLI_FARMING_PRIVATE_H
#define MF_CLI_FARMING_PRIVATE_H

#include "cli/farming.h"
#include "cli/launching.h"
#include "cli/recovering.h"
#include "cli/resources.h"
#include "cli/scheduling.h"
#include "runtime/rank.h"

#define MF_MAX_MODULES 64

/**
 * The options as understood; texts are those of argv.
 *
 * @scheduler, @rank  what of it goes there; rank.modules is the modules here, so
 *                    settings stay where they are
 * @resources         countables of the run; scheduler.farm has their numbers
 * @shares            of groups, which scheduler.shares refers to
 * @name              of the subcommand
 * @launch_way, @n_ranks   of --launch and --np, 0 for what is best
 * @start_ns          how long ranks may take to find each other
 */
struct mf_farming_settings {
    struct mf_scheduler_config scheduler;
    struct mf_rank_config rank;
    const char *modules[MF_MAX_MODULES];
    enum mf_source_format format;
    struct mf_resources resources;
    struct mf_group_shares shares;
    const char *name;
    const char *run_dir;
    enum mf_launch_way launch_way;
    uint32_t n_ranks;
    int64_t start_ns;
    bool is_dry_run;
    bool is_forced;
    bool is_quiet;
    enum mf_progress_mode progress;
};

/**
 * mf_farming_parse() - settings from the words of the command line.
 *
 * @min_words  operands that there must be
 *
 * Returns the index of the first operand; -ECANCELED when --help was printed; or
 * another -errno with a sentence.
 */
int mf_farming_parse(struct mf_farming_settings *settings, const struct mf_subcommand *subcommand,
                     int argc, char **argv, int min_words, struct mf_error *err);

/**
 * mf_farming_check() - read task files that a run in a job is to read again, and check them whole.
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_farming_check(const struct mf_farming_settings *settings, char **files, int n_files,
                     struct mf_error *err);

/** Whether standard output and standard error can be written. Returns 0, or -EBADF with a sentence.
 */
int mf_farming_check_streams(struct mf_error *err);

/**
 * mf_farming_launch() - start the ranks, if that is what is to be done here, and await their end.
 *
 * @words  n_words operands; a pipe among them that no rank could open is replaced by "-"
 *
 * Returns 1 with the exit status of the run; 0 if this process is a rank, or alone; or -errno with
 * a sentence.
 */
int mf_farming_launch(struct mf_context *context, const struct mf_farming_settings *settings,
                      const struct mf_subcommand *subcommand, const struct mf_launch *launch,
                      char **words, int n_words, int *ret_status, struct mf_error *err);

#endif
