/*
 * The executor for commands.
 *
 * Two sides: the rank, which holds the mf_executor, and the launcher, a small
 * single-threaded process that starts, watches and ends the commands. They talk
 * over a socket pair. Its keeper (keeper.h), which mf_launcher_fork() forks
 * before MPI_Init, forks it, and another one when it dies.
 *
 * When the rank disappears the launcher ends all commands and exits. When the
 * launcher or its keeper does, the executor asks the other one for a new
 * launcher, which comes when nothing is left of what the old one ran. Then it
 * says RENEWED and gives all of that back:
 *
 *     what had its slot when the launcher died     ENDED with MF_CAUSE_LAUNCHER
 *     what had begun, and had ended untold         the same, with outcome.slot 0
 *     staged attempts that had not begun           UNSTAGED
 *
 * When both disappear, or this happens for the fifth time in a minute, it kills what they
 * left behind, which is every child of this process, and says BROKEN.
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

struct mf_tenants;

/**
 * A launcher process.
 *
 * @pid          of its keeper
 * @fd           the rank's end of the socket pair
 * @lifeline_fd  the rank's end of the lifeline to the keeper
 * @tenants      shared with it
 */
struct mf_launcher {
    pid_t pid;
    int fd;
    int lifeline_fd;
    struct mf_tenants *tenants;
};

/**
 * mf_launcher_fork() - start the launcher process and its keeper. Before MPI_Init and any thread.
 *
 * They keep no descriptor of the rank's but standard error. This process becomes a subreaper.
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_launcher_fork(const struct mf_launcher_config *config, struct mf_launcher *ret_launcher,
                     struct mf_error *err);

/** Ends a launcher that no executor was made for, and waits for it, a few seconds at most. {0} is
 * accepted. */
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
