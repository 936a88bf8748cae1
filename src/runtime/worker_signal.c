/*
 * A resource manager that ends a job sends SIGTERM to all its processes at once: to this rank, to
 * what it has started, and to the tasks, which fail of it. So that this is not held against them a
 * failure is reported a little later than it happened, and as TERMINATED if the signal has come
 * here by then. Whether the run ends, or goes on with a worker that alone was signalled, is rank
 * 0's to know. Runs in the rank's only thread.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"

#include <stdlib.h>

/* Longer than it takes to signal all processes of a job on one node, however busy it is. */
#define HOLD_NS (250 * MF_NS_PER_MS)

/* What a signal can be the reason of; the farm's own reasons stay. */
static bool may_be_signalled(const struct mf_outcome *outcome)
{
    return outcome->cause == MF_CAUSE_EXIT || outcome->cause == MF_CAUSE_SIGNAL;
}

static void report(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_outcome *outcome = attempt->outcome;
    struct mf_executor_event event = {.kind = MF_EXECUTOR_ENDED,
                                      .task = attempt->task,
                                      .attempt = attempt->number,
                                      .outcome = outcome,
                                      .output = attempt->output};

    mf_list_remove(&attempt->node);
    attempt->outcome = NULL;
    attempt->output = NULL;
    mf_worker_rank_report_ended(worker, attempt, &event);
    free(outcome);
}

static struct mf_worker_attempt *first_held(const struct mf_worker_rank *worker)
{
    return mf_list_is_empty(&worker->held)
               ? NULL
               : mf_container_of(worker->held.next, struct mf_worker_attempt, node);
}

bool mf_worker_signal_hold(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                           const struct mf_executor_event *event)
{
    struct mf_outcome *outcome;

    if (!worker->shares_signals || !may_be_signalled(event->outcome))
        return false;
    outcome = malloc(sizeof(*outcome));
    if (!outcome)
        return false;
    *outcome = *event->outcome;
    mf_list_remove(&attempt->node);
    attempt->state = MF_ATTEMPT_HELD;
    attempt->outcome = outcome;
    attempt->output = event->output;
    attempt->held_until_ns = worker->now_ns + HOLD_NS;
    mf_list_push_back(&worker->held, &attempt->node);
    if (attempt->started_ns < worker->signalled_until_ns)
        mf_worker_signal_excuse(worker, attempt, MF_CAUSE_TERMINATED);
    return true;
}

void mf_worker_signal_excuse(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                             enum mf_cause cause)
{
    attempt->outcome->cause = cause;
    report(worker, attempt);
}

void mf_worker_signal_turn(struct mf_worker_rank *worker)
{
    struct mf_worker_attempt *attempt;

    while ((attempt = first_held(worker)) && worker->now_ns >= attempt->held_until_ns)
        report(worker, attempt);
}

int64_t mf_worker_signal_next_ns(const struct mf_worker_rank *worker)
{
    const struct mf_worker_attempt *attempt = first_held(worker);

    return attempt ? attempt->held_until_ns : INT64_MAX;
}

void mf_worker_rank_note_terminated(struct mf_worker_rank *worker, int64_t now_ns)
{
    struct mf_worker_attempt *attempt;

    if (!worker->shares_signals)
        return;
    worker->signalled_until_ns = now_ns + HOLD_NS;
    while ((attempt = first_held(worker)))
        mf_worker_signal_excuse(worker, attempt, MF_CAUSE_TERMINATED);
}
