/*
 * Tasks from the source into the farm, skipping those that an earlier run has
 * done: see earlier.c. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

/* Entries read in one turn: enough to be cheap, few enough that a turn stays short. */
#define ENTRIES_PER_TURN 2048

/* Tasks that nobody has room for, past which others are read: all of them are held in memory. */
#define MAX_ASIDE (64 * 1024)

/* --- reading --- */

static void source_is_readable(void *arg, uint32_t events)
{
    struct mf_scheduler *scheduler = arg;

    scheduler->is_source_waiting = false;
    mf_loop_modify(scheduler->config.loop, scheduler->source_watch, 0);
}

static void wait_for_source(struct mf_scheduler *scheduler)
{
    struct mf_loop *loop = scheduler->config.loop;
    int fd = mf_source_fd(scheduler->config.source);
    struct mf_error err;
    int r;

    if (scheduler->source_watch)
        r = mf_loop_modify(loop, scheduler->source_watch, EPOLLIN);
    else
        r = mf_loop_add(loop, fd, EPOLLIN, source_is_readable, scheduler, &scheduler->source_watch);
    scheduler->is_source_waiting = r == 0;
    if (r < 0) {
        mf_error_set(&err, r, "the input cannot be waited for: %s", strerror(-r));
        mf_scheduler_fail(scheduler, &err);
    }
}

static void close_input(struct mf_scheduler *scheduler)
{
    struct mf_event closed = {.kind = MF_EVENT_CLOSED};

    scheduler->is_source_done = true;
    mf_loop_remove(scheduler->config.loop, scheduler->source_watch);
    scheduler->source_watch = NULL;
    mf_scheduler_apply(scheduler, &closed);
}

/* What was read before a bad line runs to its end; nothing after it is guessed at. */
static void refuse_input(struct mf_scheduler *scheduler, const struct mf_error *err)
{
    mf_log_error(scheduler->config.log, "%s", err->text);
    scheduler->is_input_bad = true;
    strcpy(scheduler->stopped_by, "the bad input above");
    close_input(scheduler);
}

/* --- ends that others may come after --- */

void mf_intake_note_end(struct mf_scheduler *scheduler, mf_task_id task, const char *id,
                        enum mf_task_state state)
{
    void *place;

    if (!scheduler->bad_ends || state == MF_TASK_DONE)
        return;
    /* Without memory for it, tasks that are skipped name its number. */
    if (mf_table_insert(scheduler->bad_ends, &task, &place) == 0)
        *(struct mf_bad_end *)place = (struct mf_bad_end){strdup(id), state};
}

char *mf_intake_explain_skip(const struct mf_scheduler *scheduler, mf_task_id root, char *text,
                             size_t size)
{
    const struct mf_bad_end *end = mf_table_find(scheduler->bad_ends, &root);
    const char *how = "did not fail";

    if (root > mf_farm_last_id(scheduler->farm))
        how = "was never submitted";
    if (end && end->state == MF_TASK_FAILED)
        how = "failed";
    else if (end)
        how = "was cancelled";
    if (end && end->id)
        snprintf(text, size, "task %s %s", end->id, how);
    else
        snprintf(text, size, "task number %" PRIu64 " %s", root, how);
    return text;
}

/* --- into the farm --- */

/* A task that an earlier run has settled still has its number where others count on it, or another
 * scheduler may. */
static void submit_settled(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                           enum mf_task_state state, const struct mf_task_history *history)
{
    struct mf_event event = {.kind = MF_EVENT_SETTLED, .state = state, .history = history};

    if (!scheduler->has_dependencies && scheduler->epoch == 0)
        return;
    if (mf_scheduler_apply(scheduler, &event) != 0)
        return;
    mf_intake_note_end(scheduler, mf_farm_last_id(scheduler->farm), entry->command.id, state);
    mf_adoption_on_settled(scheduler, mf_farm_last_id(scheduler->farm));
}

static int64_t deadline_of(const struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    int64_t deadline_ns;

    if (entry->deadline_ns == 0)
        return 0;
    if (__builtin_add_overflow(scheduler->created_ns, entry->deadline_ns, &deadline_ns))
        return INT64_MAX;
    return deadline_ns;
}

/* Its share, if the user gives it one. */
static void tell_share(struct mf_scheduler *scheduler, uint32_t group, const char *name)
{
    for (uint32_t i = 0; i < scheduler->config.n_shares; i++) {
        const struct mf_group_share *share = &scheduler->config.shares[i];
        struct mf_event event = {.kind = MF_EVENT_SHARE,
                                 .spec = {.group = group, .weight = (float)share->share}};

        if (strlen(name) == share->name_size && memcmp(name, share->name, share->name_size) == 0)
            mf_scheduler_apply(scheduler, &event);
    }
}

/* The source numbers groups as it comes upon them. */
static void meet_group(struct mf_scheduler *scheduler, uint32_t group)
{
    while (scheduler->last_group < group) {
        const char *name = mf_source_group_name(scheduler->config.source, ++scheduler->last_group);

        if (name)
            tell_share(scheduler, scheduler->last_group, name);
    }
}

static void submit(struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    struct mf_event event = {.kind = MF_EVENT_SUBMITTED};
    enum mf_task_state earlier = mf_earlier_settle(scheduler, entry, &event.history);

    scheduler->n_entries++;
    if (earlier != MF_TASK_WAITING) {
        submit_settled(scheduler, entry, earlier, event.history);
        return;
    }
    mf_learned_meet_kind(scheduler, entry->kind);
    meet_group(scheduler, entry->group);
    event.after = entry->after;
    event.n_after = entry->n_after;
    event.spec = (struct mf_task_spec){
        .cookie = entry->cookie,
        .needs = entry->needs,
        .priority = entry->priority,
        .group = entry->group,
        .kind = entry->kind,
        .weight = entry->weight,
        .estimate_ns = entry->estimate_ns,
        .deadline_ns = deadline_of(scheduler, entry),
        .upward_ns = entry->upward_ns,
        .max_attempts = entry->attempts ? entry->attempts : scheduler->config.attempts,
        .is_suspendable = !entry->command.function || scheduler->config.functions_yield,
        .yields = entry->command.function != NULL,
    };
    event.is_withheld = mf_adoption_awaits(scheduler, mf_farm_last_id(scheduler->farm) + 1);
    if (mf_scheduler_apply(scheduler, &event) == 0)
        mf_adoption_on_submitted(scheduler, mf_farm_last_id(scheduler->farm));
}

/*
 * Tasks that could be placed, or are. Those that wait for others or a licence do not count, nor
 * those that fit nowhere or into no time that is left, up to a bound: what is behind them may fit.
 */
static uint64_t count_at_hand(const struct mf_scheduler *scheduler)
{
    uint64_t n_aside = mf_farm_n_aside(scheduler->farm) + mf_farm_n_late(scheduler->farm) +
                       mf_farm_n_stranded(scheduler->farm);
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_READY] - mf_farm_n_parked(scheduler->farm) -
           (n_aside < MAX_ASIDE ? n_aside : MAX_ASIDE) + counts.by_state[MF_TASK_PLACED] +
           counts.by_state[MF_TASK_RUNNING];
}

/* --- barriers --- */

static bool is_any_bad(const struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_FAILED] + counts.by_state[MF_TASK_CANCELLED] +
               counts.by_state[MF_TASK_SKIPPED] + scheduler->n_failed_earlier +
               scheduler->n_failed + scheduler->n_cancelled >
           0;
}

static bool is_any_unfinished(const struct mf_scheduler *scheduler)
{
    struct mf_farm_counts counts;

    mf_farm_count(scheduler->farm, &counts);
    return counts.by_state[MF_TASK_WAITING] + counts.by_state[MF_TASK_READY] +
               counts.by_state[MF_TASK_PLACED] + counts.by_state[MF_TASK_RUNNING] +
               counts.by_state[MF_TASK_SUSPENDED] >
           0;
}

/*
 * Submits the entry behind the barrier once all before it have ended. Until
 * then nothing is read. Returns whether that is so.
 */
static bool pass_barrier(struct mf_scheduler *scheduler)
{
    const struct mf_entry *entry;
    struct mf_error err;

    if (is_any_unfinished(scheduler))
        return false;
    if (mf_source_load(scheduler->config.source, scheduler->held_cookie, &entry, &err) < 0) {
        refuse_input(scheduler, &err);
        return false;
    }
    if (entry->barrier_checks && is_any_bad(scheduler)) {
        mf_scheduler_stop(
            scheduler, MF_STOP_SOON,
            "a barrier: a task before it was not done, and --resume-failed tries it again");
        return false;
    }
    scheduler->is_at_barrier = false;
    submit(scheduler, entry);
    return true;
}

/* Submits an entry, unless it has to wait at a barrier. */
static void take_in(struct mf_scheduler *scheduler, const struct mf_entry *entry)
{
    if (!entry->is_behind_barrier) {
        submit(scheduler, entry);
        return;
    }
    scheduler->is_at_barrier = true;
    scheduler->held_cookie = entry->cookie;
    pass_barrier(scheduler);
}

/* --- the turn --- */

/* In a run that stops, for what is to be adopted. */
static bool may_read(const struct mf_scheduler *scheduler)
{
    return !scheduler->is_source_done && !scheduler->is_source_waiting && !scheduler->has_failed &&
           (mf_farm_stopping(scheduler->farm) == MF_STOP_NONE ||
            mf_adoption_awaits_reading(scheduler));
}

bool mf_intake_may_go_on(const struct mf_scheduler *scheduler)
{
    if (scheduler->is_at_barrier)
        return !is_any_unfinished(scheduler);
    return may_read(scheduler) && count_at_hand(scheduler) < scheduler->lookahead;
}

bool mf_intake_turn(struct mf_scheduler *scheduler)
{
    const struct mf_entry *entry;
    uint64_t n_at_hand;
    struct mf_error err;

    if (!may_read(scheduler) || (scheduler->is_at_barrier && !pass_barrier(scheduler)))
        return false;
    n_at_hand = count_at_hand(scheduler);
    for (int i = 0; i < ENTRIES_PER_TURN; i++, n_at_hand++) {
        /* Those that turned out to wait for others count no more. */
        if (n_at_hand >= scheduler->lookahead)
            n_at_hand = count_at_hand(scheduler);
        if (scheduler->is_at_barrier || n_at_hand >= scheduler->lookahead)
            return false;
        int r = mf_source_next(scheduler->config.source, &entry, &err);
        if (r == 0)
            r = mf_beginning_check_span(scheduler, entry, &err);
        if (r == 0) {
            take_in(scheduler, entry);
            continue;
        }
        if (r == -EAGAIN)
            wait_for_source(scheduler);
        else if (r == 1)
            close_input(scheduler);
        else
            refuse_input(scheduler, &err);
        return false;
    }
    return true;
}

static void free_bad_ends(struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *end;

    while (scheduler->bad_ends && mf_table_next(scheduler->bad_ends, &cursor, NULL, &end))
        free(((struct mf_bad_end *)end)->id);
    mf_table_destroy(scheduler->bad_ends);
}

void mf_intake_finish(struct mf_scheduler *scheduler)
{
    mf_loop_remove(scheduler->config.loop, scheduler->source_watch);
    free_bad_ends(scheduler);
}
