/*
 * The simulator: the farm of core/farm.h, as a run uses it, on a virtual clock.
 *
 * What is simulated is all around the farm: a scheduler that takes turns, messages
 * that take their time, workers that start what they were sent in order, attempts
 * that fail and workers that die. What the farm decides is decided by the farm
 * itself, so that a policy does here what it would do in a run.
 *
 *     turn     one message per worker with all orders for it; what arrives while the
 *              scheduler is busy waits for its next turn
 *     worker   starts attempts in the order received as slots become free, and tells
 *              what happened at one instant in one message
 *     death    noticed after MF_SIM_NOTICE_NS; another worker then takes its place
 *
 * Pure: no clock, no I/O. Equal input gives equal results and traces. One thread.
 */
#ifndef MF_RUNTIME_SIM_H
#define MF_RUNTIME_SIM_H

#include "core/farm.h"

/** Workers may die that often, for each there is, before the next task is final. */
#define MF_SIM_MAX_DEATHS 1000

/** From the death of a worker until the scheduler knows of it. */
#define MF_SIM_NOTICE_NS INT64_C(2000000000)

/**
 * A task to simulate; its id is its place among all, from 1.
 *
 * @spec         what the farm is told
 * @duration_ns  how long each of its attempts really runs, not negative
 * @timeout_ns   its worker ends an attempt that runs longer; 0 for never
 * @arrival_ns   when it is submitted; not before the task in front of it
 * @after        n_after tasks that it comes after, borrowed; no one twice
 * @is_behind_barrier  it is submitted when all tasks in front of it are final
 * @barrier_checks     and if one of these is not DONE, it and all behind it are SKIPPED
 */
struct mf_sim_task {
    struct mf_task_spec spec;
    int64_t duration_ns;
    int64_t timeout_ns;
    int64_t arrival_ns;
    const struct mf_dependency *after;
    uint32_t n_after;
    bool is_behind_barrier;
    bool barrier_checks;
};

/** Workers that have the same. */
struct mf_sim_group {
    uint32_t n_workers;
    struct mf_needs has;
};

/** How much slot time the group of a name gets beside others, which have 1; name is borrowed. */
struct mf_group_share {
    const char *name;
    size_t name_size;
    double share;
};

/** The same for a group known by its number. */
struct mf_sim_share {
    uint32_t group;
    double share;
};

/** How an attempt ended. */
enum mf_sim_end {
    MF_SIM_DONE,   /* it succeeded */
    MF_SIM_FAILED, /* it ran to its end, and failed */
    MF_SIM_ENDED,  /* over its time limit, or the farm asked for its end */
    MF_SIM_LOST,   /* its worker died */
};

/** An attempt that ran: @slot is its first slot on its worker, from 1. */
struct mf_sim_attempt {
    mf_task_id task;
    uint32_t attempt;
    mf_worker_id worker;
    uint32_t slot;
    int64_t start_ns, end_ns;
    enum mf_sim_end end;
};

/** Hears of each attempt as it ends. */
typedef void (*mf_sim_trace_fn)(void *arg, const struct mf_sim_attempt *attempt);

struct mf_preference;

/** Hears of each change of policy under auto: see chooser.h. */
typedef void (*mf_sim_chosen_fn)(void *arg, const struct mf_preference *preference);

/**
 * @farm             policy, placement and all else the farm goes by; its seed,
 *                   has_dependencies and expected_tasks are filled in
 * @groups           n_groups kinds of workers, with at least one slot each; borrowed
 * @shares           n_shares of groups, for policies that look at them; borrowed
 * @latency_ns       how long a message takes, one way
 * @message_cost_ns  what each message costs the scheduler, to send and to receive
 * @task_cost_ns     what placing a task costs the scheduler
 * @fail_probability of an attempt, 0 .. 1; the same attempts fail under every policy
 * @mtbf_ns          mean time between the deaths of a worker (exponential), 0 for none
 * @trace            may be NULL
 * @chosen           may be NULL; hears what is chosen under the policy auto, which goes by fifo at
 *                   first, and simulates the remaining work as a run does, at no cost
 */
struct mf_sim_config {
    struct mf_farm_config farm;
    const struct mf_sim_group *groups;
    uint32_t n_groups;
    const struct mf_sim_share *shares;
    uint32_t n_shares;
    int64_t latency_ns;
    int64_t message_cost_ns;
    int64_t task_cost_ns;
    double fail_probability;
    int64_t mtbf_ns;
    uint64_t seed;
    mf_sim_trace_fn trace;
    void *trace_arg;
    mf_sim_chosen_fn chosen;
    void *chosen_arg;
};

/**
 * What came of it.
 *
 * @makespan_ns       when the last attempt ended
 * @n_slots           slots of all workers at the start
 * @busy_ns           slot time of all attempts
 * @utilisation       share of the slots' time until then that attempts took, 0 .. 1
 * @wait_mean_ns, @wait_95_ns   from when a task could have started (it was submitted,
 *                    and what it comes after was final) to its first attempt
 * @weighted_completion  sum of weight times seconds until done, of all tasks DONE
 * @weighted_tardiness   sum of weight times seconds past the deadline, of all tasks DONE late
 * @n_policies        policies that it went by, one after the other; more than 1 only under auto
 * @n_by_state        tasks in each final state
 * @n_attempts        attempts that ran
 * @n_messages        messages, both ways
 * @n_lost            workers that died
 * @scheduler_ns      how long the scheduler was busy
 * @task_ns, @comm_ns the two parts of T = T_task x N_task + T_comm x N_comm: run time
 *                    and cost of all attempts; latency and cost of all messages
 */
struct mf_sim_result {
    int64_t makespan_ns;
    uint64_t n_slots;
    double busy_ns;
    double utilisation;
    int64_t wait_mean_ns, wait_95_ns;
    double weighted_completion;
    double weighted_tardiness;
    uint64_t n_policies;
    uint64_t n_by_state[MF_TASK_STATE_COUNT];
    uint64_t n_attempts;
    uint64_t n_messages;
    uint64_t n_lost;
    int64_t scheduler_ns;
    double task_ns, comm_ns;
};

/**
 * mf_sim_run() - simulate tasks from the first submission to the last end.
 *
 * @tasks  n_tasks of them, borrowed
 *
 * Returns
 *   0         with the result
 *   -EINVAL   something in config or tasks makes no sense
 *   -EDEADLK  nothing can happen any more, and tasks are left
 *   -ETIMEDOUT  workers die so often that tasks do not end: see MF_SIM_MAX_DEATHS
 *   -EOVERFLOW the virtual clock would pass 2^62 ns, some 146 years
 *   -ENOMEM
 * Time O((attempts + messages) log attempts) beside that of the farm; memory some 400
 * bytes for each task, and 200 more for each attempt at a worker.
 */
int mf_sim_run(const struct mf_sim_config *config, const struct mf_sim_task *tasks,
               uint64_t n_tasks, struct mf_sim_result *ret_result);

/*
 * The same in steps, for who has other things to do in between:
 *
 *     mf_sim_create()
 *     while ((r = mf_sim_step(sim, 100)) == 1) ...
 *     mf_sim_result()  if r is 0
 *     mf_sim_destroy()
 */
struct mf_sim;

/** As mf_sim_run(), but that config and tasks are borrowed until the simulation is destroyed. */
int mf_sim_create(const struct mf_sim_config *config, const struct mf_sim_task *tasks,
                  uint64_t n_tasks, struct mf_sim **ret_sim);

/** NULL is accepted. */
void mf_sim_destroy(struct mf_sim *sim);

/** Lets up to so many things happen. Returns 1 if there is more to come, 0 if it is over, or as
 * mf_sim_run(). */
int mf_sim_step(struct mf_sim *sim, uint64_t n_events);

/** What came of one that is over; the simulation's. */
const struct mf_sim_result *mf_sim_result(const struct mf_sim *sim);

#endif
