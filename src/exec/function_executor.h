/*
 * The executor for functions of modules, over a caller: in executor processes,
 * one for each slot, or in the rank itself.
 *
 * It looks after its calls whenever it is flushed; the loop wakes up when that
 * is due. It cannot stage, and an attempt has one slot, which in executor
 * processes it gives up at a checkpoint when it is to be suspended.
 */
#ifndef MF_EXEC_FUNCTION_EXECUTOR_H
#define MF_EXEC_FUNCTION_EXECUTOR_H

#include "exec/caller.h"
#include "exec/executor.h"
#include "exec/modules.h"

/**
 * @modules    whose functions are called (borrowed, outlive the executor)
 * @nursery    taken if 0 is returned; NULL to call functions in this process
 * @loop       borrowed, outlives the executor
 * @output_limit_bytes, @spill_dir   as in mf_launcher_config
 * @fn, @arg   called for each event
 */
struct mf_function_executor_config {
    const struct mf_modules *modules;
    struct mf_nursery *nursery;
    struct mf_loop *loop;
    uint64_t output_limit_bytes;
    const char *spill_dir;
    mf_executor_fn fn;
    void *arg;
};

/**
 * mf_function_executor_create() - make one.
 *
 * start() returns -ENOSYS for a function that no module here has.
 *
 * Returns 0 or -errno.
 */
int mf_function_executor_create(const struct mf_function_executor_config *config,
                                struct mf_executor **ret_executor);

#endif
