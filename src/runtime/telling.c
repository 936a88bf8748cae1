/*
 * What others get to know of the run: progress, status.json, its result and its summary. Runs in
 * rank 0's only thread, and changes nothing of the run but to stop it where it cannot be told.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>

/* status.json is replaced this often. */
#define STATUS_INTERVAL_NS MF_NS_PER_S

/* Suspended tasks that status.json names. */
#define MAX_SUSPENDED_TOLD 1000

/* --- while it runs --- */

const char *mf_telling_stopped_by(const struct mf_scheduler *scheduler)
{
    if (mf_scheduler_result(scheduler) != MF_RUN_STOPPED)
        return NULL;
    if (scheduler->stopped_by[0] == '\0' && scheduler->n_cancelled > 0)
        return "mpifarm cancel, which withdrew tasks";
    return scheduler->stopped_by[0] ? scheduler->stopped_by : "the end of the run";
}

/* The same for those who do not see what the run has said. */
static const char *told_stop(const struct mf_scheduler *scheduler)
{
    return scheduler->failed_by[0] ? scheduler->failed_by : mf_telling_stopped_by(scheduler);
}

static struct mf_progress_state progress_state(const struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;
    struct mf_progress_state state;

    mf_farm_count(scheduler->farm, &counts);
    state = (struct mf_progress_state){
        .now_ns = scheduler->now_ns,
        .started_ns = scheduler->created_ns,
        .n_total = scheduler->n_total,
        .n_done = scheduler->n_done + scheduler->n_done_earlier,
        .n_failed = scheduler->n_failed + scheduler->n_failed_earlier,
        .n_skipped = scheduler->n_skipped,
        .n_suspended = counts.by_state[MF_TASK_SUSPENDED],
        .n_running = counts.by_state[MF_TASK_RUNNING] + counts.by_state[MF_TASK_PLACED],
        .n_skipped_earlier = scheduler->n_done_earlier + scheduler->n_failed_earlier,
        .n_slots = counts.slots_up,
        .n_workers = counts.workers_up,
        .n_quarantined = mf_farm_workers(scheduler->farm)->n_quarantined,
        .n_lost = scheduler->notice.n_lost,
        .n_renewed = scheduler->notice.n_renewed,
        .n_warned = scheduler->n_warned,
        .policy = mf_choosing_policy(scheduler),
        .policy_why = scheduler->choosing.why,
        .n_policy_changes = scheduler->choosing.n_changes,
        .stopped_by = scheduler->is_finished ? told_stop(scheduler) : NULL,
        .is_interrupted = scheduler->is_interrupted || scheduler->has_failed,
    };
    if (state.n_running > state.n_slots)
        state.n_running = state.n_slots;
    return state;
}

/* Some of the tasks that are suspended. Returns how many; ids are borrowed. */
static uint64_t list_suspended(const struct mf_scheduler *scheduler,
                               struct mf_status_suspended suspended[MAX_SUSPENDED_TOLD])
{
    size_t cursor = 0;
    uint64_t n = 0;
    void *place;

    while (mf_policy_preempts(mf_farm_policy(scheduler->farm)) && n < MAX_SUSPENDED_TOLD &&
           mf_table_next(scheduler->live, &cursor, NULL, &place) == 1) {
        const struct mf_live *live = *(struct mf_live **)place;

        if (live->suspended_wall_ns > 0)
            suspended[n++] = (struct mf_status_suspended){live->id, live->suspended_wall_ns};
    }
    return n;
}

/* For onlookers only: where it cannot be written the run goes on, having said so once. */
static void write_status(struct mf_scheduler *scheduler)
{
    struct mf_progress_state state = progress_state(scheduler);
    struct mf_status_suspended suspended[MAX_SUSPENDED_TOLD];
    uint64_t n_suspended = list_suspended(scheduler, suspended);
    struct mf_error err;

    if (mf_status_write(scheduler->config.run_dir, &state, suspended, n_suspended,
                        scheduler->is_finished, &err) == 0)
        return;
    if (!scheduler->is_status_lost && !scheduler->has_failed)
        mf_log_warning(scheduler->config.log, "%s", err.text);
    scheduler->is_status_lost = true;
}

/* A run directory that is gone has taken the journal with it, and what is there now is others'. */
void mf_telling_update_status(struct mf_scheduler *scheduler)
{
    struct mf_error err;
    int r;

    scheduler->next_status_ns = scheduler->now_ns + STATUS_INTERVAL_NS;
    if (scheduler->is_superseded)
        return;
    r = mf_journal_check_place(scheduler->journal, &err);
    if (r < 0)
        mf_scheduler_fail(scheduler, &err);
    if ((r == 0 || r == -ENODATA) && (!scheduler->has_failed || scheduler->is_finished))
        write_status(scheduler);
}

void mf_telling_turn(struct mf_scheduler *scheduler)
{
    struct mf_progress_state state;
    struct mf_error err;

    if (!scheduler->cannot_print && mf_printer_turn(scheduler->printer, &err) < 0) {
        scheduler->cannot_print = true;
        mf_log_error(scheduler->config.log, "%s", err.text);
        mf_scheduler_stop(scheduler, MF_STOP_NOW, "the error above");
    }
    state = progress_state(scheduler);
    if (scheduler->config.progress)
        mf_progress_update(scheduler->config.progress, &state);
    if (scheduler->now_ns >= scheduler->next_status_ns)
        mf_telling_update_status(scheduler);
}

/* --- at the end --- */

static uint64_t count_left(const struct mf_scheduler *scheduler)
{
    uint64_t n_all = scheduler->n_total ? scheduler->n_total : scheduler->n_entries;
    uint64_t n_settled = scheduler->n_done + scheduler->n_failed + scheduler->n_cancelled +
                         scheduler->n_skipped + scheduler->n_done_earlier +
                         scheduler->n_failed_earlier;

    return n_all > n_settled ? n_all - n_settled : 0;
}

bool mf_scheduler_has_losses(const struct mf_scheduler *scheduler)
{
    return scheduler->notice.n_gone > 0;
}

enum mf_run_result mf_scheduler_result(const struct mf_scheduler *scheduler)
{
    if (scheduler->is_superseded)
        return MF_RUN_SUPERSEDED;
    if (scheduler->is_refused || (scheduler->is_input_bad && scheduler->n_entries == 0))
        return MF_RUN_REFUSED;
    if (!scheduler->is_begun || scheduler->has_failed || scheduler->cannot_print ||
        scheduler->is_input_bad || !mf_printer_is_idle(scheduler->printer) ||
        !scheduler->is_source_done || scheduler->n_cancelled > 0 || count_left(scheduler) > 0)
        return MF_RUN_STOPPED;
    return scheduler->n_failed + scheduler->n_failed_earlier + scheduler->n_hooks_failed > 0
               ? MF_RUN_FAILED
               : MF_RUN_DONE;
}

/* Who has taken over does not know of those that were lost before. */
static uint32_t count_slots(const struct mf_scheduler *scheduler)
{
    return scheduler->n_slots > scheduler->n_slots_before ? scheduler->n_slots
                                                          : scheduler->n_slots_before;
}

/* Whether what is recorded of the run cannot be found any more. */
static bool is_lost(const struct mf_scheduler *scheduler)
{
    struct mf_error ignored;

    return scheduler->journal && mf_journal_check_place(scheduler->journal, &ignored) < 0;
}

void mf_scheduler_summarize(const struct mf_scheduler *scheduler, FILE *file)
{
    struct mf_failure failures[MF_MAX_SHOWN_FAILURES];
    struct mf_skip skips[MF_MAX_SHOWN_SKIPS];
    struct mf_farm_counts counts;
    char quarantined[512], lost[512];
    struct mf_summary summary = {
        .n_done = scheduler->n_done,
        .n_failed = scheduler->n_failed,
        .n_cancelled = scheduler->n_cancelled,
        .n_skipped = scheduler->n_skipped,
        .n_left = count_left(scheduler) + scheduler->n_cancelled,
        .n_done_earlier = scheduler->n_done_earlier,
        .n_failed_earlier = scheduler->n_failed_earlier,
        .n_truncated = scheduler->n_truncated,
        .makespan_ns = scheduler->last_end_ns - scheduler->first_start_ns,
        .busy_ns = scheduler->busy_ns,
        .n_slots = count_slots(scheduler),
        .failures = failures,
        .n_shown = scheduler->n_failures,
        .n_unfit = scheduler->n_unfit,
        .skips = skips,
        .n_skips = scheduler->n_skips,
        .run_dir = scheduler->config.shown_run_dir,
        .policy_why = scheduler->choosing.why,
        .n_policy_changes = scheduler->choosing.n_changes,
        .n_renewed = scheduler->notice.n_renewed,
        .lost = mf_recovery_name_lost(scheduler, lost, sizeof(lost)),
        .quarantined = mf_recovery_name_quarantined(scheduler, quarantined, sizeof(quarantined)),
    };

    mf_farm_count(scheduler->farm, &counts);
    summary.n_retried = counts.retried + scheduler->n_retried_before;
    summary.stopped_by = mf_telling_stopped_by(scheduler);
    summary.is_lost = is_lost(scheduler);
    for (uint32_t i = 0; i < scheduler->n_failures; i++)
        failures[i] = (struct mf_failure){.id = scheduler->failures[i].id,
                                          .command_text = scheduler->failures[i].text,
                                          .cause = scheduler->failures[i].cause,
                                          .attempts = scheduler->failures[i].attempts,
                                          .was_started = scheduler->failures[i].was_started};
    for (uint32_t i = 0; i < scheduler->n_skips; i++)
        skips[i] = (struct mf_skip){scheduler->skips[i].cause, scheduler->skips[i].n_tasks};
    mf_summary_print(&summary, file);
}

void mf_scheduler_tell_unfit(const struct mf_scheduler *scheduler)
{
    uint64_t n = scheduler->n_unfit;

    if (n > 0)
        mf_log_error(scheduler->config.log,
                     "%" PRIu64 " %s could never start: no worker is large enough; see mpifarm "
                     "explain %s",
                     n, n == 1 ? "task" : "tasks", scheduler->config.shown_run_dir);
}
