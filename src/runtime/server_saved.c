/*
 * Checkpoints on their way to the scheduler. A function may save as often as it
 * likes, and a scheduler that computes takes nothing in: so only the last one of
 * each call is kept, which replaces one that was not sent, and goes out when what
 * was sent before was taken. Runs in the server's thread, also inside of the
 * caller's turn.
 */
#include "runtime/server_private.h"

#include <stdlib.h>

/* What a call has saved: size bytes of data, owned. */
struct saved {
    struct mf_list node;
    struct mf_server *server;
    uint64_t unit;
    uint32_t attempt;
    uint32_t index;
    uint64_t task;
    uint8_t *data;
    size_t size;
};

static struct saved *find_saved(struct mf_server *server, const struct mf_caller_event *event)
{
    mf_list_for_each (node, &server->saved) {
        struct saved *saved = mf_container_of(node, struct saved, node);

        if (saved->unit == event->unit && saved->attempt == event->attempt)
            return saved;
    }
    return NULL;
}

static void destroy_saved(struct saved *saved)
{
    mf_list_remove(&saved->node);
    free(saved->data);
    free(saved);
}

/* Of one that was given to the outbox. */
static void release(void *arg)
{
    destroy_saved(arg);
}

static void release_and_go_on(void *arg)
{
    struct saved *saved = arg;

    saved->server->is_saving = false;
    destroy_saved(saved);
}

/* Without memory to send it the one before it is as good as can be had. */
static void post_saved(struct saved *saved, void (*release_large)(void *arg))
{
    struct mf_server *server = saved->server;
    struct mf_record record = {.kind = MF_RECORD_CHECKPOINT,
                               .number = saved->index,
                               .unit = saved->unit,
                               .attempt = saved->attempt};

    mf_list_remove(&saved->node);
    if (saved->size <= MF_CALL_LARGE_BYTES) {
        mf_server_post(server, &record, saved->data, saved->size);
    } else if (mf_outbox_post_large(&server->outbox, saved->task, false, saved->data, saved->size,
                                    release_large, saved) == 0) {
        server->is_saving |= release_large == release_and_go_on;
        record.flags = MF_RECORD_IS_LARGE;
        mf_server_post(server, &record, &saved->task, sizeof(saved->task));
        return;
    }
    destroy_saved(saved);
}

void mf_server_save(struct mf_server *server, const struct mf_caller_event *event)
{
    struct saved *saved = find_saved(server, event);

    if (!saved) {
        saved = calloc(1, sizeof(*saved));
        if (!saved) {
            free(event->data);
            return;
        }
        saved->server = server;
        saved->unit = event->unit;
        saved->attempt = event->attempt;
        mf_list_push_back(&server->saved, &saved->node);
    }
    free(saved->data);
    saved->index = event->index;
    saved->task = event->task;
    saved->data = event->data;
    saved->size = event->size;
}

void mf_server_send_saved(struct mf_server *server)
{
    while (!mf_list_is_empty(&server->saved) && mf_outbox_has_room(&server->outbox))
        post_saved(mf_container_of(server->saved.next, struct saved, node), release_and_go_on);
}

/* Whether the first of the calls that these entries are of has failed. */
static bool has_failed(const struct mf_caller_event *event)
{
    struct mf_reader reader = mf_reader_over(event->entries, event->size);
    struct mf_entry_header entry;
    const uint8_t *bytes;

    while (mf_entry_get(&reader, &entry, &bytes) == 1)
        if (entry.kind == MF_ENTRY_RESULT)
            return entry.cause != MPIFARM_CAUSE_NONE;
    return false;
}

void mf_server_settle_saved(struct mf_server *server, const struct mf_caller_event *event)
{
    struct saved *saved = find_saved(server, event);

    if (!saved)
        return;
    if (event->kind == MF_CALLER_ENTRIES && has_failed(event))
        post_saved(saved, release);
    else
        destroy_saved(saved);
}

void mf_server_forget_saved(struct mf_server *server)
{
    while (!mf_list_is_empty(&server->saved))
        destroy_saved(mf_container_of(server->saved.next, struct saved, node));
}
