#include "t_sim.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static void note(void *arg, const struct mf_sim_attempt *attempt)
{
    struct t_sim *sim = arg;

    cr_assert(sim->n_attempts < 8 * T_SIM_MAX);
    sim->attempts[sim->n_attempts++] = *attempt;
}

struct t_sim *t_sim_create(uint32_t n_workers, uint32_t n_slots)
{
    struct t_sim *sim = calloc(1, sizeof(*sim));

    cr_assert(sim);
    sim->group = (struct mf_sim_group){n_workers, {.n_slots = n_slots}};
    sim->config = (struct mf_sim_config){
        .groups = &sim->group, .n_groups = 1, .seed = 1, .trace = note, .trace_arg = sim};
    return sim;
}

struct mf_sim_task *t_sim_add(struct t_sim *sim, int64_t duration_ns)
{
    struct mf_sim_task *task = &sim->tasks[sim->n_tasks++];

    cr_assert(sim->n_tasks <= T_SIM_MAX);
    *task = (struct mf_sim_task){
        .spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = duration_ns},
        .duration_ns = duration_ns,
        .after = &sim->after[sim->n_after],
    };
    return task;
}

void t_sim_after(struct t_sim *sim, mf_task_id task)
{
    struct mf_sim_task *last = &sim->tasks[sim->n_tasks - 1];

    for (uint32_t i = 0; i < last->n_after; i++)
        if (last->after[i].task == task)
            return;
    cr_assert(sim->n_after < 4 * T_SIM_MAX);
    sim->after[sim->n_after++] = (struct mf_dependency){task, MF_AFTER_OK};
    last->n_after++;
}

void t_sim_run(struct t_sim *sim)
{
    int r;

    sim->n_attempts = 0;
    r = mf_sim_run(&sim->config, sim->tasks, sim->n_tasks, &sim->result);
    cr_assert(r == 0, "%s", strerror(-r));
}

int64_t t_sim_start(const struct t_sim *sim, mf_task_id task)
{
    for (uint32_t i = 0; i < sim->n_attempts; i++)
        if (sim->attempts[i].task == task)
            return sim->attempts[i].start_ns;
    cr_assert(false, "task %llu never ran", (unsigned long long)task);
    return -1;
}

void t_sim_fill(struct t_sim *sim, uint32_t n, uint64_t seed)
{
    struct mf_rng rng;

    mf_rng_init(&rng, seed);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t n_after = mf_rng_below(&rng, 4);

        t_sim_add(sim, (int64_t)mf_rng_below(&rng, 5 * T_S));
        for (uint64_t j = 0; j < n_after && i > 0; j++)
            t_sim_after(sim, 1 + mf_rng_below(&rng, i));
    }
}

int64_t t_sim_critical_ns(const struct t_sim *sim)
{
    int64_t ends[T_SIM_MAX], longest = 0;

    for (uint32_t i = 0; i < sim->n_tasks; i++) {
        const struct mf_sim_task *task = &sim->tasks[i];

        ends[i] = 0;
        for (uint32_t j = 0; j < task->n_after; j++)
            if (ends[task->after[j].task - 1] > ends[i])
                ends[i] = ends[task->after[j].task - 1];
        ends[i] += task->duration_ns;
        if (ends[i] > longest)
            longest = ends[i];
    }
    return longest;
}

int64_t t_sim_work_ns(const struct t_sim *sim)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < sim->n_tasks; i++)
        sum += sim->tasks[i].duration_ns * sim->tasks[i].spec.needs.n_slots;
    return sum;
}
