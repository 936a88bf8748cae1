/* The turns of the simulated scheduler, as those of runtime/scheduler.c. One thread. */
#include "runtime/sim_private.h"

#include <errno.h>

/* Tasks submitted in one turn, as runtime/intake.c reads them. */
#define TASKS_PER_TURN 2048

/* --- time --- */

/* A time of the virtual clock; what lies beyond its end ends the simulation. */
static int64_t add_ns(struct mf_sim *sim, int64_t a, int64_t b)
{
    if (a <= MF_SIM_LAST_NS - b)
        return a + b;
    mf_sim_fail(sim, -EOVERFLOW);
    return MF_SIM_LAST_NS;
}

void mf_sim_request_turn(struct mf_sim *sim, int64_t at_ns)
{
    if (at_ns < sim->busy_until_ns)
        at_ns = sim->busy_until_ns;
    if (at_ns >= sim->turn_ns)
        return;
    sim->turn_ns = at_ns;
    mf_sim_push(sim, at_ns, MF_SIM_TURN, NULL);
}

/* --- a turn --- */

static int apply(struct mf_sim *sim, struct mf_event *event)
{
    int r;

    event->now_ns = sim->now_ns;
    r = mf_farm_apply(sim->farm, event);
    if (r < 0)
        mf_sim_fail(sim, r);
    return r;
}

static void hear(struct mf_sim *sim, const struct mf_sim_frame *frame)
{
    for (uint32_t i = 0; i < frame->n_records && sim->error == 0; i++) {
        const struct mf_sim_record *record = &frame->records[i];

        apply(sim, &(struct mf_event){.kind = record->kind,
                                      .task = record->task,
                                      .attempt = record->attempt,
                                      .worker = frame->worker->id,
                                      .cause = record->cause,
                                      .duration_ns = record->duration_ns});
    }
}

/* Returns how many messages there were. */
static uint64_t receive(struct mf_sim *sim)
{
    uint64_t n = 0;

    while (sim->inbox) {
        struct mf_sim_frame *frame = sim->inbox;

        sim->inbox = frame->next;
        hear(sim, frame);
        mf_sim_frame_destroy(frame);
        n++;
    }
    sim->inbox_end = &sim->inbox;
    return n;
}

/* Another worker takes the place of each that died. */
static void replace_lost(struct mf_sim *sim)
{
    while (sim->lost && sim->error == 0) {
        struct mf_sim_worker *worker = sim->lost;
        int r;

        sim->lost = worker->next_lost;
        apply(sim, &(struct mf_event){.kind = MF_EVENT_WORKER_LOST, .worker = worker->id});
        r = mf_sim_worker_add(sim, &worker->has);
        if (r < 0)
            mf_sim_fail(sim, r);
    }
    sim->lost_end = &sim->lost;
}

/* Whether the next task can be submitted by now; at a barrier, when it is passed. */
static bool is_due(struct mf_sim *sim, const struct mf_sim_task *task)
{
    if (task->arrival_ns > sim->now_ns)
        return false;
    if (!task->is_behind_barrier)
        return true;
    if (sim->n_final < sim->n_submitted)
        return false;
    sim->barrier_ns = sim->now_ns;
    return true;
}

/* Behind a barrier that checks, after a failure: what is left is not run. */
static bool is_cut_off(const struct mf_sim *sim, const struct mf_sim_task *task)
{
    return task->barrier_checks && sim->result.n_by_state[MF_TASK_DONE] < sim->n_submitted;
}

static void skip_rest(struct mf_sim *sim)
{
    sim->result.n_by_state[MF_TASK_SKIPPED] += sim->n_tasks - sim->n_submitted;
    sim->n_submitted = sim->n_tasks;
}

static void submit(struct mf_sim *sim)
{
    for (uint32_t i = 0; i < TASKS_PER_TURN && sim->n_submitted < sim->n_tasks; i++) {
        const struct mf_sim_task *task = &sim->tasks[sim->n_submitted];

        if (sim->error != 0 || !is_due(sim, task))
            return;
        if (is_cut_off(sim, task)) {
            skip_rest(sim);
            break;
        }
        apply(sim, &(struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                      .spec = task->spec,
                                      .after = task->after,
                                      .n_after = task->n_after});
        sim->n_submitted++;
        sim->n_deaths = 0;
    }
    if (sim->n_submitted == sim->n_tasks && !sim->is_closed) {
        sim->is_closed = true;
        apply(sim, &(struct mf_event){.kind = MF_EVENT_CLOSED});
    }
}

/* Whether the next turn submits more at this same time: it chooses then, knowing all of it. */
static bool has_more_at_once(const struct mf_sim *sim)
{
    const struct mf_sim_task *next = &sim->tasks[sim->n_submitted];

    return sim->n_submitted < sim->n_tasks && !next->is_behind_barrier &&
           next->arrival_ns <= sim->now_ns;
}

/* As runtime/choosing.c, but that simulating takes no time. */
static void choose_policy(struct mf_sim *sim)
{
    struct mf_preference preference;
    int r;

    while ((r = mf_chooser_step(sim->chooser, sim->farm, sim->now_ns, &preference)) ==
           MF_CHOOSER_BUSY)
        ;
    if (r < 0)
        mf_sim_fail(sim, r);
    if (r != MF_CHOOSER_CHANGED)
        return;
    sim->result.n_policies++;
    apply(sim, &(struct mf_event){.kind = MF_EVENT_POLICY, .policy = preference.policy});
    if (sim->config->chosen)
        sim->config->chosen(sim->config->chosen_arg, &preference);
}

/* Puts an order into this turn's frame for its worker. */
static void order(struct mf_sim *sim, const struct mf_change *change,
                  const struct mf_sim_record *record)
{
    struct mf_sim_worker *worker = sim->workers[change->worker];

    if (!worker->orders) {
        worker->orders = mf_sim_frame_create(sim, worker);
        if (!worker->orders)
            return;
        *sim->outbox_end = worker->orders;
        sim->outbox_end = &worker->orders->next;
    }
    mf_sim_frame_add(sim, worker->orders, record);
}

/* Its rooms on other nodes are kept without a word: nobody else is sent there meanwhile. */
static void hold_parts(struct mf_sim *sim, const struct mf_change *change)
{
    const struct mf_task *task = mf_farm_find(sim->farm, change->task);

    for (uint32_t i = 0; i < mf_task_n_parts(task); i++)
        apply(sim, &(struct mf_event){.kind = MF_EVENT_HELD,
                                      .task = change->task,
                                      .attempt = change->attempt,
                                      .worker = task->parts[i].worker});
}

/* Returns whether it was a placement. */
static bool carry_out(struct mf_sim *sim, const struct mf_change *change)
{
    static const int orders[] = {[MF_WISH_RECALL] = MF_SIM_RECALL,
                                 [MF_WISH_END] = MF_SIM_STOP,
                                 [MF_WISH_SUSPEND] = MF_SIM_SUSPEND,
                                 [MF_WISH_YIELD] = MF_SIM_SUSPEND,
                                 [MF_WISH_CONTINUE] = MF_SIM_CONTINUE};
    struct mf_sim_record record = {
        .task = change->task, .attempt = change->attempt, .cause = change->cause};
    bool is_new = change->state == MF_TASK_PLACED && sim->sent[change->task - 1] != change->attempt;

    if (mf_task_state_is_final(change->state))
        mf_sim_note_final(sim, change);
    if (change->is_gathering) {
        hold_parts(sim, change);
        return false;
    }
    if (change->state != MF_TASK_PLACED && change->state != MF_TASK_RUNNING &&
        change->state != MF_TASK_SUSPENDED)
        return false;
    if (is_new) {
        sim->sent[change->task - 1] = change->attempt;
        record.order = MF_SIM_RUN;
        order(sim, change, &record);
    }
    if (change->wish != MF_WISH_NONE) {
        record.order = orders[change->wish];
        order(sim, change, &record);
    }
    return is_new;
}

/* Returns how many tasks were placed. */
static uint64_t decide(struct mf_sim *sim)
{
    struct mf_event tick = {.kind = MF_EVENT_TICK,
                            .turnaround_ns = sim->config->farm.turnaround_ns +
                                             2 * sim->config->latency_ns + 2 * sim->turn_cost_ns};
    struct mf_change change;
    uint64_t n_placed = 0;

    apply(sim, &tick);
    while (sim->error == 0 && mf_farm_next_change(sim->farm, &change) == 1)
        n_placed += carry_out(sim, &change);
    return n_placed;
}

/* Returns how many messages there are. */
static uint64_t count_outbox(const struct mf_sim *sim)
{
    uint64_t n = 0;

    for (const struct mf_sim_frame *frame = sim->outbox; frame; frame = frame->next)
        n++;
    return n;
}

/* At the end of the turn, one message leaves for each worker. */
static void send(struct mf_sim *sim)
{
    int64_t arrival_ns = add_ns(sim, sim->busy_until_ns, sim->config->latency_ns);

    while (sim->outbox) {
        struct mf_sim_frame *frame = sim->outbox;

        sim->outbox = frame->next;
        frame->worker->orders = NULL;
        mf_sim_push(sim, arrival_ns, MF_SIM_AT_WORKER, frame);
    }
    sim->outbox_end = &sim->outbox;
}

static void plan_next_turn(struct mf_sim *sim)
{
    int64_t tick_ns = mf_farm_next_tick_ns(sim->farm);

    if (tick_ns < MF_SIM_LAST_NS)
        mf_sim_request_turn(sim, tick_ns > sim->now_ns ? tick_ns : sim->now_ns + 1);
    if (sim->n_submitted < sim->n_tasks) {
        const struct mf_sim_task *next = &sim->tasks[sim->n_submitted];

        /* A barrier is passed in the turn that hears of the last end before it. */
        if (!next->is_behind_barrier || next->arrival_ns > sim->now_ns ||
            sim->n_final == sim->n_submitted)
            mf_sim_request_turn(sim,
                                next->arrival_ns > sim->now_ns ? next->arrival_ns : sim->now_ns);
    }
}

/* An average over some eight turns, as that of runtime/scheduler.c. */
static void measure_turn(struct mf_sim *sim, uint64_t n_messages, uint64_t n_placed)
{
    double cost = (double)sim->config->message_cost_ns * (double)n_messages +
                  (double)sim->config->task_cost_ns * (double)n_placed;
    int64_t cost_ns = cost < (double)MF_SIM_LAST_NS ? (int64_t)cost : MF_SIM_LAST_NS;

    sim->result.scheduler_ns = add_ns(sim, sim->result.scheduler_ns, cost_ns);
    sim->busy_until_ns = add_ns(sim, sim->now_ns, cost_ns);
    sim->turn_cost_ns += (cost_ns - sim->turn_cost_ns) / 8;
}

void mf_sim_take_turn(struct mf_sim *sim)
{
    uint64_t n_messages, n_placed, n_sent;

    sim->turn_ns = INT64_MAX;
    n_messages = receive(sim);
    replace_lost(sim);
    submit(sim);
    if (sim->chooser && !has_more_at_once(sim))
        choose_policy(sim);
    n_placed = decide(sim);
    n_sent = count_outbox(sim);
    sim->result.n_messages += n_sent;
    measure_turn(sim, n_messages + n_sent, n_placed);
    send(sim);
    plan_next_turn(sim);
}
