/* What --resource NAME=NUMBER says: the countables of a run. */
#ifndef MF_CLI_RESOURCES_H
#define MF_CLI_RESOURCES_H

#include "taskfile/source.h"

#define MF_RESOURCE_NAME_BYTES 64

/** n countables, whose names lie beside them: stays where it is. Starts as {0}. */
struct mf_resources {
    struct mf_countable items[MF_N_COUNTABLES];
    char names[MF_N_COUNTABLES][MF_RESOURCE_NAME_BYTES];
    uint32_t n;
};

/**
 * mf_resources_add() - take in one more.
 *
 * @text  NAME=NUMBER; as task files tell such keys from others by a ".", the name has one
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_resources_add(struct mf_resources *resources, const char *text, struct mf_error *err);

/** Writes how many of each there are, in the order of struct mf_needs. */
void mf_resources_count(const struct mf_resources *resources, uint32_t ret_counts[MF_N_COUNTABLES]);

#endif
