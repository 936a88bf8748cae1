/*
 * The launcher process: it shares nothing with its rank but a socket and the
 * account of its slots, and never outlives it. It turns to signals of terminals
 * and batch systems a deaf ear, since what they mean is for the rank to decide.
 *
 * One thread, which owns everything here. A turn is
 *
 *     wait      for the socket, for ended processes, for pipes, for time
 *     receive   take in what the rank asks for
 *     reap      take in what has ended; its slot goes to the next
 *     advance   deadlines, and starts
 *     flush     one write with all there is to tell
 *
 * While the rank has staged enough, nothing it could do is urgent, and reports
 * of several turns gather: waking the rank costs as much as starting a command.
 */
#include "exec/launcher.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/scratch.h"
#include "exec/descendants.h"
#include "exec/helper.h"
#include "exec/keeper.h"
#include "exec/lifeline.h"
#include "exec/runner.h"

#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the last processes may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* Until descriptors can be sent again after too many were under way. */
#define SEND_AGAIN_NS (10 * MF_NS_PER_MS)

/* Reports wait this long at most for others to go with them, unless the configuration says. */
#define GATHER_NS (20 * MF_NS_PER_MS)
#define MAX_GATHERED_BYTES ((size_t)64 << 10)

/**
 * @signal_fd        SIGCHLD, and word that the keeper is gone
 * @keeper           process above this one
 * @has_news         the socket has something to read
 * @has_ended        some process has ended
 * @is_alone         the keeper has
 * @is_blocked       the socket is full
 * @original_files   limit of open files that commands have, and the keeper had
 * @gather_ns        how long reports may wait for others
 * @flush_at_ns      when to flush at the latest, INT64_MAX when nothing waits for that
 */
struct launcher {
    struct mf_loop *loop;
    struct mf_channel channel;
    struct mf_watch *channel_watch;
    int signal_fd;
    pid_t keeper;
    struct mf_watch *signal_watch;
    struct mf_runner *runner;
    bool has_news;
    bool has_ended;
    bool is_alone;
    bool is_blocked;
    struct rlimit original_files;
    int64_t gather_ns;
    int64_t flush_at_ns;
};

static void on_channel(void *arg, uint32_t events)
{
    struct launcher *launcher = arg;

    launcher->has_news |= (events & ~(uint32_t)EPOLLOUT) != 0;
}

static void on_signal(void *arg, uint32_t events)
{
    struct launcher *launcher = arg;
    struct signalfd_siginfo info;

    /* However many have ended, only one signal is pending. */
    if (read(launcher->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    launcher->has_ended |= info.ssi_signo == SIGCHLD;
    /* Anybody can send the other one. */
    launcher->is_alone |= info.ssi_signo == MF_KEEPER_GONE && getppid() != launcher->keeper;
}

static int receive(struct launcher *launcher)
{
    struct mf_frame frame;
    int result = mf_channel_receive(&launcher->channel);

    while (result >= 0 && (result = mf_channel_next(&launcher->channel, &frame)) == 1)
        result = mf_runner_handle(launcher->runner, &frame);
    return result;
}

/* Whether reports may wait for more; sets the time by which they go. */
static bool may_gather(struct launcher *launcher)
{
    size_t backlog = mf_channel_backlog(&launcher->channel);
    int64_t now_ns;

    if (backlog == 0)
        return true;
    if (backlog > MAX_GATHERED_BYTES || !mf_runner_is_supplied(launcher->runner))
        return false;
    now_ns = mf_clock_monotonic_ns();
    if (launcher->flush_at_ns == INT64_MAX)
        launcher->flush_at_ns = now_ns + launcher->gather_ns;
    return now_ns < launcher->flush_at_ns;
}

static int flush(struct launcher *launcher)
{
    int result;

    if (!launcher->is_blocked && may_gather(launcher))
        return 0;
    result = mf_channel_flush(&launcher->channel);
    if (result < 0)
        return result;
    launcher->is_blocked = result == MF_CHANNEL_E_FULL;
    launcher->flush_at_ns = INT64_MAX;
    if (result == MF_CHANNEL_E_LATER)
        launcher->flush_at_ns = mf_clock_monotonic_ns() + SEND_AGAIN_NS;
    return mf_loop_modify(launcher->loop, launcher->channel_watch,
                          launcher->is_blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static int wait_events(struct launcher *launcher)
{
    int64_t next_ns = mf_runner_next_ns(launcher->runner);
    int64_t timeout_ns = -1;

    if (launcher->flush_at_ns < next_ns)
        next_ns = launcher->flush_at_ns;
    if (next_ns < INT64_MAX) {
        timeout_ns = next_ns - mf_clock_monotonic_ns();
        if (timeout_ns < 0)
            timeout_ns = 0;
    }
    return mf_loop_wait(launcher->loop, timeout_ns);
}

/* One turn. Returns 0, or -errno when the rank is gone or the launcher cannot go on. */
static int turn(struct launcher *launcher)
{
    int result;

    launcher->has_news = launcher->has_ended = false;
    result = wait_events(launcher);
    if (result >= 0 && launcher->has_news)
        result = receive(launcher);
    if (result < 0)
        return result;
    if (launcher->is_alone)
        return -EPIPE;
    if (launcher->has_ended)
        mf_runner_reap(launcher->runner);
    result = mf_runner_advance(launcher->runner);
    if (result == 0)
        result = flush(launcher);
    mf_runner_prepare(launcher->runner);
    return result;
}

/* Default dispositions for all that is started, and everything blocked. Returns a signalfd. */
static int set_up_signals(void)
{
    sigset_t heard;
    int result = mf_helper_mute_signals();

    if (result < 0)
        return result;
    sigemptyset(&heard);
    sigaddset(&heard, SIGCHLD);
    sigaddset(&heard, MF_KEEPER_GONE);
    result = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    return result < 0 ? -errno : result;
}

static int set_up(struct launcher *launcher, const struct mf_launcher_start *start)
{
    const struct mf_launcher_config *config = start->config;
    struct mf_runner_config runner_config = {
        .launcher = config, .tenants = start->tenants, .channel = &launcher->channel};
    int result;

    launcher->gather_ns = config->gather_ns > 0 ? config->gather_ns : GATHER_NS;
    if (getrlimit(RLIMIT_NOFILE, &launcher->original_files) < 0)
        return -errno;
    runner_config.original_files = launcher->original_files;
    launcher->signal_fd = set_up_signals();
    if (launcher->signal_fd < 0)
        return launcher->signal_fd;
    runner_config.max_files = mf_raise_open_files();
    result = mf_loop_create(&launcher->loop);
    if (result < 0)
        return result;
    runner_config.loop = launcher->loop;
    result = mf_runner_create(&runner_config, &launcher->runner);
    if (result == 0)
        result = mf_loop_add(launcher->loop, launcher->channel.fd, EPOLLIN, on_channel, launcher,
                             &launcher->channel_watch);
    if (result == 0)
        result = mf_loop_add(launcher->loop, launcher->signal_fd, EPOLLIN, on_signal, launcher,
                             &launcher->signal_watch);
    return result;
}

/*
 * The launcher runs briefly and often, and a slot is idle until it does: a
 * short slice lets it in front of tasks that compute (EEVDF, Linux 6.12).
 * Commands do not inherit it. Older kernels ignore or refuse it.
 */
static void ask_for_short_slices(void)
{
    struct mf_sched_attr {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } attr = {
        .size = sizeof(attr), .flags = SCHED_FLAG_RESET_ON_FORK, .runtime_ns = MF_NS_PER_MS / 10};

    (void)syscall(SYS_sched_setattr, 0, &attr, 0);
}

/* Its keeper hears of the end, but not why. */
_Noreturn static void give_up(int error)
{
    fprintf(stderr, "mpifarm: the launcher process cannot be set up: %s\n", strerror(-error));
    _exit(EXIT_FAILURE);
}

/* What it has, so that a keeper is left of this process. */
static void close_all(struct launcher *launcher)
{
    mf_loop_remove(launcher->loop, launcher->channel_watch);
    mf_loop_remove(launcher->loop, launcher->signal_watch);
    mf_loop_destroy(launcher->loop);
    mf_close(&launcher->signal_fd);
    mf_channel_finish(&launcher->channel);
    (void)setrlimit(RLIMIT_NOFILE, &launcher->original_files);
}

void mf_launcher_run(void *arg, int channel_fd, pid_t keeper)
{
    const struct mf_launcher_start *start = arg;
    struct launcher launcher = {.signal_fd = -1, .keeper = keeper, .flush_at_ns = INT64_MAX};
    int result;

    (void)prctl(PR_SET_NAME, "mpifarm-launch");
    ask_for_short_slices();
    mf_channel_init(&launcher.channel, channel_fd);
    result = set_up(&launcher, start);
    if (result < 0)
        give_up(result);
    while (result >= 0)
        result = turn(&launcher);

    mf_runner_destroy(launcher.runner);
    if (mf_descendants_kill(KILL_LIMIT_NS) < 0)
        _exit(EXIT_FAILURE);
    if (getppid() != keeper) {
        close_all(&launcher);
        return;
    }
    if (result != -EPIPE && result != -ECONNRESET)
        _exit(EXIT_FAILURE);
    /* The rank has gone, on purpose or not: that is how a launcher's life ends. */
    if (start->config->scratch)
        mf_scratch_remove(start->config->scratch);
    _exit(EXIT_SUCCESS);
}

/* --- the rank's side --- */

static int set_error(struct mf_error *err, int error, const char *what)
{
    return mf_error_set(err, error, "cannot %s: %s", what, strerror(-error));
}

/* The first process below the rank. */
_Noreturn static void be_keeper(const struct mf_launcher_config *config, pid_t rank,
                                struct mf_tenants *tenants, int lifeline_fd, int channel_fd)
{
    struct mf_launcher_start start = {.config = config, .tenants = tenants};
    struct mf_keeper_config keeper = {
        .served = rank,
        .scratch = config->scratch,
        .door = config->door,
        .door_fd = config->door_fd,
        .lifeline_fd = lifeline_fd,
        .run = mf_launcher_run,
        .arg = &start,
    };

    mf_keeper_main(&keeper, channel_fd);
}

/* Both ends of a channel and of a lifeline. Returns 0 or -errno. */
static int open_sockets(int channel[2], int lifeline[2])
{
    int result;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, channel) < 0)
        return -errno;
    result = mf_lifeline_create(lifeline);
    if (result < 0) {
        mf_close(&channel[0]);
        mf_close(&channel[1]);
    }
    return result;
}

int mf_launcher_fork(const struct mf_launcher_config *config, struct mf_launcher *ret_launcher,
                     struct mf_error *err)
{
    struct mf_launcher launcher = {0};
    int channel[2], lifeline[2], result;
    pid_t rank = getpid();

    /* An heir of the keeper comes to this process. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return set_error(err, -errno, "become the parent of what the launcher leaves behind");
    result = mf_tenants_create(&launcher.tenants);
    if (result < 0)
        return set_error(err, result, "share memory with the launcher process");
    result = open_sockets(channel, lifeline);
    if (result < 0) {
        mf_tenants_destroy(launcher.tenants);
        return set_error(err, result, "create a socket for the launcher process");
    }
    launcher.fd = channel[0];
    launcher.lifeline_fd = lifeline[0];
    launcher.pid = fork();
    if (launcher.pid == 0)
        be_keeper(config, rank, launcher.tenants, lifeline[1], channel[1]);
    result = launcher.pid < 0 ? -errno : 0;
    mf_close(&channel[1]);
    mf_close(&lifeline[1]);
    if (result < 0) {
        mf_launcher_stop(&launcher);
        return set_error(err, result, "create the launcher process");
    }
    *ret_launcher = launcher;
    return 0;
}

void mf_launcher_stop(struct mf_launcher *launcher)
{
    int status;

    if (launcher->pid == 0)
        return;
    mf_close(&launcher->fd);
    mf_lifeline_close(&launcher->lifeline_fd);
    if (launcher->pid > 0 && mf_keeper_reap(launcher->pid, &status) == 1)
        (void)mf_descendants_kill(KILL_LIMIT_NS);
    mf_tenants_destroy(launcher->tenants);
    *launcher = (struct mf_launcher){.fd = -1, .lifeline_fd = -1};
}
