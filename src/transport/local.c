/*
 * Two ends in one process: a queue of frames each way. Memory of delivered
 * frames goes back to the sender, so that a steady state allocates nothing.
 */
#include "transport/transport.h"

#include "base/list.h"

#include <errno.h>
#include <stdlib.h>

/* A frame on its way, or one whose memory waits to be used again. */
struct parcel {
    struct mf_list node;
    struct mf_buffer frame;
};

/*
 * One end. `inbox` and `spare` belong to the receiver; `delivered` is the
 * parcel lent out by the last receive.
 */
struct local_end {
    struct mf_transport base;
    struct local_end *peer;
    struct mf_list inbox;
    struct mf_list spare;
    struct parcel *delivered;
    uint64_t inbox_bytes;
};

static struct local_end *end_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct local_end, base);
}

static struct parcel *take_parcel(struct local_end *end)
{
    struct mf_list *node = mf_list_pop_front(&end->spare);

    if (node)
        return mf_container_of(node, struct parcel, node);
    return calloc(1, sizeof(struct parcel));
}

static int local_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame)
{
    struct local_end *peer = end_of(transport)->peer;

    if (mf_buffer_status(frame) < 0)
        return mf_buffer_status(frame);
    if (frame->size == 0)
        return 0;
    if (!peer)
        return -EPIPE;
    struct parcel *parcel = take_parcel(peer);
    if (!parcel)
        return -ENOMEM;

    struct mf_buffer recycled = parcel->frame;
    parcel->frame = *frame;
    *frame = recycled;
    mf_buffer_clear(frame);
    peer->inbox_bytes += parcel->frame.size;
    mf_list_push_back(&peer->inbox, &parcel->node);
    return 0;
}

static int local_receive(struct mf_transport *transport, uint32_t *ret_from,
                         const struct mf_buffer **ret_frame)
{
    struct local_end *end = end_of(transport);

    if (end->delivered)
        mf_list_push_front(&end->spare, &end->delivered->node);
    end->delivered = NULL;
    struct mf_list *node = mf_list_pop_front(&end->inbox);
    if (!node)
        return 0;
    end->delivered = mf_container_of(node, struct parcel, node);
    end->inbox_bytes -= end->delivered->frame.size;
    *ret_from = 0;
    *ret_frame = &end->delivered->frame;
    return 1;
}

static uint64_t local_unsent(const struct mf_transport *transport, uint32_t to)
{
    const struct local_end *peer = end_of(transport)->peer;

    return peer ? peer->inbox_bytes : 0;
}

static void free_parcels(struct mf_list *list)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(list))) {
        struct parcel *parcel = mf_container_of(node, struct parcel, node);
        mf_buffer_finish(&parcel->frame);
        free(parcel);
    }
}

static void local_destroy(struct mf_transport *transport)
{
    struct local_end *end = end_of(transport);

    if (end->peer)
        end->peer->peer = NULL;
    if (end->delivered)
        mf_list_push_front(&end->spare, &end->delivered->node);
    free_parcels(&end->inbox);
    free_parcels(&end->spare);
    free(end);
}

static const struct mf_transport_ops local_ops = {
    .send = local_send,
    .receive = local_receive,
    .unsent = local_unsent,
    .destroy = local_destroy,
};

static struct local_end *create_end(void)
{
    struct local_end *end = calloc(1, sizeof(*end));

    if (!end)
        return NULL;
    end->base.ops = &local_ops;
    end->base.size = 1;
    mf_list_init(&end->inbox);
    mf_list_init(&end->spare);
    return end;
}

int mf_transport_local_pair(struct mf_transport **ret_scheduler, struct mf_transport **ret_worker)
{
    struct local_end *scheduler = create_end();
    struct local_end *worker = create_end();

    if (!scheduler || !worker) {
        free(scheduler);
        free(worker);
        return -ENOMEM;
    }
    scheduler->peer = worker;
    worker->peer = scheduler;
    *ret_scheduler = &scheduler->base;
    *ret_worker = &worker->base;
    return 0;
}
