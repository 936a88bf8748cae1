/*
 * Driving a rank. Without MPI everything that can happen is a file descriptor
 * or a time, and the loop sleeps until one of them; with MPI it has to look
 * for messages, with naps in between that any descriptor cuts short.
 */
#include "runtime/rank.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/io.h"
#include "exec/function_executor.h"
#include "exec/mixed_executor.h"
#include "runtime/giver.h"
#include "runtime/node.h"
#include "wire/message.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/*
 * What the turnaround of a slot is made of beyond the scheduler's own turn:
 * reports that gather in the launcher, and with MPI a nap at either end.
 */
#define LOCAL_TURNAROUND_NS (20 * MF_NS_PER_MS)
#define MPI_TURNAROUND_NS (22 * MF_NS_PER_MS)

/* A rank that found the run taken looks again after this. */
#define TRY_AGAIN_NS (250 * MF_NS_PER_MS)

/* How long a rank waits for the others when it has nothing more to do. */
#define GOODBYE_S 30

/* --- signals --- */

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

/* The first of them may have been known to the scheduler before. */
static void take_up_signals(struct mf_rank *rank)
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

/* Before modules and MPI_Init, whose threads would else take the signals and die of them. */
static int take_signals(struct mf_rank *rank)
{
    sigset_t set;
    int r = block_signals(rank, &set);

    if (r < 0)
        return r;
    rank->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return rank->signal_fd < 0 ? -errno : 0;
}

static int watch_signals(struct mf_rank *rank)
{
    return mf_loop_add(rank->loop, rank->signal_fd, EPOLLIN, on_signal, rank, &rank->signal_watch);
}

/* --- starting --- */

static int create_functions(struct mf_rank *rank, struct mf_executor *mixed,
                            struct mf_executor **ret_executor)
{
    struct mf_function_executor_config config = {
        .modules = rank->modules,
        .nursery = rank->config->is_inline ? NULL : &rank->nursery,
        .loop = rank->loop,
        .output_limit_bytes = rank->config->launcher.output_limit_bytes,
        .spill_dir = rank->config->launcher.spill_dir,
        .fn = mf_mixed_executor_heard,
        .arg = mixed,
    };

    return mf_function_executor_create(&config, ret_executor);
}

/* For commands and functions. Takes launcher and nursery. */
static int create_mixed(struct mf_rank *rank, struct mf_executor **ret_executor)
{
    struct mf_executor *mixed, *commands, *functions = NULL;
    int r = mf_mixed_executor_create(mf_worker_rank_heard, rank->worker, &mixed);

    if (r < 0)
        return r;
    r = mf_process_executor_create(&rank->launcher, rank->loop, mf_mixed_executor_heard, mixed,
                                   &commands);
    if (r == 0) {
        r = create_functions(rank, mixed, &functions);
        mf_mixed_executor_set_parts(mixed, commands, functions);
    }
    if (r < 0) {
        mixed->ops->destroy(mixed);
        return r;
    }
    *ret_executor = mixed;
    return 0;
}

static int start_worker(struct mf_rank *rank)
{
    struct mf_worker_rank_config config = {
        .transport = rank->is_root ? rank->local_worker : rank->remote,
        .scheduler = 0,
        .loop = rank->is_root ? NULL : rank->loop,
        .scheduler_may_be_silent = rank->config->is_inline,
        .life = &rank->life,
        .scratch = rank->scratch,
        .cores = rank->has.cores,
        .n_cores = rank->has.n_cores,
        .resources = &rank->has.resources,
        .never_pins = rank->has.is_unconfined,
        .shares_signals = rank->config->is_in_job,
    };
    struct mf_executor *executor;
    int r = mf_worker_rank_create(&config, &rank->worker);

    if (r < 0)
        return r;
    if (rank->modules)
        r = create_mixed(rank, &executor);
    else
        r = mf_process_executor_create(&rank->launcher, rank->loop, mf_worker_rank_heard,
                                       rank->worker, &executor);
    if (r < 0)
        return r;
    mf_worker_rank_set_executor(rank->worker, executor);
    return 0;
}

/* The same to all other ranks. Returns 0 or the first error. */
static int tell_workers(struct mf_rank *rank, const struct mf_message *message)
{
    struct mf_buffer frame = {0};
    int result = 0;

    for (uint32_t to = 1; to < rank->remote->size; to++) {
        int r;

        mf_message_encode(message, &frame);
        r = mf_transport_send(rank->remote, to, &frame);
        if (r < 0 && result == 0)
            result = r;
        mf_buffer_clear(&frame);
    }
    mf_buffer_finish(&frame);
    return result;
}

/* Long before there is a scheduler they are to know whether there can still be one. */
static int say_who_schedules(struct mf_rank *rank)
{
    struct mf_message pulse = {.kind = MF_MESSAGE_PULSE};

    pulse.life = rank->life;
    return tell_workers(rank, &pulse);
}

static int start_parts(struct mf_rank *rank)
{
    int r = mf_loop_create(&rank->loop);

    if (r < 0)
        return r;
    /* Workers leave signals to rank 0, which ends the run in order. */
    r = watch_signals(rank);
    if (r == 0 && rank->is_root)
        r = mf_transport_local_pair(&rank->local, &rank->local_worker);
    if (r == 0 && rank->is_root && rank->remote)
        r = say_who_schedules(rank);
    return r < 0 ? r : start_worker(rank);
}

/* Code of modules runs here, and may grow this process or start threads. */
static int load_modules(struct mf_rank *rank, struct mf_error *err)
{
    const struct mf_rank_config *config = rank->config;
    int r;

    if (config->n_modules == 0)
        return 0;
    r = mf_modules_load(config->modules, config->n_modules, !config->is_inline, &rank->modules,
                        err);
    if (r < 0 || config->is_inline)
        return r;
    return mf_nursery_fork(&rank->nursery, err);
}

static int start_mpi(struct mf_rank *rank, struct mf_error *err)
{
    int r = mf_transport_mpi_create(NULL, NULL, MF_MPI_SPAWNS, &rank->remote, err);

    if (r < 0)
        return r;
    rank->is_root = rank->remote->rank == 0;
    return mf_launch_verify(rank->config->launch, rank->remote->size, err);
}

/* What this rank may use of its node. */
static int look_around(struct mf_rank *rank, struct mf_error *err)
{
    int r = mf_node_look(NULL, rank->config->n_gpus, &rank->has, err);

    if (r == 0 && rank->config->mem_bytes > 0)
        rank->has.resources.mem_bytes = rank->config->mem_bytes;
    return r;
}

/*
 * The launcher, with a keeper that answers for this rank where others cannot see it. Without a
 * network there is nobody to answer to.
 */
static int fork_launcher(struct mf_rank *rank, struct mf_error *err)
{
    struct mf_launcher_config launcher = rank->config->launcher;
    int r, door_fd = -1;

    mf_life_own(&rank->life);
    if (rank->config->launch->n_copies > 1)
        door_fd = mf_door_open(&rank->life.door);
    if (door_fd >= 0) {
        launcher.door = &rank->life.door;
        launcher.door_fd = door_fd;
    }
    launcher.scratch = rank->scratch;
    r = mf_launcher_fork(&launcher, &rank->launcher, err);
    if (door_fd >= 0)
        mf_close(&door_fd);
    return r;
}

int mf_rank_start(struct mf_rank *rank, const struct mf_rank_config *config, struct mf_error *err)
{
    int r;

    rank->config = config;
    rank->log = config->log;
    rank->signal_fd = -1;
    rank->launcher.fd = -1;
    rank->nursery.fd = -1;
    rank->is_root = config->launch->rank == 0;
    mf_scratch_name(rank->scratch);
    /* Before anything that makes threads or grows this process. */
    r = fork_launcher(rank, err);
    if (r == 0 && config->gives_back && rank->is_root) {
        r = mf_giver_fork(&rank->giver);
        if (r < 0)
            mf_error_set(err, r, "cannot start a process for scontrol: %s", strerror(-r));
    }
    if (r < 0)
        return r;
    /* After the fork: commands get the limit that was there before. */
    mf_raise_open_files();
    r = take_signals(rank);
    if (r < 0)
        return mf_error_set(err, r, "cannot take over signals: %s", strerror(-r));
    r = load_modules(rank, err);
    if (r < 0)
        return r;
    r = config->launch->is_mpi ? start_mpi(rank, err) : 0;
    if (r < 0)
        return r;
    r = look_around(rank, err);
    if (r < 0)
        return r;
    r = start_parts(rank);
    return r < 0 ? mf_error_set(err, r, "cannot start rank %" PRIu32 ": %s", config->launch->rank,
                                strerror(-r))
                 : 0;
}

/* --- the loop --- */

/*
 * Sleeps until the next thing that can be foreseen, or something happens.
 * Messages of MPI cannot wake anybody, so with MPI no sleep is longer than a nap.
 */
static int wait_for_more(struct mf_rank *rank, struct mf_backoff *backoff, bool had_traffic,
                         int64_t next_ns)
{
    int64_t now_ns = mf_clock_monotonic_ns();
    int64_t timeout_ns = next_ns == INT64_MAX ? -1 : next_ns - now_ns;

    if (had_traffic || (timeout_ns < 0 && next_ns != INT64_MAX))
        timeout_ns = 0;
    if (rank->remote) {
        int64_t nap_ns = mf_backoff_next(backoff, had_traffic, now_ns);

        timeout_ns = timeout_ns < 0 ? nap_ns : mf_earliest_ns(timeout_ns, nap_ns);
        rank->remote->n_looks = timeout_ns > 0 ? MF_LOOKS_AFTER_PAUSE : 0;
    }
    return mf_loop_wait(rank->loop, timeout_ns);
}

/* Whether this rank is to try to take over now. */
static bool is_due_to_succeed(const struct mf_rank *rank)
{
    int64_t now_ns = mf_clock_monotonic_ns();

    return !rank->cannot_succeed && now_ns >= rank->next_try_ns &&
           mf_worker_rank_may_succeed(rank->worker, rank->remote->rank, now_ns);
}

/* Nobody can take over who could reach a rank that the scheduler has started. */
static int say_that_it_leaves(const struct mf_rank *rank, struct mf_error *err)
{
    return mf_error_set(err, -EOWNERDEAD, "rank %" PRIu32 " has ended its tasks: the scheduler%s",
                        rank->remote->rank,
                        rank->remote->is_spawned ? " that started it is gone"
                                                 : " is gone; --resume goes on");
}

int mf_rank_work(struct mf_rank *rank, struct mf_error *err)
{
    struct mf_backoff backoff = {0};
    int n_events = 0;

    for (;;) {
        int r = mf_worker_rank_turn(rank->worker, mf_clock_monotonic_ns());

        rank->remote->has_losses = r < 0 || mf_worker_rank_has_losses(rank->worker);
        if (r < 0)
            return mf_error_set(err, r, "rank %" PRIu32 " lost touch with the scheduler: %s",
                                rank->remote->rank, strerror(-r));
        if (mf_worker_rank_is_orphan(rank->worker))
            return say_that_it_leaves(rank, err);
        if (mf_worker_rank_is_finished(rank->worker))
            return 0;
        if (is_due_to_succeed(rank))
            return MF_RANK_SUCCEEDS;
        n_events = wait_for_more(rank, &backoff, r > 0 || n_events > 0,
                                 mf_worker_rank_next_ns(rank->worker));
        if (n_events < 0)
            return mf_error_set(err, n_events, "waiting for events failed: %s",
                                strerror(-n_events));
    }
}

/* A turn of the worker in this process; 1 with traffic, 0 without, or -errno. */
static int turn_worker(struct mf_rank *rank)
{
    if (mf_worker_rank_is_finished(rank->worker))
        return 0;
    return mf_worker_rank_turn(rank->worker, mf_clock_monotonic_ns());
}

/*
 * What the executor reported goes to the scheduler, and what that decides to
 * the executor, without a look at the loop in between.
 */
static int turn(struct mf_rank *rank)
{
    int reported = turn_worker(rank);
    int decided, started;

    if (reported < 0)
        return reported;
    decided = mf_scheduler_turn(rank->scheduler, mf_clock_monotonic_ns());
    started = decided ? turn_worker(rank) : 0;
    return started < 0 ? started : reported | decided;
}

/* Whether the ends in this process have something for each other. */
static bool has_undelivered(const struct mf_rank *rank)
{
    return mf_transport_unsent(rank->local, 0) > 0 ||
           mf_transport_unsent(rank->local_worker, 0) > 0;
}

static int drive(struct mf_rank *rank, struct mf_error *err)
{
    struct mf_backoff backoff = {0};
    int n_events = 0;

    for (;;) {
        int r = turn(rank);
        bool has_more;

        if (r < 0)
            return mf_error_set(err, r, "the worker beside the scheduler failed: %s", strerror(-r));
        if (mf_scheduler_is_finished(rank->scheduler))
            return 0;
        has_more = has_undelivered(rank) || (rank->remote && (r > 0 || n_events > 0));
        n_events = wait_for_more(rank, &backoff, has_more,
                                 mf_earliest_ns(mf_scheduler_next_ns(rank->scheduler),
                                                mf_worker_rank_next_ns(rank->worker)));
        if (n_events < 0)
            return mf_error_set(err, n_events, "waiting for events failed: %s",
                                strerror(-n_events));
    }
}

void mf_rank_try_later(struct mf_rank *rank)
{
    rank->next_try_ns = mf_clock_monotonic_ns() + TRY_AGAIN_NS;
}

bool mf_rank_pass(struct mf_rank *rank)
{
    return mf_worker_rank_pass(rank->worker) == 1;
}

/* The worker goes on in this process, under a scheduler that is here now. */
static int take_over(struct mf_rank *rank, struct mf_scheduler_config *config, struct mf_error *err)
{
    int r = mf_transport_local_pair(&rank->local, &rank->local_worker);

    if (r < 0)
        return mf_error_set(err, r, "cannot take over: %s", strerror(-r));
    config->local = rank->local;
    r = mf_scheduler_create(config, &rank->scheduler, err);
    if (r == 0) {
        mf_worker_rank_turn_to(rank->worker, rank->local_worker, 0);
        rank->is_root = true;
        return 0;
    }
    mf_rank_try_later(rank);
    rank->cannot_succeed = r != -EBUSY;
    mf_transport_destroy(rank->local);
    mf_transport_destroy(rank->local_worker);
    rank->local = rank->local_worker = NULL;
    return r;
}

int mf_rank_schedule(struct mf_rank *rank, struct mf_scheduler_config *config, FILE *summary,
                     enum mf_run_result *ret_result, struct mf_error *err)
{
    int r;

    config->log = rank->log;
    config->loop = rank->loop;
    config->local = rank->local;
    config->remote = rank->remote && rank->remote->size > 1 ? rank->remote : NULL;
    config->life = &rank->life;
    config->giver = rank->giver;
    config->workers_may_be_silent = rank->config->is_inline;
    config->farm.turnaround_ns = config->remote ? MPI_TURNAROUND_NS : LOCAL_TURNAROUND_NS;
    config->has_standby = config->has_standby && config->remote;
    r = config->is_takeover ? take_over(rank, config, err)
                            : mf_scheduler_create(config, &rank->scheduler, err);
    if (r < 0)
        return r;
    if (config->is_takeover)
        take_up_signals(rank);
    if (drive(rank, err) < 0) {
        /* Tasks may have run: this is an end of the run, not a refusal to start it. */
        mf_log_error(rank->log, "%s", err->text);
        *ret_result = MF_RUN_STOPPED;
        return 0;
    }
    rank->was_scheduled = true;
    if (rank->remote)
        rank->remote->has_losses = mf_scheduler_has_losses(rank->scheduler);
    *ret_result = mf_scheduler_result(rank->scheduler);
    if (*ret_result == MF_RUN_SUPERSEDED) {
        /* The others do not leave yet. */
        rank->is_superseded = rank->remote->has_losses = true;
        return 0;
    }
    if (summary && *ret_result != MF_RUN_REFUSED)
        mf_scheduler_summarize(rank->scheduler, summary);
    else if (!summary)
        mf_scheduler_tell_unfit(rank->scheduler);
    return 0;
}

/* --- finishing --- */

/* The other ranks wait for a word from a scheduler that never came to be. */
static void dismiss_workers(struct mf_rank *rank)
{
    struct mf_message stop = {.kind = MF_MESSAGE_STOP};
    int r = tell_workers(rank, &stop);

    if (r < 0)
        mf_log_error(rank->log, "the other ranks cannot be told to stop: %s", strerror(-r));
}

static void leave(int number, siginfo_t *info, void *context)
{
    _exit(info->si_value.sival_int);
}

/* MPI_Finalize waits for all ranks, and one may have died of which nobody hears any more. That
 * changes nothing of how the run ended. */
static void limit_goodbye(int status)
{
    struct sigaction action = {.sa_sigaction = leave, .sa_flags = SA_SIGINFO};
    struct sigevent event = {
        .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM, .sigev_value.sival_int = status};
    const struct itimerspec limit = {.it_value.tv_sec = GOODBYE_S};
    timer_t timer;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    if (sigaction(SIGALRM, &action, NULL) == 0 && sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 &&
        timer_create(CLOCK_MONOTONIC, &event, &timer) == 0)
        (void)timer_settime(timer, 0, &limit, NULL);
}

void mf_rank_finish(struct mf_rank *rank, int status)
{
    if (rank->is_root && rank->remote && !rank->was_scheduled)
        dismiss_workers(rank);
    mf_scheduler_destroy(rank->scheduler);
    mf_giver_destroy(rank->giver);
    mf_worker_rank_destroy(rank->worker);
    if (rank->launcher.pid > 0)
        mf_launcher_stop(&rank->launcher);
    mf_nursery_stop(&rank->nursery);
    mf_modules_destroy(rank->modules);
    mf_loop_remove(rank->loop, rank->signal_watch);
    mf_close(&rank->signal_fd);
    mf_loop_destroy(rank->loop);
    mf_transport_destroy(rank->local_worker);
    mf_transport_destroy(rank->local);
    if (rank->remote)
        limit_goodbye(status);
    mf_transport_destroy(rank->remote);
    mf_offer_finish(&rank->has);
    *rank = (struct mf_rank){.signal_fd = -1, .launcher.fd = -1, .nursery.fd = -1};
}
