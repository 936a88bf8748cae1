/* Programs on the library, started in every way that users have. */
#ifndef T_JOB_H
#define T_JOB_H

#include "support/shell.h"

/** Ways to start a program, as the beginning of a shell command. */
enum t_way { T_ALONE, T_MPIRUN, T_ALONE_ISOLATED, T_MPIRUN_ISOLATED, T_N_WAYS };

/** Runs "PROGRAM ARGUMENTS" in that way. */
struct t_result t_job(enum t_way way, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Asserts that a program refuses its arguments with status 2 and one sentence, whatever the ranks.
 */
void t_assert_refused(enum t_way way, const char *program, const char *arguments,
                      const char *sentence);

#endif
