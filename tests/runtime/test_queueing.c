/* Queueing theory against closed formulas, and against simulated queues. */
#include "t_sim.h"

#include "base/rng.h"
#include "runtime/queueing.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static void assert_near(double actual, double expected, double tolerance)
{
    cr_assert(fabs(actual - expected) <= tolerance * fabs(expected), "%.9g instead of %.9g", actual,
              expected);
}

Test(queueing, one_server_waits_as_the_closed_formula_says)
{
    struct mf_queueing queueing;

    /* M/M/1: C = rho, W = rho / (mu - lambda). */
    mf_queueing_mmc(8, 0.1, 1, &queueing);
    cr_assert(queueing.is_stable);
    assert_near(queueing.utilisation, 0.8, 1e-12);
    assert_near(queueing.wait_probability, 0.8, 1e-12);
    assert_near(queueing.wait_mean_s, 0.8 / (10 - 8), 1e-12);
    assert_near(queueing.wait_95_s, log(0.8 / 0.05) / (10 - 8), 1e-12);
}

/* Erlang's C as it is defined: sums of powers over factorials. */
static double erlang_c(double load, int n)
{
    double term = 1, sum = 0;

    for (int k = 0; k < n; k++) {
        sum += term;
        term *= load / (k + 1);
    }
    term *= n / (n - load);
    return term / (sum + term);
}

Test(queueing, many_servers_wait_as_the_closed_formula_says)
{
    for (int n = 1; n <= 40; n++) {
        struct mf_queueing queueing;
        double load = 0.9 * n;

        mf_queueing_mmc(load, 1, (uint64_t)n, &queueing);
        assert_near(queueing.wait_probability, erlang_c(load, n), 1e-9);
        assert_near(queueing.wait_mean_s, erlang_c(load, n) / (n - load), 1e-9);
    }
}

Test(queueing, too_many_arrivals_are_never_done)
{
    struct mf_queueing queueing;

    mf_queueing_mmc(10, 1, 10, &queueing);
    cr_assert(!queueing.is_stable);
    mf_queueing_mmc(11, 1, 10, &queueing);
    cr_assert(!queueing.is_stable);
    assert_near(queueing.utilisation, 1.1, 1e-12);
}

Test(queueing, a_million_servers_are_within_range)
{
    struct mf_queueing queueing;

    mf_queueing_mmc(640000 * 0.999, 1, 640000, &queueing);
    cr_assert(queueing.is_stable);
    cr_assert(queueing.wait_probability > 0 && queueing.wait_probability < 1);
}

static double draw_exponential(struct mf_rng *rng)
{
    return -log(1 - mf_rng_unit(rng));
}

/* The mean over many streams, each of which begins with an empty farm. */
static double simulated_wait_s(uint32_t n_slots, double arrivals_per_s)
{
    struct mf_rng rng;
    double sum = 0;
    int n = 40;

    mf_rng_init(&rng, 3);
    for (int i = 0; i < n; i++) {
        struct t_sim *sim = t_sim_create(1, n_slots);
        double arrival_s = 0;

        while (sim->n_tasks < T_SIM_MAX) {
            struct mf_sim_task *task = t_sim_add(sim, (int64_t)(draw_exponential(&rng) * T_S));

            arrival_s += draw_exponential(&rng) / arrivals_per_s;
            task->arrival_ns = (int64_t)(arrival_s * T_S);
        }
        t_sim_run(sim);
        sum += (double)sim->result.wait_mean_ns / T_S;
        free(sim);
    }
    return sum / n;
}

Test(queueing, a_simulated_stream_waits_as_the_theory_expects)
{
    static const uint32_t slots[] = {1, 4};

    for (size_t i = 0; i < 2; i++) {
        struct mf_queueing queueing;

        mf_queueing_mmc(0.7 * slots[i], 1, slots[i], &queueing);
        assert_near(simulated_wait_s(slots[i], 0.7 * slots[i]), queueing.wait_mean_s, 0.1);
    }
}
