/*
 * The worker's turn:
 *
 *     receive   RUN, RECALL, END, PULL, RELEASE from the scheduler
 *     start     what fits into free slots, in the order received; stage more
 *     tell      who has been running for a while
 *     send      one frame with all there is to report
 *
 * An attempt is QUEUED here, or given to the executor as STAGED or RUNNING;
 * when it has ended, only output too large for a message may stay behind
 * (KEPT), until the scheduler has pulled and released it.
 */
#include "runtime/worker.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/table.h"
#include "runtime/node.h"
#include "wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An attempt that ends sooner than this is reported as ended only. */
#define TELL_STARTED_AFTER_NS (20 * MF_NS_PER_MS)

/* Output up to this travels inside ENDED. */
#define INLINE_BYTES (64 * 1024)

/* Staged in the executor beyond the running ones, per slot: covers the time between two turns. */
#define STAGED_PER_SLOT 16

enum attempt_state { QUEUED, STAGED, RUNNING, KEPT };

/*
 * An attempt this worker knows. While QUEUED it owns its RUN record's command;
 * `node` is in the queue, in `untold`, or in no list.
 */
struct attempt {
    mf_task_id task;
    uint32_t number;
    uint32_t try_number;
    enum attempt_state state;
    uint32_t n_slots;
    uint32_t *slots;
    int64_t timeout_ns;
    int64_t started_ns;
    uint8_t *command;
    size_t command_size;
    struct mf_output *output;
    struct mf_list node;
};

/*
 * @attempts    (task, attempt) to struct attempt *
 * @queue       QUEUED ones in order of arrival
 * @untold      RUNNING ones that the scheduler does not know to run, oldest first
 * @n_wide      RUNNING ones with more than one slot
 * @free_slots  n_free indexes of free slots, lowest last
 */
struct mf_worker_rank {
    struct mf_transport *transport;
    uint32_t scheduler;
    struct mf_executor *executor;
    struct mf_buffer frame;
    struct mf_table *attempts;
    struct mf_list queue;
    struct mf_list untold;
    uint32_t n_slots;
    uint32_t n_staged;
    uint32_t n_wide;
    uint32_t *free_slots;
    uint32_t n_free;
    int64_t now_ns;
    int error;
    bool is_welcome;
    bool is_broken;
    bool is_finished;
};

/* --- attempts --- */

/* The table's key; all bytes are set, since keys are compared as memory. */
struct attempt_key {
    uint64_t task;
    uint64_t number;
};

static struct attempt *find_attempt(const struct mf_worker_rank *worker, mf_task_id task,
                                    uint32_t number)
{
    struct attempt_key key = {task, number};
    struct attempt **found = mf_table_find(worker->attempts, &key);

    return found ? *found : NULL;
}

static void free_attempt(struct attempt *attempt)
{
    if (!attempt)
        return;
    mf_list_remove(&attempt->node);
    mf_output_close(attempt->output);
    free(attempt->slots);
    free(attempt->command);
    free(attempt);
}

static void forget_attempt(struct mf_worker_rank *worker, struct attempt *attempt)
{
    struct attempt_key key = {attempt->task, attempt->number};

    mf_table_remove(worker->attempts, &key);
    free_attempt(attempt);
}

static struct attempt *create_attempt(const struct mf_message *run)
{
    struct attempt *attempt = calloc(1, sizeof(*attempt));

    if (!attempt)
        return NULL;
    mf_list_init(&attempt->node);
    attempt->task = run->task;
    attempt->number = run->attempt;
    attempt->try_number = run->try_number;
    attempt->n_slots = run->n_slots;
    attempt->timeout_ns = run->timeout_ns;
    attempt->slots = calloc(run->n_slots, sizeof(*attempt->slots));
    attempt->command = malloc(run->payload_size ? run->payload_size : 1);
    attempt->command_size = run->payload_size;
    if (!attempt->slots || !attempt->command) {
        free_attempt(attempt);
        return NULL;
    }
    memcpy(attempt->command, run->payload, run->payload_size);
    return attempt;
}

/* --- sending --- */

static void send_frame(struct mf_worker_rank *worker)
{
    int r = mf_transport_send(worker->transport, worker->scheduler, &worker->frame);

    if (r < 0 && worker->error == 0)
        worker->error = r;
}

static void post(struct mf_worker_rank *worker, const struct mf_message *message)
{
    if (worker->frame.size > 0 &&
        worker->frame.size + message->payload_size + 512 > MF_FRAME_EAGER_BYTES)
        send_frame(worker);
    mf_message_encode(message, &worker->frame);
}

static void post_simple(struct mf_worker_rank *worker, enum mf_message_kind kind, mf_task_id task,
                        uint32_t number)
{
    struct mf_message message = {.kind = kind, .task = task, .attempt = number};

    post(worker, &message);
}

/* Nothing runs here any more: the scheduler gives the tasks to others. */
static void report_broken(struct mf_worker_rank *worker, const char *text)
{
    if (worker->is_broken)
        return;
    worker->is_broken = true;

    struct mf_message message = {
        .kind = MF_MESSAGE_BROKEN, .payload = (const uint8_t *)text, .payload_size = strlen(text)};

    post(worker, &message);
}

/* --- starting --- */

static void take_slots(struct mf_worker_rank *worker, struct attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_slots; i++)
        attempt->slots[i] = worker->free_slots[--worker->n_free];
    worker->n_wide += attempt->n_slots > 1;
}

static void give_slots(struct mf_worker_rank *worker, const struct attempt *attempt)
{
    for (uint32_t i = attempt->n_slots; i > 0; i--)
        worker->free_slots[worker->n_free++] = attempt->slots[i - 1];
    worker->n_wide -= attempt->n_slots > 1;
}

/* An attempt that the executor refuses ends here and now, with the reason. */
static void refuse(struct mf_worker_rank *worker, struct attempt *attempt, int error)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_ENDED,
        .task = attempt->task,
        .attempt = attempt->number,
        .is_inline = true,
        .outcome = {.cause = MF_CAUSE_START,
                    .exit_status = 126,
                    .started_wall_ns = mf_clock_wall_ns()},
    };

    mf_list_remove(&attempt->node);
    strncpy(message.outcome.detail, strerror(-error), sizeof(message.outcome.detail) - 1);
    post(worker, &message);
    forget_attempt(worker, attempt);
}

static int give_to_executor(struct mf_worker_rank *worker, struct attempt *attempt,
                            uint32_t n_slots)
{
    struct mf_start start = {
        .task = attempt->task,
        .attempt = attempt->number,
        .try_number = attempt->try_number,
        .n_slots = n_slots,
        .slots = attempt->slots,
        .timeout_ns = attempt->timeout_ns,
        .command = attempt->command,
        .command_size = attempt->command_size,
    };
    int r = worker->executor->ops->start(worker->executor, &start);

    if (r < 0)
        return r;
    free(attempt->command);
    attempt->command = NULL;
    mf_list_remove(&attempt->node);
    return 0;
}

static void mark_running(struct mf_worker_rank *worker, struct attempt *attempt)
{
    attempt->state = RUNNING;
    attempt->started_ns = worker->now_ns;
    mf_list_push_back(&worker->untold, &attempt->node);
}

static void start_in_slots(struct mf_worker_rank *worker, struct attempt *attempt)
{
    int r;

    take_slots(worker, attempt);
    r = give_to_executor(worker, attempt, attempt->n_slots);
    if (r < 0) {
        give_slots(worker, attempt);
        refuse(worker, attempt, r);
        return;
    }
    mark_running(worker, attempt);
}

static void stage(struct mf_worker_rank *worker, struct attempt *attempt)
{
    int r = give_to_executor(worker, attempt, 0);

    if (r < 0) {
        refuse(worker, attempt, r);
        return;
    }
    attempt->state = STAGED;
    worker->n_staged++;
}

/*
 * In the order received, so that a wide attempt is not starved: nothing is
 * started or staged past one that waits for its slots. A staged attempt takes
 * over the slot of a single-slot one that ends, so staging needs all slots to
 * be held by such, and a wide attempt waits until all staged ones have begun.
 */
static void start_queued(struct mf_worker_rank *worker)
{
    struct mf_list *node;

    while ((node = worker->queue.next) != &worker->queue) {
        struct attempt *attempt = mf_container_of(node, struct attempt, node);

        if (worker->n_staged == 0 && attempt->n_slots <= worker->n_free)
            start_in_slots(worker, attempt);
        else if (attempt->n_slots == 1 && worker->n_free == 0 && worker->n_wide == 0 &&
                 worker->n_staged < STAGED_PER_SLOT * worker->n_slots)
            stage(worker, attempt);
        else
            break;
    }
}

/* --- what the executor says --- */

static void heard_started(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct attempt *attempt = find_attempt(worker, event->task, event->attempt);

    if (!attempt || attempt->state != STAGED)
        return;
    worker->n_staged--;
    attempt->slots[0] = event->slot;
    /* The slot was freed by the end of its predecessor, told just before. */
    for (uint32_t i = 0; i < worker->n_free; i++)
        if (worker->free_slots[i] == event->slot) {
            worker->free_slots[i] = worker->free_slots[--worker->n_free];
            break;
        }
    mark_running(worker, attempt);
}

static int append_output(struct mf_buffer *bytes, const struct mf_output *output,
                         enum mf_stream stream, uint64_t size)
{
    int r = mf_buffer_reserve(bytes, size);

    if (r < 0)
        return r;
    for (uint64_t offset = 0; offset < size;) {
        ssize_t n =
            mf_output_read(output, stream, offset, bytes->data + bytes->size, size - offset);
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        bytes->size += (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* Puts small output into the record; large output stays here to be pulled. */
static void report_ended(struct mf_worker_rank *worker, struct attempt *attempt,
                         const struct mf_executor_event *event)
{
    struct mf_message message = {.kind = MF_MESSAGE_ENDED,
                                 .task = attempt->task,
                                 .attempt = attempt->number,
                                 .outcome = *event->outcome};
    struct mf_buffer bytes = {0};

    for (int i = 0; i < MF_N_STREAMS && event->output; i++)
        message.size[i] = mf_output_size(event->output, (enum mf_stream)i);
    message.is_inline = !event->output || (mf_output_is_small(event->output) &&
                                           message.size[0] + message.size[1] <= INLINE_BYTES);
    for (int i = 0; i < MF_N_STREAMS && message.is_inline && event->output; i++)
        if (append_output(&bytes, event->output, (enum mf_stream)i, message.size[i]) < 0)
            message.is_inline = false;
    if (message.is_inline) {
        message.payload = bytes.data;
        message.payload_size = bytes.size;
    }
    post(worker, &message);
    mf_buffer_finish(&bytes);
    if (message.is_inline) {
        mf_output_close(event->output);
        forget_attempt(worker, attempt);
        return;
    }
    mf_list_remove(&attempt->node);
    attempt->state = KEPT;
    attempt->output = event->output;
}

static void heard_ended(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct attempt *attempt = find_attempt(worker, event->task, event->attempt);

    if (!attempt) {
        mf_output_close(event->output);
        return;
    }
    if (attempt->state == RUNNING)
        give_slots(worker, attempt);
    else if (attempt->state == STAGED)
        worker->n_staged--;
    report_ended(worker, attempt, event);
}

static void heard_unstaged(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct attempt *attempt = find_attempt(worker, event->task, event->attempt);

    if (!attempt || attempt->state != STAGED)
        return;
    worker->n_staged--;
    post_simple(worker, MF_MESSAGE_RETURNED, attempt->task, attempt->number);
    forget_attempt(worker, attempt);
}

void mf_worker_rank_heard(void *arg, const struct mf_executor_event *event)
{
    struct mf_worker_rank *worker = arg;

    switch (event->kind) {
    case MF_EXECUTOR_STARTED:
        heard_started(worker, event);
        break;
    case MF_EXECUTOR_ENDED:
        heard_ended(worker, event);
        break;
    case MF_EXECUTOR_UNSTAGED:
        heard_unstaged(worker, event);
        break;
    case MF_EXECUTOR_BROKEN:
        report_broken(worker, event->error->text);
        break;
    }
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
    worker->free_slots = calloc(welcome.n_slots ? welcome.n_slots : 1, sizeof(uint32_t));
    if (!worker->free_slots) {
        mf_welcome_finish(&welcome);
        return -ENOMEM;
    }
    worker->n_slots = worker->n_free = welcome.n_slots;
    for (uint32_t i = 0; i < welcome.n_slots; i++)
        worker->free_slots[i] = welcome.n_slots - 1 - i;
    r = worker->executor->ops->configure(worker->executor, welcome.slots, welcome.n_slots,
                                         worker->transport->rank, welcome.run_dir);
    mf_welcome_finish(&welcome);
    if (r < 0)
        report_broken(worker, strerror(-r));
    worker->is_welcome = true;
    return 0;
}

static int on_run(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct attempt_key key = {message->task, message->attempt};
    struct attempt *attempt;
    void *place;
    int r;

    if (message->n_slots == 0 || message->n_slots > worker->n_slots)
        return -EPROTO;
    attempt = create_attempt(message);
    if (!attempt)
        return -ENOMEM;
    r = mf_table_insert(worker->attempts, &key, &place);
    if (r != 0) {
        free_attempt(attempt);
        return r < 0 ? r : 0; /* sent twice: it is here already */
    }
    *(struct attempt **)place = attempt;
    mf_list_push_back(&worker->queue, &attempt->node);
    return 0;
}

/* Gives back what has not begun; of what has, its end will tell. */
static void on_recall(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct attempt *attempt = find_attempt(worker, message->task, message->attempt);

    if (!attempt)
        return;
    if (attempt->state == STAGED)
        worker->executor->ops->unstage(worker->executor, attempt->task, attempt->number);
    if (attempt->state != QUEUED)
        return;
    post_simple(worker, MF_MESSAGE_RETURNED, attempt->task, attempt->number);
    forget_attempt(worker, attempt);
}

static void on_end(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct attempt *attempt = find_attempt(worker, message->task, message->attempt);

    if (!attempt)
        return;
    if (attempt->state != QUEUED) {
        worker->executor->ops->end(worker->executor, attempt->task, attempt->number,
                                   message->cause);
        return;
    }
    struct mf_message ended = {.kind = MF_MESSAGE_ENDED,
                               .task = attempt->task,
                               .attempt = attempt->number,
                               .is_inline = true,
                               .outcome = {.cause = message->cause}};
    post(worker, &ended);
    forget_attempt(worker, attempt);
}

static int on_pull(struct mf_worker_rank *worker, const struct mf_message *pull)
{
    struct attempt *attempt = find_attempt(worker, pull->task, pull->attempt);
    struct mf_message data = {.kind = MF_MESSAGE_DATA,
                              .task = pull->task,
                              .attempt = pull->attempt,
                              .stream = pull->stream,
                              .offset = pull->offset};

    if (!attempt || attempt->state != KEPT || pull->length > MF_DATA_MAX_BYTES)
        return -EPROTO;
    uint8_t *bytes = malloc(pull->length ? pull->length : 1);
    if (!bytes)
        return -ENOMEM;
    ssize_t n = mf_output_read(attempt->output, pull->stream, pull->offset, bytes, pull->length);
    if (n < 0)
        data.error = (int32_t)-n;
    data.payload = bytes;
    data.payload_size = n < 0 ? 0 : (size_t)n;
    post(worker, &data);
    send_frame(worker);
    free(bytes);
    return 0;
}

static void on_release(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct attempt *attempt = find_attempt(worker, message->task, message->attempt);

    if (attempt && attempt->state == KEPT)
        forget_attempt(worker, attempt);
}

static void on_stop(struct mf_worker_rank *worker)
{
    worker->executor->ops->destroy(worker->executor);
    worker->executor = NULL;
    mf_buffer_clear(&worker->frame);
    post_simple(worker, MF_MESSAGE_BYE, 0, 0);
    send_frame(worker);
    worker->is_finished = true;
}

static int dispatch(struct mf_worker_rank *worker, const struct mf_message *message)
{
    if (message->kind == MF_MESSAGE_WELCOME)
        return on_welcome(worker, message);
    if (message->kind == MF_MESSAGE_STOP) {
        on_stop(worker);
        return 0;
    }
    if (!worker->is_welcome)
        return -EPROTO;
    switch (message->kind) {
    case MF_MESSAGE_RUN:
        return on_run(worker, message);
    case MF_MESSAGE_RECALL:
        on_recall(worker, message);
        return 0;
    case MF_MESSAGE_END:
        on_end(worker, message);
        return 0;
    case MF_MESSAGE_PULL:
        return on_pull(worker, message);
    case MF_MESSAGE_RELEASE:
        on_release(worker, message);
        return 0;
    default:
        return -EPROTO;
    }
}

static int dispatch_frame(struct mf_worker_rank *worker, const struct mf_buffer *frame)
{
    struct mf_reader reader;
    struct mf_message message = {0};
    int r = mf_frame_open(frame->data, frame->size, &reader);

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
            r = dispatch_frame(worker, frame);
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
        struct attempt *attempt = mf_container_of(node, struct attempt, node);

        if (worker->now_ns - attempt->started_ns < TELL_STARTED_AFTER_NS)
            break;
        post_simple(worker, MF_MESSAGE_STARTED, attempt->task, attempt->number);
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
        report_broken(worker, strerror(-had_traffic));
        had_traffic = 1;
    }
    if (worker->is_finished)
        return had_traffic;
    if (!worker->is_broken) {
        start_queued(worker);
        r = worker->executor->ops->flush(worker->executor);
        if (r < 0)
            report_broken(worker, strerror(-r));
    }
    tell_started(worker);
    had_traffic |= worker->frame.size > 0;
    send_frame(worker);
    return worker->error < 0 ? worker->error : had_traffic;
}

int64_t mf_worker_rank_next_ns(const struct mf_worker_rank *worker)
{
    if (mf_list_is_empty(&worker->untold) || worker->is_finished)
        return INT64_MAX;
    return mf_container_of(worker->untold.next, struct attempt, node)->started_ns +
           TELL_STARTED_AFTER_NS;
}

bool mf_worker_rank_is_finished(const struct mf_worker_rank *worker)
{
    return worker->is_finished;
}

/* --- life --- */

static void say_hello(struct mf_worker_rank *worker, const struct mf_core *cores, uint32_t n_cores)
{
    struct mf_message hello = {.kind = MF_MESSAGE_HELLO};
    struct mf_buffer payload = {0};

    mf_node_host(hello.host);
    mf_node_encode_cores(cores, n_cores, &payload);
    hello.payload = payload.data;
    hello.payload_size = payload.size;
    post(worker, &hello);
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
    mf_list_init(&worker->queue);
    mf_list_init(&worker->untold);
    r = mf_table_create(sizeof(struct attempt_key), sizeof(struct attempt *), &worker->attempts);
    if (r == 0) {
        say_hello(worker, config->cores, config->n_cores);
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
        free_attempt(*(struct attempt **)place);
    mf_table_destroy(worker->attempts);
    mf_buffer_finish(&worker->frame);
    free(worker->free_slots);
    free(worker);
}
