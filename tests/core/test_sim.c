/*
 * Thousands of short runs in which everything goes wrong at some time. A seed
 * that fails is run again alone with MF_SIM_SEED=seed.
 */
#include "support/farm_sim.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define N_RUNS 4000

Test(sim, every_task_ends_once_whatever_goes_wrong)
{
    const char *seed_text = getenv("MF_SIM_SEED");
    uint64_t first = seed_text ? strtoull(seed_text, NULL, 10) : 1;
    uint64_t n_runs = seed_text ? 1 : N_RUNS;
    struct t_sim_stats stats = {0};

    for (uint64_t seed = first; seed < first + n_runs; seed++) {
        const char *breach = t_sim_run(seed, NULL, &stats);

        cr_assert_null(breach, "seed %llu: %s", (unsigned long long)seed, breach);
    }
    if (seed_text)
        return;

    /* A simulation in which something never happens does not test it. */
    cr_assert(stats.done > 1000 && stats.failed > 1000 && stats.cancelled > 100);
    cr_assert(stats.retried > 1000 && stats.recalled > 100 && stats.stale > 1000);
    cr_assert(stats.lost > 100 && stats.drained > 100 && stats.left > 100);
    cr_assert(stats.timed_out > 100 && stats.unfit > 100);
    cr_assert(stats.targeted > 1000 && stats.avoiding > 1000);
    cr_assert(stats.suspended > 1000 && stats.continued > 1000 && stats.late > 100);
    cr_assert(stats.delayed > 1000 && stats.quarantined > 100 && stats.probes > 20);
    cr_assert(stats.spanning > 1000 && stats.gathered > 1000 && stats.parts_lost > 20);
}

Test(sim, equal_seeds_give_equal_traces)
{
    struct t_sim_stats stats = {0};

    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct mf_buffer first = {0};
        struct mf_buffer second = {0};

        t_sim_run(seed, &first, &stats);
        t_sim_run(seed, &second, &stats);
        cr_assert_eq(mf_buffer_status(&first), 0);
        cr_assert(first.size > 0);
        cr_assert(first.size == second.size && memcmp(first.data, second.data, first.size) == 0,
                  "seed %llu", (unsigned long long)seed);
        mf_buffer_finish(&first);
        mf_buffer_finish(&second);
    }
}

Test(sim, different_seeds_give_different_traces)
{
    struct t_sim_stats stats = {0};
    struct mf_buffer first = {0};
    struct mf_buffer second = {0};

    t_sim_run(1, &first, &stats);
    t_sim_run(2, &second, &stats);
    cr_assert(first.size != second.size || memcmp(first.data, second.data, first.size) != 0);
    mf_buffer_finish(&first);
    mf_buffer_finish(&second);
}
