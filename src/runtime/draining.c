/*
 * Workers that the user wants to get no more work. Runs in rank 0's only thread.
 *
 * A worker without which some task could not be run stays: all known tasks are
 * looked at for that, a few at a time. One request is dealt with after the
 * other, as each is about the workers that the one before has left.
 */
#include "runtime/draining.h"

#include "runtime/cancelling.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Tasks looked at in one turn. */
#define LOOKS_PER_TURN 4096

/* Different needs that are remembered to be met elsewhere: most tasks need the same. */
#define MAX_MET 8

/**
 * A request.
 *
 * @is_leaving  by peer, n_peers of them: whether it is to be drained
 * @looked      the last task that was looked at
 * @met         the last n_met needs that some other worker meets, in a ring
 */
struct drain {
    struct mf_list node;
    uint64_t ticket;
    mf_task_id looked;
    struct mf_needs met[MAX_MET];
    uint32_t n_met;
    uint32_t n_peers;
    bool is_leaving[];
};

/* @drains  struct drain, in the order of their requests */
struct mf_draining {
    struct mf_list drains;
};

int mf_draining_create(struct mf_draining **ret_draining)
{
    struct mf_draining *draining = calloc(1, sizeof(*draining));

    if (!draining)
        return -ENOMEM;
    mf_list_init(&draining->drains);
    *ret_draining = draining;
    return 0;
}

void mf_draining_destroy(struct mf_draining *draining)
{
    struct mf_list *node;

    if (!draining)
        return;
    while ((node = mf_list_pop_front(&draining->drains)))
        free(mf_container_of(node, struct drain, node));
    free(draining);
}

/* --- workers --- */

bool mf_draining_is_working(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
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

static bool is_of(const struct mf_peer *peer, const char *name)
{
    char rank[16];

    snprintf(rank, sizeof(rank), "%" PRIu32, peer->rank);
    return peer->state == MF_PEER_UP && (strcmp(name, rank) == 0 || strcmp(name, peer->host) == 0);
}

/* Those that have come since it was asked stay. */
static bool stays(const struct mf_scheduler *scheduler, const struct drain *drain, uint32_t i)
{
    return mf_draining_is_working(scheduler, &scheduler->peers[i]) &&
           !(i < drain->n_peers && drain->is_leaving[i]);
}

static bool is_any_left(const struct mf_scheduler *scheduler, const struct drain *drain)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (stays(scheduler, drain, i))
            return true;
    return false;
}

/* --- asking --- */

/* Returns whether the name is of some worker. */
static bool mark(const struct mf_scheduler *scheduler, struct drain *drain, const char *name)
{
    bool is_known = false;

    for (uint32_t i = 0; i < drain->n_peers; i++) {
        if (!is_of(&scheduler->peers[i], name))
            continue;
        drain->is_leaving[i] = true;
        is_known = true;
    }
    return is_known;
}

/* Returns a name that is of no worker, or NULL. */
static const char *mark_all(const struct mf_scheduler *scheduler, struct drain *drain,
                            const struct mf_control_request *request)
{
    for (uint32_t i = 0; i < request->n_names; i++)
        if (!mark(scheduler, drain, request->names[i]))
            return request->names[i];
    return NULL;
}

static void refuse_last(struct mf_control_reply *reply)
{
    mf_control_reply_set(reply, false, "no worker would be left; mpifarm stop stops the run");
}

bool mf_draining_ask(const struct mf_scheduler *scheduler, struct mf_draining *draining,
                     uint64_t ticket, const struct mf_control_request *request,
                     struct mf_control_reply *reply)
{
    struct drain *drain =
        calloc(1, sizeof(*drain) + scheduler->n_peers * sizeof(drain->is_leaving[0]));
    const char *stranger;

    if (!drain) {
        mf_control_reply_set(reply, false, "%s", strerror(ENOMEM));
        return true;
    }
    drain->ticket = ticket;
    drain->n_peers = scheduler->n_peers;
    stranger = mark_all(scheduler, drain, request);
    if (!stranger && is_any_left(scheduler, drain)) {
        mf_list_push_back(&draining->drains, &drain->node);
        return false;
    }
    free(drain);
    if (stranger)
        mf_control_reply_set(reply, false, "no worker has the rank or the host \"%.200s\"",
                             stranger);
    else
        refuse_last(reply);
    return true;
}

/* --- tasks that need them --- */

static bool are_alike(const struct mf_needs *needs, const struct mf_needs *other)
{
    return needs->n_slots == other->n_slots && needs->n_gpus == other->n_gpus &&
           needs->mem_bytes == other->mem_bytes &&
           mf_needs_n_nodes(needs) == mf_needs_n_nodes(other);
}

/* The worker of that rank, if it stays and could run such a task or a part of it, or NULL. */
static const struct mf_worker *find_able(const struct mf_scheduler *scheduler,
                                         const struct drain *drain, const struct mf_needs *needs,
                                         uint32_t rank)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), rank);

    return stays(scheduler, drain, rank) && mf_worker_could_run(worker, needs) ? worker : NULL;
}

/* Whether the worker is the first such one in the list of its node, which counts once. */
static bool is_first_of_node(const struct mf_scheduler *scheduler, const struct drain *drain,
                             const struct mf_needs *needs, const struct mf_worker *worker)
{
    const struct mf_worker *other;

    if (worker->node == MF_NODE_UNKNOWN)
        return true;
    other = mf_farm_workers(scheduler->farm)->nodes[worker->node].first;
    while (other != worker && !find_able(scheduler, drain, needs, other->id))
        other = other->next_on_node;
    return other == worker;
}

static bool could_run_elsewhere(const struct mf_scheduler *scheduler, const struct drain *drain,
                                const struct mf_needs *needs)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < scheduler->n_peers && n < mf_needs_n_nodes(needs); i++) {
        const struct mf_worker *worker = find_able(scheduler, drain, needs, i);

        n += worker && is_first_of_node(scheduler, drain, needs, worker);
    }
    return n >= mf_needs_n_nodes(needs);
}

/* Whether a task fits some worker now, and would fit none: the farm would leave it to another run.
 */
static bool is_stranded(const struct mf_scheduler *scheduler, struct drain *drain,
                        const struct mf_task *task)
{
    const struct mf_needs *needs = &task->spec.needs;

    if (mf_task_state_is_final(task->state))
        return false;
    for (uint32_t i = 0; i < drain->n_met && i < MAX_MET; i++)
        if (are_alike(&drain->met[i], needs))
            return false;
    if (mf_workers_have_nodes(mf_farm_workers(scheduler->farm), needs, MF_NODE_UNKNOWN, false) &&
        !could_run_elsewhere(scheduler, drain, needs))
        return true;
    drain->met[drain->n_met++ % MAX_MET] = *needs;
    return false;
}

/* Returns 0 once all tasks were looked at, 1 if there are more, -ENOENT with one that needs such a
 * worker. */
static int look_on(const struct mf_scheduler *scheduler, struct drain *drain,
                   const struct mf_task **ret_task)
{
    for (int i = 0; i < LOOKS_PER_TURN; i++) {
        const struct mf_task *task = mf_farm_after(scheduler->farm, drain->looked);

        if (!task)
            return 0;
        if (is_stranded(scheduler, drain, task)) {
            *ret_task = task;
            return -ENOENT;
        }
        drain->looked = task->id;
    }
    return 1;
}

/* --- draining --- */

static void drain_all(struct mf_scheduler *scheduler, const struct drain *drain,
                      struct mf_control_reply *reply)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < drain->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];
        struct mf_event event = {.kind = MF_EVENT_WORKER_DRAIN, .worker = peer->rank};

        if (!drain->is_leaving[i] || !may_get_work(scheduler, peer))
            continue;
        mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s gets no more work", peer->rank,
                    peer->host);
        mf_scheduler_apply(scheduler, &event);
        n++;
    }
    mf_wishes_note_drained(scheduler);
    mf_control_reply_set(reply, true, "%" PRIu32 " worker%s no more work", n,
                         n == 1 ? " gets" : "s get");
}

static void refuse_stranding(struct mf_scheduler *scheduler, const struct mf_task *task,
                             struct mf_control_reply *reply)
{
    const char *id = mf_cancelling_id(scheduler, task);

    mf_control_reply_set(reply, false, "task %.200s could run nowhere else", id ? id : "?");
}

/* Takes the drain, whose tasks were looked at with that result. */
static void answer(struct mf_scheduler *scheduler, struct mf_control *control, struct drain *drain,
                   const struct mf_task *stranded)
{
    struct mf_control_reply reply = {0};

    if (!mf_control_is_awaited(control, drain->ticket))
        mf_log_info(scheduler->config.log, "no worker is drained: who asked for it waits no more");
    else if (stranded)
        refuse_stranding(scheduler, stranded, &reply);
    else if (!is_any_left(scheduler, drain))
        refuse_last(&reply);
    else
        drain_all(scheduler, drain, &reply);
    mf_control_answer(control, drain->ticket, &reply);
    mf_list_remove(&drain->node);
    free(drain);
}

bool mf_draining_turn(struct mf_scheduler *scheduler, struct mf_draining *draining,
                      struct mf_control *control)
{
    const struct mf_task *stranded = NULL;
    struct drain *drain;

    if (mf_list_is_empty(&draining->drains))
        return false;
    drain = mf_container_of(draining->drains.next, struct drain, node);
    if (look_on(scheduler, drain, &stranded) > 0)
        return true;
    answer(scheduler, control, drain, stranded);
    return !mf_list_is_empty(&draining->drains);
}
