/*
 * Under a policy that preempts: whose slots are taken for others, and which
 * suspended task goes on when slots are free.
 *
 * A task that gives up its slots gets in line on its worker, which it never
 * leaves: there it keeps its memory, GPUs and countables. The lines of the
 * workers and the READY tasks are one order, that of the policy; each free slot
 * goes to the first that may have it. One that gets its slots back before its
 * worker was asked to stop it just runs on.
 *
 * One that cannot be stopped at any time is asked to yield. It keeps its slots until it has, so
 * that nothing is placed behind one that never does; who is to have them is decided then.
 *
 * A worker that is kept for a large READY task (see backfill.c) gives no slot to
 * a suspended task that comes behind it, as soon as slots are all that it lacks.
 * So what was promised is not put off by any task that is behind in order; those
 * before it keep their right.
 */
#include "core/farm_private.h"

/* Victims that are looked at for one task. */
#define MAX_TRIED 16

/* When one that was asked to yield still has not, others are asked too. */
#define PATIENCE_NS INT64_C(1000000000)

static uint32_t n_free_slots(const struct mf_worker *worker)
{
    return worker->n_committed < worker->n_slots ? worker->n_slots - worker->n_committed : 0;
}

static bool is_victim(const struct mf_task *task)
{
    return task->heap_index != MF_HEAP_NONE && task->state == MF_TASK_RUNNING &&
           task->wish == MF_WISH_NONE;
}

bool mf_farm_has_line(struct mf_worker *worker)
{
    return mf_heap_reserve(&worker->suspended, worker->n_tasks) == 0;
}

/* Nobody wants its slots, so that its turn begins anew. */
static void renew_turn(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_policy_view view = mf_farm_view(farm);

    task->ran_ns = mf_task_ran_ns(task, farm->now_ns);
    task->started_ns = farm->now_ns;
    task->turn = ++farm->n_turns;
    task->key = farm->config.policy->yield_key(&view, task);
    mf_heap_update(&farm->victims, task);
}

/* Whether a turn is over at a time; neither clock overflows. */
static bool is_over(const struct mf_farm *farm, const struct mf_task *task)
{
    return farm->now_ns - task->started_ns >= farm->turn_ns;
}

/* Whether a READY task waits for a worker, rather than for a countable. */
static bool is_any_ready(const struct mf_farm *farm)
{
    return farm->counts.by_state[MF_TASK_READY] >
           mf_farm_n_parked(farm) + mf_farm_n_late(farm) + mf_farm_n_stranded(farm);
}

void mf_farm_end_turns(struct mf_farm *farm, bool can_place)
{
    bool has_ready = can_place && is_any_ready(farm);
    struct mf_task *task;

    while (farm->turn_ns > 0 && (task = mf_heap_top(&farm->victims)) && is_over(farm, task)) {
        struct mf_worker *worker = mf_workers_find(&farm->workers, task->worker);

        if ((has_ready || worker->suspended.n_items > 0) && mf_farm_has_line(worker))
            mf_farm_suspend(farm, task, worker);
        else
            renew_turn(farm, task);
    }
}

int64_t mf_farm_next_turn_ns(const struct mf_farm *farm)
{
    const struct mf_task *task = mf_heap_top(&farm->victims);
    bool is_any_waiting = farm->n_in_line > 0 || (farm->stop == MF_STOP_NONE && is_any_ready(farm));

    if (!task || farm->turn_ns == 0 || !is_any_waiting ||
        task->started_ns > INT64_MAX - farm->turn_ns)
        return INT64_MAX;
    return task->started_ns + farm->turn_ns;
}

/*
 * Whether a worker is kept for a READY task that goes before this one. Only if
 * the worker could begin that one once its slots are free: what else it lacks
 * comes of tasks that end, and those must go on.
 */
static bool is_kept_for_another(const struct mf_farm *farm, const struct mf_worker *worker,
                                const struct mf_task *task)
{
    const struct mf_reservation *reservation = &farm->reservation;
    const struct mf_task *other;

    if (!reservation->is_standing || !worker->is_kept)
        return false;
    other = mf_tasks_find(&farm->tasks, reservation->task);
    return other && other->state == MF_TASK_READY && mf_policy_key_before(other, task) &&
           mf_worker_has_beside_slots(worker, &other->spec.needs) &&
           mf_worker_may_begin(&farm->workers, worker);
}

/* Nothing suspended on a worker goes on in this tick. */
static void block(struct mf_farm *farm, struct mf_worker *worker)
{
    mf_list_push_back(&farm->blocked, &worker->blocked_node);
    mf_workers_note_line(&farm->workers, worker);
}

bool mf_farm_continue_next(struct mf_farm *farm, const struct mf_task *other)
{
    struct mf_worker *worker;

    while ((worker = mf_heap_top(&farm->workers.resumable))) {
        struct mf_task *task = mf_heap_top(&worker->suspended);

        if (other && !mf_policy_key_before(task, other))
            return false;
        worker->is_awaited = task->spec.needs.n_slots > n_free_slots(worker);
        if (!worker->is_awaited && !is_kept_for_another(farm, worker, task)) {
            mf_farm_continue(farm, task, worker);
            return true;
        }
        block(farm, worker);
    }
    return false;
}

void mf_farm_continue_rest(struct mf_farm *farm)
{
    while (mf_farm_continue_next(farm, NULL))
        ;
    while (!mf_list_is_empty(&farm->blocked)) {
        struct mf_worker *worker =
            mf_container_of(mf_list_pop_front(&farm->blocked), struct mf_worker, blocked_node);

        worker->is_awaited = false;
        mf_workers_note_line(&farm->workers, worker);
    }
}

/* Whether a worker has all for a task but slots. */
static bool lacks_slots_only(const struct mf_farm *farm, const struct mf_worker *worker,
                             const struct mf_task *task, struct mf_avoid avoid)
{
    return worker->state == MF_WORKER_UP && mf_avoid_allows(avoid, worker) &&
           !mf_farm_is_kept_for_another(farm, worker, task) && !worker->is_awaited &&
           (!task->spec.has_target || worker->id == task->spec.target) &&
           mf_worker_could_run(worker, &task->spec.needs) &&
           mf_worker_has_beside_slots(worker, &task->spec.needs) &&
           mf_worker_may_begin(&farm->workers, worker);
}

/* The first task of a worker whose slots another one may take; how many slots such tasks have. */
static struct mf_task *find_victim(struct mf_farm *farm, const struct mf_worker *worker,
                                   const struct mf_task *task, uint32_t *ret_n_slots)
{
    struct mf_policy_view view = mf_farm_view(farm);
    struct mf_task *first = NULL;

    *ret_n_slots = 0;
    mf_list_for_each (node, &worker->tasks) {
        struct mf_task *other = mf_container_of(node, struct mf_task, node);

        if (!is_victim(other) || !farm->config.policy->may_take(&view, task, other))
            continue;
        *ret_n_slots += other->spec.needs.n_slots;
        if (!first || mf_policy_key_before(other, first))
            first = other;
    }
    return first;
}

static bool could_take_slots(struct mf_farm *farm, struct mf_worker *worker,
                             const struct mf_task *task)
{
    uint32_t n_takeable;

    (void)find_victim(farm, worker, task, &n_takeable);
    return mf_farm_has_line(worker) &&
           n_free_slots(worker) + n_takeable >= task->spec.needs.n_slots;
}

/* Whether so many slots are to be yielded that there are some for a task, too. */
static bool has_coming(const struct mf_farm *farm, const struct mf_task *task)
{
    return farm->n_claimed + task->spec.needs.n_slots <= farm->n_yielding;
}

/* The first worker by its victims that lacks slots only, and has enough of them to take. */
static struct mf_worker *find_room(struct mf_farm *farm, const struct mf_task *task,
                                   struct mf_avoid avoid)
{
    struct mf_policy_view view = mf_farm_view(farm);
    struct mf_task *aside[MAX_TRIED], *victim;
    struct mf_worker *found = NULL;
    uint32_t n_aside = 0;

    while (farm->config.policy->may_take && !found && n_aside < MAX_TRIED &&
           (victim = mf_heap_top(&farm->victims)) &&
           farm->config.policy->may_take(&view, task, victim)) {
        struct mf_worker *worker = mf_workers_find(&farm->workers, victim->worker);

        if (lacks_slots_only(farm, worker, task, avoid) && could_take_slots(farm, worker, task))
            found = worker;
        else
            aside[n_aside++] = mf_heap_pop(&farm->victims);
    }
    while (n_aside > 0)
        (void)mf_heap_push(&farm->victims, aside[--n_aside]);
    return found;
}

/* Takes as many slots of a worker as a task needs. Returns false if it has to wait for some. */
static bool take_slots(struct mf_farm *farm, struct mf_worker *worker, const struct mf_task *task)
{
    uint32_t n_slots = n_free_slots(worker), n_takeable;
    bool has_to_wait = false;

    while (n_slots < task->spec.needs.n_slots) {
        struct mf_task *victim = find_victim(farm, worker, task, &n_takeable);

        n_slots += victim->spec.needs.n_slots;
        has_to_wait |= victim->spec.yields;
        mf_farm_suspend(farm, victim, worker);
    }
    if (has_to_wait)
        farm->asked_ns = farm->now_ns;
    return !has_to_wait;
}

struct mf_worker *mf_farm_make_room(struct mf_farm *farm, const struct mf_task *task,
                                    struct mf_avoid avoid)
{
    struct mf_worker *worker;

    if (has_coming(farm, task) && farm->now_ns - farm->asked_ns < PATIENCE_NS)
        return NULL;
    worker = find_room(farm, task, avoid);
    return worker && take_slots(farm, worker, task) ? worker : NULL;
}

bool mf_farm_awaits_slots(struct mf_farm *farm, const struct mf_task *task)
{
    if (!has_coming(farm, task))
        return false;
    farm->n_claimed += task->spec.needs.n_slots;
    return true;
}

bool mf_farm_could_make_room(struct mf_farm *farm, const struct mf_task *task,
                             struct mf_avoid avoid)
{
    return find_room(farm, task, avoid) != NULL;
}

void mf_farm_reorder_held(struct mf_farm *farm)
{
    struct mf_policy_view view = mf_farm_view(farm);
    struct mf_workers *workers = &farm->workers;

    for (uint32_t i = 0; i < farm->victims.n_items; i++) {
        struct mf_task *task = farm->victims.items[i];

        task->key = farm->config.policy->yield_key(&view, task);
    }
    mf_heap_rebuild(&farm->victims);
    for (uint32_t i = 0; i < workers->n_by_id && farm->n_in_line > 0; i++) {
        struct mf_heap *line = workers->by_id[i] ? &workers->by_id[i]->suspended : NULL;

        for (uint32_t j = 0; line && j < line->n_items; j++)
            mf_farm_order(farm, line->items[j]);
        if (line)
            mf_heap_rebuild(line);
    }
    mf_heap_rebuild(&workers->resumable);
}
