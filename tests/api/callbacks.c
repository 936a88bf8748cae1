/* Callbacks: what they get, and what they may do. */
#include "t_api.h"

/* What callbacks of this file are given. */
struct heard {
    struct t_run *t;
    int n, n_left;
    struct mpifarm_result last;
    mpifarm_future future, other;
    char data[32];
};

static void note(struct mpifarm *farm, mpifarm_future future, const struct mpifarm_result *result,
                 void *arg)
{
    struct heard *heard = arg;

    T_CHECK(farm == heard->t->farm);
    heard->n++;
    heard->future = future;
    heard->last = *result;
    if (result->size > 0 && result->size <= sizeof(heard->data))
        memcpy(heard->data, result->data, result->size);
}

static struct mpifarm_task_options calling_back(mpifarm_callback callback, struct heard *heard)
{
    return (struct mpifarm_task_options){
        .delivery = MPIFARM_DELIVER_CALLBACK, .callback = callback, .callback_arg = heard};
}

static void a_callback_gets_the_result_and_the_future_is_released(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(note, &heard);
    mpifarm_future future;

    options.tag = 44;
    T_EQ(mpifarm_submit(t->farm, T_ECHO, "result", 7, &options, &future), 0);
    T_EQ(heard.n, 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 1);
    T_EQ(heard.future, future);
    T_EQ(heard.last.status, MPIFARM_DONE);
    T_EQ(heard.last.tag, 44);
    T_EQ(heard.last.attempts, 1);
    T_STR_EQ(heard.data, "result");
    T_ERROR(t, mpifarm_test(t->farm, future), -ESTALE);
    /* Nor does it need a future. */
    T_EQ(mpifarm_submit(t->farm, T_ECHO, "again", 6, &options, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 2);
    T_STR_EQ(heard.data, "again");
}

static void every_end_is_called_back(struct t_run *t)
{
    const struct t_failure how = {.code = 5, .size = 20, .letter = 'f'};
    struct heard failed = {.t = t}, skipped = {.t = t}, cancelled = {.t = t};
    struct mpifarm_task_options options = calling_back(note, &failed);
    mpifarm_future future;

    T_EQ(mpifarm_submit(t->farm, T_FAIL, &how, sizeof(how), &options, &future), 0);
    options = calling_back(note, &skipped);
    options.after = &future;
    options.n_after = 1;
    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, NULL), 0);
    options = calling_back(note, &cancelled);
    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, &future), 0);
    T_EQ(mpifarm_cancel(t->farm, future), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_progress(t->farm, NULL), 0);
    T_EQ(failed.n, 1);
    T_EQ(failed.last.status, MPIFARM_FAILED);
    T_EQ(failed.last.code, 5);
    T_EQ(skipped.n, 1);
    T_EQ(skipped.last.status, MPIFARM_SKIPPED);
    T_EQ(cancelled.n, 1);
    T_EQ(cancelled.last.status, MPIFARM_CANCELLED);
}

static void submit_next(struct mpifarm *farm, mpifarm_future future,
                        const struct mpifarm_result *result, void *arg)
{
    struct heard *heard = arg;
    struct mpifarm_task_options options = calling_back(submit_next, heard);

    heard->n++;
    if (heard->n_left-- > 0)
        T_EQ(mpifarm_submit(farm, T_NOTHING, NULL, 0, &options, NULL), 0);
}

static void a_callback_can_submit(struct t_run *t)
{
    struct heard heard = {.t = t, .n_left = 300};
    struct mpifarm_task_options options = calling_back(submit_next, &heard);

    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 301);
}

static void cancel_and_release(struct mpifarm *farm, mpifarm_future future,
                               const struct mpifarm_result *result, void *arg)
{
    struct heard *heard = arg;

    heard->n++;
    T_EQ(mpifarm_cancel(farm, future), 1);
    T_EQ(mpifarm_cancel(farm, heard->other), 0);
    T_EQ(mpifarm_release(farm, future), 0);
    T_EQ(mpifarm_release(farm, future), -ESTALE);
}

static void a_callback_can_cancel_and_release_itself(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(cancel_and_release, &heard);
    mpifarm_future future, gate;

    /* What is to be cancelled waits for a task that cannot run before the callback. */
    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, &future), 0);
    gate = t_submit(t, T_TIMES, &(int64_t){1000000}, 8, .after = &future, .n_after = 1);
    heard.other = t_submit(t, T_NOTHING, NULL, 0, .after = &gate, .n_after = 1);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 1);
    T_EQ(t_await(t, heard.other).status, MPIFARM_CANCELLED);
    t_release(t, heard.other);
    t_release(t, gate);
}

static void try_to_wait(struct mpifarm *farm, mpifarm_future future,
                        const struct mpifarm_result *result, void *arg)
{
    struct heard *heard = arg;
    mpifarm_future next;
    mpifarm_block block;
    size_t index;
    uint64_t x = 0;

    heard->n++;
    T_EQ(mpifarm_wait(farm, heard->other, MPIFARM_FOREVER), -EDEADLK);
    T_CHECK(mpifarm_error_text(farm)[0] != '\0');
    T_EQ(mpifarm_wait_any(farm, &heard->other, 1, MPIFARM_FOREVER, &index), -EDEADLK);
    T_EQ(mpifarm_wait_all(farm, &heard->other, 1, MPIFARM_FOREVER), -EDEADLK);
    T_EQ(mpifarm_wait_group(farm, 66, MPIFARM_FOREVER), -EDEADLK);
    T_EQ(mpifarm_drain(farm, MPIFARM_FOREVER), -EDEADLK);
    T_EQ(mpifarm_next(farm, MPIFARM_FOREVER, &next), -EDEADLK);
    T_EQ(mpifarm_map(farm, T_SQUARE, &x, 8, 1, &x, 8, NULL), -EDEADLK);
    T_EQ(mpifarm_broadcast(farm, "x", 1, &block), -EDEADLK);
    T_EQ(mpifarm_progress(farm, NULL), -EDEADLK);
    T_EQ(mpifarm_test(farm, heard->other), 0);
    T_EQ(mpifarm_finish(farm), -EPERM);
}

static void a_callback_cannot_wait(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(try_to_wait, &heard);
    mpifarm_future future, gate;

    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, &future), 0);
    gate = t_submit(t, T_TIMES, &(int64_t){1000000}, 8, .after = &future, .n_after = 1);
    heard.other = t_submit(t, T_NOTHING, NULL, 0, .after = &gate, .n_after = 1, .group = 66);
    t_release(t, gate);
    T_EQ(mpifarm_wait(t->farm, heard.other, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 1);
    t_release(t, heard.other);
}

/* Of others that ended before, with another one in the queue. */
static void wait_for_what_has_ended(struct mpifarm *farm, mpifarm_future future,
                                    const struct mpifarm_result *result, void *arg)
{
    struct heard *heard = arg;
    mpifarm_future next;
    size_t index = 9;

    heard->n++;
    T_EQ(mpifarm_wait(farm, heard->other, 0), 0);
    T_EQ(mpifarm_wait(farm, future, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_wait_all(farm, &heard->other, 1, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_wait_any(farm, &heard->other, 1, MPIFARM_FOREVER, &index), 0);
    T_EQ(index, 0);
    T_EQ(mpifarm_wait_group(farm, 67, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_drain(farm, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_next(farm, MPIFARM_FOREVER, &next), 0);
    T_EQ(next, heard->other);
    T_EQ(mpifarm_next(farm, MPIFARM_FOREVER, &next), -ENOENT);
    T_EQ(mpifarm_test(farm, heard->other), 1);
}

static void a_callback_can_wait_for_what_has_ended(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(wait_for_what_has_ended, &heard);

    heard.other = t_submit(t, T_NOTHING, NULL, 0, .delivery = MPIFARM_DELIVER_QUEUE, .group = 67);
    options.after = &heard.other;
    options.n_after = 1;
    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 1);
    t_release(t, heard.other);
}

static void a_released_future_is_not_called_back(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(note, &heard);
    mpifarm_future future;

    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, &future), 0);
    t_release(t, future);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(mpifarm_progress(t->farm, NULL), 0);
    T_EQ(heard.n, 0);
}

static void many_callbacks_come_once_each(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(note, &heard);

    T_EQ(mpifarm_submit_array(t->farm, T_NOTHING, NULL, 0, 5000, &options, NULL), 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 5000);
}

/* Submitting and cancelling end tasks, too. */
static void a_task_that_ended_before_the_wait_is_called_back_in_it(struct t_run *t)
{
    struct heard heard = {.t = t};
    struct mpifarm_task_options options = calling_back(note, &heard);
    mpifarm_future future;

    T_EQ(mpifarm_submit(t->farm, T_NOTHING, NULL, 0, &options, &future), 0);
    T_EQ(mpifarm_cancel(t->farm, future), 0);
    T_EQ(heard.n, 0);
    T_EQ(mpifarm_drain(t->farm, MPIFARM_FOREVER), 0);
    T_EQ(heard.n, 1);
    T_EQ(heard.last.status, MPIFARM_CANCELLED);
}

const struct t_scenario t_callbacks[] = {
    {"a callback gets the result, and the future is released",
     a_callback_gets_the_result_and_the_future_is_released, 0},
    {"every end is called back", every_end_is_called_back, 0},
    {"a callback can submit", a_callback_can_submit, 0},
    {"a callback can cancel, and release itself", a_callback_can_cancel_and_release_itself, 0},
    {"a callback cannot wait", a_callback_cannot_wait, 0},
    {"a callback can wait for what has ended", a_callback_can_wait_for_what_has_ended, 0},
    {"a released future is not called back", a_released_future_is_not_called_back, 0},
    {"many callbacks come once each", many_callbacks_come_once_each, 0},
    {"a task that ended before the wait is called back in it",
     a_task_that_ended_before_the_wait_is_called_back_in_it, 0},
    {0},
};
