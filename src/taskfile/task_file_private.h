/*
 * What the four files of a task file share:
 *
 *     task_file.c    lines one after the other, and which of them are tasks
 *     task_marks.c   what other lines say of tasks behind them
 *     task_hooks.c   commands for workers that join and leave
 *     task_parse.c   what a task line says
 */
#ifndef MF_TASKFILE_TASK_FILE_PRIVATE_H
#define MF_TASKFILE_TASK_FILE_PRIVATE_H

#include "taskfile/task_file.h"

/** Whether only the beginning of a line is held. */
static inline bool mf_line_is_cut(const struct mf_line *line)
{
    return line->size < line->length;
}

static inline void mf_line_drop_front(struct mf_line *line, size_t n)
{
    line->text += n;
    line->size -= n;
    line->length -= n;
}

/** Says where it is that something is wrong. Returns r. */
int mf_cursor_at_line(const struct mf_cursor *cursor, const struct mf_line *line, int r,
                      struct mf_error *err);

/** The sentence about a line that is cut. Returns -E2BIG. */
int mf_cursor_refuse_length(const struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err);

/** Pass over a line of that kind; the first reader notes it. Return 0, or -errno with a sentence.
 */
int mf_cursor_pass_defaults(struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err);
int mf_cursor_pass_barrier(struct mf_cursor *cursor, const struct mf_line *line,
                           struct mf_error *err);

/** The same for a line of PERENGINE, which was read as `disbatch`. */
int mf_cursor_pass_hook(struct mf_cursor *cursor, const struct mf_line *line,
                        const struct mf_disbatch *disbatch, struct mf_error *err);

/** The same; returns 1 if the line repeats, and is cursor->repeat.n tasks. */
int mf_cursor_pass_disbatch(struct mf_cursor *cursor, const struct mf_line *line,
                            struct mf_error *err);

#endif
