/* How many tasks are sent ahead, and which of them come back: core/place.c. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <string.h>

static uint32_t n_held(struct t_farm *t, mf_worker_id worker)
{
    return mf_workers_find(mf_farm_workers(t->farm), worker)->n_tasks;
}

/* A farm that knows tasks of 1 ms and a turnaround of the same: one ahead per slot. */
static struct t_farm *prefetching_farm(uint32_t workers, uint32_t slots)
{
    struct t_farm *t = t_farm("", .workers = workers, .slots = slots,
                              .config = {.max_prefetch_per_slot = 4, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    return t;
}

Test(prefetch, nothing_is_sent_ahead_before_a_duration_is_known)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.max_prefetch_per_slot = 8, .turnaround_ns = T_MS});

    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 2);
}

Test(prefetch, as_many_are_sent_ahead_as_end_within_a_turnaround)
{
    struct t_farm *t = prefetching_farm(1, 2);

    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 2 + 2);
}

Test(prefetch, a_worker_gets_a_whole_task_ahead_for_any_fraction)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 4,
                              .config = {.max_prefetch_per_slot = 4, .turnaround_ns = T_MS});

    t_run_one(t, 50 * T_MS);
    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 4 + 1);
}

Test(prefetch, nothing_is_sent_ahead_of_tasks_a_hundred_turnarounds_long)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 4,
                              .config = {.max_prefetch_per_slot = 4, .turnaround_ns = T_MS});

    t_run_one(t, 101 * T_MS);
    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 4);
}

Test(prefetch, the_bound_per_slot_holds_for_tasks_that_take_no_time)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.max_prefetch_per_slot = 3, .turnaround_ns = 1000 * T_MS});

    t_run_one(t, 0);
    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 2 + 2 * 3);
}

Test(prefetch, workers_are_supplied_for_as_long_as_what_the_least_loaded_has_ahead)
{
    struct t_farm *t = prefetching_farm(2, 2);

    t_submit_many(t, 4);
    t_tick(t);
    cr_assert_eq(mf_farm_supplied_ns(t->farm), 0, "each slot has the task that it runs");
    t_submit_many(t, 3);
    t_tick(t);
    cr_assert_eq(mf_farm_supplied_ns(t->farm), T_MS / 2, "one of two slots has one more");
    t_submit_many(t, 1);
    t_tick(t);
    cr_assert_eq(mf_farm_supplied_ns(t->farm), T_MS);
}

Test(prefetch, the_first_measured_turnaround_replaces_the_assumed_one)
{
    struct t_farm *t = prefetching_farm(1, 2);

    t_submit_many(t, 20);
    t_tick(t, .turnaround_ns = 3 * T_MS);
    cr_assert_eq(n_held(t, 0), 2 + 2 * 3);
}

Test(prefetch, longer_tasks_make_it_shallower)
{
    struct t_farm *t = prefetching_farm(1, 1);

    for (int i = 0; i < 200; i++)
        t_run_one(t, 1000 * T_MS);
    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 1);
}

Test(prefetch, one_odd_task_changes_its_depth_but_a_little)
{
    struct t_farm *t =
        t_farm("", .workers = 1, .config = {.max_prefetch_per_slot = 8, .turnaround_ns = 4 * T_MS});

    t_run_one(t, T_MS);
    t_run_one(t, 17 * T_MS);
    t_submit_many(t, 20);
    t_tick(t);
    cr_assert_eq(n_held(t, 0), 1 + 2);
}

Test(prefetch, large_tasks_are_never_sent_ahead)
{
    struct t_farm *t = prefetching_farm(1, 2);

    t_submit(t, "a*2 b*2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}

Test(prefetch, a_delay_sends_nothing_ahead)
{
    struct t_farm *t = t_farm(
        "", .workers = 1,
        .config = {.max_prefetch_per_slot = 4, .turnaround_ns = T_MS, .delay_ns = T_MS / 10});

    t_run_one(t, T_MS);
    t_submit_many(t, 4);
    for (int i = 0; i < 5; i++) {
        t_wait(t, T_MS);
        t_tick(t);
    }
    cr_assert_eq(n_held(t, 0), 1);
}

/* Two workers of one slot, each with one task running and one prefetched; then b and d end. */
static struct t_farm *lopsided_farm(void)
{
    struct t_farm *t = prefetching_farm(2, 1);

    t_submit(t, "a b c d");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1 c:PLACED@0 d:PLACED@1");
    t_start(t, "a b");
    t_end(t, "b d", .duration_ns = T_MS);
    t_trace(t);
    return t;
}

Test(recall, an_idle_worker_gets_what_was_sent_ahead_to_another)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0/RECALL");
    t_return(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@1#2");
    cr_assert_eq(t_counts(t).recalled, 1);
}

Test(recall, a_recalled_task_is_asked_for_once)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(recall, nothing_is_recalled_while_a_task_is_ready)
{
    struct t_farm *t = lopsided_farm();

    t_submit(t, "e");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "e:PLACED@1");
}

Test(recall, nothing_is_recalled_while_a_large_task_waits_for_room)
{
    struct t_farm *t = prefetching_farm(2, 2);

    t_submit(t, "a b c d e f g h");
    t_tick(t);
    t_end(t, "b d f", .duration_ns = T_MS);
    t_trace(t);
    t_submit(t, "big*2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_cancel(t, "big");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:CANCELLED(stopped) g:PLACED@0/RECALL");
}

Test(recall, a_paused_tick_recalls_nothing)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t, .is_paused = true);
    cr_assert_str_eq(t_trace(t), "");
}

Test(recall, a_recalled_task_that_started_runs_on_where_it_is)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t);
    t_end(t, "a");
    t_start(t, "c");
    cr_assert_str_eq(t_trace(t), "c:RUNNING@0 a:DONE");
    t_end(t, "c");
    cr_assert_str_eq(t_trace(t), "c:DONE");
    cr_assert_eq(t_counts(t).recalled, 0);
}

Test(recall, a_recalled_task_that_ended_is_done)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t);
    t_end(t, "a c");
    cr_assert_str_eq(t_trace(t), "c:DONE a:DONE");
}

Test(recall, a_return_costs_no_try_but_makes_a_new_attempt)
{
    struct t_farm *t = lopsided_farm();

    t_tick(t);
    t_return(t, "c");
    t_tick(t);
    cr_assert_eq(t_task(t, "c")->attempt, 2);
    cr_assert_eq(t_task(t, "c")->tries, 0);
    t_end(t, "c", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "c:FAILED(exit)");
}

Test(recall, half_of_the_surplus_comes_back_last_placed_first)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 1,
                              .config = {.max_prefetch_per_slot = 5, .turnaround_ns = 5 * T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d e f");
    t_tick(t);
    t_trace(t);
    t_up(t, 1, 8);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "f:PLACED@0/RECALL e:PLACED@0/RECALL d:PLACED@0/RECALL");
}

Test(recall, no_more_come_back_than_slots_are_free)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 1,
                              .config = {.max_prefetch_per_slot = 5, .turnaround_ns = 5 * T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d e f");
    t_tick(t);
    t_trace(t);
    t_up(t, 1, 1);
    t_tick(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "f:PLACED@0/RECALL");
}

Test(recall, slots_that_wait_for_a_recalled_task_are_not_free_to_others)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 1,
                              .config = {.max_prefetch_per_slot = 5, .turnaround_ns = 5 * T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d e f");
    t_tick(t);
    t_up(t, 1, 1);
    t_tick(t);
    t_trace(t);
    t_up(t, 2, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "e:PLACED@0/RECALL");
}

Test(recall, the_most_loaded_worker_gives_back_first)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 1,
                              .config = {.max_prefetch_per_slot = 3, .turnaround_ns = 3 * T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d");
    t_tick(t);
    t_up(t, 1, 1);
    t_submit(t, "e f g h");
    t_tick(t);
    t_end(t, "e f", .duration_ns = T_MS);
    t_trace(t);
    t_up(t, 2, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "d:PLACED@0/RECALL");
}

Test(recall, a_task_that_avoids_a_worker_is_not_sent_to_and_fro)
{
    struct t_farm *t = prefetching_farm(2, 1);

    t_submit(t, "a^2 b");
    t_tick(t);
    t_start(t, "b");
    t_end(t, "a", .cause = MF_CAUSE_EXIT, .duration_ns = T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2 b:RUNNING@1");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(recall, a_task_whose_last_worker_is_gone_comes_back_as_any_other)
{
    struct t_farm *t = prefetching_farm(2, 1);

    t_submit(t, "a^2 b");
    t_tick(t);
    t_start(t, "b");
    t_end(t, "a", .cause = MF_CAUSE_EXIT, .duration_ns = T_MS);
    t_tick(t);
    t_lose(t, 0);
    t_up(t, 2, 1);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2/RECALL");
}

Test(recall, what_can_go_to_no_other_worker_does_not_come_back)
{
    struct t_farm *t = prefetching_farm(2, 1);

    t_submit(t, "a@0 b@0");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(prefetch, nothing_is_sent_ahead_behind_a_long_task)
{
    struct t_farm *t =
        t_farm("", .workers = 1, .config = {.max_prefetch_per_slot = 2, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                         .spec = {.needs.n_slots = 1, .max_attempts = 1, .is_long = true}),
                 0);
    memcpy(t->names[++t->n_named], "long", 5);
    t_submit(t, "short");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "long:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 2, .attempt = 1), 0);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "short:PLACED@0");
}

/* c and d are sent ahead to 0; large waits for the slot that hog has on 1. */
Test(recall, idle_slots_get_what_was_sent_ahead_while_a_large_task_waits)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.max_prefetch_per_slot = 1, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d");
    t_tick(t);
    t_start(t, "a b");
    t_up(t, 1, 3);
    t_submit(t, "hog*2@1 large*3");
    t_trace(t);
    t_tick(t);
    t_start(t, "hog");
    cr_assert_str_eq(t_trace(t), "hog:RUNNING@1", "the free slot of worker 1 is kept");
    t_up(t, 2, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "d:PLACED@0/RECALL");
    t_return(t, "d");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "d:PLACED@2#2");
}
