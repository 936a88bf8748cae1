/* Workers and nodes that spoil what they get. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define S (1000 * T_MS)

/* When a worker in quarantine gets its first probe. */
#define PROBE_NS (15 * S)

static enum mf_worker_state state_of(struct t_farm *t, mf_worker_id worker)
{
    return mf_workers_find(mf_farm_workers(t->farm), worker)->state;
}

/* A new task for one worker, which ends there at once. */
static void end_on(struct t_farm *t, mf_worker_id worker, enum mf_cause cause)
{
    char name[32];

    snprintf(name, sizeof(name), "e%d@%u", (int)t->n_named, worker);
    t_submit(t, name);
    *strchr(name, '@') = '\0';
    t_tick(t);
    t_start(t, name);
    t_end(t, name, .cause = cause);
    t_trace(t);
}

/* A new task that fails on worker 0 and then succeeds where it goes next. */
static void fail_and_succeed_elsewhere(struct t_farm *t)
{
    char name[16];

    snprintf(name, sizeof(name), "t%d^2", (int)t->n_named);
    t_submit(t, name);
    *strchr(name, '^') = '\0';
    t_tick(t);
    cr_assert_eq(t_task(t, name)->worker, 0);
    t_end(t, name, .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_neq(t_task(t, name)->worker, 0);
    t_end(t, name);
    t_trace(t);
}

Test(quarantine, a_worker_whose_failures_succeed_elsewhere_gets_no_more)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 3});

    for (int i = 0; i < 3; i++) {
        cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
        fail_and_succeed_elsewhere(t);
    }
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
    cr_assert_eq(t_counts(t).quarantined, 1);
    t_submit(t, "a b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1");
}

Test(quarantine, what_succeeds_there_speaks_for_a_worker)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 3});

    for (int i = 0; i < 10; i++) {
        fail_and_succeed_elsewhere(t);
        end_on(t, 0, MF_CAUSE_NONE);
    }
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
}

Test(quarantine, a_task_that_fails_everywhere_speaks_against_nobody)
{
    struct t_farm *t = t_farm("", .workers = 4, .config = {.quarantine = 1});

    for (int i = 0; i < 40; i++)
        end_on(t, (mf_worker_id)(i % 4), MF_CAUSE_EXIT);
    for (mf_worker_id i = 0; i < 4; i++)
        cr_assert_eq(state_of(t, i), MF_WORKER_UP);
}

Test(quarantine, a_worker_that_ends_everything_at_once_while_others_do_well_gets_no_more)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 3});

    for (int i = 0; i < 6; i++) {
        end_on(t, 0, MF_CAUSE_START);
        end_on(t, 1, MF_CAUSE_NONE);
    }
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    end_on(t, 0, MF_CAUSE_START);
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
}

Test(quarantine, it_is_noticed_while_all_others_run_tasks_that_take_long)
{
    struct t_farm *t = t_farm("a@1 b@2", .workers = 3, .config = {.quarantine = 2});

    t_tick(t);
    t_start(t, "a b");
    t_wait(t, S);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
        end_on(t, 0, MF_CAUSE_EXIT);
    }
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
}

Test(quarantine, what_was_sent_there_and_not_started_is_asked_back)
{
    struct t_farm *t = t_farm("x^2", .workers = 2, .slots = 2, .config = {.quarantine = 1});

    t_tick(t);
    t_end(t, "x", .cause = MF_CAUSE_EXIT);
    t_submit(t, "y@0");
    t_tick(t);
    t_trace(t);
    t_end(t, "x");
    cr_assert_str_eq(t_trace(t), "y:PLACED@0/RECALL x:DONE");
}

Test(quarantine, a_whole_node_that_fails_what_succeeds_elsewhere_gets_no_more)
{
    struct t_farm *t = t_farm("", .config = {.quarantine = 4});

    for (mf_worker_id i = 0; i < 4; i++)
        t_up_on(t, 1 + i / 2, i, 1);
    for (int i = 0; i < 4; i++) {
        mf_worker_id worker = (mf_worker_id)(i % 2);
        mf_task_id id;

        cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
        t_apply(t, .kind = MF_EVENT_SUBMITTED,
                .spec = {
                    .needs.n_slots = 1, .max_attempts = 2, .has_avoid = true, .avoid = 1 - worker});
        id = mf_farm_last_id(t->farm);
        t_tick(t);
        cr_assert_eq(mf_farm_find(t->farm, id)->worker, worker);
        t_apply(t, .kind = MF_EVENT_ENDED, .task = id, .attempt = 1, .worker = worker,
                .cause = MF_CAUSE_EXIT);
        t_tick(t);
        t_apply(t, .kind = MF_EVENT_ENDED, .task = id, .attempt = 2,
                .worker = mf_farm_find(t->farm, id)->worker);
        t_trace(t);
    }
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
    cr_assert_eq(state_of(t, 1), MF_WORKER_QUARANTINED);
    cr_assert_eq(t_counts(t).quarantined, 2);
}

/* --- limits of it --- */

Test(quarantine, at_most_half_of_the_workers_are_there_at_a_time)
{
    struct t_farm *t = t_farm("", .workers = 1, .config = {.quarantine = 1});

    for (int i = 0; i < 20; i++)
        end_on(t, 0, MF_CAUSE_EXIT);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
}

Test(quarantine, a_worker_without_which_some_task_could_not_run_stays)
{
    struct t_farm *t = t_farm("", .config = {.quarantine = 1});

    t_up(t, 0, 4);
    t_up(t, 1, 1);
    t_up(t, 2, 1);
    fail_and_succeed_elsewhere(t);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
}

Test(quarantine, it_ends_when_the_others_are_gone)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
    t_lose(t, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    cr_assert_eq(t_counts(t).quarantined, 2);
}

Test(quarantine, tasks_for_that_worker_alone_still_go_there)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a@0");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}

Test(quarantine, without_a_limit_there_is_none)
{
    struct t_farm *t = t_farm("", .workers = 2);

    for (int i = 0; i < 20; i++)
        fail_and_succeed_elsewhere(t);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
}

Test(quarantine, a_worker_that_was_lost_is_there_still_when_it_is_back)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_up(t, 2, 1);
    t_lose(t, 0);
    t_up(t, 0, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
    t_submit(t, "a b c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1 b:PLACED@2");
    t_wait(t, PROBE_NS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
    t_end(t, "c");
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    t_lose(t, 0);
    t_up(t, 0, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
}

Test(quarantine, one_that_is_needed_when_it_is_back_is_let_out_and_counted)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_lose(t, 0);
    t_lose(t, 1);
    t_up(t, 0, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    cr_assert_eq(t_counts(t).quarantined, 2);
}

/* --- probes --- */

Test(quarantine, a_probe_that_succeeds_ends_it)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a b c");
    t_tick(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + PROBE_NS);
    t_wait(t, PROBE_NS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1 b:PLACED@0");
    cr_assert(t_task(t, "b")->is_probe);
    t_end(t, "b");
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE c:PLACED@0");
}

Test(quarantine, what_should_run_beyond_the_end_of_the_allocation_is_no_probe)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a+50 b+10");
    t_wait(t, PROBE_NS);
    t_apply(t, .kind = MF_EVENT_WALLTIME, .end_ns = t->now_ns + 20 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0");
    cr_assert(t_task(t, "b")->is_probe);
    cr_assert_eq(mf_farm_n_late(t->farm), 1);
}

Test(quarantine, a_probe_that_fails_is_not_charged_and_the_next_one_comes_later)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a b c");
    t_wait(t, PROBE_NS);
    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "a:READY(exit)");
    cr_assert_eq(t_task(t, "a")->charged, 0);
    t_wait(t, PROBE_NS);
    t_tick(t);
    cr_assert_eq(state_of(t, 0), MF_WORKER_QUARANTINED);
    cr_assert_str_eq(t_trace(t), "", "it is not time yet");
    t_wait(t, PROBE_NS);
    t_submit(t, "d!9");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE c:PLACED@0 a:PLACED@1#2",
                     "not one that has failed before");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE d:PLACED@1");
}

Test(quarantine, a_probe_on_a_worker_that_is_needed_meanwhile_is_a_task_as_any_other)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a b");
    t_wait(t, PROBE_NS);
    t_tick(t);
    cr_assert(t_task(t, "a")->is_probe);
    t_lose(t, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    cr_assert_not(t_task(t, "a")->is_probe);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(t_task(t, "a")->charged, 1);
}

Test(quarantine, so_is_one_on_a_worker_that_is_drained_and_called_back)
{
    struct t_farm *t = t_farm("", .workers = 2, .config = {.quarantine = 1});

    fail_and_succeed_elsewhere(t);
    t_submit(t, "a b");
    t_wait(t, PROBE_NS);
    t_tick(t);
    t_start(t, "a");
    cr_assert(t_task(t, "a")->is_probe);
    t_drain(t, 0);
    t_up(t, 0, 1);
    cr_assert_eq(state_of(t, 0), MF_WORKER_UP);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(t_task(t, "a")->charged, 1);
}

Test(quarantine, any_task_that_fits_there_can_be_the_probe)
{
    struct t_farm *t = t_farm("", .config = {.quarantine = 1});

    t_up(t, 0, 1);
    t_up(t, 1, 2);
    fail_and_succeed_elsewhere(t);
    t_submit(t, "a*2 b*2 c*2 d");
    t_wait(t, PROBE_NS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "d:PLACED@0 a:PLACED@1");
    cr_assert(t_task(t, "d")->is_probe);
}

/* Tasks of so many slots, without names. */
static void submit_alike(struct t_farm *t, uint32_t n_slots, int n)
{
    for (int i = 0; i < n; i++)
        t_apply(t, .kind = MF_EVENT_SUBMITTED,
                .spec = {.needs.n_slots = n_slots, .max_attempts = 1});
}

Test(quarantine, a_probe_is_looked_for_among_many_tasks_a_few_at_a_time)
{
    struct t_farm *t = t_farm("", .config = {.quarantine = 1});
    int n_ticks = 0;

    t_up(t, 0, 1);
    t_up(t, 1, 2);
    fail_and_succeed_elsewhere(t);
    submit_alike(t, 2, 2500);
    t_wait(t, PROBE_NS);
    for (; mf_farm_next_tick_ns(t->farm) <= t->now_ns; n_ticks++)
        t_tick(t);
    cr_assert_eq(n_ticks, 3, "one for each thousand");
    cr_assert_str_eq(t_trace(t), "#2:PLACED@1");
    submit_alike(t, 1, 1);
    t_wait(t, mf_farm_next_tick_ns(t->farm) - t->now_ns);
    for (n_ticks = 0; mf_farm_find(t->farm, 2502)->state == MF_TASK_READY; n_ticks++)
        t_tick(t);
    cr_assert_eq(n_ticks, 3);
    cr_assert_eq(mf_farm_find(t->farm, 2502)->worker, 0);
}
