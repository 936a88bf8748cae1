/* What an executor process does: takes calls from the host it shares with the rank, and makes them.
 */
#ifndef MF_EXEC_EXECUTOR_PROCESS_H
#define MF_EXEC_EXECUTOR_PROCESS_H

#include "exec/calls.h"

#include <stdint.h>

/**
 * @functions   what can be called, and the hooks
 * @rank        whose calls they are
 * @memory_fd   of the host; taken
 * @bell_fd     taken
 */
struct mf_executor_process_config {
    const struct mf_functions *functions;
    uint32_t rank;
    int memory_fd;
    int bell_fd;
};

/** Status of an executor process that could not begin. */
#define MF_EXECUTOR_PROCESS_E_SETUP 125

/** Runs the init hook, then calls, until the rank says that it is over. */
_Noreturn void mf_executor_process_main(const struct mf_executor_process_config *config);

#endif
