/* The keeper: see keeper.h. One thread, which owns its children and a socket. */
#include "exec/keeper.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/scratch.h"
#include "exec/descendants.h"
#include "exec/helper.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the last processes may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* How long it still answers for a process that has ended; and if nobody has asked so far, as
 * whoever is elsewhere asks when it has heard nothing for a while. */
#define LINGER_NS (10 * MF_NS_PER_S)
#define LINGER_UNASKED_NS (4 * MF_NS_PER_S)

/* How often it looks for what it is not told of. */
#define LOOK_MS 1000

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

/**
 * What a keeper waits for.
 *
 * @served      the process that it answers for, its parent
 * @served_fd   readable once that has ended; -1 when it does not, or where there is no such thing
 * @door_fd     where others ask for it; -1 for none
 * @was_asked   by somebody who is entitled to
 */
struct keeper {
    pid_t served;
    int signal_fd;
    int served_fd;
    int door_fd;
    struct mf_door door;
    bool is_served_gone;
    bool was_asked;
};

/* Without a descriptor, a parent that is another one now tells. */
static void look_for_served(struct keeper *keeper, bool was_told)
{
    if (keeper->is_served_gone || (!was_told && getppid() == keeper->served))
        return;
    keeper->is_served_gone = true;
    mf_close(&keeper->served_fd);
}

/* The longest that it may wait without looking. */
static int limit_wait(const struct keeper *keeper, int timeout_ms)
{
    bool is_told = keeper->signal_fd >= 0 && (keeper->served_fd >= 0 || keeper->is_served_gone);

    return is_told || (timeout_ms >= 0 && timeout_ms < LOOK_MS) ? timeout_ms : LOOK_MS;
}

static void wait_for_more(struct keeper *keeper, int timeout_ms)
{
    struct pollfd items[] = {{.fd = keeper->signal_fd, .events = POLLIN},
                             {.fd = keeper->door_fd, .events = POLLIN},
                             {.fd = keeper->served_fd, .events = POLLIN}};
    struct signalfd_siginfo info;

    if (poll(items, 3, limit_wait(keeper, timeout_ms)) < 0)
        return;
    if (items[0].revents)
        (void)!read(keeper->signal_fd, &info, sizeof(info));
    look_for_served(keeper, items[2].revents != 0);
    if (items[1].revents &&
        mf_door_answer(keeper->door_fd, &keeper->door, !keeper->is_served_gone) > 0)
        keeper->was_asked = true;
}

/* Whoever asks is to hear of the end, and not only nothing. */
static void linger(struct keeper *keeper)
{
    int64_t now_ns = mf_clock_monotonic_ns(), began_ns = now_ns, end_ns;

    if (keeper->door_fd < 0 || !keeper->is_served_gone)
        return;
    for (;; now_ns = mf_clock_monotonic_ns()) {
        end_ns = began_ns + (keeper->was_asked ? LINGER_NS : LINGER_UNASKED_NS);
        if (now_ns >= end_ns)
            return;
        wait_for_more(keeper, (int)((end_ns - now_ns) / MF_NS_PER_MS) + 1);
    }
}

/* Keeps no descriptor but the door's: sockets and pipes would never end while they are open here.
 */
static int set_up(struct keeper *keeper, pid_t served, const struct mf_door *door, int door_fd)
{
    sigset_t child_ended;
    int r;

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "mpifarm-keep");
    *keeper = (struct keeper){.served = served, .signal_fd = -1, .served_fd = -1, .door_fd = -1};
    if (door) {
        keeper->door = *door;
        r = keeper->door_fd = mf_helper_keep_only(door_fd, false);
    } else {
        r = mf_helper_close_all();
    }
    if (r < 0)
        return r;
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    keeper->signal_fd = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
    keeper->served_fd = pidfd_open(served, 0);
    look_for_served(keeper, false);
    return keeper->signal_fd < 0 ? -errno : 0;
}

_Noreturn static void keep(struct keeper *keeper, pid_t kept, const char *scratch)
{
    int status = 0;

    while (!reap(kept, &status))
        wait_for_more(keeper, -1);
    (void)mf_descendants_kill(KILL_LIMIT_NS);
    if (scratch)
        mf_scratch_remove(scratch);
    linger(keeper);
    end_alike(status);
}

int mf_keeper_split(const char *scratch, const struct mf_door *door, int door_fd)
{
    pid_t served = getppid(), own = getpid(), kept;
    struct keeper keeper;
    int r = mf_helper_mute_signals();

    if (r < 0)
        return r;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    kept = fork();
    if (kept < 0)
        return -errno;
    /* One that could not be set up keeps all the same: it looks now and then. */
    if (kept > 0) {
        (void)set_up(&keeper, served, door, door_fd);
        keep(&keeper, kept, scratch);
    }
    if (prctl(PR_SET_PDEATHSIG, MF_KEEPER_GONE) < 0)
        return -errno;
    return getppid() == own ? 0 : -EPIPE;
}

pid_t mf_keeper_fork(const struct mf_door *door, int door_fd)
{
    pid_t served = getpid(), pid = fork();
    struct keeper keeper;

    if (pid != 0)
        return pid < 0 ? -errno : pid;
    if (mf_helper_mute_signals() < 0 || set_up(&keeper, served, door, door_fd) < 0)
        _exit(EXIT_FAILURE);
    while (!keeper.is_served_gone)
        wait_for_more(&keeper, -1);
    linger(&keeper);
    _exit(EXIT_SUCCESS);
}
