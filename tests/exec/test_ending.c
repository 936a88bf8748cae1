/* Ends that the farm brings about: time limits, ends on request, leftovers. */
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define SHORT_NS (100 * MF_NS_PER_MS)

/* A grace that is not to end: what gets a TERM is to have the time to end by itself. */
#define LONG_NS (60 * MF_NS_PER_S)

static void start_limited(struct rig *rig, mf_task_id task, int64_t timeout_ns, const char *text)
{
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};

    rig_start_command(rig, task, 0, timeout_ns, &command);
}

/* Runs it, with twice the limit each time, until it says "begun" before its limit ends it. */
static struct rig_task *run_beyond_limit(struct rig *rig, const char *text)
{
    int64_t timeout_ns = SHORT_NS;

    for (mf_task_id task = 1;; task++, timeout_ns *= 2) {
        start_limited(rig, task, timeout_ns, text);
        if (strncmp(rig_wait_ended(rig, task)->text[MF_STDOUT], "begun\n", 6) == 0)
            return &rig->tasks[task];
    }
}

Test(ending, command_over_its_limit_is_ended_by_term)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});
    struct rig_task *task = run_beyond_limit(rig, "echo begun; exec sleep 100");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_eq(task->outcome.signal, SIGTERM);
    cr_assert_geq(task->outcome.duration_ns, SHORT_NS);
    cr_assert_str_eq(task->text[MF_STDOUT], "begun\n");
    rig_destroy(rig);
}

Test(ending, time_limit_is_the_cause_even_if_the_command_then_exits_with_0)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});
    struct rig_task *task = run_beyond_limit(
        rig, "trap 'echo caught; exit 0' TERM; echo begun; while :; do sleep 0.01; done");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_eq(task->outcome.exit_status, 0);
    cr_assert_str_eq(task->text[MF_STDOUT], "begun\ncaught\n");
    rig_destroy(rig);
}

Test(ending, command_that_ignores_term_is_killed_after_the_grace)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    struct rig_task *task =
        run_beyond_limit(rig, "trap '' TERM; echo begun; while :; do sleep 0.01; done");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_eq(task->outcome.signal, SIGKILL);
    cr_assert_geq(task->outcome.duration_ns, 2 * SHORT_NS);
    rig_destroy(rig);
}

Test(ending, stopped_command_gets_the_term_too)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});
    struct rig_task *task = run_beyond_limit(rig, "echo begun; kill -STOP $$");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_eq(task->outcome.signal, SIGTERM);
    rig_destroy(rig);
}

Test(ending, whole_process_group_is_killed)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    const char *path = rig_path("pid");
    char text[600];
    struct rig_task *task;

    snprintf(text, sizeof(text),
             "(trap '' TERM; sh -c 'echo $PPID >%s'; echo begun; while :; do sleep 0.01; done) & "
             "sleep 100",
             path);
    task = run_beyond_limit(rig, text);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    rig_wait_gone(rig_wait_pid(path));
    rig_destroy(rig);
}

Test(ending, end_has_the_cause_that_was_given)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});
    struct rig_task *task;
    const char *path = rig_path("pid");
    char text[300];

    snprintf(text, sizeof(text), "echo $$ >%s; exec sleep 100", path);
    rig_sh(rig, 1, 0, text);
    rig_flush(rig);
    rig_wait_pid(path);
    rig->executor->ops->end(rig->executor, 1, 1, MF_CAUSE_STOPPED);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_STOPPED);
    cr_assert_eq(task->outcome.signal, SIGTERM);
    rig_destroy(rig);
}

Test(ending, command_that_has_just_been_started_can_be_ended)
{
    enum { N = 200 };
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});

    for (mf_task_id task = 1; task <= N; task++) {
        rig_sh(rig, task, (int)(task % 2), "exec sleep 100");
        rig_flush(rig);
        /* Two frames that the launcher reads in one turn, or in two with the start between them. */
        for (mf_task_id i = 0; i < task % 20; i++)
            sched_yield();
        rig->executor->ops->end(rig->executor, task, 1, MF_CAUSE_STOPPED);
        cr_assert_eq(rig_wait_ended(rig, task)->outcome.cause, MF_CAUSE_STOPPED);
        cr_assert_neq(rig->tasks[task].outcome.signal, SIGKILL);
    }
    rig_destroy(rig);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
}

Test(ending, end_of_an_unknown_attempt_is_ignored)
{
    struct rig *rig = rig_create((struct rig_options){0});

    rig->executor->ops->end(rig->executor, 9, 1, MF_CAUSE_STOPPED);
    cr_assert_eq(rig_run(rig, "true")->outcome.cause, MF_CAUSE_NONE);
    rig->executor->ops->end(rig->executor, 1, 1, MF_CAUSE_STOPPED);
    rig_sh(rig, 2, 0, "true");
    rig_wait_ended(rig, 2);
    cr_assert_eq(rig->n_events, 2);
    rig_destroy(rig);
}

Test(ending, processes_left_in_the_group_are_killed_and_noted)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    const char *path = rig_path("pid");
    char text[300];
    struct rig_task *task;

    snprintf(text, sizeof(text), "sleep 100 >/dev/null 2>&1 & echo $! >%s; exit 4", path);
    task = rig_run(rig, text);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_EXIT);
    cr_assert_eq(task->outcome.exit_status, 4);
    cr_assert_str_eq(task->outcome.detail, "left processes behind");
    rig_wait_gone(rig_wait_pid(path));
    rig_destroy(rig);
}

Test(ending, process_that_keeps_the_output_open_is_waited_for)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    struct rig_task *task = rig_run(rig, "echo out; (sleep 0.5; echo late) & :");

    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert_str_eq(task->outcome.detail, "");
    cr_assert_str_eq(task->text[MF_STDOUT], "out\nlate\n");
    rig_destroy(rig);
}

Test(ending, process_that_keeps_the_output_open_is_ended_at_the_time_limit)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    const char *path = rig_path("pid");
    struct rig_task *task;
    char text[300];

    snprintf(text, sizeof(text), "sleep 100 & echo $! >%s; echo begun", path);
    task = run_beyond_limit(rig, text);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    rig_wait_gone(rig_wait_pid(path));
    rig_destroy(rig);
}

Test(ending, escaped_daemon_dies_with_the_launcher)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = SHORT_NS});
    const char *path = rig_path("pid");
    char text[300];
    struct rig_task *task;
    pid_t daemon;

    snprintf(text, sizeof(text),
             "setsid sh -c 'echo $$ >%s; exec sleep 100' </dev/null >/dev/null 2>&1 & "
             "while ! [ -s %s ]; do :; done",
             path, path);
    task = rig_run(rig, text);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert_str_eq(task->outcome.detail, "");
    daemon = rig_wait_pid(path);
    cr_assert_eq(kill(daemon, 0), 0);
    rig_destroy(rig);
    rig_wait_gone(daemon);
}

/* --- warnings --- */

static struct rig_task *run_warned(struct rig *rig, mf_task_id task, const char *text)
{
    char command[512];

    snprintf(command, sizeof(command), text, rig_path("pid"));
    rig_sh(rig, task, 0, command);
    rig_flush(rig);
    rig_wait_pid(rig_path("pid"));
    rig->executor->ops->warn(rig->executor, SIGUSR1);
    rig_flush(rig);
    rig_wait_ended(rig, task);
    remove(rig_path("pid"));
    return &rig->tasks[task];
}

Test(ending, what_fails_after_a_warning_was_cut_short_and_what_succeeds_was_not)
{
    struct rig *rig = rig_create((struct rig_options){.grace_ns = LONG_NS});

    cr_assert_eq(run_warned(rig, 1, "echo $$ > %s; exec sleep 100")->outcome.cause,
                 MF_CAUSE_WALLTIME);
    cr_assert_eq(rig->tasks[1].outcome.signal, SIGUSR1);
    cr_assert_eq(
        run_warned(rig, 2, "trap 'exit 3' USR1; echo $$ > %s; while :; do sleep 0.01; done")
            ->outcome.cause,
        MF_CAUSE_WALLTIME);
    cr_assert_eq(rig->tasks[2].outcome.exit_status, 3);
    cr_assert_eq(
        run_warned(rig, 3, "trap 'exit 0' USR1; echo $$ > %s; while :; do sleep 0.01; done")
            ->outcome.cause,
        MF_CAUSE_NONE);
    rig_sh(rig, 4, 0, "exit 1");
    rig_flush(rig);
    cr_assert_eq(rig_wait_ended(rig, 4)->outcome.cause, MF_CAUSE_EXIT, "it was not warned");
    rig_destroy(rig);
}
