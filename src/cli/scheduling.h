/*
 * What options of several subcommands say about scheduling: policies,
 * placements, and the countables that a run has.
 */
#ifndef MF_CLI_SCHEDULING_H
#define MF_CLI_SCHEDULING_H

#include "base/error.h"
#include "core/placement.h"
#include "core/policy.h"
#include "taskfile/source.h"

/** Room for a --resource option's name. */
#define MF_COUNTABLE_NAME_SIZE 64

/** Countables by the number that they have in struct mf_needs. Starts as {0}. */
struct mf_countables {
    struct mf_countable items[MF_N_COUNTABLES];
    char names[MF_N_COUNTABLES][MF_COUNTABLE_NAME_SIZE];
    uint32_t n;
};

/** The policy or placement of that name. Returns 0, or -EINVAL with a sentence. */
int mf_policy_parse(const char *name, const struct mf_policy **ret_policy, struct mf_error *err);
int mf_placement_parse(const char *name, const struct mf_placement **ret_placement,
                       struct mf_error *err);

/**
 * mf_countables_add() - one more countable, as "licence.matlab=4".
 *
 * Pointers in items lead into countables, so that it stays where it is.
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_countables_add(struct mf_countables *countables, const char *text, struct mf_error *err);

/** The option that is understood by mf_countables_add(), for tables of options. */
#define MF_RESOURCE_OPTION                                                                         \
    {                                                                                              \
        .name = "resource", .value = "NAME=N",                                                     \
        .help = "The run has N of something that tasks ask for, as in \"[licence.matlab=1]\". "    \
                "NAME has a dot in it. May be repeated."                                           \
    }

#endif
