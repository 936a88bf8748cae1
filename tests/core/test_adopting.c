/* A farm that takes over what another scheduler has given out. */
#include "core/policy.h"
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>

TestSuite(adopting);

/* A farm whose tasks are all withheld. */
static struct t_farm *withheld(const struct t_farm_options *options, uint64_t n_tasks,
                               struct mf_needs needs)
{
    struct t_farm *t = t_farm_create("", options);

    for (uint64_t i = 0; i < n_tasks; i++)
        cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .is_withheld = true,
                             .spec = {.needs = needs, .max_attempts = 3, .is_suspendable = true}),
                     0);
    return t;
}

#define WITHHELD(n, ...)                                                                           \
    withheld(&(struct t_farm_options){.workers = 2, __VA_ARGS__}, n,                               \
             (struct mf_needs){.n_slots = 1})

/* A worker has this attempt of a task, which it has tried before. */
static int adopt(struct t_farm *t, mf_task_id task, mf_worker_id worker, uint32_t attempt,
                 uint32_t n_tries)
{
    return t_apply(t, .kind = MF_EVENT_ADOPTED, .worker = worker, .task = task, .attempt = attempt,
                   .n_tries = n_tries, .state = MF_TASK_RUNNING);
}

static int adopt_suspended(struct t_farm *t, mf_task_id task, mf_worker_id worker)
{
    return t_apply(t, .kind = MF_EVENT_ADOPTED, .worker = worker, .task = task, .attempt = 1,
                   .state = MF_TASK_SUSPENDED, .duration_ns = 7 * T_MS);
}

static int adopt_ended(struct t_farm *t, mf_task_id task, mf_worker_id worker, enum mf_cause cause)
{
    return t_apply(t, .kind = MF_EVENT_ADOPTED, .worker = worker, .task = task, .attempt = 1,
                   .state = MF_TASK_DONE, .cause = cause);
}

static int end(struct t_farm *t, mf_task_id task, mf_worker_id worker, uint32_t attempt,
               enum mf_cause cause)
{
    return t_apply(t, .kind = MF_EVENT_ENDED, .worker = worker, .task = task, .attempt = attempt,
                   .cause = cause);
}

Test(adopting, an_adopted_task_runs_and_is_not_sent_again)
{
    struct t_farm *t = WITHHELD(1);

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "", "it is withheld");
    cr_assert_eq(adopt(t, 1, 1, 3, 0), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:RUNNING@1#3");
    cr_assert_eq(end(t, 1, 1, 3, MF_CAUSE_NONE), 0);
    cr_assert_str_eq(t_trace(t), "#1:DONE");
}

Test(adopting, a_farm_that_stops_at_once_ends_what_it_adopts)
{
    struct t_farm *t = WITHHELD(1);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_STOP, .stop = MF_STOP_NOW), 0);
    cr_assert_eq(adopt(t, 1, 0, 1, 0), 0);
    cr_assert_str_eq(t_trace(t), "#1:RUNNING@0/END(stopped)");
    cr_assert_eq(end(t, 1, 0, 1, MF_CAUSE_STOPPED), 0);
    cr_assert_str_eq(t_trace(t), "#1:CANCELLED(stopped)");
}

Test(adopting, its_slot_is_taken)
{
    struct t_farm *t = WITHHELD(1);

    cr_assert_eq(adopt(t, 1, 0, 1, 0), 0);
    t_submit_many(t, 2);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:RUNNING@0 #2:PLACED@1");
    cr_assert_eq(end(t, 1, 0, 1, MF_CAUSE_NONE), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:DONE #3:PLACED@0");
}

Test(adopting, its_next_attempt_has_a_number_that_was_never_given_out)
{
    struct t_farm *t = WITHHELD(1, .config.first_attempt = 100);

    cr_assert_eq(adopt(t, 1, 0, 2, 1), 0);
    t_trace(t);
    cr_assert_eq(end(t, 1, 0, 2, MF_CAUSE_EXIT), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:PLACED@1#101");
}

Test(adopting, what_a_task_has_been_through_before_counts)
{
    struct mf_task_history history = {
        .failed = {[MF_BUDGET_EXIT] = 1, [MF_BUDGET_TIME] = 1}, .n_lost = 2, .n_tries = 5};
    struct t_farm *t =
        t_farm("", .workers = 2, .config.crash_limit = 9, .config.first_attempt = 100);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .history = &history,
                         .spec = {.needs.n_slots = 1, .max_attempts = 3}),
                 0);
    t_tick(t);
    cr_assert_eq(mf_farm_find(t->farm, 1)->tries, 5);
    t_trace(t);
    cr_assert_eq(end(t, 1, 0, 101, MF_CAUSE_EXIT), 0);
    cr_assert_str_eq(t_trace(t), "#1:FAILED(exit)");
}

Test(adopting, the_end_of_another_attempt_is_stale)
{
    struct t_farm *t = WITHHELD(1);

    cr_assert_eq(adopt(t, 1, 0, 2, 0), 0);
    cr_assert_eq(end(t, 1, 1, 1, MF_CAUSE_NONE), MF_FARM_E_STALE);
    cr_assert_eq(adopt(t, 1, 1, 3, 0), MF_FARM_E_STALE);
}

Test(adopting, a_task_that_waits_for_another_is_adopted_when_that_is_done)
{
    struct mf_dependency after = {.task = 1};
    struct t_farm *t = WITHHELD(1, .config.has_dependencies = true);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .is_withheld = true, .after = &after,
                         .n_after = 1, .spec = {.needs.n_slots = 1, .max_attempts = 1}),
                 0);
    cr_assert_eq(adopt(t, 2, 1, 1, 0), MF_FARM_E_STALE);
    cr_assert_eq(adopt_ended(t, 1, 0, MF_CAUSE_NONE), 0);
    cr_assert_eq(adopt(t, 2, 1, 1, 0), 0);
    cr_assert_str_eq(t_trace(t), "#1:DONE #2:RUNNING@1");
}

Test(adopting, one_that_has_ended_needs_no_room)
{
    struct t_farm *t = withheld(&(struct t_farm_options){.workers = 1, .config.countables = {1}}, 3,
                                (struct mf_needs){.n_slots = 1, .countables = {1}});

    cr_assert_eq(adopt(t, 1, 0, 1, 0), 0);
    cr_assert_eq(adopt(t, 2, 0, 1, 0), MF_FARM_E_STALE, "the slot is taken");
    cr_assert_eq(adopt_ended(t, 2, 0, MF_CAUSE_NONE), 0);
    cr_assert_eq(adopt_ended(t, 3, 0, MF_CAUSE_EXIT), 0);
    cr_assert_eq(end(t, 1, 0, 1, MF_CAUSE_NONE), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:DONE #2:DONE #3:PLACED@0#2", "the third is tried again");
}

Test(adopting, what_its_worker_can_never_have_is_refused)
{
    struct t_farm *t =
        withheld(&(struct t_farm_options){.workers = 1}, 1, (struct mf_needs){.n_slots = 2});

    cr_assert_eq(adopt(t, 1, 0, 1, 0), -EINVAL, "it has one slot");
    cr_assert_eq(adopt(t, 1, 7, 1, 0), -EINVAL, "there is no such worker");
    cr_assert_eq(adopt(t, 1, 0, 1, 1), -EINVAL, "it was tried more often than sent");
}

Test(adopting, an_end_that_is_known_already_is_refused)
{
    struct mf_task_history history = {.failed = {1}, .n_tries = 1};
    struct t_farm *t = t_farm("", .workers = 1, .config.first_attempt = 100);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .history = &history, .is_withheld = true,
                         .spec = {.needs.n_slots = 1, .max_attempts = 3}),
                 0);
    cr_assert_eq(adopt_ended(t, 1, 0, MF_CAUSE_EXIT), -EINVAL);
    cr_assert_eq(adopt(t, 1, 0, 3, 1), 0, "this is the next one");
}

Test(adopting, so_is_one_after_an_attempt_that_was_lost_and_not_charged)
{
    struct mf_task_history history = {.failed = {1}, .n_tries = 2};
    struct t_farm *t = t_farm("", .workers = 1, .config.first_attempt = 100);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .history = &history, .is_withheld = true,
                         .spec = {.needs.n_slots = 1, .max_attempts = 3}),
                 0);
    cr_assert_eq(adopt(t, 1, 0, 2, 1), -EINVAL, "it was the second");
    cr_assert_eq(adopt(t, 1, 0, 3, 2), 0, "this is the third");
}

Test(adopting, one_that_is_let_go_is_placed_as_any_other)
{
    struct t_farm *t = WITHHELD(1, .config.first_attempt = 100);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_LET_GO, .task = 1), 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_LET_GO, .task = 1), MF_FARM_E_STALE);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#1:PLACED@0#101");
}

Test(adopting, a_withheld_task_can_be_cancelled)
{
    struct t_farm *t = WITHHELD(1);

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CANCEL, .task = 1), 0);
    cr_assert_eq(adopt(t, 1, 0, 1, 0), MF_FARM_E_STALE);
    cr_assert_str_eq(t_trace(t), "#1:CANCELLED(stopped)");
}

Test(adopting, a_suspended_task_goes_on_when_there_are_slots)
{
    struct t_farm *t =
        withheld(&(struct t_farm_options){.workers = 1,
                                          .config = {.policy = &mf_policy_rr,
                                                     .max_suspended_per_slot = 2,
                                                     .policy_settings.quantum_ns = 100 * T_MS}},
                 2, (struct mf_needs){.n_slots = 1});

    cr_assert_eq(adopt(t, 2, 0, 1, 0), 0);
    cr_assert_eq(adopt_suspended(t, 1, 0), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#2:RUNNING@0 #1:SUSPENDED@0");
    cr_assert_eq(end(t, 2, 0, 1, MF_CAUSE_NONE), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#2:DONE #1:SUSPENDED@0/CONTINUE");
}

Test(adopting, nothing_is_suspended_where_the_policy_does_not)
{
    struct t_farm *t = WITHHELD(1);

    cr_assert_eq(adopt_suspended(t, 1, 0), -EINVAL);
}
