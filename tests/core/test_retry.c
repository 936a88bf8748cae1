/* Attempts that failed: what they are charged to, where they go next, and when. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>

#define S (1000 * T_MS)

/* --- budgets --- */

Test(retry, a_cause_with_a_budget_of_its_own_is_not_charged_to_the_others)
{
    struct t_farm *t = t_farm("a^2", .workers = 1, .config = {.budgets = {[MF_BUDGET_TIME] = 3}});

    for (int i = 0; i < 2; i++) {
        t_tick(t);
        t_end(t, "a", .cause = MF_CAUSE_TIMEOUT);
    }
    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(t_task(t, "a")->charged, 1);
    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_SIGNAL);
    cr_assert_str_eq(t_trace(t), "a:FAILED(signal)");
}

Test(retry, a_task_fails_with_the_last_attempt_of_a_budget)
{
    struct t_farm *t = t_farm("a^9", .workers = 1, .config = {.budgets = {[MF_BUDGET_MEMORY] = 2}});

    for (int i = 0; i < 2; i++) {
        t_tick(t);
        t_trace(t);
        t_end(t, "a", .cause = MF_CAUSE_MEMORY);
    }
    cr_assert_str_eq(t_trace(t), "a:FAILED(memory)");
}

Test(retry, lost_workers_are_charged_to_no_budget_but_their_own)
{
    struct t_farm *t = t_farm("a", .workers = 4, .config = {.crash_limit = 3});
    struct mf_change change;

    for (uint32_t i = 0; i < 2; i++) {
        t_tick(t);
        t_start(t, "a");
        t_lose(t, i);
    }
    cr_assert_eq(mf_farm_next_change(t->farm, &change), 1);
    cr_assert_eq(change.charged, 0);
    cr_assert_eq(change.tries, 2, "each of them is an attempt that the user can look at");
    t_tick(t);
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(retry, a_launcher_that_died_is_charged_to_no_budget_but_that_of_lost_workers)
{
    struct t_farm *t = t_farm("a", .workers = 1, .config = {.crash_limit = 3, .quarantine = 1});

    for (int i = 0; i < 2; i++) {
        t_tick(t);
        t_end(t, "a", .cause = MF_CAUSE_LAUNCHER);
    }
    cr_assert_eq(t_task(t, "a")->charged, 0);
    cr_assert_eq(t_task(t, "a")->tries, 2);
    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_LAUNCHER);
    cr_assert_str_eq(t_trace(t), "a:FAILED(launcher)");
}

Test(retry, a_task_that_was_not_running_when_the_launcher_died_is_not_to_blame)
{
    struct t_farm *t = t_farm("a", .workers = 1, .config = {.crash_limit = 1});

    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_LAUNCHER, .is_innocent = true);
    cr_assert_str_eq(t_trace(t), "a:READY(launcher)");
    t_tick(t);
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(retry, a_worker_that_is_signalled_alone_costs_its_tasks_nothing)
{
    struct t_farm *t = t_farm("a", .workers = 2, .config = {.crash_limit = 2, .quarantine = 1});

    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_TERMINATED);
    cr_assert_str_eq(t_trace(t), "a:READY(terminated)");
    cr_assert_eq(t_task(t, "a")->charged, 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
    t_end(t, "a", .worker = 1, .cause = MF_CAUSE_TERMINATED);
    cr_assert_str_eq(t_trace(t), "a:FAILED(terminated)", "one that signals them is found out");
}

Test(retry, a_signal_that_stops_the_run_cancels_what_it_ends)
{
    struct t_farm *t = t_farm("a^3", .workers = 1);

    t_tick(t);
    t_stop(t, MF_STOP_NOW);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_TERMINATED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(retry, a_cancelled_task_whose_launcher_died_is_over)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_apply(t, .kind = MF_EVENT_CANCEL, .task = 1);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_LAUNCHER);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

/* --- where --- */

Test(retry, a_failed_task_goes_to_another_node)
{
    struct t_farm *t = t_farm("a^2");

    t_up_on(t, 1, 0, 1);
    t_up_on(t, 1, 1, 1);
    t_up_on(t, 2, 2, 1);
    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@2#2");
}

Test(retry, it_waits_for_the_other_node_and_lets_others_pass)
{
    struct t_farm *t = t_farm("a^2 b");

    t_up_on(t, 1, 0, 1);
    t_up_on(t, 2, 1, 1);
    t_up_on(t, 1, 2, 1);
    t_tick(t);
    t_submit(t, "c d");
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:READY(exit) c:PLACED@0 d:PLACED@2");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:PLACED@1#2");
}

Test(retry, on_a_single_node_it_goes_to_another_worker)
{
    struct t_farm *t = t_farm("a^2");

    t_up_on(t, 1, 0, 1);
    t_up_on(t, 1, 1, 1);
    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(retry, a_node_whose_workers_are_too_small_is_no_other_node)
{
    struct t_farm *t = t_farm("a*2^2");

    t_up_on(t, 1, 0, 2);
    t_up_on(t, 1, 1, 2);
    t_up_on(t, 2, 2, 1);
    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(retry, a_task_whose_worker_was_lost_goes_to_another_node)
{
    struct t_farm *t = t_farm("a");

    t_up_on(t, 1, 0, 1);
    t_up_on(t, 1, 1, 1);
    t_up_on(t, 2, 2, 1);
    t_tick(t);
    t_start(t, "a");
    t_lose(t, 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@2#2");
}

/* --- when --- */

Test(retry, a_failed_task_waits_twice_as_long_each_time)
{
    struct t_farm *t =
        t_farm("a^9", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = 60 * S});

    for (int64_t delay_ns = S; delay_ns <= 4 * S; delay_ns *= 2) {
        t_tick(t);
        t_end(t, "a", .cause = MF_CAUSE_EXIT);
        t_wait(t, delay_ns - 1);
        t_tick(t);
        cr_assert_str_eq(t_trace(t), "a:READY(exit)");
        cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + 1);
        t_wait(t, 1);
    }
}

Test(retry, the_wait_has_a_longest_time)
{
    struct t_farm *t =
        t_farm("a^9", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = 3 * S});

    for (int i = 0; i < 4; i++) {
        t_wait(t, 3 * S);
        t_tick(t);
        t_end(t, "a", .cause = MF_CAUSE_EXIT);
    }
    t_tick(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + 3 * S);
}

Test(retry, a_wait_that_is_over_asks_for_no_more_ticks_while_nothing_is_placed)
{
    struct t_farm *t =
        t_farm("a^2", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = S});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_wait(t, S);
    t_tick(t, .is_paused = true);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(retry, others_pass_one_that_waits)
{
    struct t_farm *t =
        t_farm("a^2 b", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = S});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:READY(exit) b:PLACED@0");
    cr_assert_eq(t_counts(t).by_state[MF_TASK_READY], 1);
    cr_assert_eq(mf_farm_ready_at(t->farm, 0)->id, t_id(t, "a"));
}

Test(retry, one_that_waits_can_be_cancelled)
{
    struct t_farm *t =
        t_farm("a^2", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = S});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    t_trace(t);
    t_apply(t, .kind = MF_EVENT_CANCEL, .task = t_id(t, "a"));
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(retry, one_that_waits_takes_its_place_in_a_new_order_when_its_time_has_come)
{
    struct t_farm *t =
        t_farm("a^2 b c", .workers = 1, .config = {.retry_delay_ns = S, .retry_delay_max_ns = S});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_apply(t, .kind = MF_EVENT_POLICY, .policy = &mf_policy_lifo);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:READY(exit) c:PLACED@0");
    t_end(t, "c");
    t_wait(t, S);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:DONE b:PLACED@0");
}

Test(retry, a_delay_longer_than_the_longest_makes_no_sense)
{
    const struct mf_farm_config config = {.retry_delay_ns = 2, .retry_delay_max_ns = 1};
    struct mf_farm *farm;

    cr_assert_eq(mf_farm_create(&config, &farm), -EINVAL);
}
