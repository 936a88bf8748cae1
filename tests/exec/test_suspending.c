/* Commands that are stopped and go on: their processes as /proc shows them. */
#include "rig.h"

#include "base/clock.h"
#include "exec/process_tree.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Starts a command that writes the pids of its processes and goes on for ever. */
static pid_t start_endless(struct rig *rig, mf_task_id task, int slot, const char *name)
{
    char text[512];

    snprintf(text, sizeof(text), "echo $$ > %s; while :; do sleep 0.01; done", rig_path(name));
    rig_sh(rig, task, slot, text);
    rig_flush(rig);
    return rig_wait_pid(rig_path(name));
}

Test(suspending, all_processes_of_a_command_are_stopped_also_those_that_left_its_group)
{
    struct rig *rig = rig_create((struct rig_options){0});
    pid_t own, child, outsider;
    char text[1024], path[256];

    strcpy(path, rig_path("outsider"));
    snprintf(text, sizeof(text), "setsid sh -c 'echo $$ > %s; exec sleep 1000' & ", path);
    strcpy(path, rig_path("child"));
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "sleep 1000 & echo $! > %s; ", path);
    strcpy(path, rig_path("own"));
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "echo $$ > %s; wait", path);
    rig_sh(rig, 1, 0, text);
    rig_flush(rig);
    own = rig_wait_pid(rig_path("own"));
    child = rig_wait_pid(rig_path("child"));
    outsider = rig_wait_pid(rig_path("outsider"));

    rig_suspend(rig, 1);
    rig_wait_stopped(own, true);
    rig_wait_stopped(child, true);
    rig_wait_stopped(outsider, true);
    rig_resume(rig, 1, 0);
    rig_wait_stopped(own, false);
    rig_wait_stopped(child, false);
    rig_wait_stopped(outsider, false);
    rig_destroy(rig);
    rig_wait_gone(outsider);
}

Test(suspending, a_suspended_command_goes_on_where_it_was)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;
    char text[512], go[256];

    strcpy(go, rig_path("go"));
    snprintf(text, sizeof(text),
             "echo begun; echo $$ > %s; until [ -e %s ]; do sleep 0.01; done; echo done",
             rig_path("pid"), go);
    rig_sh(rig, 1, 0, text);
    rig_flush(rig);
    rig_wait_pid(rig_path("pid"));
    rig_suspend(rig, 1);
    fclose(fopen(go, "we"));

    /* Its slot is free meanwhile. */
    rig_sh(rig, 2, 0, "echo other");
    cr_assert_str_eq(rig_wait_ended(rig, 2)->text[MF_STDOUT], "other\n");
    cr_assert_not(rig->tasks[1].has_ended);
    rig_resume(rig, 1, 0);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_NONE);
    cr_assert_str_eq(task->text[MF_STDOUT], "begun\ndone\n");
    rig_destroy(rig);
}

Test(suspending, the_time_in_which_it_was_suspended_counts_neither_for_its_limit_nor_as_run_time)
{
    const char *text = "trap 'exit 0' TERM; while :; do sleep 0.01; done";
    struct mf_command command = {.id = "a", .is_shell = true, .n_args = 1, .args = &text};
    struct rig *rig = rig_create((struct rig_options){0});
    int64_t limit_ns = 300 * MF_NS_PER_MS, began_ns = mf_clock_monotonic_ns(), paused_ns;
    struct rig_task *task;

    rig_start_command(rig, 1, 0, limit_ns, &command);
    rig_suspend(rig, 1);
    cr_assert_lt(rig->tasks[1].ran_ns, limit_ns);
    paused_ns = mf_clock_monotonic_ns();
    nanosleep(&(struct timespec){.tv_nsec = 2 * limit_ns}, NULL);
    paused_ns = mf_clock_monotonic_ns() - paused_ns;
    rig_resume(rig, 1, 0);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_geq(task->outcome.duration_ns, limit_ns);
    cr_assert_leq(task->outcome.duration_ns, mf_clock_monotonic_ns() - began_ns - paused_ns);
    rig_destroy(rig);
}

Test(suspending, a_suspended_command_that_is_ended_gets_to_hear_of_it)
{
    const char *text =
        "trap 'echo caught; exit 0' TERM; echo $$ > %s; while :; do sleep 0.01; done";
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;
    char command[512];

    snprintf(command, sizeof(command), text, rig_path("pid"));
    rig_sh(rig, 1, 0, command);
    rig_flush(rig);
    rig_wait_pid(rig_path("pid"));
    rig_suspend(rig, 1);
    rig->executor->ops->end(rig->executor, 1, 1, MF_CAUSE_STOPPED);
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_STOPPED);
    cr_assert_str_eq(task->text[MF_STDOUT], "caught\n");
    rig_destroy(rig);
}

Test(suspending, a_suspended_command_that_is_killed_ends_with_its_run_time)
{
    struct rig *rig = rig_create((struct rig_options){0});
    pid_t pid = start_endless(rig, 1, 0, "pid");
    struct rig_task *task = &rig->tasks[1];

    rig_suspend(rig, 1);
    kill(-pid, SIGKILL);
    rig_wait_ended(rig, 1);
    cr_assert_eq(task->outcome.cause, MF_CAUSE_SIGNAL);
    cr_assert_eq(task->outcome.duration_ns, task->ran_ns);
    rig_destroy(rig);
}

Test(suspending, what_is_asked_of_a_command_that_has_ended_is_ignored)
{
    struct rig *rig = rig_create((struct rig_options){0});
    uint32_t slot = 0;

    rig_run(rig, "true");
    rig->executor->ops->suspend(rig->executor, 1, 1);
    rig->executor->ops->resume(rig->executor, 1, 1, &slot, 1);
    rig_sh(rig, 2, 0, "true");
    rig_wait_ended(rig, 2);
    cr_assert_eq(rig->n_broken, 0);
    rig_destroy(rig);
}

Test(suspending, no_stopped_process_outlives_its_rank)
{
    struct rig *rig = rig_create((struct rig_options){0});
    pid_t pid = start_endless(rig, 1, 0, "pid");

    rig_suspend(rig, 1);
    rig_destroy(rig);
    rig_wait_gone(pid);
}

Test(suspending, no_stopped_process_outlives_a_launcher_that_is_killed_nor_is_it_to_blame)
{
    struct rig *rig = rig_create((struct rig_options){0});
    pid_t pid = start_endless(rig, 1, 0, "pid");

    rig_suspend(rig, 1);
    kill(rig->launcher_pid, SIGKILL);
    rig_wait_renewed(rig, 1);
    rig_wait_gone(pid);
    cr_assert_eq(rig_wait_ended(rig, 1)->outcome.cause, MF_CAUSE_LAUNCHER);
    cr_assert_eq(rig->tasks[1].outcome.slot, 0);
    rig_destroy(rig);
}

/* The processors that a thread may run on, as far as they are below 64. */
static uint64_t cpus_of(pid_t pid)
{
    uint64_t mask = 0;
    cpu_set_t set;

    CPU_ZERO(&set);
    cr_assert_eq(sched_getaffinity(pid, sizeof(set), &set), 0);
    for (int i = 0; i < 64; i++)
        mask |= CPU_ISSET(i, &set) ? UINT64_C(1) << i : 0;
    return mask;
}

Test(suspending, a_command_that_goes_on_in_another_slot_moves_to_its_processors)
{
    uint64_t mask = cpus_of(0);
    uint32_t cpus[2] = {(uint32_t)__builtin_ctzll(mask), 0};
    struct rig *rig;
    pid_t pid;

    if (__builtin_popcountll(mask) < 2)
        cr_skip_test("it takes two processors");
    cpus[1] = (uint32_t)__builtin_ctzll(mask & (mask - 1));
    rig = rig_create((struct rig_options){.n_slots = 2, .cpus = cpus});
    pid = start_endless(rig, 1, 0, "pid");
    cr_assert_eq(cpus_of(pid), UINT64_C(1) << cpus[0]);
    rig_suspend(rig, 1);
    rig_resume(rig, 1, 1);
    cr_assert_eq(cpus_of(pid), UINT64_C(1) << cpus[1]);
    rig_destroy(rig);
}

Test(suspending, only_the_process_that_was_found_is_a_child)
{
    struct mf_process *processes;
    int n, pipes[2];
    char byte;
    pid_t pid;

    cr_assert_eq(pipe(pipes), 0);
    pid = fork();
    if (pid == 0) {
        (void)!read(pipes[0], &byte, 1);
        _exit(0);
    }
    n = mf_process_tree_list(getpid(), &processes);
    cr_assert_eq(n, 2);
    cr_assert_eq(processes[0].pid, getpid());
    cr_assert_eq(processes[0].parent, 0);
    cr_assert_eq(processes[1].pid, pid);
    cr_assert_eq(processes[1].parent, getpid());
    cr_assert(mf_process_is_child(&processes[1]));
    /* Another process of that number would have another parent. */
    processes[1].parent++;
    cr_assert_not(mf_process_is_child(&processes[1]));
    processes[1].parent--;
    (void)!write(pipes[1], "x", 1);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
    cr_assert_not(mf_process_is_child(&processes[1]));
    free(processes);
}

static sem_t has_child;

static void *start_child(void *arg)
{
    pid_t *pid = arg;

    *pid = fork();
    if (*pid == 0)
        for (;;)
            pause();
    sem_post(&has_child);
    while (pause() < 0)
        ;
    return NULL;
}

Test(suspending, children_of_all_threads_are_found)
{
    struct mf_process *processes;
    pthread_t thread;
    pid_t pid;

    cr_assert_eq(sem_init(&has_child, 0, 0), 0);
    cr_assert_eq(pthread_create(&thread, NULL, start_child, &pid), 0);
    cr_assert_eq(sem_wait(&has_child), 0);
    cr_assert_eq(mf_process_tree_list(getpid(), &processes), 2);
    cr_assert_eq(processes[1].pid, pid);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    free(processes);
}

/* More than are read at once. */
Test(suspending, a_process_may_have_many_children)
{
    enum { N = 1000 };
    struct mf_process *processes;
    pid_t pids[N];
    int n;

    for (int i = 0; i < N; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            for (;;)
                pause();
        cr_assert_gt(pids[i], 0);
    }
    n = mf_process_tree_list(getpid(), &processes);
    cr_assert_eq(n, N + 1);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(processes[i + 1].pid, pids[i]);
        cr_assert_eq(kill(pids[i], SIGKILL), 0);
    }
    for (int i = 0; i < N; i++)
        cr_assert_eq(waitpid(pids[i], NULL, 0), pids[i]);
    free(processes);
}
