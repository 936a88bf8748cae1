/* How long tasks should run, and what is remembered of groups: core/estimates.c, order.c, homes.c.
 */
#include "core/farm_private.h"
#include "support/farm_builder.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>

static int64_t estimate_ms(struct t_farm *t, const char *name)
{
    return mf_farm_estimate_ns(t->farm, t_task(t, name)) / T_MS;
}

static void learn(struct t_farm *t, uint32_t kind, int64_t ms, uint64_t n_samples)
{
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_LEARNED, .spec.kind = kind, .duration_ns = ms * T_MS,
                         .n_samples = n_samples),
                 0);
}

/* Runs a task to a good end, or to the end of that cause. */
static void run(struct t_farm *t, const char *task, const char *name, int64_t ms,
                enum mf_cause cause)
{
    t_submit(t, task);
    t_tick(t);
    t_end(t, name, .duration_ns = ms * T_MS, .cause = cause);
    t_trace(t);
}

Test(estimates, nothing_is_known_before_the_first_task_is_done)
{
    struct t_farm *t = t_farm("a b=1");

    cr_assert_eq(estimate_ms(t, "a"), 0);
    cr_assert_eq(estimate_ms(t, "b"), 0);
}

Test(estimates, the_author_goes_before_the_kind_and_that_before_all_tasks)
{
    struct t_farm *t = t_farm("", .workers = 1);

    run(t, "a=1", "a", 10, MF_CAUSE_NONE);
    run(t, "b=1", "b", 30, MF_CAUSE_NONE);
    run(t, "c=2", "c", 500, MF_CAUSE_NONE);
    t_submit(t, "said=1+7 kind=1 other=2 new=3 none");
    cr_assert_eq(estimate_ms(t, "said"), 7);
    cr_assert_eq(estimate_ms(t, "kind"), 20);
    cr_assert_eq(estimate_ms(t, "other"), 500);
    cr_assert_eq(estimate_ms(t, "new"), 30);
    cr_assert_eq(estimate_ms(t, "none"), 30);
}

Test(estimates, only_tasks_that_are_done_teach_anything)
{
    struct t_farm *t = t_farm("", .workers = 1);

    run(t, "a=1", "a", 10, MF_CAUSE_NONE);
    run(t, "b=1", "b", 1, MF_CAUSE_EXIT);
    t_submit(t, "c=1");
    cr_assert_eq(estimate_ms(t, "c"), 10);
}

Test(estimates, a_task_that_took_no_time_is_known_all_the_same)
{
    struct t_farm *t = t_farm("", .workers = 1);

    run(t, "a=1", "a", 0, MF_CAUSE_NONE);
    t_submit(t, "b=1 c");
    cr_assert_eq(mf_farm_estimate_ns(t->farm, t_task(t, "b")), 1);
    cr_assert_eq(mf_farm_estimate_ns(t->farm, t_task(t, "c")), 1);
}

Test(estimates, an_earlier_run_counts_until_this_one_knows_better)
{
    struct t_farm *t = t_farm("a=1 b", .workers = 1);

    learn(t, 1, 100, 2);
    learn(t, 2, 900, 3);
    cr_assert_eq(estimate_ms(t, "a"), 100);
    cr_assert_eq(estimate_ms(t, "b"), 900);
    t_tick(t);
    t_end(t, "a", .duration_ns = 10 * T_MS);
    t_tick(t);
    t_submit(t, "c=1 d");

    /* 10, 100 and 100 of the kind; of all, 10 in this run. */
    cr_assert_eq(estimate_ms(t, "c"), 100);
    cr_assert_eq(estimate_ms(t, "d"), 10);
    t_end(t, "b", .duration_ns = 10 * T_MS);
    run(t, "e=1", "c", 10, MF_CAUSE_NONE);
    cr_assert_eq(estimate_ms(t, "e"), 55);
}

Test(estimates, a_long_history_does_not_outweigh_a_thousand_tasks)
{
    struct mf_estimates estimates = {0};

    cr_assert_eq(mf_estimates_add_earlier(&estimates, 1, 100, UINT64_MAX), 0);
    for (int i = 0; i < 2 * MF_MEDIAN_SAMPLES; i++)
        mf_estimates_learn(&estimates, 1, 5);
    cr_assert_eq(mf_estimates_of_kind(&estimates, 1), 5);
    mf_estimates_finish(&estimates);
}

Test(estimates, what_was_learned_can_be_read_out_and_told_to_the_next_run)
{
    struct t_farm *t = t_farm("never=9", .workers = 1), *next = t_farm("a=1 b=2 c=9");
    uint64_t n_samples, n_of[3] = {0};
    int64_t median_ns;
    size_t cursor = 0;
    uint32_t kind;

    t_cancel(t, "never");
    run(t, "x=1", "x", 10, MF_CAUSE_NONE);
    run(t, "y=1", "y", 20, MF_CAUSE_NONE);
    run(t, "z=2", "z", 300, MF_CAUSE_NONE);
    while (mf_farm_learned(t->farm, &cursor, &kind, &median_ns, &n_samples) == 1) {
        cr_assert(kind == 1 || kind == 2);
        n_of[kind] += n_samples;
        learn(next, kind, median_ns / T_MS, n_samples);
    }
    cr_assert(n_of[1] == 2 && n_of[2] == 1);
    cr_assert_eq(estimate_ms(next, "a"), 15);
    cr_assert_eq(estimate_ms(next, "b"), 300);
    cr_assert_eq(estimate_ms(next, "c"), 15);
}

Test(estimates, what_makes_no_sense_is_refused)
{
    struct t_farm *t = t_farm("");
    const struct mf_task_spec good = {.needs.n_slots = 1, .max_attempts = 1};
    struct mf_task_spec bad[] = {good, good, good, good, good};

    bad[0].weight = -1;
    bad[1].weight = NAN;
    bad[2].weight = INFINITY;
    bad[3].estimate_ns = -1;
    bad[4].upward_ns = -1;
    for (int i = 0; i < 5; i++)
        cr_assert_eq(t_apply(t, .kind = MF_EVENT_SUBMITTED, .spec = bad[i]), -EINVAL, "%d", i);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_LEARNED, .duration_ns = 1, .n_samples = 1), -EINVAL);
    cr_assert_eq(t_apply(t, .kind = MF_EVENT_LEARNED, .spec.kind = 1, .duration_ns = 1), -EINVAL);
    cr_assert_eq(
        t_apply(t, .kind = MF_EVENT_LEARNED, .spec.kind = 1, .duration_ns = -1, .n_samples = 1),
        -EINVAL);
}

Test(estimates, settings_that_make_no_sense_are_refused)
{
    const struct mf_policy_settings bad[] = {
        {.ageing_weight = NAN},     {.ageing_weight = INFINITY},
        {.ageing_saturation = NAN}, {.ageing_saturation = -0.1},
        {.ageing_window_ns = -1},   {.quantum_ns = -1},
        {.rekey_ns = -1},
    };
    struct mf_farm *farm;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(mf_farm_create(&(struct mf_farm_config){.policy_settings = bad[i]}, &farm),
                     -EINVAL, "%zu", i);
}

Test(estimates, kinds_beyond_the_bound_are_not_told_apart)
{
    struct mf_estimates estimates = {0};

    for (uint32_t kind = 1; kind <= 2 * MF_ESTIMATES_MAX_KINDS; kind++)
        cr_assert_eq(mf_estimates_reserve(&estimates, kind), 0);
    mf_estimates_learn(&estimates, MF_ESTIMATES_MAX_KINDS, 7);
    mf_estimates_learn(&estimates, MF_ESTIMATES_MAX_KINDS + 1, 7);
    cr_assert_eq(mf_estimates_of_kind(&estimates, MF_ESTIMATES_MAX_KINDS), 7);
    cr_assert_eq(mf_estimates_of_kind(&estimates, MF_ESTIMATES_MAX_KINDS + 1), 0);
    cr_assert_eq(mf_table_count(estimates.by_kind), MF_ESTIMATES_MAX_KINDS);
    mf_estimates_finish(&estimates);
}

Test(homes, groups_beyond_the_bound_have_none)
{
    struct mf_homes homes = {0};

    for (uint32_t group = 0; group <= MF_HOMES_MAX_GROUPS + 1; group++) {
        cr_assert_eq(mf_homes_reserve(&homes, group), 0);
        cr_assert_eq(mf_homes_find(&homes, group), MF_WORKER_NONE);
        mf_homes_set(&homes, group, 5);
    }
    cr_assert_eq(mf_homes_find(&homes, 0), MF_WORKER_NONE);
    cr_assert_eq(mf_homes_find(&homes, MF_HOMES_MAX_GROUPS), 5);
    cr_assert_eq(mf_homes_find(&homes, MF_HOMES_MAX_GROUPS + 1), MF_WORKER_NONE);
    mf_homes_finish(&homes);
}

Test(shares, groups_beyond_the_bound_count_as_one)
{
    struct mf_shares shares = {0};

    for (uint32_t group = 1; group <= MF_SHARES_MAX_GROUPS + 2; group++)
        cr_assert_eq(mf_shares_reserve(&shares, group), 0);
    cr_assert_eq(mf_shares_set(&shares, MF_SHARES_MAX_GROUPS, 2), 0);
    cr_assert_eq(mf_shares_set(&shares, MF_SHARES_MAX_GROUPS + 1, 2), -ENOSPC);
    cr_assert_eq(mf_shares_join(&shares, 1, 10), 0);
    cr_assert_eq(mf_shares_join(&shares, 2, 10), 0);
    cr_assert_eq(mf_shares_join(&shares, MF_SHARES_MAX_GROUPS + 1, 10), 0);
    cr_assert_eq(mf_shares_join(&shares, MF_SHARES_MAX_GROUPS + 2, 10), 10);
    mf_shares_finish(&shares);
}
