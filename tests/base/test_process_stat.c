/* What the kernel tells of a process. */
#include "base/process_stat.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child with a name that looks like what comes behind names. */
static pid_t fork_child(void)
{
    int fds[2];
    pid_t pid;
    char byte;

    cr_assert(eq(int, pipe(fds), 0));
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "a) Z 1 (b");
        if (write(fds[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    cr_assert(eq(int, (int)read(fds[0], &byte, 1), 1));
    close(fds[0]);
    close(fds[1]);
    return pid;
}

Test(process_stat, a_name_with_parentheses_hides_nothing)
{
    struct mf_process_stat own, child;
    pid_t pid = fork_child();

    cr_assert(eq(int, mf_process_stat_read(getpid(), &own), 0));
    cr_assert(eq(int, mf_process_stat_read(pid, &child), 0));
    cr_assert(eq(int, own.parent, getppid()));
    cr_assert(eq(int, child.parent, getpid()));
    cr_assert(own.started > 0 && child.started >= own.started);
    cr_assert(child.state == 'S' || child.state == 'R');
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

Test(process_stat, one_that_has_ended_is_there_until_it_is_reaped)
{
    struct mf_process_stat stat = {0};
    siginfo_t info;
    pid_t pid = fork_child();

    kill(pid, SIGKILL);
    cr_assert(eq(int, waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0));
    cr_assert(eq(int, mf_process_stat_read(pid, &stat), 0));
    cr_assert(eq(int, stat.state, 'Z'));
    waitpid(pid, NULL, 0);
    cr_assert(mf_process_stat_read(pid, &stat) < 0);
}
