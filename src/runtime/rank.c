/*
 * Driving a rank. Without MPI everything that can happen is a file descriptor
 * or a time, and the loop sleeps until one of them; with MPI it has to look
 * for messages, with naps in between that any descriptor cuts short.
 */
#include "runtime/rank_private.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/io.h"
#include "runtime/giver.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
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

static int schedule(struct mf_rank *rank, struct mf_scheduler_config *config, FILE *summary,
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
        mf_rank_take_up_signals(rank);
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

int mf_rank_schedule(struct mf_rank *rank, struct mf_scheduler_config *config, FILE *summary,
                     enum mf_run_result *ret_result, struct mf_error *err)
{
    int r = schedule(rank, config, summary, ret_result, err);

    /* While the run directory is still this run's: files there go with the scheduler. */
    mf_scheduler_destroy(rank->scheduler);
    rank->scheduler = NULL;
    return r;
}

/* --- finishing --- */

/* The other ranks wait for a word from a scheduler that never came to be. */
static void dismiss_workers(struct mf_rank *rank)
{
    struct mf_message stop = {.kind = MF_MESSAGE_STOP};
    int r = mf_rank_tell_workers(rank, &stop);

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
