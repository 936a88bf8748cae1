/*
 * Suspects: tasks that fail with the next worker that is lost under them. A worker has one at a
 * time, so that only what ends workers fails.
 */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

/* A tick that workers are told of: what they never heard of is none of their tasks. */
static void tick_and_tell(struct t_farm *t)
{
    t_tick(t);
    t_trace(t);
}

/* Worker 0 is lost twice, each time with all that has room on it, and is back. */
static struct t_farm *lose_twice(struct t_farm *t, uint32_t n_slots)
{
    for (int i = 0; i < 2; i++) {
        tick_and_tell(t);
        t_lose(t, 0);
        t_up(t, 0, n_slots);
    }
    t_trace(t);
    return t;
}

/* The present attempts of all tasks named end with the launcher of their worker. */
static void lose_launcher(struct t_farm *t, const char *names)
{
    t_end(t, names, .cause = MF_CAUSE_LAUNCHER);
}

static uint32_t committed(struct t_farm *t, mf_worker_id worker)
{
    return mf_workers_find(mf_farm_workers(t->farm), worker)->n_committed;
}

Test(suspects, of_tasks_that_are_lost_together_only_the_one_that_does_it_fails)
{
    struct t_farm *t = lose_twice(
        t_farm("a poison b c", .workers = 1, .slots = 4, .config = {.crash_limit = 3}), 4);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#3");
    t_start(t, "a");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE poison:PLACED@0#3");
    t_lose(t, 0);
    t_up(t, 0, 4);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "poison:FAILED(lost) b:PLACED@0#3");
    t_end(t, "b");
    t_tick(t);
    t_end(t, "c");
    cr_assert_str_eq(t_trace(t), "b:DONE c:DONE");
}

Test(suspects, so_it_is_with_launchers)
{
    struct t_farm *t =
        t_farm("poison a b c", .workers = 1, .slots = 4, .config = {.crash_limit = 3});

    for (int i = 0; i < 2; i++) {
        t_tick(t);
        lose_launcher(t, "a poison c b");
    }
    tick_and_tell(t);
    lose_launcher(t, "poison");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "poison:FAILED(launcher) a:PLACED@0#3");
    t_end(t, "a");
    t_tick(t);
    t_end(t, "b");
    t_tick(t);
    t_end(t, "c");
    cr_assert_str_eq(t_trace(t), "a:DONE b:DONE c:DONE");
}

Test(suspects, tasks_that_are_none_run_beside_one_and_do_not_fail_with_it)
{
    struct t_farm *t =
        lose_twice(t_farm("a b", .workers = 1, .slots = 3, .config = {.crash_limit = 3}), 3);

    t_submit(t, "c d e");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#3 c:PLACED@0 d:PLACED@0",
                     "b waits, and holds up none");
    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:FAILED(lost) c:READY(lost) d:READY(lost)");
    t_up(t, 0, 3);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0#3 c:PLACED@0#2 d:PLACED@0#2");
}

Test(suspects, each_worker_has_one)
{
    struct t_farm *t = t_farm("a b c d e", .workers = 2, .slots = 2, .config = {.crash_limit = 2});

    tick_and_tell(t);
    t_lose(t, 0);
    t_lose(t, 1);
    t_up(t, 0, 2);
    t_up(t, 1, 2);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2 b:PLACED@1#2 e:PLACED@0");
    t_lose(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:FAILED(lost)", "of the others there is one on the worker left");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE c:PLACED@0#2");
}

Test(suspects, any_number_of_them_does_not_hide_what_can_run)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 200, .config = {.crash_limit = 3});

    t_submit_many(t, 200);
    lose_twice(t, 200);
    t_submit_many(t, 1);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:PLACED@0#3 #201:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 3), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:DONE #2:PLACED@0#3");
}

Test(suspects, one_is_not_sent_ahead)
{
    struct t_farm *t =
        t_farm("", .workers = 2,
               .config = {.crash_limit = 2, .max_prefetch_per_slot = 4, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@1");
    t_lose(t, 0);
    t_trace(t);
    t_submit(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@1", "behind b, as a would be if it were none");
}

Test(suspects, one_that_was_tried_again_for_its_own_fault_still_is_one)
{
    struct t_farm *t =
        lose_twice(t_farm("a^3 b^3", .workers = 1, .slots = 2, .config = {.crash_limit = 3}), 2);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#4");
    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:FAILED(lost)");
}

Test(suspects, a_wide_one_waits_for_the_one_before_and_then_for_slots)
{
    struct t_farm *t =
        lose_twice(t_farm("a*2 b*2", .workers = 1, .slots = 4, .config = {.crash_limit = 3}), 4);

    t_submit(t, "c d e f");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#3 c:PLACED@0 d:PLACED@0");
    t_end(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:DONE e:PLACED@0", "nothing is kept free for it meanwhile");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0#3");
}

Test(suspects, a_wide_one_that_waits_for_slots_keeps_other_suspects_off_its_worker)
{
    struct t_farm *t = lose_twice(
        t_farm("a+10 b*4+10 c+20", .workers = 1, .slots = 6, .config = {.crash_limit = 3}), 6);

    t_submit(t, "d+10 e*4+10 f+20");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#3 d:PLACED@0 e:PLACED@0");
    t_end(t, "a d");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE d:DONE f:PLACED@0");
    t_end(t, "e");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "e:DONE b:PLACED@0#3");
}

Test(suspects, of_those_of_several_nodes_one_has_room_on_a_worker)
{
    struct t_farm *t = t_farm("", .config = {.crash_limit = 2});

    for (uint32_t i = 0; i < 3; i++)
        t_up_on(t, i + 1, i, 2);
    t_submit(t, "a|2 b|2 c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0+1 b:PLACED@2+0 c:PLACED@1");
    t_held(t, "a b");
    t_start(t, "a b c");
    for (uint32_t i = 0; i < 3; i++)
        t_lose(t, i);
    for (uint32_t i = 0; i < 3; i++)
        t_up_on(t, i + 1, i, 2);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1+2#2 c:PLACED@0#2");
    t_held(t, "a");
    t_end(t, "a c");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0+1#2");
}

Test(suspects, those_for_one_worker_alone_wait_for_each_other)
{
    struct t_farm *t =
        lose_twice(t_farm("a@0 b@0 c", .workers = 2, .slots = 2, .config = {.crash_limit = 3}), 2);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#3");
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0#3");
}

Test(suspects, slots_are_not_taken_from_others_where_one_is)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 2,
                              .config = {.policy = mf_policy_find("srtf"),
                                         .max_suspended_per_slot = 2,
                                         .crash_limit = 2});

    t_submit(t, "a+50 b+10");
    t_tick(t);
    t_start(t, "a b");
    t_lose(t, 0);
    t_up(t, 0, 2);
    t_submit(t, "c+100");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0#2 c:PLACED@0", "a would take the slot of c");
    t_start(t, "b c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:RUNNING@0#2 c:RUNNING@0");
}

Test(suspects, what_an_earlier_run_knows_makes_them)
{
    const struct mf_task_history history = {.n_tries = 2, .n_lost = 2};
    struct t_farm *t =
        t_farm("", .workers = 1, .slots = 4, .config = {.crash_limit = 3, .first_attempt = 2});

    for (int i = 0; i < 2; i++)
        cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                             .spec = {.needs.n_slots = 1, .max_attempts = 1}, .history = &history),
                     0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:PLACED@0#3");
}

Test(suspects, nobody_is_one_where_the_first_loss_is_the_last_or_none_is)
{
    for (uint32_t limit = 0; limit < 2; limit++) {
        struct t_farm *t =
            t_farm("a b", .workers = 1, .slots = 2, .config = {.crash_limit = limit});

        tick_and_tell(t);
        cr_assert_eq(committed(t, 0), 2);
        t_lose(t, 0);
        t_up(t, 0, 2);
        t_tick(t);
        cr_assert_eq(committed(t, 0), limit == 0 ? 2 : 0);
    }
}
