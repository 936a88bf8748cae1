/* The environment and the argument vectors of a command, laid out for exec. */
#ifndef MF_EXEC_ENVIRONMENT_H
#define MF_EXEC_ENVIRONMENT_H

#include "exec/spawn.h"

/** Runs shell commands, and scripts that do not say what runs them. */
#define MF_SHELL "/bin/sh"

/**
 * Where the farm started its own ranks in a Slurm job, variables of the job as they were before are
 * kept with this before their names. Commands find them so.
 */
#define MF_KEPT_PREFIX "MPIFARM_KEPT_"

/** Variables, with "=", that programs of different makers find their GPUs by; behind them NULL. */
extern const char *const mf_gpu_names[];

/**
 * What exec needs, laid out in memory that is used again; {0} to begin with.
 *
 * @texts, @pointers   strings of the command, and vectors of them; owned
 * @argv         argument vector; argv[-1] is "/bin/sh", for a script that lacks its #! line
 * @environment  "NAME=value" texts
 * @paths        files to try to execute, in this order, then NULL
 */
struct mf_image {
    struct mf_buffer texts;
    struct mf_buffer pointers;
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

/**
 * mf_environment_prepare() - lay out one command.
 *
 * @image   what it held before is lost; it goes on to borrow texts of the
 *          command and the spawner
 *
 * Returns 0 or -ENOMEM.
 */
int mf_environment_prepare(const struct mf_spawner *spawner, const struct mf_spawn *spawn,
                           struct mf_image *image);

void mf_image_finish(struct mf_image *image);

#endif
