/* Tasks that need room on several nodes: all of it or none, and none of it for ever. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>

static struct t_farm *fill(struct t_farm *t, uint32_t n, uint32_t n_slots, const char *tasks)
{
    for (uint32_t i = 0; i < n; i++)
        t_up_on(t, i + 1, i, n_slots);
    t_submit(t, tasks);
    return t;
}

/* Workers 0 .. n-1 on a node each. */
static struct t_farm *farm_on_nodes(uint32_t n, uint32_t n_slots, const char *tasks)
{
    return fill(t_farm("", .workers = 0), n, n_slots, tasks);
}

/* The same, where tasks whose workers are lost do not fail. */
static struct t_farm *farm_that_strands(uint32_t n, const char *tasks)
{
    return fill(t_farm("", .config = {.stranding = MF_STRANDING_FITTED,
                                      .has_dependencies = true,
                                      .halt_when = MF_HALT_NOW,
                                      .halt_failed = 1}),
                n, 1, tasks);
}

static uint32_t committed(struct t_farm *t, mf_worker_id worker)
{
    return mf_workers_find(mf_farm_workers(t->farm), worker)->n_committed;
}

Test(span, its_worker_hears_of_it_when_all_of_its_rooms_are_held)
{
    struct t_farm *t = farm_on_nodes(3, 4, "a*2|3");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+1+2");
    cr_assert(committed(t, 0) == 2 && committed(t, 1) == 2 && committed(t, 2) == 2);
    t_held(t, "a");
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    t_start(t, "a");
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
    cr_assert(committed(t, 0) == 0 && committed(t, 1) == 0 && committed(t, 2) == 0);
}

Test(span, a_room_is_held_once_and_for_the_attempt_that_it_was_asked_for)
{
    struct t_farm *t = farm_on_nodes(2, 1, "a|2");
    struct mf_event held = {.kind = MF_EVENT_HELD, .task = 1, .attempt = 1, .worker = 1};

    t_tick(t);
    held.worker = 0;
    cr_assert_eq(t_farm_apply(t, held), MF_FARM_E_STALE);
    held.worker = 1;
    held.attempt = 2;
    cr_assert_eq(t_farm_apply(t, held), MF_FARM_E_STALE);
    held.attempt = 1;
    cr_assert_eq(t_farm_apply(t, held), 0);
    cr_assert_eq(t_farm_apply(t, held), MF_FARM_E_STALE);
    held.worker = 7;
    cr_assert_eq(t_farm_apply(t, held), -EINVAL);
}

Test(span, two_workers_of_one_node_are_not_two_nodes)
{
    struct t_farm *t = farm_on_nodes(2, 1, "");

    t_up_on(t, 1, 2, 1);
    t_submit(t, "a|2 b|2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+1");
    t_held(t, "a");
    t_end(t, "a");
    t_tick(t);
    t_submit(t, "c|3");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0+1 c:FAILED(unfit)");
}

Test(span, two_run_side_by_side_on_nodes_of_their_own)
{
    struct t_farm *t = farm_on_nodes(4, 2, "a*2|2 b*2|2 c*2|2");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+1 b:PLACED@2+3");
}

Test(span, all_of_its_rooms_are_booked_or_none)
{
    struct t_farm *t = farm_on_nodes(2, 2, "small big*2|2");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "small:PLACED@0");
    cr_assert_eq(committed(t, 1), 0);
    t_end(t, "small");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "small:DONE big:PLACED@0+1");
}

Test(span, small_tasks_without_end_do_not_starve_one_of_several_nodes)
{
    struct t_farm *t = farm_on_nodes(2, 2, "a+10 b+10 c+10 d+10 big*2|2+10");

    t_tick(t);
    t_start(t, "a b c d");
    t_submit_many(t, 50);
    t_trace(t);
    t_wait(t, 10 * T_MS);
    t_end(t, "a c", .duration_ns = 10 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE c:DONE");
    t_end(t, "b d", .duration_ns = 10 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE d:DONE big:PLACED@0+1");
}

Test(span, what_ends_before_the_last_of_its_rooms_is_free_goes_ahead_of_it)
{
    struct t_farm *t = farm_on_nodes(2, 2, "long*2+20 big*2|2+10 short+5 longer+30");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "long:PLACED@0 short:PLACED@1");
}

Test(span, a_lost_worker_that_has_a_part_ends_the_attempt_uncharged)
{
    struct t_farm *t = farm_on_nodes(3, 1, "a|2");

    t_tick(t);
    t_held(t, "a");
    t_start(t, "a");
    t_trace(t);
    t_lose(t, 1);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(lost)");
    t_end(t, "a", .cause = MF_CAUSE_LOST);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+2#2");
    cr_assert(t_task(t, "a")->tries == 1 && t_task(t, "a")->charged == 0);
}

Test(span, a_worker_that_is_lost_before_the_others_hold_their_rooms_costs_no_try)
{
    struct t_farm *t = farm_on_nodes(4, 1, "a|3");

    t_tick(t);
    t_lose(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+2+3#2");
    t_lose(t, 0);
    cr_assert_eq(t_task(t, "a")->tries, 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit)");
}

Test(span, the_loss_of_the_worker_that_runs_it_gives_the_other_rooms_back)
{
    struct t_farm *t = farm_on_nodes(3, 1, "a|2 b");

    t_tick(t);
    t_held(t, "a");
    t_start(t, "a");
    t_lose(t, 0);
    cr_assert_eq(committed(t, 1), 0);
    t_end(t, "b");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1+2#2");
}

Test(span, one_that_gathers_is_cancelled_at_once)
{
    struct t_farm *t = farm_on_nodes(2, 1, "a|2");

    t_tick(t);
    t_cancel(t, "a");
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
    cr_assert(committed(t, 0) == 0 && committed(t, 1) == 0);
}

Test(span, a_stop_takes_back_what_gathers)
{
    struct t_farm *soon = farm_on_nodes(2, 1, "a|2"), *now = farm_on_nodes(2, 1, "a|2");

    t_tick(soon);
    t_stop(soon, MF_STOP_SOON);
    cr_assert_str_eq(t_trace(soon), "a:READY");
    t_tick(now);
    t_stop(now, MF_STOP_NOW);
    cr_assert_str_eq(t_trace(now), "a:CANCELLED(stopped)");
    cr_assert(mf_farm_is_finished(soon->farm) && mf_farm_is_finished(now->farm));
}

Test(span, a_worker_that_drains_keeps_the_room_of_what_runs_and_leaves_then)
{
    struct t_farm *t = farm_on_nodes(4, 1, "a|2 b|2");
    const struct mf_worker *first, *second;

    t_tick(t);
    t_held(t, "a");
    t_start(t, "a");
    first = mf_workers_find(mf_farm_workers(t->farm), 1);
    second = mf_workers_find(mf_farm_workers(t->farm), 3);
    t_trace(t);
    t_drain(t, 1);
    cr_assert_eq(first->state, MF_WORKER_DRAINING);
    t_drain(t, 3);
    cr_assert_eq(second->state, MF_WORKER_GONE, "it only gathered");
    cr_assert_str_eq(t_trace(t), "b:READY");
    t_end(t, "a");
    cr_assert_eq(first->state, MF_WORKER_GONE);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0+2#2");
}

Test(span, one_that_failed_goes_to_other_nodes_if_there_are_enough)
{
    struct t_farm *t = farm_on_nodes(3, 1, "a|2^2");

    t_tick(t);
    t_held(t, "a");
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1+2#2");
}

Test(span, a_node_in_quarantine_is_let_out_for_one_that_needs_it)
{
    struct t_farm *t = t_farm("", .config.quarantine = 1);

    for (mf_worker_id i = 0; i < 2; i++)
        t_up_on(t, i + 1, i, 1);
    t_submit(t, "a^9 b");
    t_tick(t);
    t_end(t, "b");
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    t_end(t, "a");
    cr_assert_eq(mf_farm_workers(t->farm)->n_quarantined, 1);
    t_trace(t);
    t_submit(t, "big|2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "big:PLACED@0+1");
    cr_assert_eq(mf_farm_workers(t->farm)->n_quarantined, 0);
}

Test(span, more_nodes_than_there_are_can_never_be_had)
{
    struct t_farm *t = farm_on_nodes(2, 1, "a|3");
    struct mf_needs largest = mf_workers_largest(mf_farm_workers(t->farm));
    const struct mf_needs needs = {.n_slots = 1, .n_nodes = 3};
    char text[160];

    cr_assert(mf_needs_exceed(&needs, &largest));
    mf_needs_explain(&needs, &largest, text, sizeof(text));
    cr_assert_str_eq(text, "needs 3 nodes, and the run has 2");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit)");
}

Test(span, what_a_policy_that_preempts_could_not_stop_is_refused)
{
    struct t_farm *t = t_farm("", .workers = 2, .config.policy = mf_policy_find("rr"));

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                         .spec = {.needs = {.n_slots = 1, .n_nodes = 2}, .max_attempts = 1}),
                 -EINVAL);
}

/* --- tasks whose nodes are lost --- */

Test(span, one_that_lacks_nodes_that_were_lost_is_left_and_those_behind_it_run)
{
    struct t_farm *t = farm_that_strands(3, "a|3 b|2 c d<a");

    t_lose(t, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0+1");
    t_held(t, "b");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE c:PLACED@0");
    cr_assert_eq(mf_farm_n_stranded(t->farm), 1);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_READY], 1);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_WAITING], 1);
    cr_assert_eq(mf_farm_stopping(t->farm), MF_STOP_NONE);
}

Test(span, one_that_lacks_nodes_runs_once_there_are_enough_again)
{
    struct t_farm *t = farm_that_strands(2, "a|2");

    t_lose(t, 1);
    t_tick(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_up_on(t, 2, 1, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+1");
    cr_assert_eq(mf_farm_n_stranded(t->farm), 0);
}

Test(span, one_that_was_running_on_nodes_that_are_lost_is_left_too)
{
    struct t_farm *t = farm_that_strands(2, "a|2");

    t_tick(t);
    t_held(t, "a");
    t_start(t, "a");
    t_lose(t, 0);
    t_tick(t);
    cr_assert_eq(mf_farm_n_stranded(t->farm), 1);
    cr_assert_eq(t_task(t, "a")->charged, 0);
    t_cancel(t, "a");
    t_trace(t);
    cr_assert_eq(mf_farm_n_stranded(t->farm), 0);
}

Test(span, one_that_never_could_be_run_fails_also_after_a_loss)
{
    struct t_farm *t = farm_that_strands(3, "a|4");

    t_lose(t, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit)");
}

Test(span, two_lost_workers_of_one_node_were_one_node)
{
    struct t_farm *t = farm_that_strands(1, "");

    t_up_on(t, 2, 1, 1);
    t_up_on(t, 2, 2, 1);
    t_lose(t, 1);
    t_lose(t, 2);
    t_submit(t, "a|3");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit)");
}

Test(span, a_farm_that_begins_after_the_loss_fails_none_if_all_are_known_to_have_fitted)
{
    struct t_farm *t = fill(t_farm("", .config.stranding = MF_STRANDING_ALL), 1, 1, "a|2 b*4 c");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
    cr_assert_eq(mf_farm_n_stranded(t->farm), 2);
}
