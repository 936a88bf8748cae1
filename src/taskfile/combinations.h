/* Lists of arguments and all their combinations. */
#ifndef MF_TASKFILE_COMBINATIONS_H
#define MF_TASKFILE_COMBINATIONS_H

#include "base/error.h"
#include "taskfile/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** One list: of `:::`, or of one file of `::::`. */
struct mf_argument_list {
    bool is_linked;
    const char **items;
    size_t n_items, capacity;
};

/**
 * Lists, and the memory of what is in them. Starts as {0}.
 *
 * @n_combinations  how many there are
 * @longest         bytes of the longest argument
 */
struct mf_combinations {
    struct mf_argument_list *lists;
    uint32_t n_lists;
    uint64_t n_combinations;
    size_t longest;
    struct mf_arena arena;
};

void mf_combinations_finish(struct mf_combinations *combinations);

/**
 * mf_combinations_parse() - read `::: ARGS... :::+ ARGS... :::: FILE...`.
 *
 * @words  n_words of them, the first of which is one of the separators
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_combinations_parse(struct mf_combinations *combinations, const char *const *words,
                          uint32_t n_words, struct mf_error *err);

/** Whether a word begins a list. */
bool mf_combinations_is_separator(const char *word);

/** Puts the n_lists arguments of a combination into ret_values; index counts from 0. */
void mf_combinations_get(const struct mf_combinations *combinations, uint64_t index,
                         const char **ret_values);

#endif
