/*
 * Which ranks are there, as the scheduler sees it: by their processes on its
 * own node, else by what is heard of them. Every rank hears from here in turn,
 * for it watches the scheduler as well. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>

/* Workers let hear of them every half a second. */
#define WORKER_SILENCE_NS (2 * MF_NS_PER_S)

/*
 * Each worker hears from here so often, or less often where that would cost more than it; but a
 * few times within the time that it waits for, also if a worker is started meanwhile.
 */
#define PULSE_NS MF_NS_PER_S
#define PULSE_NS_PER_WORKER (100 * MF_NS_PER_US)
#define LONGEST_PULSE_NS (5 * MF_NS_PER_S / 4)

/* How long a run without workers waits for one that is only silent. */
#define PATIENCE_NS (30 * MF_NS_PER_S)

static void post_pulse(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_message pulse = {.kind = MF_MESSAGE_PULSE, .life = scheduler->notice.life};

    mf_peer_post(peer, &pulse);
}

int mf_notice_create(struct mf_scheduler *scheduler)
{
    struct mf_notice *notice = &scheduler->notice;

    if (!scheduler->config.remote)
        return 0;
    mf_life_own(&notice->life);
    if (scheduler->config.life)
        notice->life = *scheduler->config.life;
    notice->paced_ns = scheduler->now_ns;
    return mf_sentry_create(scheduler->config.loop, mf_peers_max(scheduler), WORKER_SILENCE_NS,
                            scheduler->config.workers_may_be_silent ? MF_SENTRY_ANSWERING
                                                                    : MF_SENTRY_ALL,
                            &notice->sentry);
}

void mf_notice_destroy(struct mf_scheduler *scheduler)
{
    mf_sentry_destroy(scheduler->notice.sentry);
}

/* The worker of this process needs no watching. */
static bool is_watched(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    return scheduler->notice.sentry && peer->rank != mf_peers_self(scheduler);
}

void mf_notice_meet(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                    const struct mf_life *life)
{
    if (is_watched(scheduler, peer))
        mf_sentry_meet(scheduler->notice.sentry, peer->rank, life);
}

void mf_notice_expect(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (is_watched(scheduler, peer))
        mf_sentry_expect(scheduler->notice.sentry, peer->rank);
}

void mf_notice_forget(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (is_watched(scheduler, peer))
        mf_sentry_forget(scheduler->notice.sentry, peer->rank);
}

void mf_notice_heard(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (is_watched(scheduler, peer))
        mf_sentry_heard(scheduler->notice.sentry, peer->rank);
}

bool mf_notice_vouches(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    return is_watched(scheduler, peer) && mf_sentry_vouches(scheduler->notice.sentry, peer->rank);
}

/* --- alarms, and taking them back --- */

void mf_notice_note_gone(struct mf_scheduler *scheduler, struct mf_peer *peer, bool is_gone)
{
    if (is_gone && !peer->is_gone)
        scheduler->notice.n_gone++;
    else if (!is_gone && peer->is_gone)
        scheduler->notice.n_gone--;
    peer->is_gone = is_gone;
}

void mf_notice_on_late(struct mf_scheduler *scheduler, struct mf_peer *peer,
                       const struct mf_message *message)
{
    char why[256];

    switch (message->kind) {
    case MF_MESSAGE_AGAIN:
        if (peer->is_reset)
            mf_peer_bring_back(scheduler, peer);
        return;
    case MF_MESSAGE_BYE:
        mf_peer_lose(scheduler, peer, "it left");
        return;
    case MF_MESSAGE_BROKEN:
        mf_message_text(message, why, sizeof(why));
        mf_peer_dismiss(scheduler, peer, why);
        return;
    case MF_MESSAGE_BEAT:
        break;
    case MF_MESSAGE_REPORT:
        mf_adoption_on_late_report(scheduler, peer, message);
        break;
    default:
        scheduler->notice.n_stale++;
    }
    if (peer->is_reset)
        return;
    mf_peer_post(peer, &(struct mf_message){.kind = MF_MESSAGE_RESET});
    peer->is_reset = true;
}

static void give_up(struct mf_scheduler *scheduler, struct mf_peer *peer, enum mf_passing passing)
{
    mf_notice_note_gone(scheduler, peer, true);
    if (passing == MF_PASSING_ENDED)
        mf_peer_lose(scheduler, peer, "its process has ended");
    else
        mf_peer_doubt(scheduler, peer, "nothing is heard of it");
}

int64_t mf_notice_patience_ns(const struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_LOST)
            return scheduler->notice.lost_ns + PATIENCE_NS;
    return INT64_MIN;
}

/* --- the turn --- */

/* One that was told to stop listens on while it runs hooks. */
static bool hears_us(const struct mf_peer *peer)
{
    return (peer->state == MF_PEER_STOPPING && peer->is_busy) || peer->state == MF_PEER_EXPECTED ||
           peer->state == MF_PEER_HELLO || peer->state == MF_PEER_UP;
}

/*
 * A few workers in each turn, so that all are looked at twice in an interval: one to which
 * something was sent since the look before is due at the next one.
 */
static void pace(struct mf_scheduler *scheduler)
{
    struct mf_notice *notice = &scheduler->notice;
    uint32_t n = scheduler->n_peers - 1;
    int64_t pulse_ns =
        mf_earliest_ns(PULSE_NS + (int64_t)n * PULSE_NS_PER_WORKER, LONGEST_PULSE_NS);
    int64_t step_ns = pulse_ns / 2 / n;
    int64_t n_due = (scheduler->now_ns - notice->paced_ns) / step_ns;

    notice->paced_ns += n_due * step_ns;
    if (n_due > n)
        n_due = n;
    for (; n_due > 0; n_due--) {
        uint32_t rank = (mf_peers_self(scheduler) + 1 + notice->cursor) % scheduler->n_peers;
        struct mf_peer *peer = &scheduler->peers[rank];

        notice->cursor = (notice->cursor + 1) % n;
        if (!peer->was_sent && hears_us(peer))
            post_pulse(scheduler, peer);
        peer->was_sent = false;
    }
}

void mf_notice_turn(struct mf_scheduler *scheduler)
{
    struct mf_notice *notice = &scheduler->notice;
    enum mf_passing passing;
    uint32_t rank;

    /* While a worker is being started nothing comes from any other. */
    if (!notice->sentry || !mf_sentry_is_due(notice->sentry, scheduler->now_ns) ||
        mf_respawn_is_starting(scheduler))
        return;
    mf_sentry_look(notice->sentry, scheduler->now_ns);
    while (mf_sentry_next(notice->sentry, &rank, &passing))
        give_up(scheduler, &scheduler->peers[rank], passing);
    pace(scheduler);
}
