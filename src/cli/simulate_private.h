/*
 * What the files of the subcommand simulate share. Nobody else includes it.
 *
 *   simulate.c          reads tasks, simulates them under each policy
 *   simulate_options.c  the options, from words to settings
 *   simulate_table.c    what is printed
 */
#ifndef MF_CLI_SIMULATE_PRIVATE_H
#define MF_CLI_SIMULATE_PRIVATE_H

#include "cli/cli.h"
#include "cli/task_set.h"
#include "runtime/sim.h"

#define MF_SIMULATE_POLICIES_MAX 64
#define MF_SIMULATE_N_OPTIONS 23

extern const struct mf_option mf_simulate_options[MF_SIMULATE_N_OPTIONS];

/**
 * The options as understood.
 *
 * @sim         all but policy and trace; groups are owned by the settings
 * @policies    n_policies to compare
 * @trace       file for the timeline, NULL for none
 * @arrivals_per_s  of a stream of arrivals, 0 where all tasks are there at the start
 */
struct mf_simulate_settings {
    struct mf_task_set_settings input;
    struct mf_sim_config sim;
    struct mf_sim_group *groups;
    const struct mf_policy *policies[MF_SIMULATE_POLICIES_MAX];
    uint32_t n_policies;
    const char *trace;
    double arrivals_per_s;
};

/**
 * mf_simulate_parse() - settings from the words of the command line; to be finished in any case.
 *
 * Returns the index of the first operand, -ECANCELED when --help was printed, or another
 * -errno with a sentence.
 */
int mf_simulate_parse(struct mf_simulate_settings *settings, int argc, char **argv,
                      struct mf_error *err);
void mf_simulate_settings_finish(struct mf_simulate_settings *settings);

/** Workers and slots of all groups. */
uint64_t mf_simulate_n_workers(const struct mf_simulate_settings *settings);
uint64_t mf_simulate_n_slots(const struct mf_simulate_settings *settings);

/** Prints all that is told of one result for each policy, and the lines of what auto chose. */
void mf_simulate_print(const struct mf_simulate_settings *settings, const struct mf_task_set *set,
                       const struct mf_sim_result *results, const struct mf_buffer *chosen);

#endif
