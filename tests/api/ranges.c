/* Maps and arrays whose elements are booked as one: each is a task all the same. */
#include "t_api.h"

#include <stdlib.h>
#include <sys/mman.h>

#define MS INT64_C(1000000)

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n, size);

    T_CHECK(memory);
    return memory;
}

static void ten_million_elements_are_done_once_each(struct t_run *t)
{
    size_t n = t->is_isolated ? 300000 : 10000000;
    struct mpifarm_counts before = t_counts(t), after;

    T_EQ(mpifarm_map(t->farm, T_NOTHING, NULL, 0, n, NULL, 0, NULL), 0);
    after = t_counts(t);
    T_EQ(after.n_submitted - before.n_submitted, n);
    T_EQ(after.n_done - before.n_done, n);
    T_EQ(mpifarm_drain(t->farm, T_LIMIT_NS), 0);
}

static void a_million_results_come_to_their_places(struct t_run *t)
{
    size_t n = t->is_isolated ? 200000 : 1000000;
    uint64_t *values = allocate(n, sizeof(*values));

    for (uint64_t i = 0; i < n; i++)
        values[i] = i;
    /* In place: an input is not needed any more when its result comes. */
    T_EQ(mpifarm_map(t->farm, T_SQUARE, values, 8, n, values, 8, NULL), 0);
    for (uint64_t i = 0; i < n; i++)
        T_EQ(values[i], i * i);
    free(values);
}

static void elements_are_tasks_with_a_tag_an_attempt_and_a_number_each(struct t_run *t)
{
    enum { N = 300 };
    const struct mpifarm_task_options options = {.rank = t->size - 1};
    struct t_description *seen = allocate(N, sizeof(*seen));
    uint64_t inputs[N];

    for (uint64_t i = 0; i < N; i++)
        inputs[i] = i;
    T_EQ(mpifarm_map(t->farm, T_DESCRIBE, inputs, 8, N, seen, sizeof(*seen), &options), 0);
    for (uint64_t i = 0; i < N; i++) {
        T_EQ(seen[i].tag, i);
        T_EQ(seen[i].id - seen[0].id, i);
        T_EQ(seen[i].attempt, 1);
        T_EQ(seen[i].rank, t->size - 1);
        T_CHECK(seen[i].has_input && seen[i].is_aligned && seen[i].input_size == 8);
    }
    free(seen);
}

static void elements_that_fail_are_tried_again_and_only_the_last_try_counts(struct t_run *t)
{
    enum { N = 1000 };
    const struct mpifarm_task_options options = {.max_attempts = 3};
    struct mpifarm_counts before = t_counts(t), after;
    uint32_t n_attempts[N], results[N] = {0};
    uint64_t n_failed = 0, n_retried = 0;

    for (int i = 0; i < N; i++) {
        n_attempts[i] = i % 100 == 7 ? 9 : i % 10 == 3 ? 2 : 1;
        n_failed += n_attempts[i] > 3;
        n_retried += n_attempts[i] > 3 ? 2 : n_attempts[i] - 1;
    }
    T_EQ(mpifarm_map(t->farm, T_FLAKY, n_attempts, 4, N, results, 4, &options), n_failed);
    for (int i = 0; i < N; i++)
        T_EQ(results[i], n_attempts[i] > 3 ? 0 : n_attempts[i]);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, n_failed);
    T_EQ(after.n_done - before.n_done, N - n_failed);
    T_EQ(after.n_retried - before.n_retried, n_retried);
}

static void results_of_any_size_stand_beside_each_other(struct t_run *t)
{
    enum { N = 60, ROOM = 100000 };
    struct t_fill what[N];
    uint8_t *results = allocate(N, ROOM), *expected = allocate(1, ROOM);
    struct mpifarm_counts before = t_counts(t), after;
    const struct mpifarm_task_options options = {.max_attempts = 3};
    uint64_t n_longer = 0;

    for (uint64_t i = 0; i < N; i++) {
        const uint64_t sizes[] = {0, 8, 9, 8, 8, 70000, 8, ROOM, ROOM + 1, 300};

        what[i] = (struct t_fill){.size = sizes[i % 10], .seed = i};
        n_longer += what[i].size > ROOM;
    }
    T_EQ(mpifarm_map(t->farm, T_FILL, what, sizeof(what[0]), N, results, ROOM, &options), n_longer);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, n_longer);
    T_EQ(after.n_done - before.n_done, N - n_longer);
    T_EQ(after.n_retried, before.n_retried);
    for (uint64_t i = 0; i < N; i++) {
        memset(expected, 0, ROOM);
        if (what[i].size <= ROOM)
            t_pattern(expected, what[i].size, i);
        T_CHECK(memcmp(results + i * ROOM, expected, ROOM) == 0);
    }
    free(results);
    free(expected);
}

static void large_inputs_travel_one_by_one(struct t_run *t)
{
    enum { N = 7, SIZE = 200001 };
    uint8_t *inputs = allocate(N, SIZE);
    uint64_t results[N];

    t_pattern(inputs, (size_t)N * SIZE, 5);
    T_EQ(mpifarm_map(t->farm, T_HASH, inputs, SIZE, N, results, 8, NULL), 0);
    for (size_t i = 0; i < N; i++)
        T_EQ(results[i], t_hash(inputs + i * SIZE, SIZE));
    free(inputs);
}

static void cancel_large(struct mpifarm *farm, mpifarm_future future,
                         const struct mpifarm_result *result, void *arg)
{
    T_CHECK(mpifarm_cancel_group(farm, 34) > 0);
}

/* They are not copied, unless they are withdrawn while they are being sent. */
static void large_inputs_are_not_needed_once_the_map_is_over(struct t_run *t)
{
    enum { N = 8, SIZE = 16 << 20 };
    const struct mpifarm_task_options first = {
        .priority = 1, .delivery = MPIFARM_DELIVER_CALLBACK, .callback = cancel_large};
    const int64_t duration_ns = 2 * MS;
    void *inputs = mmap(NULL, (size_t)N * SIZE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int r;

    T_CHECK(inputs != MAP_FAILED);
    T_EQ(mpifarm_submit(t->farm, T_TIMES, &duration_ns, sizeof(duration_ns), &first, NULL), 0);
    r = mpifarm_map(t->farm, T_UNTIL_OVER, inputs, SIZE, N, NULL, 0,
                    &(struct mpifarm_task_options){.group = 34});
    T_EQ(munmap(inputs, (size_t)N * SIZE), 0);
    T_EQ(r, N);
    T_EQ(mpifarm_map(t->farm, T_NOTHING, NULL, 0, 100, NULL, 0, NULL), 0);
}

static void elements_go_on_from_their_checkpoints(struct t_run *t)
{
    enum { N = 40 };
    const struct mpifarm_task_options options = {.max_attempts = 3};
    struct t_saving how[N];
    uint8_t results[N][64], expected[64] = {0};
    struct mpifarm_result alone;
    mpifarm_future future;

    for (int i = 0; i < N; i++)
        how[i] = (struct t_saving){.size = 4, .n = 2, .last = 2};
    future = t_submit(t, T_SAVE, how, sizeof(how[0]), .max_attempts = 3);
    alone = t_await(t, future);
    T_EQ(alone.status, MPIFARM_DONE);
    T_CHECK(alone.size > 0 && alone.size <= sizeof(expected));
    memcpy(expected, alone.data, alone.size);
    t_release(t, future);
    T_EQ(
        mpifarm_map(t->farm, T_SAVE, how, sizeof(how[0]), N, results, sizeof(results[0]), &options),
        0);
    for (int i = 0; i < N; i++)
        T_CHECK(memcmp(results[i], expected, sizeof(expected)) == 0);
}

static void elements_have_children(struct t_run *t)
{
    enum { N = 100 };
    struct mpifarm_counts before = t_counts(t), after;
    struct t_spawning how[N];

    for (int i = 0; i < N; i++)
        how[i] = (struct t_spawning){.n = (uint32_t)i % 4, .n_failures = i % 7 == 0};
    T_EQ(mpifarm_submit_array(t->farm, T_SPAWN_MANY, how, sizeof(how[0]), N,
                              &(struct mpifarm_task_options){.group = 31, .max_attempts = 2}, NULL),
         0);
    T_EQ(mpifarm_wait_group(t->farm, 31, T_LIMIT_NS), 0);
    after = t_counts(t);
    /* 25 rounds of 0, 1, 2 and 3 children, whose group is their parent's. */
    T_EQ(after.n_done - before.n_done, N + 25 * 6);
    T_EQ(after.n_submitted - before.n_submitted, N + 25 * 6);
}

static void a_time_limit_holds_for_each_element(struct t_run *t)
{
    const struct mpifarm_task_options options = {.timeout_ns = 20 * MS};
    struct mpifarm_counts before = t_counts(t), after;

    T_EQ(mpifarm_map(t->farm, T_UNTIL_OVER, NULL, 0, 4, NULL, 0, &options), 4);
    T_EQ(mpifarm_map(t->farm, T_NOTHING, NULL, 0, 4, NULL, 0, &options), 0);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, 4);
}

static void cancel_group(struct mpifarm *farm, mpifarm_future future,
                         const struct mpifarm_result *result, void *arg)
{
    *(int *)arg = mpifarm_cancel_group(farm, (uint32_t)result->tag);
}

/* The elements never end by themselves, so the map ends because it is cancelled. */
static void a_map_ends_when_its_group_is_cancelled(struct t_run *t)
{
    enum { N = 5000 };
    const struct mpifarm_task_options first = {
        .tag = 32, .priority = 1, .delivery = MPIFARM_DELIVER_CALLBACK, .callback = cancel_group};
    struct mpifarm_task_options with_arg = first;
    struct mpifarm_counts before = t_counts(t), after;
    uint64_t results[N];
    int n_cancelled = -1;

    memset(results, 1, sizeof(results));
    with_arg.callback_arg = &n_cancelled;
    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &with_arg, NULL), 0);
    T_EQ(mpifarm_map(t->farm, T_UNTIL_OVER, NULL, 0, N, results, 8,
                     &(struct mpifarm_task_options){.group = 32}),
         N);
    T_EQ(n_cancelled, N);
    after = t_counts(t);
    T_EQ(after.n_cancelled - before.n_cancelled, N);
    T_EQ(results[0], results[N - 1]);
    T_EQ(t_counts(t).n_sent, 0);
    T_EQ(*(const uint64_t *)t_done(t, t_submit(t, T_SQUARE, &(uint64_t){3}, 8), 8), 9);
}

static void an_array_waits_for_what_it_comes_after(struct t_run *t)
{
    struct t_failure how = {.code = 1};
    mpifarm_future failed = t_submit(t, T_FAIL, &how, sizeof(how));
    mpifarm_future done = t_submit(t, T_NOTHING, NULL, 0);
    struct mpifarm_counts before = t_counts(t), after;

    T_EQ(mpifarm_map(t->farm, T_NOTHING, NULL, 0, 500, NULL, 0,
                     &(struct mpifarm_task_options){.after = &failed, .n_after = 1}),
         500);
    T_EQ(mpifarm_map(t->farm, T_NOTHING, NULL, 0, 500, NULL, 0,
                     &(struct mpifarm_task_options){.after = &done, .n_after = 1}),
         0);
    after = t_counts(t);
    T_EQ(after.n_skipped - before.n_skipped, 500);
    t_release(t, failed);
    t_release(t, done);
}

/* Inputs that are gone were copied. */
static void arrays_that_nobody_asks_for_are_run_and_counted(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t), after;
    uint32_t n_attempts[10];

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 10; i++)
            n_attempts[i] = i == 4 ? 9 : 1;
        T_EQ(mpifarm_submit_array(t->farm, T_FLAKY, n_attempts, 4, 10, NULL, NULL), 0);
        memset(n_attempts, 1, sizeof(n_attempts));
    }
    T_EQ(mpifarm_drain(t->farm, T_LIMIT_NS), 0);
    after = t_counts(t);
    T_EQ(after.n_submitted - before.n_submitted, 200);
    T_EQ(after.n_done - before.n_done, 180);
    T_EQ(after.n_failed - before.n_failed, 20);
}

static void an_element_that_crashes_is_blamed_alone(struct t_run *t)
{
    enum { N = 400 };
    const struct mpifarm_task_options options = {.max_attempts = 2};
    struct mpifarm_counts before = t_counts(t), after;
    uint32_t n_crashes[N];
    uint64_t n_retried = 0, n_failed = 0;

    for (uint32_t i = 0; i < N; i++) {
        n_crashes[i] = i % 150 == 70 ? 9 : i % 100 == 30;
        n_failed += n_crashes[i] == 9;
        n_retried += n_crashes[i] > 0;
    }
    T_EQ(mpifarm_map(t->farm, T_CRASH, n_crashes, 4, N, NULL, 0, &options), n_failed);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, n_failed);
    T_EQ(after.n_done - before.n_done, N - n_failed);
    T_EQ(after.n_retried - before.n_retried, n_retried);
}

static void an_element_that_hangs_is_ended_at_its_limit(struct t_run *t)
{
    const struct mpifarm_task_options options = {.timeout_ns = 50 * MS};
    struct mpifarm_counts before = t_counts(t), after;

    T_EQ(mpifarm_map(t->farm, T_HANG, NULL, 0, 2, NULL, 0, &options), 2);
    after = t_counts(t);
    T_EQ(after.n_failed - before.n_failed, 2);
}

const struct t_scenario t_ranges[] = {
    {"ten million elements are done once each", ten_million_elements_are_done_once_each, 0},
    {"a million results come to their places", a_million_results_come_to_their_places, 0},
    {"elements are tasks with a tag, an attempt and a number each",
     elements_are_tasks_with_a_tag_an_attempt_and_a_number_each, T_NEEDS_CONCURRENCY},
    {"elements that fail are tried again, and only the last try counts",
     elements_that_fail_are_tried_again_and_only_the_last_try_counts, 0},
    {"results of any size stand beside each other", results_of_any_size_stand_beside_each_other, 0},
    {"large inputs travel one by one", large_inputs_travel_one_by_one, 0},
    {"large inputs are not needed once the map is over",
     large_inputs_are_not_needed_once_the_map_is_over, 0},
    {"elements go on from their checkpoints", elements_go_on_from_their_checkpoints, 0},
    {"elements have children", elements_have_children, 0},
    {"a time limit holds for each element", a_time_limit_holds_for_each_element, 0},
    {"a map ends when its group is cancelled", a_map_ends_when_its_group_is_cancelled, 0},
    {"an array waits for what it comes after", an_array_waits_for_what_it_comes_after, 0},
    {"arrays that nobody asks for are run and counted",
     arrays_that_nobody_asks_for_are_run_and_counted, 0},
    {"an element that crashes is blamed alone", an_element_that_crashes_is_blamed_alone,
     T_NEEDS_ISOLATION},
    {"an element that hangs is ended at its limit", an_element_that_hangs_is_ended_at_its_limit,
     T_NEEDS_ISOLATION},
    {0},
};
