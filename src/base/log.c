/*
 * Messages to the user: see log.h.
 *
 * The log borrows its file and is used by the thread that runs the rank. A
 * line goes out in one write, so that the lines of several ranks that share a
 * terminal do not mix.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define LINE_SIZE 4096

/* Fills line with prefix, text and newline, cut to fit; returns its length. */
static size_t format_line(char line[LINE_SIZE], const char *format, va_list args)
{
    static const char prefix[] = "mpifarm: ";
    static const char cut[] = "...";
    size_t used = sizeof(prefix) - 1;
    size_t room = LINE_SIZE - used - 1;
    int n;

    memcpy(line, prefix, used);
    n = vsnprintf(line + used, room, format, args);
    if (n < 0)
        n = 0;
    if ((size_t)n >= room) {
        used += room - 1;
        memcpy(line + used - strlen(cut), cut, strlen(cut));
    } else {
        used += (size_t)n;
    }
    line[used++] = '\n';
    return used;
}

void mf_log_write(const struct mf_log *log, enum mf_log_level level, const char *format, ...)
{
    int saved_errno = errno;
    char line[LINE_SIZE];
    va_list args;
    size_t n;

    if (!log || level > log->level)
        return;
    if (log->before)
        log->before(log->before_arg);

    /* "%m" in a message must see the caller's errno. */
    errno = saved_errno;
    va_start(args, format);
    n = format_line(line, format, args);
    va_end(args);

    /* Nobody is left to be told that standard error cannot be written. */
    if (fwrite(line, 1, n, log->file) == n)
        fflush(log->file);
    errno = saved_errno;
}
