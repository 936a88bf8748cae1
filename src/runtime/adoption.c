/*
 * A scheduler that takes over a run: what its workers have already is adopted.
 *
 *     TAKEOVER to all   the scheduler before is gone
 *     REPORT of each    what it runs, and what has ended: its holdings
 *     then the run begins as one that is resumed; a task that a worker has an
 *     attempt of is withheld until it adopts that one, which may have to wait
 *     for tasks before it
 *
 * What no task can adopt is ended. Runs in the scheduler's only thread.
 */
#include "runtime/scheduler_private.h"

#include "runtime/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/**
 * An attempt that a worker has and no task has adopted yet.
 *
 * @has_ended  the ENDED record is here: outcome, size, is_inline, and payload, owned
 * @is_settling  its output is on the way
 */
struct adoptee {
    struct mf_holding holding;
    mf_worker_id rank;
    bool has_ended;
    bool is_settling;
    struct mf_message ended;
    uint8_t *payload;
};

static void free_adoptee(struct adoptee *adoptee)
{
    free(adoptee->payload);
    free(adoptee);
}

/* Attempts that wait for a task. */
static size_t count(const struct mf_scheduler *scheduler)
{
    return scheduler->adoptees ? mf_table_count(scheduler->adoptees) : 0;
}

static struct adoptee *find(const struct mf_scheduler *scheduler, mf_task_id task)
{
    struct adoptee **found =
        count(scheduler) > 0 ? mf_table_find(scheduler->adoptees, &task) : NULL;

    return found ? *found : NULL;
}

bool mf_adoption_awaits(const struct mf_scheduler *scheduler, mf_task_id task)
{
    return find(scheduler, task) != NULL;
}

/* Its worker ends it if it runs, and forgets it. */
static void reject(struct mf_scheduler *scheduler, const struct adoptee *adoptee)
{
    const struct mf_holding *holding = &adoptee->holding;
    struct mf_message message = {.kind = MF_MESSAGE_END,
                                 .task = holding->task,
                                 .attempt = holding->attempt,
                                 .cause = MF_CAUSE_STOPPED};
    struct mf_peer *peer = mf_peers_find(scheduler, adoptee->rank);

    if (holding->state == MF_TASK_DONE || adoptee->has_ended)
        message.kind = MF_MESSAGE_RELEASE;
    mf_peer_post(peer, &message);
}

static void forget(struct mf_scheduler *scheduler, struct adoptee *adoptee)
{
    mf_table_remove(scheduler->adoptees, &adoptee->holding.task);
    free_adoptee(adoptee);
}

static void let_go(struct mf_scheduler *scheduler, mf_task_id task)
{
    struct mf_event event = {.kind = MF_EVENT_LET_GO, .task = task};

    if (task <= mf_farm_last_id(scheduler->farm))
        mf_scheduler_apply(scheduler, &event);
}

/* Its task, if there is one, is run as any other. */
static void drop(struct mf_scheduler *scheduler, struct adoptee *adoptee)
{
    mf_task_id task = adoptee->holding.task;
    struct mf_live *live = adoptee->is_settling ? mf_live_find(scheduler, task) : NULL;

    forget(scheduler, adoptee);
    if (live) {
        mf_live_remove(scheduler, live);
        mf_live_free(live);
    }
    let_go(scheduler, task);
}

/* --- what workers have --- */

/* Of two attempts of a task the later one counts. */
static int note_holding(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                        const struct mf_holding *holding)
{
    struct adoptee *adoptee = calloc(1, sizeof(*adoptee)), *other;
    void *place;
    int r;

    if (!adoptee)
        return -ENOMEM;
    adoptee->holding = *holding;
    adoptee->rank = peer->rank;
    other = find(scheduler, holding->task);
    if (other && other->holding.attempt >= holding->attempt) {
        reject(scheduler, adoptee);
        free_adoptee(adoptee);
        return 0;
    }
    if (other) {
        reject(scheduler, other);
        drop(scheduler, other);
    }
    r = mf_table_insert(scheduler->adoptees, &holding->task, &place);
    if (r < 0) {
        free_adoptee(adoptee);
        return r;
    }
    *(struct adoptee **)place = adoptee;
    return 0;
}

/* Returns 0, -EPROTO or -ENOMEM. */
static int note_holdings(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                         struct mf_reader *reader, uint32_t n)
{
    struct mf_holding holding;

    for (uint32_t i = 0; i < n; i++) {
        int r = mf_holding_decode(reader, &holding);

        if (r == 0)
            r = note_holding(scheduler, peer, &holding);
        if (r < 0)
            return r == -ENOMEM ? r : -EPROTO;
    }
    return 0;
}

/* Ranks of a host are those of a node, which is known by the first of them that reports. */
static void find_node(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    peer->node = peer->rank + 1;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *other = &scheduler->peers[i];

        if (other->node != 0 && other != peer && strcmp(other->host, peer->host) == 0)
            peer->node = other->node;
    }
}

int mf_adoption_on_report(struct mf_scheduler *scheduler, struct mf_peer *peer,
                          const struct mf_message *message)
{
    struct mf_report report;
    struct mf_reader reader;
    int r;

    if (!scheduler->adoptees || peer->state != MF_PEER_EXPECTED || scheduler->is_sharing_done ||
        mf_report_decode(message->payload, message->payload_size, &report, &reader) < 0)
        return -EPROTO;
    memcpy(peer->host, message->host, sizeof(peer->host));
    find_node(scheduler, peer);
    mf_notice_meet(scheduler, peer, &message->life);
    if (report.share.n_slots == 0) {
        mf_peer_dismiss(scheduler, peer, "it has no slots");
        return 0;
    }
    r = mf_peer_bring_up(scheduler, peer, &report.share);
    return r < 0 ? r : note_holdings(scheduler, peer, &reader, report.n_holdings);
}

void mf_adoption_on_late_report(struct mf_scheduler *scheduler, struct mf_peer *peer,
                                const struct mf_message *message)
{
    struct mf_report report;
    struct mf_reader reader;

    if (mf_report_decode(message->payload, message->payload_size, &report, &reader) < 0 ||
        report.share.n_slots == 0)
        return;
    memcpy(peer->host, message->host, sizeof(peer->host));
    find_node(scheduler, peer);
    peer->share = report.share;
    mf_notice_meet(scheduler, peer, &message->life);
}

bool mf_adoption_keep_ended(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                            const struct mf_message *message)
{
    struct adoptee *adoptee = find(scheduler, message->task);

    if (!adoptee || adoptee->is_settling || adoptee->rank != peer->rank ||
        adoptee->holding.attempt != message->attempt)
        return false;
    if (adoptee->has_ended)
        return true;
    adoptee->payload = malloc(message->payload_size + 1);
    if (!adoptee->payload) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot keep the output of a task");
        return true;
    }
    if (message->payload_size > 0)
        memcpy(adoptee->payload, message->payload, message->payload_size);
    adoptee->ended = *message;
    adoptee->ended.payload = adoptee->payload;
    adoptee->has_ended = true;
    return true;
}

void mf_adoption_on_peer_lost(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    size_t cursor = 0;
    void *place;

    while (scheduler->adoptees && mf_table_next(scheduler->adoptees, &cursor, NULL, &place)) {
        struct adoptee *adoptee = *(struct adoptee **)place;

        if (adoptee->rank != peer->rank)
            continue;
        drop(scheduler, adoptee);
        cursor = 0;
    }
}

/* --- tasks --- */

/* Whether it was the same command that the worker was given. */
static bool is_same_command(const struct mf_live *live, const struct adoptee *adoptee)
{
    return mf_command_fingerprint(live->command, live->command_size) ==
           adoptee->holding.fingerprint;
}

/* Tries of this run before that attempt; the numbers go on from those of earlier runs. */
static uint32_t tries_before(const struct mf_live *live, const struct mf_holding *holding)
{
    uint32_t first = live->n_tries_earlier + 1;

    return holding->try_number > first ? holding->try_number - first : 0;
}

static int apply_adopted(struct mf_scheduler *scheduler, const struct adoptee *adoptee,
                         const struct mf_live *live)
{
    const struct mf_holding *holding = &adoptee->holding;
    struct mf_event event = {
        .kind = MF_EVENT_ADOPTED,
        .worker = adoptee->rank,
        .task = holding->task,
        .attempt = holding->attempt,
        .n_tries = tries_before(live, holding),
        .state = holding->state,
        .duration_ns = holding->ran_ns,
    };

    return mf_scheduler_apply(scheduler, &event);
}

static void refuse(struct mf_scheduler *scheduler, struct adoptee *adoptee)
{
    mf_log_warning(scheduler->config.log,
                   "task number %" PRIu64 " is run again: it is not what rank %" PRIu32
                   " has of it",
                   adoptee->holding.task, adoptee->rank);
    reject(scheduler, adoptee);
    drop(scheduler, adoptee);
}

/* The task is as if it had been sent from here. Returns NULL if that cannot be. */
static struct mf_live *make_live(struct mf_scheduler *scheduler, const struct adoptee *adoptee,
                                 const struct mf_task *task)
{
    struct mf_live *live;
    struct mf_error err;

    if (mf_live_load(scheduler, task->id, task->spec.cookie, &live, &err) < 0) {
        mf_scheduler_fail(scheduler, &err);
        return NULL;
    }
    if (!is_same_command(live, adoptee)) {
        mf_live_remove(scheduler, live);
        mf_live_free(live);
        return NULL;
    }
    live->sent = adoptee->holding.attempt;
    live->try_number = adoptee->holding.try_number;
    live->sent_ns = scheduler->now_ns - adoptee->holding.ran_ns;
    return live;
}

/* It goes the way of all ends; mf_adoption_end() lets the farm know, and may free it. */
static void settle(struct mf_scheduler *scheduler, struct adoptee *adoptee,
                   const struct mf_task *task)
{
    struct mf_message ended = adoptee->ended;
    uint8_t *payload = adoptee->payload;

    if (!make_live(scheduler, adoptee, task)) {
        refuse(scheduler, adoptee);
        return;
    }
    adoptee->is_settling = true;
    adoptee->payload = NULL;
    mf_settle_on_ended(scheduler, mf_peers_find(scheduler, adoptee->rank), &ended);
    free(payload);
}

static void adopt(struct mf_scheduler *scheduler, struct adoptee *adoptee,
                  const struct mf_task *task)
{
    struct mf_live *live = make_live(scheduler, adoptee, task);
    int r = live ? apply_adopted(scheduler, adoptee, live) : -EINVAL;

    if (r == 0) {
        forget(scheduler, adoptee);
        return;
    }
    if (live) {
        mf_live_remove(scheduler, live);
        mf_live_free(live);
    }
    /* There may be room later. */
    if (r < 0)
        refuse(scheduler, adoptee);
}

/*
 * Whether the ranks that it had on other nodes may be why it failed: with the scheduler before they
 * lost their rooms, and were ended.
 */
static bool may_have_lost_ranks(const struct adoptee *adoptee, const struct mf_task *task)
{
    return mf_task_n_parts(task) > 0 && !mf_outcome_is_success(&adoptee->ended.outcome);
}

/* Whether its task waits for nothing else. */
static bool is_next(const struct mf_task *task)
{
    return task && task->state == MF_TASK_WAITING && task->n_waiting_for == 1;
}

/* Of one that has ended, and whose end is not here yet, that is awaited. */
static void try_to_adopt(struct mf_scheduler *scheduler, struct adoptee *adoptee)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, adoptee->holding.task);

    if (adoptee->is_settling || scheduler->has_failed || !is_next(task))
        return;
    if (adoptee->has_ended && may_have_lost_ranks(adoptee, task))
        refuse(scheduler, adoptee);
    else if (adoptee->has_ended)
        settle(scheduler, adoptee, task);
    else if (adoptee->holding.state != MF_TASK_DONE)
        adopt(scheduler, adoptee, task);
}

void mf_adoption_on_submitted(struct mf_scheduler *scheduler, mf_task_id id)
{
    struct adoptee *adoptee = find(scheduler, id);

    if (adoptee)
        try_to_adopt(scheduler, adoptee);
}

bool mf_adoption_end(struct mf_scheduler *scheduler, const struct mf_event *ended, int *ret_r)
{
    struct adoptee *adoptee = find(scheduler, ended->task);
    const struct mf_live *live = mf_live_find(scheduler, ended->task);
    struct mf_event event = *ended;

    if (!adoptee || !live)
        return false;
    event.kind = MF_EVENT_ADOPTED;
    event.state = MF_TASK_DONE;
    event.n_tries = tries_before(live, &adoptee->holding);
    forget(scheduler, adoptee);
    *ret_r = mf_scheduler_apply(scheduler, &event);
    /* The journal may have that end: then the task is tried again as any other. */
    if (*ret_r != 0)
        let_go(scheduler, ended->task);
    return true;
}

void mf_adoption_on_settled(struct mf_scheduler *scheduler, mf_task_id id)
{
    struct adoptee *adoptee = find(scheduler, id);

    if (!adoptee)
        return;
    reject(scheduler, adoptee);
    drop(scheduler, adoptee);
}

/* Whether no task will ever adopt it. */
static bool is_unwanted(const struct mf_scheduler *scheduler, const struct adoptee *adoptee)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, adoptee->holding.task);

    if (adoptee->holding.task > mf_farm_last_id(scheduler->farm))
        return scheduler->is_source_done;
    return !task || task->state != MF_TASK_WAITING;
}

void mf_adoption_turn(struct mf_scheduler *scheduler)
{
    size_t cursor = 0, n_before;
    void *place;

    while ((n_before = count(scheduler)) > 0 &&
           mf_table_next(scheduler->adoptees, &cursor, NULL, &place) == 1) {
        struct adoptee *adoptee = *(struct adoptee **)place;

        if (is_unwanted(scheduler, adoptee))
            mf_adoption_on_settled(scheduler, adoptee->holding.task);
        else
            try_to_adopt(scheduler, adoptee);
        /* What is taken out moves others about. */
        if (count(scheduler) != n_before)
            cursor = 0;
    }
}

/* Whether its task will be there, or can adopt it, as soon as it was read or its worker has told
 * more of it. */
static bool is_under_way(const struct mf_scheduler *scheduler, const struct adoptee *adoptee)
{
    mf_task_id task = adoptee->holding.task;

    if (task > mf_farm_last_id(scheduler->farm))
        return mf_intake_may_go_on(scheduler);
    return is_next(mf_farm_find(scheduler->farm, task));
}

bool mf_adoption_is_under_way(const struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *place;

    while (count(scheduler) > 0 && mf_table_next(scheduler->adoptees, &cursor, NULL, &place))
        if (is_under_way(scheduler, *(struct adoptee **)place))
            return true;
    return false;
}

bool mf_adoption_awaits_reading(const struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *place;

    while (count(scheduler) > 0 && mf_table_next(scheduler->adoptees, &cursor, NULL, &place))
        if ((*(struct adoptee **)place)->holding.task > mf_farm_last_id(scheduler->farm))
            return true;
    return false;
}

/* --- life --- */

int mf_adoption_create(struct mf_scheduler *scheduler)
{
    return mf_table_create(sizeof(mf_task_id), sizeof(struct adoptee *), &scheduler->adoptees);
}

void mf_adoption_finish(struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *place;

    while (scheduler->adoptees && mf_table_next(scheduler->adoptees, &cursor, NULL, &place))
        free_adoptee(*(struct adoptee **)place);
    mf_table_destroy(scheduler->adoptees);
    scheduler->adoptees = NULL;
}
