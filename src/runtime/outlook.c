/* A copy of what is known of the remaining work: see outlook.h. */
#include "runtime/outlook.h"

#include "base/table.h"

#include <errno.h>
#include <stdlib.h>

/* A task that is picked; @place is the worker that holds it, or that it has to go to. */
struct pick {
    const struct mf_task *task;
    mf_worker_id place;
};

/**
 * An outlook in the making.
 *
 * @picks    n of them, the first n_held of which workers hold
 * @numbers  ids of tasks to their places among the picks
 * @places   ids of workers to their places among those taken, or MF_WORKER_NONE
 * @step     every so manieth worker is taken
 * @n_looks  dependencies looked at
 */
struct making {
    const struct mf_farm *farm;
    int64_t now_ns;
    struct mf_outlook *outlook;
    struct pick picks[MF_OUTLOOK_TASKS];
    uint32_t n, n_held;
    struct mf_table *numbers;
    mf_worker_id *places;
    uint64_t step;
    uint64_t n_looks;
};

/* --- picking --- */

/* A task that is picked already, or one too many, is left out. */
static int pick(struct making *making, const struct mf_task *task, mf_worker_id place)
{
    void *number;
    int r;

    if (making->n == MF_OUTLOOK_TASKS) {
        making->outlook->is_part = true;
        return 0;
    }
    r = mf_table_insert(making->numbers, &task->id, &number);
    if (r != 0)
        return r < 0 ? r : 0;
    *(uint32_t *)number = making->n;
    making->picks[making->n++] = (struct pick){task, place};
    return 0;
}

static int pick_held(struct making *making, const struct mf_worker *worker, mf_worker_id place)
{
    int r = 0;

    mf_list_for_each (node, &worker->tasks) {
        if (r < 0 || making->n == MF_OUTLOOK_HELD)
            break;
        r = pick(making, mf_container_of(node, struct mf_task, node), place);
    }
    return r;
}

/* Workers next to each other that have the same are one group. */
static void add_worker(struct mf_outlook *outlook, const struct mf_worker *worker)
{
    struct mf_sim_group *last = outlook->n_groups ? &outlook->groups[outlook->n_groups - 1] : NULL;

    if (!last || last->has.n_slots != worker->n_slots || last->has.n_gpus != worker->n_gpus ||
        last->has.mem_bytes != worker->mem_bytes) {
        last = &outlook->groups[outlook->n_groups++];
        *last = (struct mf_sim_group){.has = {.n_slots = worker->n_slots,
                                              .n_gpus = worker->n_gpus,
                                              .mem_bytes = worker->mem_bytes}};
    }
    last->n_workers++;
}

static int pick_workers(struct making *making)
{
    const struct mf_workers *workers = mf_farm_workers(making->farm);
    uint64_t n_up = 0, n_taken = 0;
    int r = 0;

    making->step = (workers->n_slots_up + MF_OUTLOOK_SLOTS - 1) / MF_OUTLOOK_SLOTS;
    making->outlook->is_part = making->step > 1;
    for (uint32_t i = 0; i < workers->n_by_id && r == 0; i++) {
        const struct mf_worker *worker = workers->by_id[i];

        making->places[i] = MF_WORKER_NONE;
        if (!worker || worker->state != MF_WORKER_UP || n_up++ % making->step != 0)
            continue;
        making->places[i] = (mf_worker_id)n_taken++;
        add_worker(making->outlook, worker);
        r = pick_held(making, worker, making->places[i]);
    }
    making->n_held = making->n;
    return r;
}

static mf_worker_id target_of(const struct making *making, const struct mf_task *task)
{
    if (!task->spec.has_target || task->spec.target >= mf_farm_workers(making->farm)->n_by_id)
        return MF_WORKER_NONE;
    return making->places[task->spec.target];
}

static int pick_ready(struct making *making)
{
    uint64_t n_ready = mf_farm_n_ready(making->farm);
    uint64_t step = (n_ready + MF_OUTLOOK_READY - 1) / MF_OUTLOOK_READY;
    int r = 0;

    if (step < making->step)
        step = making->step;
    making->outlook->is_part |= step > 1;
    for (uint64_t i = 0; i < n_ready && r == 0; i += step) {
        const struct mf_task *task = mf_farm_ready_at(making->farm, i);

        r = pick(making, task, target_of(making, task));
    }
    return r;
}

/* What comes after a pick, and after that, as far as there is room. */
static int pick_waiting(struct making *making)
{
    const struct mf_dependency *after;
    int r = 0;

    for (uint32_t i = 0; i < making->n && r == 0; i++) {
        uint32_t n = mf_farm_successors(making->farm, making->picks[i].task->id, &after);

        for (uint32_t j = 0; j < n && r == 0 && making->n_looks < MF_OUTLOOK_AFTER; j++) {
            const struct mf_task *task = mf_farm_find(making->farm, after[j].task);

            making->n_looks++;
            if (task && task->state == MF_TASK_WAITING)
                r = pick(making, task, target_of(making, task));
        }
    }
    making->outlook->is_part |= making->n_looks == MF_OUTLOOK_AFTER;
    return r;
}

static int compare_picks(const void *a, const void *b)
{
    const struct pick *first = a, *second = b;

    return (first->task->id > second->task->id) - (first->task->id < second->task->id);
}

/* Simulated tasks have numbers of their own, in the same order: policies break ties by them. */
static void number_picks(struct making *making)
{
    qsort(making->picks + making->n_held, making->n - making->n_held, sizeof(making->picks[0]),
          compare_picks);
    for (uint32_t i = 0; i < making->n; i++)
        *(uint32_t *)mf_table_find(making->numbers, &making->picks[i].task->id) = i;
}

/* --- describing --- */

/* The run time left of a task. One that runs longer than it should is about to end. */
static int64_t time_left_ns(const struct making *making, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(making->farm, task);
    int64_t left_ns = estimate_ns;

    if (task->state == MF_TASK_RUNNING)
        left_ns -= making->now_ns - task->started_ns;
    return estimate_ns > 0 && left_ns < 1 ? 1 : left_ns;
}

/* On a clock that begins now; a deadline of 0 is none. */
static int64_t deadline_of(const struct making *making, const struct mf_task *task)
{
    if (task->spec.deadline_ns == 0 || task->spec.deadline_ns == making->now_ns)
        return task->spec.deadline_ns == 0 ? 0 : -1;
    return task->spec.deadline_ns - making->now_ns;
}

static void note_differences(struct mf_outlook *outlook, const struct mf_task_spec *spec)
{
    outlook->has_priority |= spec->priority != 0;
    outlook->has_weight |= spec->weight > 0 && spec->weight != 1;
    outlook->has_deadline |= spec->deadline_ns != 0;
    outlook->has_ways |= spec->upward_ns > spec->estimate_ns;
}

/* What workers hold is there first, so that it is placed where it is before anything else. */
static struct mf_sim_task describe(const struct making *making, uint32_t i)
{
    const struct pick *picked = &making->picks[i];
    struct mf_sim_task task = {.spec = picked->task->spec, .arrival_ns = i >= making->n_held};

    note_differences(making->outlook, &picked->task->spec);
    task.duration_ns = time_left_ns(making, picked->task);
    task.spec.estimate_ns = task.duration_ns;
    task.spec.deadline_ns = deadline_of(making, picked->task);
    task.spec.kind = 0;
    task.spec.max_attempts = 1;
    task.spec.has_avoid = false;
    task.spec.has_target = picked->place != MF_WORKER_NONE;
    /* Where the rest of it is does not matter for the order of the others. */
    if (task.spec.has_target)
        task.spec.needs.n_nodes = 0;
    task.spec.target = picked->place;
    return task;
}

/* Tasks of which nothing is known take as long as the others do on average. */
static void guess_unknown(struct mf_outlook *outlook)
{
    double sum = 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < outlook->n_tasks; i++) {
        sum += (double)outlook->tasks[i].duration_ns;
        n += outlook->tasks[i].duration_ns > 0;
    }
    outlook->is_known = n > 0;
    for (uint32_t i = 0; i < outlook->n_tasks && n > 0; i++)
        if (outlook->tasks[i].duration_ns == 0)
            outlook->tasks[i].duration_ns = (int64_t)(sum / n);
}

/* --- dependencies --- */

typedef void (*visit_fn)(struct mf_sim_task *task, const struct mf_dependency *after);

static void count_one(struct mf_sim_task *task, const struct mf_dependency *after)
{
    task->n_after++;
}

/* The room for it was counted; n_after counts again. */
static void put_one(struct mf_sim_task *task, const struct mf_dependency *after)
{
    ((struct mf_dependency *)task->after)[task->n_after++] = *after;
}

/* Visits every dependency between picks, in order of those that others come after. */
static void visit_dependencies(const struct making *making, visit_fn visit)
{
    const struct mf_dependency *after;
    uint64_t n_looks = 0;

    for (uint32_t i = 0; i < making->n; i++) {
        uint32_t n = mf_farm_successors(making->farm, making->picks[i].task->id, &after);

        for (uint32_t j = 0; j < n && n_looks < MF_OUTLOOK_AFTER; j++, n_looks++) {
            const uint32_t *number = mf_table_find(making->numbers, &after[j].task);

            if (number)
                visit(&making->outlook->tasks[*number],
                      &(struct mf_dependency){i + 1, after[j].condition});
        }
    }
}

static int describe_dependencies(struct making *making)
{
    struct mf_outlook *outlook = making->outlook;
    struct mf_dependency *next;

    outlook->after = calloc(MF_OUTLOOK_AFTER, sizeof(*outlook->after));
    if (!outlook->after)
        return -ENOMEM;
    visit_dependencies(making, count_one);
    next = outlook->after;
    for (uint32_t i = 0; i < outlook->n_tasks; i++) {
        outlook->tasks[i].after = next;
        next += outlook->tasks[i].n_after;
        outlook->tasks[i].n_after = 0;
    }
    visit_dependencies(making, put_one);
    return 0;
}

/* --- all of it --- */

static int make(struct making *making)
{
    struct mf_outlook *outlook = making->outlook;
    int r = pick_workers(making);

    if (r == 0)
        r = pick_ready(making);
    if (r == 0)
        r = pick_waiting(making);
    if (r < 0)
        return r;
    number_picks(making);
    outlook->tasks = calloc(making->n ? making->n : 1, sizeof(*outlook->tasks));
    if (!outlook->tasks)
        return -ENOMEM;
    outlook->n_tasks = making->n;
    for (uint32_t i = 0; i < making->n; i++)
        outlook->tasks[i] = describe(making, i);
    guess_unknown(outlook);
    return making->n_looks > 0 ? describe_dependencies(making) : 0;
}

int mf_outlook_take(const struct mf_farm *farm, int64_t now_ns, struct mf_outlook *ret_outlook)
{
    uint32_t n_by_id = mf_farm_workers(farm)->n_by_id;
    struct making *making = calloc(1, sizeof(*making));
    int r = making ? 0 : -ENOMEM;

    *ret_outlook = (struct mf_outlook){0};
    if (r == 0)
        r = mf_table_create(sizeof(mf_task_id), sizeof(uint32_t), &making->numbers);
    if (r == 0) {
        making->farm = farm;
        making->now_ns = now_ns;
        making->outlook = ret_outlook;
        making->places = calloc(n_by_id ? n_by_id : 1, sizeof(*making->places));
        ret_outlook->groups = calloc(MF_OUTLOOK_SLOTS, sizeof(*ret_outlook->groups));
        r = making->places && ret_outlook->groups ? make(making) : -ENOMEM;
    }
    if (r < 0)
        mf_outlook_finish(ret_outlook);
    if (making) {
        mf_table_destroy(making->numbers);
        free(making->places);
    }
    free(making);
    return r;
}

void mf_outlook_finish(struct mf_outlook *outlook)
{
    free(outlook->tasks);
    free(outlook->after);
    free(outlook->groups);
    *outlook = (struct mf_outlook){0};
}
