/*
 * The scheduler's life and its turn. Runs in rank 0's only thread.
 *
 *     receive   what workers report
 *     notice    who is gone; let the others hear from here
 *     begin     once, when all of them have said what they have
 *     read      tasks from the source
 *     choose    under the policy auto, a slice of finding out which one is best
 *     decide    one tick of the core
 *     act       records for workers; pieces of large outputs
 *     commit    stores and journal, when due; then tell what was committed
 *     show      output, progress, status
 *     send      one frame per worker
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Frames taken in one turn from one transport: a flood must not keep the turn from ending. */
#define FRAMES_PER_TURN 512

/* Tasks known to the core ahead of their placement: enough to choose from and to fill batches. */
#define LOOKAHEAD_MIN 8192
#define LOOKAHEAD_PER_SLOT 64

/* --- events and errors --- */

int mf_scheduler_apply(struct mf_scheduler *scheduler, struct mf_event *event)
{
    struct mf_error err;
    int r;

    event->now_ns = scheduler->now_ns;
    r = mf_farm_apply(scheduler->farm, event);
    if (r == -ENOMEM) {
        mf_error_set(&err, r, "out of memory");
        mf_scheduler_fail(scheduler, &err);
    }
    return r;
}

void mf_scheduler_fail(struct mf_scheduler *scheduler, const struct mf_error *err)
{
    if (scheduler->has_failed)
        return;
    scheduler->has_failed = true;
    snprintf(scheduler->failed_by, sizeof(scheduler->failed_by), "an error: %.450s", err->text);
    mf_log_error(scheduler->config.log, "%s", err->text);
    mf_scheduler_stop(scheduler, MF_STOP_NOW, "the error above");
}

void mf_scheduler_fail_with(struct mf_scheduler *scheduler, int code, const char *what)
{
    struct mf_error err;

    mf_error_set(&err, code, "%s: %s", what, strerror(-code));
    mf_scheduler_fail(scheduler, &err);
}

void mf_scheduler_stop(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why)
{
    struct mf_event event = {.kind = MF_EVENT_STOP, .stop = stop};

    if (scheduler->stopped_by[0] == '\0')
        strncpy(scheduler->stopped_by, why, sizeof(scheduler->stopped_by) - 1);
    if (stop == MF_STOP_NOW && scheduler->is_leaving)
        mf_hooks_hurry(scheduler);
    mf_scheduler_apply(scheduler, &event);
}

void mf_scheduler_interrupt(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why)
{
    if (scheduler->stopped_by[0] == '\0')
        scheduler->is_interrupted = true;
    if (scheduler->config.is_takeover && !scheduler->is_begun)
        mf_wishes_stop_later(scheduler, stop, why);
    else
        mf_scheduler_stop(scheduler, stop, why);
}

bool mf_scheduler_is_interrupted(const struct mf_scheduler *scheduler)
{
    return scheduler->is_interrupted;
}

/* --- receiving --- */

static int apply_about_task(struct mf_scheduler *scheduler, enum mf_event_kind kind,
                            const struct mf_peer *peer, const struct mf_message *message)
{
    struct mf_event event = {.kind = kind,
                             .task = message->task,
                             .attempt = message->attempt,
                             .worker = peer->rank,
                             .duration_ns = kind == MF_EVENT_SUSPENDED ? message->ran_ns : 0};
    int r;

    if (mf_adoption_awaits(scheduler, message->task))
        return 0;
    r = mf_scheduler_apply(scheduler, &event);
    return r == -EINVAL ? -EPROTO : 0;
}

/* For the next try, if there is one. Without memory that begins as the last one did. */
static void on_saved(struct mf_scheduler *scheduler, const struct mf_message *message)
{
    struct mf_live *live = mf_live_find(scheduler, message->task);
    uint8_t *saved;

    if (!live || live->sent != message->attempt)
        return;
    saved = message->payload_size > 0 ? malloc(message->payload_size) : NULL;
    if (message->payload_size > 0 && !saved)
        return;
    mf_copy(saved, message->payload, message->payload_size);
    free(live->saved);
    live->saved = saved;
    live->saved_size = message->payload_size;
}

static void on_broken(struct mf_scheduler *scheduler, struct mf_peer *peer,
                      const struct mf_message *message)
{
    char why[256];

    mf_message_text(message, why, sizeof(why));
    mf_peer_dismiss(scheduler, peer, why);
}

static int dispatch(struct mf_scheduler *scheduler, struct mf_peer *peer,
                    const struct mf_message *message)
{
    int r;

    if (message->kind == MF_MESSAGE_HELLO)
        return mf_peers_on_hello(scheduler, peer, message);
    if (message->kind == MF_MESSAGE_SUPERSEDED)
        return mf_reign_on_superseded(scheduler, message);
    if (message->kind == MF_MESSAGE_TAKEOVER)
        return mf_reign_on_takeover(scheduler, peer, message);
    if (peer->state == MF_PEER_LOST) {
        mf_notice_on_late(scheduler, peer, message);
        return 0;
    }
    if (message->kind == MF_MESSAGE_BYE) {
        mf_peer_lose(scheduler, peer, "it left");
        return 0;
    }
    if (message->kind == MF_MESSAGE_REPORT)
        return mf_adoption_on_report(scheduler, peer, message);
    if (message->kind == MF_MESSAGE_HOOKED)
        return mf_hooks_on_ended(scheduler, peer, message);
    if (message->kind == MF_MESSAGE_BUSY) {
        mf_hooks_on_busy(scheduler, peer);
        return 0;
    }
    if (peer->state != MF_PEER_UP)
        return 0; /* what was on its way when it was told to stop */
    switch (message->kind) {
    case MF_MESSAGE_BEAT:
        return 0; /* that something came is all there is to it */
    case MF_MESSAGE_HELD:
        r = mf_spans_on_held(scheduler, peer, message);
        return r < 0 ? r : apply_about_task(scheduler, MF_EVENT_HELD, peer, message);
    case MF_MESSAGE_STARTED:
        return apply_about_task(scheduler, MF_EVENT_STARTED, peer, message);
    case MF_MESSAGE_RETURNED:
        return apply_about_task(scheduler, MF_EVENT_RETURNED, peer, message);
    case MF_MESSAGE_SUSPENDED:
        return apply_about_task(scheduler, MF_EVENT_SUSPENDED, peer, message);
    case MF_MESSAGE_CONTINUED:
        return apply_about_task(scheduler, MF_EVENT_CONTINUED, peer, message);
    case MF_MESSAGE_SAVED:
        on_saved(scheduler, message);
        return 0;
    case MF_MESSAGE_ENDED:
        mf_settle_on_ended(scheduler, peer, message);
        return 0;
    case MF_MESSAGE_DATA:
        mf_transfers_on_data(scheduler, peer, message);
        return 0;
    case MF_MESSAGE_FETCH:
        return mf_feeds_on_fetch(scheduler, peer, message);
    case MF_MESSAGE_BROKEN:
        on_broken(scheduler, peer, message);
        return 0;
    case MF_MESSAGE_RENEWED:
        mf_recovery_on_renewed(scheduler, peer, message);
        return 0;
    default:
        return -EPROTO;
    }
}

static void dispatch_frame(struct mf_scheduler *scheduler, struct mf_peer *peer,
                           const struct mf_buffer *frame)
{
    struct mf_message message = {0};
    struct mf_reader reader;
    int r = mf_frame_open(frame->data, frame->size, &reader);

    while (r >= 0 && (r = mf_message_decode(&reader, &message)) == 1)
        r = dispatch(scheduler, peer, &message);
    if (r == -EPROTO)
        mf_peer_dismiss(scheduler, peer, "it does not speak this version's protocol");
    else if (r < 0)
        mf_peer_dismiss(scheduler, peer, strerror(-r));
}

static bool receive_from(struct mf_scheduler *scheduler, struct mf_transport *transport)
{
    const struct mf_buffer *frame;
    struct mf_error err;
    uint32_t from;

    for (int i = 0; i < FRAMES_PER_TURN; i++) {
        int r = mf_transport_receive(transport, &from, &frame);

        if (r < 0) {
            mf_error_set(&err, r, "receiving from workers failed: %s", strerror(-r));
            mf_scheduler_fail(scheduler, &err);
        }
        if (r <= 0)
            return i > 0;
        struct mf_peer *peer = mf_peers_find(
            scheduler, transport == scheduler->config.local ? mf_peers_self(scheduler) : from);
        if (!peer || peer->state == MF_PEER_GONE)
            continue;
        mf_notice_heard(scheduler, peer);
        dispatch_frame(scheduler, peer, frame);
    }
    return true;
}

static bool receive(struct mf_scheduler *scheduler)
{
    bool had_traffic = receive_from(scheduler, scheduler->config.local);

    if (scheduler->config.remote)
        had_traffic |= receive_from(scheduler, scheduler->config.remote);
    return had_traffic;
}

/* --- the turn --- */

static void decide(struct mf_scheduler *scheduler)
{
    uint64_t wanted = (uint64_t)scheduler->n_slots * LOOKAHEAD_PER_SLOT;
    struct mf_event tick = {
        .kind = MF_EVENT_TICK,
        .turnaround_ns = scheduler->config.farm.turnaround_ns + 2 * scheduler->turnaround_ns,
        .is_paused = mf_settle_is_backed_up(scheduler) || mf_respawn_is_missed(scheduler) ||
                     scheduler->wishes.are_left};

    if (wanted > scheduler->lookahead)
        scheduler->lookahead = wanted;
    if (mf_scheduler_apply(scheduler, &tick) != 0)
        return;
    mf_recovery_turn(scheduler);
    scheduler->is_telling = mf_dispatch_turn(scheduler);
    if (mf_farm_stopping(scheduler->farm) != MF_STOP_NONE && scheduler->stopped_by[0] == '\0')
        strcpy(scheduler->stopped_by, "--halt");
}

/* An average over some eight turns, so that prefetch neither lags nor flutters. */
static void measure_turn(struct mf_scheduler *scheduler)
{
    int64_t took_ns = scheduler->config.clock_ns() - scheduler->turn_began_ns;

    scheduler->turnaround_ns += (took_ns - scheduler->turnaround_ns) / 8;
}

/* What was not printed is in the journal as such, so a stuck reader cannot hold up a stop. */
static bool has_printed(const struct mf_scheduler *scheduler)
{
    return scheduler->cannot_print || scheduler->has_failed ||
           mf_farm_stopping(scheduler->farm) == MF_STOP_NOW ||
           mf_printer_is_idle(scheduler->printer);
}

/* What the journal says of the run as a whole. */
static int journal_end(struct mf_scheduler *scheduler, struct mf_error *err)
{
    bool is_complete = mf_scheduler_result(scheduler) == MF_RUN_DONE;
    const char *why = mf_telling_stopped_by(scheduler);
    int r = mf_journal_set_finished(scheduler->journal, is_complete, err);

    if (r == 0)
        r = mf_journal_set_text(scheduler->journal, MF_JOURNAL_STOPPED_BY, why ? why : "", err);
    return r < 0 ? r : mf_journal_set_text(scheduler->journal, MF_JOURNAL_BEGAN, "", err);
}

/* The journal calls the run complete only once all its output is out. */
static void record_end(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    if (!scheduler->has_failed && mf_learned_save(scheduler, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
    if (!scheduler->has_failed && journal_end(scheduler, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
    mf_settle_turn(scheduler, true);
}

/*
 * The work is over: let the workers go. With a standby that is the last thing to do, as one of them
 * may have to do the rest.
 */
static void begin_leaving(struct mf_scheduler *scheduler)
{
    mf_settle_turn(scheduler, true);
    mf_printer_release_order(scheduler->printer);
    if (scheduler->epoch > 0) {
        if (!has_printed(scheduler))
            return;
        record_end(scheduler);
        if (scheduler->config.over && !scheduler->has_failed)
            scheduler->config.over(scheduler->config.open_arg, mf_scheduler_result(scheduler));
    }
    if (!scheduler->is_superseded)
        mf_peers_stop(scheduler);
}

static void finish(struct mf_scheduler *scheduler)
{
    record_end(scheduler);
    if (scheduler->has_failed)
        mf_settle_rescue(scheduler);
    scheduler->is_finished = true;
    mf_telling_update_status(scheduler);
}

static void end_turn(struct mf_scheduler *scheduler)
{
    bool is_done = mf_farm_is_finished(scheduler->farm) && !scheduler->is_telling &&
                   !mf_adoption_is_under_way(scheduler);
    bool is_over;

    if (!is_done)
        mf_peers_check_left(scheduler);
    is_over = scheduler->has_failed || is_done;

    if (is_over && !scheduler->is_leaving)
        begin_leaving(scheduler);
    if (!scheduler->is_leaving || !has_printed(scheduler))
        return;
    if (mf_peers_have_left(scheduler))
        finish(scheduler);
}

int mf_scheduler_turn(struct mf_scheduler *scheduler, int64_t now_ns)
{
    bool had_traffic;

    scheduler->now_ns = now_ns;
    if (scheduler->created_ns == 0)
        scheduler->created_ns = now_ns;
    scheduler->turn_began_ns = scheduler->config.clock_ns();
    had_traffic = receive(scheduler);
    if (scheduler->is_superseded)
        return had_traffic;
    mf_notice_turn(scheduler);
    mf_respawn_turn(scheduler);
    mf_peers_share_nodes(scheduler);
    if (!mf_beginning_turn(scheduler))
        return mf_peers_send(scheduler) || had_traffic;
    scheduler->is_reading = mf_intake_turn(scheduler);
    mf_adoption_turn(scheduler);
    mf_wishes_turn(scheduler);
    scheduler->is_reading |= mf_requests_turn(scheduler);
    had_traffic |= scheduler->is_reading;
    mf_reign_turn(scheduler);
    /* Also while workers leave: what they still do is not to take longer than the allocation. */
    mf_walltime_turn(scheduler);
    if (!scheduler->is_leaving) {
        mf_choosing_turn(scheduler);
        decide(scheduler);
        mf_release_turn(scheduler);
    }
    /* The last of them may have been refused, skipped or put aside, of which nothing else tells. */
    scheduler->is_reading |= mf_intake_may_go_on(scheduler);
    mf_standstill_turn(scheduler);
    had_traffic |= scheduler->is_telling;
    mf_transfers_pull(scheduler);
    had_traffic |= mf_feeds_turn(scheduler);
    mf_settle_turn(scheduler, false);
    mf_telling_turn(scheduler);
    if (!scheduler->is_superseded)
        end_turn(scheduler);
    /* There as well the lock may turn out to be somebody else's. */
    if (scheduler->is_superseded)
        return had_traffic;
    had_traffic |= mf_peers_send(scheduler);
    if (had_traffic)
        measure_turn(scheduler);
    return had_traffic;
}

int64_t mf_scheduler_next_ns(const struct mf_scheduler *scheduler)
{
    int64_t next_ns = scheduler->now_ns;

    if (!scheduler->is_begun)
        return mf_beginning_next_ns(scheduler);
    if (!scheduler->is_reading && !scheduler->is_telling)
        next_ns = mf_settle_next_ns(scheduler);
    next_ns = mf_earliest_ns(next_ns, scheduler->next_status_ns);
    next_ns = mf_earliest_ns(next_ns, mf_requests_next_ns(scheduler));
    next_ns = mf_earliest_ns(next_ns, mf_respawn_next_ns(scheduler));
    next_ns = mf_earliest_ns(next_ns, mf_walltime_next_ns(scheduler));
    if (scheduler->config.progress)
        next_ns = mf_earliest_ns(next_ns, mf_progress_next_ns(scheduler->config.progress));
    next_ns = mf_earliest_ns(next_ns, mf_release_next_ns(scheduler));
    if (!scheduler->is_leaving)
        return mf_earliest_ns(mf_earliest_ns(next_ns, mf_choosing_next_ns(scheduler)),
                              mf_farm_next_tick_ns(scheduler->farm));
    if (!mf_peers_have_left(scheduler))
        next_ns = mf_earliest_ns(next_ns, scheduler->leave_deadline_ns);
    return next_ns;
}

bool mf_scheduler_is_finished(const struct mf_scheduler *scheduler)
{
    return scheduler->is_finished;
}

/* --- life --- */

/* Whether all tasks must be known before the first is placed, or the order would be another one. */
static bool orders_all(const struct mf_farm_config *farm, const struct mf_source_summary *summary)
{
    if (farm->policy == &mf_policy_fifo || farm->policy == &mf_policy_rr)
        return false;
    return farm->policy != &mf_policy_priority || summary->has_priority;
}

static void plan_lookahead(struct mf_scheduler *scheduler)
{
    struct mf_source_summary summary;

    mf_source_summarize(scheduler->config.source, &summary);
    scheduler->n_total = summary.is_counted ? summary.n_tasks : 0;
    scheduler->lookahead =
        orders_all(&scheduler->config.farm, &summary) ? UINT64_MAX : LOOKAHEAD_MIN;
    /* Standard input may still turn out to have some. */
    scheduler->has_dependencies = summary.has_dependencies || !summary.is_counted;
    scheduler->config.farm.has_dependencies = scheduler->has_dependencies;
    scheduler->config.farm.expected_tasks = scheduler->n_total;
    /* It does not know what those had that are lost, for which its tasks were found to be fit. */
    scheduler->config.farm.stranding = scheduler->config.is_takeover && summary.is_counted
                                           ? MF_STRANDING_ALL
                                           : MF_STRANDING_FITTED;
}

static int create_parts(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = scheduler->config.is_takeover ? mf_beginning_take_over(scheduler, err) : 0;

    if (r < 0)
        return r;
    plan_lookahead(scheduler);
    r = mf_farm_create(&scheduler->config.farm, &scheduler->farm);
    if (r == 0)
        r = mf_choosing_create(scheduler);
    if (r == 0)
        r = mf_table_create(sizeof(mf_task_id), sizeof(struct mf_live *), &scheduler->live);
    if (r == 0 && scheduler->has_dependencies)
        r = mf_table_create(sizeof(mf_task_id), sizeof(struct mf_bad_end), &scheduler->bad_ends);
    if (r == 0)
        r = mf_peers_create(scheduler);
    if (r == 0)
        r = mf_notice_create(scheduler);
    if (r == 0)
        r = mf_release_create(scheduler);
    if (r == 0 && scheduler->config.is_takeover)
        r = mf_adoption_create(scheduler);
    if (r == 0 && scheduler->config.is_takeover) {
        r = mf_reign_recall_lost(scheduler, err);
        if (r < 0)
            return r;
        mf_reign_take_over(scheduler);
    }
    return r < 0 ? mf_error_set(err, r, "cannot set up the scheduler: %s", strerror(-r)) : 0;
}

int mf_scheduler_create(const struct mf_scheduler_config *config,
                        struct mf_scheduler **ret_scheduler, struct mf_error *err)
{
    struct mf_scheduler *scheduler = calloc(1, sizeof(*scheduler));
    int r;

    if (!scheduler)
        return mf_error_set(err, -ENOMEM, "out of memory");
    scheduler->config = *config;
    if (!config->clock_ns)
        scheduler->config.clock_ns = mf_clock_monotonic_ns;
    if (!config->wall_ns)
        scheduler->config.wall_ns = mf_clock_wall_ns;
    mf_list_init(&scheduler->unsettled);
    mf_list_init(&scheduler->fetches);
    r = create_parts(scheduler, err);
    if (r < 0) {
        mf_scheduler_destroy(scheduler);
        return r;
    }
    *ret_scheduler = scheduler;
    return 0;
}

void mf_scheduler_destroy(struct mf_scheduler *scheduler)
{
    if (!scheduler)
        return;
    mf_requests_destroy(scheduler);
    mf_adoption_finish(scheduler);
    mf_spans_finish(scheduler);
    mf_notice_destroy(scheduler);
    mf_peers_destroy(scheduler);
    mf_intake_finish(scheduler);
    mf_earlier_finish(scheduler);
    mf_learned_finish(scheduler);
    mf_feeds_finish(scheduler);
    mf_choosing_destroy(scheduler);
    mf_release_destroy(scheduler);
    mf_settle_destroy(scheduler);
    mf_live_free_all(scheduler);
    mf_farm_destroy(scheduler->farm);
    mf_buffer_finish(&scheduler->scratch);
    free(scheduler);
}
