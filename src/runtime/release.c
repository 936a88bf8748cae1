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

/* Where not all idle nodes can be spared, so many are tried one by one at a look. */
#define MAX_TRIES 64

/* For all names of nodes that are given back at a time. */
#define HOSTS_BYTES 16384

static void on_answer(void *arg, const char *why);

int mf_release_create(struct mf_scheduler *scheduler)
{
    struct mf_release *release = &scheduler->release;

    if (!scheduler->config.giver || !scheduler->config.remote)
        return 0;
    release->spared = calloc(mf_peers_max(scheduler), sizeof(*release->spared));
    if (!release->spared)
        return -ENOMEM;
    return mf_giver_listen(scheduler->config.giver, scheduler->config.loop, on_answer, scheduler);
}

void mf_release_destroy(struct mf_scheduler *scheduler)
{
    free(scheduler->release.spared);
}

/* --- which --- */

/* All tasks are known, and no worker has commands to run when it leaves. */
static bool is_time(const struct mf_scheduler *scheduler)
{
    return scheduler->is_source_done && !scheduler->is_leaving && !scheduler->has_failed &&
           mf_farm_stopping(scheduler->farm) == MF_STOP_NONE &&
           mf_farm_n_held(scheduler->farm) > 0 && !mf_source_hook(scheduler->config.source, 0);
}

/* With a standby: whether this is the node of the one that would take over. */
static bool is_of_heir(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const char *own = scheduler->peers[mf_peers_self(scheduler)].host;

    if (scheduler->epoch == 0)
        return false;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_UP && strcmp(scheduler->peers[i].host, own) != 0)
            return strcmp(scheduler->peers[i].host, peer->host) == 0;
    return false;
}

static bool is_same_node(const struct mf_peer *a, const struct mf_peer *b)
{
    return strcmp(a->host, b->host) == 0;
}

/* Its rank stays, or all that is there is idle. */
static bool may_go(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    if (is_same_node(peer, &scheduler->peers[mf_peers_self(scheduler)]) ||
        mf_giver_must_keep(peer->host) || is_of_heir(scheduler, peer))
        return false;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *other = &scheduler->peers[i];
        const struct mf_worker *worker;

        if (!is_same_node(other, peer))
            continue;
        worker = mf_workers_find(mf_farm_workers(scheduler->farm), other->rank);
        if (other->state != MF_PEER_UP || !worker || worker->state != MF_WORKER_UP ||
            worker->n_tasks > 0 || worker->n_parts > 0 || !mf_list_is_empty(&other->transfers))
            return false;
    }
    return true;
}

static void mark(struct mf_scheduler *scheduler, const struct mf_peer *node, bool is_spared)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (is_same_node(&scheduler->peers[i], node))
            scheduler->release.spared[i] = is_spared;
}

static bool can_spare(const struct mf_scheduler *scheduler)
{
    return mf_farm_can_spare(scheduler->farm, scheduler->release.spared);
}

/* Marks the nodes that can be spared. Returns whether there are any. */
static bool choose(struct mf_scheduler *scheduler)
{
    bool *spared = scheduler->release.spared;
    bool has_any = false;
    uint32_t n_tries = 0;

    memset(spared, 0, mf_peers_max(scheduler) * sizeof(*spared));
    for (uint32_t i = scheduler->n_peers; i-- > 0;)
        if (!spared[i] && may_go(scheduler, &scheduler->peers[i])) {
            mark(scheduler, &scheduler->peers[i], true);
            has_any = true;
        }
    if (!has_any || can_spare(scheduler))
        return has_any;
    memset(spared, 0, mf_peers_max(scheduler) * sizeof(*spared));
    has_any = false;
    for (uint32_t i = scheduler->n_peers; i-- > 0 && n_tries < MAX_TRIES;) {
        if (spared[i] || !may_go(scheduler, &scheduler->peers[i]))
            continue;
        n_tries++;
        mark(scheduler, &scheduler->peers[i], true);
        if (can_spare(scheduler))
            has_any = true;
        else
            mark(scheduler, &scheduler->peers[i], false);
    }
    return has_any;
}

/* --- giving --- */

/* Its name once, though it may have several ranks. */
static bool is_first_of_node(const struct mf_scheduler *scheduler, uint32_t rank)
{
    for (uint32_t i = 0; i < rank; i++)
        if (scheduler->release.spared[i] &&
            is_same_node(&scheduler->peers[i], &scheduler->peers[rank]))
            return false;
    return true;
}

static void ask(struct mf_scheduler *scheduler)
{
    char hosts[HOSTS_BYTES] = "";
    size_t size = 0;
    int r;

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_event drain = {.kind = MF_EVENT_WORKER_DRAIN, .worker = i};
        const struct mf_peer *peer = &scheduler->peers[i];

        if (!scheduler->release.spared[i])
            continue;
        if (is_first_of_node(scheduler, i)) {
            /* The others have their turn at the next look. */
            if (size + strlen(peer->host) + 2 > sizeof(hosts)) {
                mark(scheduler, peer, false);
                continue;
            }
            size += (size_t)snprintf(hosts + size, sizeof(hosts) - size, "%s%s",
                                     size > 0 ? " " : "", peer->host);
        }
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
    struct mf_event event = {
        .kind = MF_EVENT_WORKER_UP, .worker = peer->rank, .node = peer->node, .has = peer->share};

    if (peer->state == MF_PEER_UP)
        mf_scheduler_apply(scheduler, &event);
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
