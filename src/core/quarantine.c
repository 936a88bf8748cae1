/*
 * Workers and nodes that spoil what they get. One is suspected, with a limit of n, when
 *
 *   - n more attempts failed there, of tasks that were then done elsewhere, than
 *     succeeded there; or
 *   - 2n attempts, and as many more as there are slots, failed there one after the other, while
 *     others did well: they had more successes than failures since, or have tasks that have been
 *     running ten times as long as any of those failures took.
 *
 * A task that fails everywhere therefore puts nobody in quarantine. There the worker gets nothing
 * new but tasks that it alone may run; after a quarter of a minute it is given one task as a probe,
 * any that fits there, which is not charged for it. If that is done it is UP again, else it stays
 * twice as long. At most half of the workers are in quarantine at a time, and none without which
 * some task could not be run.
 */
#include "core/farm_private.h"

#define FIRST_PROBE_NS (INT64_C(15) * 1000000000)
#define MAX_DOUBLINGS 6

/* A task elsewhere is at work when it runs so many times as long as what fails here. */
#define LASTING_FACTOR 10

/* RUNNING tasks looked at to see whether others are at work. */
#define MAX_LOOKS 256

/* READY tasks looked at in one tick for one that can be a probe; and the wait before all are looked
 * at again, where there are more than that. */
#define MAX_PROBE_LOOKS 1024
#define LOOK_AGAIN_NS INT64_C(1000000000)

/* --- suspicions --- */

static void note_success(struct mf_suspicion *suspicion)
{
    suspicion->n_elsewhere -= suspicion->n_elsewhere > 0;
    suspicion->n_failed = 0;
}

static void note_failure(const struct mf_farm *farm, struct mf_suspicion *suspicion,
                         int64_t duration_ns)
{
    if (suspicion->n_failed++ == 0) {
        suspicion->began_ns = farm->now_ns;
        suspicion->longest_ns = 0;
        suspicion->n_done_before = farm->n_attempts_done;
        suspicion->n_failed_before = farm->n_attempts_failed - 1;
    }
    if (duration_ns > suspicion->longest_ns)
        suspicion->longest_ns = duration_ns;
}

/* A worker alone, or its whole node. */
struct place {
    struct mf_worker *worker;
    bool is_node;
};

static struct mf_worker_node *node_of(struct mf_farm *farm, struct place place)
{
    return &farm->workers.nodes[place.worker->node];
}

static struct mf_suspicion *suspicion_of(struct mf_farm *farm, struct place place)
{
    return place.is_node ? &node_of(farm, place)->suspicion : &place.worker->suspicion;
}

static bool is_in(struct place place, const struct mf_worker *worker)
{
    return place.is_node ? worker->node == place.worker->node : worker == place.worker;
}

/* Slots of those in it that are UP. */
static uint64_t count_slots(struct mf_farm *farm, struct place place, uint32_t *ret_n_up)
{
    uint64_t n_slots = 0;

    *ret_n_up = 0;
    for (struct mf_worker *worker = node_of(farm, place)->first; worker;
         worker = worker->next_on_node) {
        if (worker->state != MF_WORKER_UP || !is_in(place, worker))
            continue;
        n_slots += worker->n_slots;
        ++*ret_n_up;
    }
    return n_slots;
}

/* Tasks elsewhere that have run for much longer than what failed here. */
static uint64_t count_lasting(struct mf_farm *farm, struct place place, uint64_t most)
{
    int64_t longest_ns = suspicion_of(farm, place)->longest_ns;
    uint64_t n = 0, n_looks = 0;

    mf_list_for_each (node, &farm->running) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, running_node);

        if (n == most || n_looks++ == MAX_LOOKS ||
            mf_task_ran_ns(task, farm->now_ns) / LASTING_FACTOR <= longest_ns)
            break;
        n += !is_in(place, mf_workers_find(&farm->workers, task->worker));
    }
    return n;
}

/* Whether all fails here, and elsewhere it does not. */
static bool fails_alone(struct mf_farm *farm, struct place place)
{
    const struct mf_suspicion *suspicion = suspicion_of(farm, place);
    uint64_t limit = 2 * (uint64_t)farm->config.quarantine, n_done, n_failed;
    uint32_t n_up;

    if (suspicion->n_failed < limit ||
        suspicion->n_failed < limit + count_slots(farm, place, &n_up))
        return false;
    n_done = farm->n_attempts_done - suspicion->n_done_before;
    n_failed = farm->n_attempts_failed - suspicion->n_failed_before - suspicion->n_failed;
    if (n_done > n_failed && n_done >= farm->config.quarantine)
        return true;
    return n_done >= n_failed && count_lasting(farm, place, limit) > n_failed;
}

/* --- in and out --- */

static bool is_as_large(const struct mf_worker *worker, const struct mf_worker *other)
{
    const struct mf_needs all = {
        .n_slots = other->n_slots, .n_gpus = other->n_gpus, .mem_bytes = other->mem_bytes};

    return mf_worker_could_run(worker, &all);
}

/* Whether one outside of the place that is UP can run all that this worker can. */
static bool has_substitute(const struct mf_farm *farm, struct place place,
                           const struct mf_worker *worker)
{
    const struct mf_heap *by_load = &farm->workers.by_load;

    for (uint32_t i = 0; i < by_load->n_items; i++)
        if (!is_in(place, by_load->items[i]) && is_as_large(by_load->items[i], worker))
            return true;
    return false;
}

static bool is_dispensable(struct mf_farm *farm, struct place place)
{
    const struct mf_workers *workers = &farm->workers;
    uint32_t n_up;

    count_slots(farm, place, &n_up);
    if (n_up == 0 || workers->n_quarantined + n_up > workers->n_up - n_up)
        return false;
    for (const struct mf_worker *worker = node_of(farm, place)->first; worker;
         worker = worker->next_on_node)
        if (worker->state == MF_WORKER_UP && is_in(place, worker) &&
            !has_substitute(farm, place, worker))
            return false;
    return true;
}

/* When it is tried again: each time after twice as long. */
static void plan_probe(const struct mf_farm *farm, struct mf_worker *worker)
{
    uint32_t n = worker->n_quarantines < MAX_DOUBLINGS ? worker->n_quarantines : MAX_DOUBLINGS;
    int64_t after_ns = FIRST_PROBE_NS << n;

    worker->n_quarantines++;
    worker->probe_ns = farm->now_ns > INT64_MAX - after_ns ? INT64_MAX : farm->now_ns + after_ns;
}

static void let_in(struct mf_farm *farm, struct place place)
{
    for (struct mf_worker *worker = node_of(farm, place)->first; worker;
         worker = worker->next_on_node) {
        if (worker->state != MF_WORKER_UP || !is_in(place, worker))
            continue;
        plan_probe(farm, worker);
        mf_workers_move(&farm->workers, worker, MF_WORKER_QUARANTINED);
        mf_farm_recall_all(farm, worker);
        farm->counts.quarantined++;
    }
}

/* What runs there as a probe finds out nothing more: it is a task as any other. */
static void forget_probes(struct mf_worker *worker)
{
    mf_list_for_each (node, &worker->tasks)
        mf_container_of(node, struct mf_task, node)->is_probe = false;
}

static void let_out(struct mf_farm *farm, struct mf_worker *worker)
{
    forget_probes(worker);
    worker->suspicion = (struct mf_suspicion){0};
    farm->workers.nodes[worker->node].suspicion = (struct mf_suspicion){0};
    mf_workers_move(&farm->workers, worker, MF_WORKER_UP);
    farm->counts.quarantined++;
}

void mf_farm_call_back(struct mf_farm *farm, struct mf_worker *worker)
{
    forget_probes(worker);
    mf_workers_move(&farm->workers, worker, MF_WORKER_UP);
}

void mf_farm_quarantine_again(struct mf_farm *farm, struct mf_worker *worker)
{
    if (!worker->was_quarantined)
        return;
    worker->was_quarantined = false;
    if (is_dispensable(farm, (struct place){worker, false}))
        mf_workers_move(&farm->workers, worker, MF_WORKER_QUARANTINED);
    farm->counts.quarantined++;
}

void mf_farm_let_out_needed(struct mf_farm *farm)
{
    struct mf_workers *workers = &farm->workers;

    mf_list_for_each_safe (node, &workers->quarantined) {
        struct mf_worker *worker = mf_container_of(node, struct mf_worker, quarantine_node);

        if (workers->n_quarantined > workers->n_up ||
            !has_substitute(farm, (struct place){worker, false}, worker))
            let_out(farm, worker);
    }
}

void mf_farm_let_out_for(struct mf_farm *farm, const struct mf_task *task)
{
    mf_list_for_each_safe (node, &farm->workers.quarantined) {
        struct mf_worker *worker = mf_container_of(node, struct mf_worker, quarantine_node);

        if (mf_worker_could_run(worker, &task->spec.needs))
            let_out(farm, worker);
    }
}

static void suspect(struct mf_farm *farm, struct place place)
{
    bool is_due = suspicion_of(farm, place)->n_elsewhere >= farm->config.quarantine ||
                  fails_alone(farm, place);

    if (farm->config.quarantine > 0 && is_due && is_dispensable(farm, place))
        let_in(farm, place);
}

/* --- what an attempt says --- */

/* The worker where the attempt before failed, if it is another one. */
static void blame_last(struct mf_farm *farm, const struct mf_task *task,
                       const struct mf_worker *worker)
{
    struct mf_worker *last = mf_workers_find(&farm->workers, task->avoid);
    bool has_failed = false;

    for (int i = 0; i < MF_N_BUDGETS; i++)
        has_failed |= task->failed[i] > 0;
    if (!has_failed || !last || last == worker)
        return;
    last->suspicion.n_elsewhere++;
    suspect(farm, (struct place){last, false});
    if (last->node == MF_NODE_UNKNOWN || last->node == worker->node)
        return;
    farm->workers.nodes[last->node].suspicion.n_elsewhere++;
    suspect(farm, (struct place){last, true});
}

static void judge_probe(struct mf_farm *farm, struct mf_worker *worker, bool has_failed)
{
    if (worker->state != MF_WORKER_QUARANTINED)
        return;
    if (has_failed)
        plan_probe(farm, worker);
    else
        let_out(farm, worker);
}

void mf_farm_judge(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker,
                   bool has_failed, int64_t duration_ns)
{
    struct mf_worker_node *node = &farm->workers.nodes[worker->node];

    if (farm->config.quarantine == 0)
        return;
    farm->n_attempts_done += !has_failed;
    farm->n_attempts_failed += has_failed;
    if (task->is_probe)
        judge_probe(farm, worker, has_failed);
    if (has_failed) {
        note_failure(farm, &worker->suspicion, duration_ns);
        note_failure(farm, &node->suspicion, duration_ns);
        suspect(farm, (struct place){worker, false});
        if (worker->node != MF_NODE_UNKNOWN)
            suspect(farm, (struct place){worker, true});
    } else {
        note_success(&worker->suspicion);
        note_success(&node->suspicion);
        blame_last(farm, task, worker);
    }
}

/* --- probes --- */

/* A task that has not failed before, and needs nothing that is not here. */
static bool can_be_probe(const struct mf_task *task, const struct mf_worker *worker)
{
    if (task->tries > 0 || task->spec.has_target || task->spec.is_long ||
        task->avoid == worker->id || mf_task_n_parts(task) > 0 ||
        !mf_worker_could_run(worker, &task->spec.needs))
        return false;
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (task->spec.needs.countables[i] > 0)
            return false;
    return true;
}

/*
 * Looks at some of the READY tasks, from where it was left: the first ones come first, the rest in
 * no order. One that is late is taken out by being asked about, and another is in its place then.
 */
static struct mf_task *find_probe(struct mf_farm *farm, struct mf_worker *worker)
{
    const struct mf_heap *ready = &farm->ready;

    for (int i = 0; i < MAX_PROBE_LOOKS && worker->n_looked < ready->n_items; i++) {
        struct mf_task *task = ready->items[worker->n_looked];

        if (!can_be_probe(task, worker))
            worker->n_looked++;
        else if (!mf_farm_put_late_if_so(farm, task))
            return task;
    }
    return NULL;
}

/* Nothing fits so far: the rest is looked at in further ticks, and all of it again later. */
static void look_on(struct mf_farm *farm, struct mf_worker *worker)
{
    if (worker->n_looked < farm->ready.n_items) {
        farm->has_more = true;
        return;
    }
    if (worker->n_looked > MAX_PROBE_LOOKS)
        worker->probe_ns = farm->now_ns + LOOK_AGAIN_NS;
    worker->n_looked = 0;
}

void mf_farm_probe(struct mf_farm *farm)
{
    mf_list_for_each_safe (node, &farm->workers.quarantined) {
        struct mf_worker *worker = mf_container_of(node, struct mf_worker, quarantine_node);
        struct mf_task *task;

        if (worker->probe_ns > farm->now_ns || !mf_worker_is_empty(worker))
            continue;
        task = find_probe(farm, worker);
        if (!task) {
            look_on(farm, worker);
            continue;
        }
        worker->n_looked = 0;
        mf_farm_place(farm, task, worker);
        task->is_probe = true;
    }
}

int64_t mf_farm_next_probe_ns(const struct mf_farm *farm)
{
    int64_t next_ns = INT64_MAX;

    if (farm->workers.n_quarantined == 0 || !mf_heap_top(&farm->ready))
        return INT64_MAX;
    mf_list_for_each (node, &farm->workers.quarantined) {
        const struct mf_worker *worker = mf_container_of(node, struct mf_worker, quarantine_node);

        /* Past ones wait for a task that is fit, which comes with an event. */
        if (worker->probe_ns > farm->now_ns && worker->probe_ns < next_ns)
            next_ns = worker->probe_ns;
    }
    return next_ns;
}
