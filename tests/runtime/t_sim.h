/* Tasks and workers for tests of the simulator, and a record of what it did. */
#ifndef T_SIM_H
#define T_SIM_H

#include "runtime/sim.h"

#define T_SIM_MAX 4096
#define T_S INT64_C(1000000000)
#define T_MS INT64_C(1000000)

/**
 * A simulation to set up, then run.
 *
 * @config    FIFO, least loaded, no latency, no cost, no failures, seed 1
 * @group     the only group of workers
 * @attempts  n_attempts that ran, in order of their ends
 */
struct t_sim {
    struct mf_sim_config config;
    struct mf_sim_group group;
    struct mf_sim_task tasks[T_SIM_MAX];
    struct mf_dependency after[4 * T_SIM_MAX];
    uint32_t n_tasks, n_after;
    struct mf_sim_attempt attempts[8 * T_SIM_MAX];
    uint32_t n_attempts;
    struct mf_sim_result result;
};

/** A simulation without tasks; freed when its test ends. */
struct t_sim *t_sim_create(uint32_t n_workers, uint32_t n_slots);

/** Adds a task of one slot; returns it. */
struct mf_sim_task *t_sim_add(struct t_sim *sim, int64_t duration_ns);

/** Lets the task added last come after another one. */
void t_sim_after(struct t_sim *sim, mf_task_id task);

/** Runs it; fails the test on an error. */
void t_sim_run(struct t_sim *sim);

/** When the first attempt of a task began; fails the test if there was none. */
int64_t t_sim_start(const struct t_sim *sim, mf_task_id task);

/** A random graph: n tasks of up to 5 s, each after up to three before it. */
void t_sim_fill(struct t_sim *sim, uint32_t n, uint64_t seed);

/** The longest chain, and the slot time of all tasks. */
int64_t t_sim_critical_ns(const struct t_sim *sim);
int64_t t_sim_work_ns(const struct t_sim *sim);

#endif
