/* Results for the tasks that come after. */
#include "t_api.h"

#include <stdlib.h>

#define N_SIZES 9
static const uint64_t sizes[N_SIZES] = {0, 1, 16, 17, 4096, 65536, 65537, 1 << 20, 3 << 20};

static mpifarm_future fill(struct t_run *t, uint64_t size, uint64_t seed)
{
    const struct t_fill how = {.size = size, .seed = seed};

    return t_submit(t, T_FILL, &how, sizeof(how));
}

/* What T_BEFORE says of results, given one after the other. */
static void add_seen(struct t_before_seen *seen, uint64_t size, uint64_t seed)
{
    uint8_t *bytes = malloc(size + 1);

    T_CHECK(bytes != NULL);
    t_pattern(bytes, size, seed);
    seen->hash = seen->hash * 31 + t_hash(bytes, size);
    seen->n_bytes += size;
    seen->n++;
    free(bytes);
}

static void check_seen(const struct t_before_seen *seen, const struct t_before_seen *expected)
{
    T_EQ(seen->n, expected->n);
    T_EQ(seen->n_bytes, expected->n_bytes);
    T_EQ(seen->hash, expected->hash);
    T_EQ(seen->input_hash, expected->input_hash);
    T_EQ(seen->n_unaligned, 0);
    T_EQ(seen->is_odd, 0);
}

static void a_task_has_the_results_of_those_before_it_in_order(struct t_run *t)
{
    const uint32_t input[2] = {0, 77};
    struct t_before_seen expected = {.input_hash = t_hash(input, sizeof(input))};
    mpifarm_future before[N_SIZES], after;

    for (int i = 0; i < N_SIZES; i++) {
        before[N_SIZES - 1 - i] = fill(t, sizes[i], (uint64_t)i);
        add_seen(&expected, sizes[N_SIZES - 1 - i], (uint64_t)(N_SIZES - 1 - i));
    }
    after = t_submit(t, T_BEFORE, input, sizeof(input), .after = before, .n_after = N_SIZES);
    check_seen(t_done(t, after, sizeof(expected)), &expected);
    t_release(t, after);

    /* Of those that have ended long ago, one twice, and without an input. */
    expected = (struct t_before_seen){.input_hash = t_hash(NULL, 0)};
    add_seen(&expected, sizes[3], 3);
    add_seen(&expected, sizes[3], 3);
    after = t_submit(t, T_BEFORE, NULL, 0, .after = (mpifarm_future[]){before[5], before[5]},
                     .n_after = 2);
    check_seen(t_done(t, after, sizeof(expected)), &expected);
    t_release(t, after);
    for (int i = 0; i < N_SIZES; i++)
        t_release(t, before[i]);
}

static void a_task_that_comes_after_nothing_has_no_results(struct t_run *t)
{
    const struct t_before_seen expected = {.input_hash = t_hash("input", 5)};
    mpifarm_future future = t_submit(t, T_BEFORE, "input", 5, .tag = 9, .priority = 1);

    check_seen(t_done(t, future, sizeof(expected)), &expected);
    t_release(t, future);
}

static void a_result_is_kept_for_others_when_its_future_is_released(struct t_run *t)
{
    struct t_before_seen expected = {.input_hash = t_hash(NULL, 0)};
    mpifarm_future before = fill(t, 100000, 5), early, late;

    add_seen(&expected, 100000, 5);
    early = t_submit(t, T_BEFORE, NULL, 0, .after = &before, .n_after = 1, .max_attempts = 2);
    t_done(t, before, 100000);
    late = t_submit(t, T_BEFORE, NULL, 0, .after = &before, .n_after = 1);
    t_release(t, before);
    check_seen(t_done(t, early, sizeof(expected)), &expected);
    check_seen(t_done(t, late, sizeof(expected)), &expected);
    t_release(t, early);
    t_release(t, late);

    before = fill(t, 300, 6);
    expected = (struct t_before_seen){.input_hash = t_hash(NULL, 0)};
    add_seen(&expected, 300, 6);
    early = t_submit(t, T_BEFORE, NULL, 0, .after = &before, .n_after = 1);
    t_release(t, before);
    check_seen(t_done(t, early, sizeof(expected)), &expected);
    t_release(t, early);
}

static void a_task_that_is_tried_again_has_the_same_results(struct t_run *t)
{
    const uint32_t n_failures = 2;
    struct t_before_seen expected = {.input_hash = t_hash(&n_failures, sizeof(n_failures))};
    mpifarm_future before[] = {fill(t, 40, 1), fill(t, 200000, 2)}, after;
    const struct t_before_seen *seen;

    add_seen(&expected, 40, 1);
    add_seen(&expected, 200000, 2);
    after = t_submit(t, T_BEFORE, &n_failures, sizeof(n_failures), .after = before, .n_after = 2,
                     .max_attempts = 3);
    seen = t_done(t, after, sizeof(expected));
    check_seen(seen, &expected);
    T_EQ(seen->attempt, 3);
    t_release(t, after);
    t_release(t, before[0]);
    t_release(t, before[1]);
}

static void many_tasks_take_one_result_and_one_takes_many(struct t_run *t)
{
    enum { N = 300 };
    static mpifarm_future middle[N];
    struct t_before_seen expected = {.input_hash = t_hash(NULL, 0)}, all = expected;
    mpifarm_future top = fill(t, 10000, 3), bottom;

    add_seen(&expected, 10000, 3);
    T_EQ(mpifarm_submit_array(t->farm, T_BEFORE, NULL, 0, N,
                              &(struct mpifarm_task_options){.after = &top, .n_after = 1}, middle),
         0);
    t_release(t, top);
    bottom = t_submit(t, T_BEFORE, NULL, 0, .after = middle, .n_after = N);
    for (int i = 0; i < N; i++) {
        const struct t_before_seen *seen = t_done(t, middle[i], sizeof(*seen));

        check_seen(seen, &expected);
        all.hash = all.hash * 31 + t_hash(seen, sizeof(*seen));
        all.n_bytes += sizeof(*seen);
        all.n++;
        t_release(t, middle[i]);
    }
    check_seen(t_done(t, bottom, sizeof(all)), &all);
    t_release(t, bottom);
}

static void results_go_down_a_long_chain(struct t_run *t)
{
    enum { N = 200 };
    static mpifarm_future chain[N];
    struct t_before_seen expected = {.input_hash = t_hash(NULL, 0)};

    for (int i = 0; i < N; i++)
        chain[i] =
            t_submit(t, T_BEFORE, NULL, 0, .after = i > 0 ? &chain[i - 1] : NULL, .n_after = i > 0);
    for (int i = 0; i < N; i++) {
        const struct t_before_seen *seen = t_done(t, chain[i], sizeof(*seen));

        check_seen(seen, &expected);
        expected.n = 1;
        expected.n_bytes = sizeof(*seen);
        expected.hash = t_hash(seen, sizeof(*seen));
        t_release(t, chain[i]);
    }
}

static void what_is_cancelled_or_skipped_lets_go_of_the_results(struct t_run *t)
{
    const struct t_failure how = {.code = 4};
    mpifarm_future before[] = {fill(t, 100, 1), t_submit(t, T_FAIL, &how, sizeof(how))}, after[2];

    after[0] = t_submit(t, T_BEFORE, NULL, 0, .after = before, .n_after = 2);
    after[1] = t_submit(t, T_BEFORE, NULL, 0, .after = before, .n_after = 1);
    T_CHECK(mpifarm_cancel(t->farm, after[1]) >= 0);
    t_release(t, before[0]);
    T_EQ(t_await(t, after[0]).status, MPIFARM_SKIPPED);
    T_CHECK(t_await(t, after[1]).status == MPIFARM_CANCELLED ||
            t_await(t, after[1]).status == MPIFARM_DONE);
    t_release(t, before[1]);
    t_release(t, after[0]);
    t_release(t, after[1]);
}

const struct t_scenario t_after[] = {
    {"a task has the results of those before it in order",
     a_task_has_the_results_of_those_before_it_in_order, 0},
    {"a task that comes after nothing has no results",
     a_task_that_comes_after_nothing_has_no_results, 0},
    {"a result is kept for others when its future is released",
     a_result_is_kept_for_others_when_its_future_is_released, 0},
    {"a task that is tried again has the same results",
     a_task_that_is_tried_again_has_the_same_results, 0},
    {"many tasks take one result and one takes many", many_tasks_take_one_result_and_one_takes_many,
     0},
    {"results go down a long chain", results_go_down_a_long_chain, 0},
    {"what is cancelled or skipped lets go of the results",
     what_is_cancelled_or_skipped_lets_go_of_the_results, 0},
    {0},
};
