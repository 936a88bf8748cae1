/*
 * What a run has been through before another scheduler takes it over: with a standby the journal
 * has when the run began and when it has to end, and of each attempt when that ran. Runs in the
 * scheduler's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Two times in nanoseconds since 1970, the second 0 for none; and slots of all workers. */
#define TEXT_TIMES "times"

/* By the clock of another node where that has written it. */
static int64_t monotonic_of(const struct mf_scheduler *scheduler, int64_t wall_ns)
{
    return scheduler->now_ns + wall_ns - scheduler->config.wall_ns();
}

static int64_t wall_of(const struct mf_scheduler *scheduler, int64_t ns)
{
    return scheduler->config.wall_ns() + ns - scheduler->now_ns;
}

int mf_past_note(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int64_t end_ns = scheduler->config.end_ns;
    char text[96];

    snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %" PRIu32,
             wall_of(scheduler, scheduler->created_ns), end_ns ? wall_of(scheduler, end_ns) : 0,
             scheduler->n_slots);
    return mf_journal_set_text(scheduler->journal, TEXT_TIMES, text, err);
}

int mf_past_recall(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int64_t began_ns, end_ns;
    char text[96];
    uint32_t n_slots;
    int r = mf_journal_get_text(scheduler->journal, TEXT_TIMES, text, sizeof(text), err);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNu32, &began_ns, &end_ns, &n_slots) != 3)
        return 0;
    scheduler->created_ns = monotonic_of(scheduler, began_ns);
    if (end_ns > 0)
        scheduler->config.end_ns = monotonic_of(scheduler, end_ns);
    scheduler->n_slots_before = n_slots;
    return 0;
}

void mf_past_note_time(struct mf_scheduler *scheduler, int64_t start_ns, int64_t end_ns)
{
    if (!scheduler->has_times || start_ns < scheduler->first_start_ns)
        scheduler->first_start_ns = start_ns;
    if (!scheduler->has_times || end_ns > scheduler->last_end_ns)
        scheduler->last_end_ns = end_ns;
    scheduler->has_times = true;
}

int64_t mf_past_note_attempt(struct mf_scheduler *scheduler,
                             const struct mf_journal_attempt *attempt)
{
    const struct mf_outcome *outcome = &attempt->outcome;
    int64_t start_ns = monotonic_of(scheduler, outcome->started_wall_ns);

    scheduler->n_retried_before +=
        attempt->state == MF_TASK_READY && outcome->cause != MF_CAUSE_WALLTIME;
    if (mf_task_state_is_final(attempt->state))
        mf_settle_note_end(scheduler, attempt->id, attempt->command_text, attempt->attempt,
                           attempt->host, attempt->state, outcome);
    /* Of one that was lost nobody knows how long it ran; one that was never sent did not. */
    if (outcome->cause == MF_CAUSE_LOST || attempt->host[0] == '\0')
        return 0;
    mf_past_note_time(scheduler, start_ns, start_ns + outcome->duration_ns);
    return outcome->duration_ns;
}
