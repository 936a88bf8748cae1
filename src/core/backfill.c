/*
 * EASY backfilling: the first task in order that fits nowhere reserves a
 * worker, or one on each node that it needs, and tasks behind it are placed there
 * only if that does not make it start later. So large tasks are not starved by
 * small ones, and the slots that gather for them do not idle more than they must.
 *
 * D. Lifka, "The ANL/IBM SP scheduling system", 1995. As there, only the first
 * task that waits has a reservation.
 */
#include "core/farm_private.h"

#include <stdlib.h>

/* Workers among which one is chosen to be reserved: the least loaded ones, more or less. */
#define MAX_CANDIDATES 64

/* When a task that a worker holds gives back what it has: its slots only if it has any. */
struct mf_release {
    int64_t at_ns;
    const struct mf_needs *needs;
    bool has_slots;
};

/* A worker that could have a task, or a part of one, and when; in their order of load. */
struct mf_candidate {
    struct mf_worker *worker;
    int64_t at_ns;
    uint32_t number;
};

static int compare_candidates(const void *a, const void *b)
{
    const struct mf_candidate *first = a, *second = b;

    if (first->at_ns != second->at_ns)
        return first->at_ns < second->at_ns ? -1 : 1;
    return (first->number > second->number) - (first->number < second->number);
}

static int compare_releases(const void *a, const void *b)
{
    const struct mf_release *first = a, *second = b;

    return (first->at_ns > second->at_ns) - (first->at_ns < second->at_ns);
}

/* When a task should end; never, if nobody knows, as of one that waits to go on. */
static int64_t expected_end_ns(const struct mf_farm *farm, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(farm, task);
    int64_t end_ns;

    /* From its placement: short tasks end before anybody hears that they have started. */
    if (estimate_ns == 0 || mf_task_is_in_line(task) ||
        __builtin_add_overflow(task->started_ns - task->ran_ns, estimate_ns, &end_ns))
        return INT64_MAX;
    /* One that is over its time may end any moment. */
    return end_ns > farm->now_ns ? end_ns : farm->now_ns + 1;
}

/* The releases of a worker in order of time. Returns false when there is no memory for them. */
static bool list_releases(struct mf_farm *farm, const struct mf_worker *worker)
{
    uint32_t n = 0, n_all = worker->n_tasks + worker->n_parts;

    if (n_all > farm->releases_capacity) {
        struct mf_release *grown = reallocarray(farm->releases, n_all, sizeof(*farm->releases));

        if (!grown)
            return false;
        farm->releases = grown;
        farm->releases_capacity = n_all;
    }
    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        farm->releases[n++] =
            (struct mf_release){expected_end_ns(farm, task), &task->spec.needs, task->has_slots};
    }
    mf_list_for_each (node, &worker->parts) {
        const struct mf_task *task = mf_container_of(node, struct mf_span_part, node)->task;

        farm->releases[n++] =
            (struct mf_release){expected_end_ns(farm, task), &task->spec.needs, true};
    }
    if (n > 0)
        qsort(farm->releases, n, sizeof(*farm->releases), compare_releases);
    return true;
}

/* What a worker has free, counting no slot that a prefetched task is to get; a suspect, if it has
 * none. */
static struct mf_needs free_of(const struct mf_worker *worker)
{
    return (struct mf_needs){
        .n_slots =
            worker->n_committed < worker->n_slots ? worker->n_slots - worker->n_committed : 0,
        .n_gpus = worker->n_free_gpus,
        .mem_bytes = worker->free_mem_bytes,
        .is_suspect = !worker->has_suspect,
    };
}

static bool fits(const struct mf_needs *needs, const struct mf_needs *free)
{
    return needs->n_slots <= free->n_slots && needs->n_gpus <= free->n_gpus &&
           needs->mem_bytes <= free->mem_bytes && (!needs->is_suspect || free->is_suspect);
}

/*
 * When a worker could begin a task, if it began no other one; and what it then
 * has left. Slots count as given back only beyond those that are owed to
 * prefetched tasks.
 */
static int64_t find_shadow(struct mf_farm *farm, const struct mf_worker *worker,
                           const struct mf_needs *needs, struct mf_needs *ret_spare)
{
    struct mf_needs free = free_of(worker);
    uint32_t n_owed = mf_worker_surplus(worker);
    int64_t at_ns = farm->now_ns;

    if (!list_releases(farm, worker))
        return INT64_MAX;
    for (uint32_t i = 0; !fits(needs, &free) && i < worker->n_tasks + worker->n_parts; i++) {
        const struct mf_needs *back = farm->releases[i].needs;
        uint32_t n_slots = farm->releases[i].has_slots ? back->n_slots : 0;
        uint32_t n_paid = n_slots < n_owed ? n_slots : n_owed;

        n_owed -= n_paid;
        free.n_slots += n_slots - n_paid;
        free.n_gpus += back->n_gpus;
        free.mem_bytes += back->mem_bytes;
        free.is_suspect |= back->is_suspect;
        at_ns = farm->releases[i].at_ns;
    }
    *ret_spare = (struct mf_needs){0};
    if (!fits(needs, &free))
        return INT64_MAX;
    ret_spare->n_slots = free.n_slots - needs->n_slots;
    ret_spare->n_gpus = free.n_gpus - needs->n_gpus;
    ret_spare->mem_bytes = free.mem_bytes - needs->mem_bytes;
    ret_spare->is_suspect = free.is_suspect && !needs->is_suspect;
    return at_ns;
}

static bool may_reserve(const struct mf_farm *farm, const struct mf_worker *worker,
                        const struct mf_task *task)
{
    return worker && worker->state == MF_WORKER_UP &&
           mf_worker_could_run(worker, &task->spec.needs) &&
           (task->spec.has_target ? worker->id == task->spec.target
                                  : mf_avoid_allows(mf_farm_to_avoid(farm, task), worker));
}

static bool has_memory_for(struct mf_farm *farm, uint32_t n_candidates)
{
    struct mf_candidate *grown;

    if (n_candidates <= farm->candidates_capacity)
        return true;
    grown = reallocarray(farm->candidates, n_candidates, sizeof(*grown));
    if (!grown)
        return false;
    farm->candidates = grown;
    farm->candidates_capacity = n_candidates;
    return true;
}

/* Adds one, or puts it in the place of another one of its node that is worse: for a task that needs
 * several, which has a mark, only one of each node counts. Returns how many there are then. */
static uint32_t add_candidate(struct mf_farm *farm, uint32_t n, uint64_t mark,
                              struct mf_candidate candidate)
{
    if (mark > 0) {
        struct mf_worker_mark *on_node = mf_workers_mark(&farm->workers, candidate.worker);

        if (on_node->number == mark) {
            candidate.number = on_node->at;
            if (candidate.at_ns < farm->candidates[on_node->at].at_ns)
                farm->candidates[on_node->at] = candidate;
            return n;
        }
        *on_node = (struct mf_worker_mark){mark, n};
    }
    candidate.number = n;
    farm->candidates[n] = candidate;
    return n + 1;
}

/*
 * The workers that could begin the task first, among some: farm->candidates begins with as many as
 * it needs. Returns when they could, INT64_MAX if nobody knows, or -1 if there are not as many.
 * O(workers) where few are able.
 */
static int64_t choose_workers(struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_heap *by_load = &farm->workers.by_load;
    uint32_t n_nodes = mf_needs_n_nodes(&task->spec.needs), n = 0;
    uint32_t most = n_nodes > MAX_CANDIDATES ? n_nodes : MAX_CANDIDATES;
    uint64_t mark = n_nodes > 1 ? mf_workers_new_mark(&farm->workers) : 0;
    struct mf_needs spare;

    if (!has_memory_for(farm, most))
        return -1;
    for (uint32_t i = 0; i < by_load->n_items && n < most; i++) {
        struct mf_worker *worker = by_load->items[i];

        if (task->spec.has_target)
            worker = mf_workers_find(&farm->workers, task->spec.target);
        else if (!may_reserve(farm, worker, task))
            continue;
        n = add_candidate(
            farm, n, mark,
            (struct mf_candidate){worker, find_shadow(farm, worker, &task->spec.needs, &spare), 0});
        if (task->spec.has_target)
            break;
    }
    if (n < n_nodes)
        return -1;
    qsort(farm->candidates, n, sizeof(*farm->candidates), compare_candidates);
    return farm->candidates[n_nodes - 1].at_ns;
}

/* When those could that are kept for it so far; INT64_MAX if nobody knows. */
static int64_t find_kept_shadow(struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_reservation *reservation = &farm->reservation;
    int64_t latest_ns = INT64_MIN;

    for (uint32_t i = 0; i < reservation->n_workers; i++) {
        struct mf_worker *worker = mf_workers_find(&farm->workers, reservation->workers[i]);
        int64_t at_ns = find_shadow(farm, worker, &task->spec.needs, &worker->spare);

        if (at_ns > latest_ns)
            latest_ns = at_ns;
    }
    return latest_ns;
}

/* Whether those that are kept are as many as a task needs, and for it, and may be so. */
static bool are_kept_for(const struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_reservation *reservation = &farm->reservation;

    if (reservation->task != task->id ||
        reservation->n_workers != mf_needs_n_nodes(&task->spec.needs))
        return false;
    for (uint32_t i = 0; i < reservation->n_workers; i++)
        if (!may_reserve(farm, mf_workers_find(&farm->workers, reservation->workers[i]), task))
            return false;
    return true;
}

static void let_go(struct mf_farm *farm)
{
    struct mf_reservation *reservation = &farm->reservation;

    for (uint32_t i = 0; i < reservation->n_workers; i++)
        mf_workers_find(&farm->workers, reservation->workers[i])->is_kept = false;
    reservation->n_workers = 0;
    reservation->shadow_ns = INT64_MAX;
}

/* Takes the first candidates in place of those that are kept. */
static void keep_others(struct mf_farm *farm, uint32_t n)
{
    struct mf_reservation *reservation = &farm->reservation;
    mf_worker_id *grown;

    let_go(farm);
    if (n > reservation->capacity) {
        grown = reallocarray(reservation->workers, n, sizeof(*grown));
        if (!grown)
            return;
        reservation->workers = grown;
        reservation->capacity = n;
    }
    for (uint32_t i = 0; i < n; i++)
        reservation->workers[i] = farm->candidates[i].worker->id;
    reservation->n_workers = n;
}

/* Keeps the workers from a time on, at the latest. */
static void keep(struct mf_farm *farm, const struct mf_task *task, int64_t latest_ns)
{
    struct mf_reservation *reservation = &farm->reservation;
    int64_t shadow_ns = find_kept_shadow(farm, task);

    reservation->shadow_ns = shadow_ns < latest_ns ? shadow_ns : latest_ns;
    for (uint32_t i = 0; i < reservation->n_workers; i++) {
        struct mf_worker *worker = mf_workers_find(&farm->workers, reservation->workers[i]);

        worker->is_kept = true;
        mf_farm_recall_behind(farm, worker, task);
    }
}

/*
 * What was promised holds: the workers stay the same, or none would ever run
 * empty, and what is placed there meanwhile does not put off the time. Only
 * where nothing could be promised, or the time has passed, are others
 * looked for.
 */
void mf_farm_reserve(struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_reservation *reservation = &farm->reservation;
    bool is_kept = are_kept_for(farm, task);
    int64_t latest_ns = reservation->shadow_ns, other_ns = -1;

    if (!is_kept || latest_ns == INT64_MAX || latest_ns <= farm->now_ns)
        other_ns = choose_workers(farm, task);
    if (!is_kept)
        let_go(farm);
    if (other_ns >= 0 && (!is_kept || other_ns < find_kept_shadow(farm, task))) {
        keep_others(farm, mf_needs_n_nodes(&task->spec.needs));
        latest_ns = INT64_MAX;
    }
    reservation->is_standing = true;
    reservation->task = task->id;
    if (reservation->n_workers > 0)
        keep(farm, task, latest_ns);
}

/* Whether a task should be over when the reserved workers are to begin their own. */
static bool ends_before_shadow(const struct mf_farm *farm, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(farm, task);

    return farm->reservation.shadow_ns < INT64_MAX && estimate_ns > 0 &&
           estimate_ns <= farm->reservation.shadow_ns - farm->now_ns;
}

bool mf_farm_may_backfill(const struct mf_farm *farm, const struct mf_task *task,
                          const struct mf_worker *worker)
{
    struct mf_needs free = free_of(worker);

    if (!mf_farm_is_kept_for_another(farm, worker, task))
        return true;
    if (!fits(&task->spec.needs, &free))
        return false;
    return fits(&task->spec.needs, &worker->spare) || ends_before_shadow(farm, task);
}

static void take_spare(struct mf_farm *farm, mf_worker_id id, const struct mf_needs *needs)
{
    struct mf_worker *worker = mf_workers_find(&farm->workers, id);

    if (!worker->is_kept)
        return;
    worker->spare.n_slots -= needs->n_slots;
    worker->spare.n_gpus -= needs->n_gpus;
    worker->spare.mem_bytes -= needs->mem_bytes;
    worker->spare.is_suspect &= !needs->is_suspect;
}

void mf_farm_note_backfill(struct mf_farm *farm, const struct mf_task *task)
{
    /* What is over before that time takes nothing of what is left then. */
    if (ends_before_shadow(farm, task))
        return;
    take_spare(farm, task->worker, &task->spec.needs);
    for (uint32_t i = 0; i < mf_task_n_parts(task); i++)
        take_spare(farm, task->parts[i].worker, &task->spec.needs);
}
