/*
 * Thousands of short runs in which everything goes wrong at some time. See
 * support/seeds.h for one that fails.
 */
#include "support/farm_sim.h"
#include "support/seeds.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define N_RUNS 4000

Test(sim, every_task_ends_once_whatever_goes_wrong)
{
    uint64_t first = t_seed_first();
    uint64_t n_runs = t_seed_count(N_RUNS);
    struct t_sim_stats stats = {0};

    for (uint64_t seed = first; seed < first + n_runs; seed++) {
        const char *breach = t_sim_run(seed, NULL, &stats);

        cr_assert_null(breach, "seed %llu: %s", (unsigned long long)seed, breach);
    }
    if (t_is_seed_given())
        return;

    /* A simulation in which something never happens does not test it. */
    cr_assert(stats.done > 200 && stats.failed > 200 && stats.cancelled > 20);
    cr_assert(stats.retried > 200 && stats.recalled > 20 && stats.stale > 200);
    cr_assert(stats.lost > 20 && stats.drained > 20 && stats.left > 20);
    cr_assert(stats.called_back > 20);
    cr_assert(stats.timed_out > 20 && stats.unfit > 20);
    cr_assert(stats.targeted > 200 && stats.avoiding > 200);
    cr_assert(stats.suspended > 200 && stats.continued > 200 && stats.late > 20);
    cr_assert(stats.delayed > 200 && stats.quarantined > 20 && stats.probes > 4);
    cr_assert(stats.kept_apart > 20);
    cr_assert(stats.stranded > 20 && stats.cut > 20);
    cr_assert(stats.spanning > 200 && stats.gathered > 200 && stats.parts_lost > 4);
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
