/*
 * A worker and its scheduler: each knows that the other is there. What the
 * worker does when the scheduler is gone, and when the scheduler took it for
 * gone. Runs in the rank's only thread.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"

/* The scheduler gives up whoever is silent for a few of these. */
#define BEAT_NS (500 * MF_NS_PER_MS)

/* The scheduler lets each worker hear from it far more often. */
#define SCHEDULER_SILENCE_NS (5 * MF_NS_PER_S)

int mf_worker_notice_create(struct mf_worker_rank *worker,
                            const struct mf_worker_rank_config *config)
{
    enum mf_sentry_rule rule =
        config->scheduler_may_be_silent ? MF_SENTRY_ANSWERING : MF_SENTRY_ALL;

    return mf_sentry_create(config->loop, 1, SCHEDULER_SILENCE_NS, rule, &worker->sentry);
}

void mf_worker_notice_on_pulse(struct mf_worker_rank *worker, const struct mf_message *pulse)
{
    if (worker->sentry)
        mf_sentry_meet(worker->sentry, 0, &pulse->life);
}

void mf_worker_rank_on_scheduler_lost(struct mf_worker_rank *worker)
{
    if (mf_worker_handover_await(worker))
        return;
    worker->is_orphan = true;
    if (worker->executor)
        worker->executor->ops->destroy(worker->executor);
    worker->executor = NULL;
    worker->is_finished = true;
}

/* --- beginning again --- */

/* What runs is ended; the rest is dropped, as nobody will ask for it. */
static void end_or_drop(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    if (attempt->state == MF_ATTEMPT_SUSPENDED)
        mf_list_remove(&attempt->node);
    if (mf_worker_attempt_has_begun(attempt))
        mf_worker_rank_end_begun(worker, attempt);
    else if (attempt->is_part)
        mf_worker_rank_let_go(worker, attempt);
    else
        mf_worker_rank_forget(worker, attempt);
}

void mf_worker_notice_on_reset(struct mf_worker_rank *worker)
{
    /* It was told before, but to nobody who listened. */
    if (worker->is_broken) {
        worker->is_broken = false;
        mf_worker_rank_report_broken(worker, "nothing runs there any more");
        return;
    }
    worker->is_resetting = true;
    mf_worker_rank_each_attempt(worker, end_or_drop);
}

static void begin_again(struct mf_worker_rank *worker)
{
    worker->is_resetting = false;
    mf_worker_feeds_finish(worker);
    mf_worker_rank_post_simple(worker, MF_MESSAGE_AGAIN, 0, 0);
}

/* --- the turn --- */

static void look_for_scheduler(struct mf_worker_rank *worker)
{
    enum mf_passing passing;
    uint32_t peer;

    mf_sentry_look(worker->sentry, worker->now_ns);
    while (!worker->is_orphan && mf_sentry_next(worker->sentry, &peer, &passing))
        mf_worker_rank_on_scheduler_lost(worker);
}

void mf_worker_notice_turn(struct mf_worker_rank *worker)
{
    if (mf_sentry_is_due(worker->sentry, worker->now_ns))
        look_for_scheduler(worker);
    /* It is lost still, and maybe for too long. */
    if (worker->awaits_heir)
        mf_worker_rank_on_scheduler_lost(worker);
    if (worker->is_finished)
        return;
    if (worker->is_resetting && mf_table_count(worker->attempts) == 0)
        begin_again(worker);
    if (worker->frame.size == 0 && worker->now_ns >= mf_worker_notice_next_ns(worker))
        mf_worker_rank_post_simple(worker, MF_MESSAGE_BEAT, 0, 0);
}

int64_t mf_worker_notice_next_ns(const struct mf_worker_rank *worker)
{
    return worker->sentry ? worker->sent_ns + BEAT_NS : INT64_MAX;
}
