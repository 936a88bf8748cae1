/*
 * Starting srun or mpirun: signals, streams and the fork. See supervise_private.h. Runs in the
 * supervisor's only thread.
 */
#include "cli/supervise_private.h"

#include "base/io.h"
#include "cli/streams.h"
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* What srun says of a rank that cannot start; the others wait for it. */
#define FAILED_RANK ": Exited with exit code"

/* What Open MPI 4 says to whoever reads, once for each rank that leaves after a death, and of each
 * signal; and srun where it could not bind anybody, which was not wanted. */
static const char *const noise[] = {"PMIX ERROR: BAD-PARAM in file", "mpirun: Forwarding signal ",
                                    "cluster configuration lacks support for cpu binding", NULL};

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

/* A new process ends with the supervisor, also with one that has died before it could ask for
 * that. */
static void end_with(pid_t supervisor, int signal)
{
    prctl(PR_SET_PDEATHSIG, signal);
    if (getppid() != supervisor)
        _exit(EXIT_FAILURE);
}

/* Never returns. In the background it waits: to be stopped with all of its group, as the terminal
 * would have it, would hold up the run for input that it may not even read. */
static void copy_input(int to)
{
    const struct timespec pause = {.tv_nsec = MF_SUPERVISE_LOOK_NS};
    char bytes[4096];
    ssize_t n;

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
    pid_t pid, own_pid = getpid();

    if (!isatty(STDIN_FILENO))
        return 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    pid = fork();
    if (pid == 0) {
        end_with(own_pid, SIGKILL);
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
_Noreturn static void exec_starter(const struct mf_supervisor *supervisor)
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

/*
 * Slurm ends a job by SIGTERM to all of its processes, upon which mpirun would read nothing more of
 * its ranks, and kill them a second later, in the middle of their orderly end: it does not get that
 * signal there. It ends behind the ranks.
 */
static bool is_deaf(const struct mf_supervisor *supervisor)
{
    const struct mf_launching *launching = supervisor->config->launching;

    return launching->way == MF_LAUNCH_MPIRUN && launching->allocation.job;
}

int mf_supervise_prepare(struct mf_supervisor *supervisor)
{
    int r = take_signals(&supervisor->before);

    if (r < 0)
        return r;
    supervisor->signal_fd = r;
    supervisor->end_signal = is_deaf(supervisor) ? SIGINT : SIGTERM;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    /* Before there are pipes of which it would keep ends. */
    r = supervisor->config->reads_input ? copy_terminal() : 0;
    if (r == 0)
        mf_terminal_tell();
    return r;
}

/* What the starter has of signals: as this process had it, and what it is not to get blocked, which
 * those that it starts do not inherit. */
static void set_signals(const struct mf_supervisor *supervisor)
{
    sigset_t set = supervisor->before;

    if (is_deaf(supervisor))
        sigaddset(&set, SIGTERM);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

/* Both, or none. */
static int open_pipes(int out[2], int err[2])
{
    int error;

    if (pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    if (pipe2(err, O_CLOEXEC) == 0)
        return 0;
    error = -errno;
    mf_close(&out[0]);
    mf_close(&out[1]);
    return error;
}

int mf_supervise_start(struct mf_supervisor *supervisor)
{
    int out[2], err[2], error, r = open_pipes(out, err);
    pid_t pid, own_pid = getpid();

    if (r < 0)
        return r;
    supervisor->streams_fd = mf_streams_offer(supervisor->ending);
    pid = fork();
    error = -errno;
    if (pid == 0) {
        setpgid(0, 0);
        end_with(own_pid, supervisor->end_signal);
        set_signals(supervisor);
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        exec_starter(supervisor);
    }
    mf_close(&out[1]);
    mf_close(&err[1]);
    if (pid < 0) {
        mf_close(&out[0]);
        mf_close(&err[0]);
        mf_close(&supervisor->streams_fd);
        return error;
    }
    supervisor->starter = pid;
    supervisor->out = (struct mf_relay){.from = out[0], .to = STDOUT_FILENO};
    supervisor->err = (struct mf_relay){
        .from = err[0], .to = STDERR_FILENO, .unwanted = noise, .telling = FAILED_RANK};
    supervisor->quiet_ns = mf_clock_monotonic_ns();
    return 0;
}
