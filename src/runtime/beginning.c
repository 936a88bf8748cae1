/*
 * Whether a run can begin. That is known only once the workers have said what
 * they have, so the run directory is opened after that: a run that is refused
 * leaves everything as it was. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* --- what no worker has --- */

static bool is_settled(const struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    return scheduler->earlier && mf_earlier_state(scheduler, &entry->command) != MF_TASK_WAITING;
}

static int refuse_task(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                       const struct mf_needs *largest, struct mf_error *err)
{
    uint64_t cookie = entry->cookie;
    char why[256];

    mf_needs_explain(&entry->needs, largest, why, sizeof(why));
    return mf_source_at(scheduler->config.source, cookie,
                        mf_error_set(err, -ERANGE, "the task %s", why), err);
}

static bool is_any_suspended(const struct mf_scheduler *scheduler)
{
    return mf_policy_preempts(mf_farm_policy(scheduler->farm));
}

int mf_beginning_check_span(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                            struct mf_error *err)
{
    struct mf_source *source = scheduler->config.source;
    struct mf_source_summary summary;
    uint64_t cookie = entry->cookie;
    int r;

    if (entry->needs.n_nodes <= 1 || !is_any_suspended(scheduler))
        return 0;
    r = mf_error_set(
        err, -ENOTSUP,
        "task %.200s needs %" PRIu32 " nodes, and --policy %s suspends tasks, which is "
        "for those of one node: choose another policy",
        entry->command.id, entry->needs.n_nodes, mf_farm_policy(scheduler->farm)->name);
    mf_source_summarize(source, &summary);
    return summary.is_counted ? mf_source_at(source, cookie, r, err) : r;
}

/* Looks for the first task that is still to be run and cannot be: it needs more of a kind than any
 * worker has, or several nodes where tasks are suspended. */
static int find_unfit(struct mf_scheduler *scheduler, const struct mf_needs *largest,
                      struct mf_error *err)
{
    struct mf_source *source = scheduler->config.source;
    const struct mf_entry *entry;
    int r;

    while ((r = mf_source_next(source, &entry, err)) == 0) {
        if (mf_needs_exceed(&entry->needs, largest) && !is_settled(scheduler, entry))
            return refuse_task(scheduler, entry, largest, err);
        r = is_settled(scheduler, entry) ? 0 : mf_beginning_check_span(scheduler, entry, err);
        if (r < 0)
            break;
    }
    if (r < 0)
        return r;
    mf_source_rewind(source);
    return 0;
}

/*
 * The tasks are read for it only if there is one to be found. Of an input that
 * comes bit by bit nobody knows the rest: such tasks fail when their turn comes.
 */
static int check_needs(struct mf_scheduler *scheduler, struct mf_error *err)
{
    struct mf_needs largest = mf_workers_largest(mf_farm_workers(scheduler->farm));
    struct mf_source_summary summary;

    /* The scheduler before has looked, and had workers that are lost. */
    if (scheduler->config.is_takeover)
        return 0;
    mf_source_summarize(scheduler->config.source, &summary);
    if (!summary.is_counted || (!mf_needs_exceed(&summary.largest, &largest) &&
                                !(summary.largest.n_nodes > 1 && is_any_suspended(scheduler))))
        return 0;
    return find_unfit(scheduler, &largest, err);
}

/* --- the beginning --- */

/* What needs the run directory, and what may write into it. */
static int create_parts(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = 0;

    if (scheduler->config.resume == MF_RESUME_WITH_FAILED)
        r = mf_journal_forgive(scheduler->journal, err);
    if (r < 0)
        return r;
    r = mf_requests_create(scheduler);
    if (r < 0)
        return mf_error_set(err, r, "cannot set up the scheduler: %s", strerror(-r));
    mf_walltime_create(scheduler);
    mf_learned_load(scheduler);
    r = mf_settle_create(scheduler, err);
    if (r < 0)
        return r;
    mf_settle_adopt_earlier(scheduler);
    return mf_feeds_plan(scheduler, err);
}

static int open_journal(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = scheduler->config.open_journal(scheduler->config.open_arg, &scheduler->journal, err);

    return r == 0 && scheduler->config.has_standby ? mf_reign_claim(scheduler, err) : r;
}

int mf_beginning_take_over(struct mf_scheduler *scheduler, struct mf_error *err)
{
    return open_journal(scheduler, err);
}

/* From here on nothing holds that an earlier part of the run has said of its end. */
static int note_begun(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRId64, mf_clock_wall_ns());
    return mf_journal_set_text(scheduler->journal, MF_JOURNAL_BEGAN, text, err);
}

/* Opening the journal replaces an earlier run, unless that is continued: then it tells what is
 * settled. */
static int begin(struct mf_scheduler *scheduler, struct mf_error *err)
{
    bool is_resumed = scheduler->config.resume != MF_RESUME_NONE;
    int r;

    if (scheduler->config.hindrance)
        return mf_error_set(err, -EINVAL, "no rank can go on with the run: %s",
                            scheduler->config.hindrance);
    r = is_resumed ? 0 : check_needs(scheduler, err);

    if (r == 0 && !scheduler->journal)
        r = open_journal(scheduler, err);
    if (r == 0 && scheduler->config.is_takeover)
        r = mf_past_recall(scheduler, err);
    if (r == 0)
        r = mf_earlier_load(scheduler, err);
    if (r == 0 && is_resumed)
        r = check_needs(scheduler, err);
    if (r == 0)
        r = create_parts(scheduler, err);
    return r < 0 ? r : note_begun(scheduler, err);
}

static void try_to_begin(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    scheduler->is_begun = begin(scheduler, &err) == 0;
    if (scheduler->is_begun) {
        mf_hooks_begin(scheduler);
        return;
    }
    /* Under the scheduler before this one tasks were started. */
    if (scheduler->config.is_takeover) {
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    scheduler->is_refused = true;
    mf_log_error(scheduler->config.log, "%s", err.text);
}

/* --- the turn --- */

static bool is_given_up(const struct mf_scheduler *scheduler)
{
    return scheduler->is_refused || scheduler->has_failed ||
           mf_farm_stopping(scheduler->farm) != MF_STOP_NONE;
}

bool mf_beginning_turn(struct mf_scheduler *scheduler)
{
    if (!scheduler->is_begun && scheduler->is_sharing_done && !is_given_up(scheduler))
        try_to_begin(scheduler);
    if (scheduler->is_begun)
        return true;
    if (!is_given_up(scheduler))
        return false;
    if (!scheduler->is_leaving)
        mf_peers_stop(scheduler);
    scheduler->is_finished = mf_peers_have_left(scheduler);
    return false;
}

int64_t mf_beginning_next_ns(const struct mf_scheduler *scheduler)
{
    return scheduler->is_leaving ? scheduler->leave_deadline_ns : mf_peers_deadline_ns(scheduler);
}
