/*
 * Where tasks come from: task files, standard input, sweeps of `mpifarm map`.
 *
 * A source is checked whole before anything starts (standard input as it
 * comes), then read task by task as the scheduler asks, and any task it gave
 * can be loaded again by its cookie, so that no command has to stay in memory.
 */
#ifndef MF_TASKFILE_SOURCE_H
#define MF_TASKFILE_SOURCE_H

#include "base/command.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_source;

/**
 * One task as its author wrote it, defaults filled in.
 *
 * @cookie      identifies it to mf_source_load()
 * @command     what to execute; points into memory of the entry
 * @n_slots     cores=
 * @priority    priority=
 * @attempts    retries=: tries in all, 0 when neither line nor #FARM says
 * @timeout_ns  timeout=, 0 when neither line nor #FARM says
 */
struct mf_entry {
    uint64_t cookie;
    struct mf_command command;
    uint32_t n_slots;
    int32_t priority;
    uint32_t attempts;
    int64_t timeout_ns;
};

/**
 * What the check found.
 *
 * @n_tasks       how many tasks there are; 0 and !is_counted for standard input
 * @is_counted    whether n_tasks is known
 * @has_priority  whether tasks differ in priority, so that order needs them all
 */
struct mf_source_summary {
    uint64_t n_tasks;
    bool is_counted;
    bool has_priority;
};

/**
 * Which functions a task may call.
 *
 * @check  returns 0 if there is one of that name, or -ENOENT with a sentence
 */
struct mf_function_names {
    int (*check)(void *arg, const char *name, struct mf_error *err);
    void *arg;
};

/**
 * mf_source_open_files() - tasks from n_files files; "-" is standard input.
 *
 * @functions  borrowed, outlives the source; NULL when tasks can call none
 *
 * Each file is a task file (one command per line) or JSON Lines, told apart by
 * its first line that is neither blank nor a comment. Regular files are
 * checked whole here, in one pass: ids that occur twice, unknown keys,
 * malformed JSON, NUL bytes, lines longer than the system can execute.
 * Standard input and other files that cannot be read twice are copied to a
 * temporary file ($TMPDIR or /tmp) as they come, and checked then.
 *
 * Returns 0, or -errno with `file:line: sentence` in err.
 */
int mf_source_open_files(const char *const *files, uint32_t n_files,
                         const struct mf_function_names *functions, struct mf_source **ret_source,
                         struct mf_error *err);

/**
 * mf_source_open_sweep() - all combinations of arguments for a command.
 *
 * @words  the command line of `mpifarm map` after its options: COMMAND..., then
 *         `::: ARGS...`, `:::+ ARGS...`, `:::: FILE...` in any number; without
 *         any, one argument per line of standard input
 *
 * Replacement strings: {} {.} {/} {//} {/.} {#} {%} and {N}, {N.}, {N/}, {N//},
 * {N/.}. A command without any gets {} at its end. An argument reaches the
 * command unchanged wherever its placeholder stands.
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_source_open_sweep(const char *const *words, uint32_t n_words, struct mf_source **ret_source,
                         struct mf_error *err);

/** Closes and frees; NULL is accepted. */
void mf_source_close(struct mf_source *source);

void mf_source_summarize(const struct mf_source *source, struct mf_source_summary *ret_summary);

/**
 * mf_source_next() - read the next task.
 *
 * Returns
 *   0        with the entry, which is borrowed until the next call with this source
 *   1        there are no more
 *   -EAGAIN  none yet: wait for mf_source_fd() to be readable
 *   -errno   with a sentence in err
 */
int mf_source_next(struct mf_source *source, const struct mf_entry **ret_entry,
                   struct mf_error *err);

/** The descriptor to wait for after -EAGAIN; -1 for a source that never says so. */
int mf_source_fd(const struct mf_source *source);

/**
 * mf_source_load() - a task that was read before, once more.
 *
 * Returns 0 with the entry, borrowed as above, or -errno with a sentence in err.
 */
int mf_source_load(struct mf_source *source, uint64_t cookie, const struct mf_entry **ret_entry,
                   struct mf_error *err);

#endif
