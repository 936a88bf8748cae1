/*
 * Lines of disBatch: `#DISBATCH PREFIX text`, `SUFFIX text`, `BARRIER [CHECK] [name]`,
 * `REPEAT n [start x] [step y] [command]`, `PERENGINE START|STOP command`; and the variables that
 * its tasks see.
 *
 * As the Readme of https://github.com/flatironinstitute/disBatch has it.
 */
#ifndef MF_TASKFILE_DISBATCH_H
#define MF_TASKFILE_DISBATCH_H

#include "base/error.h"
#include "taskfile/keys.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mf_disbatch_kind {
    MF_DISBATCH_PREFIX,
    MF_DISBATCH_SUFFIX,
    MF_DISBATCH_BARRIER,
    MF_DISBATCH_REPEAT,
    MF_DISBATCH_PERENGINE,
};

/**
 * @text     size bytes borrowed from the line: prefix, suffix, or command of REPEAT or PERENGINE
 * @checks   whether a BARRIER checks
 * @is_stop  whether a command of PERENGINE is run when an engine leaves, and not when it joins
 * @n        tasks that REPEAT makes; task i sees the index start + i * step
 */
struct mf_disbatch {
    enum mf_disbatch_kind kind;
    const char *text;
    size_t size;
    bool checks;
    bool is_stop;
    uint64_t n, start, step;
};

/** Reads a line that begins with #DISBATCH. Returns 0, or -errno with a sentence in err. */
int mf_disbatch_parse(const char *text, size_t size, struct mf_disbatch *ret_line,
                      struct mf_error *err);

/**
 * What a task of disBatch is told.
 *
 * @file         name of the task file, with its directories
 * @run_name     NULL for "mpifarm"
 * @line         where the task stands
 * @has_index    whether REPEAT made it
 * @index        the number that REPEAT gave it
 * @task         from 0, barriers counted like tasks
 */
struct mf_disbatch_task {
    const char *file;
    const char *run_name;
    uint64_t line;
    bool has_index;
    uint64_t index;
    uint64_t task;
};

/** Adds DISBATCH_* to the variables of a task, but those that it sets. Returns 0 or -ENOMEM. */
int mf_disbatch_add_env(struct mf_fields *fields, const struct mf_disbatch_task *task,
                        struct mf_arena *arena);

#endif
