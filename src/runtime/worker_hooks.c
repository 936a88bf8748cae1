/*
 * Commands that a worker runs once: those for the start before its first task, those for the
 * end between its last task and its BYE. They have numbers of their own in place of tasks, and
 * the executor runs them as it runs commands of tasks. Runs in the rank's only thread.
 */
#include "runtime/worker_private.h"

#include "base/clock.h"
#include "runtime/node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Longer than copying what the tasks need should take, and than removing it. */
#define START_TIMEOUT_NS (3600 * MF_NS_PER_S)
#define STOP_TIMEOUT_NS (600 * MF_NS_PER_S)

/* Well before the scheduler gives a worker up that leaves. */
#define BUSY_NS (5 * MF_NS_PER_S)

/* What of each stream is told; it is for reading, not for programs. */
#define TOLD_BYTES ((uint64_t)16 * 1024)

/* Hooks count down from the largest number, which no task has. */
#define FIRST_HOOK_TASK UINT64_MAX

static bool is_hook(const struct mf_worker_rank *worker, mf_task_id task)
{
    return worker->hooks.n > 0 && task > FIRST_HOOK_TASK - worker->hooks.n;
}

/* --- the list --- */

static int read_list(struct mf_worker_hooks *hooks, size_t size)
{
    struct mf_reader reader = mf_reader_over(hooks->list, size);

    while (reader.left > 0 && !reader.has_failed) {
        struct mf_worker_hook *hook = &hooks->items[hooks->n];

        hook->command = mf_node_get_hook(&reader, &hook->is_stop, &hook->size);
        hooks->n += !reader.has_failed;
    }
    return reader.has_failed ? -EBADMSG : 0;
}

int mf_worker_hooks_take(struct mf_worker_rank *worker, const struct mf_message *message)
{
    struct mf_worker_hooks *hooks = &worker->hooks;

    /* A scheduler that has taken over does not know who has them. */
    if (hooks->list)
        return worker->heirs.epoch > 0 ? 0 : -EPROTO;
    hooks->list = malloc(message->payload_size ? message->payload_size : 1);
    /* Each takes more than a byte. */
    hooks->items = calloc(message->payload_size + 1, sizeof(*hooks->items));
    if (!hooks->list || !hooks->items)
        return -ENOMEM;
    memcpy(hooks->list, message->payload, message->payload_size);
    return read_list(hooks, message->payload_size);
}

void mf_worker_hooks_finish(struct mf_worker_rank *worker)
{
    free(worker->hooks.list);
    free(worker->hooks.items);
    worker->hooks = (struct mf_worker_hooks){0};
}

/* --- telling --- */

/* The beginning of each stream; what cannot be read is not told. */
static void put_output(const struct mf_output *output, struct mf_message *message,
                       struct mf_buffer *bytes)
{
    for (int i = 0; i < MF_N_STREAMS && output; i++) {
        uint64_t size = mf_output_size(output, (enum mf_stream)i);
        ssize_t n = -1;

        if (size > TOLD_BYTES)
            size = TOLD_BYTES;
        if (mf_buffer_reserve(bytes, size) == 0)
            n = mf_output_read(output, (enum mf_stream)i, 0, bytes->data + bytes->size, size);
        if (n <= 0)
            continue;
        bytes->size += (size_t)n;
        message->size[i] = (uint64_t)n;
    }
    message->payload = bytes->data;
    message->payload_size = bytes->size;
}

static void tell_end(struct mf_worker_rank *worker, uint32_t number,
                     const struct mf_outcome *outcome, const struct mf_output *output)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_HOOKED, .task = number, .outcome = *outcome, .is_inline = true};
    struct mf_buffer bytes = {0};

    put_output(output, &message, &bytes);
    mf_worker_rank_post(worker, &message);
    mf_buffer_finish(&bytes);
}

/* --- running --- */

static int start(struct mf_worker_rank *worker, uint32_t number)
{
    const struct mf_worker_hook *hook = &worker->hooks.items[number];
    uint32_t *slots = calloc(worker->n_slots, sizeof(*slots));
    struct mf_start start = {
        .task = FIRST_HOOK_TASK - number,
        .attempt = 1,
        .try_number = 1,
        .n_slots = worker->n_slots,
        .slots = slots,
        .timeout_ns = hook->is_stop ? STOP_TIMEOUT_NS : START_TIMEOUT_NS,
        .command = hook->command,
        .command_size = hook->size,
    };
    int r = -ENOMEM;

    if (!slots)
        return r;
    for (uint32_t i = 0; i < worker->n_slots; i++)
        slots[i] = i;
    r = worker->executor->ops->start(worker->executor, &start);
    free(slots);
    return r;
}

static void refuse(struct mf_worker_rank *worker, uint32_t number, int r)
{
    struct mf_outcome outcome = {.cause = MF_CAUSE_START, .exit_status = 126};

    strncpy(outcome.detail, strerror(-r), sizeof(outcome.detail) - 1);
    tell_end(worker, number, &outcome, NULL);
}

/* Begins the next one for what is being done now, if there is one. */
static void start_next(struct mf_worker_rank *worker)
{
    struct mf_worker_hooks *hooks = &worker->hooks;

    while (!hooks->is_running && hooks->next < hooks->n) {
        uint32_t number = hooks->next++;
        int r;

        if (hooks->is_hurried || hooks->items[number].is_stop != hooks->is_stopping)
            continue;
        hooks->running = number;
        hooks->is_running = true;
        r = start(worker, number);
        if (r == 0)
            continue;
        hooks->is_running = false;
        refuse(worker, number, r);
    }
}

static bool are_tasks_left(const struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(worker->attempts, &cursor, NULL, &place))
        if (mf_worker_attempt_has_begun(*(struct mf_worker_attempt **)place))
            return true;
    return false;
}

void mf_worker_hooks_turn(struct mf_worker_rank *worker)
{
    struct mf_worker_hooks *hooks = &worker->hooks;

    if (hooks->is_stopping && worker->now_ns >= hooks->next_busy_ns) {
        mf_worker_rank_post_simple(worker, MF_MESSAGE_BUSY, 0, 0);
        hooks->next_busy_ns = worker->now_ns + BUSY_NS;
    }
    if (!hooks->is_running && !(hooks->is_stopping && are_tasks_left(worker)))
        start_next(worker);
}

bool mf_worker_hooks_let_work(const struct mf_worker_rank *worker)
{
    const struct mf_worker_hooks *hooks = &worker->hooks;

    return !hooks->is_stopping && !hooks->is_running && hooks->next == hooks->n;
}

/* Whether the one that ran is to be begun again where its launcher has died: it has not failed. */
static bool is_still_due(const struct mf_worker_hooks *hooks)
{
    return !hooks->is_hurried && hooks->items[hooks->running].is_stop == hooks->is_stopping;
}

bool mf_worker_hooks_heard(struct mf_worker_rank *worker, const struct mf_executor_event *event)
{
    if (event->kind == MF_EXECUTOR_BROKEN || event->kind == MF_EXECUTOR_RENEWED ||
        !is_hook(worker, event->task))
        return false;
    if (event->kind == MF_EXECUTOR_ENDED) {
        worker->hooks.is_running = false;
        if (event->outcome->cause == MF_CAUSE_LAUNCHER && is_still_due(&worker->hooks)) {
            worker->hooks.next = worker->hooks.running;
            return true;
        }
        tell_end(worker, (uint32_t)(FIRST_HOOK_TASK - event->task), event->outcome, event->output);
        mf_output_close(event->output);
    }
    return true;
}

/* --- leaving --- */

static void end_hook(struct mf_worker_rank *worker)
{
    if (worker->hooks.is_running)
        worker->executor->ops->end(worker->executor, FIRST_HOOK_TASK - worker->hooks.running, 1,
                                   MF_CAUSE_STOPPED);
}

void mf_worker_hooks_stop(struct mf_worker_rank *worker)
{
    struct mf_worker_hooks *hooks = &worker->hooks;

    if (hooks->n == 0 || worker->is_broken)
        return;
    end_hook(worker);
    hooks->is_hurried = hooks->is_stopping;
    if (hooks->is_stopping)
        return;
    hooks->is_stopping = true;
    hooks->next = 0;
    mf_worker_rank_each_attempt(worker, mf_worker_rank_end_begun);
}

bool mf_worker_hooks_are_left(const struct mf_worker_rank *worker)
{
    const struct mf_worker_hooks *hooks = &worker->hooks;

    if (!hooks->is_stopping || worker->is_broken)
        return false;
    return hooks->is_running || hooks->next < hooks->n || are_tasks_left(worker);
}

int64_t mf_worker_hooks_next_ns(const struct mf_worker_rank *worker)
{
    return worker->hooks.is_stopping ? worker->hooks.next_busy_ns : INT64_MAX;
}
