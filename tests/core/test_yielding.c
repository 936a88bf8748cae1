/* Tasks that are suspended where they let that happen: who has the slots until then, and after. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>

#define QUANTUM (100 * T_MS)

static struct mf_farm_config config_of(const struct mf_policy *policy)
{
    return (struct mf_farm_config){.policy = policy,
                                   .policy_settings.quantum_ns = QUANTUM,
                                   .max_suspended_per_slot = 15,
                                   .crash_limit = 2};
}

/* One slot, whose task a was asked to yield it to the short task b. */
static struct t_farm *farm_with_asked(void)
{
    struct t_farm *t = t_farm("a+1000&", .workers = 1, .config = config_of(&mf_policy_srtf));

    t_tick(t);
    t_start(t, "a");
    t_submit(t, "b+10");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/YIELD");
    return t;
}

Test(yielding, a_task_keeps_its_slot_until_it_has_yielded)
{
    struct t_farm *t = farm_with_asked();

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_suspended(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 b:PLACED@0");
    t_start(t, "b");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:SUSPENDED@0/CONTINUE");
    t_continued(t, "a");
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0");
}

Test(yielding, one_that_never_yields_runs_to_its_end)
{
    struct t_farm *t = farm_with_asked();

    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0");
}

Test(yielding, who_gets_the_slot_is_decided_when_it_is_free)
{
    struct t_farm *t = farm_with_asked();

    t_submit(t, "c+5");
    t_suspended(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 c:PLACED@0");
}

Test(yielding, as_many_are_asked_as_slots_are_needed)
{
    struct t_farm *t =
        t_farm("a+1000& b+2000&", .workers = 1, .slots = 2, .config = config_of(&mf_policy_srtf));

    t_tick(t);
    t_start(t, "a b");
    t_submit(t, "c+10");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:RUNNING@0/YIELD");
    t_submit(t, "d+20 e+30");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/YIELD");
    t_suspended(t, "a b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 b:SUSPENDED@0 c:PLACED@0 d:PLACED@0");
}

Test(yielding, when_one_does_not_yield_for_long_another_is_asked)
{
    struct t_farm *t =
        t_farm("a+9000& b+8000", .workers = 1, .slots = 2, .config = config_of(&mf_policy_srtf));

    t_tick(t);
    t_start(t, "a b");
    t_submit(t, "c+10");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/YIELD");
    t_wait(t, 2000 * T_MS);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:RUNNING@0/SUSPEND c:PLACED@0");
}

Test(yielding, under_rr_a_task_gets_in_line_when_it_yields)
{
    struct t_farm *t = t_farm("a& b&", .workers = 1, .config = config_of(&mf_policy_rr));

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_wait(t, QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/YIELD");
    t_wait(t, QUANTUM);
    t_tick(t);
    t_apply(t, .kind = MF_EVENT_SUSPENDED, .task = t_id(t, "a"), .attempt = 1,
            .duration_ns = 2 * QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 b:PLACED@0");
    cr_assert_eq(t_task(t, "a")->ran_ns, 2 * QUANTUM);
}

Test(yielding, one_that_was_asked_and_is_cancelled_is_ended_where_it_is)
{
    struct t_farm *t = farm_with_asked();

    t_apply(t, .kind = MF_EVENT_CANCEL, .task = t_id(t, "a"));
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(stopped)");
    /* It yielded before it heard of that. */
    t_suspended(t, "a");
    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_STOPPED);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped) b:PLACED@0");
}

Test(yielding, a_time_limit_goes_on_for_one_that_was_asked)
{
    struct mf_farm_config config = config_of(&mf_policy_rr);
    struct t_farm *t;

    config.timeout_factor = 2;
    t = t_farm("", .workers = 1, .config = config);
    for (int i = 0; i < 3; i++)
        t_run_one(t, 2 * QUANTUM);
    t_submit(t, "a& b&");
    t_tick(t);
    t_start(t, "a");
    t_wait(t, QUANTUM);
    t_tick(t);
    t_trace(t);
    t_wait(t, 3 * QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(timeout)");
}

Test(yielding, one_that_was_asked_on_a_lost_worker_begins_anew)
{
    struct t_farm *t = farm_with_asked();

    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:READY(lost)");
    t_up(t, 1, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@1 a:PLACED@1#2");
}
