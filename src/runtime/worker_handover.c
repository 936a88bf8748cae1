/*
 * A worker whose scheduler dies, and the next one. Until another one takes
 * over, what runs goes on. From a run's first TAKEOVER on, ended attempts are
 * KEPT with all there is to say of them until the scheduler needs nothing of
 * them any more, since whoever comes after it asks again. Runs in the rank's
 * only thread.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"
#include "runtime/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Those that come before get so long each, as they may be dead too. */
#define HEIR_STEP_NS (MF_NS_PER_S / 2)

/* --- who schedules --- */

bool mf_worker_handover_await(struct mf_worker_rank *worker)
{
    if (worker->heirs.epoch == 0)
        return false;
    if (!worker->awaits_heir) {
        worker->lost_ns = worker->now_ns;
        worker->n_passed = 0;
    }
    worker->awaits_heir = true;
    return worker->now_ns - worker->lost_ns < worker->patience_ns;
}

uint64_t mf_worker_rank_epoch(const struct mf_worker_rank *worker)
{
    return worker->heirs.epoch;
}

bool mf_worker_rank_is_waiting(const struct mf_worker_rank *worker)
{
    return worker->awaits_heir;
}

bool mf_worker_rank_may_succeed(const struct mf_worker_rank *worker, mf_worker_id rank,
                                int64_t now_ns)
{
    uint32_t n_before = worker->n_passed * worker->heirs.n_heirs;

    if (!worker->awaits_heir || worker->is_broken || worker->hooks.is_stopping)
        return false;
    for (uint32_t i = 0; i < worker->heirs.n_heirs; i++)
        if (worker->heirs.heirs[i] == rank)
            return now_ns - worker->lost_ns >= (n_before + i) * HEIR_STEP_NS;
    return false;
}

uint32_t mf_worker_rank_pass(struct mf_worker_rank *worker)
{
    return ++worker->n_passed;
}

void mf_worker_rank_turn_to(struct mf_worker_rank *worker, struct mf_transport *transport,
                            uint32_t scheduler)
{
    worker->transport = transport;
    worker->scheduler = scheduler;
    worker->is_turned = true;
    worker->awaits_heir = false;
    /* It is in this process. */
    mf_sentry_destroy(worker->sentry);
    worker->sentry = NULL;
    mf_buffer_clear(&worker->frame);
}

/* --- what it has --- */

bool mf_worker_rank_post_ended(struct mf_worker_rank *worker,
                               const struct mf_worker_attempt *attempt,
                               const struct mf_outcome *outcome, const struct mf_output *output)
{
    struct mf_message message = {.kind = MF_MESSAGE_ENDED,
                                 .task = attempt->task,
                                 .attempt = attempt->number,
                                 .is_inline = attempt->is_inline,
                                 .outcome = *outcome};
    struct mf_buffer bytes = {0};

    for (int i = 0; i < MF_N_STREAMS && output; i++)
        message.size[i] = mf_output_size(output, (enum mf_stream)i);
    if (attempt->is_inline && output && mf_worker_rank_read_output(output, &bytes) < 0)
        message.is_inline = false;
    if (message.is_inline) {
        message.payload = bytes.data;
        message.payload_size = bytes.size;
    }
    mf_worker_rank_post(worker, &message);
    mf_buffer_finish(&bytes);
    return message.is_inline;
}

/* What had not begun is not worth telling: it is as if it had not been sent. */
static void forget_unstarted(struct mf_worker_rank *worker)
{
    struct mf_list *lists[] = {&worker->fetching, &worker->queue};

    for (size_t i = 0; i < 2; i++)
        mf_list_for_each_safe (node, lists[i]) {
            struct mf_worker_attempt *attempt =
                mf_container_of(node, struct mf_worker_attempt, node);

            if (attempt->state == MF_ATTEMPT_SUSPENDED)
                mf_list_remove(node);
            else
                mf_worker_rank_forget(worker, attempt);
        }
}

/* Nor are rooms: the next scheduler ends what they are for, and places it anew. */
static void let_go_of_parts(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(worker->attempts, &cursor, NULL, &place) == 1) {
        struct mf_worker_attempt *attempt = *(struct mf_worker_attempt **)place;

        if (attempt->state != MF_ATTEMPT_HOLDING)
            continue;
        mf_worker_rank_let_go(worker, attempt);
        cursor = 0;
    }
}

/* Who asked it to is gone: the next scheduler finds it running. */
static void let_yielding_go_on(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(worker->attempts, &cursor, NULL, &place) == 1) {
        struct mf_worker_attempt *attempt = *(struct mf_worker_attempt **)place;

        attempt->goes_on = attempt->is_yielding;
    }
}

/* The executor tells of it that it has begun, or gives it back. */
static void unstage(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    if (attempt->state == MF_ATTEMPT_STAGED)
        worker->executor->ops->unstage(worker->executor, attempt->task, attempt->number);
}

/* --- the report --- */

static bool describe(const struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt,
                     struct mf_holding *ret_holding)
{
    *ret_holding = (struct mf_holding){.task = attempt->task,
                                       .attempt = attempt->number,
                                       .try_number = attempt->try_number,
                                       .fingerprint = attempt->fingerprint,
                                       .ran_ns = attempt->ran_ns};
    switch (attempt->state) {
    case MF_ATTEMPT_RUNNING:
        ret_holding->state = MF_TASK_RUNNING;
        ret_holding->ran_ns = worker->now_ns - attempt->started_ns;
        return true;
    case MF_ATTEMPT_HELD:
        /* Its end will be told. */
        ret_holding->state = MF_TASK_RUNNING;
        return true;
    case MF_ATTEMPT_SUSPENDED:
        /* In the queue are those that go on, whoever schedules. */
        ret_holding->state = mf_list_is_empty(&attempt->node) ? MF_TASK_SUSPENDED : MF_TASK_RUNNING;
        return true;
    case MF_ATTEMPT_KEPT:
        ret_holding->state = MF_TASK_DONE;
        return true;
    default:
        return false;
    }
}

static void encode_report(const struct mf_worker_rank *worker, struct mf_buffer *payload)
{
    struct mf_report report = {.share = worker->heirs.share};
    struct mf_holding holding;
    size_t cursor = 0;
    void *place;

    while (mf_table_next(worker->attempts, &cursor, NULL, &place))
        report.n_holdings += describe(worker, *(struct mf_worker_attempt **)place, &holding);
    mf_report_encode(&report, payload);
    cursor = 0;
    while (mf_table_next(worker->attempts, &cursor, NULL, &place))
        if (describe(worker, *(struct mf_worker_attempt **)place, &holding))
            mf_holding_encode(&holding, payload);
}

static void post_kept(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(worker->attempts, &cursor, NULL, &place)) {
        const struct mf_worker_attempt *attempt = *(struct mf_worker_attempt **)place;

        if (attempt->state == MF_ATTEMPT_KEPT && attempt->outcome)
            mf_worker_rank_post_ended(worker, attempt, attempt->outcome, attempt->output);
    }
}

/* Who runs needs no telling any more that it has begun. */
static void forget_untold(struct mf_worker_rank *worker)
{
    while (mf_list_pop_front(&worker->untold))
        ;
}

void mf_worker_handover_turn(struct mf_worker_rank *worker)
{
    struct mf_message message = {.kind = MF_MESSAGE_REPORT};
    struct mf_buffer payload = {0};

    if (!worker->is_reporting || worker->is_resetting ||
        (worker->n_staged > 0 && !worker->is_broken))
        return;
    worker->is_reporting = false;
    forget_untold(worker);
    memcpy(message.host, worker->host, sizeof(message.host));
    message.life = worker->life;
    encode_report(worker, &payload);
    message.payload = payload.data;
    message.payload_size = payload.size;
    mf_worker_rank_post(worker, &message);
    if (mf_buffer_status(&payload) < 0)
        worker->error = -ENOMEM;
    mf_buffer_finish(&payload);
    post_kept(worker);
    if (worker->is_broken) {
        worker->is_broken = false;
        mf_worker_rank_report_broken(worker, "nothing can run there any more");
    }
}

/* --- what schedulers say --- */

/* A scheduler that is new to this worker: it is told all, once that is certain. */
static void follow(struct mf_worker_rank *worker, uint32_t from, const struct mf_life *life)
{
    if (worker->sentry) {
        mf_sentry_forget(worker->sentry, 0);
        mf_sentry_meet(worker->sentry, 0, life);
        mf_sentry_expect(worker->sentry, 0);
    }
    worker->scheduler = from;
    worker->is_turned = false;
    worker->is_reporting = true;
    worker->error = 0;
    mf_buffer_clear(&worker->frame);
    forget_unstarted(worker);
    let_go_of_parts(worker);
    let_yielding_go_on(worker);
    mf_worker_feeds_forget(worker);
    if (!worker->is_broken)
        mf_worker_rank_each_attempt(worker, unstage);
}

static void tell_superseded(struct mf_worker_rank *worker, uint32_t from)
{
    struct mf_superseded superseded = {worker->heirs.epoch, worker->scheduler};
    struct mf_message message = {.kind = MF_MESSAGE_SUPERSEDED};
    struct mf_buffer payload = {0}, frame = {0};

    mf_superseded_encode(&superseded, &payload);
    message.payload = payload.data;
    message.payload_size = payload.size;
    mf_message_encode(&message, &frame);
    /* Whoever it is, this worker does not depend on it. */
    mf_transport_send(worker->transport, from, &frame);
    mf_buffer_finish(&frame);
    mf_buffer_finish(&payload);
}

int mf_worker_handover_on_takeover(struct mf_worker_rank *worker, uint32_t from,
                                   const struct mf_message *message)
{
    bool is_new = from != worker->scheduler || worker->is_turned;
    struct mf_takeover takeover;
    int r = mf_takeover_decode(message->payload, message->payload_size, &takeover);

    if (r < 0)
        return r;
    if (takeover.epoch < worker->heirs.epoch || (is_new && takeover.epoch == worker->heirs.epoch)) {
        tell_superseded(worker, from);
        return 0;
    }
    if (takeover.share.n_slots == 0)
        takeover.share = worker->heirs.share;
    worker->heirs = takeover;
    worker->awaits_heir = false;
    if (is_new)
        follow(worker, from, &message->life);
    return 0;
}

int mf_worker_handover_on_stranger(struct mf_worker_rank *worker, uint32_t from,
                                   const struct mf_message *message)
{
    if (message->kind == MF_MESSAGE_TAKEOVER)
        return mf_worker_handover_on_takeover(worker, from, message);
    if (worker->heirs.epoch > 0)
        tell_superseded(worker, from);
    return 0;
}
