/*
 * Tasks that need room on several nodes: the workers of their parts are told to keep it, and to let
 * go of it. Runs in rank 0's only thread.
 *
 *     HOLD      to each worker of a part, as soon as the task is placed
 *     HELD      of each, with the GPUs that it keeps; with the last one the farm has the task sent
 *               to the worker that runs it
 *     LET_GO    to each, once the attempt is over in whatever way
 *
 * What was asked of workers is remembered here, as the farm gives a room back at once: before
 * anything new is sent in a turn, it is asked which attempts have left their rooms, and the workers
 * of these let go of them.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a worker has of an attempt; @gpus  the variable that names its GPUs there (owned), or NULL
 */
struct room {
    mf_worker_id worker;
    char *gpus;
};

/* An attempt, and the n rooms that it has beside its worker's own. */
struct span {
    mf_task_id task;
    uint32_t attempt;
    uint32_t n;
    struct room rooms[];
};

static void free_span(struct span *span)
{
    for (uint32_t i = 0; i < span->n; i++)
        free(span->rooms[i].gpus);
    free(span);
}

static struct span *find(const struct mf_scheduler *scheduler, mf_task_id task)
{
    struct span **found = scheduler->spans ? mf_table_find(scheduler->spans, &task) : NULL;

    return found ? *found : NULL;
}

/* A name that no other attempt of any farm has on these nodes. */
static void print_name(const struct mf_scheduler *scheduler, mf_task_id task, uint32_t attempt,
                       struct mf_buffer *text)
{
    mf_buffer_print(text, "%ld.%" PRIx64 ".%" PRIu64 ".%" PRIu32 "\n", (long)getpid(),
                    (uint64_t)scheduler->created_ns, task, attempt);
}

static void post_hold(struct mf_scheduler *scheduler, const struct mf_change *change,
                      const struct span *span)
{
    struct mf_buffer name = {0};
    struct mf_message message = {
        .kind = MF_MESSAGE_HOLD,
        .task = change->task,
        .attempt = change->attempt,
        .n_slots = change->needs.n_slots,
        .n_gpus = change->needs.n_gpus,
        .mem_bytes = change->needs.mem_bytes,
    };

    print_name(scheduler, change->task, change->attempt, &name);
    message.rooms = name.data;
    message.rooms_size = name.size;
    for (uint32_t i = 0; i < span->n; i++)
        mf_peer_post(mf_peers_find(scheduler, span->rooms[i].worker), &message);
    mf_buffer_finish(&name);
}

/* Remembers an attempt; returns NULL when memory is out. */
static struct span *add(struct mf_scheduler *scheduler, const struct mf_task *task)
{
    uint32_t n = mf_task_n_parts(task);
    struct span *span = malloc(sizeof(*span) + n * sizeof(span->rooms[0]));
    void *place;
    int r = scheduler->spans
                ? 0
                : mf_table_create(sizeof(mf_task_id), sizeof(struct span *), &scheduler->spans);

    if (r == 0 && span)
        r = mf_table_insert(scheduler->spans, &task->id, &place);
    if (r < 0 || !span) {
        free(span);
        return NULL;
    }
    *span = (struct span){.task = task->id, .attempt = task->attempt, .n = n};
    for (uint32_t i = 0; i < n; i++)
        span->rooms[i] = (struct room){.worker = task->parts[i].worker};
    *(struct span **)place = span;
    return span;
}

void mf_spans_hold(struct mf_scheduler *scheduler, const struct mf_change *change)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, change->task);
    const struct span *span = find(scheduler, change->task);

    if (span && span->attempt == change->attempt)
        return;
    span = add(scheduler, task);
    if (span)
        post_hold(scheduler, change, span);
    else
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot place a task on several nodes");
}

/* What stands in a line with the host must not end it. */
static bool is_word(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] == 0x7f)
            return false;
    return true;
}

int mf_spans_on_held(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                     const struct mf_message *message)
{
    struct span *span;

    if (message->payload_size == 0)
        return 0;
    if (!is_word(message->payload, message->payload_size))
        return -EPROTO;
    span = find(scheduler, message->task);
    for (uint32_t i = 0; span && span->attempt == message->attempt && i < span->n; i++) {
        struct room *room = &span->rooms[i];

        if (room->worker != peer->rank || room->gpus)
            continue;
        room->gpus = strndup((const char *)message->payload, message->payload_size);
        if (!room->gpus)
            mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot place a task on several nodes");
    }
    return 0;
}

void mf_spans_print(struct mf_scheduler *scheduler, mf_task_id task, struct mf_buffer *text)
{
    const struct span *span = find(scheduler, task);

    if (!span)
        return;
    print_name(scheduler, task, span->attempt, text);
    for (uint32_t i = 0; i < span->n; i++)
        mf_buffer_print(text, "%s%s%s\n", mf_peers_find(scheduler, span->rooms[i].worker)->host,
                        span->rooms[i].gpus ? " " : "",
                        span->rooms[i].gpus ? span->rooms[i].gpus : "");
}

static bool is_over(const struct mf_scheduler *scheduler, const struct span *span)
{
    const struct mf_task *task = mf_farm_find(scheduler->farm, span->task);

    return !task || task->worker == MF_WORKER_NONE || task->attempt != span->attempt;
}

static void let_go(struct mf_scheduler *scheduler, struct span *span)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_LET_GO, .task = span->task, .attempt = span->attempt};

    for (uint32_t i = 0; i < span->n; i++) {
        struct mf_peer *peer = mf_peers_find(scheduler, span->rooms[i].worker);

        if (peer && peer->state == MF_PEER_UP)
            mf_peer_post(peer, &message);
    }
    mf_table_remove(scheduler->spans, &span->task);
    free_span(span);
}

void mf_spans_turn(struct mf_scheduler *scheduler)
{
    mf_task_id task;

    while ((task = mf_farm_next_left(scheduler->farm)) != 0) {
        struct span *span = find(scheduler, task);

        if (span && is_over(scheduler, span))
            let_go(scheduler, span);
    }
}

void mf_spans_finish(struct mf_scheduler *scheduler)
{
    size_t cursor = 0;
    void *place;

    while (scheduler->spans && mf_table_next(scheduler->spans, &cursor, NULL, &place) == 1)
        free_span(*(struct span **)place);
    mf_table_destroy(scheduler->spans);
}
