/*
 * EASY backfilling: the first task in order that fits nowhere reserves a
 * worker, and tasks behind it are placed there only if that does not make it
 * start later. So large tasks are not starved by small ones, and the slots
 * that gather for them do not idle more than they must.
 *
 * D. Lifka, "The ANL/IBM SP scheduling system", 1995. As there, only the first
 * task that waits has a reservation; here it is for one worker, since a task
 * does not span workers.
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
    uint32_t n = 0;

    if (worker->n_tasks > farm->releases_capacity) {
        struct mf_release *grown =
            reallocarray(farm->releases, worker->n_tasks, sizeof(*farm->releases));

        if (!grown)
            return false;
        farm->releases = grown;
        farm->releases_capacity = worker->n_tasks;
    }
    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);

        farm->releases[n++] =
            (struct mf_release){expected_end_ns(farm, task), &task->spec.needs, task->has_slots};
    }
    qsort(farm->releases, n, sizeof(*farm->releases), compare_releases);
    return true;
}

/* What a worker has free, counting no slot that a prefetched task is to get. */
static struct mf_needs free_of(const struct mf_worker *worker)
{
    return (struct mf_needs){
        .n_slots =
            worker->n_committed < worker->n_slots ? worker->n_slots - worker->n_committed : 0,
        .n_gpus = worker->n_free_gpus,
        .mem_bytes = worker->free_mem_bytes,
    };
}

static bool fits(const struct mf_needs *needs, const struct mf_needs *free)
{
    return needs->n_slots <= free->n_slots && needs->n_gpus <= free->n_gpus &&
           needs->mem_bytes <= free->mem_bytes;
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
    for (uint32_t i = 0; !fits(needs, &free) && i < worker->n_tasks; i++) {
        const struct mf_needs *back = farm->releases[i].needs;
        uint32_t n_slots = farm->releases[i].has_slots ? back->n_slots : 0;
        uint32_t n_paid = n_slots < n_owed ? n_slots : n_owed;

        n_owed -= n_paid;
        free.n_slots += n_slots - n_paid;
        free.n_gpus += back->n_gpus;
        free.mem_bytes += back->mem_bytes;
        at_ns = farm->releases[i].at_ns;
    }
    *ret_spare = (struct mf_needs){0};
    if (!fits(needs, &free))
        return INT64_MAX;
    ret_spare->n_slots = free.n_slots - needs->n_slots;
    ret_spare->n_gpus = free.n_gpus - needs->n_gpus;
    ret_spare->mem_bytes = free.mem_bytes - needs->mem_bytes;
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

/* The worker that could begin the task first, among some. O(workers) where few are able. */
static const struct mf_worker *choose_worker(struct mf_farm *farm, const struct mf_task *task)
{
    const struct mf_heap *by_load = &farm->workers.by_load;
    const struct mf_worker *best = NULL;
    int64_t best_ns = INT64_MAX;
    struct mf_needs spare;

    if (task->spec.has_target)
        return mf_workers_find(&farm->workers, task->spec.target);
    for (uint32_t i = 0, n = 0; i < by_load->n_items && n < MAX_CANDIDATES; i++) {
        const struct mf_worker *worker = by_load->items[i];
        int64_t at_ns;

        if (!may_reserve(farm, worker, task))
            continue;
        n++;
        at_ns = find_shadow(farm, worker, &task->spec.needs, &spare);
        if (!best || at_ns < best_ns) {
            best = worker;
            best_ns = at_ns;
        }
    }
    return best;
}

/* Keeps a worker from a time on, at the latest. */
static void keep(struct mf_farm *farm, const struct mf_task *task, const struct mf_worker *worker,
                 int64_t latest_ns)
{
    struct mf_reservation *reservation = &farm->reservation;
    int64_t shadow_ns = find_shadow(farm, worker, &task->spec.needs, &reservation->spare);

    reservation->worker = worker->id;
    reservation->shadow_ns = shadow_ns < latest_ns ? shadow_ns : latest_ns;
    mf_farm_recall_behind(farm, mf_workers_find(&farm->workers, worker->id), task);
}

/* Whether another worker could begin it earlier than the one that was kept for it so far. */
static bool is_other_earlier(struct mf_farm *farm, const struct mf_task *task,
                             const struct mf_worker *kept, const struct mf_worker *other)
{
    struct mf_needs spare;

    return other && find_shadow(farm, other, &task->spec.needs, &spare) <
                        find_shadow(farm, kept, &task->spec.needs, &spare);
}

/*
 * What was promised holds: the worker stays the same, or none would ever run
 * empty, and what is placed there meanwhile does not put off the time. Only
 * where nothing could be promised, or the time has passed, is another one
 * looked for.
 */
void mf_farm_reserve(struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_reservation *reservation = &farm->reservation;
    const struct mf_worker *kept = mf_workers_find(&farm->workers, reservation->worker);
    const struct mf_worker *other = NULL;
    int64_t latest_ns = reservation->shadow_ns;

    if (reservation->task != task->id || !may_reserve(farm, kept, task))
        kept = NULL;
    if (!kept || latest_ns == INT64_MAX || latest_ns <= farm->now_ns)
        other = choose_worker(farm, task);
    if (!kept || is_other_earlier(farm, task, kept, other)) {
        kept = other;
        latest_ns = INT64_MAX;
    }
    *reservation =
        (struct mf_reservation){.is_standing = true, .task = task->id, .worker = MF_WORKER_NONE};
    if (kept)
        keep(farm, task, kept, latest_ns);
}

/* Whether a task should be over when the reserved worker is to begin its own. */
static bool ends_before_shadow(const struct mf_farm *farm, const struct mf_task *task)
{
    int64_t estimate_ns = mf_farm_estimate_ns(farm, task);

    return farm->reservation.shadow_ns < INT64_MAX && estimate_ns > 0 &&
           estimate_ns <= farm->reservation.shadow_ns - farm->now_ns;
}

bool mf_farm_may_backfill(const struct mf_farm *farm, const struct mf_task *task,
                          const struct mf_worker *worker)
{
    const struct mf_reservation *reservation = &farm->reservation;
    struct mf_needs free = free_of(worker);

    if (worker->id != reservation->worker || task->id == reservation->task)
        return true;
    if (!fits(&task->spec.needs, &free))
        return false;
    return fits(&task->spec.needs, &reservation->spare) || ends_before_shadow(farm, task);
}

void mf_farm_note_backfill(struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_reservation *reservation = &farm->reservation;
    const struct mf_needs *needs = &task->spec.needs;

    /* What is over before that time takes nothing of what is left then. */
    if (task->worker != reservation->worker || ends_before_shadow(farm, task))
        return;
    reservation->spare.n_slots -= needs->n_slots;
    reservation->spare.n_gpus -= needs->n_gpus;
    reservation->spare.mem_bytes -= needs->mem_bytes;
}
