/*
 * Errors that a user can cause: one sentence that says what is wrong, where,
 * and what to do.
 *
 * Functions return 0, a negative errno value, or a documented positive
 * outcome. Those that a user can make fail take a last `struct mf_error *`.
 */
#ifndef MF_BASE_ERROR_H
#define MF_BASE_ERROR_H

#include <stdarg.h>

/** One sentence, without a final newline. Starts as {0}: no error. */
struct mf_error {
    char text[1024];
};

/**
 * mf_error_set() - write the sentence and hand back the code.
 *
 * @err   where it goes; may be NULL when nobody will read it
 * @code  what to return, usually a negative errno value
 *
 * Returns code, so that a caller can write `return mf_error_set(err, -EINVAL, ...)`.
 * A sentence that does not fit ends in "...".
 */
int mf_error_set(struct mf_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** Puts a context such as "tasks.txt:12: " before the sentence; returns code. */
int mf_error_prefix(struct mf_error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
