/* The scripted executor keeps the same promises as the real one. */
#include "exec/fake.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static char trace[1024];
static struct mf_executor *executor;

static void say(const char *what, const struct mf_executor_event *event)
{
    size_t used = strlen(trace);

    snprintf(trace + used, sizeof(trace) - used, "%s%s %d", used ? ", " : "", what,
             (int)event->task);
}

static void on_event(void *arg, const struct mf_executor_event *event)
{
    static const char *const names[] = {"started", "ended", "unstaged", "broken"};

    say(names[event->kind], event);
    mf_output_close(event->output);
}

/* Task n runs for n milliseconds and exits with n - 1. */
static void script(void *arg, const struct mf_start *start, struct mf_fake_run *run)
{
    run->duration_ns = (int64_t)start->task * MF_NS_PER_MS;
    run->outcome.exit_status = (int)start->task - 1;
    run->bytes[MF_STDOUT] = "text";
    run->n_bytes[MF_STDOUT] = 4;
}

static void set_up(void)
{
    struct mf_slot slots[] = {{.number = 1}, {.number = 2}};

    cr_assert_eq(mf_fake_executor_create(NULL, on_event, NULL, script, NULL, &executor), 0);
    cr_assert_eq(executor->ops->configure(executor, slots, 2, 0, ""), 0);
}

static void tear_down(void)
{
    executor->ops->destroy(executor);
}

static void give(mf_task_id task, int slot, int64_t timeout_ns)
{
    uint32_t index = (uint32_t)slot;
    struct mf_start start = {.task = task,
                             .attempt = 1,
                             .n_slots = slot >= 0,
                             .slots = &index,
                             .timeout_ns = timeout_ns};

    cr_assert_eq(executor->ops->start(executor, &start), 0);
}

TestSuite(fake, .init = set_up, .fini = tear_down);

Test(fake, attempts_end_when_the_script_says)
{
    give(5, 0, 0);
    give(3, 1, 0);
    cr_assert_eq(mf_fake_executor_next_ns(executor), 3 * MF_NS_PER_MS);
    mf_fake_executor_advance(executor, 3 * MF_NS_PER_MS - 1);
    cr_assert_str_eq(trace, "");
    mf_fake_executor_advance(executor, 9 * MF_NS_PER_MS);
    cr_assert_str_eq(trace, "ended 3, ended 5");
    cr_assert_eq(mf_fake_executor_next_ns(executor), INT64_MAX);
}

Test(fake, staged_attempts_follow_in_the_slot)
{
    give(2, 0, 0);
    give(9, 1, 0);
    give(3, -1, 0);
    give(1, -1, 0);
    mf_fake_executor_advance(executor, 7 * MF_NS_PER_MS);
    cr_assert_str_eq(trace, "ended 2, started 3, ended 3, started 1, ended 1");
}

Test(fake, staged_attempt_is_given_back_or_ended)
{
    give(9, 0, 0);
    give(1, -1, 0);
    give(2, -1, 0);
    executor->ops->unstage(executor, 1, 1);
    executor->ops->end(executor, 2, 1, MF_CAUSE_STOPPED);
    executor->ops->unstage(executor, 9, 1);
    mf_fake_executor_advance(executor, 0);
    cr_assert_str_eq(trace, "unstaged 1, ended 2");
}

Test(fake, time_limit_and_end_come_before_the_script)
{
    give(9, 0, 2 * MF_NS_PER_MS);
    give(8, 1, 0);
    mf_fake_executor_advance(executor, 2 * MF_NS_PER_MS);
    cr_assert_str_eq(trace, "ended 9");
    executor->ops->end(executor, 8, 1, MF_CAUSE_STOPPED);
    mf_fake_executor_advance(executor, 2 * MF_NS_PER_MS);
    cr_assert_str_eq(trace, "ended 9, ended 8");
}

Test(fake, breaks_once_and_refuses_everything_then)
{
    struct mf_start start = {.task = 5, .attempt = 1};

    give(9, 0, 0);
    give(8, -1, 0);
    mf_fake_executor_break(executor, "killed");
    mf_fake_executor_break(executor, "killed");
    mf_fake_executor_advance(executor, MF_NS_PER_S);
    cr_assert_str_eq(trace, "broken 0");
    cr_assert_eq(executor->ops->start(executor, &start), -EPIPE);
}

/* For the real clock: counts ends. */
static void count_ends(void *arg, const struct mf_executor_event *event)
{
    *(int *)arg += event->kind == MF_EXECUTOR_ENDED;
}

Test(fake_clock, real_time_drives_it_through_the_loop)
{
    struct mf_slot slot = {.number = 1};
    struct mf_start start = {.attempt = 1};
    struct mf_loop *loop;
    int n_ended = 0;

    cr_assert_eq(mf_loop_create(&loop), 0);
    cr_assert_eq(mf_fake_executor_create(loop, count_ends, &n_ended, NULL, NULL, &executor), 0);
    cr_assert_eq(executor->ops->configure(executor, &slot, 1, 0, ""), 0);
    start.n_slots = 1;
    start.slots = &(uint32_t){0};
    start.task = 1;
    cr_assert_eq(executor->ops->start(executor, &start), 0);
    start.n_slots = 0;
    start.task = 2;
    cr_assert_eq(executor->ops->start(executor, &start), 0);
    while (n_ended < 2) {
        cr_assert_eq(executor->ops->flush(executor), 0);
        cr_assert_geq(mf_loop_wait(loop, 10 * MF_NS_PER_S), 1);
    }
    executor->ops->destroy(executor);
    mf_loop_destroy(loop);
}
