/* Executor processes that die, hang or lie, and what is left then. */
#include "host_rig.h"
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct host_task *die_in_the_middle(struct host_rig *rig, enum host_function function)
{
    uint64_t first = rig->n_tasks;

    for (int i = 0; i < 100; i++)
        host_call(rig, HOST_ECHO, "before", 6);
    host_call(rig, function, NULL, 0);
    for (int i = 0; i < 100; i++)
        host_call(rig, HOST_ECHO, "after", 5);
    host_wait(rig, host_start(rig));
    for (uint64_t i = 0; i < 201; i++)
        if (i != 100)
            cr_assert(host_ended(&rig->tasks[first + i], MPIFARM_CAUSE_NONE, 0,
                                 i < 100 ? "before" : "after"));
    return &rig->tasks[first + 100];
}

Test(host_death, crash_costs_one_call_and_the_rest_goes_on)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    cr_assert(host_ended(die_in_the_middle(rig, HOST_SEGV), MPIFARM_CAUSE_CRASHED, SIGSEGV,
                         "killed by signal 11 (Segmentation fault) in function \"segv\""));
    cr_assert(host_ended(die_in_the_middle(rig, HOST_ABORT), MPIFARM_CAUSE_CRASHED, SIGABRT,
                         "killed by signal 6 (Aborted) in function \"abort\""));
    host_rig_destroy(rig);
}

Test(host_death, exit_costs_one_call_and_the_rest_goes_on)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    cr_assert(host_ended(die_in_the_middle(rig, HOST_EXIT), MPIFARM_CAUSE_EXITED, 3,
                         "function \"exit\" ended its process: exit status 3"));
    cr_assert(host_ended(die_in_the_middle(rig, HOST_QUIT), MPIFARM_CAUSE_EXITED, 4,
                         "function \"quit\" ended its process: exit status 4"));
    host_rig_destroy(rig);
}

Test(host_death, crash_after_crash_is_no_reason_to_give_up)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});

    for (int i = 0; i < 20; i++)
        host_call(rig, HOST_QUIT, NULL, 0);
    host_start(rig);
    for (int i = 0; i < 20; i++) {
        host_call(rig, HOST_SEGV, NULL, 0);
        host_start(rig);
    }
    host_wait_all(rig);
    for (uint64_t i = 0; i < 40; i++)
        cr_assert_eq(rig->tasks[i].n_results, 1);
    host_rig_destroy(rig);
}

Test(host_death, crash_in_a_call_with_a_large_input_keeps_those_of_later_calls)
{
    enum { SIZE = 1 << 20 };
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint8_t *input = malloc(SIZE);

    memset(input, 1, SIZE);
    host_call(rig, HOST_SEGV, input, SIZE);
    host_call(rig, HOST_SUM, input, SIZE);
    host_start(rig);
    host_wait_all(rig);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_CRASHED);
    cr_assert_eq(*(uint64_t *)rig->tasks[1].data, SIZE);
    free(input);
    host_rig_destroy(rig);
}

Test(host_death, process_killed_from_outside_is_named)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    host_call(rig, HOST_HANG, NULL, 0);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    cr_assert_eq(kill(host_wait_pid(rig, 0), SIGKILL), 0);
    host_wait_all(rig);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_CRASHED, SIGKILL,
                         "killed by signal 9 (Killed) in function \"hang\""));
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_death, idle_process_that_is_killed_is_replaced_without_a_word)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    pid_t first = *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;

    cr_assert_eq(kill(first, SIGKILL), 0);
    rig_wait_gone(first);
    cr_assert_neq(*(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data, first);
    host_rig_destroy(rig);
}

Test(host_death, call_over_its_time_limit_is_ended)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    int64_t before_ns = mf_clock_monotonic_ns();

    host_call(rig, HOST_ECHO, "abc", 3);
    host_call_with(rig, HOST_HANG, NULL, 0, MF_NS_PER_S / 10, NULL);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    host_wait_all(rig);
    cr_assert_geq(mf_clock_monotonic_ns() - before_ns, MF_NS_PER_S / 10);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_NONE, 0, "abc"));
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_TIMEOUT, 0, "over its time limit of 0.1 s"));
    cr_assert(host_ended(&rig->tasks[2], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_death, function_that_looks_can_return_at_its_time_limit)
{
    struct host_rig *rig = host_rig_create((struct host_options){.stands_still = true});
    pid_t pid = *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;

    host_call_with(rig, HOST_OBEY, NULL, 0, MF_NS_PER_S / 100, NULL);
    host_start(rig);
    host_wait_all(rig);
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_TIMEOUT, 7, "as asked"));
    cr_assert_eq(*(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data, pid);
    host_rig_destroy(rig);
}

/* The time of turns is what the test says. */
Test(host_death, call_that_ends_when_it_is_about_to_be_killed_is_spared)
{
    int *is_open =
        mmap(NULL, sizeof(*is_open), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct host_rig *rig = host_rig_create((struct host_options){.user = is_open});
    int64_t late_ns;
    pid_t pid;

    host_call_with(rig, HOST_GATE, NULL, 0, 3600 * MF_NS_PER_S, NULL);
    host_call(rig, HOST_PID, NULL, 0);
    host_start(rig);
    pid = host_wait_pid(rig, 0);
    late_ns = mf_clock_monotonic_ns() + 4000 * MF_NS_PER_S;
    cr_assert_eq(rig->caller->ops->turn(rig->caller, late_ns), 0);
    cr_assert_lt(rig->caller->ops->next_ns(rig->caller), INT64_MAX);
    *is_open = 1;
    while (!rig->units[1].is_over)
        rig->caller->ops->turn(rig->caller, late_ns);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_NONE, 0, ""));
    cr_assert_eq(*(pid_t *)rig->tasks[1].data, pid);
    host_rig_destroy(rig);
}

Test(host_death, calls_within_their_time_limits_are_left_alone)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});

    for (int u = 0; u < 100; u++) {
        for (int i = 0; i < 100; i++)
            host_call_with(rig, HOST_ECHO, "abc", 3, MF_NS_PER_S * 60, NULL);
        host_start(rig);
    }
    host_wait_all(rig);
    for (uint64_t t = 0; t < rig->n_tasks; t++)
        cr_assert(host_ended(&rig->tasks[t], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_death, cancelled_call_that_does_not_stop_is_ended)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    pid_t pid;

    host_call(rig, HOST_HANG, NULL, 0);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    pid = host_wait_pid(rig, 0);
    rig->caller->ops->cancel(rig->caller, 1, 1, 0);
    host_wait_all(rig);
    rig_wait_gone(pid);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_FUNCTION, ECANCELED,
                         "cancelled, and killed since it did not stop"));
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_death, recalled_unit_is_returned_when_its_process_dies)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    host_call(rig, HOST_HANG, NULL, 0);
    for (int i = 0; i < 1000; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    host_wait_pid(rig, 0);
    rig->caller->ops->recall(rig->caller, 1, 1);
    cr_assert_eq(kill(host_wait_pid(rig, 0), SIGKILL), 0);
    host_wait_all(rig);
    cr_assert(rig->units[1].is_returned);
    cr_assert_eq(rig->units[1].n_reported, 1);
    cr_assert(host_ended(&rig->tasks[1001], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_death, checkpoint_survives_the_crash_after_it)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    pid_t child;

    host_call(rig, HOST_FORK, NULL, 0);
    host_start(rig);
    child = host_wait_pid(rig, 0);
    host_wait_all(rig);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_CRASHED);

    /* What the function had started goes with its process. */
    rig_wait_gone(child);
    host_rig_destroy(rig);
}

/* Who has damaged it so rings no bell either: a rank that naps sees it all the same. */
Test(host_death, damaged_shared_memory_ends_the_process_and_not_the_rank)
{
    struct host_rig *rig = host_rig_create((struct host_options){.naps = true});

    for (uint64_t i = 0; i < 6; i += 2) {
        host_call(rig, HOST_SCRIBBLE, NULL, 0);
        host_call(rig, HOST_ECHO, "abc", 3);
        host_wait(rig, host_start(rig));
        cr_assert(host_ended(&rig->tasks[i], MPIFARM_CAUSE_CRASHED, SIGKILL,
                             "the memory that its process shares was overwritten, in function "
                             "\"scribble\" or one that ran next to it"));
        cr_assert(host_ended(&rig->tasks[i + 1], MPIFARM_CAUSE_NONE, 0, "abc"));
    }
    host_rig_destroy(rig);
}

/* Whatever a process leaves behind is read, and must neither harm the rank nor lose a call. */
Test(host_death, nonsense_left_in_shared_memory_costs_nothing_but_calls)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    for (uint64_t seed = 1; seed <= 500; seed++) {
        uint64_t first = rig->n_tasks, grow = 70000;

        host_call(rig, HOST_SCRAMBLE, &seed, sizeof(seed));
        host_call(rig, HOST_ECHO, "abc", 3);
        host_call(rig, HOST_GROW, &grow, sizeof(grow));
        host_wait(rig, host_start(rig));
        for (uint64_t i = first; i < rig->n_tasks; i++)
            cr_assert_eq(rig->tasks[i].n_results, 1);
    }
    host_rig_destroy(rig);
}

static int refuse(struct mpifarm *farm, void *user)
{
    return 1;
}

static int crash(struct mpifarm *farm, void *user)
{
    abort();
}

/* The first process may begin; those that replace it may not. */
static int refuse_second(struct mpifarm *farm, void *user)
{
    return __atomic_fetch_add((int *)user, 1, __ATOMIC_SEQ_CST) > 0;
}

static int crash_second(struct mpifarm *farm, void *user)
{
    if (refuse_second(farm, user))
        abort();
    return 0;
}

Test(host_death, init_hook_that_refuses_fails_the_begin)
{
    host_rig_destroy(
        host_rig_create((struct host_options){.init = refuse, .begin_result = -ECANCELED}));
}

Test(host_death, init_hook_that_crashes_fails_the_begin)
{
    host_rig_destroy(host_rig_create(
        (struct host_options){.n_executors = 2, .init = crash, .begin_result = -ECHILD}));
}

static void break_by_hook(int (*hook)(struct mpifarm *farm, void *user), const char *sentence)
{
    int *number =
        mmap(NULL, sizeof(*number), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct host_rig *rig = host_rig_create((struct host_options){.init = hook, .user = number});

    host_call(rig, HOST_SEGV, NULL, 0);
    host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    while (rig->n_broken == 0)
        host_turn(rig);
    cr_assert_str_eq(rig->broken.text, sentence);
    cr_assert_eq(rig->units[1].n_reported, 1);
    cr_assert_eq(rig->caller->ops->turn(rig->caller, mf_clock_monotonic_ns()), 0);
    cr_assert_eq(waitpid(rig->nursery_pid, NULL, WNOHANG), -1);
    host_rig_destroy(rig);
}

Test(host_death, replacement_whose_hook_refuses_breaks_the_caller)
{
    break_by_hook(refuse_second, "the init hook refused to work in executor 1");
}

Test(host_death, replacements_whose_hooks_crash_break_the_caller)
{
    break_by_hook(crash_second, "executor process 1 was killed by signal 6 (Aborted) in the init "
                                "hook, 3 times in a row");
}

Test(host_death, killed_nursery_breaks_the_caller_once_and_leaves_no_executor)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    struct mf_caller_unit unit = {.unit = 9, .attempt = 1, .n_calls = 1};
    pid_t pids[2];

    for (uint64_t i = 0; i < 2; i++) {
        host_call(rig, HOST_HANG, NULL, 0);
        host_start(rig);
    }
    for (uint64_t i = 0; i < 2; i++)
        pids[i] = host_wait_pid(rig, i);
    cr_assert_eq(kill(rig->nursery_pid, SIGKILL), 0);
    while (rig->n_broken == 0)
        host_turn(rig);
    cr_assert(strstr(rig->broken.text, "was killed by signal 9"), "%s", rig->broken.text);
    for (int i = 0; i < 2; i++)
        rig_wait_gone(pids[i]);
    cr_assert_eq(rig->caller->ops->turn(rig->caller, mf_clock_monotonic_ns()), 0);
    cr_assert_eq(rig->caller->ops->next_ns(rig->caller), INT64_MAX);
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -EPIPE);
    cr_assert(!rig->caller->ops->is_busy(rig->caller));
    host_rig_destroy(rig);
}

static void write_pid(const char *path, pid_t pid)
{
    FILE *file = fopen(path, "we");

    fprintf(file, "%d\n", (int)pid);
    fclose(file);
}

Test(host_death, death_of_the_rank_ends_executors_and_the_nursery)
{
    char executor_path[256], child_path[256], nursery_path[256];
    pid_t rank, executor, nursery;

    snprintf(executor_path, sizeof(executor_path), "%s", rig_path("executor"));
    snprintf(nursery_path, sizeof(nursery_path), "%s", rig_path("nursery"));
    snprintf(child_path, sizeof(child_path), "%s", rig_path("child"));
    rank = fork();
    cr_assert_geq(rank, 0);
    if (rank == 0) {
        struct host_rig *rig = host_rig_create((struct host_options){0});

        write_pid(nursery_path, rig->nursery_pid);
        host_call(rig, HOST_HANG, NULL, 0);
        host_start(rig);
        write_pid(executor_path, host_wait_pid(rig, 0));
        for (;;)
            pause();
    }
    nursery = rig_wait_pid(nursery_path);
    executor = rig_wait_pid(executor_path);
    cr_assert_eq(kill(rank, SIGKILL), 0);
    cr_assert_eq(waitpid(rank, NULL, 0), rank);
    rig_wait_gone(executor);
    rig_wait_gone(nursery);
    rig_remove_paths();
}

Test(host_death, stop_ends_what_runs)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    pid_t hanging, obeying;

    host_call(rig, HOST_HANG, NULL, 0);
    host_start(rig);
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    hanging = host_wait_pid(rig, 0);
    obeying = host_wait_pid(rig, 1);
    rig->caller->ops->stop(rig->caller);
    rig_wait_gone(hanging);
    rig_wait_gone(obeying);
    cr_assert_eq(waitpid(rig->nursery_pid, NULL, WNOHANG), -1);
    cr_assert(!rig->units[1].is_over && !rig->units[2].is_over);
    host_rig_destroy(rig);
}

Test(host_death, signals_meant_for_the_rank_do_not_reach_executors)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    pid_t pid = *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;

    cr_assert_eq(getpgid(pid), pid);
    cr_assert_eq(getpgid(rig->nursery_pid), rig->nursery_pid);
    cr_assert_eq(kill(rig->nursery_pid, SIGINT), 0);
    cr_assert_eq(kill(rig->nursery_pid, SIGTERM), 0);
    cr_assert_eq(kill(rig->nursery_pid, SIGHUP), 0);
    host_run(rig, HOST_ABORT, NULL, 0);
    cr_assert_eq(host_run(rig, HOST_PID, NULL, 0)->cause, MPIFARM_CAUSE_NONE);
    host_rig_destroy(rig);
}

Test(host_death, nothing_is_left_open)
{
    unsigned before = rig_count_fds();
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    unsigned with_rig = rig_count_fds();

    for (int i = 0; i < 10; i++)
        host_run(rig, HOST_QUIT, NULL, 0);
    host_run(rig, HOST_NULL, NULL, 0);
    cr_assert_eq(rig_count_fds(), with_rig);
    host_rig_destroy(rig);
    cr_assert_eq(rig_count_fds(), before);
}

Test(host_death, unused_nursery_is_stopped_and_reaped)
{
    struct mf_nursery nursery, none = {0};
    pid_t pid;

    cr_assert_eq(mf_nursery_fork(&nursery, NULL), 0);
    pid = nursery.pid;
    mf_nursery_stop(&nursery);
    cr_assert_eq(waitpid(pid, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
    mf_nursery_stop(&none);
}
