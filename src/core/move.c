/*
 * Every move of a task. The lists, counts and loads that follow from a task's
 * state change here and nowhere else, together with the state.
 */
#include "core/farm_private.h"

#include <assert.h>

static void mark_dirty(struct mf_farm *farm, struct mf_task *task)
{
    if (task->is_dirty)
        return;
    task->is_dirty = true;
    mf_list_push_back(&farm->dirty, &task->dirty_node);
}

void mf_farm_tell(struct mf_farm *farm, struct mf_task *task)
{
    mark_dirty(farm, task);
}

/* The one writer of a task's state. */
static void move(struct mf_farm *farm, struct mf_task *task, enum mf_task_state to)
{
    enum mf_task_state from = task->state;

    assert(mf_task_may_move(from, to));
    task->state = to;
    farm->counts.by_state[from]--;
    farm->counts.by_state[to]++;

    /* Ready for the first time: nobody has to do anything. */
    if (from != MF_TASK_WAITING || to != MF_TASK_READY)
        mark_dirty(farm, task);
}

void mf_farm_make_ready(struct mf_farm *farm, struct mf_task *task)
{
    if (task->state == MF_TASK_WAITING)
        task->ready_ns = farm->now_ns;
    move(farm, task, MF_TASK_READY);
    if (farm->has_keys)
        mf_farm_order(farm, task);
    if (task->not_before_ns > farm->now_ns)
        mf_farm_park(farm, task, MF_PARKED_DELAYED);
    else
        mf_farm_put_back(farm, task);
}

void mf_farm_place(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    mf_heap_remove(&farm->ready, task);
    mf_farm_take_countables(farm, &task->spec.needs);
    if (farm->has_shares)
        mf_farm_charge(farm, task);
    if (farm->has_homes)
        mf_homes_set(&farm->homes, task->spec.group, worker->id);
    move(farm, task, MF_TASK_PLACED);
    if (task->attempt < farm->config.first_attempt)
        task->attempt = farm->config.first_attempt;
    task->attempt++;
    task->is_overtaken = false;
    farm->n_placed++;
    task->worker = worker->id;
    task->started_ns = farm->now_ns;
    task->ran_ns = 0;
    task->has_slots = true;
    task->turn = ++farm->n_turns;
    mf_list_push_back(&worker->tasks, &task->node);
    worker->n_tasks++;
    worker->n_long += task->spec.is_long;
    mf_workers_take(&farm->workers, worker, &task->spec.needs);
    mf_span_take(farm, task);
}

/* Among those that run: in order of how long they ran, if that is limited. */
static void watch(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_list *before = farm->running.prev;

    while (farm->preempts && farm->config.timeout_factor > 0 && before != &farm->running) {
        const struct mf_task *other = mf_container_of(before, struct mf_task, running_node);

        if (other->started_ns - other->ran_ns <= task->started_ns - task->ran_ns)
            break;
        before = before->prev;
    }
    mf_list_push_front(before, &task->running_node);
}

/* It runs, from now on in this turn, and nothing is wished of it. */
static void begin_turn(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_policy_view view;
    int r;

    task->started_ns = farm->now_ns;
    watch(farm, task);
    if (!farm->preempts || !task->spec.is_suspendable)
        return;
    view = mf_farm_view(farm);
    task->key = farm->config.policy->yield_key(&view, task);
    r = mf_heap_push(&farm->victims, task);
    assert(r == 0 && "memory was reserved when the task was submitted");
    (void)r;
}

/* Out of the order of those whose slots may be taken, or that wait for slots. */
static void leave_heap(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    if (task->heap_index == MF_HEAP_NONE)
        return;
    mf_heap_remove(mf_farm_heap_of(farm, task), task);
    if (mf_task_is_in_line(task)) {
        farm->n_in_line--;
        mf_workers_note_line(&farm->workers, worker);
    }
}

/* Its slots are others', and it waits for some, in the order of its key. */
static void get_in_line(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    int r;

    task->has_slots = false;
    mf_workers_give_back_slots(&farm->workers, worker, task->spec.needs.n_slots);
    r = mf_heap_push(&worker->suspended, task);
    assert(r == 0 && "memory was reserved before");
    (void)r;
    farm->n_in_line++;
    mf_workers_note_line(&farm->workers, worker);
}

void mf_farm_suspend(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    leave_heap(farm, task, worker);
    if (task->spec.yields) {
        mf_farm_order(farm, task);
        mf_farm_wish(farm, task, MF_WISH_YIELD, MF_CAUSE_NONE);
        return;
    }
    task->ran_ns = mf_task_ran_ns(task, farm->now_ns);
    mf_farm_wish(farm, task, MF_WISH_SUSPEND, MF_CAUSE_NONE);
    mf_farm_order(farm, task);
    get_in_line(farm, task, worker);
}

void mf_farm_continue(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    /* While the change is not told, nobody has asked its worker to stop it. */
    bool runs_on = task->state == MF_TASK_RUNNING && task->is_dirty;

    leave_heap(farm, task, worker);
    task->has_slots = true;
    task->turn = ++farm->n_turns;
    mf_workers_take_slots(&farm->workers, worker, task->spec.needs.n_slots);
    mf_farm_wish(farm, task, runs_on ? MF_WISH_NONE : MF_WISH_CONTINUE, MF_CAUSE_NONE);
    if (runs_on)
        begin_turn(farm, task);
}

void mf_farm_note_suspended(struct mf_farm *farm, struct mf_task *task, int64_t ran_ns)
{
    bool has_yielded = task->wish == MF_WISH_YIELD;

    task->ran_ns = ran_ns > 0 ? ran_ns : mf_task_ran_ns(task, farm->now_ns);
    mf_list_remove(&task->running_node);
    move(farm, task, MF_TASK_SUSPENDED);
    if (has_yielded)
        mf_farm_wish(farm, task, MF_WISH_NONE, MF_CAUSE_NONE);
    else if (task->wish == MF_WISH_SUSPEND)
        task->wish = MF_WISH_NONE;
    if (!has_yielded)
        return;
    /* Turns go round in the order in which they were over, whoever yields first. */
    if (farm->turn_ns == 0)
        mf_farm_order(farm, task);
    get_in_line(farm, task, mf_workers_find(&farm->workers, task->worker));
}

void mf_farm_note_continued(struct mf_farm *farm, struct mf_task *task)
{
    move(farm, task, MF_TASK_RUNNING);
    if (task->wish != MF_WISH_CONTINUE)
        return;
    task->wish = MF_WISH_NONE;
    begin_turn(farm, task);
}

void mf_farm_start(struct mf_farm *farm, struct mf_task *task)
{
    if (task->wish == MF_WISH_RECALL)
        mf_farm_wish(farm, task, MF_WISH_NONE, MF_CAUSE_NONE);
    move(farm, task, MF_TASK_RUNNING);
    if (task->wish == MF_WISH_NONE)
        begin_turn(farm, task);
    else
        task->started_ns = farm->now_ns;
}

/*
 * The moves that it made under the scheduler before, all at once. One that is suspended gets its
 * slots for a moment, so that it loses them as any other.
 */
void mf_farm_adopt(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker,
                   const struct mf_event *event)
{
    task->is_withheld = false;
    task->n_waiting_for = 0;
    mf_farm_make_ready(farm, task);
    mf_farm_place(farm, task, worker);
    task->attempt = event->attempt;
    if (task->tries < event->n_tries)
        task->tries = event->n_tries;
    if (farm->preempts && event->duration_ns > 0)
        task->ran_ns = event->duration_ns;
    mf_farm_start(farm, task);
    if (event->state == MF_TASK_SUSPENDED) {
        mf_farm_suspend(farm, task, worker);
        mf_farm_note_suspended(farm, task, event->duration_ns);
    }
}

void mf_farm_release(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, task->worker);
    struct mf_needs needs = task->spec.needs;

    assert(mf_task_is_held(task));
    leave_heap(farm, task, worker);
    mf_farm_wish(farm, task, MF_WISH_NONE, MF_CAUSE_NONE);
    mf_list_remove(&task->running_node);
    mf_list_remove(&task->node);
    worker->n_tasks--;
    worker->n_long -= task->spec.is_long;
    needs.n_slots = task->has_slots ? needs.n_slots : 0;
    mf_workers_give_back(&farm->workers, worker, &needs);
    mf_span_give_back(farm, task);
    mf_farm_give_back_countables(farm, &task->spec.needs);
    task->worker = MF_WORKER_NONE;
    task->has_slots = false;
    task->ran_ns = 0;
    if (worker->state == MF_WORKER_DRAINING && mf_worker_is_empty(worker))
        mf_workers_move(&farm->workers, worker, MF_WORKER_GONE);
}

void mf_farm_settle(struct mf_farm *farm, struct mf_task *task, enum mf_task_state state,
                    enum mf_cause cause)
{
    if (task->heap_index != MF_HEAP_NONE)
        mf_heap_remove(mf_farm_heap_of(farm, task), task);
    if (farm->has_shares && task->state == MF_TASK_READY)
        mf_shares_leave(&farm->shares, task->spec.group);
    task->cause = cause;
    move(farm, task, state);
    if (farm->config.has_dependencies)
        mf_list_push_back(&farm->ended, &task->node);
}

void mf_farm_wish(struct mf_farm *farm, struct mf_task *task, enum mf_wish wish,
                  enum mf_cause end_cause)
{
    struct mf_worker *worker;

    if (task->wish == wish)
        return;
    worker = mf_workers_find(&farm->workers, task->worker);
    if (task->wish == MF_WISH_RECALL) {
        worker->n_recalling--;
        farm->n_recalling--;
    } else if (wish == MF_WISH_RECALL) {
        worker->n_recalling++;
        farm->n_recalling++;
    }
    if (task->wish == MF_WISH_YIELD)
        farm->n_yielding -= task->spec.needs.n_slots;
    else if (wish == MF_WISH_YIELD)
        farm->n_yielding += task->spec.needs.n_slots;
    /* One that is suspended needs no slots to end. */
    if (wish == MF_WISH_END)
        leave_heap(farm, task, worker);
    task->wish = wish;
    task->end_cause = end_cause;

    /* Its time limit needs watching no more, or not now. */
    if (wish != MF_WISH_NONE && wish != MF_WISH_YIELD)
        mf_list_remove(&task->running_node);
    mark_dirty(farm, task);
}
