/* Keepers that answer for a process, also where the kernel gives no descriptors of processes. */
#include "rig.h"

#include "exec/keeper.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What pidfd_open() fails with, 0 if it does not. */
static int pidfd_error;

/* Instead of the C library's. */
int pidfd_open(pid_t pid, unsigned int flags)
{
    if (pidfd_error == 0)
        return (int)syscall(SYS_pidfd_open, pid, flags);
    errno = pidfd_error;
    return -1;
}

/* Shared with what is forked: whether the next process that is kept loses its keeper at once. */
static atomic_bool *loses_keeper;

/* Instead of the C library's: what is kept calls it before it looks at its parent. */
int prctl(int option, ...)
{
    pid_t parent = getppid();
    unsigned long argument;
    va_list arguments;

    va_start(arguments, option);
    argument = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (option == PR_SET_PDEATHSIG && loses_keeper && atomic_exchange(loses_keeper, false)) {
        kill(parent, SIGKILL);
        while (getppid() == parent)
            sched_yield();
    }
    return (int)syscall(SYS_prctl, option, argument, 0, 0, 0);
}

static struct mf_door door;
static int door_fd, knock_fd;
static uint64_t token;

static void setup(void)
{
    door_fd = mf_door_open(&door);
    knock_fd = mf_knock_open(&token);
    cr_assert(ge(int, door_fd, 0));
    cr_assert(ge(int, knock_fd, 0));
}

static void teardown(void)
{
    close(door_fd);
    close(knock_fd);
}

TestSuite(keeper, .init = setup, .fini = teardown);

/* Asks until somebody answers. */
static bool is_there(void)
{
    struct pollfd item = {.fd = knock_fd, .events = POLLIN};
    uint32_t peer, address;
    bool answer;

    for (;;) {
        mf_knock(knock_fd, token, &door, 1);
        if (poll(&item, 1, 100) == 1 &&
            mf_knock_hear(knock_fd, token, &peer, &answer, &address) > 0)
            return answer;
    }
}

/* Forgets answers to what was asked before. */
static void forget_answers(void)
{
    uint32_t peer, address;
    bool answer;

    while (mf_knock_hear(knock_fd, token, &peer, &answer, &address) != 0)
        ;
}

/* A process with a keeper beside it, which live until the test ends them. Returns what is written
 * to its standard error. */
static int live_with_keeper(pid_t *ret_served, pid_t *ret_keeper)
{
    int fds[2], errors[2];

    cr_assert(eq(int, pipe(fds), 0));
    cr_assert(eq(int, pipe(errors), 0));
    *ret_served = fork();
    if (*ret_served == 0) {
        struct mf_keeper own;

        dup2(errors[1], STDERR_FILENO);
        if (mf_keeper_fork(&door, door_fd, &own) == 0 &&
            write(fds[1], &own.pid, sizeof(own.pid)) > 0)
            pause();
        _exit(1);
    }
    cr_assert(eq(sz, (size_t)read(fds[0], ret_keeper, sizeof(*ret_keeper)), sizeof(*ret_keeper)));
    cr_assert(gt(int, *ret_keeper, 0));
    close(fds[0]);
    close(fds[1]);
    close(errors[1]);
    /* Or the test's own descriptor would keep the questions when the keeper is gone. */
    close(door_fd);
    door_fd = -1;
    return errors[0];
}

static void answers_for_a_life_and_its_end(int error)
{
    pid_t served, keeper;
    char byte;
    int errors;

    pidfd_error = error;
    errors = live_with_keeper(&served, &keeper);
    for (int i = 0; i < 3; i++)
        cr_assert(is_there(), "with error %d", error);
    kill(served, SIGKILL);
    waitpid(served, NULL, 0);
    /* Whoever reads what it wrote hears of the end before the keeper has gone. */
    cr_assert(eq(int, (int)read(errors, &byte, 1), 0));
    close(errors);
    while (is_there())
        ;
    kill(keeper, SIGKILL);
}

Test(keeper, answers_for_a_process_and_for_its_end, .timeout = 60)
{
    answers_for_a_life_and_its_end(0);
}

Test(keeper, does_so_on_a_kernel_without_descriptors_of_processes, .timeout = 60)
{
    answers_for_a_life_and_its_end(ENOSYS);
}

Test(keeper, does_so_where_those_are_forbidden, .timeout = 60)
{
    answers_for_a_life_and_its_end(EPERM);
}

/* Its process, the one that waits beside it, and whoever waits beside that. */
static void whoever_waits_takes_its_place(int error)
{
    pid_t served, keeper;

    pidfd_error = error;
    close(live_with_keeper(&served, &keeper));
    cr_assert(is_there());
    while (rig_count_children(keeper) == 0)
        ;
    for (int round = 0; round < 2; round++) {
        pid_t next = rig_first_child(keeper);

        kill(keeper, SIGKILL);
        rig_wait_gone(keeper);
        forget_answers();
        for (int i = 0; i < 3; i++)
            cr_assert(is_there(), "with error %d", error);
        keeper = next;
        while (rig_count_children(keeper) == 0)
            ;
    }
    kill(served, SIGKILL);
    waitpid(served, NULL, 0);
    while (is_there())
        ;
    kill(keeper, SIGKILL);
}

Test(keeper, killed_without_a_launcher_it_is_replaced_by_one_that_waits, .timeout = 60)
{
    whoever_waits_takes_its_place(0);
}

Test(keeper, which_it_also_is_without_descriptors_of_processes, .timeout = 60)
{
    whoever_waits_takes_its_place(ENOSYS);
}

Test(keeper, stopped_it_leaves_nobody_who_answers, .timeout = 60)
{
    struct mf_keeper keeper;
    pid_t pid, next;

    cr_assert(eq(int, mf_keeper_fork(&door, door_fd, &keeper), 0));
    close(door_fd);
    door_fd = -1;
    cr_assert(is_there());
    pid = keeper.pid;
    while (rig_count_children(pid) == 0)
        ;
    next = rig_first_child(pid);
    mf_keeper_stop(&keeper);
    cr_assert(eq(int, rig_process_state(pid), 0));
    rig_wait_gone(next);
}

/* --- beside a launcher --- */

/* A rank in a process of its own, which tells the keeper's number. */
static pid_t fork_rank(pid_t *ret_keeper)
{
    struct mf_launcher_config config = {.door = &door, .door_fd = door_fd};
    struct mf_launcher launcher;
    int fds[2];
    pid_t rank;

    cr_assert(eq(int, pipe(fds), 0));
    rank = fork();
    if (rank == 0) {
        if (mf_launcher_fork(&config, &launcher, NULL) == 0 &&
            write(fds[1], &launcher.pid, sizeof(launcher.pid)) > 0)
            pause();
        _exit(1);
    }
    cr_assert(eq(sz, (size_t)read(fds[0], ret_keeper, sizeof(*ret_keeper)), sizeof(*ret_keeper)));
    close(fds[0]);
    close(fds[1]);
    close(door_fd);
    door_fd = -1;
    return rank;
}

static void an_heir_answers(int error)
{
    pid_t rank, keeper;

    pidfd_error = error;
    rank = fork_rank(&keeper);
    cr_assert(is_there());
    kill(keeper, SIGKILL);
    rig_wait_gone(keeper);
    forget_answers();
    for (int i = 0; i < 3; i++)
        cr_assert(is_there(), "with error %d", error);
    kill(rank, SIGKILL);
    waitpid(rank, NULL, 0);
    while (is_there())
        ;
}

Test(keeper, whoever_takes_its_place_answers_too, .timeout = 60)
{
    an_heir_answers(0);
}

Test(keeper, whoever_takes_its_place_does_so_without_descriptors_of_processes, .timeout = 60)
{
    an_heir_answers(ENOSYS);
}

Test(keeper, a_launcher_that_was_stopped_does_not_outlive_its_rank, .timeout = 60)
{
    pid_t rank, keeper, launcher;

    rank = fork_rank(&keeper);
    while (rig_count_children(keeper) == 0)
        ;
    launcher = rig_first_child(keeper);
    kill(launcher, SIGSTOP);
    rig_wait_stopped(launcher, true);
    kill(rank, SIGKILL);
    waitpid(rank, NULL, 0);
    rig_wait_gone(launcher);
    kill(keeper, SIGKILL);
}

/* A launcher is killed, and the keeper of the next one before that has looked at its parent. */
Test(keeper, one_that_kept_nobody_yet_takes_the_place_like_any_other, .timeout = 120)
{
    struct rig *rig;
    char path[256], text[300];
    pid_t child;

    loses_keeper = mmap(NULL, sizeof(*loses_keeper), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert(ne(ptr, (void *)loses_keeper, MAP_FAILED));
    rig = rig_create((struct rig_options){0});
    *loses_keeper = true;
    kill(rig->launcher_pid, SIGKILL);
    rig_wait_renewed(rig, 2);
    cr_assert(eq(int, *loses_keeper, 0));
    cr_assert(eq(int, getpgid(rig->keeper_pid), rig->keeper_pid));

    /* What a launcher leaves behind is its matter, and gone before there is another one. */
    snprintf(path, sizeof(path), "%s", rig_path("pid"));
    snprintf(text, sizeof(text), "sleep 100 & echo $! >%s; wait", path);
    rig_sh(rig, 1, 0, text);
    rig_flush(rig);
    child = rig_wait_pid(path);
    kill(rig->launcher_pid, SIGKILL);
    rig_wait_renewed(rig, 3);
    cr_assert(eq(int, rig_process_state(child), 0));
    cr_assert(eq(uint, rig_count_children(getpid()), 1));
    rig_destroy(rig);
}
