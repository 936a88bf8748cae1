/* Ends of a run: --halt, stops, time limits, and when a farm is finished. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

Test(stop, soon_lets_running_tasks_end_and_recalls_the_rest)
{
    struct t_farm *t = t_farm("a b c", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_stop(t, MF_STOP_SOON);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0/RECALL");
    t_return(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:READY");
    cr_assert_not(mf_farm_is_finished(t->farm));
    t_end(t, "a");
    cr_assert(mf_farm_is_finished(t->farm));
    cr_assert_eq(t_counts(t).by_state[MF_TASK_READY], 2);
}

Test(stop, now_ends_all_that_a_worker_holds)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_stop(t, MF_STOP_NOW);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(stopped) b:PLACED@0/END(stopped)");
    t_end(t, "a b", .cause = MF_CAUSE_STOPPED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped) b:CANCELLED(stopped)");
    cr_assert(mf_farm_is_finished(t->farm));
}

Test(stop, now_overrides_soon_and_nothing_goes_back)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2);

    t_tick(t);
    t_stop(t, MF_STOP_SOON);
    t_stop(t, MF_STOP_NOW);
    t_stop(t, MF_STOP_SOON);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0/END(stopped) b:PLACED@0/END(stopped)");
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NOW);
}

Test(stop, a_task_that_starts_while_it_is_asked_to_end_is_still_to_end)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_stop(t, MF_STOP_NOW);
    t_start(t, "a");
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(stopped)");
}

Test(stop, a_task_given_back_unstarted_is_left_for_another_run)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_stop(t, MF_STOP_NOW);
    t_return(t, "a");
    cr_assert_str_eq(t_trace(t), "a:READY");
    cr_assert(mf_farm_is_finished(t->farm));
}

Test(stop, a_task_that_fails_with_tries_left_is_cancelled_and_one_without_fails)
{
    struct t_farm *t = t_farm("a^2 b", .workers = 2);

    t_tick(t);
    t_stop(t, MF_STOP_SOON);
    t_end(t, "a b", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(exit) b:FAILED(exit)");
}

Test(halt, soon_stops_the_farm_at_that_many_failures)
{
    struct t_farm *t =
        t_farm("a b c d", .workers = 3, .config = {.halt_when = MF_HALT_SOON, .halt_failed = 2});

    t_tick(t);
    t_start(t, "c");
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
    t_end(t, "b", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_SOON);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(exit) b:FAILED(exit) c:RUNNING@2");
}

Test(halt, failures_of_this_run_under_another_scheduler_count_and_those_of_earlier_runs_do_not)
{
    struct t_farm *t =
        t_farm("a b", .workers = 2, .config = {.halt_when = MF_HALT_SOON, .halt_failed = 2});
    const struct mf_task_history history = {.failed = {1}};

    t_tick(t);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_FAILED), 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_DONE, .history = &history),
                 0);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_FAILED, .history = &history),
                 0);
    t_end(t, "b", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_SOON);
}

Test(halt, now_ends_what_runs)
{
    struct t_farm *t =
        t_farm("a b", .workers = 2, .config = {.halt_when = MF_HALT_NOW, .halt_failed = 1});

    t_tick(t);
    t_start(t, "b");
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "a:FAILED(exit) b:RUNNING@1/END(stopped)");
}

Test(halt, failed_attempts_with_tries_left_do_not_count)
{
    struct t_farm *t =
        t_farm("a^2", .workers = 1, .config = {.halt_when = MF_HALT_NOW, .halt_failed = 1});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
}

Test(halt, a_share_counts_against_all_tasks_expected)
{
    struct t_farm *t =
        t_farm("", .workers = 1, .slots = 7,
               .config = {.halt_when = MF_HALT_SOON, .halt_fraction = 0.07, .expected_tasks = 100});

    t_submit(t, "a b c d e f g");
    t_tick(t);
    t_end(t, "a b c d e f", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
    t_end(t, "g", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_SOON);
}

Test(halt, a_share_counts_against_the_submitted_when_nobody_knows_how_many_come)
{
    struct t_farm *t = t_farm("a b c d", .workers = 1, .slots = 4,
                              .config = {.halt_when = MF_HALT_SOON, .halt_fraction = 0.5});

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
    t_end(t, "b", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_SOON);
}

Test(halt, an_unfit_task_stops_the_tick_that_finds_it)
{
    struct t_farm *t =
        t_farm("big*9 a", .workers = 1, .config = {.halt_when = MF_HALT_SOON, .halt_failed = 1});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:FAILED(unfit)");
}

Test(finished, a_farm_is_finished_when_closed_and_all_tasks_are_final)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    cr_assert_not(mf_farm_is_finished(t->farm));
    t_tick(t);
    t_end(t, "a");
    cr_assert_not(mf_farm_is_finished(t->farm));
    t_apply(t, .kind = MF_EVENT_CLOSED);
    cr_assert(mf_farm_is_finished(t->farm));
}

/* A farm with a limit of twice the median, which is 10 ms, and a and b running. */
static struct t_farm *limited_farm(void)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.timeout_factor = 2});

    t_run_one(t, 10 * T_MS);
    t_run_one(t, 5 * T_MS);
    t_run_one(t, 90 * T_MS);
    t_submit(t, "a b");
    t_tick(t);
    t_start(t, "a");
    t_wait(t, 5 * T_MS);
    t_start(t, "b");
    t_trace(t);
    return t;
}

Test(time_limit, a_task_that_runs_twice_the_median_is_ended)
{
    struct t_farm *t = limited_farm();

    cr_assert_eq(mf_farm_median_ns(t->farm), 10 * T_MS);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), 20 * T_MS);
    t_wait(t, 15 * T_MS - 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_wait(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(timeout)");
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), 25 * T_MS);
    t_end(t, "a", .cause = MF_CAUSE_TIMEOUT);
    cr_assert_str_eq(t_trace(t), "a:FAILED(timeout)");
}

Test(time_limit, a_task_that_ends_in_time_is_no_longer_watched)
{
    struct t_farm *t = limited_farm();

    t_end(t, "a b", .duration_ns = 10 * T_MS);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
}

Test(time_limit, none_holds_before_three_tasks_are_done)
{
    struct t_farm *t = t_farm("", .workers = 1, .config = {.timeout_factor = 2});

    t_run_one(t, T_MS);
    t_run_one(t, T_MS);
    t_submit(t, "a");
    t_tick(t);
    t_start(t, "a");
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
    t_wait(t, 1000 * T_MS);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(time_limit, failed_attempts_do_not_count_into_the_median)
{
    struct t_farm *t = t_farm("a b", .workers = 2);

    t_tick(t);
    t_end(t, "a", .duration_ns = 7 * T_MS);
    t_end(t, "b", .cause = MF_CAUSE_EXIT, .duration_ns = T_MS);
    cr_assert_eq(mf_farm_median_ns(t->farm), 7 * T_MS);
}

Test(time_limit, a_farm_that_forgets_run_times_has_no_median)
{
    struct t_farm *t = t_farm("", .workers = 1, .config = {.forgets_run_times = true});

    t_run_one(t, 10 * T_MS);
    cr_assert_eq(mf_farm_median_ns(t->farm), 0);
}

Test(time_limit, it_also_holds_while_the_farm_stops)
{
    struct t_farm *t = limited_farm();

    t_stop(t, MF_STOP_SOON);
    t_wait(t, 15 * T_MS);
    t_tick(t, .is_paused = true);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(timeout)");
}
