/* How tasks end: outcomes, messages, retries, checkpoints, time limits. */
#include "t_api.h"

#include <limits.h>
#include <stdlib.h>

#define MS INT64_C(1000000)

static void a_done_task_has_one_attempt_and_no_message(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_ECHO, "x", 1, .tag = 6);
    struct mpifarm_result result = t_await(t, future);

    T_EQ(result.status, MPIFARM_DONE);
    T_EQ(result.cause, MPIFARM_CAUSE_NONE);
    T_EQ(result.code, 0);
    T_STR_EQ(result.message, "");
    T_EQ(result.attempts, 1);
    T_EQ(result.tag, 6);
    t_release(t, future);
}

static void a_failure_has_its_code_and_no_data(struct t_run *t)
{
    const int codes[] = {1, -1, 255, INT_MAX, INT_MIN};

    for (int i = 0; i < 5; i++) {
        const struct t_failure how = {.code = codes[i], .also_writes = true};
        mpifarm_future future = t_submit(t, T_FAIL, &how, sizeof(how));
        struct mpifarm_result result = t_await(t, future);

        T_EQ(result.status, MPIFARM_FAILED);
        T_EQ(result.cause, MPIFARM_CAUSE_FUNCTION);
        T_EQ(result.code, codes[i]);
        T_CHECK(result.message[0] != '\0');
        T_CHECK(!result.data && result.size == 0);
        T_EQ(result.attempts, 1);
        t_release(t, future);
    }
}

static void a_failure_keeps_up_to_4000_bytes_of_its_message(struct t_run *t)
{
    const uint32_t sizes[] = {1, 15, 16, 17, 3999, 4000, 4001, 8000};

    for (int i = 0; i < 8; i++) {
        const struct t_failure how = {.code = 0, .size = sizes[i], .letter = 'm'};
        mpifarm_future future = t_submit(t, T_FAIL, &how, sizeof(how));
        struct mpifarm_result result = t_await(t, future);
        size_t n = sizes[i] < 4000 ? sizes[i] : 4000;

        T_EQ(result.status, MPIFARM_FAILED);
        T_EQ(result.code, 1);
        T_EQ(strlen(result.message), n);
        T_EQ(strspn(result.message, "m"), n);
        t_release(t, future);
    }
}

static void a_task_is_tried_as_often_as_it_may_be(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t);
    uint32_t n = 3;
    mpifarm_future future = t_submit(t, T_FLAKY, &n, sizeof(n), .max_attempts = 5);
    struct mpifarm_result result = t_await(t, future);

    T_EQ(*(const uint32_t *)t_done(t, future, sizeof(n)), 3);
    T_EQ(result.attempts, 3);
    t_release(t, future);
    T_EQ(t_counts(t).n_retried - before.n_retried, 2);

    future = t_submit(t, T_FLAKY, &n, sizeof(n), .max_attempts = 2);
    result = t_await(t, future);
    T_EQ(result.status, MPIFARM_FAILED);
    T_EQ(result.code, 3);
    T_STR_EQ(result.message, "attempt 2");
    T_EQ(result.attempts, 2);
    t_release(t, future);
    T_EQ(t_counts(t).n_retried - before.n_retried, 3);

    /* The farm's options allow one. */
    future = t_submit(t, T_FLAKY, &n, sizeof(n));
    T_EQ(t_await(t, future).attempts, 1);
    t_release(t, future);
}

static void many_flaky_tasks_all_succeed_in_the_end(struct t_run *t)
{
    enum { N = 2000 };
    static mpifarm_future futures[N];

    for (uint32_t i = 0; i < N; i++) {
        uint32_t n = 1 + i % 4;

        futures[i] =
            t_submit(t, T_FLAKY, &n, sizeof(n), .max_attempts = 4, .priority = (int32_t)i % 3);
    }
    for (uint32_t i = 0; i < N; i++) {
        T_EQ(*(const uint32_t *)t_done(t, futures[i], 4), 1 + i % 4);
        T_EQ(t_await(t, futures[i]).attempts, 1 + i % 4);
        t_release(t, futures[i]);
    }
}

static void a_failed_task_is_tried_on_another_rank(struct t_run *t)
{
    uint32_t n = 4;
    mpifarm_future future = t_submit(t, T_WANDER, &n, sizeof(n), .max_attempts = n);
    const uint32_t *ranks = t_done(t, future, n * sizeof(*ranks));

    for (uint32_t i = 1; i < n; i++)
        T_CHECK(ranks[i] != ranks[i - 1]);
    t_release(t, future);
}

static void a_checkpoint_is_given_to_the_next_attempt(struct t_run *t)
{
    const struct t_saving ways[] = {
        {.size = 5, .n = 3, .last = 3},    {.size = 0, .n = 1, .last = 2},
        {.size = 4096, .n = 2, .last = 2}, {.size = 1 << 20, .n = 2, .last = 3},
        {.size = 17, .n = 1, .last = 1},
    };

    for (int i = 0; i < 5; i++) {
        const struct t_saving *how = &ways[i];
        size_t n = (size_t)how->size * how->n * how->last;
        mpifarm_future future = t_submit(t, T_SAVE, how, sizeof(*how), .max_attempts = how->last);
        const uint8_t *saved = t_done(t, future, n);
        uint8_t *expected = malloc(how->size + 1);

        T_CHECK(expected != NULL);
        for (uint32_t part = 0; part < how->n * how->last; part++) {
            t_pattern(expected, how->size, (1 + part / how->n) * 100 + part % how->n);
            T_CHECK(how->size == 0 ||
                    memcmp(saved + (size_t)part * how->size, expected, how->size) == 0);
        }
        free(expected);
        t_release(t, future);
    }
}

static void many_tasks_with_checkpoints_do_not_mix_them_up(struct t_run *t)
{
    mpifarm_future futures[60];

    for (uint32_t i = 0; i < 60; i++) {
        const struct t_saving how = {.size = 10 + i, .n = 1, .last = 3};

        futures[i] = t_submit(t, T_SAVE, &how, sizeof(how), .max_attempts = 3);
    }
    for (uint32_t i = 0; i < 60; i++) {
        t_done(t, futures[i], 3 * (10 + (size_t)i));
        t_release(t, futures[i]);
    }
}

static void a_time_limit_asks_a_function_to_stop(struct t_run *t)
{
    mpifarm_future future =
        t_submit(t, T_UNTIL_OVER, NULL, 0, .timeout_ns = 20 * MS, .max_attempts = 2);
    struct mpifarm_result result = t_await(t, future);

    T_EQ(result.status, MPIFARM_FAILED);
    T_EQ(result.cause, MPIFARM_CAUSE_TIMEOUT);
    T_CHECK(result.message[0] != '\0');
    T_EQ(result.attempts, 2);
    t_release(t, future);
    future = t_submit(t, T_DESCRIBE, NULL, 0, .timeout_ns = 60000 * MS);
    T_EQ(((const struct t_description *)t_done(t, future, sizeof(struct t_description)))
             ->should_stop,
         false);
    t_release(t, future);
}

static void client_calls_in_a_task_are_refused(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_CLIENT, NULL, 0, .rank = t->size > 1);
    const int32_t *results = t_done(t, future, (T_N_CLIENT_CALLS + 2) * sizeof(*results));
    uint64_t n_submitted = t_counts(t).n_submitted;

    for (int i = 0; i < T_N_CLIENT_CALLS; i++)
        if (results[i] != -EPERM)
            t_fail(__FILE__, __LINE__, "call %d returned %d", i, results[i]);
    T_EQ(results[T_N_CLIENT_CALLS], t->size > 1);
    T_EQ(results[T_N_CLIENT_CALLS + 1], t->size);
    t_release(t, future);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_counts(t).n_submitted, n_submitted);
}

static void context_calls_refuse_null_for_bytes(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_NULLS, NULL, 0);
    const int32_t *results = t_done(t, future, 3 * sizeof(*results));

    T_EQ(results[0], -EINVAL);
    T_EQ(results[1], -EINVAL);
    T_EQ(results[2], 0);
    t_release(t, future);
}

static void counts_tell_workers_slots_and_time(struct t_run *t)
{
    const int64_t duration_ns = 5 * MS, begin_ns = t_now_ns();
    struct mpifarm_counts before = t_counts(t), after;
    mpifarm_future future = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns));

    T_EQ(t_counts(t).n_submitted - before.n_submitted, 1);
    t_done(t, future, sizeof(struct t_times));
    t_release(t, future);
    after = t_counts(t);
    T_EQ(after.n_workers, t->n_workers);
    T_CHECK(after.n_slots >= t->n_workers);
    T_CHECK(after.busy_ns - before.busy_ns >= duration_ns);
    T_CHECK(after.busy_ns - before.busy_ns <= t_now_ns() - begin_ns);
    T_EQ(after.n_done - before.n_done, 1);
    T_EQ(mpifarm_rank(t->farm), 0);
    T_EQ(mpifarm_lookup(t->farm, "square"), T_SQUARE);
    T_EQ(mpifarm_lookup(t->farm, "cube"), -ENOENT);
}

const struct t_scenario t_results[] = {
    {"a done task has one attempt and no message", a_done_task_has_one_attempt_and_no_message, 0},
    {"a failure has its code and no data", a_failure_has_its_code_and_no_data, 0},
    {"a failure keeps up to 4,000 bytes of its message",
     a_failure_keeps_up_to_4000_bytes_of_its_message, 0},
    {"a task is tried as often as it may be", a_task_is_tried_as_often_as_it_may_be, 0},
    {"many flaky tasks all succeed in the end", many_flaky_tasks_all_succeed_in_the_end, 0},
    {"a failed task is tried on another rank", a_failed_task_is_tried_on_another_rank,
     T_NEEDS_RANKS},
    {"a checkpoint is given to the next attempt", a_checkpoint_is_given_to_the_next_attempt, 0},
    {"many tasks with checkpoints do not mix them up",
     many_tasks_with_checkpoints_do_not_mix_them_up, 0},
    {"a time limit asks a function to stop", a_time_limit_asks_a_function_to_stop, 0},
    {"client calls in a task are refused", client_calls_in_a_task_are_refused, 0},
    {"context calls refuse NULL for bytes", context_calls_refuse_null_for_bytes, 0},
    {"counts tell workers, slots and time", counts_tell_workers_slots_and_time, 0},
    {0},
};
