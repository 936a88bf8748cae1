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
#include "core/graph.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_source;

/**
 * One task as its author wrote it, defaults filled in.
 *
 * A task is numbered by its position in the whole input, from 1: command.seq.
 *
 * @cookie       identifies it to mf_source_load()
 * @command      what to execute; points into memory of the entry
 * @needs        cores=, mem=, gpus= and countables
 * @priority     priority=
 * @attempts     retries=: tries in all, 0 when neither line nor #FARM says
 * @timeout_ns   timeout=, 0 when neither line nor #FARM says
 * @estimate_ns  time=: how long it should run, 0 when nobody says
 * @deadline_ns  deadline=: counted from the start of the run, 0 for none
 * @upward_ns    longest way from its start to the end of all that comes after it; its own
 *               estimate where there is no graph
 * @weight       weight=, 0 when neither line nor #FARM says
 * @group        number of the name in group=, 0 for none; see mf_source_group_name()
 * @kind         number of the function or of the program's name, 0 for none; see
 *               mf_source_kind_name()
 * @after        n_after tasks that it comes after, in order of their numbers, no one twice
 * @outs         n_outs tasks whose output {out:ID} in the command is, in the order of the
 *               places: as many as mf_outs_count() says; they are among after too
 * @is_behind_barrier  a barrier stands between the task before and this one
 * @barrier_checks     and all tasks before it must be DONE, or nothing behind it is run
 */
struct mf_entry {
    uint64_t cookie;
    struct mf_command command;
    struct mf_needs needs;
    int32_t priority;
    uint32_t attempts;
    int64_t timeout_ns;
    int64_t estimate_ns;
    int64_t deadline_ns;
    int64_t upward_ns;
    float weight;
    uint32_t group;
    uint32_t kind;
    const struct mf_dependency *after;
    uint32_t n_after;
    const mf_task_id *outs;
    uint32_t n_outs;
    bool is_behind_barrier;
    bool barrier_checks;
};

/**
 * What the check found; of standard input, what came so far.
 *
 * @n_tasks           how many tasks there are; 0 and !is_counted for standard input
 * @is_counted        whether n_tasks is known
 * @has_priority      whether tasks differ in priority, so that order needs them all
 * @has_dependencies  whether a task comes after another
 * @has_outs          whether a command takes the output of another task
 * @has_barriers      whether there is a barrier
 * @has_estimates     whether a task says how long it should run
 * @largest           the most that any of them needs of each kind, countables aside; 0 where
 *                    none says
 */
struct mf_source_summary {
    uint64_t n_tasks;
    bool is_counted;
    bool has_priority;
    bool has_dependencies;
    bool has_outs;
    bool has_barriers;
    bool has_estimates;
    struct mf_needs largest;
};

/**
 * A command that each worker runs once: `#DISBATCH PERENGINE`.
 *
 * @is_stop  when it leaves, and not before its first task
 * @line     where it stands in its file
 * @command  its id is "START LINE" or "STOP LINE"; the source's
 */
struct mf_hook {
    bool is_stop;
    uint64_t line;
    struct mf_command command;
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

/** Something that the run has so many of, and the key by which tasks ask for some. */
struct mf_countable {
    const char *name;
    uint32_t count;
};

/** What files are written in. */
enum mf_source_format {
    MF_SOURCE_AUTO,     /* task file or JSON Lines, as the first task of each tells */
    MF_SOURCE_WFFORMAT, /* one workflow of WfCommons: see wfformat.h */
};

/** The format of that name: "auto" or "wfformat". Returns 0, or -EINVAL with a sentence. */
int mf_source_format_parse(const char *name, enum mf_source_format *ret_format,
                           struct mf_error *err);

/**
 * What the readers of files must be told. All is borrowed and outlives the source.
 *
 * @functions   NULL when tasks can call none
 * @countables  n_countables of them, MF_N_COUNTABLES at most, in the order of struct mf_needs;
 *              their names have a "." in them, such as licence.matlab
 * @run_name    what tasks of disBatch see as DISBATCH_JOBID; the same in a run that is
 *              continued, or their commands are others. NULL for "mpifarm"
 * @is_not_run  nothing will be run, so that a workflow needs no commands
 */
struct mf_source_options {
    const struct mf_function_names *functions;
    const struct mf_countable *countables;
    uint32_t n_countables;
    enum mf_source_format format;
    const char *run_name;
    bool is_not_run;
};

/**
 * mf_source_open_files() - tasks from n_files files; "-" is standard input.
 *
 * @options  NULL for none
 *
 * Each file is a task file (one command per line) or JSON Lines, told apart by
 * its first line that is neither blank nor a comment. Regular files are
 * checked whole here, in one pass: ids that occur twice, unknown keys,
 * malformed JSON, NUL bytes, lines longer than the system can execute. A
 * second pass follows where tasks come after others or barriers stand between
 * them: unknown tasks, and cycles.
 *
 * Standard input and other files that cannot be read twice are copied to a
 * temporary file ($TMPDIR or /tmp) as they come, and checked then. With one of
 * them in the input a task can only come after tasks before it: those behind
 * it are not known when it is started.
 *
 * Returns 0, or -errno with `file:line: sentence` in err, or `file: json.path: sentence`
 * for a workflow.
 */
int mf_source_open_files(const char *const *files, uint32_t n_files,
                         const struct mf_source_options *options, struct mf_source **ret_source,
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
 * mf_source_graph() - which tasks come after which.
 *
 * Returns the source's graph, or NULL if there are neither dependencies nor
 * barriers, or if not all of the input can be known beforehand.
 */
const struct mf_graph *mf_source_graph(const struct mf_source *source);

/**
 * mf_source_hook() - what workers run when they join and leave.
 *
 * Files are asked in their order, and in each its lines. Streams and sweeps have none.
 *
 * Returns the one of that number, from 0, or NULL behind the last; the source's.
 */
const struct mf_hook *mf_source_hook(const struct mf_source *source, size_t number);

/** The name behind the number of a kind or a group that an entry had; NULL for 0. The source's. */
const char *mf_source_kind_name(const struct mf_source *source, uint32_t kind);
const char *mf_source_group_name(const struct mf_source *source, uint32_t group);

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

/** As mf_source_next(), and waits where there is none yet. For who has nothing else to do. */
int mf_source_await(struct mf_source *source, const struct mf_entry **ret_entry,
                    struct mf_error *err);

/** Goes back to the first task; only for a source whose summary is_counted, sweeps aside. */
void mf_source_rewind(struct mf_source *source);

/**
 * mf_source_at() - put where a task stands before a sentence about it.
 *
 * @cookie  of a task of a source that can be rewound
 * @r       -errno, whose sentence is in err
 *
 * Returns r, with `file:line: ` or `file: json.path: ` before the sentence; or another -errno
 * with a sentence of its own.
 */
int mf_source_at(struct mf_source *source, uint64_t cookie, int r, struct mf_error *err);

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
