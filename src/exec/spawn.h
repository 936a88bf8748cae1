/* Starting one command: environment, arguments, pipes, vfork and exec. */
#ifndef MF_EXEC_SPAWN_H
#define MF_EXEC_SPAWN_H

#include "base/buffer.h"
#include "base/command.h"
#include "core/outcome.h"
#include "core/task.h"
#include "exec/protocol.h"

#include <sys/resource.h>

/** Descriptors that starts need beyond the two that each returns: in the making, and spare. */
#define MF_SPAWN_EXTRA_FDS 6

/**
 * What all commands have in common, and memory that is used again for each.
 *
 * @configuration   slots, rank and run directory (borrowed)
 * @cpu_sets        one mask of cpu_set_bytes for each slot, one after the other,
 *                  and one more for a command with several slots
 * @inherited       environment that a command begins with; texts borrowed or in own_texts
 * @has_omp         whether OMP_NUM_THREADS is among it
 * @original_files  limit of open files that commands get
 * @restores_files  whether that is another one than this process has
 * @own_pid         of this process
 * @has_spare       whether there are two pipes made ahead, spare_reading and spare_writing
 * @texts, @pointers   strings of the command being started, and vectors of them
 */
struct mf_spawner {
    const struct mf_configuration *configuration;
    uint8_t *cpu_sets;
    size_t cpu_set_bytes;
    char **inherited;
    uint32_t n_inherited;
    bool has_omp;
    struct mf_buffer own_texts;
    struct rlimit original_files;
    bool restores_files;
    pid_t own_pid;
    bool has_spare;
    int spare_reading[MF_N_STREAMS];
    int spare_writing[MF_N_STREAMS];
    struct mf_buffer texts;
    struct mf_buffer pointers;
};

/** What to start where; all borrowed. */
struct mf_spawn {
    mf_task_id task;
    uint32_t try_number;
    const struct mf_command *command;
    const uint32_t *slots;
    uint32_t n_slots;
};

/** A process that was started, and the reading ends of its pipes. */
struct mf_child {
    pid_t pid;
    int fds[MF_N_STREAMS];
};

/**
 * mf_spawner_init() - prepare from the caller's own environment and limits.
 *
 * @configuration   borrowed, outlives the spawner
 * @original_files  limit of open files to give to commands
 *
 * Returns 0, -EINVAL for a cpu number that cannot be, or -ENOMEM.
 */
int mf_spawner_init(struct mf_spawner *spawner, const struct mf_configuration *configuration,
                    const struct rlimit *original_files);

void mf_spawner_finish(struct mf_spawner *spawner);

/** Makes the pipes of the next command ahead, while there is time. */
void mf_spawner_prepare(struct mf_spawner *spawner);

/** From mf_spawner_start(): this command cannot be executed; the outcome says why. */
#define MF_SPAWN_E_COMMAND 1

/**
 * mf_spawner_start() - start one command.
 *
 * Waits until the new process executes its program, so it can tell why one
 * cannot be executed.
 *
 * Returns
 *   0                   started
 *   MF_SPAWN_E_COMMAND  cause, exit_status and detail of ret_outcome are set
 *   -errno              the system lacks something at the moment, such as
 *                       descriptors, processes or memory
 */
int mf_spawner_start(struct mf_spawner *spawner, const struct mf_spawn *spawn,
                     struct mf_child *ret_child, struct mf_outcome *ret_outcome);

#endif
