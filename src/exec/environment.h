/* The environment and the argument vectors of a command, laid out for exec. */
#ifndef MF_EXEC_ENVIRONMENT_H
#define MF_EXEC_ENVIRONMENT_H

#include "exec/spawn.h"

/** Runs shell commands, and scripts that do not say what runs them. */
#define MF_SHELL "/bin/sh"

/**
 * What exec needs, all of it in the spawner's memory until the next command.
 *
 * @argv         argument vector; argv[-1] is "/bin/sh", for a script that lacks its #! line
 * @environment  "NAME=value" texts
 * @paths        files to try to execute, in this order, then NULL
 */
struct mf_image {
    char **argv;
    char **environment;
    char **paths;
};

/**
 * mf_environment_inherit() - choose what commands see of this process's environment.
 *
 * Fills inherited, n_inherited, has_omp and own_texts of the spawner, whose
 * configuration is set. Returns 0 or -ENOMEM.
 */
int mf_environment_inherit(struct mf_spawner *spawner);

/** Lays out one command. Returns 0 or -ENOMEM. */
int mf_environment_prepare(struct mf_spawner *spawner, const struct mf_spawn *spawn,
                           struct mf_image *ret_image);

#endif
