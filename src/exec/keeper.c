/* The keeper: see keeper.h. One thread, which owns its children and its sockets. */
#include "exec/keeper.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/scratch.h"
#include "exec/descendants.h"
#include "exec/helper.h"
#include "exec/lifeline.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the last processes may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* How long a keeper may take to end: it and whoever it keeps each kill what they have within that.
 */
#define END_LIMIT_NS (2 * KILL_LIMIT_NS + MF_NS_PER_S)

/* How long it still answers for a process that has ended; and if nobody has asked so far, as
 * whoever is elsewhere asks when it has heard nothing for a while. */
#define LINGER_NS (10 * MF_NS_PER_S)
#define LINGER_UNASKED_NS (4 * MF_NS_PER_S)

/* How often it looks for what it is not told of. */
#define LOOK_MS 1000

/**
 * What a keeper waits for.
 *
 * @served      the process that it answers for, the rank
 * @served_fd   readable once that has ended; -1 when it does not, or where there is no such thing
 * @is_child    of the rank. Whoever takes its place is so too if the rank is a subreaper
 * @kept        the process that it keeps, 0 for none
 * @status      how the last one that it kept has ended
 * @is_wanted   the rank has asked for another one
 * @is_over     the rank wants no other, or has gone
 * @is_served_leaving   the rank has let go of its files, and is about to end
 * @was_asked   where the rank is, by somebody who is entitled to
 */
struct keeper {
    pid_t served;
    int signal_fd;
    int served_fd;
    int door_fd;
    int lifeline_fd;
    struct mf_door door;
    bool is_child;
    pid_t kept;
    int status;
    bool is_wanted;
    bool is_over;
    bool is_served_leaving;
    bool is_served_gone;
    bool was_asked;
};

/* --- what happens --- */

/* Reaps what has ended; returns whether the kept process is among it, or there is none. */
static bool reap(struct keeper *keeper)
{
    bool is_over = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
        if (pid == keeper->kept) {
            keeper->status = status;
            is_over = true;
        }
    return is_over || pid < 0;
}

/* Without a descriptor, a parent that is another one now tells. */
static bool has_served_ended(const struct keeper *keeper)
{
    if (keeper->served_fd >= 0)
        return false;
    return keeper->is_child ? getppid() != keeper->served
                            : kill(keeper->served, 0) < 0 && errno == ESRCH;
}

static void look_for_served(struct keeper *keeper, bool was_told)
{
    if (keeper->is_served_gone || !(was_told || has_served_ended(keeper)))
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

static void hear(struct keeper *keeper)
{
    int result = mf_lifeline_hear(keeper->lifeline_fd);

    keeper->is_wanted |= result == MF_LIFELINE_ASKED;
    if (result >= 0 && result != MF_LIFELINE_OVER)
        return;
    keeper->is_over = true;
    keeper->is_served_leaving = result < 0;
    mf_close(&keeper->lifeline_fd);
}

static void wait_for_more(struct keeper *keeper, int timeout_ms)
{
    struct pollfd items[] = {{.fd = keeper->signal_fd, .events = POLLIN},
                             {.fd = keeper->door_fd, .events = POLLIN},
                             {.fd = keeper->served_fd, .events = POLLIN},
                             {.fd = keeper->lifeline_fd, .events = POLLIN}};
    struct signalfd_siginfo info;

    if (poll(items, 4, limit_wait(keeper, timeout_ms)) < 0)
        return;
    if (items[0].revents)
        (void)!read(keeper->signal_fd, &info, sizeof(info));
    look_for_served(keeper, items[2].revents != 0);
    if (items[3].revents)
        hear(keeper);
    if (items[1].revents &&
        mf_door_answer(keeper->door_fd, &keeper->door, !keeper->is_served_gone) > 0)
        keeper->was_asked = true;
}

/* --- the end --- */

/* Whoever asks is to hear of the end, and not only nothing. */
static void linger(struct keeper *keeper)
{
    int64_t now_ns = mf_clock_monotonic_ns(), began_ns = now_ns, end_ns;

    if (keeper->door_fd < 0 || !(keeper->is_served_leaving || keeper->is_served_gone))
        return;
    /* Whoever reads what the rank wrote to standard error is not to wait for this process. */
    (void)dup2(STDIN_FILENO, STDERR_FILENO);
    for (;; now_ns = mf_clock_monotonic_ns()) {
        end_ns = began_ns + (keeper->was_asked ? LINGER_NS : LINGER_UNASKED_NS);
        if (now_ns >= end_ns)
            return;
        wait_for_more(keeper, (int)((end_ns - now_ns) / MF_NS_PER_MS) + 1);
    }
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

/* --- the beginning --- */

_Noreturn static void give_up(int error)
{
    fprintf(stderr, "mpifarm: the process that keeps the launcher cannot be set up: %s\n",
            strerror(-error));
    _exit(EXIT_FAILURE);
}

/* In the child of the rank alone, since a parent cannot be confused with another process: the
 * number may have passed on before it was opened. Whoever takes its place inherits the descriptor.
 */
static void open_served(struct keeper *keeper)
{
    keeper->served_fd = pidfd_open(keeper->served, 0);
    if (keeper->served_fd >= 0 && getppid() != keeper->served)
        look_for_served(keeper, true);
}

/* One that cannot be told keeps all the same: it looks now and then. */
static void begin_to_watch(struct keeper *keeper)
{
    sigset_t child_ended;

    (void)prctl(PR_SET_NAME, "mpifarm-keep");
    sigemptyset(&child_ended);
    sigaddset(&child_ended, SIGCHLD);
    keeper->signal_fd = signalfd(-1, &child_ended, SFD_CLOEXEC | SFD_NONBLOCK);
    look_for_served(keeper, false);
}

/* Keeps few descriptors: sockets and pipes would never end while they are open here. */
static int set_up(struct keeper *keeper, const struct mf_keeper_config *config, int *channel_fd)
{
    int fds[] = {config->door ? config->door_fd : -1, config->lifeline_fd, *channel_fd};
    int result = mf_helper_mute_signals();

    (void)setpgid(0, 0);
    *keeper = (struct keeper){
        .served = config->served, .is_child = true, .signal_fd = -1, .served_fd = -1};
    if (result == 0)
        result = mf_helper_keep_only(fds, 3, false);
    if (result < 0)
        return result;
    if (config->door)
        keeper->door = *config->door;
    keeper->door_fd = fds[0];
    keeper->lifeline_fd = fds[1];
    *channel_fd = fds[2];
    open_served(keeper);
    begin_to_watch(keeper);
    return 0;
}

/* --- the kept process --- */

/*
 * The new process. Returns when its keeper is gone, with nothing below it. Even if that is so at
 * once it is a keeper then, which is to get all that those it keeps leave behind.
 */
static void be_kept(struct keeper *keeper, const struct mf_keeper_config *config, pid_t parent,
                    int channel_fd)
{
    mf_close(&keeper->signal_fd);
    /* Keys pressed at a terminal are for the rank. */
    (void)setpgid(0, 0);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_PDEATHSIG, MF_KEEPER_GONE) < 0)
        give_up(-errno);
    if (getppid() == parent)
        config->run(config->arg, channel_fd, parent);
    else
        mf_close(&channel_fd);
    (void)prctl(PR_SET_PDEATHSIG, 0);
}

/* What was kept is the keeper now, and keeps nobody. */
static void begin_as_heir(struct keeper *keeper)
{
    keeper->is_child = getppid() == keeper->served;
    keeper->kept = 0;
    keeper->status = 0;
    begin_to_watch(keeper);
}

/*
 * Keeps a process from its beginning to its end. Returns 0 in the keeper that there is then, with
 * nothing below it, or -errno.
 */
static int keep(struct keeper *keeper, const struct mf_keeper_config *config, int channel_fd)
{
    pid_t own = getpid();

    keeper->kept = fork();
    if (keeper->kept < 0) {
        int result = -errno;

        mf_close(&channel_fd);
        return result;
    }
    if (keeper->kept == 0) {
        be_kept(keeper, config, own, channel_fd);
        begin_as_heir(keeper);
        return 0;
    }
    mf_close(&channel_fd);
    while (!reap(keeper)) {
        bool is_to_end = keeper->is_over || keeper->is_served_gone;

        /* It could not if it was stopped. */
        if (is_to_end)
            (void)kill(keeper->kept, SIGCONT);
        wait_for_more(keeper, is_to_end ? LOOK_MS : -1);
    }
    keeper->kept = 0;
    return mf_descendants_kill(KILL_LIMIT_NS);
}

/* Waits until the rank asks for another process, and hands it its end of a channel to that.
 * Returns the other end, or -1 when the rank wants none. */
static int await_order(struct keeper *keeper)
{
    struct mf_offer offer = {.keeper = getpid(), .status = keeper->status};
    int fds[2];

    while (!keeper->is_wanted && !keeper->is_over && !keeper->is_served_gone)
        wait_for_more(keeper, -1);
    if (keeper->is_over || keeper->is_served_gone)
        return -1;
    keeper->is_wanted = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return -1;
    if (mf_lifeline_offer(keeper->lifeline_fd, &offer, fds[0]) == 0)
        return fds[1];
    mf_close(&fds[1]);
    return -1;
}

_Noreturn void mf_keeper_main(const struct mf_keeper_config *config, int channel_fd)
{
    struct keeper keeper;
    int result = set_up(&keeper, config, &channel_fd);

    if (result == 0 && prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        result = -errno;
    if (result < 0)
        give_up(result);
    while (result == 0 && channel_fd >= 0) {
        result = keep(&keeper, config, channel_fd);
        channel_fd = result == 0 ? await_order(&keeper) : -1;
    }
    /* What the rank said last, if it has gone; from here on it knows that no other comes. */
    if (keeper.lifeline_fd >= 0)
        hear(&keeper);
    mf_close(&keeper.lifeline_fd);
    if (config->scratch)
        mf_scratch_remove(config->scratch);
    linger(&keeper);
    end_alike(keeper.status);
}

/* --- a keeper that only answers --- */

/* Waits to take the place of the keeper: for the signal that says so, which anybody can send. */
static void stand_by(void *arg, int channel_fd, pid_t keeper)
{
    sigset_t gone;

    (void)prctl(PR_SET_NAME, "mpifarm-heir");
    sigemptyset(&gone);
    sigaddset(&gone, MF_KEEPER_GONE);
    while (getppid() == keeper)
        (void)sigwaitinfo(&gone, NULL);
}

/* Whoever keeps one that only waits makes another one at once, and ends it in the end. */
static void answer(struct keeper *keeper, const struct mf_keeper_config *config)
{
    pid_t own = getpid();

    while (!keeper->is_over && !keeper->is_served_gone) {
        if (keeper->kept == 0)
            keeper->kept = fork();
        if (keeper->kept == 0) {
            be_kept(keeper, config, own, -1);
            begin_as_heir(keeper);
            own = getpid();
            continue;
        }
        wait_for_more(keeper, keeper->kept < 0 ? LOOK_MS : -1);
        if (keeper->kept < 0 || reap(keeper))
            keeper->kept = 0;
    }
    if (keeper->kept <= 0)
        return;
    (void)kill(keeper->kept, SIGKILL);
    while (waitpid(keeper->kept, NULL, 0) < 0 && errno == EINTR)
        ;
}

int mf_keeper_fork(const struct mf_door *door, int door_fd, struct mf_keeper *ret_keeper)
{
    struct mf_keeper_config config = {
        .served = getpid(), .door = door, .door_fd = door_fd, .run = stand_by};
    int lifeline[2], none = -1, result = mf_lifeline_create(lifeline);
    struct keeper keeper;
    pid_t pid;

    if (result < 0)
        return result;
    config.lifeline_fd = lifeline[1];
    pid = fork();
    if (pid == 0) {
        if (set_up(&keeper, &config, &none) < 0)
            _exit(EXIT_FAILURE);
        answer(&keeper, &config);
        linger(&keeper);
        _exit(EXIT_SUCCESS);
    }
    result = pid < 0 ? -errno : 0;
    mf_close(&lifeline[1]);
    if (result < 0)
        mf_close(&lifeline[0]);
    else
        *ret_keeper = (struct mf_keeper){.pid = pid, .lifeline_fd = lifeline[0]};
    return result;
}

int mf_keeper_reap(pid_t pid, int *ret_status)
{
    /* One that was stopped hears of it now. */
    (void)kill(pid, SIGCONT);
    return mf_helper_reap(pid, END_LIMIT_NS, ret_status);
}

void mf_keeper_stop(struct mf_keeper *keeper)
{
    int status;

    if (keeper->pid <= 0)
        return;
    mf_lifeline_close(&keeper->lifeline_fd);
    (void)mf_keeper_reap(keeper->pid, &status);
    *keeper = (struct mf_keeper){0};
}
