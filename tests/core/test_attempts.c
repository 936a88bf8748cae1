/* What becomes of a task when an attempt ends, is given up, or loses its worker. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>

Test(attempts, a_task_that_succeeds_is_done)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_start(t, "a");
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(attempts, a_short_task_may_end_without_having_started)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(attempts, a_change_tells_whose_task_it_is_and_what_it_needs)
{
    struct t_farm *t = t_farm("a*2^3", .workers = 1, .slots = 2);
    struct mf_change change;

    t_tick(t);
    cr_assert_eq(mf_farm_next_change(t->farm, &change), 1);
    cr_assert_eq(change.task, 1);
    cr_assert_eq(change.cookie, 1000);
    cr_assert_eq(change.needs.n_slots, 2);
    cr_assert_eq(change.max_attempts, 3);
    cr_assert_eq(change.attempt, 1);
    cr_assert_eq(change.tries, 0);
    cr_assert_eq(mf_farm_next_change(t->farm, &change), 0);
}

Test(attempts, a_failing_task_is_tried_as_often_as_it_may_be)
{
    struct t_farm *t = t_farm("a^3", .workers = 1);

    for (int i = 0; i < 3; i++) {
        t_tick(t);
        t_end(t, "a", .cause = MF_CAUSE_SIGNAL);
    }
    cr_assert_str_eq(t_trace(t), "a:FAILED(signal)");
    cr_assert_eq(t_counts(t).retried, 2);
}

Test(attempts, an_attempt_that_the_farm_stopped_is_not_tried_again)
{
    struct t_farm *t = t_farm("a^3", .workers = 1);

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_STOPPED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(attempts, a_second_end_of_the_same_attempt_is_stale)
{
    struct t_farm *t = t_farm("a^2", .workers = 1);
    const struct mf_event end = {
        .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1, .cause = MF_CAUSE_EXIT};

    t_tick(t);
    cr_assert_eq(t_farm_apply(t, end), 0);
    cr_assert_eq(t_farm_apply(t, end), MF_FARM_E_STALE);
    t_tick(t);
    cr_assert_eq(t_farm_apply(t, end), MF_FARM_E_STALE);
    cr_assert_eq(t_counts(t).stale, 2);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
}

Test(attempts, what_another_worker_says_of_a_task_is_stale)
{
    struct t_farm *t = t_farm("a", .workers = 2);

    t_tick(t);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1, .worker = 1),
                 MF_FARM_E_STALE);
}

Test(attempts, a_second_start_is_stale)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_start(t, "a");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_STARTED, .task = 1, .attempt = 1), MF_FARM_E_STALE);
}

Test(attempts, what_is_said_of_a_settled_task_is_stale)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_end(t, "a");
    t_trace(t);
    cr_assert_null(t_task(t, "a"));
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1), MF_FARM_E_STALE);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CANCEL, .task = 1), MF_FARM_E_STALE);
}

Test(attempts, events_about_unknown_tasks_and_workers_are_refused)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 2, .attempt = 1), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 0, .attempt = 1), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1, .worker = 7), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CANCEL, .task = 9), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_LOST, .worker = 7), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_DRAIN, .worker = MF_WORKER_NONE), -EINVAL);
    cr_assert_eq(t_counts(t).stale, 0);
}

Test(attempts, events_that_make_no_sense_are_refused)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_start(t, "a");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_RETURNED, .task = 1, .attempt = 1), -EINVAL);
    cr_assert_eq(
        t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1, .cause = MF_CAUSE_MAX + 1),
        -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = 0, .has.n_slots = 1), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = 1, .has.n_slots = 0), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = MF_WORKER_NONE, .has.n_slots = 1),
                 -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_STOP), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = (enum mf_event_kind)99), -EINVAL);
}

Test(attempts, submissions_that_make_no_sense_are_refused)
{
    struct t_farm *t = t_farm("a");
    const struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1};

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = {.max_attempts = 1}), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = {.needs.n_slots = 1}), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .task = 3, .spec = spec), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .task = 2, .spec = spec), 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CLOSED), 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec), -EINVAL);
    cr_assert_eq(t_counts(t).submitted, 2);
}

Test(attempts, time_never_goes_back)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_wait(t, T_MS);
    t_tick(t);
    t_wait(t, -1);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_TICK), -EINVAL);
}

Test(attempts, configurations_that_make_no_sense_are_refused)
{
    struct mf_farm *farm = NULL;

    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.halt_fraction = 1.5}, &farm), -EINVAL);
    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.timeout_factor = -1}, &farm), -EINVAL);
    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.delay_ns = -1}, &farm), -EINVAL);
    cr_assert_eq(
        mf_farm_create(&(struct mf_farm_config){.timeout_factor = 2, .forgets_run_times = true},
                       &farm),
        -EINVAL);
    cr_assert_null(farm);
    mf_farm_destroy(NULL);
}

Test(cancel, a_ready_task_is_withdrawn_at_once)
{
    struct t_farm *t = t_farm("a b", .workers = 1);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CANCEL, .task = 1), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped) b:PLACED@0");
}

Test(cancel, a_running_task_is_asked_to_end)
{
    struct t_farm *t = t_farm("a^5", .workers = 1);

    t_tick(t);
    t_start(t, "a");
    t_cancel(t, "a");
    cr_assert_str_eq(t_trace(t), "a:RUNNING@0/END(stopped)");
    t_end(t, "a", .cause = MF_CAUSE_STOPPED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
}

Test(cancel, a_task_that_fails_of_itself_meanwhile_is_not_tried_again)
{
    struct t_farm *t = t_farm("a^5", .workers = 1);

    t_tick(t);
    t_cancel(t, "a");
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(exit)");
}

Test(cancel, a_task_that_succeeds_meanwhile_is_done)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_cancel(t, "a");
    t_end(t, "a");
    cr_assert_str_eq(t_trace(t), "a:DONE");
}

Test(cancel, a_task_that_comes_back_or_loses_its_worker_meanwhile_is_withdrawn)
{
    struct t_farm *t = t_farm("a b", .workers = 2);

    t_tick(t);
    t_cancel(t, "a b");
    t_return(t, "a");
    t_lose(t, 1);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped) b:CANCELLED(stopped)");
}

Test(lost, the_tasks_of_a_lost_worker_run_elsewhere_at_no_charge)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:READY(lost) b:READY(lost)");
    t_up(t, 1, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2 b:PLACED@1#2");
    cr_assert_eq(t_task(t, "a")->charged, 0);
    cr_assert_eq(t_task(t, "a")->lost, 1);
    cr_assert_eq(t_task(t, "b")->lost, 1, "it may have begun before its worker said so");
    cr_assert_eq(t_counts(t).workers_up, 1);
}

Test(lost, a_task_that_ends_each_worker_before_that_can_say_so_fails)
{
    struct t_farm *t = t_farm("a", .workers = 4, .config = {.crash_limit = 3});

    for (uint32_t i = 0; i < 3; i++) {
        t_tick(t);
        t_trace(t);
        t_lose(t, i);
    }
    cr_assert_str_eq(t_trace(t), "a:FAILED(lost)");
    cr_assert_eq(t_counts(t).workers_up, 1);
}

Test(lost, a_task_that_was_sent_ahead_is_not_blamed)
{
    struct t_farm *t =
        t_farm("", .workers = 1, .slots = 2,
               .config = {.crash_limit = 1, .max_prefetch_per_slot = 4, .turnaround_ns = T_MS});

    t_run_one(t, T_MS);
    t_submit(t, "a b c d");
    t_tick(t);
    t_trace(t);
    t_start(t, "b");
    t_trace(t);
    t_lose(t, 0);
    cr_assert_str_eq(t_trace(t), "a:FAILED(lost) b:FAILED(lost) c:READY d:READY");
}

Test(lost, a_task_under_which_too_many_workers_are_lost_fails)
{
    struct t_farm *t = t_farm("a", .workers = 3, .config = {.crash_limit = 2});

    for (uint32_t i = 0; i < 2; i++) {
        t_tick(t);
        t_start(t, "a");
        t_lose(t, i);
    }
    cr_assert_str_eq(t_trace(t), "a:FAILED(lost)");
}

Test(lost, a_task_that_was_not_sent_yet_is_not_blamed)
{
    struct t_farm *t = t_farm("a", .workers = 3, .config = {.crash_limit = 1});

    t_tick(t);
    t_lose(t, 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@1#2");
}

Test(lost, what_a_lost_worker_still_says_is_stale)
{
    struct t_farm *t = t_farm("a", .workers = 1);

    t_tick(t);
    t_lose(t, 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1), MF_FARM_E_STALE);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_LOST), MF_FARM_E_STALE);
}

Test(lost, a_worker_that_was_given_up_comes_back_with_nothing_of_before)
{
    struct t_farm *t = t_farm("a b", .workers = 1);

    t_tick(t);
    t_lose(t, 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .has.n_slots = 1), 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_UP, .has.n_slots = 1), -EINVAL);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0#2");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = 1), MF_FARM_E_STALE);
    t_end(t, "a");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:DONE b:PLACED@0");
}

Test(lost, memory_for_the_tasks_of_a_lost_worker_was_set_aside)
{
    struct t_farm *t = t_farm("", .workers = 1, .slots = 500);

    /* Never many ready at once; t_farm checks that all could be. */
    for (int i = 0; i < 10; i++) {
        t_submit_many(t, 50);
        t_tick(t);
    }
    t_lose(t, 0);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_READY], 500);
}

Test(drain, a_draining_worker_gives_back_what_has_not_started)
{
    struct t_farm *t = t_farm("a b c", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_trace(t);
    t_drain(t, 0);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0/RECALL");
    t_return(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:READY");
    cr_assert_eq(mf_workers_find(mf_farm_workers(t->farm), 0)->state, MF_WORKER_DRAINING);
    t_end(t, "a");
    cr_assert_eq(mf_workers_find(mf_farm_workers(t->farm), 0)->state, MF_WORKER_GONE);
}

Test(drain, a_draining_worker_can_be_called_back_and_goes_on_with_what_it_runs)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_drain(t, 0);
    t_return(t, "b");
    t_tick(t);
    t_trace(t);
    t_up(t, 0, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0#2");
    t_end(t, "a");
    cr_assert_eq(mf_workers_find(mf_farm_workers(t->farm), 0)->state, MF_WORKER_UP);
    t_start(t, "b");
    t_end(t, "b");
    cr_assert_str_eq(t_trace(t), "a:DONE b:DONE");
}

Test(drain, what_a_worker_was_to_give_back_it_gives_back_though_it_is_called_back)
{
    struct t_farm *t = t_farm("a b", .workers = 1, .slots = 2);

    t_tick(t);
    t_start(t, "a");
    t_drain(t, 0);
    t_up(t, 0, 2);
    t_trace(t);
    t_return(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "b:PLACED@0#2");
}

Test(drain, a_worker_that_holds_nothing_is_gone_at_once)
{
    struct t_farm *t = t_farm("", .workers = 1);

    t_drain(t, 0);
    cr_assert_eq(mf_workers_find(mf_farm_workers(t->farm), 0)->state, MF_WORKER_GONE);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_WORKER_DRAIN), MF_FARM_E_STALE);
}

#define T_GIB (UINT64_C(1) << 30)

/* One task with a GiB and four tries, of which `budget` for memory if that is not 0; on a worker
 * with 5 GiB and a narrow one with 9. */
static struct t_farm *make_large_with(double mem_factor, uint32_t budget)
{
    struct t_farm *t =
        t_farm("", .config = {.mem_factor = mem_factor, .budgets = {[MF_BUDGET_MEMORY] = budget}});

    t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = 0,
            .has = {.n_slots = 2, .mem_bytes = 5 * T_GIB});
    t_apply(t, .kind = MF_EVENT_WORKER_UP, .worker = 1,
            .has = {.n_slots = 1, .mem_bytes = 9 * T_GIB});
    t_apply(t, .kind = MF_EVENT_SUBMITTED,
            .spec = {.needs = {.n_slots = 2, .mem_bytes = T_GIB}, .max_attempts = 4});
    return t;
}

static struct t_farm *make_large(double mem_factor)
{
    return make_large_with(mem_factor, 0);
}

/* Places the task, ends it with that cause, and returns what memory it had. */
static uint64_t try_once(struct t_farm *t, uint32_t attempt, enum mf_cause cause)
{
    struct mf_change change = {0};

    t_tick(t);
    while (mf_farm_next_change(t->farm, &change) && change.state != MF_TASK_PLACED)
        ;
    cr_assert_eq(change.state, MF_TASK_PLACED);
    t_apply(t, .kind = MF_EVENT_ENDED, .task = 1, .attempt = attempt, .cause = cause);
    return change.needs.mem_bytes;
}

Test(attempts, what_ended_for_its_memory_gets_more_as_far_as_a_worker_that_fits_has_it)
{
    struct t_farm *t = make_large(2.5);

    cr_assert_eq(try_once(t, 1, MF_CAUSE_MEMORY), T_GIB);
    cr_assert_eq(try_once(t, 2, MF_CAUSE_MEMORY), T_GIB / 2 * 5);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_FAILED], 0);
    cr_assert_eq(try_once(t, 3, MF_CAUSE_MEMORY), 5 * T_GIB);
}

Test(attempts, what_cannot_get_more_memory_fails_with_tries_left)
{
    struct t_farm *t = make_large(2.5);

    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        cr_assert_eq(t_counts(t).by_state[MF_TASK_FAILED], 0);
        cr_assert_not(mf_farm_find(t->farm, 1)->has_most_memory);
        try_once(t, attempt, MF_CAUSE_MEMORY);
    }
    cr_assert_eq(t_counts(t).by_state[MF_TASK_FAILED], 1);
    cr_assert(mf_farm_find(t->farm, 1)->has_most_memory);
}

Test(attempts, what_used_up_its_budget_for_memory_is_not_said_to_have_had_most)
{
    struct t_farm *t = make_large_with(2.5, 1);

    try_once(t, 1, MF_CAUSE_MEMORY);
    cr_assert_eq(t_counts(t).by_state[MF_TASK_FAILED], 1);
    cr_assert_not(mf_farm_find(t->farm, 1)->has_most_memory);
}

Test(attempts, what_ended_for_another_cause_or_without_a_factor_gets_the_same_memory)
{
    struct t_farm *t = make_large(2);

    cr_assert_eq(try_once(t, 1, MF_CAUSE_EXIT), T_GIB);
    cr_assert_eq(try_once(t, 2, MF_CAUSE_EXIT), T_GIB);
    t = make_large(0);
    cr_assert_eq(try_once(t, 1, MF_CAUSE_MEMORY), T_GIB);
    cr_assert_eq(try_once(t, 2, MF_CAUSE_MEMORY), T_GIB);
}
