/* Names that are numbered 1, 2, 3, ... as they come up: groups, kinds of commands. */
#ifndef MF_TASKFILE_NAMES_H
#define MF_TASKFILE_NAMES_H

#include <stddef.h>
#include <stdint.h>

struct mf_table;

/** Starts as {0}. */
struct mf_names {
    struct mf_table *numbers;
    char **texts;
    uint32_t n, capacity;
};

void mf_names_finish(struct mf_names *names);

/**
 * mf_names_number() - the number of a name, a new one if it did not come up before.
 *
 * @max  how many names are told apart; 0 is the number of all further ones, and of the empty one
 *
 * O(1), and memory for each new name. Returns 0 or -ENOMEM.
 */
int mf_names_number(struct mf_names *names, const char *text, size_t size, uint32_t max,
                    uint32_t *ret_number);

/** The name of a number; NULL for 0. */
const char *mf_names_text(const struct mf_names *names, uint32_t number);

#endif
