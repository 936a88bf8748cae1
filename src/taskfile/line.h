/*
 * One line of a plain task file: `[key=value ...] command`, `#FARM key=value ...`,
 * `#FARM barrier`, and GREASY's `[# lines #] [@ directory @] command`.
 */
#ifndef MF_TASKFILE_LINE_H
#define MF_TASKFILE_LINE_H

#include "taskfile/keys.h"

#include <stdbool.h>
#include <stddef.h>

/** What a line that is not blank is. */
enum mf_line_kind {
    MF_LINE_COMMENT,
    MF_LINE_DEFAULTS, /* #FARM */
    MF_LINE_BARRIER,  /* #FARM barrier */
    MF_LINE_DISBATCH, /* #DISBATCH: see disbatch.h */
    MF_LINE_TASK,
};

/** Tells by its first characters; text is size > 0 bytes, the first of which is not blank. */
enum mf_line_kind mf_line_classify(const char *text, size_t size);

/** Whether a task line is a JSON object rather than a command. */
bool mf_line_is_json(const char *text, size_t size);

/**
 * mf_line_take_prefix() - read `[key=value ...]`, or GREASY's prefixes, if the line begins so.
 *
 * @text, @size  the line from its first character that is not blank; on return
 *               the command, which is at least one character, or the input of
 *               a function
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_line_take_prefix(const char **text, size_t *size, struct mf_fields *fields,
                        struct mf_arena *arena, struct mf_error *err);

/** Reads a whole #FARM line. Returns 0, or -errno with a sentence in err. */
int mf_line_take_defaults(const char *text, size_t size, struct mf_fields *fields,
                          struct mf_arena *arena, struct mf_error *err);

/** Reads a whole #FARM barrier line. Returns 0, or -errno with a sentence in err. */
int mf_line_take_barrier(const char *text, size_t size, bool *ret_checks, struct mf_error *err);

#endif
