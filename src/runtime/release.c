/*
 * Nodes that the tail of a run leaves idle, and that Slurm gets back. Their workers are drained
 * first, so that nothing is placed there meanwhile; Slurm then ends their ranks, which is no loss.
 * Runs in rank 0's only thread.
 */
#include "runtime/giver.h"
#include "runtime/scheduler_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Between looks. */
#define LOOK_NS (2 * MF_NS_PER_S)

/* For all names of nodes that are given back at a time. */
#define HOSTS_BYTES 16384

static void on_answer(void *arg, const char *why);

int mf_release_create(struct mf_scheduler *scheduler)
{
    struct mf_release *release = &scheduler->release;

    if (!scheduler->config.giver || !scheduler->config.remote)
        return 0;
    release->spared = calloc(mf_peers_max(scheduler), sizeof(*release->spared));
    release->stays = calloc(mf_peers_max(scheduler) + (size_t)1, sizeof(*release->stays));
    if (!release->spared || !release->stays)
        return -ENOMEM;
    return mf_giver_listen(scheduler->config.giver, scheduler->config.loop, on_answer, scheduler);
}

void mf_release_destroy(struct mf_scheduler *scheduler)
{
    free(scheduler->release.spared);
    free(scheduler->release.stays);
}

/* --- which --- */

/* All tasks are known, and no worker has commands to run when it leaves. */
static bool is_time(const struct mf_scheduler *scheduler)
{
    return scheduler->is_source_done && !scheduler->is_leaving && !scheduler->has_failed &&
           mf_farm_stopping(scheduler->farm) == MF_STOP_NONE &&
           mf_farm_n_held(scheduler->farm) > 0 && !mf_source_hook(scheduler->config.source, 0);
}

/* With a standby: the node of the one that would take over; 0 for none. */
static mf_node_id find_heir(const struct mf_scheduler *scheduler)
{
    mf_node_id own = scheduler->peers[mf_peers_self(scheduler)].node;

    for (uint32_t i = 0; i < scheduler->n_first_peers && scheduler->epoch > 0; i++)
        if (scheduler->peers[i].state == MF_PEER_UP && scheduler->peers[i].node != own)
            return scheduler->peers[i].node;
    return MF_NODE_UNKNOWN;
}

/* Nothing is done there, nor brought from there. */
static bool is_idle(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return peer->state == MF_PEER_UP && worker && worker->state == MF_WORKER_UP &&
           mf_worker_is_empty(worker) && mf_list_is_empty(&peer->transfers);
}

/* Marks the nodes that can be spared, of those where all is idle. Returns whether there are any. */
static bool choose(struct mf_scheduler *scheduler)
{
    struct mf_release *release = &scheduler->release;
    uint32_t n_max = mf_peers_max(scheduler);
    bool has_any = false;

    memset(release->stays, 0, (n_max + (size_t)1) * sizeof(*release->stays));
    release->stays[MF_NODE_UNKNOWN] = true;
    release->stays[scheduler->peers[mf_peers_self(scheduler)].node] = true;
    release->stays[find_heir(scheduler)] = true;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        if (!is_idle(scheduler, peer) || mf_giver_must_keep(peer->host))
            release->stays[peer->node] = true;
    }
    memset(release->spared, 0, n_max * sizeof(*release->spared));
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        release->spared[i] = !release->stays[scheduler->peers[i].node];
        has_any |= release->spared[i];
    }
    return has_any && mf_farm_spare(scheduler->farm, release->spared);
}

/* --- giving --- */

/* All ranks of a node go with it. */
static void leave_out(struct mf_scheduler *scheduler, mf_node_id node)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        scheduler->release.spared[i] &= scheduler->peers[i].node != node;
}

/* Their names, each once though it may have several ranks. Those that have no place there have
 * their turn at the next look. */
static void list_hosts(struct mf_scheduler *scheduler, char hosts[HOSTS_BYTES])
{
    struct mf_release *release = &scheduler->release;
    size_t size = 0;

    hosts[0] = '\0';
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        if (!release->spared[i] || release->stays[peer->node])
            continue;
        if (size + strlen(peer->host) + 2 > HOSTS_BYTES) {
            leave_out(scheduler, peer->node);
            continue;
        }
        size += (size_t)snprintf(hosts + size, HOSTS_BYTES - size, "%s%s", size > 0 ? " " : "",
                                 peer->host);
        release->stays[peer->node] = true;
    }
}

static void ask(struct mf_scheduler *scheduler)
{
    char hosts[HOSTS_BYTES];
    int r;

    list_hosts(scheduler, hosts);
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_event drain = {.kind = MF_EVENT_WORKER_DRAIN, .worker = i};

        if (scheduler->release.spared[i])
            mf_scheduler_apply(scheduler, &drain);
    }
    mf_log_info(scheduler->config.log, "idle, and given back to Slurm: %s", hosts);
    scheduler->release.is_asking = true;
    r = mf_giver_give(scheduler->config.giver, hosts);
    if (r < 0)
        on_answer(scheduler, strerror(-r));
}

/* They are still the job's, so their workers are there for what is tried again. */
static void take_back(struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (peer->state == MF_PEER_UP)
        mf_peer_offer(scheduler, peer);
}

static void on_answer(void *arg, const char *why)
{
    struct mf_scheduler *scheduler = arg;
    struct mf_release *release = &scheduler->release;

    if (!release->is_asking)
        return;
    release->is_asking = false;
    release->has_failed = why != NULL;
    if (why)
        mf_log_warning(scheduler->config.log, "Slurm does not take nodes back: %s", why);
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        if (!release->spared[i])
            continue;
        if (why)
            take_back(scheduler, &scheduler->peers[i]);
        else
            mf_peer_part(scheduler, &scheduler->peers[i]);
    }
}

void mf_release_turn(struct mf_scheduler *scheduler)
{
    struct mf_release *release = &scheduler->release;

    if (!release->spared || release->is_asking || release->has_failed ||
        scheduler->now_ns < release->next_ns)
        return;
    release->next_ns = scheduler->now_ns + LOOK_NS;
    if (is_time(scheduler) && choose(scheduler))
        ask(scheduler);
}

int64_t mf_release_next_ns(const struct mf_scheduler *scheduler)
{
    const struct mf_release *release = &scheduler->release;

    return release->spared && !release->is_asking && !release->has_failed ? release->next_ns
                                                                          : INT64_MAX;
}
