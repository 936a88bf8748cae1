/* A network in one process: see t_net.h. */
#include "t_net.h"

#include "base/clock.h"
#include "base/list.h"
#include "wire/message.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* What a frame takes, most often and at most. */
#define USUAL_NS (100 * MF_NS_PER_US)
#define LONGEST_NS (300 * MF_NS_PER_MS)

/* Frames of the dead are repeated for that long. */
#define LONGEST_ECHO_NS (5 * MF_NS_PER_S)

/* Frames of a rank that are remembered, to be repeated after its death. */
#define N_REMEMBERED 4

struct parcel {
    struct mf_list node;
    struct mf_buffer frame;
    int64_t due_ns;
};

/* From one rank to another. */
struct lane {
    struct mf_list parcels;
    int64_t last_due_ns;
};

/*
 * A rank: what is on its way to it from the scheduler, and from it. Of rank 0
 * neither is used.
 */
struct end {
    struct mf_transport base;
    struct t_net *net;
    struct lane to, from;
    struct parcel *lent;
    struct mf_buffer remembered[N_REMEMBERED];
    uint32_t n_sent;
    bool is_dead;
};

struct t_net {
    struct end *ends;
    uint32_t n_ends;
    const int64_t *now_ns;
    struct mf_rng rng;
};

static struct end *end_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct end, base);
}

static struct parcel *parcel_of(struct mf_list *node)
{
    return mf_container_of(node, struct parcel, node);
}

static void free_parcel(struct parcel *parcel)
{
    if (!parcel)
        return;
    mf_buffer_finish(&parcel->frame);
    free(parcel);
}

static int64_t draw_delay_ns(struct t_net *net)
{
    uint64_t longest_ns = mf_rng_below(&net->rng, 20) == 0 ? LONGEST_NS : USUAL_NS;

    return (int64_t)mf_rng_below(&net->rng, longest_ns);
}

/* In order, unless it is said when it arrives. */
static void put(struct t_net *net, struct lane *lane, const struct mf_buffer *frame, int64_t due_ns)
{
    struct parcel *parcel = calloc(1, sizeof(*parcel));

    cr_assert(parcel);
    mf_buffer_append(&parcel->frame, frame->data, frame->size);
    if (due_ns == 0) {
        due_ns = *net->now_ns + draw_delay_ns(net);
        if (due_ns < lane->last_due_ns)
            due_ns = lane->last_due_ns;
        lane->last_due_ns = due_ns;
    }
    parcel->due_ns = due_ns;
    mf_list_push_back(&lane->parcels, &parcel->node);
}

static struct parcel *first_of(const struct lane *lane)
{
    return mf_list_is_empty(&lane->parcels) ? NULL : parcel_of(lane->parcels.next);
}

/* --- sending --- */

/* Where nobody can see its process. */
static void set_node(struct mf_message *message, uint32_t rank)
{
    snprintf(message->host, sizeof(message->host), "node%u", rank);
    message->life = (struct mf_life){.pid = (int32_t)rank, .started = 1};
    snprintf(message->life.boot, sizeof(message->life.boot), "node%u", rank);
}

/* All ranks are on nodes of their own. */
static void move_to_own_node(struct end *end, struct mf_buffer *frame)
{
    struct mf_message message = {0};
    struct mf_buffer moved = {0};
    struct mf_reader reader;

    cr_assert_eq(mf_frame_open(frame->data, frame->size, &reader), 0);
    while (mf_message_decode(&reader, &message) == 1) {
        if (message.kind == MF_MESSAGE_HELLO)
            set_node(&message, end->base.rank);
        mf_message_encode(&message, &moved);
    }
    mf_buffer_finish(frame);
    *frame = moved;
}

static void send_up(struct end *end, struct mf_buffer *frame)
{
    struct mf_buffer *remembered = &end->remembered[end->n_sent % N_REMEMBERED];

    if (end->n_sent++ == 0)
        move_to_own_node(end, frame);
    mf_buffer_clear(remembered);
    mf_buffer_append(remembered, frame->data, frame->size);
    put(end->net, &end->from, frame, 0);
}

static int net_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame)
{
    struct end *end = end_of(transport);
    struct end *peer = transport->rank == 0 ? &end->net->ends[to] : end;
    int r = mf_buffer_status(frame);

    cr_assert(to < end->net->n_ends && to != transport->rank);
    if (r == 0 && frame->size > 0 && !peer->is_dead) {
        if (transport->rank == 0)
            put(end->net, &peer->to, frame, 0);
        else
            send_up(end, frame);
    }
    mf_buffer_clear(frame);
    return r;
}

static uint64_t net_unsent(const struct mf_transport *transport, uint32_t to)
{
    return 0;
}

/* --- receiving --- */

/* The lane to this rank whose first frame is the earliest, and the rank that it comes from. */
static struct lane *find_earliest(const struct t_net *net, uint32_t rank, uint32_t *ret_from)
{
    struct lane *earliest = NULL;

    *ret_from = 0;
    if (rank > 0)
        return first_of(&net->ends[rank].to) ? &net->ends[rank].to : NULL;
    for (uint32_t i = 1; i < net->n_ends; i++) {
        struct lane *lane = &net->ends[i].from;

        if (!first_of(lane) || (earliest && first_of(earliest)->due_ns <= first_of(lane)->due_ns))
            continue;
        earliest = lane;
        *ret_from = i;
    }
    return earliest;
}

static int net_receive(struct mf_transport *transport, uint32_t *ret_from,
                       const struct mf_buffer **ret_frame)
{
    struct end *end = end_of(transport);
    struct lane *lane = find_earliest(end->net, transport->rank, ret_from);

    free_parcel(end->lent);
    end->lent = NULL;
    if (!lane || first_of(lane)->due_ns > *end->net->now_ns)
        return 0;
    end->lent = parcel_of(mf_list_pop_front(&lane->parcels));
    *ret_frame = &end->lent->frame;
    return 1;
}

int64_t t_net_next_ns(const struct t_net *net, uint32_t rank)
{
    uint32_t from;
    const struct lane *lane = find_earliest(net, rank, &from);

    return lane ? first_of(lane)->due_ns : INT64_MAX;
}

/* --- death --- */

static void drop_last(struct lane *lane)
{
    struct mf_list *node = lane->parcels.prev;

    mf_list_remove(node);
    free_parcel(parcel_of(node));
}

void t_net_kill(struct t_net *net, uint32_t rank)
{
    struct end *end = &net->ends[rank];

    end->is_dead = true;
    while (!mf_list_is_empty(&end->to.parcels))
        drop_last(&end->to);
    while (!mf_list_is_empty(&end->from.parcels) && mf_rng_below(&net->rng, 2) == 0)
        drop_last(&end->from);
    for (uint64_t n = mf_rng_below(&net->rng, N_REMEMBERED + 1); n > 0; n--) {
        const struct mf_buffer *frame = &end->remembered[mf_rng_below(&net->rng, N_REMEMBERED)];
        int64_t due_ns = *net->now_ns + (int64_t)mf_rng_below(&net->rng, LONGEST_ECHO_NS);

        if (frame->size > 0)
            put(net, &end->from, frame, due_ns);
    }
}

/* --- life --- */

static const struct mf_transport_ops net_ops = {
    .send = net_send,
    .receive = net_receive,
    .unsent = net_unsent,
};

struct t_net *t_net_create(uint32_t n_ranks, uint64_t seed, const int64_t *now_ns)
{
    struct t_net *net = calloc(1, sizeof(*net));

    cr_assert(net);
    net->ends = calloc(n_ranks, sizeof(*net->ends));
    cr_assert(net->ends);
    net->n_ends = n_ranks;
    net->now_ns = now_ns;
    mf_rng_init(&net->rng, seed);
    for (uint32_t i = 0; i < n_ranks; i++) {
        struct end *end = &net->ends[i];

        end->base = (struct mf_transport){.ops = &net_ops, .rank = i, .size = n_ranks};
        end->net = net;
        mf_list_init(&end->to.parcels);
        mf_list_init(&end->from.parcels);
    }
    return net;
}

static void finish_end(struct end *end)
{
    while (!mf_list_is_empty(&end->to.parcels))
        drop_last(&end->to);
    while (!mf_list_is_empty(&end->from.parcels))
        drop_last(&end->from);
    for (int i = 0; i < N_REMEMBERED; i++)
        mf_buffer_finish(&end->remembered[i]);
    free_parcel(end->lent);
}

void t_net_destroy(struct t_net *net)
{
    for (uint32_t i = 0; i < net->n_ends; i++)
        finish_end(&net->ends[i]);
    free(net->ends);
    free(net);
}

struct mf_transport *t_net_end(struct t_net *net, uint32_t rank)
{
    return &net->ends[rank].base;
}
