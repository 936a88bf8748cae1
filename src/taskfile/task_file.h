/*
 * One task file: which of its lines are tasks, what they say, and the
 * defaults in force at each of them.
 */
#ifndef MF_TASKFILE_TASK_FILE_H
#define MF_TASKFILE_TASK_FILE_H

#include "base/command.h"
#include "taskfile/disbatch.h"
#include "taskfile/keys.h"
#include "taskfile/lines.h"
#include "taskfile/source.h"

enum mf_format { MF_FORMAT_UNKNOWN, MF_FORMAT_PLAIN, MF_FORMAT_JSON };

/** Defaults that hold from a line on, those of earlier lines included. */
struct mf_defaults {
    uint64_t line;
    struct mf_fields fields;
};

/** A barrier before the task of that number in the file; @line  where it stands. */
struct mf_barrier {
    uint64_t line;
    uint64_t task;
    bool checks;
};

/**
 * A file, and what is known of it: all of it once is_known, else what was
 * read so far.
 *
 * @options     borrowed, NULL for none
 * @format      settled by the first task line
 * @defaults    n_defaults of them, by line; their texts are in `memory`
 * @barriers    n_barriers of them, by line
 * @hooks       n_hooks of them, by line; their texts are in `memory`
 * @disbatch_line  the first #DISBATCH line, 0 for none: tasks behind it run in bash
 * @index       where its tasks are, counted from 0
 */
struct mf_task_file {
    struct mf_input input;
    const struct mf_source_options *options;
    enum mf_format format;
    bool is_known;
    struct mf_defaults *defaults;
    size_t n_defaults;
    struct mf_barrier *barriers;
    size_t n_barriers;
    struct mf_hook *hooks;
    size_t n_hooks;
    uint64_t disbatch_line;
    struct mf_arena memory;
    struct mf_index index;
};

/**
 * A place in a task file. Starts as {0}, then mf_cursor_seek().
 *
 * @task        number of the next task in the file, from 0
 * @n_defaults  how many of the file's defaults are in force
 * @line        the one last read, which is told again while it repeats
 * @repeat      what it says if it repeats; n is 0 if it does not
 * @n_skipped   tasks of the next line that are passed over
 */
struct mf_cursor {
    struct mf_task_file *file;
    struct mf_lines lines;
    uint64_t task;
    size_t n_defaults;
    struct mf_line line;
    struct mf_disbatch repeat;
    uint64_t n_skipped;
};

/** Opens as mf_input_open() does. */
int mf_task_file_open(struct mf_task_file *file, const char *path,
                      const struct mf_source_options *options, struct mf_error *err);

/** Closes what is open and frees what was kept. */
void mf_task_file_close(struct mf_task_file *file);

/**
 * mf_task_file_has_barrier() - whether a barrier stands before a task, or at the end of the file.
 *
 * @task        its number in the file, or the number of tasks in it
 * @ret_checks  set to true if one of the barriers there checks, else left as it is
 *
 * O(log barriers).
 */
bool mf_task_file_has_barrier(const struct mf_task_file *file, uint64_t task, bool *ret_checks);

/** How many barriers stand before a task in its file. O(log barriers). */
uint64_t mf_task_file_barriers_before(const struct mf_task_file *file, uint64_t task);

/** Goes near the task, which is in the index unless it is 0: at most MF_INDEX_STRIDE before it. */
void mf_cursor_seek(struct mf_cursor *cursor, struct mf_task_file *file, uint64_t task);

void mf_cursor_finish(struct mf_cursor *cursor);

/**
 * mf_cursor_next() - find the next task line.
 *
 * Passes over comments and takes in defaults; what is new of the file, it
 * learns: format, defaults, index. The line has neither the byte order mark,
 * nor leading blanks, nor the CR of its end.
 *
 * Returns 0 with the line, 1 at the end, -EAGAIN when a stream has no line
 * yet, or -errno with a sentence in err.
 */
int mf_cursor_next(struct mf_cursor *cursor, struct mf_line *ret_line, struct mf_error *err);

/**
 * mf_cursor_skip_repeats() - pass over what is left of a line that repeats, which is all alike.
 *
 * Only for who reads the file first. Returns 0, or -ENOMEM with a sentence in err.
 */
int mf_cursor_skip_repeats(struct mf_cursor *cursor, struct mf_error *err);

/**
 * mf_cursor_check() - find out whether the line that was just read is in order.
 *
 * Looks at less than mf_cursor_parse(), which succeeds if this does.
 *
 * Returns 0 with its own fields and the defaults, or -errno with a sentence in err.
 */
int mf_cursor_check(const struct mf_cursor *cursor, const struct mf_line *line,
                    struct mf_arena *arena, struct mf_fields *ret_fields, struct mf_error *err);

/** Like mf_cursor_check(), and fills in function, is_shell, args and n_args of the command as well.
 */
int mf_cursor_parse(const struct mf_cursor *cursor, const struct mf_line *line,
                    struct mf_arena *arena, struct mf_fields *ret_fields,
                    struct mf_command *command, struct mf_error *err);

#endif
