/*
 * Thousands of runs of a whole farm, each with another order of things: see
 * t_ranks.h. The seed of one that fails is printed; see support/seeds.h.
 */
#include "t_ranks.h"

#include "base/clock.h"
#include "support/seeds.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdlib.h>

TestSuite(schedules, .timeout = 3600);

/* How often workers were put in quarantine in all runs of a test, which is a process of its own. */
static uint64_t n_quarantined;

/* The same of those that were back. */
static uint32_t n_returned;

/* Runs them all; returns how many attempts were cut short. */
static uint32_t explore(struct t_ranks_config config, uint64_t n)
{
    uint64_t first = t_seed_first();
    uint32_t n_cut = 0;

    n = t_seed_count(n);
    for (config.seed = first; config.seed < first + n; config.seed++) {
        const char *wrong = t_ranks_run(&config);

        cr_assert_null(wrong, "T_SEED=%" PRIu64 ": %s", config.seed, wrong);
        n_cut += t_ranks_n_cut();
        n_quarantined += t_ranks_n_quarantined();
        n_returned += t_ranks_n_returned();
    }
    return n_cut;
}

Test(schedules, every_task_is_done_once_whatever_the_order_of_things)
{
    explore((struct t_ranks_config){.n_workers = 3, .n_tasks = 40}, 300);
}

Test(schedules, equal_seeds_give_equal_runs)
{
    const struct t_ranks_config config = {.seed = t_seed_first(),
                                          .n_workers = 4,
                                          .n_tasks = 50,
                                          .n_deaths = 2,
                                          .n_stops = 2,
                                          .longest_stop_ns = 3 * MF_NS_PER_S};
    uint32_t n_turns, n_cut;

    cr_assert_null(t_ranks_run(&config));
    n_turns = t_ranks_n_turns();
    n_cut = t_ranks_n_cut();
    cr_assert_null(t_ranks_run(&config));
    cr_assert_eq(t_ranks_n_turns(), n_turns);
    cr_assert_eq(t_ranks_n_cut(), n_cut);
}

Test(schedules, nothing_is_lost_or_done_twice_when_workers_die)
{
    uint32_t n_cut =
        explore((struct t_ranks_config){.n_workers = 4, .n_tasks = 50, .n_deaths = 3}, 600);

    cr_assert(n_cut > 0, "no death has hit an attempt");
}

Test(schedules, a_rank_that_is_stopped_for_a_while_does_no_harm)
{
    explore(
        (struct t_ranks_config){
            .n_workers = 3, .n_tasks = 40, .n_stops = 4, .longest_stop_ns = 900 * MF_NS_PER_MS},
        300);
}

Test(schedules, a_rank_that_was_taken_for_dead_goes_on_and_its_late_results_count_for_nothing)
{
    explore(
        (struct t_ranks_config){
            .n_workers = 3, .n_tasks = 60, .n_stops = 4, .longest_stop_ns = 4 * MF_NS_PER_S},
        300);
}

Test(schedules, a_worker_that_fails_everything_does_no_harm_while_others_die)
{
    explore(
        (struct t_ranks_config){.n_workers = 4, .n_tasks = 60, .n_deaths = 2, .has_bad_rank = true},
        300);
    cr_assert(n_quarantined > 0, "the quarantine was never needed");
}

Test(schedules, a_drained_worker_that_was_taken_for_dead_gets_no_work_when_it_is_back)
{
    explore((struct t_ranks_config){.n_workers = 3, .n_tasks = 250, .drains_one = true}, 20);
    cr_assert(n_returned > 0, "none was ever back");
}

Test(schedules, deaths_and_stops_together_leave_one_result)
{
    uint32_t n_cut = explore((struct t_ranks_config){.n_workers = 8,
                                                     .n_tasks = 100,
                                                     .n_deaths = 7,
                                                     .n_stops = 5,
                                                     .longest_stop_ns = 4 * MF_NS_PER_S},
                             300);

    cr_assert(n_cut > 0, "no death has hit an attempt");
}
