/*
 * Parts of the subcommand explain: what the journal of a run says of each task,
 * and the answers. All of it only reads.
 */
#ifndef MF_CLI_EXPLAIN_PRIVATE_H
#define MF_CLI_EXPLAIN_PRIVATE_H

#include "cli/task_set.h"
#include "core/task.h"
#include "journal/journal.h"
#include "report/status.h"
#include "taskfile/names.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** How the run stands. */
enum mf_explain_life {
    MF_EXPLAIN_GOES_ON,
    MF_EXPLAIN_OVER,    /* all its tasks have ended */
    MF_EXPLAIN_STOPPED, /* it says by what */
    MF_EXPLAIN_BROKEN,  /* it ended without a word: killed, or its node went down */
};

/**
 * What became of a task.
 *
 * @row            its last row in the journal
 * @state          there; MF_TASK_READY when it is tried again
 * @n_attempts     rows of attempts that ran
 * @ended_wall_ns  when the last one ended (since 1970)
 */
struct mf_explain_end {
    uint64_t row;
    enum mf_task_state state;
    uint32_t n_attempts;
    int64_t ended_wall_ns;
};

/**
 * A run that is looked at. Starts as {0}.
 *
 * @run_dir     as the user gave it (borrowed)
 * @ids         numbers of the tasks in the journal
 * @ends        by these numbers, from 1
 * @by_state    how many tasks ended so
 * @n_retried   attempts that were followed by another
 * @status      what status.json says; zeros if there is none
 * @is_silent   it may go on, but nothing was heard of it for a while
 * @stopped_by  if that is its life
 * @n_numbered  of a sweep: how many tasks it has, whose ids are 1, 2, 3, ...; 0 for others
 */
struct mf_explain {
    const char *run_dir;
    struct mf_journal *journal;
    struct mf_names ids;
    struct mf_explain_end *ends;
    uint32_t ends_capacity;
    uint64_t by_state[MF_TASK_STATE_COUNT];
    uint64_t n_retried;
    struct mf_status status;
    enum mf_explain_life life;
    bool is_silent;
    char stopped_by[512];
    uint64_t n_numbered;
};

/**
 * mf_explain_open() - read the journal of a run as of now.
 *
 * O(attempts) in time, O(tasks) in memory. Returns 0, or -errno with a
 * sentence; mf_explain_finish() follows in any case.
 */
int mf_explain_open(struct mf_explain *explain, const char *run_dir, struct mf_error *err);

/** Closes, and leaves {0}. */
void mf_explain_finish(struct mf_explain *explain);

/** What the journal says of a task; NULL for nothing. O(1). */
const struct mf_explain_end *mf_explain_find(struct mf_explain *explain, const char *id);

/**
 * mf_explain_is_final() - whether a task has ended for good, NULL being one that has not.
 *
 * What an earlier run skipped or cancelled is taken up again by one that goes on.
 */
bool mf_explain_is_final(const struct mf_explain *explain, const struct mf_explain_end *end);

/** "the run goes on", "the run was stopped by signal 15 (Terminated); --resume continues". */
void mf_explain_put_life(const struct mf_explain *explain, FILE *file);

/** A text of others on one line: control characters become blanks. */
void mf_explain_put_text(const char *text, FILE *file);

/** The command that shows what a task wrote, on a line of its own that can be pasted. */
void mf_explain_put_logs(const struct mf_explain *explain, const char *id, FILE *file);

/**
 * mf_explain_run() - write how the tasks of a run stand, what failed for which causes, and
 * what was skipped for that.
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_explain_run(struct mf_explain *explain, FILE *file, struct mf_error *err);

/**
 * mf_explain_task() - write what became of one task, attempt by attempt.
 *
 * @set  the tasks of the run, NULL when they are not known: then a task that
 *       has not ended cannot be told from one that does not exist
 *
 * Returns 0, or -errno with a sentence: -ENOENT there is no such task.
 */
int mf_explain_task(struct mf_explain *explain, const struct mf_task_set *set, const char *id,
                    FILE *file, struct mf_error *err);

#endif
