/*
 * Tasks that wait for one rank do not keep others from those that are free. To be run first:
 * workers are sent nothing ahead as long as tasks are known to take long and nothing else is known.
 */
#include "t_api.h"

#define S INT64_C(1000000000)
#define N_FREE 200

static void make_tasks_seem_long(struct t_run *t)
{
    const int64_t duration_ns = S / 100;

    for (int i = 0; i < 16; i++) {
        mpifarm_future future = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns));

        t_done(t, future, sizeof(struct t_times));
        t_release(t, future);
    }
}

/* Tasks that may run anywhere are done although one rank is busy. */
static void run_free_tasks(struct t_run *t)
{
    mpifarm_future futures[N_FREE];
    uint64_t x = 3;

    for (int i = 0; i < N_FREE; i++)
        futures[i] = t_submit(t, T_SQUARE, &x, sizeof(x));
    T_EQ(mpifarm_wait_all(t->farm, futures, N_FREE, 60 * S), 0);
    for (int i = 0; i < N_FREE; i++)
        t_release(t, futures[i]);
}

static void tasks_for_a_busy_rank_do_not_hold_up_others(struct t_run *t)
{
    mpifarm_future bound[N_FREE];
    struct t_gate gate;

    make_tasks_seem_long(t);
    t_gate_close(t, &gate, 1);
    for (int i = 0; i < N_FREE; i++)
        bound[i] = t_submit(t, T_NOTHING, NULL, 0, .rank = 1);
    /* Time to make units of them, for which there is no room. */
    for (int i = 0; i < 300; i++)
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
    run_free_tasks(t);
    /* From now on a gate is known to take long, so that nothing is sent ahead behind one. */
    T_EQ(mpifarm_drain(t->farm, S / 5), -ETIMEDOUT);
    t_gate_open(t, &gate);
    T_EQ(mpifarm_wait_all(t->farm, bound, N_FREE, MPIFARM_FOREVER), 0);
    for (int i = 0; i < N_FREE; i++)
        t_release(t, bound[i]);
}

/* All ranks but the last are busy, and there tasks have failed that should go elsewhere. */
static void retries_that_wait_for_another_rank_do_not_hold_up_others(struct t_run *t)
{
    uint64_t n_retried = t_counts(t).n_retried;
    struct t_gate gates[16];
    mpifarm_future flaky[6];
    uint32_t n = 2;

    T_CHECK(t->n_workers <= 16);
    make_tasks_seem_long(t);
    for (uint32_t i = 0; i + 1 < t->n_workers; i++)
        t_gate_close(t, &gates[i], i + 1);
    for (int i = 0; i < 6; i++)
        flaky[i] = t_submit(t, T_FLAKY, &n, sizeof(n), .max_attempts = 2);
    while (t_counts(t).n_retried - n_retried < 6)
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
    run_free_tasks(t);
    for (uint32_t i = 0; i + 1 < t->n_workers; i++)
        t_gate_open(t, &gates[i]);
    for (int i = 0; i < 6; i++) {
        T_EQ(*(const uint32_t *)t_done(t, flaky[i], sizeof(n)), 2);
        t_release(t, flaky[i]);
    }
}

const struct t_scenario t_placing[] = {
    {"tasks for a busy rank do not hold up others", tasks_for_a_busy_rank_do_not_hold_up_others,
     T_NEEDS_RANKS | T_NEEDS_ONE_SLOT},
    {"retries that wait for another rank do not hold up others",
     retries_that_wait_for_another_rank_do_not_hold_up_others, T_NEEDS_RANKS | T_NEEDS_ONE_SLOT},
    {0},
};
