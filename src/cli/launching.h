/*
 * What starts the ranks of a run: nothing, srun or mpirun. Chosen once, before anything starts,
 * from
 * --launch, --np and the allocation; see supervise.h for what comes then.
 */
#ifndef MF_CLI_LAUNCHING_H
#define MF_CLI_LAUNCHING_H

#include "base/error.h"
#include "cli/cli.h"
#include "runtime/allocation.h"
#include "runtime/launch.h"

#include <stdbool.h>
#include <stdint.h>

enum mf_launch_way { MF_LAUNCH_AUTO, MF_LAUNCH_NONE, MF_LAUNCH_SRUN, MF_LAUNCH_MPIRUN };

/** For a table of options. */
#define MF_LAUNCH_OPTION                                                                           \
    {                                                                                              \
        .name = "launch", .value = "WAY",                                                          \
        .help =                                                                                    \
            "What starts the ranks: auto, srun, mpirun or none. The default, auto, starts one "    \
            "on each node of a Slurm job when it is called in a batch script or a shell of "       \
            "salloc: by srun where Slurm has PMIx, else by mpirun, which it also prefers with "    \
            "--standby or --respawn, as srun ends all ranks with the first that dies; and by "     \
            "nothing on the only node of a job. None runs in this process alone."                  \
    }

/**
 * How the ranks are started.
 *
 * @way         not AUTO; with NONE this process is a rank, or alone
 * @n_ranks     how many there will be; with NONE 0
 * @is_per_node   one on each node of the allocation
 * @allocation  that it is in, job NULL for none
 */
struct mf_launching {
    enum mf_launch_way way;
    uint32_t n_ranks;
    bool is_per_node;
    struct mf_allocation allocation;
};

/** "auto", "none", "srun" or "mpirun". Returns 0, or -EINVAL with a sentence. */
int mf_launch_way_parse(const char *text, enum mf_launch_way *ret_way, struct mf_error *err);

/** "srun", "mpirun". */
const char *mf_launch_way_name(enum mf_launch_way way);

/**
 * mf_launching_choose() - decide how the ranks are started.
 *
 * In an allocation this may run "srun --mpi=list", which starts nothing.
 *
 * @wanted   what --launch says
 * @n_ranks  what --np says, 0 for nothing
 * @survives   the run is to go on when a rank dies, which it does under mpirun alone
 * @launch   how this process was started
 *
 * Returns 0, or -errno with a sentence that says what to change.
 */
int mf_launching_choose(enum mf_launch_way wanted, uint32_t n_ranks, bool survives,
                        const struct mf_launch *launch, struct mf_launching *ret_launching,
                        struct mf_error *err);

/**
 * mf_launching_exec() - become srun or mpirun, whose ranks run this command line. In a process of
 * its own.
 *
 * The variables of the allocation are kept for tasks, and those that would change how ranks are
 * started are taken away.
 *
 * @is_prompt  output is passed on as it is written, not line by line
 *
 * Returns -errno when that cannot be.
 */
int mf_launching_exec(const struct mf_launching *launching, const struct mf_context *context,
                      bool is_prompt);

/** For a step of its own: takes away what srun would read of the job's options. */
void mf_launching_clean_environment(void);

#endif
