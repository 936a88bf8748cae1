/*
 * What the user asks of a running farm through the control channel. Runs in
 * rank 0's only thread.
 */
#include "runtime/cancelling.h"

#include "base/units.h"
#include "control/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct mf_requests {
    struct mf_control *control;
    struct mf_cancelling *cancelling;
};

/* --- stop --- */

/* What it has come to before, if it has. */
static const char *stopped_before(enum mf_stop before, bool is_now)
{
    if (before == MF_STOP_NOW)
        return "the running tasks are being ended already";
    if (before != MF_STOP_NONE && !is_now)
        return "nothing new is started already; running tasks may end, and mpifarm stop --now ends "
               "them";
    return NULL;
}

static void on_stop(struct mf_scheduler *scheduler, const struct mf_control_request *request,
                    struct mf_control_reply *reply)
{
    const char *before = stopped_before(mf_farm_stopping(scheduler->farm), request->is_now);

    if (before) {
        mf_control_reply_set(reply, true, "%s", before);
        return;
    }
    mf_log_info(scheduler->config.log, "stopped by mpifarm stop: %s",
                request->is_now ? "ending the running tasks" : "running tasks may end");
    mf_scheduler_stop(scheduler, request->is_now ? MF_STOP_NOW : MF_STOP_SOON, "mpifarm stop");
    mf_control_reply_set(reply, true, "%s",
                         request->is_now ? "the running tasks are being ended"
                                         : "nothing new is started; running tasks may end");
}

/* --- drain --- */

static bool is_of(const struct mf_peer *peer, const char *name)
{
    char rank[16];

    snprintf(rank, sizeof(rank), "%" PRIu32, peer->rank);
    return peer->state == MF_PEER_UP && (strcmp(name, rank) == 0 || strcmp(name, peer->host) == 0);
}

static bool is_working(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return worker && worker->state == MF_WORKER_UP;
}

/* Or is in quarantine, where it would get some again. */
static bool may_get_work(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return worker && mf_worker_may_be_target(worker);
}

static bool is_asked_for(const struct mf_control_request *request, const struct mf_peer *peer)
{
    for (uint32_t i = 0; i < request->n_names; i++)
        if (is_of(peer, request->names[i]))
            return true;
    return false;
}

/* Returns a name that is of no worker, or NULL. */
static const char *find_stranger(const struct mf_scheduler *scheduler,
                                 const struct mf_control_request *request)
{
    for (uint32_t i = 0; i < request->n_names; i++) {
        bool is_known = false;

        for (uint32_t k = 0; k < scheduler->n_peers && !is_known; k++)
            is_known = is_of(&scheduler->peers[k], request->names[i]);
        if (!is_known)
            return request->names[i];
    }
    return NULL;
}

static uint32_t count_left(const struct mf_scheduler *scheduler,
                           const struct mf_control_request *request)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        n += is_working(scheduler, &scheduler->peers[i]) &&
             !is_asked_for(request, &scheduler->peers[i]);
    return n;
}

static bool could_run_elsewhere(const struct mf_scheduler *scheduler,
                                const struct mf_control_request *request,
                                const struct mf_needs *needs)
{
    const struct mf_workers *workers = mf_farm_workers(scheduler->farm);

    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (is_working(scheduler, &scheduler->peers[i]) &&
            !is_asked_for(request, &scheduler->peers[i]) &&
            mf_worker_could_run(mf_workers_find(workers, scheduler->peers[i].rank), needs))
            return true;
    return false;
}

/*
 * A known task that fits some worker now, and would fit none: the farm would
 * fail it for that. Returns its number, or 0. Most tasks need the same.
 */
static mf_task_id find_stranded(const struct mf_scheduler *scheduler,
                                const struct mf_control_request *request)
{
    const struct mf_workers *workers = mf_farm_workers(scheduler->farm);
    struct mf_needs last = {.n_slots = 1};

    for (mf_task_id number = 1; number <= mf_farm_last_id(scheduler->farm); number++) {
        const struct mf_task *task = mf_farm_find(scheduler->farm, number);
        const struct mf_needs *needs;

        if (!task || mf_task_state_is_final(task->state))
            continue;
        needs = &task->spec.needs;
        if (needs->n_slots == last.n_slots && needs->n_gpus == last.n_gpus &&
            needs->mem_bytes == last.mem_bytes)
            continue;
        if (mf_workers_n_able(workers, needs) > 0 &&
            !could_run_elsewhere(scheduler, request, needs))
            return number;
        last = *needs;
    }
    return 0;
}

static void refuse_stranding(struct mf_scheduler *scheduler, mf_task_id number,
                             struct mf_control_reply *reply)
{
    const char *id = mf_cancelling_id(scheduler, mf_farm_find(scheduler->farm, number));

    mf_control_reply_set(reply, false, "task %.200s could run nowhere else", id ? id : "?");
}

static void on_drain(struct mf_scheduler *scheduler, const struct mf_control_request *request,
                     struct mf_control_reply *reply)
{
    const char *stranger = find_stranger(scheduler, request);
    mf_task_id stranded;
    uint32_t n = 0;

    if (stranger) {
        mf_control_reply_set(reply, false, "no worker has the rank or the host \"%.200s\"",
                             stranger);
        return;
    }
    if (count_left(scheduler, request) == 0) {
        mf_control_reply_set(reply, false, "no worker would be left; mpifarm stop stops the run");
        return;
    }
    stranded = find_stranded(scheduler, request);
    if (stranded > 0) {
        refuse_stranding(scheduler, stranded, reply);
        return;
    }
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];
        struct mf_event event = {.kind = MF_EVENT_WORKER_DRAIN, .worker = peer->rank};

        if (!is_asked_for(request, peer) || !may_get_work(scheduler, peer))
            continue;
        mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s gets no more work", peer->rank,
                    peer->host);
        mf_scheduler_apply(scheduler, &event);
        n++;
    }
    mf_control_reply_set(reply, true, "%" PRIu32 " worker%s no more work", n,
                         n == 1 ? " gets" : "s get");
}

/* --- scale --- */

/* Works for the run, by what the core says of it: the n-th of them from behind, or NULL. */
static struct mf_peer *find_last_working(struct mf_scheduler *scheduler, uint32_t n)
{
    for (uint32_t i = scheduler->n_peers; i-- > 0;)
        if (is_working(scheduler, &scheduler->peers[i]) && n-- == 0)
            return &scheduler->peers[i];
    return NULL;
}

/* Those that came last leave first. */
static void shrink(struct mf_scheduler *scheduler, uint32_t n, struct mf_control_reply *reply)
{
    char ranks[MF_CONTROL_MAX_NAMES][16];
    const char *names[MF_CONTROL_MAX_NAMES];
    struct mf_control_request drain = {.verb = MF_CONTROL_DRAIN, .names = names};

    for (; drain.n_names < n; drain.n_names++) {
        struct mf_peer *peer = find_last_working(scheduler, drain.n_names);

        if (!peer) {
            mf_control_reply_set(reply, false,
                                 "no worker would be left; mpifarm stop stops the run");
            return;
        }
        snprintf(ranks[drain.n_names], sizeof(ranks[0]), "%" PRIu32, peer->rank);
        names[drain.n_names] = ranks[drain.n_names];
    }
    on_drain(scheduler, &drain, reply);
}

static void grow(struct mf_scheduler *scheduler, uint32_t n, struct mf_control_reply *reply)
{
    uint32_t n_vacant = mf_respawn_n_vacant(scheduler), n_back, n_starting;

    if (n_vacant == 0) {
        mf_control_reply_set(reply, false,
                             "all cores belong to workers; more can come only in place of those "
                             "that have left or were lost");
        return;
    }
    n_back = mf_respawn_grow(scheduler, n, &n_starting);
    mf_control_reply_set(
        reply, true, "%" PRIu32 " worker%s work again, %" PRIu32 " more %s started%s", n_back,
        n_back == 1 ? " gets" : "s get", n_starting, n_starting == 1 ? "is" : "are",
        n_vacant < n ? "; for others there are no cores" : "");
}

static void on_scale(struct mf_scheduler *scheduler, const struct mf_control_request *request,
                     struct mf_control_reply *reply)
{
    const char *text = request->n_names == 1 ? request->names[0] : "";
    struct mf_error err;
    int64_t n;

    if ((text[0] != '+' && text[0] != '-') ||
        mf_parse_integer(text + 1, 1, MF_CONTROL_MAX_NAMES, &n, &err) < 0)
        mf_control_reply_set(reply, false, "\"%.100s\" is not like +4 or -4", text);
    else if (text[0] == '-')
        shrink(scheduler, (uint32_t)n, reply);
    else
        grow(scheduler, (uint32_t)n, reply);
}

/* --- all of them --- */

/* Returns whether the reply is there; that about tasks comes once they were looked for. */
static bool carry_out(struct mf_scheduler *scheduler, uint64_t ticket,
                      const struct mf_control_request *request, struct mf_control_reply *reply)
{
    switch (request->verb) {
    case MF_CONTROL_STOP:
        on_stop(scheduler, request, reply);
        break;
    case MF_CONTROL_CANCEL:
        return mf_cancelling_ask(scheduler->requests->cancelling, ticket, request, reply);
    case MF_CONTROL_DRAIN:
        on_drain(scheduler, request, reply);
        break;
    case MF_CONTROL_SCALE:
        on_scale(scheduler, request, reply);
        break;
    }
    return true;
}

static bool on_request(void *arg, uint64_t ticket, const struct mf_control_request *request,
                       struct mf_control_reply *reply)
{
    struct mf_scheduler *scheduler = arg;

    if (!scheduler->is_leaving)
        return carry_out(scheduler, ticket, request, reply);
    if (request->verb == MF_CONTROL_STOP && request->is_now) {
        mf_hooks_hurry(scheduler);
        mf_control_reply_set(reply, true, "the run is over, and its workers leave at once");
    } else {
        mf_control_reply_set(reply, false, "the run is over");
    }
    return true;
}

int mf_requests_create(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    scheduler->requests = calloc(1, sizeof(*scheduler->requests));
    if (!scheduler->requests || mf_cancelling_create(&scheduler->requests->cancelling) < 0)
        return -ENOMEM;
    /* A run goes on without, as some file systems have no sockets. */
    if (mf_control_create(scheduler->config.run_dir, scheduler->config.loop, on_request, scheduler,
                          &scheduler->requests->control, &err) < 0)
        mf_log_warning(scheduler->config.log,
                       "mpifarm stop, cancel, drain and scale will not work: %s", err.text);
    return 0;
}

void mf_requests_destroy(struct mf_scheduler *scheduler)
{
    if (!scheduler->requests)
        return;
    mf_cancelling_warn(scheduler, scheduler->requests->cancelling);
    mf_cancelling_destroy(scheduler->requests->cancelling);
    mf_control_destroy(scheduler->requests->control);
    free(scheduler->requests);
    scheduler->requests = NULL;
}

bool mf_requests_turn(struct mf_scheduler *scheduler)
{
    struct mf_requests *requests = scheduler->requests;

    if (requests->control)
        mf_control_keep_time(requests->control, scheduler->now_ns);
    return mf_cancelling_turn(scheduler, requests->cancelling, requests->control);
}

int64_t mf_requests_next_ns(const struct mf_scheduler *scheduler)
{
    const struct mf_control *control = scheduler->requests->control;

    return control ? mf_control_next_ns(control) : INT64_MAX;
}
