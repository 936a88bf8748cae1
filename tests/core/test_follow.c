/* Tasks that come after others. */
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct t_farm *farm_of(const char *tasks)
{
    return t_farm(tasks, .workers = 1, .slots = 8, .config = {.has_dependencies = true});
}

static enum mf_task_state state_of(struct t_farm *t, const char *name)
{
    return t_task(t, name)->state;
}

Test(follow, a_task_is_placed_once_all_that_it_comes_after_are_done)
{
    struct t_farm *t = farm_of("a b c<a,b");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0 b:PLACED@0");
    t_end(t, "a");
    t_tick(t);
    cr_assert_eq(state_of(t, "c"), MF_TASK_WAITING);
    t_end(t, "b");
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
}

Test(follow, tasks_that_come_later_can_be_waited_for)
{
    struct t_farm *t = farm_of("a<b b<c c");

    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
    t_end(t, "c");
    t_tick(t);
    t_end(t, "b");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:DONE b:DONE a:PLACED@0");
}

Test(follow, failed_parent_skips_each_descendant_once_and_is_named)
{
    struct t_farm *t = farm_of("a b<a c<a d<b,c");
    struct mf_change change;

    t_tick(t);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(mf_farm_next_change(t->farm, &change), 1);
        if (change.task == 1)
            continue;
        cr_assert_eq(change.state, MF_TASK_SKIPPED);
        cr_assert_eq(change.cause, MF_CAUSE_SKIPPED);
        cr_assert_eq(change.root, 1);
    }
    cr_assert_eq(mf_farm_next_change(t->farm, &change), 0);
}

Test(follow, the_conditions_are_those_of_slurm)
{
    struct t_farm *t = farm_of("good bad ok<good ok_bad<bad any<good? any_bad<bad? not<good- "
                               "not_bad<bad-");

    t_tick(t);
    t_trace(t);
    t_end(t, "good");
    t_end(t, "bad", .cause = MF_CAUSE_EXIT);
    cr_assert_str_eq(t_trace(t), "good:DONE not:SKIPPED(skipped) bad:FAILED(exit) "
                                 "ok_bad:SKIPPED(skipped)");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "ok:PLACED@0 any:PLACED@0 any_bad:PLACED@0 not_bad:PLACED@0");
}

Test(follow, what_comes_after_a_skipped_task_whatever_its_end_is_run)
{
    struct t_farm *t = farm_of("a b<a c<b? d<b-");

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    t_trace(t);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "c:PLACED@0");
}

Test(follow, a_retry_is_no_end)
{
    struct t_farm *t = farm_of("a^2 b<a");

    t_tick(t);
    t_end(t, "a", .cause = MF_CAUSE_EXIT);
    cr_assert_eq(state_of(t, "b"), MF_TASK_WAITING);
    t_tick(t);
    t_end(t, "a");
    t_tick(t);
    cr_assert_eq(state_of(t, "b"), MF_TASK_PLACED);
}

Test(follow, tasks_that_ended_and_were_told_can_still_be_come_after)
{
    struct t_farm *t = farm_of("good bad skipped<bad");

    t_tick(t);
    t_end(t, "good");
    t_end(t, "bad", .cause = MF_CAUSE_EXIT);
    t_trace(t);
    t_submit(t, "x<good y<bad z<skipped");
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "y:SKIPPED(skipped) z:SKIPPED(skipped) x:PLACED@0");
}

Test(follow, a_task_submitted_after_a_skipped_one_names_the_first_cause)
{
    struct t_farm *t = farm_of("bad skipped<bad");
    struct mf_change change;

    t_tick(t);
    t_end(t, "bad", .cause = MF_CAUSE_EXIT);
    t_trace(t);
    t_submit(t, "z<skipped");
    cr_assert_eq(mf_farm_next_change(t->farm, &change), 1);
    cr_assert_eq(change.root, t_id(t, "bad"));
}

Test(follow, tasks_of_an_earlier_run_count_with_the_end_they_had)
{
    struct t_farm *t = farm_of("a");
    const struct mf_dependency third = {.task = 3};

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                         .spec = {.needs.n_slots = 1, .max_attempts = 1}, .after = &third,
                         .n_after = 1),
                 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "a:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_DONE), 0);
    t_tick(t);
    cr_assert_str_eq(t_trace(t), "#2:PLACED@0");
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_RUNNING), -EINVAL);
}

Test(follow, an_earlier_failure_skips_what_comes_after_it)
{
    struct t_farm *t = farm_of("");

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SETTLED, .state = MF_TASK_FAILED), 0);
    memcpy(t->names[++t->n_named], "old", 4);
    t_submit(t, "new<old");
    cr_assert_str_eq(t_trace(t), "new:SKIPPED(skipped)");
    cr_assert_eq(t_counts(t).by_state[MF_TASK_FAILED], 0);
}

Test(follow, cancelling_a_task_skips_what_needs_it)
{
    struct t_farm *t = farm_of("a b<a c<b");

    t_cancel(t, "b");
    cr_assert_str_eq(t_trace(t), "b:CANCELLED(stopped) c:SKIPPED(skipped)");
}

Test(follow, a_stop_leaves_what_comes_after_for_another_run)
{
    struct t_farm *t = farm_of("a b<a");

    t_tick(t);
    t_start(t, "a");
    t_stop(t, MF_STOP_NOW);
    t_trace(t);
    t_end(t, "a", .cause = MF_CAUSE_STOPPED);
    cr_assert_str_eq(t_trace(t), "a:CANCELLED(stopped)");
    cr_assert_eq(state_of(t, "b"), MF_TASK_WAITING);
    cr_assert(mf_farm_is_finished(t->farm));
}

Test(follow, what_never_comes_is_not_waited_for)
{
    struct t_farm *t = farm_of("a");
    const struct mf_dependency after = {.task = 7};

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED,
                         .spec = {.needs.n_slots = 1, .max_attempts = 1}, .after = &after,
                         .n_after = 1),
                 0);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_CLOSED), 0);
    cr_assert_str_eq(t_trace(t), "#2:SKIPPED(skipped)");
}

Test(follow, dependencies_that_make_no_sense_are_refused)
{
    struct t_farm *t = farm_of("a");
    struct t_farm *without = t_farm("a", .workers = 1);
    const struct mf_task_spec spec = {.needs.n_slots = 1, .max_attempts = 1};
    const struct mf_dependency none = {0}, itself = {.task = 2}, strange = {1, MF_AFTER_NOT_OK + 1},
                               first = {.task = 1};

    cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec, .after = &none, .n_after = 1),
                 -EINVAL);
    cr_assert_eq(
        t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec, .after = &itself, .n_after = 1),
        -EINVAL);
    cr_assert_eq(
        t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = spec, .after = &strange, .n_after = 1),
        -EINVAL);
    cr_assert_eq(
        t_apply(without, .kind = MF_EVENT_SUBMITTED, .spec = spec, .after = &first, .n_after = 1),
        -EINVAL);
}

Test(follow, a_chain_of_a_million_is_skipped_without_recursion)
{
    const uint64_t n = 1000000;
    struct mf_farm *farm;
    struct mf_change change;
    uint64_t n_skipped = 0;

    cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.has_dependencies = true}, &farm), 0);
    for (uint64_t i = 1; i <= n; i++) {
        struct mf_dependency after = {.task = i - 1};

        cr_assert_eq(
            mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                                   .spec = {.needs.n_slots = 1, .max_attempts = 1},
                                                   .after = &after,
                                                   .n_after = i > 1}),
            0);
    }
    cr_assert_eq(mf_farm_apply(farm, &(struct mf_event){.kind = MF_EVENT_CANCEL, .task = 1}), 0);
    while (mf_farm_next_change(farm, &change)) {
        n_skipped += change.state == MF_TASK_SKIPPED;
        cr_assert(change.state != MF_TASK_SKIPPED || change.root == 1);
    }
    cr_assert_eq(n_skipped, n - 1);
    mf_farm_destroy(farm);
}
