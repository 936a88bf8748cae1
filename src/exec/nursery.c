/*
 * The nursery: forks executor processes when the rank asks for them, and tells
 * when they have ended. See nursery.h for what is said.
 *
 * It does nothing else and allocates little, so that the executors begin as
 * close to the program's state at the fork as can be. It ends with its rank,
 * and everything below it ends with it: each executor is killed by the kernel
 * when the nursery disappears, and its process group when it ends; what an
 * executor has started in another group or session is left alone until the
 * nursery itself ends. One thread, which owns everything here.
 */
#include "exec/nursery.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/loop.h"
#include "exec/channel.h"
#include "exec/descendants.h"
#include "exec/executor_process.h"
#include "exec/helper.h"
#include "exec/process_tree.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long the last processes may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* More than any kernel can be built for. */
#define MAX_CPU 65535
#define MAX_SEATS 65536

/* The kernel says with this one that the rank's thread is gone. */
#define RANK_GONE SIGHUP

/* Their numbers are below this. */
#define N_SIGNALS _NSIG

/* Of a seat: its process, 0 when there is none, and the how many-th that is. */
struct child {
    pid_t pid;
    uint32_t life;
};

/**
 * @children    of n_children seats
 * @rank_pid    of the process this was forked from
 * @actions, @mask   what is done at signals there
 * @has_news, @has_ended, @is_alone   the socket, some process, the rank: found by the last wait
 */
struct nursery {
    struct mf_loop *loop;
    struct mf_channel channel;
    struct mf_watch *channel_watch;
    struct mf_watch *signal_watch;
    int signal_fd;
    struct mf_functions functions;
    uint32_t rank;
    struct child *children;
    uint32_t n_children;
    pid_t rank_pid;
    pid_t own_pid;
    struct sigaction actions[N_SIGNALS];
    sigset_t mask;
    bool has_news, has_ended, is_alone;
};

static void tell(struct nursery *nursery, uint8_t kind, uint32_t seat, uint32_t value)
{
    struct mf_buffer *body = mf_channel_begin(&nursery->channel, kind);

    mf_buffer_put_u32(body, seat);
    mf_buffer_put_u32(body, nursery->children[seat].life);
    mf_buffer_put_u32(body, value);
    mf_channel_end(&nursery->channel);
}

/* --- executors --- */

static void *get_pointer(struct mf_reader *reader)
{
    return (void *)(uintptr_t)mf_reader_get_u64(reader);
}

static int set_hooks(struct nursery *nursery, struct mf_reader *body)
{
    struct mf_functions *functions = &nursery->functions;
    void *init, *finish;

    nursery->rank = mf_reader_get_u32(body);
    init = get_pointer(body);
    finish = get_pointer(body);
    memcpy(&functions->init, &init, sizeof(init));
    memcpy(&functions->finish, &finish, sizeof(finish));
    functions->hook_user = get_pointer(body);
    functions->farm = get_pointer(body);
    return mf_reader_finish(body);
}

static int add_function(struct nursery *nursery, struct mf_reader *body)
{
    void *address = get_pointer(body);
    void *user = get_pointer(body);
    mpifarm_function call;
    char name[256];
    int result;

    memcpy(&call, &address, sizeof(call));
    mf_reader_get_text(body, name, sizeof(name));
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    result = mf_functions_add(&nursery->functions, name, call, user);
    return result < 0 ? result : 0;
}

#define CPU_BYTES CPU_ALLOC_SIZE(MAX_CPU + 1)

/* Reads n_cpus numbers; NULL for none, or without memory. */
static cpu_set_t *get_cpus(struct mf_reader *cpus, uint32_t n_cpus)
{
    cpu_set_t *set = n_cpus > 0 ? calloc(1, CPU_BYTES) : NULL;

    for (uint32_t i = 0; i < n_cpus && !cpus->has_failed; i++) {
        uint32_t cpu = mf_reader_get_u32(cpus);

        if (set && cpu <= MAX_CPU)
            CPU_SET_S(cpu, CPU_BYTES, set);
    }
    return set;
}

/* An executor that cannot be pinned runs unpinned. */
static void pin(struct mf_reader *cpus, uint32_t n_cpus)
{
    cpu_set_t *set = get_cpus(cpus, n_cpus);

    if (set)
        (void)sched_setaffinity(0, CPU_BYTES, set);
    free(set);
}

/* --- signals --- */

/* What the program has made of signals is its functions' to find. */
static void keep_signals(struct nursery *nursery)
{
    (void)sigprocmask(SIG_SETMASK, NULL, &nursery->mask);
    for (int i = 1; i < N_SIGNALS; i++)
        if (sigaction(i, NULL, &nursery->actions[i]) < 0)
            nursery->actions[i].sa_handler = SIG_DFL;
}

static void restore_signals(const struct nursery *nursery)
{
    for (int i = 1; i < N_SIGNALS; i++)
        if (nursery->actions[i].sa_handler != SIG_DFL)
            (void)sigaction(i, &nursery->actions[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &nursery->mask, NULL);
}

/* --- births and deaths --- */

/* The first steps of a new process. */
_Noreturn static void be_executor(struct nursery *nursery, struct mf_reader *cpus, uint32_t n_cpus,
                                  const int fds[2])
{
    struct mf_executor_process_config config = {
        .functions = &nursery->functions,
        .rank = nursery->rank,
        .memory_fd = fds[0],
        .bell_fd = fds[1],
    };

    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "mpifarm-exec");
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != nursery->own_pid)
        _exit(MF_EXECUTOR_PROCESS_E_SETUP);
    pin(cpus, n_cpus);
    mf_loop_destroy(nursery->loop);
    mf_channel_finish(&nursery->channel);
    mf_close(&nursery->signal_fd);
    restore_signals(nursery);
    mf_executor_process_main(&config);
}

static int make_room(struct nursery *nursery, uint32_t seat)
{
    struct child *children;

    if (seat >= MAX_SEATS)
        return -EBADMSG;
    if (seat < nursery->n_children)
        return 0;
    children = realloc(nursery->children, (seat + 1) * sizeof(*children));
    if (!children)
        return -ENOMEM;
    memset(children + nursery->n_children, 0, (seat + 1 - nursery->n_children) * sizeof(*children));
    nursery->children = children;
    nursery->n_children = seat + 1;
    return 0;
}

static void fork_executor(struct nursery *nursery, uint32_t seat, struct mf_reader *cpus,
                          uint32_t n_cpus, const int fds[2])
{
    pid_t pid = fork();

    if (pid == 0)
        be_executor(nursery, cpus, n_cpus, fds);
    if (pid < 0) {
        tell(nursery, MF_NURSERY_UNBORN, seat, (uint32_t)errno);
        return;
    }
    /* The process does so too: whoever comes first. */
    (void)setpgid(pid, pid);
    nursery->children[seat].pid = pid;
    tell(nursery, MF_NURSERY_FORKED, seat, (uint32_t)pid);
}

static int on_fork(struct nursery *nursery, struct mf_reader *body)
{
    uint32_t seat = mf_reader_get_u32(body);
    uint32_t life = mf_reader_get_u32(body);
    uint32_t n_cpus = mf_reader_get_u32(body);
    int fds[MF_CHANNEL_MAX_FDS] = {-1, -1};
    uint32_t n_fds = mf_channel_take_fds(&nursery->channel, fds);
    int result = body->has_failed || body->left != n_cpus * sizeof(uint32_t)
                     ? -EBADMSG
                     : make_room(nursery, seat);

    if (result == 0) {
        nursery->children[seat].life = life;
        if (n_fds == MF_CHANNEL_MAX_FDS)
            fork_executor(nursery, seat, body, n_cpus, fds);
        else
            tell(nursery, MF_NURSERY_UNBORN, seat, EMFILE);
    }
    for (uint32_t i = 0; i < n_fds; i++)
        mf_close(&fds[i]);
    return result;
}

/* Only the parent knows that the process is still the one that is meant. */
static int on_kill(struct nursery *nursery, struct mf_reader *body)
{
    uint32_t seat = mf_reader_get_u32(body);
    uint32_t life = mf_reader_get_u32(body);

    if (mf_reader_finish(body) < 0 || seat >= nursery->n_children)
        return -EBADMSG;
    if (nursery->children[seat].pid > 0 && nursery->children[seat].life == life)
        (void)kill(nursery->children[seat].pid, SIGKILL);
    return 0;
}

/* With all that it has started. */
static int on_pin(struct nursery *nursery, struct mf_reader *body)
{
    uint32_t seat = mf_reader_get_u32(body);
    uint32_t life = mf_reader_get_u32(body);
    cpu_set_t *from = get_cpus(body, mf_reader_get_u32(body));
    cpu_set_t *to = get_cpus(body, mf_reader_get_u32(body));
    int result = mf_reader_finish(body) < 0 || seat >= nursery->n_children ? -EBADMSG : 0;

    if (result == 0 && from && to && nursery->children[seat].pid > 0 &&
        nursery->children[seat].life == life)
        mf_process_tree_pin(nursery->children[seat].pid, from, to, CPU_BYTES);
    free(from);
    free(to);
    return result;
}

static struct child *find_child(struct nursery *nursery, pid_t pid)
{
    for (uint32_t i = 0; i < nursery->n_children; i++)
        if (nursery->children[i].pid == pid)
            return &nursery->children[i];
    return NULL;
}

/* What an executor has started goes with it; its number stays its own until it is reaped. */
static void reap(struct nursery *nursery)
{
    siginfo_t info = {0};

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        struct child *child = find_child(nursery, info.si_pid);
        int status = 0;

        if (child)
            (void)kill(-info.si_pid, SIGKILL);
        (void)waitpid(info.si_pid, &status, 0);
        if (child) {
            child->pid = 0;
            tell(nursery, MF_NURSERY_DIED, (uint32_t)(child - nursery->children), (uint32_t)status);
        }
        info.si_pid = 0;
    }
}

/* --- the process --- */

static int handle_frame(struct nursery *nursery, struct mf_frame *frame)
{
    switch (frame->kind) {
    case MF_NURSERY_HOOKS:
        return set_hooks(nursery, &frame->body);
    case MF_NURSERY_FUNCTION:
        return add_function(nursery, &frame->body);
    case MF_NURSERY_FORK:
        return on_fork(nursery, &frame->body);
    case MF_NURSERY_KILL:
        return on_kill(nursery, &frame->body);
    case MF_NURSERY_PIN:
        return on_pin(nursery, &frame->body);
    default:
        return -EBADMSG;
    }
}

static void on_channel(void *arg, uint32_t events)
{
    struct nursery *nursery = arg;

    nursery->has_news |= (events & ~(uint32_t)EPOLLOUT) != 0;
}

static void on_signal(void *arg, uint32_t events)
{
    struct nursery *nursery = arg;
    struct signalfd_siginfo info;

    nursery->has_ended = true;
    /* Anybody can send that signal: who the parent is now decides. */
    while (read(nursery->signal_fd, &info, sizeof(info)) > 0)
        if (info.ssi_signo == RANK_GONE && getppid() != nursery->rank_pid)
            nursery->is_alone = true;
}

static int receive(struct nursery *nursery)
{
    struct mf_frame frame;
    int result = mf_channel_receive(&nursery->channel);

    while (result >= 0 && (result = mf_channel_next(&nursery->channel, &frame)) == 1)
        result = handle_frame(nursery, &frame);
    return result;
}

/* Forks between waits, when the loop is not in use. Returns 0, or -errno when it is to end. */
static int turn(struct nursery *nursery)
{
    int result;

    nursery->has_news = nursery->has_ended = false;
    result = mf_loop_wait(nursery->loop, -1);
    if (result >= 0 && nursery->has_ended)
        reap(nursery);
    if (result >= 0 && nursery->has_news)
        result = receive(nursery);
    if (result >= 0)
        result = mf_channel_flush(&nursery->channel);
    if (result >= 0)
        result = mf_loop_modify(nursery->loop, nursery->channel_watch,
                                result == MF_CHANNEL_E_FULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return result >= 0 && nursery->is_alone ? -EPIPE : result;
}

static int set_up(struct nursery *nursery)
{
    sigset_t signals;
    int result = mf_helper_mute_signals();

    if (result < 0)
        return result;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, RANK_GONE);
    nursery->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (nursery->signal_fd < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ||
        prctl(PR_SET_PDEATHSIG, RANK_GONE) < 0)
        return -errno;
    if (getppid() != nursery->rank_pid)
        return -EPIPE;
    result = mf_loop_create(&nursery->loop);
    if (result == 0)
        result = mf_loop_add(nursery->loop, nursery->channel.fd, EPOLLIN, on_channel, nursery,
                             &nursery->channel_watch);
    if (result == 0)
        result = mf_loop_add(nursery->loop, nursery->signal_fd, EPOLLIN, on_signal, nursery,
                             &nursery->signal_watch);
    return result;
}

_Noreturn void mf_nursery_main(int fd, pid_t rank_pid)
{
    struct nursery nursery = {.signal_fd = -1, .rank_pid = rank_pid, .own_pid = getpid()};
    int result;

    /* Keys pressed at a terminal are for the rank. */
    keep_signals(&nursery);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_NAME, "mpifarm-nursery");
    result = mf_helper_keep_only(&fd, 1, true);
    if (result == 0) {
        mf_channel_init(&nursery.channel, fd);
        result = set_up(&nursery);
    }
    if (result < 0) {
        /* The rank hears of the end, but not why. */
        fprintf(stderr, "mpifarm: the process that forks executors cannot be set up: %s\n",
                strerror(-result));
        _exit(EXIT_FAILURE);
    }
    while (result >= 0)
        result = turn(&nursery);
    if (mf_descendants_kill(KILL_LIMIT_NS) < 0)
        result = -ETIMEDOUT;
    /* The rank has gone, on purpose or not: that is how it ends. */
    _exit(result == -EPIPE || result == -ECONNRESET ? EXIT_SUCCESS : EXIT_FAILURE);
}
