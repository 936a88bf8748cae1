/*
 * The tick: which ready tasks go where, how many are sent ahead, and what has
 * run for too long.
 */
#include "core/farm_private.h"

#include <assert.h>

/* Tasks that may stand aside in one tick each by itself, as others of its class may fit. */
#define MAX_ASIDE 512

/* Tasks that a tick puts aside with their class, of which there are fewer: it gets on. */
#define MAX_PUT 1024

/* Tasks that may be placed while such a one waits, before it goes where it failed. */
#define MAX_OVERTAKEN 1024

/*
 * Tasks are sent ahead where the turnaround is at least one part in so many of
 * their run time. Where tasks come after others, what becomes READY may have
 * to go before what was sent ahead, so that it has to be worth more.
 */
#define LEAST_SHARE 100
#define LEAST_SHARE_IN_ORDER 5

/* Samples beyond 13 days count as 13 days, so that products stay within 64 bits. */
#define MAX_SAMPLE_NS (INT64_C(1) << 50)

/* Tasks done before their median says something. */
#define MIN_DONE_FOR_LIMIT 3

static int64_t later(int64_t now_ns, int64_t delay_ns)
{
    return now_ns > INT64_MAX - delay_ns ? INT64_MAX : now_ns + delay_ns;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

void mf_average_add(struct mf_average *average, int64_t sample_ns)
{
    int64_t sample = clamp(sample_ns, 1, MAX_SAMPLE_NS);

    if (average->sum == 0)
        average->sum = 16 * sample;
    else
        average->sum += sample - average->sum / 16;
}

/*
 * Sends ahead what a slot runs through while a task is on its way to it:
 * turnaround / duration tasks. A small part of one is not worth the imbalance.
 */
static void adapt_prefetch(struct mf_farm *farm)
{
    uint64_t most = (uint64_t)farm->config.max_prefetch_per_slot * 1024;
    int64_t turnaround = clamp(farm->config.turnaround_ns, 0, MAX_SAMPLE_NS);
    int64_t duration = mf_average_get(&farm->duration);
    int64_t least_share = LEAST_SHARE;
    uint64_t n = 0;

    if (farm->turnaround.sum > 0)
        turnaround = mf_average_get(&farm->turnaround);
    if (farm->config.has_dependencies)
        least_share = LEAST_SHARE_IN_ORDER;
    if (duration > 0 && farm->config.delay_ns == 0 && least_share * turnaround >= duration)
        n = ((uint64_t)turnaround * 1024 + (uint64_t)duration - 1) / (uint64_t)duration;
    if (n > most)
        n = most;
    /* What waits on a worker could not be put in order with what is suspended there. */
    if (farm->preempts)
        n = 0;
    farm->workers.prefetch_per_1024_slots = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

struct mf_avoid mf_farm_to_avoid(const struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_workers *workers = &farm->workers;
    const struct mf_needs *needs = &task->spec.needs;
    const struct mf_worker *worker = mf_workers_find(workers, task->avoid);
    struct mf_avoid avoid = MF_AVOID_NOTHING;

    if (mf_task_n_parts(task) > 0) {
        if (task->avoid_node != MF_NODE_UNKNOWN &&
            mf_workers_have_nodes(workers, needs, task->avoid_node, false))
            avoid.node = task->avoid_node;
        return avoid;
    }
    if (worker && worker->state == MF_WORKER_UP &&
        mf_workers_n_able(workers, needs) > mf_worker_could_run(worker, needs))
        avoid.worker = worker->id;
    if (task->avoid_node != MF_NODE_UNKNOWN &&
        mf_workers_is_any_able_beyond(workers, task->avoid_node, needs))
        avoid.node = task->avoid_node;
    return avoid;
}

static struct mf_choice make_choice(struct mf_farm *farm, const struct mf_task *task,
                                    struct mf_avoid avoid, uint64_t mark, bool avoids_kept)
{
    return (struct mf_choice){
        .workers = &farm->workers,
        .task = task,
        .avoid = avoid.worker,
        .avoid_node = avoid.node,
        .avoids_kept = avoids_kept,
        .mark = mark,
        .home = farm->has_homes ? mf_homes_find(&farm->homes, task->spec.group) : MF_WORKER_NONE,
        .rng = &farm->rng,
        .cursor = &farm->last_chosen,
    };
}

/* A worker for a task, on a node that has not the mark of those that it has. */
static struct mf_worker *choose(struct mf_farm *farm, const struct mf_task *task,
                                struct mf_avoid avoid, uint64_t mark, bool avoids_kept)
{
    const struct mf_choice choice = make_choice(farm, task, avoid, mark, avoids_kept);
    struct mf_worker *worker = farm->config.placement->choose(&choice);

    assert(!worker || (worker->state == MF_WORKER_UP && mf_choice_allows(&choice, worker) &&
                       mf_worker_has_room(&farm->workers, worker, &task->spec.needs)));
    return worker;
}

/* Whether it takes one slot of its worker and nothing else there. */
static bool is_narrow(const struct mf_needs *needs)
{
    return needs->n_slots == 1 && needs->n_gpus == 0 && needs->mem_bytes == 0 &&
           needs->n_nodes <= 1;
}

enum verdict {
    PLACED,
    UNFIT,   /* no worker can ever run it: failed */
    PARKED,  /* it lacks a countable, or time, or workers that there were */
    ASIDE,   /* there is room, but not for it: it avoids that worker, is for another one, or there
                is a suspect as it is */
    STUCK,   /* nobody has room for it */
    AWAITED, /* nor for this one, for which a slot is about to be given up */
};

static enum verdict refuse(struct mf_farm *farm, struct mf_task *task)
{
    mf_farm_settle(farm, task, MF_TASK_FAILED, MF_CAUSE_UNFIT);
    mf_farm_halt_if_due(farm);
    /* What becomes READY by this is placed in this tick: nothing may happen that calls for more. */
    mf_farm_follow_ends(farm);
    return UNFIT;
}

static void place_on(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker)
{
    mf_farm_place(farm, task, worker);
    if (farm->reservation.is_standing)
        mf_farm_note_backfill(farm, task);
    if (farm->config.delay_ns > 0)
        farm->next_place_ns = later(farm->now_ns, farm->config.delay_ns);
}

static bool may_have(const struct mf_farm *farm, const struct mf_task *task,
                     const struct mf_worker *worker)
{
    return !farm->reservation.is_standing || mf_farm_may_backfill(farm, task, worker);
}

/*
 * A task that one worker alone may run does not hold up those behind it; but
 * one that needs much has its worker kept for it, as any other.
 */
static enum verdict place_on_target(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, task->spec.target);

    if (!worker || !mf_worker_may_be_target(worker) ||
        !mf_worker_could_run(worker, &task->spec.needs))
        return refuse(farm, task);
    if (!mf_worker_has_room(&farm->workers, worker, &task->spec.needs) &&
        !(farm->preempts && mf_farm_make_room(farm, task, MF_AVOID_NOTHING)))
        return is_narrow(&task->spec.needs) ? ASIDE : STUCK;
    if (!may_have(farm, task, worker))
        return ASIDE;
    place_on(farm, task, worker);
    return PLACED;
}

/* A worker that has room, and is not kept for another task. */
static struct mf_worker *choose_next(struct mf_farm *farm, const struct mf_task *task,
                                     struct mf_avoid avoid, uint64_t mark)
{
    struct mf_worker *worker = choose(farm, task, avoid, mark, false);

    if (!worker || may_have(farm, task, worker))
        return worker;
    return choose(farm, task, avoid, mark, true);
}

struct count {
    struct mf_workers *workers;
    uint64_t mark;
    uint32_t n;
};

static void count_node(struct mf_worker *worker, void *data)
{
    struct count *count = data;

    count->n += !mf_workers_is_marked(count->workers, worker, count->mark);
    mf_workers_mark(count->workers, worker)->number = count->mark;
}

/* Whether enough nodes have room now: where they do not, it is not tried with each of them, tick by
 * tick. */
static bool have_room(struct mf_farm *farm, const struct mf_task *task, struct mf_avoid avoid)
{
    const struct mf_choice choice = make_choice(farm, task, avoid, 0, false);
    struct count count = {&farm->workers, mf_workers_new_mark(&farm->workers), 0};

    mf_choice_visit(&choice, count_node, &count);
    return count.n >= mf_needs_n_nodes(&task->spec.needs);
}

/* One for each node that the task needs, in farm->taken if these are several; the first of them. */
static struct mf_worker *choose_allowed(struct mf_farm *farm, const struct mf_task *task,
                                        struct mf_avoid avoid)
{
    uint32_t n_parts = mf_task_n_parts(task);
    uint64_t mark;

    if (n_parts == 0)
        return choose_next(farm, task, avoid, 0);
    if (!have_room(farm, task, avoid))
        return NULL;
    mark = mf_workers_new_mark(&farm->workers);
    for (uint32_t i = 0; i <= n_parts; i++) {
        farm->taken[i] = choose_next(farm, task, avoid, mark);
        if (!farm->taken[i])
            return NULL;
        mf_workers_mark(&farm->workers, farm->taken[i])->number = mark;
    }
    return farm->taken[0];
}

/* Whether a task for which only the worker that it avoids has room may wait on. */
static bool may_be_overtaken(const struct mf_farm *farm, struct mf_task *task)
{
    if (!task->is_overtaken) {
        task->is_overtaken = true;
        task->overtaken_from = (uint32_t)farm->n_placed;
    }
    return (uint32_t)farm->n_placed - task->overtaken_from < MAX_OVERTAKEN;
}

/* Where all that it keeps off count, but for the node; else any worker that has room. */
static struct mf_worker *choose_second_best(struct mf_farm *farm, const struct mf_task *task,
                                            struct mf_avoid avoid)
{
    const struct mf_avoid worker_only = {avoid.worker, MF_NODE_UNKNOWN};
    struct mf_worker *worker = NULL;

    if (avoid.node != MF_NODE_UNKNOWN)
        worker = choose_allowed(farm, task, worker_only);
    return worker ? worker : choose_allowed(farm, task, MF_AVOID_NOTHING);
}

/* Whether there are as many nodes as a task needs, now or when some leave the quarantine. */
static bool has_nodes(struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_needs *needs = &task->spec.needs;

    if (needs->n_nodes <= 1)
        return mf_workers_n_able(&farm->workers, needs) > 0;
    if (mf_workers_have_nodes(&farm->workers, needs, MF_NODE_UNKNOWN, false))
        return true;
    if (!mf_workers_have_nodes(&farm->workers, needs, MF_NODE_UNKNOWN, true))
        return false;
    mf_farm_let_out_for(farm, task);
    return true;
}

/* Whether a suspect lacks nothing but a worker without one. */
static bool is_kept_apart(struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_task other;

    if (!task->spec.needs.is_suspect)
        return false;
    other = *task;
    other.spec.needs.is_suspect = false;
    return choose_allowed(farm, &other, MF_AVOID_NOTHING);
}

/* Does what can be done now for the task that is first in order. */
static enum verdict place_one(struct mf_farm *farm, struct mf_task *task)
{
    struct mf_avoid avoid = mf_farm_to_avoid(farm, task);
    struct mf_worker *worker;

    if (!mf_farm_has_countables(farm, &task->spec.needs))
        return refuse(farm, task);
    if (mf_farm_put_late_if_so(farm, task) || mf_farm_park_if_lacking(farm, task))
        return PARKED;
    if (task->spec.has_target)
        return place_on_target(farm, task);
    if (!has_nodes(farm, task))
        return mf_farm_strand_if_so(farm, task) ? PARKED : refuse(farm, task);
    if (mf_task_n_parts(task) > 0 && !mf_span_prepare(farm, task))
        return STUCK;
    worker = choose_allowed(farm, task, avoid);
    if (!worker && !mf_avoid_is_nothing(avoid)) {
        worker = choose_second_best(farm, task, avoid);
        if (worker && may_be_overtaken(farm, task))
            return ASIDE;
    }
    if (!worker && farm->preempts)
        worker = mf_farm_make_room(farm, task, avoid);
    if (!worker && is_kept_apart(farm, task))
        return ASIDE;
    if (!worker)
        return farm->preempts && mf_farm_awaits_slots(farm, task) ? AWAITED : STUCK;
    farm->last_chosen = worker->id;
    place_on(farm, task, worker);
    return PLACED;
}

static bool may_place(const struct mf_farm *farm)
{
    return farm->stop == MF_STOP_NONE && farm->workers.n_up > 0 &&
           farm->now_ns >= farm->next_place_ns;
}

/*
 * Whether anything behind a task that fits nowhere could fit. If so, and it is
 * the first such one, a worker is kept for it.
 */
static bool may_go_on_behind(struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_worker *least_loaded = mf_heap_top(&farm->workers.by_load);
    const struct mf_needs *needs = &task->spec.needs;

    if (mf_worker_is_full(&farm->workers, least_loaded))
        return false;
    if (farm->reservation.is_standing)
        return true;
    /* Where one slot is not to be had, nothing is. */
    if (is_narrow(needs))
        return false;
    mf_farm_reserve(farm, task);
    return true;
}

/*
 * Whether slots would be taken for one like this task with as little memory as any of its class.
 * Run times need no look: what may take slots comes before what may not, and this one may not.
 */
static bool could_make_room_for_less(struct mf_farm *farm, const struct mf_task *task,
                                     const struct mf_task *least)
{
    struct mf_avoid avoid = task->spec.has_target ? MF_AVOID_NOTHING : mf_farm_to_avoid(farm, task);
    struct mf_task other = *task;

    /* A worker that is kept for this task is not for the others. */
    other.id = 0;
    other.spec.needs = least->spec.needs;
    return farm->preempts && other.spec.needs.mem_bytes < task->spec.needs.mem_bytes &&
           mf_farm_could_make_room(farm, &other, avoid);
}

/* Whether one that needs no more than any of the class of a task fits nowhere either. */
static bool is_class_stuck(struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_avoid avoid = mf_farm_to_avoid(farm, task);
    const struct mf_worker *target;
    struct mf_task least;

    mf_aside_least(task, &least);
    if (least.spec.needs.mem_bytes == task->spec.needs.mem_bytes &&
        least.spec.estimate_ns == task->spec.estimate_ns)
        return true;
    if (could_make_room_for_less(farm, task, &least))
        return false;
    if (!task->spec.has_target)
        return !choose_allowed(farm, &least, avoid);
    target = mf_workers_find(&farm->workers, task->spec.target);
    return !mf_worker_has_room(&farm->workers, target, &least.spec.needs) ||
           !may_have(farm, &least, target);
}

/**
 * A pass over the READY tasks.
 *
 * @aside  n_aside tasks that stand aside until it is over
 * @n_put  tasks that were put aside with their class
 */
struct pass {
    struct mf_task *aside[MAX_ASIDE];
    uint32_t n_aside, n_put;
};

/* The first READY task alone, which says nothing of those of its class. */
static void set_aside_alone(struct mf_farm *farm, struct pass *pass, const struct mf_task *task)
{
    uint32_t class = mf_aside_find(farm, task);

    pass->aside[pass->n_aside++] = mf_heap_pop(&farm->ready);
    if (class != MF_ASIDE_NONE)
        mf_aside_take_next(farm, class);
}

/* The first READY task can go nowhere now. Those of its class neither, unless it is given. */
static void set_aside(struct mf_farm *farm, struct pass *pass, struct mf_task *task)
{
    uint32_t class = is_class_stuck(farm, task) ? mf_aside_add(farm, task) : MF_ASIDE_NONE;

    if (class != MF_ASIDE_NONE && mf_aside_put(farm, class, task)) {
        pass->n_put++;
        return;
    }
    set_aside_alone(farm, pass, task);
}

/* Does what can be done for the first READY task. Returns false if nothing behind it can go. */
static bool look_at(struct mf_farm *farm, struct pass *pass, struct mf_task *task)
{
    uint32_t class = mf_aside_find(farm, task);
    enum verdict verdict;

    if (class != MF_ASIDE_NONE && farm->asides[class].is_stuck && mf_aside_put(farm, class, task)) {
        pass->n_put++;
        return true;
    }
    verdict = place_one(farm, task);
    if (verdict == STUCK && !may_go_on_behind(farm, task))
        return false;
    if (verdict == ASIDE || verdict == STUCK)
        set_aside(farm, pass, task);
    else if (verdict == AWAITED)
        set_aside_alone(farm, pass, task);
    else if (class != MF_ASIDE_NONE)
        mf_aside_take_next(farm, class);
    return true;
}

/*
 * Places tasks in the order of the policy. Behind the first one that fits
 * nowhere, only what does not delay it.
 *
 * Returns whether all were looked at: none is left that could go anywhere.
 */
static bool place_ready(struct mf_farm *farm)
{
    struct pass pass;
    bool is_exhausted;

    /* Clearing all of it would take as long as the rest of most ticks. */
    pass.n_aside = pass.n_put = 0;
    mf_farm_unpark(farm, false);
    mf_farm_look_again(farm, false);
    /* It stands again once that task turns out to fit nowhere now. */
    farm->reservation.is_standing = false;
    farm->n_claimed = 0;
    if (farm->workers.n_quarantined > 0 && may_place(farm))
        mf_farm_probe(farm);
    while (may_place(farm) && pass.n_aside < MAX_ASIDE && pass.n_put < MAX_PUT) {
        struct mf_task *task = mf_heap_top(&farm->ready);

        if (task && farm->preempts && mf_farm_continue_next(farm, task))
            continue;
        if (!task || !look_at(farm, &pass, task))
            break;
    }
    is_exhausted = !mf_heap_top(&farm->ready);
    farm->has_more |= !is_exhausted && pass.n_put == MAX_PUT;
    while (pass.n_aside > 0)
        mf_farm_put_back(farm, pass.aside[--pass.n_aside]);
    return is_exhausted;
}

int64_t mf_farm_time_limit_ns(const struct mf_farm *farm)
{
    double limit = farm->config.timeout_factor * (double)mf_median_get(&farm->median);

    if (farm->config.timeout_factor == 0 ||
        farm->counts.by_state[MF_TASK_DONE] < MIN_DONE_FOR_LIMIT || limit >= 0x1p62)
        return INT64_MAX;
    return limit < 1 ? 1 : (int64_t)limit;
}

/* Those that run are in order of start, so that the first one is over its time first. */
static void end_overdue(struct mf_farm *farm)
{
    int64_t limit = mf_farm_time_limit_ns(farm);

    while (!mf_list_is_empty(&farm->running)) {
        struct mf_task *task = mf_container_of(farm->running.next, struct mf_task, running_node);

        if (mf_task_ran_ns(task, farm->now_ns) < limit)
            break;
        mf_farm_wish(farm, task, MF_WISH_END, MF_CAUSE_TIMEOUT);
    }
}

void mf_farm_tick(struct mf_farm *farm, const struct mf_event *event)
{
    if (event->turnaround_ns > 0)
        mf_average_add(&farm->turnaround, event->turnaround_ns);
    adapt_prefetch(farm);
    if (farm->rekey_ns > 0)
        mf_farm_reorder(farm);
    farm->has_more = false;
    /* Also while nothing is placed: else a delay that is over asks for one tick after the other. */
    mf_farm_end_delays(farm, false);
    if (farm->preempts)
        mf_farm_end_turns(farm, !event->is_paused && may_place(farm));
    if (!event->is_paused && place_ready(farm) && farm->stop == MF_STOP_NONE)
        mf_farm_recall_surplus(farm);
    if (farm->preempts)
        mf_farm_continue_rest(farm);
    end_overdue(farm);
}
