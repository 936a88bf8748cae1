/*
 * The worker's turn:
 *
 *     receive   HOOKS, RUN, HOLD, LET_GO, RECALL, SUSPEND, CONTINUE, END, PULL, RELEASE, FEED and
 *               UNFEED from the scheduler
 *     notice    whether the scheduler is there; tell it that this worker is
 *     hooks     before the first task, and after the last
 *     start     what fits into free slots, in the order received; stage more
 *     tell      a scheduler that took over what there is, or who has been running for a while
 *     send      one frame with all there is to report
 *
 * An attempt is QUEUED here, after FETCHING outputs that its command takes, or given to the
 * executor as STAGED or RUNNING; when it has ended, only output too large for a message may stay
 * behind (KEPT), until the scheduler has pulled and released it.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"
#include "base/command.h"
#include "runtime/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An attempt that ends sooner than this is reported as ended only. */
#define TELL_STARTED_AFTER_NS (20 * MF_NS_PER_MS)

/* --- sending --- */

static void send_frame(struct mf_worker_rank *worker)
{
    int r;

    if (worker->frame.size > 0)
        worker->sent_ns = worker->now_ns;
    r = mf_transport_send(worker->transport, worker->scheduler, &worker->frame);
    if (r < 0 && worker->error == 0)
        worker->error = r;
}

void mf_worker_rank_post(struct mf_worker_rank *worker, const struct mf_message *message)
{
    if (worker->is_reporting)
        return; /* its scheduler is told all of it at once */
    if (worker->frame.size > 0 &&
        worker->frame.size + message->payload_size + 512 > MF_FRAME_EAGER_BYTES)
        send_frame(worker);
    mf_message_encode(message, &worker->frame);
}

void mf_worker_rank_post_simple(struct mf_worker_rank *worker, enum mf_message_kind kind,
                                mf_task_id task, uint32_t number)
{
    struct mf_message message = {.kind = kind, .task = task, .attempt = number};

    mf_worker_rank_post(worker, &message);
}

/* Nothing runs here any more: the scheduler gives the tasks to others. */
void mf_worker_rank_report_broken(struct mf_worker_rank *worker, const char *text)
{
    if (worker->is_broken)
        return;
    worker->is_broken = true;

    struct mf_message message = {
        .kind = MF_MESSAGE_BROKEN, .payload = (const uint8_t *)text, .payload_size = strlen(text)};

    mf_worker_rank_post(worker, &message);
}

/* --- what the scheduler says --- */

static int on_welcome(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_welcome welcome;
    int r;

    if (worker->is_welcome)
        return -EPROTO;
    r = mf_node_decode_welcome(message->payload, message->payload_size, &welcome);
    if (r < 0)
        return r;
    r = welcome.n_slots > 0 ? mf_stock_fill(&worker->stock, welcome.places, welcome.n_slots,
                                            welcome.gpus, welcome.n_gpus)
                            : -EPROTO;
    if (r < 0) {
        mf_welcome_finish(&welcome);
        return r;
    }
    for (uint32_t i = 0; i < welcome.n_slots && worker->never_pins; i++)
        welcome.slots[i].n_cpus = 0;
    worker->n_slots = welcome.n_slots;
    worker->may_stage = !welcome.suspends;
    r = worker->executor->ops->configure(worker->executor, welcome.slots, welcome.n_slots,
                                         worker->transport->rank, welcome.run_dir);
    mf_welcome_finish(&welcome);
    if (r < 0)
        mf_worker_rank_report_broken(worker, strerror(-r));
    worker->is_welcome = true;
    if (worker->sentry)
        mf_sentry_expect(worker->sentry, 0);
    return 0;
}

static int on_run(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt_key key = {message->task, message->attempt};
    struct mf_worker_attempt *attempt;
    void *place;
    int r;

    if (message->n_slots == 0 || message->n_slots > worker->n_slots ||
        message->n_gpus > worker->stock.n_gpus)
        return -EPROTO;
    attempt = mf_worker_attempt_create(message);
    if (!attempt)
        return -ENOMEM;
    if (worker->heirs.epoch > 0)
        attempt->fingerprint = mf_command_fingerprint(message->payload, message->payload_size);
    r = mf_table_insert(worker->attempts, &key, &place);
    if (r != 0) {
        mf_worker_attempt_free(attempt);
        return r < 0 ? r : 0; /* sent twice: it is here already */
    }
    *(struct mf_worker_attempt **)place = attempt;
    /* The scheduler gives none out twice, so there are as many. */
    if (mf_stock_book_gpus(&worker->stock, message->n_gpus) < 0)
        return -EPROTO;
    attempt->n_gpus = message->n_gpus;
    if (message->feeds_size > 0)
        return mf_worker_feeds_await(worker, attempt, message);
    mf_list_push_back(&worker->queue, &attempt->node);
    return 0;
}

static bool is_unstarted(const struct mf_worker_attempt *attempt)
{
    return attempt->state == MF_ATTEMPT_QUEUED || attempt->state == MF_ATTEMPT_FETCHING;
}

/* Gives back what has not begun; of what has, its end will tell. */
static void on_recall(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (!attempt)
        return;
    if (attempt->state == MF_ATTEMPT_STAGED)
        worker->executor->ops->unstage(worker->executor, attempt->task, attempt->number);
    if (!is_unstarted(attempt))
        return;
    mf_worker_rank_post_simple(worker, MF_MESSAGE_RETURNED, attempt->task, attempt->number);
    mf_worker_rank_forget(worker, attempt);
}

static void on_end(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (!attempt)
        return;
    if (attempt->state == MF_ATTEMPT_SUSPENDED)
        mf_list_remove(&attempt->node);
    if (attempt->state == MF_ATTEMPT_HELD) {
        mf_worker_signal_excuse(worker, attempt, message->cause);
        return;
    }
    if (!is_unstarted(attempt)) {
        worker->executor->ops->end(worker->executor, attempt->task, attempt->number,
                                   message->cause);
        return;
    }
    struct mf_message ended = {.kind = MF_MESSAGE_ENDED,
                               .task = attempt->task,
                               .attempt = attempt->number,
                               .is_inline = true,
                               .outcome = {.cause = message->cause}};
    mf_worker_rank_post(worker, &ended);
    mf_worker_rank_forget(worker, attempt);
}

static void on_let_go(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (attempt && attempt->is_part)
        mf_worker_rank_let_go(worker, attempt);
}

static void on_suspend(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (attempt && attempt->state == MF_ATTEMPT_RUNNING && worker->executor->ops->suspend)
        mf_worker_rank_suspend(worker, attempt);
}

/* It waits for slots among what came to be started. */
static void on_continue(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (attempt && attempt->state == MF_ATTEMPT_SUSPENDED && mf_list_is_empty(&attempt->node))
        mf_list_push_back(&worker->queue, &attempt->node);
}

static void on_warn(struct mf_worker_rank *worker, const struct mf_message *message)
{
    if (worker->executor->ops->warn)
        worker->executor->ops->warn(worker->executor, (int)message->signal);
}

static int on_pull(struct mf_worker_rank *worker, const struct mf_message *pull)
{
    struct mf_worker_attempt *attempt = mf_worker_rank_find(worker, pull->task, pull->attempt);
    struct mf_message data = {.kind = MF_MESSAGE_DATA,
                              .task = pull->task,
                              .attempt = pull->attempt,
                              .stream = pull->stream,
                              .offset = pull->offset};

    if (!attempt || attempt->state != MF_ATTEMPT_KEPT || !attempt->output ||
        pull->length > MF_DATA_MAX_BYTES)
        return -EPROTO;
    uint8_t *bytes = malloc(pull->length ? pull->length : 1);
    if (!bytes)
        return -ENOMEM;
    ssize_t n = mf_output_read(attempt->output, pull->stream, pull->offset, bytes, pull->length);
    if (n < 0)
        data.error = (int32_t)-n;
    data.payload = bytes;
    data.payload_size = n < 0 ? 0 : (size_t)n;
    mf_worker_rank_post(worker, &data);
    send_frame(worker);
    free(bytes);
    return 0;
}

static void on_release(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_attempt *attempt =
        mf_worker_rank_find(worker, message->task, message->attempt);

    if (attempt && attempt->state == MF_ATTEMPT_KEPT)
        mf_worker_rank_forget(worker, attempt);
}

static void leave(struct mf_worker_rank *worker)
{
    worker->executor->ops->destroy(worker->executor);
    worker->executor = NULL;
    mf_buffer_clear(&worker->frame);
    mf_worker_rank_post_simple(worker, MF_MESSAGE_BYE, 0, 0);
    send_frame(worker);
    worker->is_finished = true;
}

static void on_stop(struct mf_worker_rank *worker, const struct mf_message *stop)
{
    worker->has_losses = stop->error != 0;
    mf_worker_hooks_stop(worker);
    if (!mf_worker_hooks_are_left(worker))
        leave(worker);
}

static int dispatch(struct mf_worker_rank *worker, const struct mf_message *message)
{
    if (message->kind == MF_MESSAGE_WELCOME)
        return on_welcome(worker, message);
    if (message->kind == MF_MESSAGE_STOP) {
        on_stop(worker, message);
        return 0;
    }
    if (message->kind == MF_MESSAGE_PULSE) {
        mf_worker_notice_on_pulse(worker, message);
        return 0;
    }
    if (message->kind == MF_MESSAGE_TAKEOVER)
        return mf_worker_handover_on_takeover(worker, worker->scheduler, message);
    if (!worker->is_welcome)
        return -EPROTO;
    switch (message->kind) {
    case MF_MESSAGE_HOOKS:
        return mf_worker_hooks_take(worker, message);
    case MF_MESSAGE_RUN:
    case MF_MESSAGE_HOLD:
        return on_run(worker, message);
    case MF_MESSAGE_LET_GO:
        on_let_go(worker, message);
        return 0;
    case MF_MESSAGE_RESET:
        mf_worker_notice_on_reset(worker);
        return 0;
    case MF_MESSAGE_RECALL:
        on_recall(worker, message);
        return 0;
    case MF_MESSAGE_END:
        on_end(worker, message);
        return 0;
    case MF_MESSAGE_SUSPEND:
        on_suspend(worker, message);
        return 0;
    case MF_MESSAGE_CONTINUE:
        on_continue(worker, message);
        return 0;
    case MF_MESSAGE_WARN:
        on_warn(worker, message);
        return 0;
    case MF_MESSAGE_PULL:
        return on_pull(worker, message);
    case MF_MESSAGE_RELEASE:
        on_release(worker, message);
        return 0;
    case MF_MESSAGE_FEED:
        mf_worker_feeds_on_piece(worker, message);
        return 0;
    case MF_MESSAGE_UNFEED:
        mf_worker_feeds_on_unfeed(worker, message);
        return 0;
    default:
        return -EPROTO;
    }
}

/* The scheduler is there after all, or again: from now on it should not be silent once more. */
static void end_waiting(struct mf_worker_rank *worker)
{
    if (worker->awaits_heir && worker->sentry)
        mf_sentry_expect(worker->sentry, 0);
    worker->awaits_heir = false;
}

/* The first record of a stranger may make it the scheduler; else nothing of its frame counts. */
static int dispatch_frame(struct mf_worker_rank *worker, uint32_t from,
                          const struct mf_buffer *frame)
{
    struct mf_reader reader;
    struct mf_message message = {0};
    int r = mf_frame_open(frame->data, frame->size, &reader);

    if (r == 0 && from != worker->scheduler) {
        r = mf_message_decode(&reader, &message);
        r = r == 1 ? mf_worker_handover_on_stranger(worker, from, &message) : r;
        if (r < 0 || from != worker->scheduler)
            return r;
    }
    if (r >= 0)
        end_waiting(worker);
    if (worker->sentry)
        mf_sentry_heard(worker->sentry, 0);
    while (r >= 0 && !worker->is_finished && (r = mf_message_decode(&reader, &message)) == 1)
        r = dispatch(worker, &message);
    return r;
}

/* --- the turn --- */

static int receive(struct mf_worker_rank *worker)
{
    const struct mf_buffer *frame;
    uint32_t from;
    int had_traffic = 0;

    while (!worker->is_finished) {
        int r = mf_transport_receive(worker->transport, &from, &frame);

        if (r == 0)
            break;
        if (r > 0)
            r = dispatch_frame(worker, from, frame);
        if (r < 0)
            return r;
        had_traffic = 1;
    }
    return had_traffic;
}

static void tell_started(struct mf_worker_rank *worker)
{
    struct mf_list *node;

    while ((node = worker->untold.next) != &worker->untold) {
        struct mf_worker_attempt *attempt = mf_container_of(node, struct mf_worker_attempt, node);

        if (worker->now_ns - attempt->started_ns < TELL_STARTED_AFTER_NS)
            break;
        mf_worker_rank_post_simple(worker, MF_MESSAGE_STARTED, attempt->task, attempt->number);
        mf_list_remove(node);
    }
}

int mf_worker_rank_turn(struct mf_worker_rank *worker, int64_t now_ns)
{
    int had_traffic, r;

    worker->now_ns = now_ns;
    had_traffic = receive(worker);
    /* It stays to be told to stop: the scheduler gives its tasks to others. */
    if (had_traffic < 0) {
        mf_worker_rank_report_broken(worker, strerror(-had_traffic));
        had_traffic = 1;
    }
    if (worker->sentry && !worker->is_finished)
        mf_worker_notice_turn(worker);
    if (worker->is_finished)
        return had_traffic;
    if (!worker->is_broken) {
        mf_worker_hooks_turn(worker);
        if (mf_worker_hooks_let_work(worker))
            mf_worker_rank_start_queued(worker);
        r = worker->executor->ops->flush(worker->executor);
        if (r < 0)
            mf_worker_rank_report_broken(worker, strerror(-r));
    }
    mf_worker_signal_turn(worker);
    mf_worker_handover_turn(worker);
    tell_started(worker);
    had_traffic |= worker->frame.size > 0;
    send_frame(worker);
    if (worker->hooks.is_stopping && !mf_worker_hooks_are_left(worker)) {
        leave(worker);
        had_traffic = 1;
    }
    return worker->error < 0 ? worker->error : had_traffic;
}

int64_t mf_worker_rank_next_ns(const struct mf_worker_rank *worker)
{
    int64_t next_ns =
        mf_earliest_ns(mf_worker_notice_next_ns(worker), mf_worker_hooks_next_ns(worker));

    if (worker->is_finished)
        return INT64_MAX;
    next_ns = mf_earliest_ns(next_ns, mf_worker_signal_next_ns(worker));
    if (mf_list_is_empty(&worker->untold))
        return next_ns;
    return mf_earliest_ns(
        next_ns, mf_container_of(worker->untold.next, struct mf_worker_attempt, node)->started_ns +
                     TELL_STARTED_AFTER_NS);
}

bool mf_worker_rank_is_finished(const struct mf_worker_rank *worker)
{
    return worker->is_finished;
}

bool mf_worker_rank_is_orphan(const struct mf_worker_rank *worker)
{
    return worker->is_orphan;
}

bool mf_worker_rank_has_losses(const struct mf_worker_rank *worker)
{
    return worker->has_losses || worker->is_orphan;
}

/* --- life --- */

static void say_hello(struct mf_worker_rank *worker, const struct mf_worker_rank_config *config)
{
    struct mf_message hello = {.kind = MF_MESSAGE_HELLO};
    struct mf_buffer payload = {0};

    memcpy(hello.host, worker->host, sizeof(hello.host));
    hello.life = worker->life;
    mf_node_encode_offer(config->cores, config->n_cores, config->resources, &payload);
    hello.payload = payload.data;
    hello.payload_size = payload.size;
    mf_worker_rank_post(worker, &hello);
    send_frame(worker);
    mf_buffer_finish(&payload);
}

int mf_worker_rank_create(const struct mf_worker_rank_config *config,
                          struct mf_worker_rank **ret_worker)
{
    struct mf_worker_rank *worker = calloc(1, sizeof(*worker));
    int r;

    if (!worker)
        return -ENOMEM;
    worker->transport = config->transport;
    worker->scheduler = config->scheduler;
    worker->scratch = config->scratch;
    mf_node_name(worker->host);
    if (config->host)
        snprintf(worker->host, sizeof(worker->host), "%s", config->host);
    if (config->life)
        worker->life = *config->life;
    else
        mf_life_own(&worker->life);
    worker->never_pins = config->never_pins;
    worker->shares_signals = config->shares_signals;
    worker->patience_ns = config->patience_ns ? config->patience_ns : MF_HANDOVER_PATIENCE_NS;
    worker->signalled_until_ns = INT64_MIN;
    mf_list_init(&worker->fetching);
    mf_list_init(&worker->queue);
    mf_list_init(&worker->untold);
    mf_list_init(&worker->held);
    r = mf_table_create(sizeof(struct mf_worker_attempt_key), sizeof(struct mf_worker_attempt *),
                        &worker->attempts);
    if (r == 0 && config->loop)
        r = mf_worker_notice_create(worker, config);
    if (r == 0) {
        say_hello(worker, config);
        r = worker->error;
    }
    if (r < 0) {
        mf_worker_rank_destroy(worker);
        return r;
    }
    *ret_worker = worker;
    return 0;
}

void mf_worker_rank_set_executor(struct mf_worker_rank *worker, struct mf_executor *executor)
{
    worker->executor = executor;
}

void mf_worker_rank_destroy(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    if (!worker)
        return;
    if (worker->executor)
        worker->executor->ops->destroy(worker->executor);
    while (worker->attempts && mf_table_next(worker->attempts, &cursor, NULL, &place))
        mf_worker_attempt_free(*(struct mf_worker_attempt **)place);
    mf_table_destroy(worker->attempts);
    mf_worker_feeds_finish(worker);
    mf_worker_hooks_finish(worker);
    mf_sentry_destroy(worker->sentry);
    mf_buffer_finish(&worker->frame);
    mf_stock_finish(&worker->stock);
    free(worker);
}
