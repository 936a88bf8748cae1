/* The end of the allocation: what should run beyond it is not started. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

#define t_end_at(t, at) t_apply(t, .kind = MF_EVENT_WALLTIME, .end_ns = (at))

Test(walltime, what_should_run_beyond_the_end_is_not_started_and_what_fits_is)
{
    struct t_farm *t = t_farm("a+50 b+10 c+50 d", .workers = 1, .slots = 4);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0 d:PLACED@0");
    cr_assert_eq(mf_farm_n_late(t->farm), 2);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_READY], 2);
    cr_assert_not(mf_farm_is_finished(t->farm));
}

Test(walltime, a_task_that_just_fits_is_started_and_a_nanosecond_later_it_is_not)
{
    struct t_farm *t = t_farm("a+10 b+10", .workers = 1);

    t_end_at(t, t->now_ns + 10 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    t_wait(t, 1);
    t_end(t, "a", .duration_ns = 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE");
    cr_assert_eq(mf_farm_n_late(t->farm), 1);
}

Test(walltime, what_was_learned_of_a_kind_counts_as_what_the_user_says)
{
    struct t_farm *t = t_farm("a=1 b=1", .workers = 1);

    t_end_at(t, t->now_ns + 15 * T_MS);
    t_tick(t);
    t_trace(t);
    t_start(t, "a");
    t_wait(t, 10 * T_MS);
    t_end(t, "a", .duration_ns = 10 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE");
    cr_assert_eq(mf_farm_n_late(t->farm), 1);
}

Test(walltime, after_the_end_nothing_is_started_at_all)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_end_at(t, t->now_ns);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    cr_assert_eq(mf_farm_n_late(t->farm), 1);
}

Test(walltime, in_a_longer_allocation_late_tasks_start_in_the_order_of_the_policy)
{
    struct t_farm *t = t_farm("a+50!1 b+50!3 c+50!2", .workers = 1, .slots = 3,
                              .config.policy = &mf_policy_priority);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_end_at(t, INT64_MAX);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0 c:PLACED@0 a:PLACED@0");
}

/* It has saved what it had, and would only begin to end again. */
Test(walltime, what_a_warning_cut_short_waits_uncharged_for_a_longer_allocation)
{
    struct t_farm *t =
        t_farm("a b", .workers = 1,
               .config = {.retry_delay_ns = 10 * T_MS, .retry_delay_max_ns = 10 * T_MS});

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    t_start(t, "a");
    t_end(t, "a", .cause = MF_CAUSE_WALLTIME);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:READY(walltime) b:PLACED@0");
    cr_assert_eq(t_task(t, "a")->charged, 0);
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE");
    cr_assert_eq(mf_farm_n_late(t->farm), 1);
    t_end_at(t, INT64_MAX);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(walltime, what_a_warning_cut_short_just_before_the_allocation_was_made_longer_starts_again)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_WALLTIME);
    t_end_at(t, t->now_ns + 90 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(walltime, what_a_warning_cut_short_while_the_run_stops_is_cancelled)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    t_stop(t, MF_STOP_SOON);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_WALLTIME);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(walltime, a_late_task_can_be_cancelled_and_those_behind_it_are_skipped)
{
    struct t_farm *t = t_farm("a+50 b<a", .workers = 1, .config.has_dependencies = true);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    t_cancel(t, "a");
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped) b:SKIPPED(skipped)");
    cr_assert_eq(mf_farm_n_late(t->farm), 0);
}

Test(walltime, a_late_task_keeps_no_worker_for_itself)
{
    struct t_farm *t = t_farm("a b*2+50 c", .workers = 1, .slots = 2);

    t_end_at(t, t->now_ns + 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 c:PLACED@0");
}
