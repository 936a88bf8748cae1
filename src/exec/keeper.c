/* The keeper: see keeper.h. One thread, which owns nothing but its children. */
#include "exec/keeper.h"

#include "base/clock.h"
#include "base/scratch.h"
#include "exec/descendants.h"
#include "exec/helper.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the last processes may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* Reaps what has ended; returns whether the kept process is among it. */
static bool reap(pid_t kept, int *ret_status)
{
    bool is_over = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
        if (pid == kept) {
            *ret_status = status;
            is_over = true;
        }
    return is_over || pid < 0;
}

/* Whoever waits for this process hears of the end of the other one. */
_Noreturn static void end_alike(int status)
{
    sigset_t all;

    if (WIFEXITED(status))
        _exit(WEXITSTATUS(status));
    sigfillset(&all);
    (void)sigprocmask(SIG_UNBLOCK, &all, NULL);
    (void)kill(getpid(), WTERMSIG(status));
    _exit(EXIT_FAILURE);
}

_Noreturn static void keep(pid_t kept, const char *scratch)
{
    int number, status = 0;
    sigset_t child_ended;

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "mpifarm-keep");
    /* Sockets and pipes are the other one's: kept open here they would never end. */
    (void)mf_helper_close_all();
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    while (!reap(kept, &status))
        (void)sigwait(&child_ended, &number);
    (void)mf_descendants_kill(KILL_LIMIT_NS);
    if (scratch)
        mf_scratch_remove(scratch);
    end_alike(status);
}

int mf_keeper_split(const char *scratch)
{
    pid_t keeper = getpid(), kept;
    int r = mf_helper_mute_signals();

    if (r < 0)
        return r;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    kept = fork();
    if (kept < 0)
        return -errno;
    if (kept > 0)
        keep(kept, scratch);
    if (prctl(PR_SET_PDEATHSIG, MF_KEEPER_GONE) < 0)
        return -errno;
    return getppid() == keeper ? 0 : -EPIPE;
}
