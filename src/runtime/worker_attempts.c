/*
 * The attempts of a worker: from the queue into slots or the executor's stage,
 * and what the executor says of them. Runs in the rank's only thread.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"
#include "base/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Output up to this travels inside ENDED. */
#define INLINE_BYTES (64 * 1024)

/* Staged in the executor beyond the running ones, per slot: covers the time between two turns. */
#define STAGED_PER_SLOT 32

/* --- attempts --- */

struct mf_worker_attempt *mf_worker_rank_find(const struct mf_worker_rank *worker, mf_task_id task,
                                              uint32_t number)
{
    struct mf_worker_attempt_key key = {task, number};
    struct mf_worker_attempt **found = mf_table_find(worker->attempts, &key);

    return found ? *found : NULL;
}

void mf_worker_attempt_free(struct mf_worker_attempt *attempt)
{
    if (!attempt)
        return;
    mf_list_remove(&attempt->node);
    mf_output_close(attempt->output);
    free(attempt->slots);
    free(attempt->gpus);
    free(attempt->feeds);
    free(attempt->saved);
    free(attempt->rooms);
    free(attempt->command);
    free(attempt->outcome);
    free(attempt);
}

static void give_gpus(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    if (attempt->has_gpus)
        mf_stock_give_gpus(&worker->stock, attempt->n_gpus, attempt->gpus);
    else
        mf_stock_unbook_gpus(&worker->stock, attempt->n_gpus);
    attempt->has_gpus = false;
    attempt->n_gpus = 0;
}

void mf_worker_rank_forget(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_worker_attempt_key key = {attempt->task, attempt->number};

    give_gpus(worker, attempt);
    mf_worker_feeds_give_back(worker, attempt);
    mf_table_remove(worker->attempts, &key);
    mf_worker_attempt_free(attempt);
}

/* NULL without memory. */
static struct mf_worker_attempt_key *list_attempts(const struct mf_worker_rank *worker,
                                                   size_t *ret_n)
{
    struct mf_worker_attempt_key *keys =
        calloc(mf_table_count(worker->attempts) + 1, sizeof(*keys));
    const void *key;
    size_t cursor = 0, n = 0;
    void *place;

    while (keys && mf_table_next(worker->attempts, &cursor, &key, &place) == 1)
        keys[n++] = *(const struct mf_worker_attempt_key *)key;
    *ret_n = n;
    return keys;
}

void mf_worker_rank_each_attempt(struct mf_worker_rank *worker, mf_worker_attempt_fn fn)
{
    size_t n;
    struct mf_worker_attempt_key *keys = list_attempts(worker, &n);

    if (!keys) {
        mf_worker_rank_report_broken(worker, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct mf_worker_attempt *attempt =
            mf_worker_rank_find(worker, keys[i].task, (uint32_t)keys[i].number);

        if (attempt)
            fn(worker, attempt);
    }
    free(keys);
}

void mf_worker_rank_end_begun(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    if (mf_worker_attempt_has_begun(attempt))
        worker->executor->ops->end(worker->executor, attempt->task, attempt->number,
                                   MF_CAUSE_STOPPED);
}

struct mf_worker_attempt *mf_worker_attempt_create(const struct mf_message *run)
{
    struct mf_worker_attempt *attempt = calloc(1, sizeof(*attempt));

    if (!attempt)
        return NULL;
    mf_list_init(&attempt->node);
    attempt->task = run->task;
    attempt->number = run->attempt;
    attempt->try_number = run->try_number;
    attempt->n_slots = run->n_slots;
    attempt->mem_bytes = run->mem_bytes;
    attempt->timeout_ns = run->timeout_ns;
    attempt->slots = calloc(run->n_slots, sizeof(*attempt->slots));
    attempt->gpus = run->n_gpus ? calloc(run->n_gpus, sizeof(*attempt->gpus)) : NULL;
    attempt->command = malloc(run->payload_size ? run->payload_size : 1);
    attempt->command_size = run->payload_size;
    attempt->saved = malloc(run->saved_size ? run->saved_size : 1);
    attempt->saved_size = run->saved_size;
    attempt->is_part = run->kind == MF_MESSAGE_HOLD;
    if (run->rooms_size > 0)
        attempt->rooms = strndup((const char *)run->rooms, run->rooms_size);
    if (!attempt->slots || (run->rooms_size > 0 && !attempt->rooms) || !attempt->command ||
        !attempt->saved || (run->n_gpus && !attempt->gpus)) {
        mf_worker_attempt_free(attempt);
        return NULL;
    }
    mf_copy(attempt->command, run->payload, run->payload_size);
    mf_copy(attempt->saved, run->saved, run->saved_size);
    return attempt;
}

/* --- starting --- */

/* Whether the executor passes its slots on to nothing that is staged when it ends. */
static bool is_wide(const struct mf_worker_attempt *attempt)
{
    return attempt->n_slots > 1 || attempt->is_part;
}

/* Its GPUs too, which it keeps until it has ended, whatever becomes of the slots. */
static void take_slots(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    mf_stock_take(&worker->stock, attempt->n_slots, attempt->has_gpus ? 0 : attempt->n_gpus,
                  attempt->slots, attempt->gpus);
    attempt->has_gpus = true;
    worker->n_wide += is_wide(attempt);
}

static void give_slots(struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt)
{
    mf_stock_give_slots(&worker->stock, attempt->n_slots, attempt->slots);
    worker->n_wide -= is_wide(attempt);
}

/* Those that it had, where its memory is near, or others. */
static void take_back_slots(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_stock *stock = &worker->stock;
    uint32_t n_before = stock->n_free;

    for (uint32_t i = 0; i < attempt->n_slots && stock->n_free == n_before - i; i++)
        mf_stock_take_slot(stock, attempt->slots[i]);
    if (stock->n_free == n_before - attempt->n_slots) {
        worker->n_wide += is_wide(attempt);
        return;
    }
    mf_stock_give_slots(stock, n_before - stock->n_free, attempt->slots);
    take_slots(worker, attempt);
}

void mf_worker_rank_refuse(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                           const char *detail)
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

    mf_worker_rooms_clear(worker, attempt);
    mf_list_remove(&attempt->node);
    strncpy(message.outcome.detail, detail, sizeof(message.outcome.detail) - 1);
    mf_worker_rank_post(worker, &message);
    mf_worker_rank_forget(worker, attempt);
}

static int give_to_executor(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                            uint32_t n_slots)
{
    struct mf_start start = {
        .task = attempt->task,
        .attempt = attempt->number,
        .try_number = attempt->try_number,
        .n_slots = n_slots,
        .slots = attempt->slots,
        .mem_bytes = attempt->mem_bytes,
        .timeout_ns = attempt->timeout_ns,
        .saved = attempt->saved_size > 0 ? attempt->saved : NULL,
        .saved_size = attempt->saved_size,
    };
    struct mf_buffer gpus = {0};
    int r = mf_worker_rooms_spread(worker, attempt);

    if (r < 0)
        return r;
    start.command = attempt->command;
    start.command_size = attempt->command_size;
    if (attempt->n_gpus > 0) {
        mf_stock_print_gpus(&worker->stock, attempt->n_gpus, attempt->gpus, &gpus);
        start.gpus = (const char *)gpus.data;
    }
    r = mf_buffer_status(&gpus);
    if (r == 0)
        r = worker->executor->ops->start(worker->executor, &start);
    mf_buffer_finish(&gpus);
    if (r < 0)
        return r;
    free(attempt->command);
    free(attempt->saved);
    attempt->command = attempt->saved = NULL;
    mf_list_remove(&attempt->node);
    return 0;
}

static void mark_running(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    attempt->state = MF_ATTEMPT_RUNNING;
    attempt->started_ns = worker->now_ns;
    mf_list_push_back(&worker->untold, &attempt->node);
}

static void start_in_slots(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    int r;

    take_slots(worker, attempt);
    if (attempt->is_part) {
        mf_list_remove(&attempt->node);
        attempt->state = MF_ATTEMPT_HOLDING;
        mf_worker_rooms_report(worker, attempt);
        return;
    }
    r = give_to_executor(worker, attempt, attempt->n_slots);
    if (r < 0) {
        give_slots(worker, attempt);
        mf_worker_rank_refuse(worker, attempt, strerror(-r));
        return;
    }
    mark_running(worker, attempt);
}

void mf_worker_rank_let_go(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    mf_worker_rooms_clear(worker, attempt);
    if (attempt->state == MF_ATTEMPT_HOLDING)
        give_slots(worker, attempt);
    mf_worker_rank_forget(worker, attempt);
}

static void leave_slots(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    mf_list_remove(&attempt->node);
    give_slots(worker, attempt);
    attempt->state = MF_ATTEMPT_SUSPENDED;
    attempt->is_yielding = false;
}

void mf_worker_rank_suspend(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_executor *executor = worker->executor;

    if (executor->ops->suspend(executor, attempt->task, attempt->number) == MF_EXECUTOR_E_LATER)
        attempt->is_yielding = true;
    else
        leave_slots(worker, attempt);
}

static void resume_in_slots(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    mf_list_remove(&attempt->node);
    take_back_slots(worker, attempt);
    attempt->state = MF_ATTEMPT_RUNNING;
    attempt->started_ns = worker->now_ns - attempt->ran_ns;
    worker->executor->ops->resume(worker->executor, attempt->task, attempt->number, attempt->slots,
                                  attempt->n_slots);
}

static void stage(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    int r = give_to_executor(worker, attempt, 0);

    if (r < 0) {
        mf_worker_rank_refuse(worker, attempt, strerror(-r));
        return;
    }
    attempt->state = MF_ATTEMPT_STAGED;
    worker->n_staged++;
}

/*
 * In the order received, so that a wide attempt is not starved: nothing is
 * started or staged past one that waits for its slots. A staged attempt takes
 * over the slot of a single-slot one that ends, so staging needs all slots to
 * be held by such, and a wide attempt waits until all staged ones have begun. So
 * does one with GPUs, which are to be near the slot that it gets, and one that is spread.
 *
 * Where attempts are suspended none is staged. One that comes before the order
 * to suspend another gets a slot by that order, and not by an end, which is
 * all that the executor passes slots on by.
 */
void mf_worker_rank_start_queued(struct mf_worker_rank *worker)
{
    struct mf_list *node;

    while ((node = worker->queue.next) != &worker->queue) {
        struct mf_worker_attempt *attempt = mf_container_of(node, struct mf_worker_attempt, node);

        bool fits = worker->n_staged == 0 && attempt->n_slots <= worker->stock.n_free;

        if (fits && attempt->state == MF_ATTEMPT_SUSPENDED)
            resume_in_slots(worker, attempt);
        else if (fits)
            start_in_slots(worker, attempt);
        else if (worker->may_stage && worker->executor->can_stage && attempt->n_slots == 1 &&
                 attempt->n_gpus == 0 && !attempt->is_part &&
                 !mf_command_is_spread(attempt->command, attempt->command_size) &&
                 worker->stock.n_free == 0 && worker->n_wide == 0 &&
                 worker->n_staged < STAGED_PER_SLOT * worker->n_slots)
            stage(worker, attempt);
        else
            break;
    }
}

/* --- what the executor says --- */

static void heard_started(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct mf_worker_attempt *attempt = mf_worker_rank_find(worker, event->task, event->attempt);

    if (!attempt || attempt->state != MF_ATTEMPT_STAGED)
        return;
    worker->n_staged--;
    attempt->slots[0] = event->slot;
    /* The slot was freed by the end of its predecessor, told just before. */
    mf_stock_take_slot(&worker->stock, event->slot);
    mark_running(worker, attempt);
}

static int append_stream(const struct mf_output *output, enum mf_stream stream,
                         struct mf_buffer *bytes)
{
    uint64_t size = mf_output_size(output, stream);
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

int mf_worker_rank_read_output(const struct mf_output *output, struct mf_buffer *bytes)
{
    int r = append_stream(output, MF_STDOUT, bytes);

    return r < 0 ? r : append_stream(output, MF_STDERR, bytes);
}

static bool is_small(const struct mf_output *output)
{
    return !output ||
           (mf_output_is_small(output) &&
            mf_output_size(output, MF_STDOUT) + mf_output_size(output, MF_STDERR) <= INLINE_BYTES);
}

/*
 * Puts small output into the record; large output stays here to be pulled. With a standby all of it
 * stays, as long as it could be asked for again.
 */
void mf_worker_rank_report_ended(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                                 const struct mf_executor_event *event)
{
    bool is_kept;

    attempt->is_inline = is_small(event->output);
    if (worker->heirs.epoch > 0)
        attempt->outcome = malloc(sizeof(*attempt->outcome));
    if (attempt->outcome)
        *attempt->outcome = *event->outcome;
    is_kept = !mf_worker_rank_post_ended(worker, attempt, event->outcome, event->output) ||
              attempt->outcome;
    if (!is_kept || worker->is_resetting) {
        mf_output_close(event->output);
        mf_worker_rank_forget(worker, attempt);
        return;
    }
    mf_list_remove(&attempt->node);
    attempt->state = MF_ATTEMPT_KEPT;
    attempt->output = event->output;
}

static void heard_ended(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct mf_worker_attempt *attempt = mf_worker_rank_find(worker, event->task, event->attempt);

    if (!attempt) {
        mf_output_close(event->output);
        return;
    }
    if (attempt->state == MF_ATTEMPT_RUNNING)
        give_slots(worker, attempt);
    else if (attempt->state == MF_ATTEMPT_STAGED)
        worker->n_staged--;
    mf_worker_rooms_clear(worker, attempt);
    give_gpus(worker, attempt);
    mf_worker_feeds_give_back(worker, attempt);
    if (!mf_worker_signal_hold(worker, attempt, event))
        mf_worker_rank_report_ended(worker, attempt, event);
}

static void heard_unstaged(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct mf_worker_attempt *attempt = mf_worker_rank_find(worker, event->task, event->attempt);

    if (!attempt || attempt->state != MF_ATTEMPT_STAGED)
        return;
    worker->n_staged--;
    mf_worker_rank_post_simple(worker, MF_MESSAGE_RETURNED, attempt->task, attempt->number);
    mf_worker_rank_forget(worker, attempt);
}

/*
 * Unless it has yielded just now, the farm has long counted on it: what it
 * needs to know is how long it ran.
 */
static void heard_suspended(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    bool is_suspended = event->kind == MF_EXECUTOR_SUSPENDED;
    struct mf_worker_attempt *attempt = mf_worker_rank_find(worker, event->task, event->attempt);
    struct mf_message message = {
        .kind = is_suspended ? MF_MESSAGE_SUSPENDED : MF_MESSAGE_CONTINUED,
        .task = event->task,
        .attempt = event->attempt,
        .ran_ns = event->ran_ns,
    };

    if (!attempt)
        return;
    if (is_suspended && attempt->is_yielding)
        leave_slots(worker, attempt);
    if (is_suspended)
        attempt->ran_ns = event->ran_ns;
    if (is_suspended && attempt->goes_on) {
        attempt->goes_on = false;
        mf_list_push_back(&worker->queue, &attempt->node);
        return;
    }
    mf_worker_rank_post(worker, &message);
}

static void heard_saved(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_SAVED,
        .task = event->task,
        .attempt = event->attempt,
        .payload = event->saved,
        .payload_size = event->saved_size,
    };

    if (mf_worker_rank_find(worker, event->task, event->attempt))
        mf_worker_rank_post(worker, &message);
}

static void heard_renewed(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_RENEWED,
        .payload = (const uint8_t *)event->error->text,
        .payload_size = strlen(event->error->text),
    };

    mf_worker_rank_post(worker, &message);
}

void mf_worker_rank_heard(void *arg, const struct mf_executor_event *event)
{
    struct mf_worker_rank *worker = arg;

    if (mf_worker_hooks_heard(worker, event))
        return;
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
    case MF_EXECUTOR_SUSPENDED:
    case MF_EXECUTOR_CONTINUED:
        heard_suspended(worker, event);
        break;
    case MF_EXECUTOR_SAVED:
        heard_saved(worker, event);
        break;
    case MF_EXECUTOR_RENEWED:
        heard_renewed(worker, event);
        break;
    case MF_EXECUTOR_BROKEN:
        mf_worker_rank_report_broken(worker, event->error->text);
        break;
    }
}
