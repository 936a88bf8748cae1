/*
 * Messages to the user on standard error, each one line after "mpifarm: ".
 *
 * Only the runtime and the command line write to it. A progress bar on the
 * same terminal registers itself so that it can get out of the way.
 */
#ifndef MF_BASE_LOG_H
#define MF_BASE_LOG_H

#include <stdio.h>

enum mf_log_level { MF_LOG_ERROR, MF_LOG_WARNING, MF_LOG_INFO, MF_LOG_DEBUG };

/**
 * @file         where lines go (borrowed)
 * @level        lines above it are dropped
 * @before       called before each line, may be NULL
 * @before_arg   handed to it
 */
struct mf_log {
    FILE *file;
    enum mf_log_level level;
    void (*before)(void *arg);
    void *before_arg;
};

/** Writes one line; a NULL log swallows it. errno is preserved. */
void mf_log_write(const struct mf_log *log, enum mf_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define mf_log_error(log, ...) mf_log_write(log, MF_LOG_ERROR, __VA_ARGS__)
#define mf_log_warning(log, ...) mf_log_write(log, MF_LOG_WARNING, __VA_ARGS__)
#define mf_log_info(log, ...) mf_log_write(log, MF_LOG_INFO, __VA_ARGS__)
#define mf_log_debug(log, ...) mf_log_write(log, MF_LOG_DEBUG, __VA_ARGS__)

#endif
