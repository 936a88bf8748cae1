/* Starting one command: environment, arguments, pipes, and the birth of a process. */
#ifndef MF_EXEC_SPAWN_H
#define MF_EXEC_SPAWN_H

#include "base/buffer.h"
#include "base/command.h"
#include "base/list.h"
#include "core/outcome.h"
#include "core/task.h"
#include "exec/protocol.h"

#include <sys/resource.h>

/** Descriptors that starts need beyond the two that each returns: in the making, and spare. */
#define MF_SPAWN_EXTRA_FDS 6

/**
 * What all commands have in common, and births that are used again.
 *
 * @configuration   slots, rank and run directory (borrowed)
 * @cpu_sets        one mask of cpu_set_bytes for each slot, one after the other
 * @inherited       environment that a command begins with; texts borrowed or in own_texts
 * @has_omp         whether OMP_NUM_THREADS is among it
 * @original_files  limit of open files that commands get
 * @restores_files  whether that is another one than this process has
 * @own_pid         of this process
 * @has_spare       whether there are two pipes made ahead, spare_reading and spare_writing
 * @idle            births for the next starts, the last used first
 * @begun           births that processes may still borrow, and failed ones that
 *                  are not reaped; oldest first
 */
struct mf_spawner {
    const struct mf_configuration *configuration;
    uint8_t *cpu_sets;
    size_t cpu_set_bytes;
    char **inherited;
    uint32_t n_inherited;
    bool has_omp;
    struct mf_buffer own_texts;
    struct rlimit64 original_files;
    bool restores_files;
    pid_t own_pid;
    bool has_spare;
    int spare_reading[MF_N_STREAMS];
    int spare_writing[MF_N_STREAMS];
    struct mf_list idle, begun;
};

/**
 * What to start where; all borrowed, the command and gpus until its process is reaped.
 *
 * @gpus  variable that tells it of its GPUs, NULL for none
 */
struct mf_spawn {
    mf_task_id task;
    uint32_t try_number;
    const struct mf_command *command;
    const uint32_t *slots;
    uint32_t n_slots;
    const char *gpus;
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

/**
 * The mask of the processors of some slots, of cpu_set_bytes; NULL when they have none.
 *
 * @several  room for a mask, used where the slots are more than one
 */
const void *mf_spawner_cpus(const struct mf_spawner *spawner, const uint32_t *slots,
                            uint32_t n_slots, uint8_t *several);

/** Kills what has not executed its program yet. Commands are not borrowed after. */
void mf_spawner_finish(struct mf_spawner *spawner);

/** Makes the pipes of the next command ahead, while there is time. */
void mf_spawner_prepare(struct mf_spawner *spawner);

/**
 * mf_spawner_start() - start one command.
 *
 * Does not wait until the new process executes its program: that this failed
 * is known when the process is reaped.
 *
 * Returns 0, or -errno when the system lacks something at the moment, such as
 * descriptors, processes or memory.
 */
int mf_spawner_start(struct mf_spawner *spawner, const struct mf_spawn *spawn,
                     struct mf_child *ret_child);

/**
 * mf_spawner_reaped() - tell whether a process had executed its program.
 *
 * To be called for each process that was started, once, when it is reaped.
 *
 * Returns 0, or what mf_birth_explain() says of the failure. O(processes that
 * begin at the moment).
 */
int mf_spawner_reaped(struct mf_spawner *spawner, pid_t pid, struct mf_outcome *ret_outcome);

#endif
