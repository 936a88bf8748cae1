/* Cancelling, wherever the task is. */
#include "t_api.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>

#define MS INT64_C(1000000)

static void expect_cancelled(struct t_run *t, mpifarm_future future)
{
    struct mpifarm_result result;

    T_EQ(mpifarm_result(t->farm, future, &result), 0);
    T_EQ(result.status, MPIFARM_CANCELLED);
    T_STR_EQ(result.message, "cancelled");
    T_EQ(result.cause, MPIFARM_CAUSE_NONE);
    T_CHECK(!result.data && result.size == 0);
    T_EQ(mpifarm_cancel(t->farm, future), 1);
    T_EQ(mpifarm_wait(t->farm, future, 0), 0);
}

static void a_queued_task_is_cancelled_at_once_and_never_runs(struct t_run *t)
{
    const char *path = t_path(t, "never");
    struct mpifarm_counts before = t_counts(t), after;
    mpifarm_future futures[100];

    for (int i = 0; i < 100; i++)
        futures[i] = t_submit(t, T_TOUCH, path, strlen(path));
    T_CHECK(t_counts(t).n_queued >= 100);
    for (int i = 0; i < 100; i++) {
        T_EQ(mpifarm_cancel(t->farm, futures[i]), 0);
        expect_cancelled(t, futures[i]);
        t_release(t, futures[i]);
        T_ERROR(t, mpifarm_cancel(t->farm, futures[i]), -ESTALE);
    }
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    after = t_counts(t);
    T_EQ(after.n_cancelled - before.n_cancelled, 100);
    T_EQ(after.n_done, before.n_done);
    T_CHECK(!t_is_file(path));
}

static void a_sent_task_that_is_cancelled_does_not_run(struct t_run *t)
{
    const char *path = t_path(t, "not_run"), *last = t_path(t, "last");
    mpifarm_future futures[20], end;
    struct t_gate gate;

    t_gate_close(t, &gate, 1);
    for (int i = 0; i < 20; i++)
        futures[i] = t_submit(t, T_TOUCH, path, strlen(path), .rank = 1);
    end = t_submit(t, T_TOUCH, last, strlen(last), .rank = 1);
    /* Some of them travel while the gate is closed. */
    T_ERROR(t, mpifarm_wait(t->farm, end, 30 * MS), -ETIMEDOUT);
    for (int i = 0; i < 20; i++)
        T_EQ(mpifarm_cancel(t->farm, futures[i]), 0);
    /* The gate ends when its worker hears of this, and of what was said before. */
    T_EQ(mpifarm_cancel(t->farm, gate.future), 0);
    t_done(t, end, 0);
    T_CHECK(t_is_file(last));
    T_CHECK(!t_is_file(path));
    for (int i = 0; i < 20; i++) {
        expect_cancelled(t, futures[i]);
        t_release(t, futures[i]);
    }
    expect_cancelled(t, gate.future);
    t_release(t, gate.future);
    t_release(t, end);
}

/* The process that a gate has begun in. */
static pid_t find_process(const struct t_gate *gate)
{
    char started[160];
    int pid = 0;
    FILE *file;

    snprintf(started, sizeof(started), "%s.started", gate->path);
    file = fopen(started, "r");
    T_CHECK(file && fscanf(file, "%d", &pid) == 1);
    fclose(file);
    return (pid_t)pid;
}

/* Whether a cancelled gate was asked to stop: an executor may be killed before it could look. */
static bool was_asked_to_stop(struct t_run *t, const struct t_gate *gate)
{
    pid_t pid = find_process(gate);
    char stopped[160];

    snprintf(stopped, sizeof(stopped), "%s.stopped", gate->path);
    while (!t_is_file(stopped) && kill(pid, 0) == 0)
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
    return t_is_file(stopped);
}

static bool cancel_what_runs(struct t_run *t)
{
    struct t_gate gate;
    mpifarm_future after;

    t_gate_close(t, &gate, 0);
    after = t_submit(t, T_NOTHING, NULL, 0, .after = &gate.future, .n_after = 1);
    T_EQ(mpifarm_cancel(t->farm, gate.future), 0);
    expect_cancelled(t, gate.future);
    T_EQ(t_await(t, after).status, MPIFARM_SKIPPED);
    T_CHECK(strstr(t_await(t, after).message, "not done"));
    t_release(t, gate.future);
    t_release(t, after);
    return was_asked_to_stop(t, &gate);
}

static void a_running_task_is_cancelled_at_once_and_asked_to_stop(struct t_run *t)
{
    bool was_asked = false;
    mpifarm_future after;

    for (int i = 0; i < 10 && !was_asked; i++)
        was_asked = cancel_what_runs(t);
    T_CHECK(was_asked);
    /* The worker goes on. */
    after = t_submit(t, T_NOTHING, NULL, 0, .rank = t->size > 1);
    t_done(t, after, 0);
    t_release(t, after);
}

static void a_task_that_waits_for_others_can_be_cancelled(struct t_run *t)
{
    mpifarm_future before = t_submit(t, T_NOTHING, NULL, 0);
    mpifarm_future waits = t_submit(t, T_NOTHING, NULL, 0, .after = &before, .n_after = 1);

    T_EQ(mpifarm_cancel(t->farm, waits), 0);
    expect_cancelled(t, waits);
    t_done(t, before, 0);
    t_release(t, before);
    t_release(t, waits);
}

static void a_task_that_is_done_stays_done(struct t_run *t)
{
    uint64_t x = 4;
    mpifarm_future future = t_submit(t, T_SQUARE, &x, sizeof(x));

    t_done(t, future, 8);
    T_EQ(mpifarm_cancel(t->farm, future), 1);
    T_EQ(*(const uint64_t *)t_done(t, future, 8), 16);
    t_release(t, future);
}

static void a_retried_task_can_be_cancelled(struct t_run *t)
{
    uint32_t never = UINT32_MAX;
    mpifarm_future future = t_submit(t, T_FLAKY, &never, sizeof(never), .max_attempts = UINT32_MAX);

    while (t_counts(t).n_retried < 5)
        T_EQ(mpifarm_test(t->farm, future), 0);
    T_EQ(mpifarm_cancel(t->farm, future), 0);
    expect_cancelled(t, future);
    t_release(t, future);
}

static void a_group_of_many_is_cancelled_in_one_call(struct t_run *t)
{
    enum { N = 100000 };
    const struct mpifarm_task_options options = {.group = 9};
    uint64_t *inputs = calloc(N, sizeof(*inputs));
    mpifarm_future other = t_submit(t, T_NOTHING, NULL, 0, .group = 10);
    struct mpifarm_counts before = t_counts(t), after;
    int n;

    T_CHECK(inputs != NULL);
    T_EQ(mpifarm_submit_array(t->farm, T_SQUARE, inputs, 8, N, &options, NULL), 0);
    n = mpifarm_cancel_group(t->farm, 9);
    /* Few have been sent, and hardly any has ended. */
    T_CHECK(n > N / 2 && n <= N);
    T_EQ(mpifarm_wait_group(t->farm, 9, 0), 0);
    T_EQ(mpifarm_cancel_group(t->farm, 9), 0);
    T_EQ(mpifarm_cancel_group(t->farm, 0), 0);
    t_done(t, other, 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    after = t_counts(t);
    T_EQ(after.n_cancelled - before.n_cancelled, n);
    T_EQ(after.n_done - before.n_done, N - n + 1);
    t_release(t, other);
    free(inputs);
}

static void inputs_under_way_are_not_mixed_up_by_cancelling(struct t_run *t)
{
    enum { SIZE = 3 << 20, N = 8 };
    uint8_t *inputs = malloc((size_t)N * SIZE);
    mpifarm_future futures[N];

    T_CHECK(inputs != NULL);
    t_pattern(inputs, (size_t)N * SIZE, 5);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            futures[i] = t_submit(t, T_HASH, inputs + (size_t)i * SIZE, SIZE);
        for (int i = 0; i < round * 2; i++)
            T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
        for (int i = 0; i < N; i += 2) {
            T_CHECK(mpifarm_cancel(t->farm, futures[i]) >= 0);
            t_release(t, futures[i]);
        }
        for (int i = 1; i < N; i += 2) {
            T_CHECK(*(const uint64_t *)t_done(t, futures[i], 8) ==
                    t_hash(inputs + (size_t)i * SIZE, SIZE));
            t_release(t, futures[i]);
        }
    }
    free(inputs);
}

static void cancelling_at_random_loses_nothing(struct t_run *t)
{
    enum { N = 4000 };
    static mpifarm_future futures[N];
    struct mpifarm_counts before = t_counts(t), after;
    uint64_t state = 1, n_cancelled = 0, n_done = 0;

    for (uint64_t i = 0; i < N; i++) {
        futures[i] = t_submit(t, T_SQUARE, &i, sizeof(i), .priority = (int32_t)(i % 3));
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (state >> 63 && i > 50) {
            uint64_t at = (state >> 33) % i;

            n_cancelled += mpifarm_cancel(t->farm, futures[at]) == 0;
        }
    }
    for (uint64_t i = 0; i < N; i++) {
        struct mpifarm_result result = t_await(t, futures[i]);

        T_CHECK(result.status == MPIFARM_DONE || result.status == MPIFARM_CANCELLED);
        if (result.status == MPIFARM_DONE) {
            T_EQ(*(const uint64_t *)t_done(t, futures[i], 8), i * i);
            n_done++;
        }
        t_release(t, futures[i]);
    }
    after = t_counts(t);
    T_EQ(n_done + n_cancelled, N);
    T_EQ(after.n_cancelled - before.n_cancelled, n_cancelled);
    T_EQ(after.n_done - before.n_done, n_done);
    T_CHECK(n_cancelled > 100);
}

const struct t_scenario t_cancelling[] = {
    {"a queued task is cancelled at once and never runs",
     a_queued_task_is_cancelled_at_once_and_never_runs, 0},
    {"a sent task that is cancelled does not run", a_sent_task_that_is_cancelled_does_not_run,
     T_NEEDS_CONCURRENCY | T_NEEDS_ONE_SLOT},
    {"a running task is cancelled at once and asked to stop",
     a_running_task_is_cancelled_at_once_and_asked_to_stop, T_NEEDS_CONCURRENCY},
    {"a task that waits for others can be cancelled", a_task_that_waits_for_others_can_be_cancelled,
     0},
    {"a task that is done stays done", a_task_that_is_done_stays_done, 0},
    {"a retried task can be cancelled", a_retried_task_can_be_cancelled, 0},
    {"a group of many is cancelled in one call", a_group_of_many_is_cancelled_in_one_call, 0},
    {"inputs under way are not mixed up by cancelling",
     inputs_under_way_are_not_mixed_up_by_cancelling, 0},
    {"cancelling at random loses nothing", cancelling_at_random_loses_nothing, 0},
    {0},
};
