/*
 * The keys that a task line, a #FARM line and a JSON object have in common:
 * id, func, cores, timeout, retries, priority, cwd, env.
 */
#ifndef MF_TASKFILE_KEYS_H
#define MF_TASKFILE_KEYS_H

#include "base/error.h"
#include "taskfile/arena.h"

#include <stdint.h>

/**
 * What the keys say. Starts as {0}: nothing is given.
 *
 * @given  one bit per key that was given
 * @func   name of a function, NULL for a command
 * @env    n_env texts "NAME=value", no name twice
 *
 * All texts and the array are in the arena that was handed over with them.
 */
struct mf_fields {
    uint32_t given;
    uint32_t n_slots;
    uint32_t attempts;
    int32_t priority;
    int64_t timeout_ns;
    const char *id;
    const char *func;
    const char *cwd;
    uint32_t n_env, env_capacity;
    const char **env;
};

/**
 * mf_fields_set() - take in one key.
 *
 * @value  as it was written; copied where it is kept
 *
 * Returns 0, or -errno with a sentence in err: -ENOENT for an unknown key,
 * -EEXIST for one given before (env aside), -EINVAL or -ERANGE for a bad value.
 */
int mf_fields_set(struct mf_fields *fields, const char *key, const char *value,
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
 * mf_fields_check_function() - refuse keys that mean nothing to a function.
 *
 * @fields  with a func, and its defaults inherited
 *
 * Returns 0, or -EINVAL with a sentence.
 */
int mf_fields_check_function(const struct mf_fields *fields, struct mf_error *err);

#endif
