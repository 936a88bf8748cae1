/*
 * What the scheduler says to a server, record by record. Most of it is handed
 * to the caller. Runs in the server's thread, also inside of the caller's turn.
 */
#include "runtime/server_private.h"

#include "runtime/node.h"
#include "wire/message.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static void refuse_to_work(struct mf_server *server, int error)
{
    struct mf_error err = {0};

    if (error == -ECANCELED)
        mf_error_set(&err, 0, "rank %u: its init hook refused to work", server->rank);
    else
        mf_error_set(&err, 0, "rank %u: its functions cannot be run: %s", server->rank,
                     strerror(-error));
    mf_server_report_broken(server, err.text);
}

static int on_welcome(struct mf_server *server, struct mf_reader *body)
{
    struct mf_welcome welcome;
    int r;

    if (server->is_welcome || !server->caller)
        return -EPROTO;
    server->sharing.n_ranks = mf_reader_get_u32(body);
    server->sharing.n_cores = mf_reader_get_u32(body);
    if (body->has_failed)
        return -EBADMSG;
    r = mf_node_decode_welcome(body->data, body->left, &welcome);
    if (r < 0)
        return r;
    mf_server_say_hooks(server, true);
    r = server->caller->ops->begin(server->caller, server->functions, server->rank, welcome.slots,
                                   welcome.n_slots);
    mf_server_say_hooks(server, false);
    mf_welcome_finish(&welcome);
    if (r < 0)
        refuse_to_work(server, r);
    server->is_welcome = true;
    return 0;
}

/* Checks that the body is as many calls as the record says, of functions that there are. */
static int decode_unit(const struct mf_server *server, const struct mf_record *record,
                       const struct mf_reader *body, struct mf_caller_unit *ret_unit)
{
    struct mf_caller_unit unit = {
        .unit = record->unit,
        .attempt = record->attempt,
        .n_calls = record->number,
        .calls = body->data,
        .size = body->left,
    };
    struct mf_reader reader = *body;
    struct mf_call_header call;
    uint64_t n_alike = 1, n = 0;

    for (; n_alike == 1 && mf_call_skip(&reader, &call, &n_alike); n += n_alike) {
        /* A stretch is alone in its unit. */
        if (call.function >= server->functions->n_items || (n_alike > 1 && n > 0))
            return -EBADMSG;
        unit.has_large |= (call.flags & MF_CALL_IS_LARGE) != 0;
    }
    if (mf_reader_finish(&reader) < 0 || n != record->number || n == 0 || n > MF_CALLS_PER_STRETCH)
        return -EBADMSG;
    *ret_unit = unit;
    return 0;
}

static int on_unit(struct mf_server *server, const struct mf_record *record, struct mf_reader *body)
{
    struct mf_caller_unit unit;
    int r = decode_unit(server, record, body, &unit);

    if (r < 0)
        return r;
    r = server->caller->ops->start(server->caller, &unit);
    /* A large input did not come before it, or is another. */
    if (r == -ENOENT || r == -EPROTO)
        return -EPROTO;
    if (r < 0)
        refuse_to_work(server, r);
    return 0;
}

/* The bytes came in pieces: puts them where the ranks of this node can read them. */
static int store_block(struct mf_server *server, uint64_t block, uint64_t size,
                       struct mf_block_place *ret_place)
{
    uint8_t *data = NULL;
    size_t n = 0;
    int r = mf_inbox_take(server->inbox, block, true, &data, &n);

    if (r == 0 && n == size)
        r = mf_shelf_store(&server->shelf, block, data, n, ret_place);
    else if (r == 0)
        r = -EPROTO;
    free(data);
    return r;
}

static int on_block(struct mf_server *server, const struct mf_record *record,
                    struct mf_reader *body)
{
    struct mf_record stored = {.kind = MF_RECORD_STORED, .unit = record->unit};
    uint64_t size = mf_reader_get_u64(body);
    struct mf_block_place place = {0};
    const uint8_t *raw = record->number == 0 ? mf_reader_get_raw(body, sizeof(place)) : NULL;
    int r = 0;

    if (mf_reader_finish(body) < 0 || size == 0 || record->number > 1)
        return -EBADMSG;
    if (raw)
        memcpy(&place, raw, sizeof(place));
    else
        r = store_block(server, record->unit, size, &place);
    if (r == -ENOENT || r == -EPROTO)
        return -EPROTO;
    if (r == 0)
        r = server->caller->ops->attach(server->caller, (mpifarm_block)record->unit, &place, size);
    if (r < 0)
        mf_shelf_remove(&server->shelf, record->unit);
    stored.number = (uint32_t)-r;
    mf_server_post(server, &stored, &place, sizeof(place));
    return 0;
}

static void on_drop(struct mf_server *server, const struct mf_record *record)
{
    server->caller->ops->drop(server->caller, (mpifarm_block)record->unit);
    mf_shelf_remove(&server->shelf, record->unit);
}

static int on_life(struct mf_server *server, struct mf_reader *body)
{
    struct mf_life life;

    mf_life_decode(body, &life);
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    if (server->sentry) {
        mf_sentry_meet(server->sentry, 0, &life);
        mf_sentry_expect(server->sentry, 0);
    }
    return 0;
}

static int on_stop(struct mf_server *server, const struct mf_record *record, struct mf_reader *body)
{
    struct mf_error reason;

    mf_reader_get_text(body, reason.text, sizeof(reason.text));
    if (mf_reader_finish(body) < 0 || record->unit > INT_MAX)
        return -EBADMSG;
    server->has_losses |= record->number != 0;
    /* It may be told once more, when it is given up. */
    if (server->is_stopping)
        return 0;
    server->is_stopping = true;
    server->stop_code = -(int)record->unit;
    server->stop_reason = reason;
    /* A function that runs is asked to return. */
    if (server->is_turning)
        server->caller->ops->stop(server->caller);
    return 0;
}

static int on_end(struct mf_server *server, const struct mf_record *record, struct mf_reader *body)
{
    if (mf_reader_finish(body) < 0 || record->number > 1)
        return -EBADMSG;
    server->is_over = true;
    server->has_losses |= record->number == 1;
    return 0;
}

static int dispatch(struct mf_server *server, const struct mf_record *record,
                    struct mf_reader *body)
{
    if (record->kind == MF_RECORD_STOP)
        return on_stop(server, record, body);
    if (record->kind == MF_RECORD_END)
        return on_end(server, record, body);
    if (record->kind == MF_RECORD_LIFE)
        return on_life(server, body);
    if (server->is_broken || server->is_stopping)
        return 0;
    if (record->kind == MF_RECORD_WELCOME)
        return on_welcome(server, body);
    if (!server->is_welcome)
        return -EPROTO;
    switch (record->kind) {
    case MF_RECORD_UNIT:
        return on_unit(server, record, body);
    case MF_RECORD_RECALL:
        server->caller->ops->recall(server->caller, record->unit, record->attempt);
        return 0;
    case MF_RECORD_CANCEL:
        server->caller->ops->cancel(server->caller, record->unit, record->attempt, record->number);
        return 0;
    case MF_RECORD_BLOCK:
        return on_block(server, record, body);
    case MF_RECORD_DROP:
        on_drop(server, record);
        return 0;
    case MF_RECORD_PIECE:
        return mf_inbox_put(server->inbox, record, body);
    default:
        return -EPROTO;
    }
}

int mf_server_handle(struct mf_server *server, const struct mf_buffer *frame)
{
    struct mf_reader reader, body;
    struct mf_record record;
    int r = mf_frame_open(frame->data, frame->size, &reader);

    while (r >= 0 && (r = mf_record_next(&reader, &record, &body)) == 1)
        r = dispatch(server, &record, &body);
    return r;
}
