/* One million tasks of random size, priority and duration, checked by sum and by count. */
#include "t_api.h"

#include <stdlib.h>

#define N_TASKS 1000000
#define LARGEST 2000
#define WINDOW 200000

/* @sum, @n  of the results that came */
struct tally {
    struct t_run *t;
    uint64_t sum, n;
};

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static void take(struct tally *tally, const struct mpifarm_result *result)
{
    static uint8_t expected[LARGEST];
    const uint8_t *data = result->data;
    uint64_t value;

    T_EQ(result->status, MPIFARM_DONE);
    T_CHECK(result->size >= sizeof(value));
    memcpy(&value, data, sizeof(value));
    T_CHECK(value == result->tag * result->tag);
    t_pattern(expected, result->size - sizeof(value), value);
    T_CHECK(memcmp(data + sizeof(value), expected, result->size - sizeof(value)) == 0);
    tally->sum += value;
    tally->n++;
}

static void call_back(struct mpifarm *farm, mpifarm_future future,
                      const struct mpifarm_result *result, void *arg)
{
    take(arg, result);
}

/* Submits a task; every other one is heard of in the queue, the others are called back. */
static void submit_one(struct tally *tally, uint64_t value, uint64_t *state)
{
    static uint8_t input[sizeof(struct t_random_task) + LARGEST];
    uint64_t r = next_random(state);
    struct t_random_task what = {.value = value, .size = (uint32_t)(r % 8)};
    struct mpifarm_task_options options = {
        .tag = value, .priority = (int32_t)(r >> 8) % 5 - 2, .delivery = MPIFARM_DELIVER_QUEUE};
    size_t extra = r % 16;

    /* Mostly small and short. */
    if (r % 64 == 0)
        what.size = (uint32_t)(next_random(state) % LARGEST);
    if (r % 64 == 1)
        extra = next_random(state) % LARGEST;
    if (r % 32 == 2)
        what.spin_ns = (uint32_t)(next_random(state) % 20000);
    if (r >> 16 & 1) {
        options.delivery = MPIFARM_DELIVER_CALLBACK;
        options.callback = call_back;
        options.callback_arg = tally;
    }
    memcpy(input, &what, sizeof(what));
    T_EQ(mpifarm_submit(tally->t->farm, T_RANDOM, input, sizeof(what) + extra, &options, NULL), 0);
}

static void a_million_tasks_are_done_once_each(struct t_run *t)
{
    struct tally tally = {.t = t};
    struct mpifarm_counts before = t_counts(t), after;
    uint64_t state = 2024, expected = 0, n_submitted = 0;
    mpifarm_future future;

    while (tally.n < N_TASKS) {
        struct mpifarm_result result;
        int r;

        while (n_submitted < N_TASKS && n_submitted - tally.n < WINDOW) {
            expected += n_submitted * n_submitted;
            submit_one(&tally, n_submitted++, &state);
        }
        r = mpifarm_next(t->farm, MPIFARM_FOREVER, &future);
        if (r == -ENOENT && tally.n == N_TASKS)
            break;
        if (r == -ENOENT)
            continue;
        T_EQ(r, 0);
        T_EQ(mpifarm_result(t->farm, future, &result), 0);
        take(&tally, &result);
        t_release(t, future);
    }
    T_CHECK(tally.sum == expected);
    T_EQ(tally.n, N_TASKS);
    after = t_counts(t);
    T_EQ(after.n_submitted - before.n_submitted, N_TASKS);
    T_EQ(after.n_done - before.n_done, N_TASKS);
    T_EQ(after.n_failed + after.n_cancelled + after.n_skipped + after.n_retried,
         before.n_failed + before.n_cancelled + before.n_skipped + before.n_retried);
}

const struct t_scenario t_million[] = {
    {"a million tasks are done once each", a_million_tasks_are_done_once_each, 0},
    {0},
};
