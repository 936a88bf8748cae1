/* Asking other programs: one is run, and what it writes is taken. */
#ifndef MF_BASE_PROGRAM_H
#define MF_BASE_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * mf_program_ask() - run a program to its end.
 *
 * It forks, so that no rank may call it after MPI_Init. Blocks.
 *
 * @words        its words, behind which there is NULL; the first is looked for in $PATH
 * @timeout_ns   it is killed then; INT64_MAX for never
 * @with_errors  what it writes to standard error is taken, too; else it goes to that of this
 *               process
 * @text         size bytes for what it writes, with a NUL behind; what is more is dropped
 *
 * Returns its exit status, or 128 and the signal that ended it; or -errno: -ETIMEDOUT, or it
 * could not be started.
 */
int mf_program_ask(const char *const *words, int64_t timeout_ns, bool with_errors, char *text,
                   size_t size);

#endif
