/* What may go ahead of a task that has to wait: backfilling, and run-wide countables. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <string.h>

Test(backfill, what_ends_before_the_large_task_can_start_goes_ahead_of_it)
{
    struct t_farm *t = t_farm("long+10 large*2+5 short+3 longer+20", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "long");
    cr_assert_str_eq(t_trace(t), "long:RUNNING@0 short:PLACED@0");
    t_end(t, "short");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "short:DONE");
    t_end(t, "long");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "long:DONE large:PLACED@0");
    t_end(t, "large");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:DONE longer:PLACED@0");
}

Test(backfill, what_nobody_knows_the_run_time_of_does_not_delay_the_large_task)
{
    struct t_farm *t = t_farm("a+10 large*2+5 b", .workers = 1, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}

Test(backfill, slots_that_the_large_task_leaves_are_free_for_all)
{
    struct t_farm *t = t_farm("a*2+10 large*3+5 b c", .workers = 1, .slots = 4);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
}

Test(backfill, other_workers_are_free_for_all)
{
    struct t_farm *t = t_farm("a+10 b+20 large*2 c d e", .workers = 2, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1 c:PLACED@1");
    t_end(t, "b c");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:PLACED@1 d:PLACED@0");
}

Test(backfill, small_tasks_without_end_do_not_starve_a_large_one)
{
    struct t_farm *t = t_farm("a b large*2", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a b");
    for (int i = 0; i < 20; i++)
        t_submit_many(t, 5);
    t_trace(t);
    t_wait(t, 20 * T_MS);
    t_end(t, "a", .duration_ns = 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE large:PLACED@0");
}

/* A worker of two slots that has a and b, and c sent ahead. */
static struct t_farm *farm_with_one_sent_ahead(const char *last)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.policy = &mf_policy_priority,
                                         .max_prefetch_per_slot = 1,
                                         .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c");
    t_tick(t);
    t_start(t, "a b");
    t_trace(t);
    t_submit(t, last);
    t_tick(t);
    return t;
}

Test(backfill, what_was_sent_ahead_and_goes_after_a_large_task_comes_back)
{
    struct t_farm *t = farm_with_one_sent_ahead("large*2!1 d");

    cr_assert_str_eq(t_trace(t), "c:PLACED@0/RECALL");
    t_return(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:READY");
    t_end(t, "a b");
    t_trace(t);
    t_tick(t);
    cr_assert_eq(t_task(t, "large")->state, MF_TASK_PLACED);
}

Test(backfill, what_was_sent_ahead_and_goes_before_a_large_task_stays)
{
    struct t_farm *t = farm_with_one_sent_ahead("large*2 d");

    cr_assert_str_eq(t_trace(t), "");
}

/* c has waited as long as adds ten to its priority. */
Test(backfill, what_was_sent_ahead_keeps_what_it_gained_by_waiting)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.policy = &mf_policy_priority,
                                         .policy_settings.ageing_window_ns = 10 * T_MS,
                                         .max_prefetch_per_slot = 1,
                                         .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c");
    t_tick(t);
    t_start(t, "a b");
    t_wait(t, 1000 * T_MS);
    t_trace(t);
    t_submit(t, "large*2!5 d");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(backfill, a_reservation_moves_on_when_its_worker_is_lost)
{
    struct t_farm *t = t_farm("a+10 b+20 large*2", .workers = 2, .slots = 2);

    t_tick(t);
    t_trace(t);
    t_lose(t, 0);
    t_submit(t, "c+50");
    t_tick(t);
    t_end(t, "b");
    t_trace(t);
    t_tick(t);
    t_end(t, "a");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:PLACED@1");
}

/* Worker 0 is where it failed, and 1 is kept for the large task: that leaves 2. */
Test(backfill, a_retried_task_goes_to_a_third_worker_while_another_one_is_kept)
{
    struct t_farm *t = t_farm("a@0+90 b@1+10 c@2+90 large*4+5 again^2", .workers = 3, .slots = 4);

    t_tick(t);
    cr_assert_eq(t_task(t, "again")->worker, 0);
    t_end(t, "again", .cause = MF_CAUSE_EXIT);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "again:PLACED@2#2");
}

Test(backfill, a_task_for_the_kept_worker_alone_does_not_delay_the_large_one)
{
    struct t_farm *t = t_farm("long+10 large*2+5 slow@0+50 short@0+3", .workers = 1, .slots = 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "long:PLACED@0 short:PLACED@0");
    t_end(t, "long short");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:PLACED@0");
}

Test(backfill, tasks_for_the_kept_worker_alone_share_what_the_large_one_leaves)
{
    struct t_farm *t = t_farm("long*2+10 large*3+5 a@0+50 b@0+50", .workers = 1, .slots = 4);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "long:PLACED@0 a:PLACED@0");
}

Test(backfill, a_large_task_for_one_worker_alone_is_not_starved_there)
{
    struct t_farm *t = t_farm("a b", .workers = 2, .slots = 2);

    t_tick(t);
    t_submit(t, "large@0*2 c d e f");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@1");
    t_end(t, "a");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:PLACED@0");
}

/* Submits n tasks of priority 1 without names. */
static void submit_in_front(struct t_farm *t, int n, struct mf_task_spec spec)
{
    spec.priority = 1;
    spec.max_attempts = 1;
    for (int i = 0; i < n; i++)
        cr_assert_eq(mf_farm_apply(t->farm, &(struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                                               .now_ns = t->now_ns,
                                                               .spec = spec}),
                     0);
}

/* A tick, and those that it says are due at once. */
static void tick_on(struct t_farm *t)
{
    do
        t_tick(t);
    while (mf_farm_next_tick_ns(t->farm) <= t->now_ns);
}

static const struct mf_farm_config by_priority = {.policy = &mf_policy_priority};

Test(backfill, thousands_that_fit_nowhere_do_not_hide_what_is_behind_them)
{
    struct t_farm *t = t_farm("small a!2", .workers = 2, .slots = 2, .config = by_priority);

    t_submit(t, "b@1!2");
    submit_in_front(t, 3000, (struct mf_task_spec){.needs = {.n_slots = 2}});
    tick_on(t);
    cr_assert_eq(t_task(t, "small")->state, MF_TASK_PLACED);
    t_end(t, "a");
    tick_on(t);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_PLACED], 3, "the first of the large ones is next");
}

Test(backfill, thousands_that_would_delay_a_large_task_do_not_hide_a_short_one)
{
    struct t_farm *t =
        t_farm("short+3 a!3+10 large*2!2+5", .workers = 1, .slots = 2, .config = by_priority);

    submit_in_front(t, 3000,
                    (struct mf_task_spec){.needs = {.n_slots = 1}, .estimate_ns = 99 * T_MS});
    tick_on(t);
    cr_assert_eq(t_task(t, "short")->state, MF_TASK_PLACED);
}

Test(backfill, thousands_for_one_busy_worker_do_not_hide_what_another_could_run)
{
    struct t_farm *t = t_farm("any a@0!2", .workers = 2, .config = by_priority);

    submit_in_front(t, 3000, (struct mf_task_spec){.needs = {.n_slots = 1}, .has_target = true});
    tick_on(t);
    cr_assert_eq(t_task(t, "any")->worker, 1);
}

Test(backfill, thousands_that_avoid_the_free_worker_do_not_hide_what_it_could_run)
{
    struct t_farm *t = t_farm("any a@1!2", .workers = 2, .config = by_priority);

    submit_in_front(t, 3000, (struct mf_task_spec){.needs = {.n_slots = 1}, .has_avoid = true});
    tick_on(t);
    cr_assert_eq(t_task(t, "any")->worker, 0);
}

Test(backfill, of_tasks_that_need_about_as_much_memory_those_that_fit_are_found)
{
    struct t_farm *t = t_farm("", .config = by_priority);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .has = {.n_slots = 4, .mem_bytes = 200}),
                 0);
    t_submit(t, "a");
    submit_in_front(t, 1, (struct mf_task_spec){.needs = {.n_slots = 1, .mem_bytes = 100}});
    submit_in_front(t, 3, (struct mf_task_spec){.needs = {.n_slots = 1, .mem_bytes = 127}});
    submit_in_front(t, 1, (struct mf_task_spec){.needs = {.n_slots = 1, .mem_bytes = 70}});
    tick_on(t);
    cr_assert_eq(mf_farm_find(t->farm, 2)->state, MF_TASK_PLACED);
    cr_assert_eq(mf_farm_find(t->farm, 3)->state, MF_TASK_READY);
    cr_assert_eq(mf_farm_find(t->farm, 6)->state, MF_TASK_PLACED);
}

Test(backfill, tasks_that_stand_aside_can_be_cancelled_and_keep_their_order)
{
    struct t_farm *t = t_farm("a b*2 c*2 d*2", .workers = 1, .slots = 2);

    t_tick(t);
    t_cancel(t, "b");
    t_end(t, "a");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
    t_cancel(t, "d");
    cr_assert_str_eq(t_trace(t), "d:CANCELLED(stopped)");
}

/* --- countables --- */

Test(countables, a_task_that_lacks_one_does_not_hold_up_others)
{
    struct t_farm *t = t_farm("a$1 b$1 c", .workers = 1, .slots = 4, .config = {.countables = {1}});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 c:PLACED@0");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0");
}

Test(countables, a_task_that_needs_many_is_not_starved_by_those_that_need_few)
{
    struct t_farm *t =
        t_farm("a$1 b$1 many$2", .workers = 1, .slots = 8, .config = {.countables = {2}});

    t_tick(t);
    t_trace(t);
    t_submit(t, "c$1 d$1");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE many:PLACED@0");
    t_end(t, "many");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "many:DONE c:PLACED@0 d:PLACED@0");
}

Test(countables, a_task_that_needs_more_than_there_are_fails_at_once)
{
    struct t_farm *t = t_farm("a$3 b", .workers = 1, .config = {.countables = {2}});

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:FAILED(unfit) b:PLACED@0");
}

Test(countables, hundreds_that_lack_one_do_not_hide_those_behind_them)
{
    struct t_farm *t = t_farm("holder$1", .workers = 1, .slots = 4, .config = {.countables = {1}});

    t_tick(t);
    t_trace(t);
    for (int i = 0; i < 200; i++)
        cr_assert_eq(
            t_apply(t, .kind = MF_EVENT_SUBMITTED,
                    .spec = {.needs = {.n_slots = 1, .countables = {1}}, .max_attempts = 1}),
            0);
    t->n_named += 200;
    t_submit(t, "free");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "free:PLACED@0");
}

Test(countables, what_a_lost_worker_held_is_free_again)
{
    struct t_farm *t = t_farm("a$1 b$1", .workers = 2, .config = {.countables = {1}});

    t_tick(t);
    t_trace(t);
    t_lose(t, 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(countables, a_parked_task_can_be_cancelled)
{
    struct t_farm *t = t_farm("a$1 b$1", .workers = 1, .slots = 2, .config = {.countables = {1}});

    t_tick(t);
    t_trace(t);
    t_cancel(t, "b");
    cr_assert_str_eq(t_trace(t), "b:CANCELLED(stopped)");
}

/* As short tasks really are: over before anybody hears that they have started. */
Test(backfill, short_tasks_that_are_never_known_to_run_do_not_starve_a_large_one)
{
    struct t_farm *t = t_farm("a+5 b+5", .workers = 1, .slots = 2);

    t_tick(t);
    t_submit(t, "large*2 c+5 d+5 e+5 f+5");
    t_trace(t);
    t_wait(t, 5 * T_MS);
    t_end(t, "a", .duration_ns = 5 * T_MS);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_end(t, "b", .duration_ns = 5 * T_MS);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "large:PLACED@0");
}

Test(backfill, more_is_not_placed_than_the_large_task_leaves_when_nobody_knows_when_it_starts)
{
    struct t_farm *t = t_farm("unknown*2 large*3 a+9 b+9", .workers = 1, .slots = 4);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "unknown:PLACED@0 a:PLACED@0");
}

static void submit_needs(struct t_farm *t, const char *name, uint32_t first, uint32_t second)
{
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                         .spec = {.needs = {.n_slots = 1, .countables = {first, second}},
                                  .max_attempts = 1}),
                 0);
    memcpy(t->names[++t->n_named], name, strlen(name) + 1);
}

Test(countables, a_task_that_needs_two_is_not_starved_by_those_that_need_one_of_them)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 8, .config = {.countables = {1, 1}});

    submit_needs(t, "u", 1, 0);
    submit_needs(t, "v", 0, 1);
    submit_needs(t, "both", 1, 1);
    submit_needs(t, "u2", 1, 0);
    submit_needs(t, "v2", 0, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "u:PLACED@0 v:PLACED@0");
    t_end(t, "v");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_end(t, "u");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "both:PLACED@0");
}

Test(countables, nothing_that_needs_one_is_sent_ahead)
{
    struct t_farm *t =
        t_farm("", .workers = 1,
               .config = {.countables = {1}, .max_prefetch_per_slot = 1, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b$1");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}
