/*
 * Calling a function of a module: it sees its task and no farm, and what it
 * prints belongs to the task.
 *
 * Runs where the function does, in the rank or in an executor process.
 */
#ifndef MF_EXEC_MODULE_CALL_H
#define MF_EXEC_MODULE_CALL_H

#include "exec/calls.h"

/**
 * mf_module_call_capture() - from now on take in what this process prints.
 *
 * In an executor process, before its first call; once.
 *
 * Returns 0 or -errno.
 */
int mf_module_call_capture(void);

/** The bytes that a function of a module saves for its next try, at most: rank 0 keeps them. */
#define MF_MODULE_SAVED_MAX_BYTES ((size_t)1 << 20)

/**
 * mf_module_call() - the registered function of all functions of modules.
 *
 * Spawning has nobody who would take it, and there are no blocks:
 * mpifarm_spawn() knows no function (-ENOENT).
 *
 * What the function printed goes with its result or message, for
 * mf_module_call_split() to take apart.
 *
 * @user  the function's address
 */
int mf_module_call(struct mpifarm_context *context, void *user);

/**
 * What came of a call; all borrowed from its bytes.
 *
 * @printed  n_printed bytes that the function printed
 * @said     n_said bytes of its result, or of the message of its failure
 */
struct mf_module_parts {
    const uint8_t *printed;
    size_t n_printed;
    const uint8_t *said;
    size_t n_said;
};

/** Takes the bytes of a RESULT entry apart, whoever made it. Returns 0 or -EBADMSG. */
int mf_module_call_split(bool is_success, const uint8_t *bytes, size_t size,
                         struct mf_module_parts *ret_parts);

#endif
