/*
 * srun or mpirun, started with what survival needs, and supervised: so that a run has the exit
 * status of the farm, and ends when that does, whatever they do.
 */
#ifndef MF_CLI_SUPERVISE_H
#define MF_CLI_SUPERVISE_H

#include "cli/cli.h"
#include "cli/launching.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * @launching    not MF_LAUNCH_NONE (borrowed)
 * @run_dir      of the run
 * @has_standby  another rank takes over when rank 0 dies; and where none is left that could, or
 *               srun or mpirun has died, they are started again to go on with the run
 * @patience_ns  with has_standby: for how long ranks wait for another scheduler
 * @end_ns       when the run has to end, as of mf_clock_monotonic_ns(), 0 for never
 * @start_ns     how long ranks may take to find each other
 * @reads_input  rank 0 gets standard input; else nobody reads it
 * @is_prompt    output is shown as it is written, not line by line
 */
struct mf_supervision {
    const struct mf_launching *launching;
    const char *run_dir;
    bool has_standby;
    int64_t patience_ns;
    int64_t end_ns;
    int64_t start_ns;
    bool reads_input;
    bool is_prompt;
};

/**
 * mf_supervise() - run this command line as ranks.
 *
 * Their output comes back, SIGINT, SIGTERM and SIGHUP are passed on to rank 0. srun or mpirun is
 * ended if it does not end itself once rank 0 has told how the run ended, or has died without that,
 * and it does not outlive this process.
 *
 * If it ends before the run has begun or gone on, for reasons of its own, or mpirun hangs there, it
 * is started once more.
 *
 * @context  has the command line
 *
 * Returns the exit status of the farm, which is MPIFARM_EXIT_STOPPED for one that did not begin.
 */
int mf_supervise(struct mf_context *context, const struct mf_supervision *config);

/** Whether mpirun has started this process, which can let ranks die and start more. */
bool mf_supervise_is_by_mpirun(void);

/**
 * mf_supervise_is_advised() - whether a launcher ends all ranks with the first that dies, although
 * it could do without.
 */
int mf_supervise_is_advised(void);

#endif
