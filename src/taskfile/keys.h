/*
 * The keys that a task line, a #FARM line and a JSON object have in common:
 * id, func, after and its like, resources, time and order, retries, cwd, env.
 */
#ifndef MF_TASKFILE_KEYS_H
#define MF_TASKFILE_KEYS_H

#include "base/error.h"
#include "core/farm.h"
#include "taskfile/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_source_options;

/** How many there are of enum mf_condition. */
#define MF_N_CONDITIONS 3

/**
 * What the keys say. Starts as {.options}: nothing is given.
 *
 * @options     what countables there are (borrowed), NULL for none
 * @given       one bit per key that was given
 * @countables_given  one bit per countable that was given
 * @needs       n_slots is 0 when cores is not given; with ranks, cores are those of each rank until
 *              mf_fields_spread()
 * @n_ranks     ranks of an MPI program, 0 when they are not given
 * @func        name of a function, NULL for a command
 * @after       per condition: the list of tasks as it was written, NULL for none
 * @after_lines a list in GREASY's own manner
 * @outs        n_outs tasks as {out:ID} in the command names them, one for each place
 * @has_outs    whether there are places, or some that a backslash made ordinary text
 * @head        text for sh that goes before the command, NULL for none
 * @prefix, @suffix  texts of disBatch that go around it, head included; NULL for none
 * @env         n_env texts "NAME=value", no name twice
 *
 * All texts and the array are in the arena that was handed over with them.
 */
struct mf_fields {
    const struct mf_source_options *options;
    uint32_t given;
    uint32_t countables_given;
    struct mf_needs needs;
    uint32_t n_ranks;
    uint32_t attempts;
    int32_t priority;
    int64_t timeout_ns;
    int64_t estimate_ns;
    int64_t deadline_ns;
    float weight;
    const char *id;
    const char *func;
    const char *group;
    const char *cwd;
    const char *after[MF_N_CONDITIONS];
    const char *after_lines;
    const char **outs;
    uint32_t n_outs, outs_capacity;
    bool has_outs;
    const char *head;
    const char *prefix, *suffix;
    uint32_t n_env, env_capacity;
    const char **env;
};

/** "after", "afterany", "afternotok". */
const char *mf_condition_key(enum mf_condition condition);

/**
 * mf_fields_set() - take in one key.
 *
 * @value  as it was written; copied where it is kept
 *
 * A key with a "." in it is a countable, and known if the options have it.
 *
 * Returns 0, or -errno with a sentence in err: -ENOENT for an unknown key,
 * -EEXIST for one given before (env aside), -EINVAL or -ERANGE for a bad value.
 */
int mf_fields_set(struct mf_fields *fields, const char *key, const char *value,
                  struct mf_arena *arena, struct mf_error *err);

/** Adds the variable NAME=value unless there is one of that name. Returns 0 or -ENOMEM. */
int mf_fields_add_env(struct mf_fields *fields, const char *name, const char *value,
                      struct mf_arena *arena);

/**
 * mf_fields_take_outs() - take in what {out:ID} names in a command, or in one argument of it.
 *
 * @text  size bytes; names are copied
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_fields_take_outs(struct mf_fields *fields, const char *text, size_t size,
                        struct mf_arena *arena, struct mf_error *err);

/**
 * mf_fields_refuse() - the sentence about a key that nobody knows.
 *
 * @more  further keys that are known where it was written, up to a NULL; NULL for none
 *
 * Returns -ENOENT.
 */
int mf_fields_refuse(const char *key, const char *const *more, struct mf_error *err);

/**
 * mf_fields_inherit() - fill in what is not given from defaults.
 *
 * Of env, all names are taken that fields does not give itself. Texts of the
 * defaults are borrowed from then on. A function takes neither cwd nor env.
 * Returns 0 or -ENOMEM.
 */
int mf_fields_inherit(struct mf_fields *fields, const struct mf_fields *defaults,
                      struct mf_arena *arena);

/**
 * mf_fields_spread() - put the ranks on the nodes: cores are what each node gives then.
 *
 * @fields  of a task, with its defaults inherited; once
 *
 * Returns 0, or -ERANGE with a sentence.
 */
int mf_fields_spread(struct mf_fields *fields, struct mf_error *err);

/**
 * mf_fields_check_function() - refuse keys that mean nothing to a function.
 *
 * @fields  with a func, and its defaults inherited
 *
 * Returns 0, or -EINVAL with a sentence.
 */
int mf_fields_check_function(const struct mf_fields *fields, struct mf_error *err);

#endif
