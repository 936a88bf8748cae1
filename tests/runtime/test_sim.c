/* The simulator against schedules computed by hand, bounds that are proved, and itself. */
#include "t_sim.h"

#include "support/seeds.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>

/* --- schedules computed by hand --- */

Test(simulator, a_chain_takes_the_sum_of_its_tasks)
{
    struct t_sim *sim = t_sim_create(2, 2);

    for (mf_task_id i = 1; i <= 3; i++) {
        t_sim_add(sim, (int64_t)i * T_S);
        if (i > 1)
            t_sim_after(sim, i - 1);
    }
    t_sim_run(sim);
    cr_assert(eq(i64, sim->result.makespan_ns, 6 * T_S));
    cr_assert(eq(i64, t_sim_start(sim, 3), 3 * T_S));
    cr_assert(eq(i64, sim->result.wait_95_ns, 0), "what it comes after is no wait");
    free(sim);
}

Test(simulator, a_fork_on_too_few_slots_runs_in_waves_and_joins)
{
    struct t_sim *sim = t_sim_create(1, 2);

    t_sim_add(sim, T_S);
    for (int i = 0; i < 4; i++) {
        t_sim_add(sim, 2 * T_S);
        t_sim_after(sim, 1);
    }
    t_sim_add(sim, T_S);
    for (mf_task_id i = 2; i <= 5; i++)
        t_sim_after(sim, i);
    t_sim_run(sim);
    cr_assert(eq(i64, sim->result.makespan_ns, 6 * T_S));
    cr_assert(eq(i64, t_sim_start(sim, 6), 5 * T_S));
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_DONE], 6));
    cr_assert(eq(dbl, sim->result.utilisation, 10.0 / 12));
    free(sim);
}

Test(simulator, two_workers_share_by_the_order_of_the_policy)
{
    static const struct {
        const struct mf_policy *policy;
        int64_t makespan_ns;
    } cases[] = {{&mf_policy_fifo, 5 * T_S}, {&mf_policy_priority, 4 * T_S}};

    /* 2 and 2, then 3 behind one of them; or 3 first, and the others behind each other. */
    for (size_t i = 0; i < 2; i++) {
        struct t_sim *sim = t_sim_create(2, 1);

        sim->config.farm.policy = cases[i].policy;
        t_sim_add(sim, 2 * T_S);
        t_sim_add(sim, 2 * T_S);
        t_sim_add(sim, 3 * T_S)->spec.priority = 1;
        t_sim_run(sim);
        cr_assert(eq(i64, sim->result.makespan_ns, cases[i].makespan_ns));
        free(sim);
    }
}

Test(simulator, waits_and_weighted_completions_are_those_of_the_schedule)
{
    struct t_sim *sim = t_sim_create(1, 1);

    t_sim_add(sim, T_S);
    t_sim_add(sim, 2 * T_S)->spec.weight = 10;
    t_sim_add(sim, 3 * T_S);
    t_sim_run(sim);
    /* They start at 0, 1 and 3, and end at 1, 3 and 6. */
    cr_assert(eq(i64, sim->result.wait_mean_ns, 4 * T_S / 3));
    cr_assert(eq(i64, sim->result.wait_95_ns, 3 * T_S));
    cr_assert(eq(dbl, sim->result.weighted_completion, 1 + 10 * 3 + 6));
    free(sim);
}

Test(simulator, a_wide_task_waits_until_enough_slots_of_one_worker_are_free)
{
    struct t_sim *sim = t_sim_create(1, 4);

    t_sim_add(sim, 3 * T_S);
    t_sim_add(sim, 5 * T_S)->spec.needs.n_slots = 2;
    t_sim_add(sim, T_S)->spec.needs.n_slots = 3;
    t_sim_run(sim);
    cr_assert(eq(i64, t_sim_start(sim, 3), 5 * T_S));
    cr_assert(eq(dbl, sim->result.busy_ns, 16.0 * T_S));
    free(sim);
}

Test(simulator, a_task_starts_when_it_arrives)
{
    struct t_sim *sim = t_sim_create(1, 1);

    t_sim_add(sim, T_S);
    t_sim_add(sim, T_S)->arrival_ns = 10 * T_S;
    t_sim_run(sim);
    cr_assert(eq(i64, t_sim_start(sim, 2), 10 * T_S));
    cr_assert(eq(i64, sim->result.wait_mean_ns, 0));
    free(sim);
}

Test(simulator, nothing_behind_a_barrier_starts_before_all_in_front_of_it_ended)
{
    struct t_sim *sim = t_sim_create(1, 2);

    t_sim_add(sim, T_S);
    t_sim_add(sim, 3 * T_S);
    t_sim_add(sim, T_S)->is_behind_barrier = true;
    t_sim_add(sim, T_S);
    t_sim_run(sim);
    cr_assert(eq(i64, t_sim_start(sim, 3), 3 * T_S));
    cr_assert(eq(i64, t_sim_start(sim, 4), 3 * T_S));
    cr_assert(eq(i64, sim->result.wait_mean_ns, 0));
    free(sim);
}

Test(simulator, a_barrier_that_checks_skips_all_behind_it_after_a_failure)
{
    for (int checks = 0; checks < 2; checks++) {
        struct t_sim *sim = t_sim_create(1, 2);

        t_sim_add(sim, T_S);
        t_sim_add(sim, 3 * T_S)->timeout_ns = 2 * T_S;
        t_sim_add(sim, T_S)->is_behind_barrier = true;
        sim->tasks[2].barrier_checks = checks;
        t_sim_add(sim, T_S);
        t_sim_run(sim);
        cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_SKIPPED], checks ? 2 : 0));
        cr_assert(eq(i64, sim->result.makespan_ns, (checks ? 2 : 3) * T_S));
        free(sim);
    }
}

Test(simulator, an_attempt_over_its_time_limit_is_ended_and_tried_again)
{
    struct t_sim *sim = t_sim_create(1, 1);

    t_sim_add(sim, 5 * T_S)->timeout_ns = 2 * T_S;
    sim->tasks[0].spec.max_attempts = 2;
    t_sim_run(sim);
    cr_assert(eq(u32, sim->n_attempts, 2));
    cr_assert(eq(int, sim->attempts[1].end, MF_SIM_ENDED));
    cr_assert(eq(i64, sim->result.makespan_ns, 4 * T_S));
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_FAILED], 1));
    free(sim);
}

Test(simulator, a_delay_spaces_the_starts)
{
    struct t_sim *sim = t_sim_create(1, 3);

    sim->config.farm.delay_ns = T_S;
    for (int i = 0; i < 3; i++)
        t_sim_add(sim, 5 * T_S);
    t_sim_run(sim);
    cr_assert(eq(i64, t_sim_start(sim, 3), 2 * T_S));
    free(sim);
}

Test(simulator, a_task_over_its_share_of_the_median_is_ended)
{
    struct t_sim *sim = t_sim_create(1, 4);

    sim->config.farm.timeout_factor = 2;
    for (int i = 0; i < 3; i++)
        t_sim_add(sim, T_S);
    t_sim_add(sim, 100 * T_S);
    t_sim_run(sim);
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_FAILED], 1));
    cr_assert(eq(int, sim->attempts[3].end, MF_SIM_ENDED));
    cr_assert(sim->result.makespan_ns < 3 * T_S, "%lld", (long long)sim->result.makespan_ns);
    free(sim);
}

/* --- messages and costs --- */

Test(simulator, each_message_takes_its_latency)
{
    const int64_t latency_ns = 50000;
    struct t_sim *sim = t_sim_create(1, 1);

    sim->config.latency_ns = latency_ns;
    t_sim_add(sim, T_S);
    t_sim_add(sim, T_S);
    t_sim_after(sim, 1);
    t_sim_run(sim);
    /* There; its end back; the next one there. */
    cr_assert(eq(i64, t_sim_start(sim, 1), latency_ns));
    cr_assert(eq(i64, t_sim_start(sim, 2), T_S + 3 * latency_ns));
    free(sim);
}

Test(simulator, orders_and_reports_of_one_instant_are_one_message)
{
    struct t_sim *sim = t_sim_create(1, 64);

    for (int i = 0; i < 64; i++)
        t_sim_add(sim, T_S);
    t_sim_run(sim);
    /* All orders, all starts, all ends. */
    cr_assert(eq(u64, sim->result.n_messages, 3));
    free(sim);
}

Test(simulator, a_busy_scheduler_keeps_workers_waiting_and_its_cost_is_told_apart)
{
    struct t_sim *sim = t_sim_create(1, 1);

    sim->config.message_cost_ns = 2 * T_MS;
    sim->config.task_cost_ns = 3 * T_MS;
    t_sim_add(sim, T_S);
    t_sim_run(sim);
    /* One placement and the messages of order, start and end. */
    cr_assert(eq(i64, t_sim_start(sim, 1), 5 * T_MS));
    cr_assert(eq(i64, sim->result.scheduler_ns, 9 * T_MS));
    cr_assert(eq(dbl, sim->result.task_ns, (double)(T_S + 3 * T_MS)));
    cr_assert(eq(dbl, sim->result.comm_ns, (double)(6 * T_MS)));
    free(sim);
}

Test(simulator, tasks_sent_ahead_hide_the_latency)
{
    int64_t makespan_ns[2];

    for (uint32_t ahead = 0; ahead < 2; ahead++) {
        struct t_sim *sim = t_sim_create(1, 1);

        sim->config.latency_ns = 10 * T_MS;
        sim->config.farm.max_prefetch_per_slot = 32 * ahead;
        for (int i = 0; i < 100; i++)
            t_sim_add(sim, 5 * T_MS);
        t_sim_run(sim);
        makespan_ns[ahead] = sim->result.makespan_ns;
        free(sim);
    }
    cr_assert(eq(i64, makespan_ns[0], 100 * 25 * T_MS - 10 * T_MS));
    cr_assert(makespan_ns[1] < 600 * T_MS, "%lld", (long long)makespan_ns[1]);
}

/* --- failures and deaths --- */

Test(simulator, a_failing_task_is_tried_as_often_as_it_may_be_and_skips_what_follows)
{
    struct t_sim *sim = t_sim_create(2, 1);

    sim->config.fail_probability = 1;
    t_sim_add(sim, T_S)->spec.max_attempts = 3;
    t_sim_add(sim, T_S);
    t_sim_after(sim, 1);
    t_sim_run(sim);
    cr_assert(eq(u64, sim->result.n_attempts, 3));
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_FAILED], 1));
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_SKIPPED], 1));
    free(sim);
}

Test(simulator, the_same_attempts_fail_under_every_policy)
{
    uint64_t n_failed[2];

    for (int i = 0; i < 2; i++) {
        struct t_sim *sim = t_sim_create(3, 2);

        sim->config.fail_probability = 0.2;
        sim->config.farm.policy = i ? &mf_policy_priority : &mf_policy_fifo;
        for (int j = 0; j < 1000; j++)
            t_sim_add(sim, T_S)->spec.priority = j % 7;
        t_sim_run(sim);
        n_failed[i] = sim->result.n_by_state[MF_TASK_FAILED];
        free(sim);
    }
    cr_assert(eq(u64, n_failed[0], n_failed[1]));
    cr_assert(n_failed[0] > 150 && n_failed[0] < 250, "%llu", (unsigned long long)n_failed[0]);
}

Test(simulator, what_a_dead_worker_ran_runs_elsewhere)
{
    struct t_sim *sim = t_sim_create(3, 4);
    uint32_t n_lost = 0;

    sim->config.mtbf_ns = 60 * T_S;
    for (int i = 0; i < 500; i++)
        t_sim_add(sim, 3 * T_S);
    t_sim_run(sim);
    for (uint32_t i = 0; i < sim->n_attempts; i++)
        n_lost += sim->attempts[i].end == MF_SIM_LOST;
    cr_assert(sim->result.n_lost > 0 && n_lost > 0);
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_DONE], 500));
    cr_assert(eq(u64, sim->result.n_attempts, 500 + n_lost));
    free(sim);
}

/* --- policies that preempt --- */

static struct mf_sim_task *add_suspendable(struct t_sim *sim, int64_t duration_ns)
{
    struct mf_sim_task *task = t_sim_add(sim, duration_ns);

    task->spec.is_suspendable = true;
    return task;
}

Test(simulator, under_srtf_a_short_task_interrupts_a_long_one)
{
    struct t_sim *sim = t_sim_create(1, 1);

    sim->config.farm.policy = &mf_policy_srtf;
    sim->config.farm.max_suspended_per_slot = 15;
    add_suspendable(sim, 10 * T_S);
    add_suspendable(sim, T_S)->arrival_ns = 2 * T_S;
    t_sim_run(sim);
    cr_assert(eq(u32, sim->n_attempts, 2));
    cr_assert(eq(u64, sim->attempts[0].task, 2));
    cr_assert(eq(i64, sim->attempts[0].start_ns, 2 * T_S));
    cr_assert(eq(i64, sim->attempts[0].end_ns, 3 * T_S));
    cr_assert(eq(i64, sim->attempts[1].start_ns, 0));
    cr_assert(eq(i64, sim->attempts[1].end_ns, 11 * T_S));
    cr_assert(ieee_ulp_eq(dbl, sim->result.utilisation, 1.0, 4));
    free(sim);
}

Test(simulator, under_rr_equal_tasks_end_together)
{
    struct t_sim *sim = t_sim_create(1, 2);
    int64_t first_ns = INT64_MAX;

    sim->config.farm.policy = &mf_policy_rr;
    sim->config.farm.policy_settings.quantum_ns = T_S / 10;
    sim->config.farm.max_suspended_per_slot = 15;
    for (int i = 0; i < 10; i++)
        add_suspendable(sim, 5 * T_S);
    t_sim_run(sim);
    for (uint32_t i = 0; i < sim->n_attempts; i++)
        first_ns = sim->attempts[i].end_ns < first_ns ? sim->attempts[i].end_ns : first_ns;
    /* A round takes five turns, and what is told late makes the first ones longer. */
    cr_assert(first_ns >= 24 * T_S);
    cr_assert(eq(i64, sim->result.makespan_ns, 25 * T_S));
    free(sim);
}

/* --- whatever is simulated --- */

static void fill_wildly(struct t_sim *sim, uint64_t seed)
{
    t_sim_fill(sim, 300, seed);
    for (uint32_t i = 0; i < sim->n_tasks; i++) {
        sim->tasks[i].spec.max_attempts = 3;
        sim->tasks[i].spec.needs.n_slots = 1 + (uint32_t)(seed + i) % 3;
    }
    sim->config.seed = seed;
    sim->config.latency_ns = 100 * T_MS;
    sim->config.task_cost_ns = T_MS;
    sim->config.message_cost_ns = T_MS;
    sim->config.fail_probability = 0.1;
    sim->config.mtbf_ns = 100 * T_S;
    sim->config.farm.max_prefetch_per_slot = 8;
    sim->config.farm.crash_limit = 3;
}

/* By their members, as bytes between these are anything. */
static bool are_equal(const struct t_sim *first, const struct t_sim *second)
{
    if (first->n_attempts != second->n_attempts)
        return false;
    for (uint32_t i = 0; i < first->n_attempts; i++) {
        const struct mf_sim_attempt *a = &first->attempts[i], *b = &second->attempts[i];

        if (a->task != b->task || a->attempt != b->attempt || a->worker != b->worker ||
            a->slot != b->slot || a->start_ns != b->start_ns || a->end_ns != b->end_ns ||
            a->end != b->end)
            return false;
    }
    return true;
}

Test(simulator, equal_seeds_give_equal_traces_and_others_do_not)
{
    struct t_sim *sims[3];

    for (int i = 0; i < 3; i++) {
        sims[i] = t_sim_create(4, 3);
        fill_wildly(sims[i], 7);
        sims[i]->config.seed = i < 2 ? 7 : 8;
        t_sim_run(sims[i]);
    }
    cr_assert(sims[0]->n_attempts > 0);
    cr_assert(are_equal(sims[0], sims[1]));
    cr_assert_not(are_equal(sims[0], sims[2]));
    for (int i = 0; i < 3; i++)
        free(sims[i]);
}

/* Whether two attempts had the same first slot of one worker at the same time. */
static bool collide(const struct mf_sim_attempt *a, const struct mf_sim_attempt *b)
{
    return a->worker == b->worker && a->slot == b->slot && a->start_ns < b->end_ns &&
           b->start_ns < a->end_ns;
}

/* Also what was suspended on a worker that died, and with orders and reports that cross. */
Test(simulator, every_task_comes_to_an_end_under_policies_that_preempt)
{
    for (uint64_t seed = 1; seed <= t_seed_count(20); seed++) {
        struct t_sim *sim = t_sim_create(4, 3);
        const uint64_t *n = sim->result.n_by_state;

        fill_wildly(sim, seed);
        sim->config.farm.policy = seed % 2 ? &mf_policy_rr : &mf_policy_srtf;
        sim->config.farm.max_suspended_per_slot = 1 + (uint32_t)seed % 5;
        for (uint32_t i = 0; i < sim->n_tasks; i++)
            sim->tasks[i].spec.is_suspendable = true;
        t_sim_run(sim);
        cr_assert(eq(u64, n[MF_TASK_DONE] + n[MF_TASK_FAILED] + n[MF_TASK_SKIPPED], 300));
        cr_assert(sim->result.utilisation <= 1);
        free(sim);
    }
}

Test(simulator, no_slot_is_lent_twice_and_no_task_overtakes_what_it_comes_after)
{
    for (uint64_t seed = 1; seed <= t_seed_count(20); seed++) {
        struct t_sim *sim = t_sim_create(4, 3);
        int64_t ends[T_SIM_MAX] = {0};

        fill_wildly(sim, seed);
        t_sim_run(sim);
        for (uint32_t i = 0; i < sim->n_attempts; i++) {
            const struct mf_sim_attempt *attempt = &sim->attempts[i];
            const struct mf_sim_task *task = &sim->tasks[attempt->task - 1];

            for (uint32_t j = 0; j < i; j++)
                cr_assert(collide(attempt, &sim->attempts[j]) == false);
            for (uint32_t j = 0; j < task->n_after; j++) {
                int64_t end = ends[task->after[j].task - 1];

                cr_assert(end > 0 && end <= attempt->start_ns);
            }
            if (attempt->end == MF_SIM_DONE)
                ends[attempt->task - 1] = attempt->end_ns;
        }
        cr_assert(sim->result.utilisation <= 1);
        free(sim);
    }
}

/*
 * Without latency no slot idles while a task is ready, so Graham's bound of 1966 holds
 * for any order and any choice of worker: work/m + critical * (1 - 1/m). And no schedule is
 * shorter than the critical path, or than the work shared evenly.
 */
Test(simulator, every_policy_and_placement_stays_between_the_bounds)
{
    for (uint64_t seed = 1; seed <= t_seed_count(10); seed++) {
        for (uint32_t i = 0; mf_policy_at(i); i++) {
            for (uint32_t j = 0; mf_placement_at(j); j++) {
                struct t_sim *sim = t_sim_create(3, 2);
                double work_ns, critical_ns, makespan_ns;

                sim->config.farm.policy = mf_policy_at(i);
                sim->config.farm.placement = mf_placement_at(j);
                t_sim_fill(sim, 200, seed);
                t_sim_run(sim);
                work_ns = (double)t_sim_work_ns(sim);
                critical_ns = (double)t_sim_critical_ns(sim);
                makespan_ns = (double)sim->result.makespan_ns;
                cr_assert(makespan_ns >= critical_ns && makespan_ns >= work_ns / 6 - 1);
                cr_assert(makespan_ns <= work_ns / 6 + critical_ns * 5 / 6 + 1,
                          "%s, %s, seed %llu: %.0f", mf_policy_at(i)->name,
                          mf_placement_at(j)->name, (unsigned long long)seed, makespan_ns);
                cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_DONE], 200));
                free(sim);
            }
        }
    }
}

Test(simulator, more_tasks_than_are_submitted_in_one_turn_all_run)
{
    struct t_sim *sim = t_sim_create(4, 8);

    for (int i = 0; i < T_SIM_MAX; i++)
        t_sim_add(sim, T_MS);
    t_sim_run(sim);
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_DONE], T_SIM_MAX));
    cr_assert(eq(i64, sim->result.makespan_ns, T_SIM_MAX / 32 * T_MS));
    free(sim);
}

/* --- nonsense --- */

static void refuse(struct t_sim *sim, int expected)
{
    struct mf_sim_result result = {.n_attempts = 77};

    cr_assert(eq(int, mf_sim_run(&sim->config, sim->tasks, sim->n_tasks, &result), expected));
    cr_assert(eq(u64, result.n_attempts, 77), "the result is untouched");
    free(sim);
}

Test(simulator, nonsense_is_refused)
{
    struct t_sim *sim = t_sim_create(0, 1);

    refuse(sim, -EINVAL);
    sim = t_sim_create(1, 0);
    refuse(sim, -EINVAL);
    sim = t_sim_create(1, 1);
    sim->config.fail_probability = 1.5;
    refuse(sim, -EINVAL);
    sim = t_sim_create(1, 1);
    t_sim_add(sim, -1);
    refuse(sim, -EINVAL);
    sim = t_sim_create(1, 1);
    t_sim_add(sim, 1)->arrival_ns = 5;
    t_sim_add(sim, 1)->arrival_ns = 4;
    refuse(sim, -EINVAL);
    sim = t_sim_create(1, 1);
    t_sim_add(sim, 1);
    t_sim_after(sim, 2);
    refuse(sim, -EINVAL);
}

Test(simulator, a_clock_that_would_run_out_is_an_error)
{
    struct t_sim *sim = t_sim_create(1, 1);

    t_sim_add(sim, INT64_C(1) << 61);
    t_sim_add(sim, INT64_C(1) << 61);
    refuse(sim, -EOVERFLOW);
    sim = t_sim_create(1, 1);
    t_sim_add(sim, INT64_MAX);
    refuse(sim, -EOVERFLOW);
    sim = t_sim_create(1, 1);
    t_sim_add(sim, 1)->arrival_ns = INT64_MAX;
    refuse(sim, -EOVERFLOW);
}

Test(simulator, no_tasks_take_no_time)
{
    struct t_sim *sim = t_sim_create(1, 1);

    t_sim_run(sim);
    cr_assert(eq(i64, sim->result.makespan_ns, 0));
    cr_assert(eq(u64, sim->result.n_slots, 1));
    free(sim);
}

Test(simulator, tasks_of_several_nodes_take_room_on_all_of_them_at_once)
{
    struct t_sim *sim = t_sim_create(3, 2);

    /* 2 nodes for 2 s, then the 3 nodes together; the small one ends before and goes ahead. */
    t_sim_add(sim, 2 * T_S)->spec.needs = (struct mf_needs){.n_slots = 2, .n_nodes = 2};
    t_sim_add(sim, T_S)->spec.needs = (struct mf_needs){.n_slots = 2, .n_nodes = 3};
    t_sim_add(sim, T_S);
    for (int i = 0; i < 3; i++)
        sim->tasks[i].spec.estimate_ns = sim->tasks[i].duration_ns;
    t_sim_run(sim);
    cr_assert(eq(i64, t_sim_start(sim, 1), 0));
    cr_assert(eq(i64, t_sim_start(sim, 2), 2 * T_S));
    cr_assert(eq(i64, t_sim_start(sim, 3), 0));
    cr_assert(eq(dbl, sim->result.utilisation, (2.0 * 4 + 1 * 6 + 1) / 18));
    free(sim);
}

Test(simulator, a_task_of_several_nodes_is_begun_again_when_one_of_them_dies)
{
    struct t_sim *sim = t_sim_create(4, 1);

    sim->config.mtbf_ns = 20 * T_S;
    for (int i = 0; i < 50; i++)
        t_sim_add(sim, T_S)->spec.needs.n_nodes = (uint32_t)(i % 3);
    t_sim_run(sim);
    cr_assert(eq(u64, sim->result.n_by_state[MF_TASK_DONE], 50));
    cr_assert(sim->result.n_lost > 0);
    free(sim);
}
