/*
 * What goes on, on standard error: a bar with rate and time left on a
 * terminal, a line every 10 s elsewhere, and the summary at the end.
 */
#ifndef MF_REPORT_PROGRESS_H
#define MF_REPORT_PROGRESS_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * What is shown. Times are monotonic; n_total is 0 when unknown. n_done and
 * n_failed count n_skipped_earlier too, the tasks that ended in an earlier run.
 */
struct mf_progress_state {
    int64_t now_ns;
    int64_t started_ns;
    uint64_t n_total;
    uint64_t n_done;
    uint64_t n_failed;
    uint64_t n_skipped; /* as what they come after ended otherwise than they ask for */
    uint64_t n_running;
    uint64_t n_suspended;
    uint64_t n_skipped_earlier; /* they do not count for the rate */
    uint32_t n_slots;
    uint32_t n_workers, n_quarantined; /* for status.json alone, as all that follows */
    uint64_t n_lost, n_renewed;        /* workers; and launchers of theirs that were replaced */
    uint64_t n_warned;                 /* tasks that ran when they were warned of the end */
    const char *policy;        /* that orders the tasks now; for status.json alone, as the next */
    const char *policy_why;    /* under auto: why it is that; NULL or "" otherwise */
    uint64_t n_policy_changes; /* and how often it was changed */
    const char *stopped_by;    /* once it is over: what stopped it before its end; else NULL */
    bool is_interrupted;       /* that says nothing of its tasks: another run may go on with them */
};

enum mf_progress_mode {
    MF_PROGRESS_NONE,
    MF_PROGRESS_LINES, /* a line every 10 s */
    MF_PROGRESS_BAR,   /* one line rewritten in place, at most 10 times a second */
    MF_PROGRESS_ETA,   /* the same with the time left in front, as --eta */
};

struct mf_progress;

/** @columns is the width of the terminal, 0 for 80. Returns 0 or -ENOMEM. */
int mf_progress_create(FILE *file, enum mf_progress_mode mode, uint32_t columns,
                       struct mf_progress **ret_progress);

/** Clears a bar and frees; NULL is accepted. */
void mf_progress_destroy(struct mf_progress *progress);

/** Shows the state if it is time to. Cheap when it is not. */
void mf_progress_update(struct mf_progress *progress, const struct mf_progress_state *state);

/** Takes the bar off the line so that something else can be written; it comes back by itself. */
void mf_progress_step_aside(void *progress);

/** When update will next show something; INT64_MAX for never. */
int64_t mf_progress_next_ns(const struct mf_progress *progress);

/** The text that update would show, without control characters; its rate is that since the start.
 */
void mf_progress_render(const struct mf_progress_state *state, enum mf_progress_mode mode,
                        uint32_t columns, struct mf_buffer *buffer);

/** One task that FAILED, for the summary. All texts borrowed. @was_started  it may have output. */
struct mf_failure {
    const char *id;
    const char *command_text;
    const char *cause;
    uint32_t attempts;
    bool was_started;
};

/** Why so many tasks were SKIPPED: "task 7 failed". The text is borrowed. */
struct mf_skip {
    const char *cause;
    uint64_t n_tasks;
};

/**
 * The run as a whole.
 *
 * @n_done, @n_failed, @n_cancelled, @n_skipped, @n_left   tasks of this run by their end; left were
 * not run
 * @n_done_earlier, @n_failed_earlier   taken over by --resume
 * @n_retried     attempts that were followed by another
 * @n_renewed     launcher processes that died and were replaced
 * @n_truncated   tasks whose output was over the limit
 * @makespan_ns   from the first start to the last end
 * @busy_ns       sum over attempts of run time times slots
 * @n_slots       slots of all workers
 * @failures      the first n_shown of n_failed
 * @n_unfit       tasks among n_failed that no worker could ever run
 * @skips         n_skips causes of n_skipped, those met first
 * @run_dir       for the command that shows their output
 * @policy_why    under the policy auto: the last change, of n_policy_changes; NULL or "" otherwise
 */
struct mf_summary {
    uint64_t n_done, n_failed, n_cancelled, n_skipped, n_left;
    uint64_t n_done_earlier, n_failed_earlier;
    uint64_t n_retried;
    uint64_t n_renewed;
    uint64_t n_truncated;
    int64_t makespan_ns;
    int64_t busy_ns;
    uint32_t n_slots;
    const struct mf_failure *failures;
    uint32_t n_shown;
    uint64_t n_unfit;
    const struct mf_skip *skips;
    uint32_t n_skips;
    const char *run_dir;
    const char *policy_why;
    uint64_t n_policy_changes;
    const char *lost;        /* nodes of workers that were lost, "" or NULL for none */
    const char *quarantined; /* workers that were in quarantine, "" or NULL for none */
    const char *stopped_by;  /* "signal 15 (Terminated)": why it stopped early, else NULL */
    bool is_lost;            /* its journal is gone, so that nothing of it can be continued */
};

/**
 * mf_summary_print() - the last words of a run, a few lines.
 *
 * Each failure is one line with its cause, and one with the `mpifarm logs`
 * command that shows its output and can be pasted; at the most n_shown of
 * them, and how many more there are.
 */
void mf_summary_print(const struct mf_summary *summary, FILE *file);

#endif
