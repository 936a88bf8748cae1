/*
 * What options of several subcommands say about scheduling: policies and their
 * parameters, how a policy suspends tasks, and placements.
 */
#ifndef MF_CLI_SCHEDULING_H
#define MF_CLI_SCHEDULING_H

#include "base/error.h"
#include "cli/cli.h"
#include "core/farm.h"
#include "core/placement.h"
#include "core/policy.h"
#include "runtime/sim.h"

/** The policy or placement of that name. Returns 0, or -EINVAL with a sentence. */
int mf_policy_parse(const char *name, const struct mf_policy **ret_policy, struct mf_error *err);
int mf_placement_parse(const char *name, const struct mf_placement **ret_placement,
                       struct mf_error *err);

/** For tables of options: what the parsers below read. */
#define MF_AGEING_OPTION                                                                           \
    {                                                                                              \
        .name = "ageing", .value = "WEIGHT[,WINDOW[,SATURATION]]",                                 \
        .help = "What waiting adds to a priority under --policy priority: WEIGHT at the most, "    \
                "along a logistic curve, half of it after about WINDOW; SATURATION, in windows, "  \
                "is how long that half takes to come. The default is 10,1h,0.25; with 0 waiting "  \
                "adds nothing."                                                                    \
    }
#define MF_SHARE_OPTION                                                                            \
    {                                                                                              \
        .name = "share", .value = "NAME=N",                                                        \
        .help = "Under --policy fair, tasks with group=NAME get N times as much slot time as a "   \
                "group that no share is given of, as in --share production=3. May be repeated."    \
    }

/** Reads "20" or "20,30m" or "20,30m,0.1" for priority. Returns 0, or -errno with a sentence. */
int mf_ageing_parse(const char *text, struct mf_policy_settings *settings, struct mf_error *err);

#define MF_GROUP_SHARES_MAX 256

/** What --share says, n times; names are those of the command line. Starts as {0}. */
struct mf_group_shares {
    struct mf_group_share items[MF_GROUP_SHARES_MAX];
    uint32_t n;
};

/** Reads "NAME=N" for fair. Returns 0, or -errno with a sentence. */
int mf_group_shares_add(struct mf_group_shares *shares, const char *text, struct mf_error *err);

/** Options about that, the same for a run and for simulate. */
#define MF_QUANTUM_OPTION                                                                          \
    {                                                                                              \
        .name = "quantum", .value = "TIME",                                                        \
        .help = "Under --policy rr, how long a task runs while others wait before it is the next " \
                "one's turn: 1ms or more. The default is 100ms."                                   \
    }
#define MF_MAX_SUSPENDED_OPTION                                                                    \
    {                                                                                              \
        .name = "max-suspended", .value = "N",                                                     \
        .help = "Under --policy rr or srtf, suspend at most N tasks for each slot, as they keep "  \
                "their memory, and functions their process. Further tasks begin when some of "     \
                "those have ended. The default is "                                                \
                "15."                                                                              \
    }

/** The values of these options, into what a farm goes by. Return 0, or -EINVAL with a sentence. */
int mf_quantum_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err);
int mf_max_suspended_parse(const char *text, struct mf_farm_config *farm, struct mf_error *err);

/**
 * mf_suspending_check() - once all options are read: are these two about a policy that is used?
 *
 * @has_turns, @preempts  some policy that is used has turns, or suspends tasks
 *
 * Fills in what was not given. Returns 0, or -EINVAL with a sentence.
 */
int mf_suspending_check(struct mf_farm_config *farm, bool has_turns, bool preempts,
                        struct mf_error *err);

#endif
