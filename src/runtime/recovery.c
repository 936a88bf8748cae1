/*
 * What lost workers leave behind: each attempt that ran there is recorded as any other that ended,
 * so that the user sees where it was and when. And workers in quarantine, which are said when
 * the farm puts them there. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- lost workers --- */

/* Tasks that the worker may have begun, as the farm sees it. Returns how many; NULL for none. */
static uint32_t list_begun(const struct mf_worker *worker, mf_task_id **ret_tasks)
{
    uint32_t n = 0, n_idle = mf_worker_n_idle(worker);

    *ret_tasks = calloc(worker->n_tasks ? worker->n_tasks : 1, sizeof(**ret_tasks));
    if (!*ret_tasks)
        return 0;
    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        if (mf_task_may_have_begun(task, &n_idle))
            (*ret_tasks)[n++] = task->id;
    }
    return n;
}

void mf_recovery_say_poison(const struct mf_scheduler *scheduler, const struct mf_task *task,
                            struct mf_outcome *outcome)
{
    size_t n = strlen(outcome->detail);

    if (task->state != MF_TASK_FAILED || task->lost < 2)
        return;
    snprintf(outcome->detail + n, sizeof(outcome->detail) - n,
             "%sas %" PRIu32 " other%s did that ran it (--crash-limit %" PRIu32 ")",
             n > 0 ? ", " : "", task->lost - 1, task->lost == 2 ? "" : "s",
             scheduler->config.farm.crash_limit);
}

static void record_lost(struct mf_scheduler *scheduler, const struct mf_peer *peer, mf_task_id id)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, id);
    struct mf_live *live = mf_live_find(scheduler, id);
    struct mf_region nothing = {0};
    struct mf_outcome outcome = {.cause = MF_CAUSE_LOST, .exit_status = -1};

    if (!task || !live || scheduler->has_failed)
        return;
    outcome.duration_ns = scheduler->now_ns - live->sent_ns;
    outcome.started_wall_ns = mf_clock_wall_ns() - outcome.duration_ns;
    mf_recovery_say_poison(scheduler, task, &outcome);
    mf_settle_attempt(scheduler, live, peer, task->state, &outcome, &nothing);
}

void mf_recovery_lose(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    struct mf_event event = {.kind = MF_EVENT_WORKER_LOST, .worker = peer->rank};
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);
    mf_task_id *begun = NULL;
    uint32_t n = worker ? list_begun(worker, &begun) : 0;

    if (mf_scheduler_apply(scheduler, &event) == 0)
        for (uint32_t i = 0; i < n; i++)
            record_lost(scheduler, peer, begun[i]);
    free(begun);
}

/* --- launchers --- */

void mf_recovery_on_renewed(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                            const struct mf_message *message)
{
    char how[256];

    mf_message_text(message, how, sizeof(how));
    scheduler->notice.n_renewed++;
    mf_log_warning(scheduler->config.log,
                   "rank %" PRIu32
                   " on %s: its launcher process %s; another one has taken its place",
                   peer->rank, peer->host, how);
}

/* --- quarantine --- */

static void note_quarantine(struct mf_scheduler *scheduler, struct mf_peer *peer, bool is_there)
{
    if (is_there == peer->is_quarantined)
        return;
    peer->is_quarantined = is_there;
    peer->n_quarantines += is_there;
    if (is_there)
        mf_log_warning(scheduler->config.log,
                       "rank %" PRIu32 " on %s gets no more work: what fails there is done "
                       "elsewhere; it is tried again later",
                       peer->rank, peer->host);
    else
        mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s gets work again", peer->rank,
                    peer->host);
}

void mf_recovery_turn(struct mf_scheduler *scheduler)
{
    const struct mf_workers *workers = mf_farm_workers(scheduler->farm);
    struct mf_farm_counts counts;
    struct mf_error err;
    char text[512];

    mf_farm_count(scheduler->farm, &counts);
    if (counts.quarantined == scheduler->n_quarantined)
        return;
    scheduler->n_quarantined = counts.quarantined;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_worker *worker = mf_workers_find(workers, i);

        if (worker && mf_worker_may_be_target(worker))
            note_quarantine(scheduler, &scheduler->peers[i],
                            worker->state == MF_WORKER_QUARANTINED);
    }
    mf_recovery_name_quarantined(scheduler, text, sizeof(text));
    if (!scheduler->has_failed &&
        mf_journal_set_text(scheduler->journal, MF_JOURNAL_QUARANTINED, text, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
}

char *mf_recovery_name_quarantined(const struct mf_scheduler *scheduler, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < scheduler->n_peers && n + 1 < size; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        if (peer->n_quarantines > 0)
            n += (size_t)snprintf(text + n, size - n, "%srank %" PRIu32 " on %s%s",
                                  n > 0 ? ", " : "", peer->rank, peer->host,
                                  peer->is_quarantined ? "" : " (works again)");
    }
    if (n >= size)
        memcpy(text + size - 4, "...", 4);
    return text;
}

/* Ranks that are missed on the host of one of them, or none if one before it has told of them. */
static uint32_t count_missed_with(const struct mf_scheduler *scheduler, uint32_t first)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        if (!peer->is_missed || strcmp(peer->host, scheduler->peers[first].host) != 0)
            continue;
        if (i < first)
            return 0;
        n++;
    }
    return n;
}

/* A rank that a scheduler has not met, as it has taken over, is on a host that it does not know. */
static int put_lost(const struct mf_peer *peer, uint32_t n_ranks, char *text, size_t size)
{
    char ranks[32];

    if (n_ranks == 1)
        snprintf(ranks, sizeof(ranks), "rank %" PRIu32, peer->rank);
    else
        snprintf(ranks, sizeof(ranks), "%" PRIu32 " ranks", n_ranks);
    return peer->host[0] ? snprintf(text, size, "%s (%s)", peer->host, ranks)
                         : snprintf(text, size, "%s", ranks);
}

char *mf_recovery_name_lost(const struct mf_scheduler *scheduler, char *text, size_t size)
{
    size_t n = 0;

    text[0] = '\0';
    for (uint32_t i = 0; i < scheduler->n_peers && n + 1 < size; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];
        uint32_t n_ranks = peer->is_missed ? count_missed_with(scheduler, i) : 0;

        if (n_ranks > 0 && n > 0)
            n += (size_t)snprintf(text + n, size - n, ", ");
        if (n_ranks > 0 && n < size)
            n += (size_t)put_lost(peer, n_ranks, text + n, size - n);
    }
    if (n >= size)
        memcpy(text + size - 4, "...", 4);
    return text;
}
