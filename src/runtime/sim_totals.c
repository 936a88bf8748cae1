/* The figures of a simulation: summed up as it goes on, finished at its end. */
#include "runtime/sim_private.h"

#include <stdlib.h>

#define SECONDS_PER_NS 1e-9

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * When a task that starts for the first time could have started, had there been a
 * slot. No barrier behind it was passed yet, so that the last one was in front of it.
 */
static int64_t ready_ns(const struct mf_sim *sim, const struct mf_sim_task *task)
{
    int64_t ready = later(task->arrival_ns, sim->barrier_ns);

    for (uint32_t i = 0; i < task->n_after; i++)
        ready = later(ready, sim->finals_ns[task->after[i].task - 1]);
    return ready;
}

void mf_sim_note_start(struct mf_sim *sim, const struct mf_sim_job *job)
{
    const struct mf_sim_task *task = mf_sim_task_of(sim, job->task);

    if (sim->has_started[job->task - 1])
        return;
    sim->has_started[job->task - 1] = true;
    sim->waits_ns[sim->n_waits++] = sim->now_ns - ready_ns(sim, task);
}

void mf_sim_note_end(struct mf_sim *sim, const struct mf_sim_job *job, enum mf_sim_end end)
{
    int64_t run_ns = mf_sim_ran_ns(sim, job);
    struct mf_sim_attempt attempt = {
        .task = job->task,
        .attempt = job->attempt,
        .worker = job->worker->id,
        .slot = job->first_slot + 1,
        .start_ns = job->began_ns,
        .end_ns = sim->now_ns,
        .end = end,
    };

    sim->result.n_attempts++;
    sim->result.makespan_ns = sim->now_ns;
    sim->result.busy_ns += (double)run_ns * job->n_slots *
                           mf_needs_n_nodes(&mf_sim_task_of(sim, job->task)->spec.needs);
    sim->result.task_ns += (double)run_ns;
    /* When it was done, not when that was heard of. */
    sim->finals_ns[job->task - 1] = sim->now_ns;
    if (sim->config->trace)
        sim->config->trace(sim->config->trace_arg, &attempt);
}

static void note_done(struct mf_sim *sim, const struct mf_sim_task *task, int64_t done_ns)
{
    double weight = task->spec.weight > 0 ? (double)task->spec.weight : 1;
    double late_ns = (double)done_ns - (double)task->spec.deadline_ns;

    sim->result.weighted_completion += weight * (double)done_ns * SECONDS_PER_NS;
    if (task->spec.deadline_ns != 0 && late_ns > 0)
        sim->result.weighted_tardiness += weight * late_ns * SECONDS_PER_NS;
}

void mf_sim_note_final(struct mf_sim *sim, const struct mf_change *change)
{
    const struct mf_sim_task *task = mf_sim_task_of(sim, change->task);

    sim->n_final++;
    sim->n_deaths = 0;
    sim->result.n_by_state[change->state]++;
    if (change->state == MF_TASK_DONE)
        note_done(sim, task, sim->finals_ns[change->task - 1]);
    else
        sim->finals_ns[change->task - 1] = sim->now_ns;
}

static int compare_times(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;

    return (left > right) - (left < right);
}

static void finish_waits(struct mf_sim *sim)
{
    double sum = 0;

    if (sim->n_waits == 0)
        return;
    qsort(sim->waits_ns, sim->n_waits, sizeof(*sim->waits_ns), compare_times);
    for (uint64_t i = 0; i < sim->n_waits; i++)
        sum += (double)sim->waits_ns[i];
    sim->result.wait_mean_ns = (int64_t)(sum / (double)sim->n_waits);
    /* The nearest rank: 95 of 100 waited no longer. */
    sim->result.wait_95_ns = sim->waits_ns[(sim->n_waits * 95 + 99) / 100 - 1];
}

void mf_sim_finish_totals(struct mf_sim *sim)
{
    struct mf_sim_result *result = &sim->result;
    double all_ns = (double)result->makespan_ns * (double)result->n_slots;
    double message_ns = (double)(sim->config->latency_ns + sim->config->message_cost_ns);

    sim->has_totals = true;
    finish_waits(sim);
    result->utilisation = all_ns > 0 ? result->busy_ns / all_ns : 0;
    result->task_ns += (double)result->n_attempts * (double)sim->config->task_cost_ns;
    result->comm_ns = (double)result->n_messages * message_ns;
}
