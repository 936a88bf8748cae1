/*
 * The simulation: see farm_sim.h. Time goes in turns of random length. In each,
 * workers carry out the orders that reached them, then the farm hears the
 * messages that reached it, ticks, and sends orders. Both directions keep their
 * order and take a while, so that everything can cross everything.
 */
#include "support/farm_sim.h"

#include "base/rng.h"
#include "core/farm.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TASKS 64
#define MAX_WORKERS 48
#define MAX_SLOTS 6
#define MAX_GPUS 3
#define MAX_MEM_BYTES 100
#define N_KINDS 3
#define N_GROUPS 4
#define N_NODES 4
#define MAX_HELD 256
#define MAX_AFTER 3
#define MAX_SPAN 4
#define MAX_TURNS 20000
#define MS INT64_C(1000000)

/* A worker in quarantine is tried again by then. */
#define PROBED_AFTER_NS (16 * 1000 * MS)

/* An order to a worker, or a message from one. */
struct letter {
    int64_t due_ns;
    struct mf_event event; /* from a worker */
    enum mf_wish wish;     /* to a worker: NONE is to run it */
    bool is_part;          /* or to keep room for it, */
    bool is_let_go;        /* or no more */
    int64_t run_ns;
};

struct queue {
    struct letter *letters;
    size_t first, n, capacity;
};

/* An attempt that a worker has. */
struct job {
    mf_task_id task;
    uint32_t attempt;
    struct mf_needs needs;
    bool is_part; /* it only keeps the room, which is as if it ran */
    bool is_running;
    bool is_told; /* that it runs */
    bool is_stopped, is_to_continue, is_to_yield;
    int64_t run_ns;
    int64_t ran_ns; /* before started_ns */
    int64_t started_ns;
};

struct fake_worker {
    bool is_alive;
    bool is_bad; /* all fails there, until it is repaired */
    struct mf_needs has, busy;
    struct queue inbox;
    struct job jobs[MAX_HELD];
    size_t n_jobs;
};

struct sim_task {
    struct mf_task_spec spec;
    uint32_t last_attempt;  /* that was sent */
    uint32_t n_successes;   /* that the farm accepted */
    uint32_t n_settled;     /* times it was told to be final */
    enum mf_task_state end; /* what it then was */
    uint64_t level;         /* it comes after tasks of lower levels only */
    struct mf_dependency after[MAX_AFTER];
    uint32_t n_after;
    uint32_t span_attempt; /* for which parts were sent to workers, 0 for none */
    mf_worker_id parts[MAX_SPAN];
    uint32_t n_parts;
    uint32_t cut_by; /* the end that cut it short, 0 for none: see n_ends */
};

struct sim {
    struct mf_rng rng;
    struct mf_farm_config config;
    struct mf_farm *farm;
    struct mf_buffer *trace;
    int64_t now_ns;
    struct queue outbox; /* of all workers to the farm */
    struct fake_worker workers[MAX_WORKERS];
    uint32_t n_workers;
    struct sim_task tasks[MAX_TASKS + 1];
    uint64_t n_tasks, n_submitted;
    bool is_closed, is_all_narrow;
    int64_t end_ns;  /* of the allocation, INT64_MAX for none */
    uint32_t n_ends; /* how often that was said */
    /* chances out of 1000: of an attempt, a turn or a message */
    uint64_t fail_chance, lose_chance, drain_chance, call_back_chance, cancel_chance, pause_chance,
        stop_chance, repeat_chance, target_chance, avoid_chance, bad_chance;
    int64_t longest_ns, longest_trip_ns;
    const char *breach;
    struct t_sim_stats *stats;
};

static uint64_t draw(struct sim *sim, uint64_t bound)
{
    return mf_rng_below(&sim->rng, bound);
}

static bool chance(struct sim *sim, uint64_t out_of_1000)
{
    return draw(sim, 1000) < out_of_1000;
}

static void claim(struct sim *sim, bool holds, const char *breach)
{
    if (!holds && !sim->breach)
        sim->breach = breach;
}

/* Puts a letter behind the others, none of which it may overtake. */
static void post(struct sim *sim, struct queue *queue, struct letter letter)
{
    int64_t last_ns = queue->n > 0 ? queue->letters[queue->first + queue->n - 1].due_ns : 0;

    letter.due_ns = sim->now_ns + (int64_t)draw(sim, (uint64_t)sim->longest_trip_ns + 1);
    if (letter.due_ns < last_ns)
        letter.due_ns = last_ns;
    if (queue->first + queue->n == queue->capacity) {
        queue->capacity = queue->capacity ? 2 * queue->capacity : 64;
        queue->letters = reallocarray(queue->letters, queue->capacity, sizeof(letter));
        if (!queue->letters)
            abort();
    }
    queue->letters[queue->first + queue->n++] = letter;
}

static bool take(struct sim *sim, struct queue *queue, struct letter *ret_letter)
{
    if (queue->n == 0 || queue->letters[queue->first].due_ns > sim->now_ns)
        return false;
    *ret_letter = queue->letters[queue->first++];
    if (--queue->n == 0)
        queue->first = 0;
    return true;
}

static int apply(struct sim *sim, struct mf_event event)
{
    const char *breach;
    int r;

    event.now_ns = sim->now_ns;
    r = mf_farm_apply(sim->farm, &event);
    if (sim->trace)
        mf_buffer_print(sim->trace, "%lld event %d task %llu.%u worker %u cause %d: %d\n",
                        (long long)event.now_ns, (int)event.kind, (unsigned long long)event.task,
                        event.attempt, event.worker, (int)event.cause, r);
    breach = mf_farm_check(sim->farm);
    claim(sim, !breach, breach);
    claim(sim, r == 0 || r == MF_FARM_E_STALE, "the farm refused an event");
    return r;
}

/* ---- workers ---- */

static int64_t ran_ns(const struct sim *sim, const struct job *job)
{
    return job->ran_ns + (job->is_running ? sim->now_ns - job->started_ns : 0);
}

static void tell(struct sim *sim, mf_worker_id worker, enum mf_event_kind kind,
                 const struct job *job, enum mf_cause cause)
{
    struct letter letter = {.event = {.kind = kind,
                                      .worker = worker,
                                      .task = job->task,
                                      .attempt = job->attempt,
                                      .cause = cause}};

    if ((kind == MF_EVENT_ENDED || kind == MF_EVENT_SUSPENDED) &&
        (job->is_running || job->is_stopped))
        letter.event.duration_ns = ran_ns(sim, job);
    post(sim, &sim->outbox, letter);
    if (chance(sim, sim->repeat_chance))
        post(sim, &sim->outbox, letter);
}

static void drop_job(struct fake_worker *worker, size_t at)
{
    const struct job *job = &worker->jobs[at];

    if (job->is_running)
        worker->busy.n_slots -= job->needs.n_slots;
    if (job->is_running || job->is_stopped) {
        worker->busy.n_gpus -= job->needs.n_gpus;
        worker->busy.mem_bytes -= job->needs.mem_bytes;
    }
    worker->n_jobs--;
    memmove(&worker->jobs[at], &worker->jobs[at + 1],
            (worker->n_jobs - at) * sizeof(worker->jobs[0]));
}

/* Whether the attempt runs on a worker that is alive. */
static bool runs_somewhere(const struct sim *sim, mf_task_id task)
{
    for (uint32_t i = 0; i < sim->n_workers; i++) {
        const struct fake_worker *worker = &sim->workers[i];

        for (size_t j = 0; worker->is_alive && j < worker->n_jobs; j++) {
            if (worker->jobs[j].task == task && worker->jobs[j].is_running &&
                !worker->jobs[j].is_part)
                return true;
        }
    }
    return false;
}

/* Whether a worker keeps the room of a part, or is not there any more. */
static bool holds_part(const struct sim *sim, mf_worker_id id, const struct job *leading)
{
    const struct fake_worker *worker = &sim->workers[id];

    for (size_t j = 0; j < worker->n_jobs; j++) {
        const struct job *job = &worker->jobs[j];

        if (job->task == leading->task && job->attempt == leading->attempt && job->is_part)
            return job->is_running;
    }
    return !worker->is_alive;
}

/* A task of several nodes begins when all its rooms are held, and its farm may think so still. */
static void check_span(struct sim *sim, const struct job *job)
{
    const struct sim_task *task = &sim->tasks[job->task];

    if (task->span_attempt != job->attempt)
        return;
    for (uint32_t i = 0; i < task->n_parts; i++)
        claim(sim, holds_part(sim, task->parts[i], job), "a task begins without all of its rooms");
    sim->stats->gathered++;
}

static void stop_job(struct sim *sim, mf_worker_id id, struct job *job)
{
    if (!job->is_running)
        return;
    job->ran_ns = ran_ns(sim, job);
    job->is_running = false;
    job->is_stopped = true;
    sim->workers[id].busy.n_slots -= job->needs.n_slots;
    tell(sim, id, MF_EVENT_SUSPENDED, job, MF_CAUSE_NONE);
    sim->stats->suspended++;
}

static void obey(struct sim *sim, mf_worker_id id, const struct letter *order)
{
    struct fake_worker *worker = &sim->workers[id];
    size_t at = 0;

    if (order->wish == MF_WISH_NONE && !order->is_let_go) {
        if (worker->n_jobs == MAX_HELD)
            abort();
        worker->jobs[worker->n_jobs++] =
            (struct job){.task = order->event.task,
                         .attempt = order->event.attempt,
                         .is_part = order->is_part,
                         .needs = sim->tasks[order->event.task].spec.needs,
                         .run_ns = order->run_ns};
        return;
    }
    while (at < worker->n_jobs && (worker->jobs[at].task != order->event.task ||
                                   worker->jobs[at].attempt != order->event.attempt))
        at++;
    if (at == worker->n_jobs)
        return;
    if (order->is_let_go) {
        drop_job(worker, at);
    } else if (order->wish == MF_WISH_END) {
        tell(sim, id, MF_EVENT_ENDED, &worker->jobs[at], order->event.cause);
        drop_job(worker, at);
    } else if (order->wish == MF_WISH_SUSPEND) {
        claim(sim, sim->tasks[order->event.task].spec.is_suspendable, "a function was suspended");
        claim(sim, !sim->tasks[order->event.task].spec.yields, "one that yields was stopped");
        stop_job(sim, id, &worker->jobs[at]);
    } else if (order->wish == MF_WISH_YIELD) {
        claim(sim, sim->tasks[order->event.task].spec.yields, "one that does not yield was asked");
        worker->jobs[at].is_to_yield = worker->jobs[at].is_running;
    } else if (order->wish == MF_WISH_CONTINUE) {
        worker->jobs[at].is_to_continue = worker->jobs[at].is_stopped;
    } else if (!worker->jobs[at].is_running) {
        tell(sim, id, MF_EVENT_RETURNED, &worker->jobs[at], MF_CAUSE_NONE);
        drop_job(worker, at);
    }
}

static enum mf_cause draw_failure(struct sim *sim)
{
    static const enum mf_cause causes[] = {MF_CAUSE_EXIT,  MF_CAUSE_SIGNAL,   MF_CAUSE_MEMORY,
                                           MF_CAUSE_START, MF_CAUSE_LAUNCHER, MF_CAUSE_TERMINATED};

    if (sim->end_ns != INT64_MAX && chance(sim, 300))
        return MF_CAUSE_WALLTIME;
    return causes[draw(sim, sizeof(causes) / sizeof(causes[0]))];
}

static void end_jobs(struct sim *sim, mf_worker_id id)
{
    struct fake_worker *worker = &sim->workers[id];

    for (size_t at = 0; at < worker->n_jobs;) {
        struct job *job = &worker->jobs[at];

        if (job->is_to_yield && job->is_running && chance(sim, 300)) {
            job->is_to_yield = false;
            stop_job(sim, id, job);
        }
        if (job->is_part || !job->is_running || ran_ns(sim, job) < job->run_ns) {
            at++;
            continue;
        }
        tell(sim, id, MF_EVENT_ENDED, job,
             worker->is_bad || chance(sim, sim->fail_chance) ? draw_failure(sim) : MF_CAUSE_NONE);
        drop_job(worker, at);
    }
}

/* Lets those go on that are to and have their slots. */
static void continue_jobs(struct sim *sim, mf_worker_id id)
{
    struct fake_worker *worker = &sim->workers[id];

    for (size_t at = 0; at < worker->n_jobs; at++) {
        struct job *job = &worker->jobs[at];

        if (!job->is_to_continue || worker->busy.n_slots + job->needs.n_slots > worker->has.n_slots)
            continue;
        job->is_to_continue = job->is_stopped = false;
        job->is_running = true;
        job->started_ns = sim->now_ns;
        worker->busy.n_slots += job->needs.n_slots;
        tell(sim, id, MF_EVENT_CONTINUED, job, MF_CAUSE_NONE);
        sim->stats->continued++;
    }
}

/* Starts what it has in the order it came; says so of what runs on after a turn. */
static void start_jobs(struct sim *sim, mf_worker_id id)
{
    struct fake_worker *worker = &sim->workers[id];

    for (size_t at = 0; at < worker->n_jobs; at++) {
        struct job *job = &worker->jobs[at];

        if (job->is_running) {
            if (!job->is_told)
                tell(sim, id, job->is_part ? MF_EVENT_HELD : MF_EVENT_STARTED, job, MF_CAUSE_NONE);
            job->is_told = true;
            continue;
        }
        if (job->is_stopped)
            continue;
        if (worker->busy.n_slots + job->needs.n_slots > worker->has.n_slots)
            break;
        if (!job->is_part) {
            claim(sim, !runs_somewhere(sim, job->task), "a task runs twice at once");
            check_span(sim, job);
        }
        job->is_running = true;
        job->started_ns = sim->now_ns;
        worker->busy.n_slots += job->needs.n_slots;
        worker->busy.n_gpus += job->needs.n_gpus;
        worker->busy.mem_bytes += job->needs.mem_bytes;
        claim(sim, worker->busy.n_gpus <= worker->has.n_gpus, "a GPU is lent twice");
        claim(sim, worker->busy.mem_bytes <= worker->has.mem_bytes, "memory is lent twice");
    }
}

static void work(struct sim *sim, mf_worker_id id)
{
    struct letter order;

    while (take(sim, &sim->workers[id].inbox, &order))
        obey(sim, id, &order);
    end_jobs(sim, id);
    continue_jobs(sim, id);
    start_jobs(sim, id);
}

/* ---- the farm ---- */

static void bring_up(struct sim *sim)
{
    mf_worker_id id = sim->n_workers++;
    struct mf_needs has = {.n_slots = 1 + (uint32_t)draw(sim, MAX_SLOTS),
                           .n_gpus = (uint32_t)draw(sim, MAX_GPUS + 1),
                           .mem_bytes = draw(sim, 2 * MAX_MEM_BYTES)};

    sim->workers[id].is_alive = true;
    sim->workers[id].is_bad = chance(sim, sim->bad_chance);
    sim->workers[id].has = has;
    apply(sim, (struct mf_event){.kind = MF_EVENT_WORKER_UP,
                                 .worker = id,
                                 .node = (mf_node_id)draw(sim, N_NODES),
                                 .has = has});
}

/* It was given up too early: it has ended all it had, and begins again. */
static void bring_back(struct sim *sim, mf_worker_id id)
{
    struct fake_worker *worker = &sim->workers[id];

    worker->is_alive = true;
    worker->n_jobs = worker->inbox.n = 0;
    worker->busy = (struct mf_needs){0};
    apply(sim, (struct mf_event){.kind = MF_EVENT_WORKER_UP, .worker = id, .has = worker->has});
}

static void draw_needs(struct sim *sim, struct mf_needs *needs)
{
    needs->n_slots = chance(sim, 300) ? 1 + (uint32_t)draw(sim, MAX_SLOTS) : 1;
    needs->n_gpus = chance(sim, 200) ? 1 + (uint32_t)draw(sim, MAX_GPUS) : 0;
    needs->mem_bytes = chance(sim, 300) ? draw(sim, MAX_MEM_BYTES) : 0;
}

/* What orders a task: about a third of each is not said. */
static void draw_order(struct sim *sim, struct mf_task_spec *spec)
{
    spec->priority = (int32_t)draw(sim, 5) - 2;
    spec->group = (uint32_t)draw(sim, N_GROUPS);
    spec->kind = (uint32_t)draw(sim, N_KINDS + 1);
    spec->weight = chance(sim, 700) ? (float)draw(sim, 50) / 4 : 0;
    spec->estimate_ns = chance(sim, 300) ? (int64_t)draw(sim, 20) * MS : 0;
    spec->deadline_ns = chance(sim, 700) ? sim->now_ns + (int64_t)draw(sim, 100) * MS : 0;
    spec->upward_ns = chance(sim, 700) ? (int64_t)draw(sim, 100) * MS : 0;
}

/* Sometimes also more than there are. */
static void draw_countables(struct sim *sim, struct mf_needs *needs)
{
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (sim->config.countables[i] > 0 && chance(sim, 400))
            needs->countables[i] = (uint32_t)draw(sim, sim->config.countables[i] + 2);
}

/* What a task comes after, submitted or not: of lower levels, so that there is no cycle. */
static void draw_after(struct sim *sim, mf_task_id id)
{
    struct sim_task *task = &sim->tasks[id];

    if (!sim->config.has_dependencies)
        return;
    for (int i = 0; i < MAX_AFTER; i++) {
        mf_task_id other = 1 + draw(sim, sim->n_tasks);
        bool is_there = sim->tasks[other].level >= task->level;

        for (uint32_t j = 0; j < task->n_after; j++)
            is_there |= task->after[j].task == other;
        if (!is_there && chance(sim, 400))
            task->after[task->n_after++] =
                (struct mf_dependency){other, (enum mf_condition)draw(sim, 3)};
    }
}

static void submit_some(struct sim *sim)
{
    uint64_t n = draw(sim, 12);

    for (; n > 0 && sim->n_submitted < sim->n_tasks; n--) {
        struct mf_task_spec *spec = &sim->tasks[++sim->n_submitted].spec;

        *spec = (struct mf_task_spec){
            .cookie = sim->n_submitted,
            .needs.n_slots = 1,
            .max_attempts = 1 + (uint32_t)draw(sim, 4),
        };
        draw_order(sim, spec);
        if (!sim->is_all_narrow)
            draw_needs(sim, &spec->needs);
        /* Also workers that are gone, and one that never comes. */
        spec->has_target = chance(sim, sim->target_chance);
        spec->target = (mf_worker_id)draw(sim, sim->n_workers + 1);
        spec->has_avoid = chance(sim, sim->avoid_chance);
        spec->is_long = chance(sim, 100);
        spec->is_suspendable = chance(sim, 800);
        spec->yields = spec->is_suspendable && chance(sim, 400);
        spec->avoid = (mf_worker_id)draw(sim, sim->n_workers + 1);
        if (!sim->is_all_narrow && !spec->has_target && !sim->config.policy->yield_key &&
            chance(sim, 200))
            spec->needs.n_nodes = 1 + (uint32_t)draw(sim, MAX_SPAN);
        draw_countables(sim, &spec->needs);
        draw_after(sim, sim->n_submitted);
        apply(sim, (struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                     .spec = *spec,
                                     .after = sim->tasks[sim->n_submitted].after,
                                     .n_after = sim->tasks[sim->n_submitted].n_after});
    }
    if (sim->n_submitted == sim->n_tasks && !sim->is_closed && chance(sim, 500)) {
        sim->is_closed = true;
        apply(sim, (struct mf_event){.kind = MF_EVENT_CLOSED});
    }
}

/* A worker that is gone, or has nothing left to do, still sends what is under way. */
static void hurt_workers(struct sim *sim)
{
    mf_worker_id id = (mf_worker_id)draw(sim, sim->n_workers);
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(sim->farm), id);

    if (sim->bad_chance > 0 && chance(sim, 5))
        sim->workers[id].is_bad = !sim->workers[id].is_bad;

    if (worker->state != MF_WORKER_GONE && chance(sim, sim->lose_chance)) {
        sim->workers[id].is_alive = false;
        sim->stats->lost++;
        sim->stats->parts_lost += worker->n_parts;
        apply(sim, (struct mf_event){.kind = MF_EVENT_WORKER_LOST, .worker = id});
    } else if (worker->state == MF_WORKER_UP && chance(sim, sim->drain_chance)) {
        sim->stats->drained++;
        apply(sim, (struct mf_event){.kind = MF_EVENT_WORKER_DRAIN, .worker = id});
    } else if (worker->state == MF_WORKER_DRAINING && chance(sim, sim->call_back_chance)) {
        sim->stats->called_back++;
        apply(sim, (struct mf_event){.kind = MF_EVENT_WORKER_UP, .worker = id});
    } else if (worker->state == MF_WORKER_GONE && chance(sim, sim->lose_chance)) {
        bring_back(sim, id);
    }
    if (mf_farm_workers(sim->farm)->n_up == 0 && sim->n_workers < MAX_WORKERS)
        bring_up(sim);
    if (sim->n_workers + 2 >= MAX_WORKERS)
        sim->lose_chance = sim->drain_chance = 0;
}

/* What an earlier run has learned, and what a group gets: both may be told at any time. */
static void tell_what_is_known(struct sim *sim)
{
    apply(sim, (struct mf_event){.kind = MF_EVENT_LEARNED,
                                 .spec.kind = 1 + (uint32_t)draw(sim, N_KINDS),
                                 .duration_ns = (int64_t)draw(sim, 20) * MS,
                                 .n_samples = 1 + draw(sim, 5)});
    apply(sim, (struct mf_event){.kind = MF_EVENT_SHARE,
                                 .spec = {.group = (uint32_t)draw(sim, N_GROUPS),
                                          .weight = (float)(1 + draw(sim, 8)) / 2}});
}

static const struct mf_policy *draw_policy(struct sim *sim)
{
    uint32_t n = 0;

    while (mf_policy_at(n))
        n++;
    return mf_policy_at((uint32_t)draw(sim, n));
}

/* Groups have accounts, and tasks are suspended, from the start or never. */
static void change_policy(struct sim *sim)
{
    const struct mf_policy *policy = draw_policy(sim);

    if (!policy->charge && !policy->yield_key && !mf_farm_policy(sim->farm)->charge &&
        !mf_farm_policy(sim->farm)->yield_key)
        apply(sim, (struct mf_event){.kind = MF_EVENT_POLICY, .policy = policy});
}

/* The allocation is cut, and made as long as need be again. */
static void change_walltime(struct sim *sim)
{
    int64_t left_ns = (int64_t)draw(sim, 20) * MS;

    sim->end_ns = chance(sim, 700) ? INT64_MAX : sim->now_ns + left_ns;
    sim->n_ends++;
    apply(sim, (struct mf_event){.kind = MF_EVENT_WALLTIME, .end_ns = sim->end_ns});
}

/* Nobody will bring the workers back that all that is left needs: the run ends, as a real one. */
static void give_up_stranded(struct sim *sim)
{
    uint64_t n = mf_farm_n_stranded(sim->farm);

    if (n == 0 || n < mf_farm_n_ready(sim->farm) || mf_farm_n_held(sim->farm) > 0 ||
        !sim->is_closed || chance(sim, 900))
        return;
    sim->stats->stranded += n;
    if (mf_farm_stopping(sim->farm) == MF_STOP_NONE)
        apply(sim, (struct mf_event){.kind = MF_EVENT_STOP, .stop = MF_STOP_SOON});
}

static void interfere(struct sim *sim)
{
    give_up_stranded(sim);
    if (chance(sim, 10))
        change_walltime(sim);
    if (chance(sim, 20))
        tell_what_is_known(sim);
    if (chance(sim, 20))
        change_policy(sim);
    if (sim->n_submitted > 0 && chance(sim, sim->cancel_chance))
        apply(sim,
              (struct mf_event){.kind = MF_EVENT_CANCEL, .task = 1 + draw(sim, sim->n_submitted)});
    if (chance(sim, sim->stop_chance))
        apply(sim, (struct mf_event){.kind = MF_EVENT_STOP,
                                     .stop = chance(sim, 500) ? MF_STOP_SOON : MF_STOP_NOW});
}

/* A task that a warning cut short is not charged; of an end that is not known it waits for none. */
static void check_cut(struct sim *sim, mf_task_id id, uint32_t charged)
{
    const struct mf_task *task = mf_farm_find(sim->farm, id);

    sim->stats->cut++;
    claim(sim, !task || task->charged == charged, "a task was charged for the end");
    sim->tasks[id].cut_by = sim->end_ns != INT64_MAX ? sim->n_ends : 0;
}

static void hear(struct sim *sim)
{
    struct letter letter;

    while (take(sim, &sim->outbox, &letter)) {
        const struct mf_task *task = mf_farm_find(sim->farm, letter.event.task);
        uint32_t charged = task ? task->charged : 0;
        int r = apply(sim, letter.event);

        if (r == 0 && letter.event.kind == MF_EVENT_ENDED &&
            letter.event.cause == MF_CAUSE_WALLTIME)
            check_cut(sim, letter.event.task, charged);
        if (r == 0 && letter.event.kind == MF_EVENT_ENDED && letter.event.cause == MF_CAUSE_NONE)
            sim->tasks[letter.event.task].n_successes++;
        if (r == 0 && letter.event.cause == MF_CAUSE_TIMEOUT)
            sim->stats->timed_out++;
    }
}

/* Whether a condition of the task holds, or can never hold, by how others have ended. */
static bool is_met(const struct sim *sim, const struct mf_dependency *after, bool *ret_is_never)
{
    const struct sim_task *other = &sim->tasks[after->task];
    bool is_over = other->n_settled > 0;
    bool is_ok = other->end == MF_TASK_DONE, is_failed = other->end == MF_TASK_FAILED;
    bool holds =
        after->condition == MF_AFTER_ANY || (after->condition == MF_AFTER_OK ? is_ok : is_failed);

    *ret_is_never = is_over && !holds;
    return is_over && holds;
}

/* A task is skipped if and only if what it comes after ended otherwise than it asks for. */
static void check_skip(struct sim *sim, const struct mf_change *change)
{
    const struct sim_task *task = &sim->tasks[change->task];
    bool is_any_never = false, is_never;

    if (change->state != MF_TASK_SKIPPED)
        return;
    for (uint32_t i = 0; i < task->n_after; i++) {
        is_met(sim, &task->after[i], &is_never);
        is_any_never |= is_never;
    }
    claim(sim, is_any_never, "a task was skipped for no reason");
    claim(sim, change->root >= 1 && change->root <= sim->n_tasks, "a skip has no root");
    claim(sim, change->attempt == 0, "a task was skipped after it had been tried");
    sim->stats->skipped++;
}

static void check_after(struct sim *sim, const struct mf_change *change)
{
    const struct sim_task *task = &sim->tasks[change->task];
    bool is_never;

    for (uint32_t i = 0; i < task->n_after; i++)
        claim(sim, is_met(sim, &task->after[i], &is_never),
              "a task is begun before what it comes after");
}

static bool lacks_countables(const struct sim *sim, const struct sim_task *task)
{
    for (int i = 0; i < MF_N_COUNTABLES; i++)
        if (task->spec.needs.countables[i] > sim->config.countables[i])
            return true;
    return false;
}

static void settle(struct sim *sim, const struct mf_change *change)
{
    struct sim_task *task = &sim->tasks[change->task];

    task->n_settled++;
    task->end = change->state;
    check_skip(sim, change);
    claim(sim, task->n_settled == 1, "a task was settled twice");
    claim(sim, task->n_successes == (change->state == MF_TASK_DONE),
          "DONE is not what succeeded once");
    claim(sim, change->charged <= task->spec.max_attempts, "a task was tried too often");
    claim(sim, change->charged <= change->tries, "a task was charged for more than it tried");
    claim(sim, !mf_farm_find(sim->farm, change->task), "a settled task is still known");
    sim->stats->done += change->state == MF_TASK_DONE;
    sim->stats->failed += change->state == MF_TASK_FAILED;
    sim->stats->cancelled += change->state == MF_TASK_CANCELLED;
    sim->stats->unfit += change->cause == MF_CAUSE_UNFIT;
    claim(sim,
          change->cause != MF_CAUSE_UNFIT || task->spec.has_target || lacks_countables(sim, task) ||
              sim->config.stranding == MF_STRANDING_NONE ||
              !mf_workers_had_nodes(mf_farm_workers(sim->farm), &change->needs),
          "a task failed though there were workers that could run it");
}

/* Whether a task that avoids a worker could go to another. */
static bool has_other_worker(const struct sim *sim, const struct mf_task_spec *spec)
{
    const struct mf_heap *by_load = &mf_farm_workers(sim->farm)->by_load;

    for (uint32_t i = 0; i < by_load->n_items; i++) {
        const struct mf_worker *worker = by_load->items[i];

        if (worker->id != spec->avoid && mf_worker_could_run(worker, &spec->needs))
            return true;
    }
    return false;
}

/* Tasks that may run on one worker only, or should not on one, are where they may be. */
static void check_place(struct sim *sim, const struct mf_change *change)
{
    const struct mf_task_spec *spec = &sim->tasks[change->task].spec;
    bool is_first = change->attempt == 1;

    claim(sim, !spec->has_target || change->worker == spec->target, "a task is not on its target");
    claim(sim,
          !spec->has_avoid || spec->has_target || spec->needs.n_nodes > 1 || !is_first ||
              change->worker != spec->avoid || !has_other_worker(sim, spec),
          "a task is on the worker that it should avoid");
    sim->stats->targeted += spec->has_target;
    sim->stats->avoiding += spec->has_avoid && is_first && !spec->has_target;
}

/* One that failed waits as long as it should; a worker in quarantine gets hardly anything. */
static void check_caution(struct sim *sim, const struct mf_change *change)
{
    const struct mf_task *task = mf_farm_find(sim->farm, change->task);
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(sim->farm), change->worker);

    claim(sim, task->not_before_ns <= sim->now_ns, "a task is tried again too early");
    /* One of several nodes has rooms there from before, and is asked back as it is told of. */
    claim(sim,
          worker->state != MF_WORKER_QUARANTINED || task->is_probe || task->spec.has_target ||
              change->wish == MF_WISH_RECALL,
          "a worker in quarantine gets work");
    claim(sim, !task->is_probe || change->tries == 0, "a probe had been tried before");
    sim->stats->probes += task->is_probe;
    sim->stats->delayed += task->not_before_ns > 0;
}

/* Rooms of attempts that are over: their workers hear of that before they get anything new. */
static void let_go(struct sim *sim)
{
    mf_task_id id;

    while ((id = mf_farm_next_left(sim->farm)) != 0) {
        struct sim_task *span = &sim->tasks[id];
        const struct mf_task *task = mf_farm_find(sim->farm, id);
        struct letter letter = {.event = {.task = id, .attempt = span->span_attempt},
                                .is_let_go = true};

        if (span->span_attempt == 0 ||
            (task && task->worker != MF_WORKER_NONE && task->attempt == span->span_attempt))
            continue;
        for (uint32_t i = 0; i < span->n_parts; i++)
            post(sim, &sim->workers[span->parts[i]].inbox, letter);
        span->span_attempt = 0;
    }
}

static void send_parts(struct sim *sim, const struct mf_change *change)
{
    struct sim_task *span = &sim->tasks[change->task];
    const struct mf_task *task = mf_farm_find(sim->farm, change->task);
    struct letter letter = {.event = {.task = change->task, .attempt = change->attempt},
                            .is_part = true};

    if (span->span_attempt == change->attempt)
        return;
    span->span_attempt = change->attempt;
    span->n_parts = change->needs.n_nodes - 1;
    for (uint32_t i = 0; i < span->n_parts; i++) {
        span->parts[i] = task->parts[i].worker;
        post(sim, &sim->workers[span->parts[i]].inbox, letter);
    }
    sim->stats->spanning++;
}

/* What the runtime does with a change: send the attempt once, then what is wished for it. */
static void carry_out(struct sim *sim, const struct mf_change *change)
{
    struct sim_task *task = &sim->tasks[change->task];
    struct letter letter = {
        .event = {.task = change->task, .attempt = change->attempt, .cause = change->cause}};

    claim(sim, change->cookie == change->task, "a change has a foreign cookie");
    if (mf_task_state_is_final(change->state)) {
        settle(sim, change);
        return;
    }
    if (change->is_gathering) {
        send_parts(sim, change);
        return;
    }
    if (change->state == MF_TASK_PLACED && change->attempt != task->last_attempt) {
        claim(sim, change->attempt > task->last_attempt, "an attempt was given twice");
        task->last_attempt = change->attempt;
        check_place(sim, change);
        check_caution(sim, change);
        check_after(sim, change);
        claim(sim, task->cut_by == 0 || task->cut_by != sim->n_ends,
              "a task is tried again before the end that cut it short has moved");
        letter.run_ns = (int64_t)draw(sim, (uint64_t)sim->longest_ns);
        post(sim, &sim->workers[change->worker].inbox, letter);
    }
    if (change->wish != MF_WISH_NONE) {
        letter.wish = change->wish;
        post(sim, &sim->workers[change->worker].inbox, letter);
    }
}

/* Without large tasks and delays, a slot is only left free for want of tasks that may go there. */
static void check_no_slot_idles(struct sim *sim)
{
    const struct mf_workers *workers = mf_farm_workers(sim->farm);

    if (!sim->is_all_narrow || sim->config.delay_ns > 0 ||
        mf_farm_stopping(sim->farm) != MF_STOP_NONE)
        return;
    for (mf_task_id id = 1; id <= sim->n_submitted; id++) {
        const struct mf_task *task = mf_farm_find(sim->farm, id);

        if (!task || task->state != MF_TASK_READY ||
            (task->parked > 0 && task->parked <= MF_N_COUNTABLES) ||
            task->parked == MF_PARKED_LATE || task->parked == MF_PARKED_STRANDED ||
            task->parked == MF_PARKED_DELAYED)
            continue;
        for (uint32_t i = 0; i < workers->by_load.n_items; i++) {
            const struct mf_worker *worker = workers->by_load.items[i];

            if (task->spec.has_target && worker->id != task->spec.target)
                continue;
            sim->stats->kept_apart += task->spec.needs.is_suspect && worker->has_suspect &&
                                      worker->n_committed < worker->n_slots;
            claim(sim,
                  ((worker->id == task->avoid ||
                    (task->avoid_node != MF_NODE_UNKNOWN && worker->node == task->avoid_node)) &&
                   !task->spec.has_target) ||
                      (sim->config.policy->yield_key && !mf_worker_may_begin(workers, worker)) ||
                      (task->spec.needs.is_suspect && worker->has_suspect) ||
                      worker->n_committed >= worker->n_slots,
                  "a slot idles while a task waits for it");
        }
    }
}

static void tick(struct sim *sim)
{
    bool is_paused = chance(sim, sim->pause_chance);
    struct mf_change change;

    apply(sim, (struct mf_event){.kind = MF_EVENT_TICK,
                                 .is_paused = is_paused,
                                 .turnaround_ns =
                                     (int64_t)draw(sim, 2 * (uint64_t)sim->longest_trip_ns + 1)});
    sim->stats->late += mf_farm_n_late(sim->farm) > 0;
    if (!is_paused)
        check_no_slot_idles(sim);
    let_go(sim);
    while (mf_farm_next_change(sim->farm, &change) == 1) {
        if (sim->trace)
            mf_buffer_print(sim->trace, "change %llu.%u %s wish %d cause %d worker %u\n",
                            (unsigned long long)change.task, change.attempt,
                            mf_task_state_name(change.state), (int)change.wish, (int)change.cause,
                            change.worker);
        carry_out(sim, &change);
    }
    if (mf_farm_check(sim->farm))
        claim(sim, false, mf_farm_check(sim->farm));
}

static const struct mf_placement *draw_placement(struct sim *sim)
{
    uint32_t n = 0;

    while (mf_placement_at(n))
        n++;
    return mf_placement_at((uint32_t)draw(sim, n));
}

static void set_up(struct sim *sim, uint64_t seed)
{
    uint64_t n_workers;

    mf_rng_init(&sim->rng, seed);
    sim->end_ns = INT64_MAX;
    sim->config = (struct mf_farm_config){
        .policy = draw_policy(sim),
        .placement = draw_placement(sim),
        .policy_settings = {.ageing_window_ns = (int64_t)draw(sim, 100) * MS,
                            .ageing_weight = chance(sim, 200) ? -1 : (double)draw(sim, 10),
                            .quantum_ns = (int64_t)draw(sim, 10) * MS,
                            .rekey_ns = (int64_t)draw(sim, 20) * MS},
        .stranding = (enum mf_stranding)draw(sim, 3),
        .max_suspended_per_slot = (uint32_t)draw(sim, 6),
        .seed = seed,
        .max_prefetch_per_slot = (uint32_t)draw(sim, 5),
        .turnaround_ns = (int64_t)draw(sim, 3) * MS,
        .delay_ns = chance(sim, 100) ? (int64_t)draw(sim, 5) * MS : 0,
        .timeout_factor = chance(sim, 300) ? 1.0 + (double)draw(sim, 30) / 10 : 0,
        .crash_limit = (uint32_t)draw(sim, 4),
        .mem_factor = chance(sim, 300) ? 1.5 : 0,
        .quarantine = chance(sim, 500) ? 1 + (uint32_t)draw(sim, 3) : 0,
    };
    if (chance(sim, 300)) {
        sim->config.retry_delay_ns = (int64_t)draw(sim, 20) * MS;
        sim->config.retry_delay_max_ns = sim->config.retry_delay_ns + (int64_t)draw(sim, 40) * MS;
    }
    for (int i = 0; i < MF_N_BUDGETS; i++)
        sim->config.budgets[i] = chance(sim, 200) ? 1 + (uint32_t)draw(sim, 3) : 0;
    if (chance(sim, 100)) {
        sim->config.halt_when = chance(sim, 500) ? MF_HALT_SOON : MF_HALT_NOW;
        sim->config.halt_failed = 1 + draw(sim, 5);
    }
    sim->n_tasks = 1 + draw(sim, MAX_TASKS);
    sim->is_all_narrow = chance(sim, 500);
    sim->fail_chance = chance(sim, 600) ? draw(sim, 500) : 0;
    sim->lose_chance = chance(sim, 500) ? draw(sim, 30) : 0;
    sim->drain_chance = chance(sim, 300) ? draw(sim, 20) : 0;
    sim->call_back_chance = 10 * sim->drain_chance;
    sim->cancel_chance = chance(sim, 300) ? draw(sim, 50) : 0;
    sim->pause_chance = chance(sim, 300) ? draw(sim, 500) : 0;
    sim->stop_chance = chance(sim, 200) ? draw(sim, 30) : 0;
    sim->repeat_chance = chance(sim, 500) ? draw(sim, 200) : 0;
    sim->target_chance = chance(sim, 300) ? draw(sim, 500) : 0;
    sim->avoid_chance = chance(sim, 300) ? draw(sim, 500) : 0;
    sim->bad_chance = chance(sim, 400) ? draw(sim, 600) : 0;
    sim->longest_ns = (int64_t)(1 + draw(sim, 20)) * MS;
    sim->longest_trip_ns = (int64_t)draw(sim, 4) * MS;
    sim->config.has_dependencies = chance(sim, 500);
    for (mf_task_id id = 1; id <= sim->n_tasks; id++)
        sim->tasks[id].level = draw(sim, 1000);
    for (int i = 0; i < 2 && chance(sim, 300); i++)
        sim->config.countables[i] = 1 + (uint32_t)draw(sim, 4);
    if (mf_farm_create(&sim->config, &sim->farm) < 0)
        abort();
    for (n_workers = 1 + draw(sim, 6); n_workers > 0; n_workers--)
        bring_up(sim);
}

/* What must be true when a run is over. */
static void check_end(struct sim *sim)
{
    bool is_stopped = mf_farm_stopping(sim->farm) != MF_STOP_NONE;
    struct mf_farm_counts counts;
    uint64_t n_unsettled = 0;

    mf_farm_count(sim->farm, &counts);
    for (mf_task_id id = 1; id <= sim->n_submitted; id++)
        n_unsettled += sim->tasks[id].n_settled == 0;
    claim(sim, mf_farm_is_finished(sim->farm), "a run never ends");
    claim(sim, is_stopped || sim->n_submitted == sim->n_tasks, "a run ends before its tasks came");
    claim(sim, is_stopped || n_unsettled == 0, "a run ends before its tasks");
    claim(sim, n_unsettled == counts.by_state[MF_TASK_READY] + counts.by_state[MF_TASK_WAITING],
          "a task is lost");
    sim->stats->left += n_unsettled;
    sim->stats->retried += counts.retried;
    sim->stats->recalled += counts.recalled;
    sim->stats->stale += counts.stale;
    sim->stats->quarantined += counts.quarantined;
}

static void tear_down(struct sim *sim)
{
    for (uint32_t i = 0; i < MAX_WORKERS; i++)
        free(sim->workers[i].inbox.letters);
    free(sim->outbox.letters);
    mf_farm_destroy(sim->farm);
    free(sim);
}

const char *t_sim_run(uint64_t seed, struct mf_buffer *trace, struct t_sim_stats *ret_stats)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    const char *breach;

    if (!sim)
        abort();
    sim->trace = trace;
    sim->stats = ret_stats;
    set_up(sim, seed);
    for (int turn = 0; turn < MAX_TURNS && !sim->breach && !mf_farm_is_finished(sim->farm);
         turn++) {
        sim->now_ns += 1 + (int64_t)draw(sim, 2 * MS);
        if (mf_farm_workers(sim->farm)->n_quarantined > 0 && chance(sim, 20))
            sim->now_ns += PROBED_AFTER_NS;
        for (uint32_t i = 0; i < sim->n_workers; i++) {
            if (sim->workers[i].is_alive)
                work(sim, i);
        }
        hear(sim);
        submit_some(sim);
        hurt_workers(sim);
        interfere(sim);
        tick(sim);
    }
    if (!sim->breach)
        check_end(sim);
    breach = sim->breach;
    tear_down(sim);
    return breach;
}
