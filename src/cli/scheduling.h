/*
 * What options of several subcommands say about scheduling: policies and
 * placements.
 */
#ifndef MF_CLI_SCHEDULING_H
#define MF_CLI_SCHEDULING_H

#include "base/error.h"
#include "core/placement.h"
#include "core/policy.h"

/** The policy or placement of that name. Returns 0, or -EINVAL with a sentence. */
int mf_policy_parse(const char *name, const struct mf_policy **ret_policy, struct mf_error *err);
int mf_placement_parse(const char *name, const struct mf_placement **ret_placement,
                       struct mf_error *err);

#endif
