/* A subcommand made for tests, with every kind of option, and a list around it. */
#ifndef T_TABLE_H
#define T_TABLE_H

#include "cli/manual.h"

enum { T_JOBS, T_KEEP_ORDER, T_RESUME, T_RESUME_FAILED, T_JOBLOG, T_RUN_DIR, T_OUTPUT };

extern const struct mf_subcommand t_bake;

/** The same, but its options end at the first operand. */
extern const struct mf_subcommand t_map;

extern const struct mf_subcommand *const t_list[];

/** Fails the test, showing both, unless the texts are equal. */
void assert_text(const char *actual, const char *expected);

#endif
