/* Tasks that are suspended and go on: who has slots, what is kept, and how it ends. */
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

/* One slot, on which the long task a was stopped for the short task b. */
static struct t_farm *farm_with_suspended(void)
{
    struct t_farm *t = t_farm("a+1000", .workers = 1, .config = config_of(&mf_policy_srtf));

    t_tick(t);
    t_start(t, "a");
    t_submit(t, "b+10");
    t_tick(t);
    t_suspended(t, "a");
    t_start(t, "b");
    t_trace(t);
    return t;
}

Test(suspending, a_short_task_takes_the_slot_of_a_long_one_which_goes_on_behind_it)
{
    struct t_farm *t = t_farm("a+1000", .workers = 1, .config = config_of(&mf_policy_srtf));

    t_tick(t);
    t_start(t, "a");
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0");
    t_submit(t, "b+10");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/SUSPEND b:PLACED@0");
    t_suspended(t, "a");
    t_start(t, "b");
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 b:RUNNING@0");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:SUSPENDED@0/CONTINUE");
    t_continued(t, "a");
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(suspending, a_task_that_is_no_command_runs_on)
{
    struct t_farm *t = t_farm("", .workers = 1, .config = config_of(&mf_policy_srtf));

    t_apply(t, .kind = MF_EVENT_SUBMITTED,
            .spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = 1000 * T_MS});
    t_tick(t);
    t_apply(t, .kind = MF_EVENT_STARTED, .task = 1, .attempt = 1);
    t_trace(t);
    t_apply(t, .kind = MF_EVENT_SUBMITTED,
            .spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = T_MS});
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
}

Test(suspending, a_task_whose_turn_is_over_while_nobody_waits_is_left_alone)
{
    struct t_farm *t = t_farm("a", .workers = 1, .config = config_of(&mf_policy_rr));

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), INT64_MAX);
    t_wait(t, 3 * QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    /* Its turn began anew: the next one waits for a quantum at most. */
    t_submit(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "");
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + QUANTUM);
    t_wait(t, QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/SUSPEND b:PLACED@0");
}

Test(suspending, a_task_that_gets_its_slot_back_before_it_has_stopped_is_told_to_go_on)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .config = config_of(&mf_policy_rr));

    t_tick(t);
    t_start(t, "a");
    t_wait(t, QUANTUM);
    t_tick(t);
    t_trace(t);
    t_start(t, "b");
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:RUNNING@0/CONTINUE");
    t_suspended(t, "a");
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0/CONTINUE");
    t_continued(t, "a");
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0");
}

Test(suspending, what_is_told_twice_or_too_late_is_stale)
{
    struct t_farm *t = farm_with_suspended();
    int r = t_apply(t, .kind = MF_EVENT_SUSPENDED, .task = t_id(t, "a"), .attempt = 1);

    cr_assert_eq(r, MF_FARM_E_STALE);
    r = t_apply(t, .kind = MF_EVENT_CONTINUED, .task = t_id(t, "a"), .attempt = 1);
    cr_assert_eq(r, MF_FARM_E_STALE);
    r = t_apply(t, .kind = MF_EVENT_SUSPENDED, .task = t_id(t, "b"), .attempt = 1);
    cr_assert_eq(r, MF_FARM_E_STALE);
    t_end(t, "a");
    t_trace(t);
    r = t_apply(t, .kind = MF_EVENT_SUSPENDED, .task = 1, .attempt = 1);
    cr_assert_eq(r, MF_FARM_E_STALE);
}

Test(suspending, a_suspended_task_keeps_its_memory_and_countables)
{
    struct mf_farm_config config = config_of(&mf_policy_srtf);
    struct t_farm *t;

    config.countables[0] = 2;
    t = t_farm("a+1000$2", .workers = 1, .config = config);
    t_tick(t);
    t_start(t, "a");
    t_submit(t, "b+20 c+10$1");
    t_tick(t);
    t_suspended(t, "a");
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0 b:PLACED@0");
    t_end(t, "b");
    t_tick(t);
    /* The licences that c needs are a's until it is done. */
    cr_assert_str_eq(t_trace(t), "b:DONE a:SUSPENDED@0/CONTINUE");
}

/* Submits a task of two slots. */
static void submit_wide(struct t_farm *t, uint64_t mem_bytes, int64_t estimate_ms)
{
    t_apply(t, .kind = MF_EVENT_SUBMITTED,
            .spec = {.needs = {.n_slots = 2, .mem_bytes = mem_bytes},
                     .max_attempts = 1,
                     .estimate_ns = estimate_ms * T_MS,
                     .is_suspendable = true});
}

/* Each worker has a slot left. The second one, where the first such task can begin soon, is kept.
 */
Test(suspending, a_task_takes_slots_where_one_that_needs_more_memory_cannot)
{
    struct t_farm *t = t_farm("", .config = config_of(&mf_policy_srtf));

    for (mf_worker_id worker = 0; worker < 2; worker++) {
        t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = worker,
                .has = {.n_slots = 3, .mem_bytes = 200});
        submit_wide(t, 80, worker == 0 ? 1000 : 5);
        t_tick(t);
        t_apply(t, .kind = MF_EVENT_STARTED, .task = worker + 1, .attempt = 1);
    }
    submit_wide(t, 127, 10);
    submit_wide(t, 126, 11);
    submit_wide(t, 100, 12);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:RUNNING@0/SUSPEND #5:PLACED@0");
}

Test(suspending, a_suspended_task_that_is_cancelled_is_asked_to_end_without_slots)
{
    struct t_farm *t = farm_with_suspended();

    t_cancel(t, "a");
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0/END(stopped)");
    t_end(t, "b");
    t_submit(t, "c");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE c:PLACED@0");
    t_end(t, "a", .cause = MF_CAUSE_STOPPED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(suspending, a_farm_that_stops_now_ends_suspended_tasks)
{
    struct t_farm *t = farm_with_suspended();

    t_stop(t, MF_STOP_NOW);
    cr_assert_str_eq(t_trace(t), "a:SUSPENDED@0/END(stopped) b:RUNNING@0/END(stopped)");
    t_end(t, "a b", .cause = MF_CAUSE_STOPPED);
    cr_assert(mf_farm_is_finished(t->farm));
}

Test(suspending, a_farm_that_stops_soon_lets_suspended_tasks_go_on_to_their_end)
{
    struct t_farm *t = farm_with_suspended();

    t_submit(t, "c+1");
    t_stop(t, MF_STOP_SOON);
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:SUSPENDED@0/CONTINUE");
    cr_assert_not(mf_farm_is_finished(t->farm));
    t_continued(t, "a");
    t_end(t, "a");
    cr_assert(mf_farm_is_finished(t->farm));
}

Test(suspending, a_worker_that_drains_ends_what_is_suspended_on_it_first)
{
    struct t_farm *t = farm_with_suspended();

    t_drain(t, 0);
    t_end(t, "b");
    t_tick(t);
    t_continued(t, "a");
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "b:DONE a:DONE");
    cr_assert_eq(mf_workers_find(mf_farm_workers(t->farm), 0)->state, MF_WORKER_GONE);
}

Test(suspending, what_was_suspended_on_a_lost_worker_begins_anew_and_is_not_blamed)
{
    struct t_farm *t = farm_with_suspended();

    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:READY(lost) b:READY(lost)");
    cr_assert_eq(t_task(t, "a")->lost, 0);
    cr_assert_eq(t_task(t, "b")->lost, 1);
    t_up(t, 1, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@1#2 a:PLACED@1#2");
}

Test(suspending, a_time_limit_counts_the_time_that_a_task_ran)
{
    struct mf_farm_config config = config_of(&mf_policy_rr);
    struct t_farm *t;

    config.timeout_factor = 2;
    t = t_farm("", .workers = 1, .config = config);
    for (int i = 0; i < 3; i++)
        t_run_one(t, 2 * QUANTUM);
    t_submit(t, "a b");
    t_tick(t);
    t_start(t, "a");
    t_wait(t, QUANTUM);
    t_tick(t);
    t_suspended(t, "a");
    t_start(t, "b");
    t_trace(t);
    /* Long after the limit of 4 quanta: b is over it, a has run for one. */
    t_wait(t, 10 * QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:RUNNING@0/SUSPEND a:SUSPENDED@0/CONTINUE");
    t_continued(t, "a");
    t_apply(t, .kind = MF_EVENT_SUSPENDED, .task = t_id(t, "b"), .attempt = 1,
            .duration_ns = QUANTUM);
    t_trace(t);
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + QUANTUM);
    t_end(t, "b");
    cr_assert_eq(mf_farm_next_tick_ns(t->farm), t->now_ns + 3 * QUANTUM);
    t_wait(t, 3 * QUANTUM);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:DONE a:RUNNING@0/END(timeout)");
}

Test(suspending, nothing_is_sent_ahead_under_a_policy_that_preempts)
{
    struct mf_farm_config config = config_of(&mf_policy_srtf);
    struct t_farm *t;

    config.max_prefetch_per_slot = 8;
    config.turnaround_ns = 1000 * T_MS;
    t = t_farm("", .workers = 1, .config = config);
    t_run_one(t, T_MS);
    t_submit(t, "a b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
}
