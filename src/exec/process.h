/*
 * The executor for commands.
 *
 * Two sides: the rank, which holds the mf_executor, and the launcher, a small
 * single-threaded process that mf_launcher_fork() forks before MPI_Init and
 * that starts, watches and ends the commands. They talk over a socket pair.
 * When the rank disappears the launcher ends all commands and exits; when the
 * launcher disappears the executor kills what it left behind, which is every
 * child of this process, and says BROKEN.
 */
#ifndef MF_EXEC_PROCESS_H
#define MF_EXEC_PROCESS_H

#include "base/knock.h"
#include "exec/executor.h"

#include <sys/types.h>

/**
 * @output_limit_bytes  kept of each stream of an attempt; UINT64_MAX for all
 * @grace_ns            from TERM to KILL
 * @door, @door_fd      where the launcher's keeper answers for the rank; NULL for nowhere
 * @scratch             directory of the rank's that is removed when it has gone; NULL for none
 * @spill_dir           where large output waits, NULL for $TMPDIR or /tmp
 * @gather_ns           while every slot has a staged attempt to go on with, reports wait so long
 *                      at the most for others to go with them; 0 for 20 ms
 */
struct mf_launcher_config {
    uint64_t output_limit_bytes;
    int64_t grace_ns;
    const char *spill_dir;
    int64_t gather_ns;
    const char *scratch;
    const struct mf_door *door;
    int door_fd;
};

/** A launcher process: the pid of its keeper, and the rank's end of the socket pair. */
struct mf_launcher {
    pid_t pid;
    int fd;
};

/**
 * mf_launcher_fork() - start the launcher process. Before MPI_Init and any thread.
 *
 * The launcher keeps no descriptor of the rank's but standard error.
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_launcher_fork(const struct mf_launcher_config *config, struct mf_launcher *ret_launcher,
                     struct mf_error *err);

/** Ends a launcher that no executor was made for, and waits for it. {0} is accepted. */
void mf_launcher_stop(struct mf_launcher *launcher);

/**
 * mf_process_executor_create() - the rank's side.
 *
 * @launcher  taken: the executor closes and reaps it
 * @loop      borrowed, outlives the executor
 * @fn, @arg  called for each event
 *
 * Returns 0 or -errno; on failure the launcher is still the caller's.
 */
int mf_process_executor_create(struct mf_launcher *launcher, struct mf_loop *loop,
                               mf_executor_fn fn, void *arg, struct mf_executor **ret_executor);

#endif
