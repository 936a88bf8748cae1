/* Which lines of a file are tasks, and how many tasks come before each line. */
#ifndef MF_TASKFILE_TASK_LINES_H
#define MF_TASKFILE_TASK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_task_word;
struct mf_repeat;

/**
 * Two bits a line. Starts as {0}.
 *
 * @words      n_words in use: 64 lines each
 * @repeats    n_repeats lines that repeat
 * @n_lines    lines that are tasks
 */
struct mf_task_lines {
    struct mf_task_word *words;
    size_t n_words, capacity;
    struct mf_repeat *repeats;
    size_t n_repeats, repeat_capacity;
    uint64_t n_lines;
};

void mf_task_lines_finish(struct mf_task_lines *lines);

/** A line further down than all added before is a task. Returns 0 or -ENOMEM. O(1). */
int mf_task_lines_add(struct mf_task_lines *lines, uint64_t line);

/** The same for a line that makes n_tasks tasks, 1 at least. */
int mf_task_lines_add_repeat(struct mf_task_lines *lines, uint64_t line, uint64_t n_tasks);

/** Whether a line is a task. O(1). */
bool mf_task_lines_has(const struct mf_task_lines *lines, uint64_t line);

/** How many tasks a repeating line makes, 0 if it is none. O(log repeats). */
uint64_t mf_task_lines_repeats(const struct mf_task_lines *lines, uint64_t line);

/** How many tasks stand on the lines before a line. O(log repeats). */
uint64_t mf_task_lines_before(const struct mf_task_lines *lines, uint64_t line);

#endif
