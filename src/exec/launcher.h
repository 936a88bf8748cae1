/* The launcher process from inside. */
#ifndef MF_EXEC_LAUNCHER_H
#define MF_EXEC_LAUNCHER_H

#include "exec/process.h"

/** What the launcher process is told once, by its keeper. */
struct mf_launcher_start {
    const struct mf_launcher_config *config;
    struct mf_tenants *tenants;
};

/**
 * mf_launcher_run() - be the launcher until its rank or its keeper is gone.
 *
 * The `run` of a keeper's configuration; arg is a struct mf_launcher_start.
 */
void mf_launcher_run(void *arg, int channel_fd, pid_t keeper);

#endif
