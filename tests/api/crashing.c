/* With isolation, a function that crashes, exits, hangs or leaks ends its executor alone. */
#include "t_api.h"

#include <signal.h>

#define MS INT64_C(1000000)

static void a_crash_is_a_cause(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_CRASH, NULL, 0, .tag = 3);
    struct mpifarm_result result = t_await(t, future);

    T_EQ(result.status, MPIFARM_FAILED);
    T_EQ(result.cause, MPIFARM_CAUSE_CRASHED);
    T_EQ(result.code, SIGSEGV);
    T_CHECK(result.message[0] != '\0');
    T_EQ(result.attempts, 1);
    T_EQ(result.tag, 3);
    t_release(t, future);
}

static void an_exit_is_a_cause(struct t_run *t)
{
    const int32_t statuses[] = {0, 7};

    for (int i = 0; i < 2; i++) {
        mpifarm_future future = t_submit(t, T_EXIT, &statuses[i], sizeof(statuses[i]));
        struct mpifarm_result result = t_await(t, future);

        T_EQ(result.status, MPIFARM_FAILED);
        T_EQ(result.cause, MPIFARM_CAUSE_EXITED);
        T_EQ(result.code, statuses[i]);
        t_release(t, future);
    }
}

static void a_crashed_task_is_tried_again_with_its_checkpoint(struct t_run *t)
{
    uint32_t n = 2;
    struct mpifarm_counts before = t_counts(t);
    mpifarm_future future = t_submit(t, T_CRASH, &n, sizeof(n), .max_attempts = 4);

    t_done(t, future, 0);
    T_EQ(t_await(t, future).attempts, 3);
    T_EQ(t_counts(t).n_retried - before.n_retried, 2);
    t_release(t, future);
}

static void a_time_limit_ends_what_does_not_cooperate(struct t_run *t)
{
    int64_t begin_ns = t_now_ns();
    mpifarm_future future = t_submit(t, T_HANG, NULL, 0, .timeout_ns = 50 * MS);
    struct mpifarm_result result = t_await(t, future);

    T_EQ(result.status, MPIFARM_FAILED);
    T_EQ(result.cause, MPIFARM_CAUSE_TIMEOUT);
    T_CHECK(t_now_ns() - begin_ns >= 50 * MS);
    t_release(t, future);
}

/* Those behind it travelled with it. */
static void a_time_limit_ends_one_task_and_not_those_beside_it(struct t_run *t)
{
    enum { N = 400 };
    mpifarm_future futures[N];
    struct mpifarm_result result;

    for (uint64_t i = 0; i < N; i++)
        futures[i] = i % 100 == 50 ? t_submit(t, T_HANG, NULL, 0, .timeout_ns = 50 * MS)
                                   : t_submit(t, T_SQUARE, &i, sizeof(i), .timeout_ns = 60000 * MS);
    for (uint64_t i = 0; i < N; i++) {
        if (i % 100 == 50) {
            result = t_await(t, futures[i]);
            T_EQ(result.status, MPIFARM_FAILED);
            T_EQ(result.cause, MPIFARM_CAUSE_TIMEOUT);
        } else {
            T_EQ(*(const uint64_t *)t_done(t, futures[i], sizeof(i)), i * i);
            T_EQ(t_await(t, futures[i]).attempts, 1);
        }
        t_release(t, futures[i]);
    }
}

static void a_cancelled_task_that_does_not_cooperate_is_ended(struct t_run *t)
{
    const char *path = t_path(t, "hangs");
    struct mpifarm_counts counts = t_counts(t);
    mpifarm_future hangs, after;

    hangs = t_submit(t, T_HANG, path, strlen(path), .rank = t->size > 1);
    t_await_file(t, path);
    T_EQ(mpifarm_cancel(t->farm, hangs), 0);
    T_EQ(t_await(t, hangs).status, MPIFARM_CANCELLED);
    t_release(t, hangs);
    /* All slots can be used again. */
    for (uint32_t i = 0; i < 4 * counts.n_slots; i++)
        t_release(t, t_submit(t, T_NOTHING, NULL, 0));
    after = t_submit(t, T_DESCRIBE, NULL, 0, .rank = t->size > 1);
    t_done(t, after, sizeof(struct t_description));
    t_release(t, after);
}

static void neighbours_of_a_crash_are_not_hurt(struct t_run *t)
{
    enum { N = 600 };
    static mpifarm_future futures[N];
    struct mpifarm_counts before = t_counts(t), after;

    for (uint64_t i = 0; i < N; i++)
        futures[i] =
            i % 100 == 50 ? t_submit(t, T_CRASH, NULL, 0) : t_submit(t, T_SQUARE, &i, sizeof(i));
    for (uint64_t i = 0; i < N; i++) {
        if (i % 100 == 50)
            T_EQ(t_await(t, futures[i]).cause, MPIFARM_CAUSE_CRASHED);
        else
            T_EQ(*(const uint64_t *)t_done(t, futures[i], 8), i * i);
        t_release(t, futures[i]);
    }
    after = t_counts(t);
    T_EQ(after.n_done - before.n_done, N - 6);
    T_EQ(after.n_failed - before.n_failed, 6);
    T_EQ(after.n_workers, t->n_workers);
}

static void functions_run_outside_of_the_rank(struct t_run *t)
{
    mpifarm_future futures[2];
    int32_t pids[2];

    for (int i = 0; i < 2; i++) {
        futures[i] = t_submit(t, T_DESCRIBE, NULL, 0, .rank = t->size > 1);
        pids[i] =
            ((const struct t_description *)t_done(t, futures[i], sizeof(struct t_description)))
                ->pid;
        T_CHECK(pids[i] > 0 && kill(pids[i], 0) == 0);
        t_release(t, futures[i]);
    }
    /* The executor is another one after a crash. */
    for (uint32_t i = 0; i < t_counts(t).n_slots * 3; i++) {
        futures[0] = t_submit(t, T_CRASH, NULL, 0);
        T_EQ(t_await(t, futures[0]).cause, MPIFARM_CAUSE_CRASHED);
        t_release(t, futures[0]);
    }
}

/* One after the other, so that each is in one process that has what those before it have left. */
static void a_function_that_leaks_costs_a_try_now_and_then(struct t_run *t)
{
    const uint64_t n_bytes = UINT64_C(8) << 20;
    struct mpifarm_counts before = t_counts(t);
    uint64_t most = 0;

    for (int i = 0; i < 120; i++) {
        mpifarm_future future =
            t_submit(t, T_LEAK, &n_bytes, sizeof(n_bytes), .rank = t->size > 1, .max_attempts = 3);
        uint64_t n_leaked = *(const uint64_t *)t_done(t, future, sizeof(n_leaked));

        most = n_leaked > most ? n_leaked : most;
        t_release(t, future);
    }
    T_EQ(t_counts(t).n_done - before.n_done, 120);
    T_CHECK(most >= (uint64_t)T_EXECUTOR_BYTES / 2);
    /* Some calls that nobody has looked at in between: on two executors it would be 480 MiB. */
    T_CHECK(most <= (uint64_t)T_EXECUTOR_BYTES * 4);
}

static void many_that_leak_at_a_time_are_all_done(struct t_run *t)
{
    enum { N = 200 };
    const uint64_t n_bytes = UINT64_C(8) << 20;
    mpifarm_future futures[N];

    for (int i = 0; i < N; i++)
        futures[i] = t_submit(t, T_LEAK, &n_bytes, sizeof(n_bytes), .max_attempts = 3);
    for (int i = 0; i < N; i++) {
        t_done(t, futures[i], sizeof(n_bytes));
        t_release(t, futures[i]);
    }
}

static void a_function_that_takes_too_much_fails_alone(struct t_run *t)
{
    enum { N = 100 };
    const char *const beginning = "over its memory limit of 64.0 MiB: ";
    struct mpifarm_counts before = t_counts(t);
    mpifarm_future futures[N];

    for (uint64_t i = 0; i < N; i++)
        futures[i] = i == 50
                         ? t_submit(t, T_SWALLOW, NULL, 0, .rank = t->size > 1, .max_attempts = 2)
                         : t_submit(t, T_SQUARE, &i, sizeof(i), .rank = t->size > 1);
    for (uint64_t i = 0; i < N; i++) {
        struct mpifarm_result result = t_await(t, futures[i]);

        if (i == 50) {
            T_EQ(result.status, MPIFARM_FAILED);
            T_EQ(result.cause, MPIFARM_CAUSE_MEMORY);
            T_EQ(result.attempts, 2);
            T_EQ(strncmp(result.message, beginning, strlen(beginning)), 0);
        } else {
            T_EQ(*(const uint64_t *)t_done(t, futures[i], sizeof(i)), i * i);
            T_EQ(result.attempts, 1);
        }
        t_release(t, futures[i]);
    }
    T_EQ(t_counts(t).n_retried - before.n_retried, 1);
    T_EQ(t_counts(t).n_workers, t->n_workers);
}

const struct t_scenario t_crashing[] = {
    {"a crash is a cause", a_crash_is_a_cause, T_NEEDS_ISOLATION},
    {"an exit is a cause", an_exit_is_a_cause, T_NEEDS_ISOLATION},
    {"a crashed task is tried again", a_crashed_task_is_tried_again_with_its_checkpoint,
     T_NEEDS_ISOLATION},
    {"a time limit ends what does not cooperate", a_time_limit_ends_what_does_not_cooperate,
     T_NEEDS_ISOLATION},
    {"a time limit ends one task, and not those beside it",
     a_time_limit_ends_one_task_and_not_those_beside_it, T_NEEDS_ISOLATION},
    {"a cancelled task that does not cooperate is ended",
     a_cancelled_task_that_does_not_cooperate_is_ended, T_NEEDS_ISOLATION},
    {"neighbours of a crash are not hurt", neighbours_of_a_crash_are_not_hurt, T_NEEDS_ISOLATION},
    {"functions run outside of the rank", functions_run_outside_of_the_rank, T_NEEDS_ISOLATION},
    {"a function that leaks costs a try now and then",
     a_function_that_leaks_costs_a_try_now_and_then, T_NEEDS_ISOLATION | T_NEEDS_LIMIT},
    {"many that leak at a time are all done", many_that_leak_at_a_time_are_all_done,
     T_NEEDS_ISOLATION | T_NEEDS_LIMIT},
    {"a function that takes too much fails alone", a_function_that_takes_too_much_fails_alone,
     T_NEEDS_ISOLATION | T_NEEDS_LIMIT},
    {0},
};
