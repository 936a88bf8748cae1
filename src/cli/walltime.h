/* When a run has to end: --walltime and --warn, and what Slurm says. */
#ifndef MF_CLI_WALLTIME_H
#define MF_CLI_WALLTIME_H

#include "runtime/scheduler.h"

/** "USR1@5m": running tasks get a signal so long before the end. Returns 0, -EINVAL or -ERANGE. */
int mf_warn_parse(const char *text, struct mf_scheduler_config *config, struct mf_error *err);

/** How long the run may take from now on. Returns 0, -EINVAL or -ERANGE. */
int mf_walltime_parse(const char *text, struct mf_scheduler_config *config, struct mf_error *err);

/**
 * mf_walltime_check() - look whether the job has time left, before ranks are started or this
 * process becomes the only one. May ask squeue: nobody asks again, as what it says is left in the
 * environment, for ranks too.
 *
 * @is_needed  false where the run is to use this node alone, job or not (--launch=none)
 *
 * Returns 0, also where it cannot be found out, or a job that is not needed is over, which is
 * logged; or -ETIME or -ECHILD with a sentence when the job is over.
 */
int mf_walltime_check(const struct mf_log *log, bool is_needed, struct mf_error *err);

/**
 * Unless the user has said it, finds out when the allocation ends. May ask squeue: rank 0 alone,
 * before MPI_Init.
 */
void mf_walltime_find(struct mf_scheduler_config *config, const struct mf_log *log);

#endif
