/*
 * Signals of a rank: they come to its loop, and rank 0 stops the run by them. Runs in the rank's
 * only thread.
 */
#include "runtime/rank_private.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* What mpirun hands on stands for what it keeps to itself. */
static const struct {
    int number, meaning;
    bool is_of_mpirun;
} handled_signals[] = {
    {SIGINT, SIGINT, false}, {SIGTERM, SIGTERM, false}, {SIGHUP, SIGHUP, false},
    {SIGUSR1, SIGINT, true}, {SIGUSR2, SIGTERM, true},  {SIGALRM, SIGHUP, true},
};

#define N_HANDLED_SIGNALS (sizeof(handled_signals) / sizeof(handled_signals[0]))

/* A signal that whoever started us has switched off (nohup) stays so. */
static bool is_ignored(int number)
{
    struct sigaction action;

    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* Slurm gives the users' signals to all processes of a job: they are for its tasks alone. */
static bool is_users(int number)
{
    return number == SIGUSR1 || number == SIGUSR2;
}

int mf_rank_stand_in(int number)
{
    for (size_t i = 0; i < N_HANDLED_SIGNALS; i++)
        if (handled_signals[i].is_of_mpirun && handled_signals[i].meaning == number)
            return handled_signals[i].number;
    return number;
}

/* The signal that was meant, 0 for none. */
static int meaning_of(const struct mf_rank *rank, uint32_t number)
{
    if (is_users((int)number) && !rank->config->hears_mpirun)
        return 0;
    for (size_t i = 0; i < N_HANDLED_SIGNALS; i++)
        if (handled_signals[i].number == (int)number)
            return handled_signals[i].meaning;
    return (int)number;
}

static bool is_handled(const struct mf_rank *rank, size_t i)
{
    int number = handled_signals[i].number;

    if (is_ignored(number))
        return false;
    return !handled_signals[i].is_of_mpirun || rank->config->hears_mpirun ||
           (is_users(number) && rank->config->is_in_job);
}

static int block_signals(const struct mf_rank *rank, sigset_t *ret_set)
{
    sigemptyset(ret_set);
    for (size_t i = 0; i < N_HANDLED_SIGNALS; i++)
        if (is_handled(rank, i))
            sigaddset(ret_set, handled_signals[i].number);
    return sigprocmask(SIG_BLOCK, ret_set, NULL) < 0 ? -errno : 0;
}

/* A resource manager lets little time pass before it kills. */
static bool is_last_call(const struct mf_rank *rank, int number)
{
    return rank->n_signals > 1 || (number == SIGTERM && rank->config->is_in_job);
}

/* One that mpirun hands on goes to all ranks, and others are for whoever schedules. */
static bool is_for_all(uint32_t number)
{
    for (size_t i = 0; i < N_HANDLED_SIGNALS; i++)
        if (handled_signals[i].number == (int)number)
            return handled_signals[i].is_of_mpirun;
    return false;
}

static void stop_by(struct mf_rank *rank, int number)
{
    bool is_last = is_last_call(rank, number);
    char why[64];

    snprintf(why, sizeof(why), "signal %d (%s)", number, strsignal(number));
    if (rank->n_signals == 1)
        mf_log_info(rank->log, "stopped by %s: %s", why,
                    is_last ? "ending the running tasks"
                            : "running tasks may end, once more ends them");
    else if (rank->n_signals == 2)
        mf_log_info(rank->log, "stopped again: ending the running tasks");
    rank->is_ending = is_last;
    mf_scheduler_interrupt(rank->scheduler, is_last ? MF_STOP_NOW : MF_STOP_SOON, why);
}

/* For a rank that takes over. What the scheduler before has heard is known from that one. */
static void note_signal(struct mf_rank *rank, uint32_t given, int number)
{
    if (!is_for_all(given) && !mf_worker_rank_is_waiting(rank->worker))
        return;
    rank->n_signals++;
    rank->last_signal = number;
}

void mf_rank_take_up_signals(struct mf_rank *rank)
{
    int n_known = mf_scheduler_is_interrupted(rank->scheduler);

    if (rank->n_signals > n_known)
        stop_by(rank, rank->last_signal);
    else
        rank->n_signals = n_known;
}

static void on_signal(void *arg, uint32_t events)
{
    struct mf_rank *rank = arg;
    struct signalfd_siginfo info;
    int number;

    if (read(rank->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    number = meaning_of(rank, info.ssi_signo);
    if (info.ssi_signo == SIGTERM)
        mf_worker_rank_note_terminated(rank->worker, mf_clock_monotonic_ns());
    if (number == 0)
        return;
    if (!rank->scheduler) {
        note_signal(rank, info.ssi_signo, number);
        return;
    }
    /* All processes of a job may be told, and each may pass it on. */
    if (rank->is_ending && rank->config->is_in_job)
        return;
    rank->n_signals++;
    stop_by(rank, number);
}

int mf_rank_take_signals(struct mf_rank *rank)
{
    sigset_t set;
    int r = block_signals(rank, &set);

    if (r < 0)
        return r;
    rank->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return rank->signal_fd < 0 ? -errno : 0;
}

int mf_rank_watch_signals(struct mf_rank *rank)
{
    return mf_loop_add(rank->loop, rank->signal_fd, EPOLLIN, on_signal, rank, &rank->signal_watch);
}
