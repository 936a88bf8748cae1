/* Which task goes where, and when: core/place.c with the policies and the placement. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

Test(placing, tasks_go_in_order_of_submission)
{
    struct t_farm *t = t_farm("a b c", .workers = 1, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE c:PLACED@0");
}

Test(placing, nothing_is_told_of_a_task_that_only_waits)
{
    struct t_farm *t = t_farm("a");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(placing, the_priority_policy_puts_higher_priorities_first_and_keeps_order_among_equals)
{
    struct t_farm *t = t_farm("low!-1 a!3 b!3 top!9", .workers = 1, .slots = 3,
                              .config = {.policy = &mf_policy_priority});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "top:PLACED@0 a:PLACED@0 b:PLACED@0");
}

Test(placing, the_fifo_policy_ignores_priorities)
{
    struct t_farm *t = t_farm("low!-1 top!9", .workers = 1);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "low:PLACED@0");
}

Test(placing, a_retried_task_keeps_its_place_before_later_ones)
{
    struct t_farm *t = t_farm("a^2 b c", .workers = 1);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(placing, tasks_go_to_the_worker_with_the_least_load_per_slot)
{
    struct t_farm *t = t_farm("a b c d e f", .workers = 1, .slots = 2);

    t_up(t, 1, 4);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1 c:PLACED@1 d:PLACED@0 e:PLACED@1 "
                                 "f:PLACED@1");
}

Test(placing, ties_of_load_go_to_the_lower_rank)
{
    struct t_farm *t = t_farm("a", .workers = 0);

    t_up(t, 2, 1);
    t_up(t, 1, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1");
}

Test(placing, a_large_task_goes_where_it_fits)
{
    struct t_farm *t = t_farm("a*3", .workers = 3, .slots = 1);

    t_up(t, 3, 4);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@3");
}

Test(placing, nothing_overtakes_a_large_task_that_waits_for_room)
{
    struct t_farm *t = t_farm("a big*2 c", .workers = 1, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE big:PLACED@0");
}

Test(placing, a_task_that_no_worker_is_large_enough_for_fails)
{
    struct t_farm *t = t_farm("big*3 a", .workers = 2, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:FAILED(unfit) a:PLACED@0");
}

Test(placing, no_task_is_unfit_before_a_worker_is_up)
{
    struct t_farm *t = t_farm("big*3");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_up(t, 0, 3);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:PLACED@0");
}

Test(placing, a_task_becomes_unfit_when_the_only_large_worker_leaves)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 1);

    t_up(t, 1, 4);
    t_submit(t, "big*4");
    t_lose(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:FAILED(unfit)");
}

Test(placing, a_task_of_a_large_worker_that_is_lost_waits_where_the_run_can_be_resumed)
{
    struct t_farm *t =
        t_farm("", .workers = 1, .slots = 1, .config.stranding = MF_STRANDING_FITTED);

    t_up(t, 1, 4);
    t_submit(t, "big*4 larger*5");
    t_drain(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "larger:FAILED(unfit)");
    cr_assert_eq(mf_farm_n_stranded(t->farm), 1);
}

Test(placing, a_paused_tick_places_nothing)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t, .is_paused = true);
    cr_assert_str_eq(t_trace(t), "");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}

Test(placing, a_failed_task_is_tried_on_another_worker)
{
    struct t_farm *t = t_farm("a^2", .workers = 2, .slots = 2);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(placing, a_failed_task_waits_for_another_worker_and_lets_others_pass)
{
    struct t_farm *t = t_farm("a^2 b c", .workers = 2);

    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:READY(exit) c:PLACED@0");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:PLACED@1#2");
}

Test(placing, a_failed_task_goes_back_when_no_other_worker_is_large_enough)
{
    struct t_farm *t = t_farm("a*2^2", .workers = 1, .slots = 2);

    t_up(t, 1, 1);
    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(placing, a_failed_task_goes_back_when_the_other_worker_drains)
{
    struct t_farm *t = t_farm("a^2", .workers = 2);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_drain(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

/* Submits a task that goes to worker 0 at once, and ends there. */
static void pass_by(struct t_farm *t, mf_task_id id)
{
    t_submit_many(t, 1);
    t_tick(t);
    cr_assert_eq(mf_farm_find(t->farm, id)->worker, 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = id, .attempt = 1), 0);
    t_trace(t);
}

Test(placing, what_passes_a_task_that_fits_nowhere_does_not_send_it_where_it_failed)
{
    struct t_farm *t = t_farm("hog0@0 hog1@1 big*2~0", .workers = 2, .slots = 2);

    for (mf_task_id id = 4; id < 1500; id++)
        pass_by(t, id);
    t_end(t, "hog0");
    t_tick(t);
    cr_assert_eq(t_task(t, "big")->state, MF_TASK_READY);
    t_end(t, "hog1");
    t_tick(t);
    cr_assert_eq(t_task(t, "big")->worker, 1);
}

Test(placing, a_large_task_that_was_overtaken_for_long_goes_where_it_failed)
{
    struct t_farm *t = t_farm("big*2^2 hog", .workers = 2, .slots = 2);
    int n_passed = 0;

    /* hog keeps worker 1 from having the two slots that big waits for. */
    t_tick(t);
    t_end(t, "big", .cause = MF_CAUSE_EXIT);
    t_trace(t);
    for (; n_passed < 2000 && t_task(t, "big")->state != MF_TASK_PLACED; n_passed++) {
        mf_task_id id = t->n_named + 1 + (uint64_t)n_passed;
        const struct mf_task *task;

        t_submit_many(t, 1);
        t_tick(t);
        task = mf_farm_find(t->farm, id);
        cr_assert_eq(task->state, MF_TASK_PLACED, "others wait too");
        cr_assert_eq(
            t_apply(t, .kind = MF_EVENT_ENDED, .task = id, .attempt = 1, .worker = task->worker),
            0);
        t_trace(t);
    }
    cr_assert(n_passed > 500 && n_passed < 2000, "%d passed", n_passed);
    cr_assert_eq(t_task(t, "big")->worker, 0);
}

Test(placing, a_task_with_a_target_goes_there_even_when_others_are_less_loaded)
{
    struct t_farm *t = t_farm("a@1 b@1 c@0", .workers = 3, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1 b:PLACED@1 c:PLACED@0");
}

Test(placing, a_task_whose_target_is_busy_waits_and_lets_others_pass)
{
    struct t_farm *t = t_farm("a@0 b@0 c d", .workers = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 c:PLACED@1");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0");
    t_end(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:DONE d:PLACED@1");
}

Test(placing, a_target_that_is_not_there_makes_its_tasks_unfit)
{
    struct t_farm *t = t_farm("never@9 large@0*2 lost@1 busy@1 b", .workers = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t),
                     "never:FAILED(unfit) large:FAILED(unfit) lost:PLACED@1 b:PLACED@0");
    t_lose(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "lost:FAILED(unfit) busy:FAILED(unfit)");
}

Test(placing, a_target_that_drains_takes_nothing_more)
{
    struct t_farm *t = t_farm("a@1 b@1", .workers = 2);

    t_tick(t);
    t_drain(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1/RECALL b:FAILED(unfit)");
    t_return(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit)");
}

Test(placing, a_failed_task_with_a_target_goes_back_there)
{
    struct t_farm *t = t_farm("a@1^2", .workers = 2);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(placing, tasks_with_targets_keep_their_order_and_priorities)
{
    struct t_farm *t = t_farm("low@0 a@0!3 b@0!3", .workers = 1, .slots = 2,
                              .config = {.policy = &mf_policy_priority});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
}

Test(placing, more_tasks_for_one_busy_worker_than_can_stand_aside_do_not_hang)
{
    struct t_farm *t = t_farm("", .workers = 1);

    for (int i = 0; i < 200; i++)
        t_submit(t, "a@0");
    for (int i = 0; i < 200; i++) {
        struct mf_event ended = {.kind = MF_EVENT_ENDED, .task = (uint64_t)i + 1, .attempt = 1};

        t_tick(t);
        cr_assert_eq(t_farm_apply(t, ended), 0);
    }
    cr_assert_eq(t_counts(t).by_state[MF_TASK_DONE], 200);
}

Test(placing, a_task_to_avoid_a_worker_goes_elsewhere)
{
    struct t_farm *t = t_farm("a~0", .workers = 2, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1");
}

Test(placing, a_task_to_avoid_worker_0_is_not_one_that_avoids_nothing)
{
    struct t_farm *t = t_farm("a b~0", .workers = 2, .slots = 1);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1");
    t_end(t, "a b");
    t_submit(t, "c~1");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:DONE c:PLACED@0");
}

Test(placing, a_task_to_avoid_a_worker_waits_for_another_and_lets_others_pass)
{
    struct t_farm *t = t_farm("hog a~0 b", .workers = 1);

    t_up(t, 1, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "hog:PLACED@0 a:PLACED@1");
    t_submit(t, "c~0 d");
    t_end(t, "hog");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "hog:DONE b:PLACED@0");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE d:PLACED@0");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE c:PLACED@1");
}

Test(placing, a_task_goes_to_the_worker_it_should_avoid_when_there_is_no_other)
{
    struct t_farm *t = t_farm("a~0 b~5", .workers = 1, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
}

Test(placing, a_task_that_fails_avoids_where_it_failed_rather_than_what_was_said_before)
{
    struct t_farm *t = t_farm("a~0^2", .workers = 2);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(placing, a_delay_lets_one_task_go_at_a_time)
{
    struct t_farm *t = t_farm("a b c", .workers = 1, .slots = 8, .config = {.delay_ns = 10 * T_MS});

    t_tick(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), 10 * T_MS);
    t_wait(t, 9 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_wait(t, 25 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0");
}

Test(placing, no_tick_is_due_by_the_clock_without_delay_or_time_limit)
{
    struct t_farm *t = t_farm("a b", .workers = 1);

    t_tick(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
}

Test(placing, no_tick_is_due_for_a_delay_when_no_task_is_ready)
{
    struct t_farm *t = t_farm("a", .workers = 1, .config = {.delay_ns = 10 * T_MS});

    t_tick(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
}

Test(placing, a_delay_holds_for_tasks_with_a_target_too)
{
    struct t_farm *t =
        t_farm("a@0 b@0", .workers = 1, .slots = 2, .config = {.delay_ns = 10 * T_MS});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    t_wait(t, 10 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0");
}

Test(placing, the_largest_delay_does_not_overflow)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2, .config = {.delay_ns = INT64_MAX});

    t_wait(t, T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}

Test(placing, affinity_sends_a_group_back_to_the_worker_that_ran_it_last)
{
    struct t_farm *t = t_farm("a%1 b%2", .workers = 2, .slots = 1,
                              .config = {.placement = &mf_placement_affinity});

    t_tick(t);
    t_end(t, "a b");
    t_trace(t);
    t_submit(t, "c%2 d%1 e%2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@1 d:PLACED@0");
    t_end(t, "d");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "d:DONE e:PLACED@0");
    t_end(t, "c e");
    t_trace(t);
    t_submit(t, "f%2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "f:PLACED@0");
}

Test(placing, affinity_finds_another_worker_when_the_home_is_gone)
{
    struct t_farm *t = t_farm("a%1 b%1", .workers = 2, .slots = 1,
                              .config = {.placement = &mf_placement_affinity});

    t_tick(t);
    t_end(t, "a b");
    t_trace(t);
    t_lose(t, 1);
    t_submit(t, "c%1");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
}
