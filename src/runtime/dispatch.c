/*
 * Changes of the farm into records to workers. What must be done follows from
 * a task's state, so that doing it twice does no harm. Runs in rank 0's only
 * thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"
#include "base/outs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failure may skip a million tasks: they are told a part at a time, as all else goes on. */
#define CHANGES_PER_TURN 8192

/* --- live tasks --- */

struct mf_live *mf_live_find(const struct mf_scheduler *scheduler, mf_task_id task)
{
    struct mf_live **found = mf_table_find(scheduler->live, &task);

    return found ? *found : NULL;
}

void mf_live_remove(struct mf_scheduler *scheduler, struct mf_live *live)
{
    mf_table_remove(scheduler->live, &live->task);
}

void mf_live_free(struct mf_live *live)
{
    if (!live)
        return;
    free(live->id);
    free(live->tag);
    free(live->text);
    free(live->command);
    free(live->saved);
    free(live->outs);
    free(live);
}

void mf_live_free_all(struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *place;

    while (scheduler->live && mf_table_next(scheduler->live, &cursor, NULL, &place))
        mf_live_free(*(struct mf_live **)place);
    mf_table_destroy(scheduler->live);
}

/* The scratch buffer's bytes as a heap block, with a NUL behind them. */
static uint8_t *copy_scratch(struct mf_buffer *scratch)
{
    uint8_t *copy = mf_buffer_status(scratch) == 0 ? malloc(scratch->size + 1) : NULL;

    if (!copy)
        return NULL;
    if (scratch->size > 0)
        memcpy(copy, scratch->data, scratch->size);
    copy[scratch->size] = '\0';
    return copy;
}

static int fill_live(struct mf_scheduler *scheduler, struct mf_live *live,
                     const struct mf_entry *entry)
{
    struct mf_buffer *scratch = &scheduler->scratch;

    live->id = strdup(entry->command.id);
    if (scheduler->config.tag)
        live->tag = strdup(entry->command.tag);
    live->seq = entry->command.seq;
    live->timeout_ns = entry->timeout_ns ? entry->timeout_ns : scheduler->config.timeout_ns;
    mf_command_key(&entry->command, live->key);
    mf_buffer_clear(scratch);
    mf_command_print(&entry->command, scratch);
    live->text = (char *)copy_scratch(scratch);
    mf_buffer_clear(scratch);
    /* Without paths to wait for, what only looks like a place becomes ordinary text here. */
    if (entry->command.has_outs && entry->n_outs == 0)
        mf_outs_fill(&entry->command, NULL, scratch);
    else
        mf_command_encode(&entry->command, scratch);
    live->command = copy_scratch(scratch);
    live->command_size = scratch->size;
    live->outs = entry->n_outs ? calloc(entry->n_outs, sizeof(*live->outs)) : NULL;
    if (entry->n_outs && !live->outs)
        return -ENOMEM;
    live->n_outs = entry->n_outs;
    if (entry->n_outs)
        memcpy(live->outs, entry->outs, entry->n_outs * sizeof(*live->outs));
    live->n_tries_earlier = live->id ? mf_earlier_attempts(scheduler, live->id) : 0;
    if (!live->id || !live->text || !live->command || (scheduler->config.tag && !live->tag))
        return -ENOMEM;
    return 0;
}

int mf_live_load(struct mf_scheduler *scheduler, mf_task_id task, uint64_t cookie,
                 struct mf_live **ret_live, struct mf_error *err)
{
    const struct mf_entry *entry;
    struct mf_live *live;
    void *place;
    int r;

    r = mf_source_load(scheduler->config.source, cookie, &entry, err);
    if (r < 0)
        return r;
    live = calloc(1, sizeof(*live));
    if (!live)
        return mf_error_set(err, -ENOMEM, "out of memory");
    live->task = task;
    r = fill_live(scheduler, live, entry);
    if (r == 0)
        r = mf_table_insert(scheduler->live, &live->task, &place);
    if (r < 0) {
        mf_live_free(live);
        return mf_error_set(err, r, "out of memory");
    }
    *(struct mf_live **)place = live;
    *ret_live = live;
    return 0;
}

/* --- carrying out --- */

/* As if the worker had, which was not sent it. */
static void give_back(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    struct mf_event returned = {.kind = MF_EVENT_RETURNED,
                                .task = change->task,
                                .attempt = change->attempt,
                                .worker = change->worker};

    mf_scheduler_apply(scheduler, &returned);
}

/* The task cannot be read any more: give it back unrun, and start nothing new. */
static void give_up(struct mf_scheduler *scheduler, const struct mf_change *change,
                    const struct mf_error *err)
{
    if (mf_farm_stopping(scheduler->farm) == MF_STOP_NONE)
        mf_log_error(scheduler->config.log, "%s", err->text);
    mf_scheduler_stop(scheduler, MF_STOP_SOON, "the error above");
    give_back(scheduler, change);
}

static void send_run(struct mf_scheduler *scheduler, const struct mf_change *change,
                     struct mf_live *live)
{
    struct mf_peer *peer = mf_peers_find(scheduler, change->worker);
    struct mf_buffer feeds = {0};
    struct mf_message message = {
        .kind = MF_MESSAGE_RUN,
        .task = change->task,
        .attempt = change->attempt,
        .n_slots = change->needs.n_slots,
        .n_gpus = change->needs.n_gpus,
        .mem_bytes = change->needs.mem_bytes,
        .try_number = live->n_tries_earlier + change->tries + 1,
        .timeout_ns = live->timeout_ns,
        .saved = live->saved,
        .saved_size = live->saved_size,
        .payload = live->command,
        .payload_size = live->command_size,
    };
    struct mf_buffer rooms = {0};

    if (live->n_outs > 0) {
        int r = mf_feeds_encode(scheduler, live, change->worker, &feeds);

        if (r < 0) {
            mf_scheduler_fail_with(scheduler, r, "cannot give a task the output that it takes");
            give_back(scheduler, change);
            mf_buffer_finish(&feeds);
            return;
        }
        message.feeds = feeds.data;
        message.feeds_size = feeds.size;
    }
    mf_spans_print(scheduler, change->task, &rooms);
    message.rooms = rooms.data;
    message.rooms_size = rooms.size;
    mf_peer_post(peer, &message);
    mf_buffer_finish(&feeds);
    mf_buffer_finish(&rooms);
    live->sent = change->attempt;
    live->sent_ns = scheduler->now_ns;
    live->try_number = message.try_number;
}

static void place(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    struct mf_live *live = mf_live_find(scheduler, change->task);
    struct mf_error err;

    if (change->is_gathering) {
        mf_spans_hold(scheduler, change);
        return;
    }
    if (!live && mf_live_load(scheduler, change->task, change->cookie, &live, &err) < 0) {
        give_up(scheduler, change, &err);
        return;
    }
    if (live->sent != change->attempt)
        send_run(scheduler, change, live);
}

static void carry_out_wish(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    static const enum mf_message_kind kinds[] = {[MF_WISH_RECALL] = MF_MESSAGE_RECALL,
                                                 [MF_WISH_END] = MF_MESSAGE_END,
                                                 [MF_WISH_SUSPEND] = MF_MESSAGE_SUSPEND,
                                                 [MF_WISH_YIELD] = MF_MESSAGE_SUSPEND,
                                                 [MF_WISH_CONTINUE] = MF_MESSAGE_CONTINUE};
    struct mf_message message = {
        .kind = kinds[change->wish],
        .task = change->task,
        .attempt = change->attempt,
        .cause = change->cause,
    };

    if (change->wish != MF_WISH_NONE)
        mf_peer_post(mf_peers_find(scheduler, change->worker), &message);
}

/* Since when it is suspended, for those who ask. */
static void note_suspended(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    struct mf_live *live = mf_live_find(scheduler, change->task);

    if (live && change->state != MF_TASK_SUSPENDED)
        live->suspended_wall_ns = 0;
    else if (live && live->suspended_wall_ns == 0)
        live->suspended_wall_ns = mf_clock_wall_ns();
}

/* Says what a task that ended without a report of its own ended of. */
static void explain(struct mf_scheduler *scheduler, const struct mf_change *change,
                    struct mf_outcome *outcome)
{
    struct mf_needs largest;

    *outcome = (struct mf_outcome){
        .cause = change->cause, .exit_status = -1, .started_wall_ns = mf_clock_wall_ns()};
    if (change->cause == MF_CAUSE_UNFIT) {
        largest = mf_workers_largest(mf_farm_workers(scheduler->farm));
        mf_needs_explain(&change->needs, &largest, outcome->detail, sizeof(outcome->detail));
    }
    if (change->cause == MF_CAUSE_SKIPPED)
        mf_intake_explain_skip(scheduler, change->root, outcome->detail, sizeof(outcome->detail));
}

/*
 * A task whose last attempt was reported is settled already, and its live part
 * gone. What is left here failed or was cancelled without a report.
 */
static void settle_final(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    struct mf_live *live = mf_live_find(scheduler, change->task);
    struct mf_region region = {0};
    struct mf_outcome outcome;
    struct mf_error err;

    if (!live && change->attempt > 0 && change->cause != MF_CAUSE_UNFIT &&
        change->cause != MF_CAUSE_SKIPPED)
        return;
    if (!live && mf_live_load(scheduler, change->task, change->cookie, &live, &err) < 0) {
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    explain(scheduler, change, &outcome);
    mf_settle_attempt(scheduler, live, NULL, change->state, &outcome, &region);
}

bool mf_dispatch_turn(struct mf_scheduler *scheduler)
{
    struct mf_change change;

    mf_spans_turn(scheduler);
    for (int i = 0; i < CHANGES_PER_TURN; i++) {
        if (scheduler->has_failed || !mf_farm_next_change(scheduler->farm, &change))
            return false;
        if (change.state == MF_TASK_PLACED)
            place(scheduler, &change);
        if (change.state == MF_TASK_PLACED || change.state == MF_TASK_RUNNING ||
            change.state == MF_TASK_SUSPENDED)
            carry_out_wish(scheduler, &change);
        if (mf_policy_preempts(mf_farm_policy(scheduler->farm)))
            note_suspended(scheduler, &change);
        if (mf_task_state_is_final(change.state))
            settle_final(scheduler, &change);
    }
    return true;
}
