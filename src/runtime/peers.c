/* The workers of a run as the scheduler sees them. Runs in rank 0's only thread. */
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* A rank that passed MPI_Init says HELLO at once; one that has not by then is left out. */
#define HELLO_TIMEOUT_NS (15 * MF_NS_PER_S)

/* Workers that do not say BYE by then are left to the launcher. */
#define LEAVE_TIMEOUT_NS (15 * MF_NS_PER_S)

/* The same after a takeover: all are there already, and only wait to be asked. */
#define REPORT_TIMEOUT_NS (3 * MF_NS_PER_S)

/* But one whose process is known to be there, as it was stopped, has tasks that are not to be run
 * elsewhere meanwhile. */
#define STOPPED_TIMEOUT_NS (20 * MF_NS_PER_S)

/* Between two looks so much of that time passes at most. */
#define LONGEST_LOOK_NS (100 * MF_NS_PER_MS)

static void init_peer(struct mf_peer *peer, uint32_t rank, struct mf_transport *transport)
{
    peer->rank = rank;
    peer->transport = transport;
    peer->address = rank;
    mf_list_init(&peer->transfers);
}

uint32_t mf_peers_max(const struct mf_scheduler *scheduler)
{
    const struct mf_transport *remote = scheduler->config.remote;

    if (!remote)
        return 1;
    return remote->max_size > remote->size ? remote->max_size : remote->size;
}

void mf_peers_add(struct mf_scheduler *scheduler, uint32_t rank)
{
    init_peer(&scheduler->peers[rank], rank, scheduler->config.remote);
    scheduler->n_peers = rank + 1;
}

int mf_peers_create(struct mf_scheduler *scheduler)
{
    struct mf_transport *remote = scheduler->config.remote;
    uint32_t n_peers = remote ? remote->size : 1;

    scheduler->peers = calloc(mf_peers_max(scheduler), sizeof(*scheduler->peers));
    if (!scheduler->peers)
        return -ENOMEM;
    scheduler->n_peers = scheduler->n_first_peers = n_peers;
    scheduler->respawn.n_left = scheduler->config.respawn;
    for (uint32_t rank = 0; rank < n_peers; rank++)
        init_peer(&scheduler->peers[rank], rank, remote);
    init_peer(&scheduler->peers[mf_peers_self(scheduler)], mf_peers_self(scheduler),
              scheduler->config.local);
    scheduler->peers[mf_peers_self(scheduler)].address = 0;
    return 0;
}

uint32_t mf_peers_self(const struct mf_scheduler *scheduler)
{
    return scheduler->config.remote ? scheduler->config.remote->rank : 0;
}

void mf_peers_destroy(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        mf_transfers_drop(scheduler, &scheduler->peers[i]);
        mf_buffer_finish(&scheduler->peers[i].frame);
        mf_buffer_finish(&scheduler->peers[i].welcome);
        mf_offer_finish(&scheduler->peers[i].has);
    }
    free(scheduler->peers);
}

struct mf_peer *mf_peers_find(struct mf_scheduler *scheduler, uint32_t rank)
{
    return rank < scheduler->n_peers ? &scheduler->peers[rank] : NULL;
}

/* --- frames --- */

static void send_frame(struct mf_peer *peer)
{
    int r = mf_transport_send(peer->transport, peer->address, &peer->frame);

    peer->was_sent = true;
    /* The peer is lost for that, but not here, in the middle of somebody's use of it. */
    if (r < 0 && peer->send_error == 0)
        peer->send_error = r;
    mf_buffer_clear(&peer->frame);
}

void mf_peer_post(struct mf_peer *peer, const struct mf_message *message)
{
    /* Records other than their payload are far below 64 bytes in this direction. */
    if (peer->frame.size > 0 &&
        peer->frame.size + message->feeds_size + message->payload_size + 64 > MF_FRAME_EAGER_BYTES)
        send_frame(peer);
    mf_message_encode(message, &peer->frame);
}

bool mf_peers_send(struct mf_scheduler *scheduler)
{
    bool had_traffic = false;

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];

        if (peer->frame.size > 0) {
            had_traffic = true;
            send_frame(peer);
        }
        if (peer->send_error < 0 && peer->state != MF_PEER_GONE) {
            mf_notice_note_gone(scheduler, peer, true);
            mf_peer_lose(scheduler, peer, strerror(-peer->send_error));
        }
    }
    return had_traffic;
}

void mf_peer_post_stop(const struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_message stop = {.kind = MF_MESSAGE_STOP,
                              .error = scheduler->notice.n_gone > 0 ? EOWNERDEAD : 0};

    mf_peer_post(peer, &stop);
}

/* --- coming up --- */

static int welcome_newcomer(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_error err;
    int r = scheduler->epoch > 0 ? mf_lives_note(scheduler, peer, &err) : 0;

    return r < 0 ? r : mf_respawn_on_hello(scheduler, peer);
}

/* The cores of its node are shared among others. */
static void send_away(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_log_warning(scheduler->config.log, "rank %" PRIu32 " came too late and gets no work",
                   peer->rank);
    mf_notice_note_gone(scheduler, peer, false);
    peer->is_missed = false;
    mf_peer_post_stop(scheduler, peer);
    peer->state = MF_PEER_STOPPING;
}

int mf_peers_on_hello(struct mf_scheduler *scheduler, struct mf_peer *peer,
                      const struct mf_message *message)
{
    int r;

    if (peer->state == MF_PEER_LOST) {
        send_away(scheduler, peer);
        return 0;
    }
    if (peer->state != MF_PEER_EXPECTED)
        return -EPROTO;
    r = mf_node_decode_offer(message->payload, message->payload_size, &peer->has);
    if (r < 0)
        return r;
    memcpy(peer->host, message->host, sizeof(peer->host));
    peer->state = MF_PEER_HELLO;
    peer->life = message->life;
    mf_notice_meet(scheduler, peer, &message->life);
    return peer == scheduler->respawn.newcomer ? welcome_newcomer(scheduler, peer) : 0;
}

/* The rank that schedules also works where it has its node for itself. */
static bool should_work(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (peer->rank != mf_peers_self(scheduler))
        return true;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (i != peer->rank && scheduler->peers[i].state == MF_PEER_HELLO &&
            strcmp(scheduler->peers[i].host, peer->host) == 0)
            return false;
    return true;
}

int mf_peer_offer(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    struct mf_event event = {
        .kind = MF_EVENT_WORKER_UP, .worker = peer->rank, .node = peer->node, .has = peer->share};

    return mf_scheduler_apply(scheduler, &event);
}

int mf_peer_bring_up(struct mf_scheduler *scheduler, struct mf_peer *peer,
                     const struct mf_needs *share)
{
    peer->state = MF_PEER_UP;
    peer->share = *share;
    peer->n_slots = share->n_slots;
    mf_notice_expect(scheduler, peer);
    scheduler->n_slots += share->n_slots;
    scheduler->has_new_heirs = true;
    return mf_peer_offer(scheduler, peer);
}

static int welcome_peer(struct mf_scheduler *scheduler, struct mf_peer *peer,
                        const struct mf_topo_rank *share, const struct mf_topo_split *split)
{
    struct mf_message message = {.kind = MF_MESSAGE_WELCOME};
    struct mf_needs has = {
        .n_slots = share->n_slots, .n_gpus = share->n_gpus, .mem_bytes = share->mem_bytes};
    int r;

    if (!share->is_worker) {
        mf_peer_post_stop(scheduler, peer);
        peer->state = MF_PEER_STOPPING;
        return 0;
    }
    mf_node_encode_welcome(scheduler->config.run_dir, share, split, scheduler->config.pin,
                           mf_policy_preempts(mf_farm_policy(scheduler->farm)), &peer->welcome);
    message.payload = peer->welcome.data;
    message.payload_size = peer->welcome.size;
    mf_peer_post(peer, &message);
    r = mf_buffer_status(&peer->welcome);
    return r < 0 ? r : mf_peer_bring_up(scheduler, peer, &has);
}

/* Splits the node of `first` among the ranks that are on it. */
static int share_node(struct mf_scheduler *scheduler, uint32_t first, struct mf_topo_rank *ranks,
                      struct mf_peer **peers)
{
    struct mf_topo_split split = {0};
    uint32_t n_ranks = 0;
    int r;

    for (uint32_t i = first; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];

        if (peer->state != MF_PEER_HELLO || strcmp(peer->host, scheduler->peers[first].host) != 0)
            continue;
        ranks[n_ranks] = (struct mf_topo_rank){.is_worker = should_work(scheduler, peer),
                                               .cores = peer->has.cores,
                                               .n_cores = peer->has.n_cores,
                                               .has = &peer->has.resources};
        peer->node = first + 1;
        peers[n_ranks++] = peer;
    }
    r = mf_topo_share(ranks, n_ranks, &scheduler->config.jobs, &split);
    if (r == 0)
        r = mf_topo_share_resources(ranks, n_ranks, &split);
    for (uint32_t i = 0; i < n_ranks && r == 0; i++)
        r = welcome_peer(scheduler, peers[i], &ranks[i], &split);
    mf_topo_split_finish(&split);
    return r;
}

static bool are_all_here(const struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_EXPECTED)
            return false;
    return true;
}

static int share_nodes(struct mf_scheduler *scheduler)
{
    struct mf_topo_rank *ranks = calloc(scheduler->n_peers, sizeof(*ranks));
    struct mf_peer **peers = calloc(scheduler->n_peers, sizeof(struct mf_peer *));
    int r = ranks && peers ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < scheduler->n_peers && r == 0; i++)
        if (scheduler->peers[i].state == MF_PEER_HELLO)
            r = share_node(scheduler, i, ranks, peers);
    free(ranks);
    free(peers);
    return r;
}

/* Whether a rank has not reported that lives; this one may wait for its launcher. */
static bool is_any_stopped(const struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_EXPECTED &&
            (i == mf_peers_self(scheduler) || mf_notice_vouches(scheduler, &scheduler->peers[i])))
            return true;
    return false;
}

/* How long the ranks are waited for. */
static int64_t patience_ns(const struct mf_scheduler *scheduler)
{
    if (!scheduler->config.is_takeover)
        return HELLO_TIMEOUT_NS;
    return is_any_stopped(scheduler) ? STOPPED_TIMEOUT_NS : REPORT_TIMEOUT_NS;
}

int64_t mf_peers_deadline_ns(const struct mf_scheduler *scheduler)
{
    int64_t left_ns = patience_ns(scheduler) - scheduler->awaited_ns;

    return scheduler->now_ns + (left_ns > 0 ? left_ns : 0);
}

/* Time counts while it is listened: what came while this process was stopped is taken in first. */
static void keep_waiting(struct mf_scheduler *scheduler)
{
    int64_t looked_ns = scheduler->looked_ns > 0 ? scheduler->looked_ns : scheduler->now_ns;

    scheduler->awaited_ns += mf_earliest_ns(scheduler->now_ns - looked_ns, LONGEST_LOOK_NS);
    scheduler->looked_ns = scheduler->now_ns;
}

/* It may have been stopped, and come yet, but nobody waits for it any more. */
static void leave_out(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_log_warning(scheduler->config.log, "rank %" PRIu32 " does not answer", peer->rank);
    mf_peer_doubt_unseen(scheduler, peer);
    mf_reign_note_lost(scheduler);
}

void mf_peers_share_nodes(struct mf_scheduler *scheduler)
{
    struct mf_error err;
    int r;

    if (scheduler->is_sharing_done)
        return;
    keep_waiting(scheduler);
    if (!are_all_here(scheduler) && scheduler->awaited_ns < patience_ns(scheduler))
        return;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_EXPECTED)
            leave_out(scheduler, &scheduler->peers[i]);
    scheduler->is_sharing_done = true;
    if (scheduler->config.is_takeover)
        return;
    r = share_nodes(scheduler);
    if (r < 0) {
        mf_error_set(&err, r, "cannot share the cores among the ranks: %s", strerror(-r));
        mf_scheduler_fail(scheduler, &err);
    }
}

/* --- leaving --- */

/* One that drains still has tasks to end. */
static bool is_any_left(const struct mf_workers *workers)
{
    if (workers->n_up > 0)
        return true;
    for (uint32_t i = 0; i < workers->n_by_id; i++)
        if (workers->by_id[i] && workers->by_id[i]->state == MF_WORKER_DRAINING)
            return true;
    return false;
}

void mf_peers_check_left(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    if (!scheduler->is_sharing_done || scheduler->is_leaving || scheduler->has_failed ||
        is_any_left(mf_farm_workers(scheduler->farm)) || mf_respawn_is_pending(scheduler) ||
        scheduler->now_ns < mf_notice_patience_ns(scheduler))
        return;
    mf_error_set(&err, -EIO, "no worker is left");
    mf_scheduler_fail(scheduler, &err);
}

/* Not drained, nor about to be so again: somebody will miss it. */
static bool is_at_work(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return worker && mf_worker_may_be_target(worker) &&
           !(scheduler->wishes.are_left && peer->is_drained);
}

/* Its tasks go to others; `state` is what becomes of the worker. */
static void give_up(struct mf_scheduler *scheduler, struct mf_peer *peer, enum mf_peer_state state,
                    const char *why)
{
    bool was_up = peer->state == MF_PEER_UP;

    peer->is_drained = was_up && !is_at_work(scheduler, peer);
    peer->state = state;
    peer->is_reset = false;
    mf_transfers_drop(scheduler, peer);
    mf_adoption_on_peer_lost(scheduler, peer);
    if (!scheduler->is_leaving)
        mf_reign_note_lost(scheduler);
    if (!was_up || scheduler->is_leaving)
        return;
    mf_log_warning(scheduler->config.log, "rank %" PRIu32 " on %s is lost: %s", peer->rank,
                   peer->host, why);
    peer->is_missed = true;
    scheduler->notice.n_lost++;
    scheduler->notice.lost_ns = peer->lost_ns = scheduler->now_ns;
    mf_recovery_lose(scheduler, peer);
    if (state == MF_PEER_GONE && !peer->is_drained)
        mf_respawn_want(scheduler, peer);
}

void mf_peer_doubt_unseen(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_notice_note_gone(scheduler, peer, true);
    peer->state = MF_PEER_LOST;
    peer->is_missed = true;
    scheduler->notice.n_lost++;
    scheduler->notice.lost_ns = peer->lost_ns = scheduler->now_ns;
}

void mf_peer_lose(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why)
{
    if (peer->state == MF_PEER_GONE)
        return;
    mf_notice_forget(scheduler, peer);
    give_up(scheduler, peer, MF_PEER_GONE, why);
}

void mf_peer_part(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    if (peer->state == MF_PEER_GONE)
        return;
    mf_notice_forget(scheduler, peer);
    /* Nobody waits for it when all leave. */
    mf_notice_note_gone(scheduler, peer, true);
    peer->state = MF_PEER_GONE;
    mf_reign_note_lost(scheduler);
}

void mf_peer_doubt(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why)
{
    if (peer->state == MF_PEER_UP)
        give_up(scheduler, peer, MF_PEER_LOST, why);
    else if (peer->state != MF_PEER_LOST)
        mf_peer_lose(scheduler, peer, why);
}

void mf_peer_bring_back(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s is back", peer->rank, peer->host);
    peer->state = MF_PEER_UP;
    peer->is_missed = false;
    scheduler->notice.n_returned++;
    mf_notice_note_gone(scheduler, peer, false);
    mf_reign_note_lost(scheduler);
    mf_notice_expect(scheduler, peer);
    mf_hooks_post(scheduler, peer);
    if (!peer->is_drained)
        mf_peer_offer(scheduler, peer);
}

void mf_peer_dismiss(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why)
{
    mf_peer_lose(scheduler, peer, why);
    mf_peer_post_stop(scheduler, peer);
    peer->state = MF_PEER_STOPPING;
}

void mf_peers_stop(struct mf_scheduler *scheduler)
{
    scheduler->is_leaving = true;
    scheduler->leave_deadline_ns = scheduler->now_ns + LEAVE_TIMEOUT_NS;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];

        if (peer->state == MF_PEER_STOPPING || peer->state == MF_PEER_GONE)
            continue;
        mf_peer_post_stop(scheduler, peer);
        /* Nobody waits for one that is silent. */
        peer->state = peer->state == MF_PEER_LOST ? MF_PEER_GONE : MF_PEER_STOPPING;
    }
}

void mf_peers_await(struct mf_scheduler *scheduler)
{
    if (scheduler->is_leaving)
        scheduler->leave_deadline_ns = scheduler->now_ns + LEAVE_TIMEOUT_NS;
}

bool mf_peers_have_left(const struct mf_scheduler *scheduler)
{
    if (scheduler->now_ns >= scheduler->leave_deadline_ns)
        return true;
    if (mf_respawn_is_starting(scheduler))
        return false;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state != MF_PEER_GONE)
            return false;
    return true;
}
