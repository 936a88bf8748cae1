/*
 * status.json: how a run stands, for whoever looks from outside. Replaced as a
 * whole, so that a reader never sees half of it.
 */
#ifndef MF_REPORT_STATUS_H
#define MF_REPORT_STATUS_H

#include "base/error.h"
#include "report/progress.h"

#include <stdbool.h>
#include <stdint.h>

/** A task that is suspended, and since when (since 1970). */
struct mf_status_suspended {
    const char *id;
    int64_t since_wall_ns;
};

/**
 * mf_status_write() - replace DIR/status.json.
 *
 * @run_dir       the run directory
 * @state         what the progress line shows, and what stopped the run
 * @suspended     n_suspended tasks that are suspended, or some of them
 * @is_finished   whether the run is over
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_status_write(const char *run_dir, const struct mf_progress_state *state,
                    const struct mf_status_suspended *suspended, uint64_t n_suspended,
                    bool is_finished, struct mf_error *err);

/**
 * What status.json tells.
 *
 * @began_wall_ns  when the run, or its continuation, began (since 1970)
 * @is_finished    whether it was over when this was written
 * @stopped_by     then: what had stopped it before its end, "" for nothing
 * @updated_wall_ns  when it was written
 * @n_total        tasks in all, 0 when unknown
 * @n_running      tasks that workers held and that were not suspended
 * @n_suspended    tasks that were
 * @n_workers, @n_slots   that took tasks, and their slots
 * @n_lost, @n_renewed, @n_quarantined   workers that were lost so far; launchers of workers that
 *                  were replaced; workers that were in quarantine
 * @n_warned       tasks that ran when they were warned of the end of the allocation
 * @host, @pid     where the scheduler was, and its process; "" and 0 when that is not known
 * @stopped_by     of a run that is over, and ended early: by what; else ""
 * @is_interrupted by what says nothing of its tasks: a signal, the end of the allocation
 */
struct mf_status {
    int64_t began_wall_ns, updated_wall_ns;
    bool is_finished;
    uint64_t n_total;
    uint64_t n_done, n_failed, n_skipped;
    uint64_t n_running;
    uint64_t n_suspended;
    uint64_t n_workers, n_slots;
    uint64_t n_lost, n_renewed, n_quarantined;
    uint64_t n_warned;
    char host[256];
    int64_t pid;
    char stopped_by[512];
    bool is_interrupted;
};

/**
 * mf_status_read() - read DIR/status.json.
 *
 * Returns 0, -ENOENT if there is none, or -EBADMSG if it is something else.
 */
int mf_status_read(const char *run_dir, struct mf_status *ret_status);

/** How long ago it was written, by the clock of this node. */
int64_t mf_status_age_ns(const struct mf_status *status);

/** A job that is to begin a run, or to go on with it. @state  a word, NULL where it is not known */
struct mf_status_job {
    const char *id, *state;
};

/**
 * mf_status_print() - what is in DIR/status.json, how old that is and whether the run goes on, as
 * JSON.
 *
 * @alive  1, 0, or -1 where that is not known
 * @job    NULL for none; with one the run need not have begun, and have a status.json
 *
 * Returns 0, or -errno as reading it, or of writing.
 */
int mf_status_print(const char *run_dir, int alive, const struct mf_status_job *job, FILE *file);

/**
 * mf_status_find_suspended() - since when a task is suspended.
 *
 * Returns 0, or -ENOENT if it is not, or nobody knows.
 */
int mf_status_find_suspended(const char *run_dir, const char *id, int64_t *ret_since_wall_ns);

#endif
