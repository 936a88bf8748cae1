/*
 * Asking another program: running it for what it writes.
 */
#ifndef MF_RUNTIME_QUERY_H
#define MF_RUNTIME_QUERY_H

#include <stddef.h>
#include <stdint.h>

/** What of it to take; the rest goes where this process writes. */
enum mf_query_streams { MF_QUERY_OUTPUT, MF_QUERY_OUTPUT_AND_ERRORS };

/**
 * mf_query() - run a program and take the beginning of what it writes.
 *
 * Before any thread and before MPI_Init, as it forks.
 *
 * @words       the program, searched for in PATH, and its arguments, with NULL behind
 * @timeout_ns  it is killed then
 * @text        size bytes, filled with what it wrote and a NUL
 *
 * Returns 0; -ECHILD when it ended with a status other than 0; -ETIMEDOUT; -ENOENT when there is no
 * such program; or another -errno. The text is that of a program that ended also after -ECHILD.
 */
int mf_query(const char *const *words, int64_t timeout_ns, enum mf_query_streams streams,
             char *text, size_t size);

#endif
