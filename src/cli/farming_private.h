/*
 * What the files of farming share:
 *
 *     farming_options.c  the options, from words to settings
 *     farming_look.c     looking at tasks without a run
 *     farming_launch.c   starting the ranks, where nobody has
 *     farming_run.c      the run, where it is scheduled
 *     farming.c          what each rank does
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

/** Where tasks come from: n_words operands, and how to make a source of them. */
struct mf_farming_input {
    mf_open_source_fn open;
    char **words;
    int n_words;
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

/** What there is to know of the run for those who read its tasks. Borrows from both; functions
 * whose arg is NULL are none. */
struct mf_source_options mf_farming_source_options(const struct mf_farming_settings *settings,
                                                   const struct mf_function_names *functions);

/** Prints the commands and runs nothing. Returns the exit status. */
int mf_farming_dry_run(struct mf_context *context, const struct mf_farming_settings *settings,
                       const struct mf_farming_input *input);

/**
 * mf_farming_check() - read task files that a run in a job is to read again, and check them whole.
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_farming_check(const struct mf_farming_settings *settings, char **files, int n_files,
                     struct mf_error *err);

/**
 * mf_farming_preview() - check all tasks of a run whose ranks are to be started.
 *
 * Whether there are the functions that they call is not known here. O(input).
 *
 * @input  can be read again
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_farming_preview(const struct mf_farming_settings *settings,
                       const struct mf_farming_input *input, struct mf_error *err);

/** Whether standard output and standard error can be written. Returns 0, or -EBADF with a sentence.
 */
int mf_farming_check_streams(struct mf_error *err);

/**
 * mf_farming_launch() - start the ranks, if that is what is to be done here, and await their end.
 *
 * @input  a pipe among its words that no rank could open is replaced by "-"
 *
 * Returns 1 with the exit status of the run; 0 if this process is a rank, or alone; or -errno with
 * a sentence.
 */
int mf_farming_launch(struct mf_context *context, const struct mf_farming_settings *settings,
                      const struct mf_subcommand *subcommand, const struct mf_launch *launch,
                      const struct mf_farming_input *input, int *ret_status, struct mf_error *err);

/** Runs the farm in this rank, which is to schedule. Returns the exit status; or -errno if a run
 * could not be taken over. */
int mf_farming_schedule(struct mf_context *context, struct mf_rank *rank,
                        struct mf_farming_settings *settings, const struct mf_farming_input *input);

/** Goes on with a run whose scheduler is gone. Returns the exit status, or -errno: this rank stays
 * a worker. */
int mf_farming_take_over(struct mf_context *context, struct mf_rank *rank,
                         const struct mf_farming_settings *settings,
                         const struct mf_farming_input *input);

#endif
