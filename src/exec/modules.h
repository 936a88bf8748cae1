/*
 * Modules: shared libraries of the user, whose functions tasks can call.
 *
 * A module has plain exported functions of the type mpifarm_function. It may
 * have `int mpifarm_module_init(void)`, called once wherever its functions run
 * before the first of them, which refuses to work with other than 0; and
 * `void mpifarm_module_finish(void)`, called after the last.
 */
#ifndef MF_EXEC_MODULES_H
#define MF_EXEC_MODULES_H

#include "base/error.h"
#include "exec/calls.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_modules;

/**
 * mf_modules_load() - load modules, which stay to the end of the process.
 *
 * Runs code of theirs, which may do anything: after the launcher process was
 * forked, and before the nursery is, whose executors then have them.
 *
 * @paths        n_paths names for dlopen(); of functions of the same name the first one's counts
 * @is_isolated  they will be called in executor processes
 *
 * Returns 0 with the modules; -ELIBACC with a sentence for one that cannot be
 * loaded or has no functions; -ENOMEM.
 */
int mf_modules_load(const char *const *paths, uint32_t n_paths, bool is_isolated,
                    struct mf_modules **ret_modules, struct mf_error *err);

/** Frees what is known of them; NULL is accepted. */
void mf_modules_destroy(struct mf_modules *modules);

/** Their functions and hooks, for a caller; borrowed. */
const struct mf_functions *mf_modules_functions(const struct mf_modules *modules);

/** The number of a function, or -ENOENT. O(log functions). */
int mf_modules_find(const struct mf_modules *modules, const char *name);

/** As the check of mf_function_names; arg is the modules. */
int mf_modules_check(void *arg, const char *name, struct mf_error *err);

/** The sentence for what a caller's begin() returned below 0. */
void mf_modules_explain(const struct mf_modules *modules, int error, struct mf_error *err);

#endif
