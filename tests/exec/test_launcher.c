/* What dies, and what is left then. */
#include "rig.h"

#include "base/clock.h"
#include "exec/helper.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts a command that writes its pid to path and sleeps, with a grandchild in path2. */
static void start_sleeper(struct rig *rig, mf_task_id task, int slot, const char *path)
{
    char text[600];

    snprintf(text, sizeof(text), "sleep 100 & echo $! >%s.child; echo $$ >%s; exec sleep 100", path,
             path);
    rig_sh(rig, task, slot, text);
    rig_flush(rig);
}

/* Kills the launcher or its keeper while a task runs, for the round-th time. */
static void kill_helper(struct rig *rig, bool is_keeper, unsigned round)
{
    const mf_task_id task = 100 + 2 * (mf_task_id)round;
    char path[256], child[300];
    pid_t pid, child_pid;

    snprintf(path, sizeof(path), "%s.%u", rig_path("pid"), round);
    snprintf(child, sizeof(child), "%s.child", path);
    start_sleeper(rig, task, 0, path);
    pid = rig_wait_pid(path);
    child_pid = rig_wait_pid(child);
    cr_assert_eq(kill(is_keeper ? rig->keeper_pid : rig->launcher_pid, SIGKILL), 0);
    rig_wait_renewed(rig, round);
    /* Gone before the end was told, not some time later. */
    cr_assert_eq(rig_process_state(pid), 0);
    cr_assert_eq(rig_process_state(child_pid), 0);
    rig_wait_ended(rig, task);
    cr_assert_eq(rig->tasks[task].outcome.cause, MF_CAUSE_LAUNCHER);
    cr_assert_eq(rig->tasks[task].outcome.slot, 1);
    cr_assert_eq(rig->tasks[task].outcome.pid, pid);
    rig_sh(rig, task + 1, 0, "echo $MPIFARM_RUN_DIR $MPIFARM_RANK");
    rig_wait_ended(rig, task + 1);
    cr_assert_str_eq(rig->tasks[task + 1].text[MF_STDOUT], "/run/dir 7\n");
}

Test(launcher, killed_it_is_replaced_and_what_it_ran_is_given_back)
{
    struct rig *rig = rig_create((struct rig_options){0});

    kill_helper(rig, false, 1);
    cr_assert_str_eq(rig->renewed.text, "was killed by signal 9 (Killed)");
    cr_assert_str_eq(rig->tasks[102].outcome.detail, "was killed by signal 9 (Killed)");
    rig_destroy(rig);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(launcher, killed_keeper_is_replaced_too)
{
    struct rig *rig = rig_create((struct rig_options){0});

    kill_helper(rig, true, 1);
    cr_assert_str_eq(rig->renewed.text, "lost its keeper, which was killed by signal 9 (Killed)");
    rig_destroy(rig);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(launcher, a_process_that_took_a_place_can_be_replaced_again)
{
    struct rig *rig = rig_create((struct rig_options){0});

    kill_helper(rig, true, 1);
    kill_helper(rig, false, 2);
    kill_helper(rig, true, 3);
    kill_helper(rig, true, 4);
    rig_destroy(rig);
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

static void wait_broken(struct rig *rig)
{
    while (!rig->n_broken) {
        rig_flush(rig);
        cr_assert_geq(mf_loop_wait(rig->loop, 60 * MF_NS_PER_S), 1);
    }
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1, "a process is left");
    cr_assert_geq(mf_loop_wait(rig->loop, 0), 0);
    cr_assert_eq(rig->n_broken, 1);
    cr_assert_eq(rig->executor->ops->flush(rig->executor), -EPIPE);
}

Test(launcher, killed_again_and_again_it_is_given_up)
{
    struct rig *rig = rig_create((struct rig_options){0});

    for (unsigned round = 1; round <= 4; round++) {
        cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
        rig_wait_renewed(rig, round);
    }
    cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
    wait_broken(rig);
    cr_assert_str_eq(rig->broken.text, "the launcher process has died too often; the last one was "
                                       "killed by signal 9 (Killed)");
    rig_destroy(rig);
}

/* Both at a time, of which neither can act meanwhile. */
Test(launcher, killed_together_with_its_keeper_it_breaks_the_executor_and_leaves_no_task)
{
    struct rig *rig = rig_create((struct rig_options){0});
    char path[256], child[300];
    pid_t pid, child_pid;

    snprintf(path, sizeof(path), "%s", rig_path("pid"));
    snprintf(child, sizeof(child), "%s.child", path);
    start_sleeper(rig, 1, 0, path);
    pid = rig_wait_pid(path);
    child_pid = rig_wait_pid(child);
    cr_assert_eq(kill(rig->keeper_pid, SIGSTOP), 0);
    rig_wait_stopped(rig->keeper_pid, true);
    cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
    cr_assert_eq(kill(rig->keeper_pid, SIGKILL), 0);
    wait_broken(rig);
    cr_assert(strstr(rig->broken.text, "killed by signal 9"), "%s", rig->broken.text);
    rig_wait_gone(pid);
    rig_wait_gone(child_pid);
    rig_destroy(rig);
}

Test(launcher, staged_attempts_that_had_not_begun_are_given_back_as_such)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 1});
    const char *path = rig_path("pid");

    start_sleeper(rig, 1, 0, path);
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig_wait_pid(path);
    cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
    rig_wait(rig, &rig->tasks[2].is_unstaged);
    cr_assert_eq(rig_wait_ended(rig, 1)->outcome.cause, MF_CAUSE_LAUNCHER);
    /* It can be staged in the new one. */
    rig_sh(rig, 3, 0, "true");
    rig_sh(rig, 4, RIG_STAGED, "true");
    rig_wait_all(rig, 3);
    cr_assert_eq(rig->tasks[4].outcome.cause, MF_CAUSE_NONE);
    rig_destroy(rig);
}

/* Nothing is told before long, as there is enough to do. */
Test(launcher, only_what_was_running_when_it_died_can_be_to_blame)
{
    struct rig *rig =
        rig_create((struct rig_options){.n_slots = 1, .gather_ns = 600 * MF_NS_PER_S});

    rig_sh(rig, 1, 0, "true");
    rig_sh(rig, 2, RIG_STAGED, "true");
    rig_sh(rig, 3, RIG_STAGED, "kill -9 $PPID; sleep 100");
    rig_sh(rig, 4, RIG_STAGED, "true");
    rig_wait_renewed(rig, 1);
    rig_wait(rig, &rig->tasks[4].is_unstaged);
    cr_assert_eq(rig_wait_ended(rig, 1)->outcome.cause, MF_CAUSE_LAUNCHER);
    cr_assert_eq(rig->tasks[1].outcome.slot, 0);
    /* It has begun and ended, of which nothing was told, and must not seem never to have begun. */
    cr_assert_eq(rig_wait_ended(rig, 2)->outcome.cause, MF_CAUSE_LAUNCHER);
    cr_assert_eq(rig->tasks[2].outcome.slot, 0);
    cr_assert_eq(rig_wait_ended(rig, 3)->outcome.cause, MF_CAUSE_LAUNCHER);
    cr_assert_eq(rig->tasks[3].outcome.slot, 1);
    rig_destroy(rig);
}

Test(launcher, outputs_of_a_dead_one_are_kept_and_not_the_matter_of_the_next)
{
    struct rig *rig = rig_create((struct rig_options){0});
    struct rig_task *task;

    rig->keeps_output = true;
    rig_sh(rig, 1, 0, "head -c 1000000 /dev/zero");
    task = rig_wait_ended(rig, 1);
    cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
    rig_wait_renewed(rig, 1);
    cr_assert_eq(mf_output_size(task->output, MF_STDOUT), 1000000);
    mf_output_close(task->output);
    task->output = NULL;
    rig_sh(rig, 2, 0, "true");
    cr_assert_eq(rig_wait_ended(rig, 2)->outcome.cause, MF_CAUSE_NONE);
    cr_assert_eq(rig->n_renewed, 1);
    rig_destroy(rig);
}

/* At one of many moments between the start of a process and its program. */
static void kill_while_starting(int round)
{
    enum { N = 16 };
    struct rig *rig = rig_create((struct rig_options){.n_slots = N});
    int64_t kill_at_ns;

    for (mf_task_id task = 1; task <= N; task++)
        rig_sh(rig, task, (int)task - 1, "exec sleep 100");
    rig_flush(rig);
    kill_at_ns = mf_clock_monotonic_ns() + round * 100 * MF_NS_PER_US;
    while (mf_clock_monotonic_ns() < kill_at_ns)
        continue;
    cr_assert_eq(kill(rig->launcher_pid, SIGKILL), 0);
    rig_wait_renewed(rig, 1);
    cr_assert_eq(rig_count_children(getpid()), 1, "round %d: a process is left", round);
    cr_assert_eq(rig_count_children(rig->keeper_pid), 1, "round %d: a process is left", round);
    cr_assert_eq(rig_count_children(rig->launcher_pid), 0, "round %d: a process is left", round);
    rig_wait_all(rig, N);
    rig_destroy(rig);
}

Test(launcher, killed_while_it_starts_commands_it_leaves_none)
{
    for (int round = 0; round < 40; round++)
        kill_while_starting(round);
}

/* A rank is killed, and if asked so in the same moment its launcher. */
static void kill_rank(bool launcher_too)
{
    const char *path = rig_path("pid");
    const char *launcher_path;
    char copy[256], child[300];
    pid_t rank, pid, child_pid, launcher_pid;

    snprintf(copy, sizeof(copy), "%s", path);
    snprintf(child, sizeof(child), "%s.child", copy);
    launcher_path = rig_path("launcher");
    rank = fork();
    cr_assert_geq(rank, 0);
    if (rank == 0) {
        struct rig *rig = rig_create((struct rig_options){0});
        FILE *file = fopen(launcher_path, "we");

        fprintf(file, "%d\n", (int)rig->launcher_pid);
        fclose(file);
        start_sleeper(rig, 1, 0, copy);
        pause();
    }
    launcher_pid = rig_wait_pid(launcher_path);
    pid = rig_wait_pid(copy);
    child_pid = rig_wait_pid(child);
    if (launcher_too) {
        cr_assert_eq(kill(launcher_pid, SIGSTOP), 0);
        rig_wait_stopped(launcher_pid, true);
    }
    cr_assert_eq(kill(rank, SIGKILL), 0);
    if (launcher_too)
        cr_assert_eq(kill(launcher_pid, SIGKILL), 0);
    cr_assert_eq(waitpid(rank, NULL, 0), rank);
    rig_wait_gone(pid);
    rig_wait_gone(child_pid);
    rig_wait_gone(launcher_pid);
    rig_remove_paths();
}

Test(launcher, death_of_the_rank_ends_all_tasks_and_the_launcher)
{
    kill_rank(false);
}

Test(launcher, death_of_rank_and_launcher_at_once_ends_all_tasks)
{
    kill_rank(true);
}

Test(launcher, signals_meant_for_the_rank_do_not_reach_it)
{
    struct rig *rig = rig_create((struct rig_options){0});

    rig_sh(rig, 1, 0, "true");
    rig_wait_ended(rig, 1);
    cr_assert_eq(kill(rig->launcher_pid, SIGINT), 0);
    cr_assert_eq(kill(rig->launcher_pid, SIGTERM), 0);
    cr_assert_eq(kill(rig->launcher_pid, SIGHUP), 0);
    cr_assert_eq(getpgid(rig->launcher_pid), rig->launcher_pid);
    rig_sh(rig, 2, 0, "true");
    cr_assert_eq(rig_wait_ended(rig, 2)->outcome.cause, MF_CAUSE_NONE);
    rig_destroy(rig);
}

Test(launcher, destroying_the_executor_ends_what_runs)
{
    struct rig *rig = rig_create((struct rig_options){0});
    const char *path = rig_path("pid");
    pid_t pid;

    start_sleeper(rig, 1, 0, path);
    pid = rig_wait_pid(path);
    rig_destroy(rig);
    rig_wait_gone(pid);
}

Test(launcher, unused_launcher_is_stopped_and_reaped)
{
    struct mf_launcher_config config = {.output_limit_bytes = 1, .grace_ns = 1};
    struct mf_launcher launcher, none = {0};
    pid_t pid;

    cr_assert_eq(mf_launcher_fork(&config, &launcher, NULL), 0);
    pid = launcher.pid;
    mf_launcher_stop(&launcher);
    cr_assert_eq(waitpid(pid, NULL, WNOHANG), -1);
    cr_assert_eq(errno, ECHILD);
    mf_launcher_stop(&none);
}

Test(launcher, unused_and_suspended_it_is_stopped_all_the_same, .timeout = 60)
{
    struct mf_launcher_config config = {.output_limit_bytes = 1, .grace_ns = 1};
    struct mf_launcher launcher;
    pid_t keeper, below;

    cr_assert_eq(mf_launcher_fork(&config, &launcher, NULL), 0);
    keeper = launcher.pid;
    while (rig_count_children(keeper) == 0)
        ;
    below = rig_first_child(keeper);
    kill(below, SIGSTOP);
    rig_wait_stopped(below, true);
    kill(keeper, SIGSTOP);
    rig_wait_stopped(keeper, true);
    mf_launcher_stop(&launcher);
    cr_assert_eq(rig_process_state(keeper), 0);
    rig_wait_gone(below);
}

/* A rank that waits for whoever never ends tells nobody that it lives. */
Test(launcher, whoever_does_not_end_in_time_is_killed_and_reaped)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        raise(SIGSTOP);
        _exit(0);
    }
    rig_wait_stopped(pid, true);
    cr_assert_eq(mf_helper_reap(pid, MF_NS_PER_MS, &status), 1);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    cr_assert_eq(mf_helper_reap(pid, MF_NS_PER_MS, &status), -ECHILD);
    pid = fork();
    if (pid == 0)
        _exit(3);
    cr_assert_eq(mf_helper_reap(pid, 60 * MF_NS_PER_S, &status), 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
}

Test(launcher, ten_thousand_failing_tasks_fit_into_256_descriptors, .timeout = 600)
{
    const struct rlimit limit = {256, 256};
    enum { N = 10000, N_SLOTS = 500 };
    struct rig *rig;

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig = rig_create((struct rig_options){.n_slots = N_SLOTS});
    for (mf_task_id task = 1; task <= N; task++) {
        const char *args[] = {"/bin/false"};
        struct mf_command command = {.id = "a", .n_args = 1, .args = args};

        rig_start_command(rig, task, task <= N_SLOTS ? (int)task - 1 : RIG_STAGED, 0, &command);
    }
    rig_wait_all(rig, N);
    for (mf_task_id task = 1; task <= N; task++)
        cr_assert_eq(rig->tasks[task].outcome.exit_status, 1, "%s",
                     rig->tasks[task].outcome.detail);
    rig_destroy(rig);
}

Test(launcher, many_large_outputs_at_once_fit_into_256_descriptors, .timeout = 600)
{
    const struct rlimit limit = {256, 256};
    enum { N = 300, N_SLOTS = 150 };
    struct rig *rig;

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    rig = rig_create((struct rig_options){.n_slots = N_SLOTS});
    rig->keeps_output = false;
    for (mf_task_id task = 1; task <= N; task++)
        rig_sh(rig, task, task <= N_SLOTS ? (int)task - 1 : RIG_STAGED,
               "head -c 100000 /dev/zero; head -c 100000 /dev/zero >&2");
    rig_wait_all(rig, N);
    for (mf_task_id task = 1; task <= N; task++) {
        cr_assert_eq(rig->tasks[task].outcome.cause, MF_CAUSE_NONE, "%s",
                     rig->tasks[task].outcome.detail);
        cr_assert_eq(rig->tasks[task].size[MF_STDOUT], 100000);
        cr_assert_eq(rig->tasks[task].size[MF_STDERR], 100000);
    }
    rig_destroy(rig);
}

static unsigned count_fds_of(pid_t pid)
{
    char command[64];
    unsigned n = 0;
    FILE *pipe;

    snprintf(command, sizeof(command), "ls /proc/%d/fd | wc -l", (int)pid);
    pipe = popen(command, "r");
    cr_assert(pipe);
    cr_assert_eq(fscanf(pipe, "%u", &n), 1);
    pclose(pipe);
    return n;
}

static void limit_files_of(pid_t pid, rlim_t n)
{
    struct rlimit limit;

    cr_assert_eq(prlimit(pid, RLIMIT_NOFILE, NULL, &limit), 0);
    limit.rlim_cur = n;
    cr_assert_eq(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

/*
 * Lets the launcher start task 2 under a limit of files that lets a process
 * begin, since its pipes are there already, but not execute its program.
 */
static struct rig *refuse_task_2(void)
{
    struct rig *rig = rig_create((struct rig_options){.n_slots = 1});
    unsigned before;

    rig_sh(rig, 9, 0, "true");
    rig_wait_ended(rig, 9);
    before = count_fds_of(rig->launcher_pid);
    rig_sh(rig, 1, 0, "kill -STOP $$");
    rig_sh(rig, 2, RIG_STAGED, "echo ran");
    rig_flush(rig);
    /* Two pipes to read from, two more made ahead with both ends. */
    while (count_fds_of(rig->launcher_pid) != before + 6)
        continue;
    limit_files_of(rig->launcher_pid, 1);
    rig->executor->ops->end(rig->executor, 1, 1, MF_CAUSE_STOPPED);
    rig_wait(rig, &rig->tasks[2].has_started);
    /* Those pipes are closed when it has failed, and others cannot be made. */
    while (count_fds_of(rig->launcher_pid) != before)
        continue;
    return rig;
}

Test(launcher, command_for_which_something_lacks_is_tried_again)
{
    struct rig *rig = refuse_task_2();

    /* It has been told to have begun, and that is not taken back. */
    rig->executor->ops->unstage(rig->executor, 2, 1);
    rig_flush(rig);
    limit_files_of(rig->launcher_pid, 64);
    rig_wait_ended(rig, 2);
    cr_assert_eq(rig->tasks[2].outcome.cause, MF_CAUSE_NONE, "%s", rig->tasks[2].outcome.detail);
    cr_assert_gt(rig->tasks[2].outcome.pid, 0);
    cr_assert_str_eq(rig->tasks[2].text[MF_STDOUT], "ran\n");
    cr_assert_eq(rig->n_events, 4, "9 and 1 ended, 2 started and ended");
    rig_destroy(rig);
}

Test(launcher, command_for_which_something_lacks_can_be_ended)
{
    struct rig *rig = refuse_task_2();

    rig->executor->ops->end(rig->executor, 2, 1, MF_CAUSE_STOPPED);
    rig_wait_ended(rig, 2);
    cr_assert_eq(rig->tasks[2].outcome.cause, MF_CAUSE_STOPPED);
    cr_assert_eq(rig->tasks[2].outcome.signal, 0);
    cr_assert_eq(rig->tasks[2].outcome.pid, 0);
    limit_files_of(rig->launcher_pid, 64);
    rig_sh(rig, 3, 0, "true");
    cr_assert_eq(rig_wait_ended(rig, 3)->outcome.cause, MF_CAUSE_NONE);
    rig_destroy(rig);
}

Test(launcher, neither_side_leaks_descriptors)
{
    unsigned before_all = rig_count_fds();
    struct rig *rig = rig_create((struct rig_options){.grace_ns = 50 * MF_NS_PER_MS});
    unsigned before, launcher_before;
    const char *args[] = {"no-such-program"};
    struct mf_command missing = {.id = "a", .n_args = 1, .args = args};

    rig_sh(rig, 1, 0, "true");
    rig_wait_ended(rig, 1);
    before = rig_count_fds();
    launcher_before = count_fds_of(rig->launcher_pid);
    rig_sh(rig, 2, 0, "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
    rig_start_command(rig, 3, 1, 0, &missing);
    rig_sh(rig, 4, RIG_STAGED, "sleep 100 >/dev/null 2>&1 & :");
    rig_sh(rig, 5, RIG_STAGED, "echo x");
    rig_wait_all(rig, 5);
    cr_assert_eq(rig_count_fds(), before);
    cr_assert_eq(count_fds_of(rig->launcher_pid), launcher_before);
    rig_destroy(rig);
    cr_assert_eq(rig_count_fds(), before_all);
}

Test(launcher, impossible_requests_are_refused)
{
    struct rig *rig = rig_create((struct rig_options){0});
    uint32_t slot = 99;
    struct mf_start start = {.task = 1, .attempt = 1, .n_slots = 1, .slots = &slot};

    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), -EINVAL);
    rig_sh(rig, 2, 0, "true");
    start = (struct mf_start){.task = 2, .attempt = 1};
    cr_assert_eq(rig->executor->ops->start(rig->executor, &start), -EEXIST);
    rig_wait_ended(rig, 2);
    rig_destroy(rig);
}
