/* Waiting, with and without a time limit; progress; results and futures. */
#include "t_api.h"

#include <stdlib.h>
#include <time.h>

#define MS INT64_C(1000000)

static void test_says_whether_a_task_has_ended(struct t_run *t)
{
    struct mpifarm_result result;
    mpifarm_future future = t_submit(t, T_NOTHING, NULL, 0);
    int64_t limit_ns = t_now_ns() + T_LIMIT_NS;
    int r = 0;

    T_ERROR(t, mpifarm_result(t->farm, future, &result), -EAGAIN);
    T_EQ(result.status, MPIFARM_PENDING);
    while (r == 0 && t_now_ns() < limit_ns)
        r = mpifarm_test(t->farm, future);
    T_EQ(r, 1);
    T_EQ(mpifarm_test(t->farm, future), 1);
    T_EQ(mpifarm_result(t->farm, future, &result), 0);
    T_EQ(result.status, MPIFARM_DONE);
    t_release(t, future);
}

static void test_says_no_while_a_task_runs(struct t_run *t)
{
    struct t_gate gate;

    t_gate_close(t, &gate, 0);
    T_EQ(mpifarm_test(t->farm, gate.future), 0);
    T_CHECK(t_counts(t).n_sent >= 1);
    t_gate_open(t, &gate);
}

static void a_released_future_is_stale_everywhere(struct t_run *t)
{
    mpifarm_future futures[] = {t_submit(t, T_NOTHING, NULL, 0), 0, 12345, UINT64_MAX};
    struct mpifarm_result result;
    size_t index;

    t_done(t, futures[0], 0);
    t_release(t, futures[0]);
    /* Its place is used again. */
    mpifarm_future other = t_submit(t, T_NOTHING, NULL, 0);
    for (int i = 0; i < 4; i++) {
        mpifarm_future stale = futures[i];

        T_ERROR(t, mpifarm_test(t->farm, stale), -ESTALE);
        T_ERROR(t, mpifarm_wait(t->farm, stale, MPIFARM_FOREVER), -ESTALE);
        T_ERROR(t, mpifarm_wait_any(t->farm, &stale, 1, MPIFARM_FOREVER, &index), -ESTALE);
        T_ERROR(t, mpifarm_wait_all(t->farm, &stale, 1, MPIFARM_FOREVER), -ESTALE);
        T_ERROR(t, mpifarm_result(t->farm, stale, &result), -ESTALE);
        T_ERROR(t, mpifarm_release(t->farm, stale), -ESTALE);
        T_ERROR(t, mpifarm_cancel(t->farm, stale), -ESTALE);
    }
    t_done(t, other, 0);
    t_release(t, other);
}

static void null_is_refused_where_futures_or_room_are_needed(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_NOTHING, NULL, 0);
    size_t index = 7;

    T_ERROR(t, mpifarm_wait_all(t->farm, NULL, 1, MPIFARM_FOREVER), -EINVAL);
    T_ERROR(t, mpifarm_wait_any(t->farm, NULL, 1, MPIFARM_FOREVER, &index), -EINVAL);
    T_ERROR(t, mpifarm_wait_any(t->farm, &future, 1, MPIFARM_FOREVER, NULL), -EINVAL);
    T_ERROR(t, mpifarm_next(t->farm, MPIFARM_FOREVER, NULL), -EINVAL);
    T_EQ(index, 7);
    t_done(t, future, 0);
    T_ERROR(t, mpifarm_result(t->farm, future, NULL), -EINVAL);
    t_release(t, future);
}

static void waits_end_when_their_time_is_over(struct t_run *t)
{
    struct t_gate gate;
    mpifarm_future next;
    size_t index = 7;
    int64_t begin_ns = t_now_ns();

    t_gate_close(t, &gate, 0);
    T_EQ(mpifarm_submit(
             t->farm, T_NOTHING, NULL, 0,
             &(struct mpifarm_task_options){.group = 5, .after = &gate.future, .n_after = 1}, NULL),
         0);
    begin_ns = t_now_ns();
    T_ERROR(t, mpifarm_wait(t->farm, gate.future, 20 * MS), -ETIMEDOUT);
    T_CHECK(t_now_ns() - begin_ns >= 20 * MS);
    T_ERROR(t, mpifarm_wait(t->farm, gate.future, 0), -ETIMEDOUT);
    T_ERROR(t, mpifarm_wait(t->farm, gate.future, -5), -ETIMEDOUT);
    T_ERROR(t, mpifarm_wait_any(t->farm, &gate.future, 1, MS, &index), -ETIMEDOUT);
    T_EQ(index, 7);
    T_ERROR(t, mpifarm_wait_all(t->farm, &gate.future, 1, MS), -ETIMEDOUT);
    T_ERROR(t, mpifarm_wait_group(t->farm, 5, MS), -ETIMEDOUT);
    T_ERROR(t, mpifarm_drain(t->farm, MS), -ETIMEDOUT);
    T_ERROR(t, mpifarm_next(t->farm, MS, &next), -ETIMEDOUT);
    t_make_file(gate.path);
    T_EQ(mpifarm_wait(t->farm, gate.future, MPIFARM_FOREVER - 1), 0);
    T_EQ(mpifarm_wait(t->farm, gate.future, 0), 0);
    t_release(t, gate.future);
}

static void wait_any_names_the_first_that_has_ended(struct t_run *t)
{
    mpifarm_future futures[4];
    size_t index;

    for (int i = 0; i < 4; i++)
        futures[i] = t_submit(t, T_NOTHING, NULL, 0);
    T_ERROR(t, mpifarm_wait_any(t->farm, futures, 0, MPIFARM_FOREVER, &index), -EINVAL);
    T_EQ(mpifarm_wait_all(t->farm, futures + 2, 2, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_wait_any(t->farm, futures + 2, 2, 0, &index), 0);
    T_EQ(index, 0);
    T_EQ(mpifarm_wait_all(t->farm, futures, 4, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_wait_any(t->farm, futures, 4, 0, &index), 0);
    T_EQ(index, 0);
    for (int i = 0; i < 4; i++)
        t_release(t, futures[i]);
}

static void wait_any_does_not_wait_for_the_others(struct t_run *t)
{
    struct t_gate gate;
    mpifarm_future futures[3];
    size_t index = 9;

    t_gate_close(t, &gate, 1);
    futures[0] = gate.future;
    futures[1] = t_submit(t, T_NOTHING, NULL, 0, .rank = 1);
    futures[2] = t_submit(t, T_NOTHING, NULL, 0, .rank = 2);
    T_EQ(mpifarm_wait_any(t->farm, futures, 3, MPIFARM_FOREVER, &index), 0);
    T_EQ(index, 2);
    T_EQ(mpifarm_test(t->farm, futures[0]), 0);
    t_gate_open(t, &gate);
    t_done(t, futures[1], 0);
    t_release(t, futures[1]);
    t_release(t, futures[2]);
}

static void wait_all_waits_for_all(struct t_run *t)
{
    const int64_t duration_ns = 100000;
    mpifarm_future futures[30];

    for (int i = 0; i < 30; i++)
        futures[i] = t_submit(t, T_TIMES, &duration_ns, sizeof(duration_ns));
    T_EQ(mpifarm_wait_all(t->farm, futures, 30, MPIFARM_FOREVER), 0);
    for (int i = 0; i < 30; i++) {
        struct mpifarm_result result;

        T_EQ(mpifarm_result(t->farm, futures[i], &result), 0);
        t_release(t, futures[i]);
    }
    T_EQ(mpifarm_wait_all(t->farm, NULL, 0, MPIFARM_FOREVER), 0);
}

static void wait_group_waits_for_the_group_alone(struct t_run *t)
{
    mpifarm_future in_group[5], other;
    struct t_gate gate;

    T_EQ(mpifarm_wait_group(t->farm, 77, MPIFARM_FOREVER), 0);
    t_gate_close(t, &gate, 1);
    other = t_submit(t, T_NOTHING, NULL, 0, .after = &gate.future, .n_after = 1, .group = 2);
    for (int i = 0; i < 5; i++)
        in_group[i] = t_submit(t, T_NOTHING, NULL, 0, .group = 77, .rank = 2);
    T_EQ(mpifarm_wait_group(t->farm, 77, MPIFARM_FOREVER), 0);
    for (int i = 0; i < 5; i++) {
        struct mpifarm_result result;

        T_EQ(mpifarm_result(t->farm, in_group[i], &result), 0);
        t_release(t, in_group[i]);
    }
    T_EQ(mpifarm_test(t->farm, other), 0);
    t_gate_open(t, &gate);
    t_done(t, other, 0);
    t_release(t, other);
}

static void drain_waits_for_everything(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t);

    for (int i = 0; i < 500; i++)
        T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, NULL, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(t_counts(t).n_done - before.n_done, 500);
    T_EQ(mpifarm_drain(t->farm, 0), 0);
}

static void the_queue_gives_out_each_task_once(struct t_run *t)
{
    enum { N = 3000 };
    static uint8_t n_seen[N];
    mpifarm_future future;

    memset(n_seen, 0, sizeof(n_seen));
    for (uint64_t i = 0; i < N; i++)
        T_EQ(mpifarm_submit(
                 t->farm, T_SQUARE, &i, sizeof(i),
                 &(struct mpifarm_task_options){.tag = i, .delivery = MPIFARM_DELIVER_QUEUE}, NULL),
             0);
    for (int i = 0; i < N; i++) {
        struct mpifarm_result result;

        T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &future), 0);
        T_EQ(mpifarm_result(t->farm, future, &result), 0);
        T_EQ(*(const uint64_t *)t_done(t, future, 8), result.tag * result.tag);
        T_EQ(n_seen[result.tag]++, 0);
        t_release(t, future);
    }
    T_ERROR(t, mpifarm_next(t->farm, MPIFARM_FOREVER, &future), -ENOENT);
}

static void the_queue_is_in_order_of_completion(struct t_run *t)
{
    struct t_gate gate;
    mpifarm_future futures[3], next;

    t_gate_close(t, &gate, 0);
    futures[0] = t_submit(t, T_NOTHING, NULL, 0, .after = &gate.future, .n_after = 1,
                          .delivery = MPIFARM_DELIVER_QUEUE);
    futures[1] = t_submit(t, T_NOTHING, NULL, 0, .after = &futures[0], .n_after = 1,
                          .delivery = MPIFARM_DELIVER_QUEUE);
    futures[2] = t_submit(t, T_NOTHING, NULL, 0, .after = &gate.future, .n_after = 1,
                          .delivery = MPIFARM_DELIVER_QUEUE);
    T_EQ(mpifarm_cancel(t->farm, futures[2]), 0);
    t_gate_open(t, &gate);
    for (int i = 0; i < 3; i++) {
        T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &next), 0);
        T_EQ(next, futures[(i + 2) % 3]);
        t_release(t, next);
    }
}

static void the_queue_does_not_give_out_what_was_released(struct t_run *t)
{
    mpifarm_future kept, future, released[2];

    released[0] = t_submit(t, T_NOTHING, NULL, 0, .delivery = MPIFARM_DELIVER_QUEUE);
    t_release(t, released[0]);
    released[1] = t_submit(t, T_NOTHING, NULL, 0, .delivery = MPIFARM_DELIVER_QUEUE);
    kept = t_submit(t, T_NOTHING, NULL, 0, .delivery = MPIFARM_DELIVER_QUEUE);
    t_done(t, kept, 0);
    t_done(t, released[1], 0);
    t_release(t, released[1]);
    T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &future), 0);
    T_EQ(future, kept);
    t_release(t, kept);
    T_EQ(mpifarm_next(t->farm, MPIFARM_FOREVER, &future), -ENOENT);
}

/* Sleeps for as long as it is told, as an event loop does. */
static void progress_from_a_loop_of_ones_own(struct t_run *t)
{
    const int64_t duration_ns = 50000;
    int n_left = 200, n;

    for (int i = 0; i < n_left; i++)
        T_EQ(mpifarm_submit(t->farm, T_TIMES, &duration_ns, sizeof(duration_ns), NULL, NULL), 0);
    while (n_left > 0) {
        int64_t next_ns = -1;

        n = mpifarm_progress(t->farm, &next_ns);
        T_CHECK(n >= 0 && n <= n_left);
        n_left -= n;
        T_CHECK(next_ns >= 0);
        T_CHECK(n_left == 0 || next_ns <= 4 * MS);
        if (next_ns > 0)
            nanosleep(&(struct timespec){.tv_nsec = (long)(next_ns <= 4 * MS ? next_ns : 0)}, NULL);
    }
    T_EQ(mpifarm_progress(t->farm, NULL), 0);
}

static void progress_alone_finishes_tasks_and_calls_back(struct t_run *t)
{
    mpifarm_future future = t_submit(t, T_NOTHING, NULL, 0);
    int64_t limit_ns = t_now_ns() + T_LIMIT_NS;
    struct mpifarm_result result;
    int n = 0;

    while (n == 0 && t_now_ns() < limit_ns)
        n = mpifarm_progress(t->farm, NULL);
    T_EQ(n, 1);
    T_EQ(mpifarm_result(t->farm, future, &result), 0);
    t_release(t, future);
}

/* As many as there were, however many of them ended while others were submitted. */
static void progress_counts_each_end_once(struct t_run *t)
{
    enum { N = 5000 };
    int64_t limit_ns = t_now_ns() + T_LIMIT_NS;
    mpifarm_future future = t_submit(t, T_NOTHING, NULL, 0);
    int n_ended = 0, n = 0;

    T_EQ(mpifarm_cancel(t->farm, future), 0);
    for (int i = 0; i < N; i++)
        T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, NULL, NULL), 0);
    while (n >= 0 && n_ended < N + 1 && t_now_ns() < limit_ns)
        n_ended += n = mpifarm_progress(t->farm, NULL);
    T_EQ(n_ended, N + 1);
    T_EQ(mpifarm_progress(t->farm, NULL), 0);
    t_release(t, future);
}

static void a_released_task_that_has_not_ended_goes_on(struct t_run *t)
{
    struct mpifarm_counts before = t_counts(t);
    const char *path = t_path(t, "goes_on");

    for (int i = 0; i < 100; i++)
        t_release(t, t_submit(t, T_TOUCH, path, strlen(path)));
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_CHECK(t_is_file(path));
    T_EQ(t_counts(t).n_done - before.n_done, 100);
}

const struct t_scenario t_waiting[] = {
    {"test says whether a task has ended", test_says_whether_a_task_has_ended, 0},
    {"test says no while a task runs", test_says_no_while_a_task_runs, T_NEEDS_CONCURRENCY},
    {"a released future is stale everywhere", a_released_future_is_stale_everywhere, 0},
    {"NULL is refused where futures or room are needed",
     null_is_refused_where_futures_or_room_are_needed, 0},
    {"waits end when their time is over", waits_end_when_their_time_is_over, T_NEEDS_CONCURRENCY},
    {"wait_any names the first that has ended", wait_any_names_the_first_that_has_ended, 0},
    {"wait_any does not wait for the others", wait_any_does_not_wait_for_the_others,
     T_NEEDS_RANKS | T_NEEDS_ONE_SLOT},
    {"wait_all waits for all", wait_all_waits_for_all, 0},
    {"wait_group waits for the group alone", wait_group_waits_for_the_group_alone, T_NEEDS_RANKS},
    {"drain waits for everything", drain_waits_for_everything, 0},
    {"the queue gives out each task once", the_queue_gives_out_each_task_once, 0},
    {"the queue is in order of completion", the_queue_is_in_order_of_completion,
     T_NEEDS_CONCURRENCY},
    {"the queue does not give out what was released", the_queue_does_not_give_out_what_was_released,
     0},
    {"progress from a loop of one's own", progress_from_a_loop_of_ones_own, 0},
    {"progress alone finishes tasks", progress_alone_finishes_tasks_and_calls_back, 0},
    {"progress counts each end once", progress_counts_each_end_once, 0},
    {"a released task that has not ended goes on", a_released_task_that_has_not_ended_goes_on, 0},
    {0},
};
