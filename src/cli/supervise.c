/*
 * Supervising srun or mpirun, the starter: see supervise.h. Two threads would be one too many: a
 * loop over poll() hands on output and signals, and looks whether the run has
 * ended. The starter is in a process group of its own, so that the keys of a
 * terminal mean what they mean without it.
 */
#include "cli/supervise.h"

#include "base/clock.h"
#include "base/io.h"
#include "cli/ending.h"
#include "cli/relay.h"
#include "cli/terminal.h"
#include "exec/descendants.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A starter may hang once ranks have died; but it ends soon after its ranks, and what it has of
 * their output comes before. */
#define LEAVE_NS (5 * MF_NS_PER_S)

/* It waits for ranks that are known to be lost until Slurm knows it too, if not for ever. */
#define LEAVE_LOST_NS (1 * MF_NS_PER_S)

/* A scheduler that has died may be followed by another one, for which workers wait two minutes. */
#define TAKEOVER_NS (150 * MF_NS_PER_S)

/* Between looks at whether there is something to do. */
#define LOOK_NS (200 * MF_NS_PER_MS)

/* Between looks at the record of the end, which may be on a file system that many share; and it is
 * not looked at while there is output. */
#define RECORD_NS (1 * MF_NS_PER_S)

/* Processes of the starter that have to be killed. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* What srun says of a rank that cannot start; the others wait for it. */
#define FAILED_RANK ": Exited with exit code"

/* What Open MPI 4 says to whoever reads, once for each rank that leaves after a death; and srun
 * where it could not bind anybody, which was not wanted. */
static const char *const noise[] = {"PMIX ERROR: BAD-PARAM in file",
                                    "cluster configuration lacks support for cpu binding", NULL};

/**
 * @name       of what was started, srun or mpirun
 * @n_signals  that were passed on
 * @quiet_ns   since when nothing has come of it
 * @looked_ns  when the record was last looked at
 * @over_ns    since when the run is known to be over, 0 if it is not
 * @asked_ns   when the starter was asked to end, 0 if it was not
 * @has_ended  it has, and was reaped
 */
struct supervisor {
    struct mf_context *context;
    const struct mf_supervision *config;
    const char *name;
    char ending[PATH_MAX];
    pid_t starter;
    int signal_fd;
    int n_signals;
    struct mf_relay out, err;
    int64_t quiet_ns, looked_ns, over_ns, asked_ns;
    bool has_ended;
};

bool mf_supervise_is_by_mpirun(void)
{
    return getenv("OMPI_COMM_WORLD_SIZE") != NULL;
}

int mf_supervise_is_advised(void)
{
    const char *recovery = getenv("OMPI_MCA_orte_enable_recovery");

    return mf_supervise_is_by_mpirun() && (!recovery || strcmp(recovery, "0") == 0);
}

/* --- starting --- */

static const int passed_signals[] = {SIGINT, SIGTERM, SIGHUP};

/* Returns a signalfd or -errno. A signal that is ignored (nohup) stays so. */
static int take_signals(sigset_t *ret_before)
{
    struct sigaction action;
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < sizeof(passed_signals) / sizeof(passed_signals[0]); i++)
        if (sigaction(passed_signals[i], NULL, &action) < 0 || action.sa_handler != SIG_IGN)
            sigaddset(&set, passed_signals[i]);
    if (sigprocmask(SIG_BLOCK, &set, ret_before) < 0)
        return -errno;
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

/* Never returns. In the background it waits: to be stopped with all of its group, as the terminal
 * would have it, would hold up the run for input that it may not even read. */
static void copy_input(int to)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    char bytes[4096];
    ssize_t n;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGTTIN, SIG_IGN);
    for (;;) {
        n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n < 0 && errno == EIO && tcgetpgrp(STDIN_FILENO) > 0)
            nanosleep(&pause, NULL);
        else if (n <= 0 || mf_write_all(to, bytes, (size_t)n) < 0)
            _exit(EXIT_SUCCESS);
    }
}

/* What is started cannot read from a terminal that another group of processes has. */
static int copy_terminal(void)
{
    int fds[2];
    pid_t pid;

    if (!isatty(STDIN_FILENO))
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        close(fds[0]);
        copy_input(fds[1]);
    }
    if (pid < 0 || dup2(fds[0], STDIN_FILENO) < 0)
        return -errno;
    close(fds[0]);
    close(fds[1]);
    return 0;
}

/* Never returns. What reads nothing leaves what there is to read to others, such as the loop of a
 * shell that this is called in. */
_Noreturn static void exec_starter(const struct supervisor *supervisor)
{
    const struct mf_supervision *config = supervisor->config;
    int r = 0, null_fd = config->reads_input ? -1 : open("/dev/null", O_RDONLY);

    if (null_fd >= 0)
        dup2(null_fd, STDIN_FILENO);
    setenv(MF_ENDING_VARIABLE, supervisor->ending, 1);
    r = mf_launching_exec(config->launching, supervisor->context, config->is_prompt);
    fprintf(stderr, "mpifarm: %s cannot be started: %s\n", supervisor->name, strerror(-r));
    _exit(127);
}

static int start(struct supervisor *supervisor)
{
    sigset_t before;
    int out[2], err[2], r = take_signals(&before);

    if (r < 0)
        return r;
    supervisor->signal_fd = r;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    /* Before there are pipes of which it would keep ends. */
    r = supervisor->config->reads_input ? copy_terminal() : 0;
    if (r < 0)
        return r;
    if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0)
        return -errno;
    mf_terminal_tell();
    supervisor->starter = fork();
    if (supervisor->starter < 0)
        return -errno;
    if (supervisor->starter == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        sigprocmask(SIG_SETMASK, &before, NULL);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        exec_starter(supervisor);
    }
    close(out[1]);
    close(err[1]);
    supervisor->out = (struct mf_relay){.from = out[0], .to = STDOUT_FILENO};
    supervisor->err = (struct mf_relay){
        .from = err[0], .to = STDERR_FILENO, .unwanted = noise, .telling = FAILED_RANK};
    return 0;
}

/* --- while it runs --- */

/* What mpirun hands on to the ranks in place of a signal that it takes for itself: as rank.c has
 * it. */
static int stand_in(uint32_t number)
{
    switch (number) {
    case SIGINT:
        return SIGUSR1;
    case SIGHUP:
        return SIGALRM;
    default:
        return SIGUSR2;
    }
}

/*
 * srun would end the step with most signals, and give the others to all processes of the step,
 * tasks included. So the scheduler is told by itself: by a step of its own if it is on another
 * node.
 */
static void tell_scheduler(const struct supervisor *supervisor, const struct mf_ending *ending,
                           uint32_t number)
{
    char signal_word[16], pid_word[16], node_word[300];
    const char *const words[] = {"srun",       "--overlap",    "--mpi=none", "--nodes=1",
                                 "--ntasks=1", "--input=none", "--quiet",    node_word,
                                 "kill",       signal_word,    pid_word,     NULL};
    sigset_t none;
    int fd, r = mf_life_open(&ending->scheduler, &fd);

    if (r == 1) {
        (void)pidfd_send_signal(fd, (int)number, NULL, 0);
        mf_close(&fd);
    }
    if (r != 0 || fork() != 0)
        return;
    snprintf(signal_word, sizeof(signal_word), "-%" PRIu32, number);
    snprintf(pid_word, sizeof(pid_word), "%" PRId32, ending->scheduler.pid);
    snprintf(node_word, sizeof(node_word), "--nodelist=%s", ending->host);
    setpgid(0, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    mf_launching_clean_environment();
    execvp(words[0], (char *const *)words);
    _exit(127);
}

/*
 * Before the run has begun there may be no rank that could be told, so that what starts them is
 * ended. The first signal lets tasks end, the second ends them, and more mean that this takes too
 * long.
 */
static void pass_on(struct supervisor *supervisor, uint32_t number)
{
    struct mf_ending ending = mf_ending_read(supervisor->ending);

    supervisor->n_signals++;
    if (ending.state == MF_ENDING_NONE)
        kill(supervisor->starter, supervisor->n_signals == 1 ? SIGTERM : SIGKILL);
    else if (supervisor->n_signals > 3)
        kill(supervisor->starter, SIGKILL);
    else if (supervisor->n_signals == 3)
        kill(supervisor->starter, SIGTERM);
    else if (supervisor->config->launching->way == MF_LAUNCH_SRUN)
        tell_scheduler(supervisor, &ending, number);
    else
        kill(supervisor->starter, stand_in(number));
}

static void take_signal(struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    if (read(supervisor->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    if (info.ssi_signo != SIGCHLD) {
        pass_on(supervisor, info.ssi_signo);
        return;
    }
    supervisor->has_ended = waitpid(supervisor->starter, NULL, WNOHANG) != 0;
}

static void wait_for_more(struct supervisor *supervisor)
{
    struct pollfd items[] = {{.fd = supervisor->signal_fd, .events = POLLIN},
                             mf_relay_wish(&supervisor->out),
                             mf_relay_wish(&supervisor->err)};
    bool has_moved;

    if (poll(items, 3, (int)(LOOK_NS / MF_NS_PER_MS)) < 0)
        return;
    if (items[0].revents)
        take_signal(supervisor);
    has_moved = mf_relay_turn(&supervisor->out, &items[1]);
    has_moved |= mf_relay_turn(&supervisor->err, &items[2]);
    /* A reader that is slow holds up the starter, which does not hang then. */
    if (has_moved || supervisor->out.n > 0 || supervisor->err.n > 0)
        supervisor->quiet_ns = mf_clock_monotonic_ns();
}

/* For how long the starter may stay behind a run that is over; -1 for one that is not. */
static int64_t patience_ns(const struct supervisor *supervisor)
{
    struct mf_ending ending = mf_ending_read(supervisor->ending);

    if (ending.state == MF_ENDING_ENDED)
        return ending.has_losses ? LEAVE_LOST_NS : LEAVE_NS;
    if (ending.state == MF_ENDING_NONE && supervisor->err.was_told)
        return LEAVE_LOST_NS;
    if (ending.state == MF_ENDING_BEGUN && mf_life_has_ended(&ending.scheduler))
        return supervisor->config->has_standby ? TAKEOVER_NS : LEAVE_NS;
    return -1;
}

/* The run is over, and the starter has had its time: it is asked to end, and then made to. */
static void press(struct supervisor *supervisor, int64_t now_ns)
{
    int64_t allowed_ns;

    if (now_ns < supervisor->looked_ns + RECORD_NS || now_ns < supervisor->quiet_ns + RECORD_NS)
        return;
    supervisor->looked_ns = now_ns;
    allowed_ns = patience_ns(supervisor);
    if (allowed_ns < 0)
        supervisor->over_ns = 0;
    else if (supervisor->over_ns == 0)
        supervisor->over_ns = now_ns;
    if (supervisor->over_ns == 0 || now_ns < supervisor->over_ns + allowed_ns ||
        now_ns < supervisor->quiet_ns + allowed_ns)
        return;
    if (supervisor->asked_ns == 0) {
        supervisor->asked_ns = now_ns;
        kill(supervisor->starter, SIGTERM);
    } else if (now_ns >= supervisor->asked_ns + LEAVE_NS) {
        kill(supervisor->starter, SIGKILL);
    }
}

/* Whether the user does not want to wait any longer. */
static bool is_told_to_leave(const struct supervisor *supervisor)
{
    struct signalfd_siginfo info;

    while (read(supervisor->signal_fd, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo != SIGCHLD)
            return true;
    return false;
}

/*
 * What the starter has left behind, and the last of the output, for which a reader may take its
 * time. A process that cannot be killed would keep the pipes open for ever.
 */
static void clear_away(struct supervisor *supervisor)
{
    bool is_clear = mf_descendants_kill(KILL_LIMIT_NS) == 0;
    struct mf_relay *out = &supervisor->out, *err = &supervisor->err;
    int n;

    while (!mf_relay_is_over(out) || !mf_relay_is_over(err)) {
        struct pollfd items[] = {mf_relay_wish(out),
                                 mf_relay_wish(err),
                                 {.fd = supervisor->signal_fd, .events = POLLIN}};

        n = poll(items, 3, is_clear ? -1 : (int)(LEAVE_NS / MF_NS_PER_MS));
        if (n < 0 && errno != EINTR)
            return;
        if (n == 0 && out->n == 0 && err->n == 0)
            return;
        if (n <= 0)
            continue;
        if (items[2].revents && is_told_to_leave(supervisor))
            return;
        (void)mf_relay_turn(out, &items[0]);
        (void)mf_relay_turn(err, &items[1]);
    }
}

static int judge(const struct supervisor *supervisor)
{
    struct mf_ending ending = mf_ending_read(supervisor->ending);

    switch (ending.state) {
    case MF_ENDING_ENDED:
        return ending.status;
    case MF_ENDING_BEGUN:
        mf_log_error(&supervisor->context->log,
                     "the scheduler ended in the middle of the run; --resume continues");
        return MPIFARM_EXIT_STOPPED;
    case MF_ENDING_NONE:
        break;
    }
    mf_log_error(&supervisor->context->log, "%s ended before the run began%s", supervisor->name,
                 supervisor->err.was_told ? ": a rank could not start there; all nodes must have "
                                            "this program, and what it needs, where this one has it"
                                          : "");
    return MPIFARM_EXIT_USAGE;
}

static bool may_be_refused(struct mf_context *context)
{
    if (geteuid() != 0 ||
        (getenv("OMPI_ALLOW_RUN_AS_ROOT") && getenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")))
        return false;
    mf_log_error(&context->log, "mpirun does not run for root unless OMPI_ALLOW_RUN_AS_ROOT=1 and "
                                "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 are set");
    return true;
}

int mf_supervise(struct mf_context *context, const struct mf_supervision *config)
{
    struct supervisor supervisor = {.context = context,
                                    .config = config,
                                    .name = mf_launch_way_name(config->launching->way),
                                    .signal_fd = -1};
    int r, status;

    if (config->launching->way == MF_LAUNCH_MPIRUN && may_be_refused(context))
        return MPIFARM_EXIT_USAGE;
    r = mf_ending_create(config->run_dir, supervisor.ending);
    if (r == 0)
        r = start(&supervisor);
    if (r < 0) {
        mf_log_error(&context->log, "%s: cannot run %s from there: %s", config->run_dir,
                     supervisor.name, strerror(-r));
        (void)unlink(supervisor.ending);
        return MPIFARM_EXIT_USAGE;
    }
    supervisor.quiet_ns = mf_clock_monotonic_ns();
    while (!supervisor.has_ended) {
        wait_for_more(&supervisor);
        if (!supervisor.has_ended)
            press(&supervisor, mf_clock_monotonic_ns());
    }
    clear_away(&supervisor);
    status = judge(&supervisor);
    (void)unlink(supervisor.ending);
    mf_close(&supervisor.signal_fd);
    return status;
}
