/*
 * The workers of a simulation: as runtime/worker.c, they start what they were
 * sent in the order received, and tell that an attempt runs once it has run a
 * while. A worker owns its jobs but for those that are gone.
 */
#include "runtime/sim_private.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

/* An attempt that ends sooner is told by its end alone, as in runtime/worker.c. */
#define TELL_STARTED_AFTER_NS INT64_C(20000000)

#define FIRST_CAPACITY 64

/* --- coming and going --- */

/* All slots are on the chain of the free ones. */
static int make_slots(struct mf_sim_worker *worker)
{
    worker->next_slot = malloc(worker->has.n_slots * sizeof(*worker->next_slot));
    if (!worker->next_slot)
        return -ENOMEM;
    for (uint32_t i = 0; i < worker->has.n_slots; i++)
        worker->next_slot[i] = i + 1;
    worker->n_free = worker->has.n_slots;
    return 0;
}

static int reserve_worker(struct mf_sim *sim)
{
    uint32_t capacity = sim->workers_capacity ? 2 * sim->workers_capacity : FIRST_CAPACITY;
    struct mf_sim_worker **workers;

    if (sim->n_workers < sim->workers_capacity)
        return 0;
    workers = reallocarray(sim->workers, capacity, sizeof(struct mf_sim_worker *));
    if (!workers)
        return -ENOMEM;
    sim->workers = workers;
    sim->workers_capacity = capacity;
    return 0;
}

/* Times between deaths are exponential: a worker does not age. */
static void plan_death(struct mf_sim *sim, struct mf_sim_worker *worker)
{
    double after_ns = -log(1 - mf_rng_unit(&sim->rng)) * (double)sim->config->mtbf_ns;

    if (after_ns < (double)(MF_SIM_LAST_NS - sim->now_ns))
        mf_sim_push(sim, sim->now_ns + (int64_t)after_ns, MF_SIM_DEATH, worker);
}

int mf_sim_worker_add(struct mf_sim *sim, const struct mf_needs *has)
{
    struct mf_event up = {
        .kind = MF_EVENT_WORKER_UP, .now_ns = sim->now_ns, .worker = sim->n_workers, .has = *has};
    struct mf_sim_worker *worker;

    if (has->n_slots == 0)
        return -EINVAL;
    worker = calloc(1, sizeof(*worker));
    if (!worker)
        return -ENOMEM;
    worker->id = sim->n_workers;
    worker->has = *has;
    worker->is_alive = true;
    worker->wake_ns = INT64_MAX;
    mf_list_init(&worker->queue);
    mf_list_init(&worker->running);
    mf_list_init(&worker->suspended);
    if (make_slots(worker) < 0 || reserve_worker(sim) < 0) {
        mf_sim_worker_destroy(worker);
        return -ENOMEM;
    }
    sim->workers[sim->n_workers++] = worker;
    if (sim->config->mtbf_ns > 0)
        plan_death(sim, worker);
    return mf_farm_apply(sim->farm, &up);
}

static void free_jobs(struct mf_list *jobs)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(jobs)))
        free(mf_container_of(node, struct mf_sim_job, node));
}

void mf_sim_worker_destroy(struct mf_sim_worker *worker)
{
    /* The events look at the jobs that they are about. */
    mf_sim_queue_finish(&worker->events);
    free_jobs(&worker->queue);
    free_jobs(&worker->running);
    free_jobs(&worker->suspended);
    free(worker->next_slot);
    free(worker);
}

/* --- reports --- */

/* What is told at one instant travels together. */
static void report(struct mf_sim *sim, const struct mf_sim_job *job, enum mf_event_kind kind,
                   enum mf_cause cause)
{
    struct mf_sim_worker *worker = job->worker;
    struct mf_sim_record record = {.task = job->task,
                                   .attempt = job->attempt,
                                   .order = MF_SIM_REPORT,
                                   .kind = kind,
                                   .cause = cause};

    record.duration_ns = mf_sim_ran_ns(sim, job);
    if (!worker->outgoing || worker->outgoing->posted_ns != sim->now_ns) {
        worker->outgoing = mf_sim_frame_create(sim, worker);
        if (!worker->outgoing)
            return;
        sim->result.n_messages++;
        mf_sim_push(sim, sim->now_ns + sim->config->latency_ns, MF_SIM_AT_SCHEDULER,
                    worker->outgoing);
    }
    mf_sim_frame_add(sim, worker->outgoing, &record);
}

/* --- slots --- */

static void take_slots(struct mf_sim_worker *worker, struct mf_sim_job *job)
{
    uint32_t last = job->first_slot = worker->first_free;

    for (uint32_t i = 1; i < job->n_slots; i++)
        last = worker->next_slot[last];
    worker->first_free = worker->next_slot[last];
    worker->n_free -= job->n_slots;
}

static void give_slots(struct mf_sim_worker *worker, const struct mf_sim_job *job)
{
    uint32_t last = job->first_slot;

    for (uint32_t i = 1; i < job->n_slots; i++)
        last = worker->next_slot[last];
    worker->next_slot[last] = worker->first_free;
    worker->first_free = job->first_slot;
    worker->n_free += job->n_slots;
}

/* --- jobs --- */

static bool is_over_time(const struct mf_sim_task *task)
{
    return task->timeout_ns > 0 && task->timeout_ns < task->duration_ns;
}

static int64_t run_ns(const struct mf_sim *sim, const struct mf_sim_job *job)
{
    const struct mf_sim_task *task = mf_sim_task_of(sim, job->task);

    return is_over_time(task) ? task->timeout_ns : task->duration_ns;
}

/* Lets something happen to a running job, and has its worker woken to it. */
static void plan(struct mf_sim *sim, struct mf_sim_job *job, int64_t at_ns,
                 enum mf_sim_event_kind kind)
{
    struct mf_sim_worker *worker = job->worker;

    mf_sim_push_to(sim, &worker->events, at_ns, kind, job);
    if (at_ns >= worker->wake_ns)
        return;
    worker->wake_ns = at_ns;
    mf_sim_push(sim, at_ns, MF_SIM_WAKE, worker);
}

static void resume(struct mf_sim *sim, struct mf_sim_job *job)
{
    take_slots(job->worker, job);
    mf_list_remove(&job->node);
    mf_list_push_back(&job->worker->running, &job->node);
    job->is_suspended = false;
    job->is_running = true;
    job->started_ns = sim->now_ns - job->ran_ns;
    report(sim, job, MF_EVENT_CONTINUED, MF_CAUSE_NONE);
    plan(sim, job, job->started_ns + run_ns(sim, job), MF_SIM_END);
}

static void start(struct mf_sim *sim, struct mf_sim_job *job)
{
    struct mf_sim_worker *worker = job->worker;
    int64_t time_ns = run_ns(sim, job);
    bool is_told = time_ns > TELL_STARTED_AFTER_NS;

    take_slots(worker, job);
    mf_list_remove(&job->node);
    mf_list_push_back(&worker->running, &job->node);
    job->is_running = true;
    job->started_ns = job->began_ns = sim->now_ns;
    mf_sim_note_start(sim, job);
    plan(sim, job, sim->now_ns + (is_told ? TELL_STARTED_AFTER_NS : time_ns),
         is_told ? MF_SIM_TELL : MF_SIM_END);
}

/* In the order received: nothing starts past a wide attempt that waits for its slots. */
static void start_queued(struct mf_sim *sim, struct mf_sim_worker *worker)
{
    while (!mf_list_is_empty(&worker->queue)) {
        struct mf_sim_job *job = mf_container_of(worker->queue.next, struct mf_sim_job, node);

        if (job->n_slots > worker->n_free)
            return;
        if (job->is_suspended)
            resume(sim, job);
        else
            start(sim, job);
    }
}

/* Takes a job from its worker; one that runs is freed by its event, unless that is this one. */
static void drop(struct mf_sim *sim, struct mf_sim_job *job, bool is_event_over)
{
    sim->jobs[job->task - 1] = NULL;
    mf_list_remove(&job->node);
    if (job->is_running)
        give_slots(job->worker, job);
    if (job->is_running && !is_event_over)
        job->is_gone = true;
    else
        free(job);
}

static void take_in(struct mf_sim *sim, struct mf_sim_worker *worker,
                    const struct mf_sim_record *order)
{
    struct mf_sim_job *job = calloc(1, sizeof(*job));

    if (!job) {
        mf_sim_fail(sim, -ENOMEM);
        return;
    }
    job->task = order->task;
    job->attempt = order->attempt;
    job->n_slots = mf_sim_task_of(sim, order->task)->spec.needs.n_slots;
    job->worker = worker;
    mf_list_push_back(&worker->queue, &job->node);
    sim->jobs[order->task - 1] = job;
}

static void give_back(struct mf_sim *sim, struct mf_sim_job *job)
{
    if (job->is_running)
        return; /* too late: its STARTED or ENDED is the answer */
    report(sim, job, MF_EVENT_RETURNED, MF_CAUSE_NONE);
    drop(sim, job, false);
}

static void end_early(struct mf_sim *sim, struct mf_sim_job *job, enum mf_cause cause)
{
    report(sim, job, MF_EVENT_ENDED, cause);
    if (job->is_running || job->is_suspended)
        mf_sim_note_end(sim, job, MF_SIM_ENDED);
    drop(sim, job, false);
}

/* The event that would have ended it frees the job, in whose place another one is kept. */
static void suspend(struct mf_sim *sim, struct mf_sim_job *job)
{
    struct mf_sim_job *kept;

    if (!job->is_running)
        return;
    kept = malloc(sizeof(*kept));
    if (!kept) {
        mf_sim_fail(sim, -ENOMEM);
        return;
    }
    *kept = *job;
    kept->ran_ns = mf_sim_ran_ns(sim, job);
    kept->is_running = false;
    kept->is_suspended = true;
    mf_list_push_back(&job->worker->suspended, &kept->node);
    drop(sim, job, false);
    sim->jobs[kept->task - 1] = kept;
    report(sim, kept, MF_EVENT_SUSPENDED, MF_CAUSE_NONE);
}

/* It waits for slots among what came to be started. */
static void enqueue(struct mf_sim_job *job)
{
    if (!job->is_suspended)
        return;
    mf_list_remove(&job->node);
    mf_list_push_back(&job->worker->queue, &job->node);
}

static void obey(struct mf_sim *sim, struct mf_sim_worker *worker,
                 const struct mf_sim_record *order)
{
    struct mf_sim_job *job = sim->jobs[order->task - 1];

    if (order->order == MF_SIM_RUN)
        take_in(sim, worker, order);
    else if (job && job->attempt == order->attempt && order->order == MF_SIM_RECALL)
        give_back(sim, job);
    else if (job && job->attempt == order->attempt && order->order == MF_SIM_SUSPEND)
        suspend(sim, job);
    else if (job && job->attempt == order->attempt && order->order == MF_SIM_CONTINUE)
        enqueue(job);
    else if (job && job->attempt == order->attempt)
        end_early(sim, job, order->cause);
}

void mf_sim_worker_receive(struct mf_sim *sim, struct mf_sim_frame *frame)
{
    struct mf_sim_worker *worker = frame->worker;

    for (uint32_t i = 0; worker->is_alive && i < frame->n_records; i++)
        obey(sim, worker, &frame->records[i]);
    mf_sim_frame_destroy(frame);
    start_queued(sim, worker);
}

static void tell(struct mf_sim *sim, struct mf_sim_job *job)
{
    if (job->is_gone) {
        free(job);
        return;
    }
    report(sim, job, MF_EVENT_STARTED, MF_CAUSE_NONE);
    plan(sim, job, job->started_ns + run_ns(sim, job), MF_SIM_END);
}

/* Failures are drawn from the attempt alone, so that policies are compared under the same ones. */
static enum mf_cause draw_cause(const struct mf_sim *sim, const struct mf_sim_job *job)
{
    struct mf_rng rng;

    if (is_over_time(mf_sim_task_of(sim, job->task)))
        return MF_CAUSE_TIMEOUT;
    if (sim->config->fail_probability <= 0)
        return MF_CAUSE_NONE;
    mf_rng_init(&rng, sim->config->seed ^ (job->task << 20) ^ job->attempt);
    return mf_rng_unit(&rng) < sim->config->fail_probability ? MF_CAUSE_EXIT : MF_CAUSE_NONE;
}

static enum mf_sim_end end_of(enum mf_cause cause)
{
    if (cause == MF_CAUSE_TIMEOUT)
        return MF_SIM_ENDED;
    return cause == MF_CAUSE_NONE ? MF_SIM_DONE : MF_SIM_FAILED;
}

static void end(struct mf_sim *sim, struct mf_sim_job *job)
{
    struct mf_sim_worker *worker = job->worker;
    enum mf_cause cause;

    if (job->is_gone) {
        free(job);
        return;
    }
    cause = draw_cause(sim, job);
    report(sim, job, MF_EVENT_ENDED, cause);
    mf_sim_note_end(sim, job, end_of(cause));
    drop(sim, job, true);
    start_queued(sim, worker);
}

void mf_sim_worker_wake(struct mf_sim *sim, struct mf_sim_worker *worker, int64_t at_ns)
{
    struct mf_sim_event event;

    /* It was to be woken then, but something earlier came up, and has set another time. */
    if (at_ns != worker->wake_ns)
        return;
    while (worker->events.n > 0 && worker->events.events[0].at_ns == at_ns) {
        mf_sim_pop(&worker->events, &event);
        if (event.kind == MF_SIM_TELL)
            tell(sim, event.subject);
        else
            end(sim, event.subject);
    }
    worker->wake_ns = worker->events.n > 0 ? worker->events.events[0].at_ns : INT64_MAX;
    if (worker->events.n > 0)
        mf_sim_push(sim, worker->wake_ns, MF_SIM_WAKE, worker);
}

static void lose(struct mf_sim *sim, struct mf_list *jobs)
{
    mf_list_for_each_safe (node, jobs) {
        struct mf_sim_job *job = mf_container_of(node, struct mf_sim_job, node);

        if (job->is_running || job->is_suspended)
            mf_sim_note_end(sim, job, MF_SIM_LOST);
        drop(sim, job, false);
    }
}

void mf_sim_worker_die(struct mf_sim *sim, struct mf_sim_worker *worker)
{
    worker->is_alive = false;
    sim->result.n_lost++;
    /* While all tasks are done, and others are still to arrive, workers may die for years. */
    if (sim->n_final < sim->n_submitted &&
        ++sim->n_deaths > (uint64_t)MF_SIM_MAX_DEATHS * sim->n_first_workers)
        mf_sim_fail(sim, -ETIMEDOUT);
    lose(sim, &worker->queue);
    lose(sim, &worker->running);
    lose(sim, &worker->suspended);
    mf_sim_push(sim, sim->now_ns + MF_SIM_NOTICE_NS, MF_SIM_NOTICE, worker);
}
