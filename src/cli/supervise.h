/* `mpifarm run --np N`: mpirun, started with what survival needs, and supervised. */
#ifndef MF_CLI_SUPERVISE_H
#define MF_CLI_SUPERVISE_H

#include "cli/cli.h"

#include <stdbool.h>

/**
 * mf_supervise() - run this command line as the ranks of mpirun.
 *
 * Standard input goes to rank 0, its output comes back, SIGINT, SIGTERM and SIGHUP are passed on.
 * mpirun is ended if it does not end itself once rank 0 has told how the run ended, or has died
 * without that, and it does not outlive this process.
 *
 * @context  has the command line
 * @n_ranks  as many
 * @run_dir  of the run
 * @has_standby  another rank takes over when rank 0 dies
 *
 * Returns the exit status of the farm.
 */
int mf_supervise(struct mf_context *context, uint32_t n_ranks, const char *run_dir,
                 bool has_standby);

/** Whether mpirun has started this process, which can let ranks die and start more. */
bool mf_supervise_is_by_mpirun(void);

/**
 * mf_supervise_is_advised() - whether a launcher ends all ranks with the first that dies, although
 * it could do without.
 */
int mf_supervise_is_advised(void);

#endif
