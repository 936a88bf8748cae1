/* Starting programs on the library. */
#include "job.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. */
#define MPIRUN                                                                                     \
    "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 mpirun --oversubscribe --bind-to none -n 3 "

static const char *const beginnings[T_N_WAYS] = {
    [T_ALONE] = "",
    [T_MPIRUN] = MPIRUN,
    [T_ALONE_ISOLATED] = "MPIFARM_ISOLATE=1 ",
    [T_MPIRUN_ISOLATED] = "MPIFARM_ISOLATE=1 " MPIRUN,
};

struct t_result t_job(enum t_way way, const char *format, ...)
{
    struct t_result result;
    va_list args;
    char *text;

    va_start(args, format);
    cr_assert(vasprintf(&text, format, args) >= 0);
    va_end(args);
    result = t_sh("%s%s", beginnings[way], text);
    free(text);
    return result;
}

void t_assert_refused(enum t_way way, const char *program, const char *arguments,
                      const char *sentence)
{
    struct t_result result = t_job(way, "%s %s", program, arguments);

    cr_assert(eq(int, result.status, 2), "%s", result.err);
    cr_assert(eq(str, result.out, ""));
    cr_assert(t_has(result.err, sentence), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.err, program), 1), "%s", result.err);
}
