/*
 * Sending to one peer in one order: see outbox.h.
 *
 * As long as no large body waits, full frames go straight to the transport.
 * Behind one they queue up, as parcels that hold a frame each.
 */
#include "runtime/outbox.h"

#include "base/large.h"
#include "transport/spares.h"
#include "wire/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What the transport may hold of a large body: enough to keep it moving. */
#define WINDOW_BYTES ((uint64_t)4 << 20)

/* The memory of a piece, with its frame and record, can serve the next one. */
_Static_assert(MF_PIECE_BYTES + 128 <= MF_SPARE_BYTES, "a piece is kept");

/* What waits in the queue: a large body, or a frame if data is NULL. */
struct parcel {
    struct mf_list node;
    struct mf_buffer frame;
    uint64_t number;
    bool is_block;
    const uint8_t *data;
    size_t size;
    size_t n_sent;
    void (*release)(void *arg);
    void *release_arg;
};

static struct parcel *parcel_of(struct mf_list *node)
{
    return mf_container_of(node, struct parcel, node);
}

static void release_body(struct parcel *parcel)
{
    if (parcel->data && parcel->release)
        parcel->release(parcel->release_arg);
    parcel->data = NULL;
}

static void destroy_parcel(struct parcel *parcel)
{
    mf_list_remove(&parcel->node);
    release_body(parcel);
    mf_buffer_finish(&parcel->frame);
    free(parcel);
}

void mf_outbox_init(struct mf_outbox *outbox, struct mf_transport *transport, uint32_t peer)
{
    *outbox = (struct mf_outbox){.transport = transport, .peer = peer};
    mf_list_init(&outbox->queue);
}

void mf_outbox_finish(struct mf_outbox *outbox)
{
    while (!mf_list_is_empty(&outbox->queue))
        destroy_parcel(parcel_of(outbox->queue.next));
    mf_buffer_finish(&outbox->frame);
}

static void send_frame(struct mf_outbox *outbox, struct mf_buffer *frame)
{
    int r = outbox->error;

    if (r == 0)
        r = mf_transport_send(outbox->transport, outbox->peer, frame);
    if (r < 0) {
        outbox->error = r;
        mf_buffer_clear(frame);
    }
}

/* Sends what was gathered, or queues it behind the large body that waits. */
static void dispatch(struct mf_outbox *outbox)
{
    struct parcel *parcel;

    if (mf_list_is_empty(&outbox->queue)) {
        send_frame(outbox, &outbox->frame);
        return;
    }
    parcel = calloc(1, sizeof(*parcel));
    if (!parcel) {
        outbox->error = -ENOMEM;
        return;
    }
    parcel->frame = outbox->frame;
    outbox->frame = (struct mf_buffer){0};
    mf_list_push_back(&outbox->queue, &parcel->node);
}

struct mf_buffer *mf_outbox_make_room(struct mf_outbox *outbox, size_t n)
{
    if (outbox->frame.size > 0 && outbox->frame.size + n > MF_FRAME_EAGER_BYTES)
        dispatch(outbox);
    return &outbox->frame;
}

int mf_outbox_post_large(struct mf_outbox *outbox, uint64_t number, bool is_block, const void *data,
                         size_t size, void (*release)(void *arg), void *release_arg)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel));

    if (!parcel)
        return -ENOMEM;
    parcel->number = number;
    parcel->is_block = is_block;
    parcel->data = data;
    parcel->size = size;
    parcel->release = release;
    parcel->release_arg = release_arg;
    if (outbox->frame.size > 0)
        dispatch(outbox);
    mf_list_push_back(&outbox->queue, &parcel->node);
    return 0;
}

/* The body of a task that is not sent whole, or NULL. */
static struct parcel *find_body(struct mf_outbox *outbox, uint64_t number)
{
    mf_list_for_each (node, &outbox->queue) {
        struct parcel *parcel = parcel_of(node);

        if (parcel->data && !parcel->is_block && parcel->number == number)
            return parcel;
    }
    return NULL;
}

bool mf_outbox_hand_over(struct mf_outbox *outbox, uint64_t number, void (*release)(void *arg),
                         void *release_arg)
{
    struct parcel *parcel = find_body(outbox, number);

    if (!parcel)
        return false;
    parcel->release = release;
    parcel->release_arg = release_arg;
    return true;
}

void mf_outbox_copy_rest(struct mf_outbox *outbox, uint64_t number)
{
    struct parcel *parcel = find_body(outbox, number);
    uint8_t *copy;

    if (!parcel)
        return;
    /* As long as the whole, so that all places in it stay the same. */
    copy = mf_large_alloc(parcel->size);
    if (!copy) {
        outbox->error = -ENOMEM;
        destroy_parcel(parcel);
        return;
    }
    memcpy(copy + parcel->n_sent, parcel->data + parcel->n_sent, parcel->size - parcel->n_sent);
    release_body(parcel);
    parcel->data = copy;
    parcel->release = free;
    parcel->release_arg = copy;
}

static void send_piece(struct mf_outbox *outbox, struct parcel *parcel)
{
    size_t left = parcel->size - parcel->n_sent;
    size_t n = left < MF_PIECE_BYTES ? left : MF_PIECE_BYTES;
    struct mf_record record = {.kind = MF_RECORD_PIECE, .unit = parcel->number};
    struct mf_buffer frame = mf_transport_spare(outbox->transport);
    size_t offset;

    record.flags = (uint8_t)((parcel->n_sent == 0 ? MF_RECORD_IS_FIRST : 0) |
                             (parcel->is_block ? MF_RECORD_IS_BLOCK : 0));
    offset = mf_record_begin(&frame, &record);
    if (parcel->n_sent == 0)
        mf_buffer_put_u64(&frame, parcel->size);
    mf_buffer_append(&frame, parcel->data + parcel->n_sent, n);
    mf_record_end(&frame, offset);
    send_frame(outbox, &frame);
    mf_buffer_finish(&frame);
    parcel->n_sent += n;
}

static bool takes_piece(const struct mf_outbox *outbox)
{
    return mf_transport_unsent(outbox->transport, outbox->peer) + MF_PIECE_BYTES <= WINDOW_BYTES;
}

/* Sends the first of the queue, or pieces of it; returns whether all of it is sent. */
static bool send_parcel(struct mf_outbox *outbox, struct parcel *parcel, int *did_send)
{
    if (!parcel->data) {
        send_frame(outbox, &parcel->frame);
        *did_send = 1;
        return true;
    }
    while (parcel->n_sent < parcel->size && outbox->error == 0) {
        if (!takes_piece(outbox))
            return false;
        send_piece(outbox, parcel);
        *did_send = 1;
    }
    return true;
}

int mf_outbox_turn(struct mf_outbox *outbox)
{
    int did_send = 0;

    while (!mf_list_is_empty(&outbox->queue) && outbox->error == 0) {
        struct parcel *parcel = parcel_of(outbox->queue.next);

        if (!send_parcel(outbox, parcel, &did_send))
            return outbox->error < 0 ? outbox->error : did_send;
        destroy_parcel(parcel);
    }
    if (outbox->frame.size > 0 || outbox->frame.has_failed) {
        send_frame(outbox, &outbox->frame);
        did_send = 1;
    }
    return outbox->error < 0 ? outbox->error : did_send;
}

bool mf_outbox_is_empty(const struct mf_outbox *outbox)
{
    return mf_list_is_empty(&outbox->queue) && outbox->frame.size == 0;
}

uint32_t mf_outbox_n_waiting(const struct mf_outbox *outbox)
{
    uint32_t n = 0;

    mf_list_for_each (node, &outbox->queue)
        n++;
    return n;
}

bool mf_outbox_has_room(const struct mf_outbox *outbox)
{
    return outbox->error == 0 && mf_list_is_empty(&outbox->queue) && takes_piece(outbox);
}
