/*
 * Frames over MPI: nonblocking point-to-point only, two tags, one thread.
 *
 * Small frames go into a ring of receives posted ahead. MPI matches these in
 * order, and a frame below the eager limit is there once it is matched, so the
 * head of the ring completes first: one MPI_Test looks for a frame. A large
 * frame has a tag of its own, and an empty message among the small ones (no
 * frame is empty) announces it; what its peer sends next waits for it in a
 * backlog.
 *
 * No call here waits for a peer: a large receive is a matched probe and a
 * nonblocking receive, a send stays in a list until MPI is done with its
 * memory. So a rank that dies in the middle of a transfer holds up nobody else.
 */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/list.h"
#include "transport/backlog.h"

#include <errno.h>
#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAG_SMALL 77
#define TAG_LARGE 78

/* Over shared memory Open MPI sends 4,096 bytes at once, of which 56 are its own. */
#define SMALL_BYTES 4032

/* Small frames are received at multiples of it; an odd number of them spreads over a cache. */
#define CACHE_LINE 64

/* Receives posted ahead; what comes when all are taken waits inside MPI. */
#define RING_SIZE 32

/* Calls in a row after which all else gets a look although small frames keep coming. */
#define MAX_IN_A_ROW 64

/* A frame that MPI reads from while `request` is active. */
struct transfer {
    struct mf_list node;
    MPI_Request request;
    uint32_t to;
    struct mf_buffer frame;
};

/* A receive of the ring: a persistent request, and memory that is a part of ring_bytes. */
struct slot {
    MPI_Request request;
    struct mf_buffer frame;
};

/* `large` is what the backlog awaits from this peer, once its receive has begun. */
struct peer {
    MPI_Request large;
    uint64_t unsent_bytes;
};

/*
 * `outgoing` is in the order in which the sends began; `spare` are transfers
 * whose memory can be used again. `lent` is at the caller, and is posted again
 * before anything else. `error` is set once the ring is out of order, and stays.
 */
struct mpi_transport {
    struct mf_transport base;
    struct mf_list outgoing;
    struct mf_list spare;
    struct mf_backlog backlog;
    struct peer *peers;
    struct slot ring[RING_SIZE];
    uint8_t *ring_bytes;
    uint32_t head;
    uint32_t n_in_a_row;
    struct slot *lent;
    int error;
};

static struct mpi_transport *mpi_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct mpi_transport, base);
}

static struct transfer *transfer_of(struct mf_list *node)
{
    return mf_container_of(node, struct transfer, node);
}

static struct transfer *take_transfer(struct mpi_transport *mpi)
{
    struct mf_list *node = mf_list_pop_front(&mpi->spare);
    struct transfer *transfer;

    if (node)
        return transfer_of(node);
    transfer = calloc(1, sizeof(*transfer));
    if (transfer)
        mf_list_init(&transfer->node);
    return transfer;
}

/* Keeps the memory of small frames only: a burst of large ones must not stay. */
static void give_back(struct mpi_transport *mpi, struct transfer *transfer)
{
    if (transfer->frame.capacity > 64 * 1024)
        mf_buffer_finish(&transfer->frame);
    mf_buffer_clear(&transfer->frame);
    mf_list_push_front(&mpi->spare, &transfer->node);
}

/* --- sending --- */

/* Takes back the memory of sends that MPI is done with. */
static int reap_sends(struct mpi_transport *mpi)
{
    mf_list_for_each_safe (node, &mpi->outgoing) {
        struct transfer *transfer = transfer_of(node);
        int is_done;

        if (MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return -EIO;
        if (!is_done)
            continue;
        mpi->peers[transfer->to].unsent_bytes -= transfer->frame.size;
        mf_list_remove(node);
        give_back(mpi, transfer);
    }
    return 0;
}

/*
 * Most frames are small and gone at once, and keep their memory for the next
 * one; else MPI reads from it, and *frame gets recycled memory.
 */
static int start_send(struct mpi_transport *mpi, uint32_t to, int tag, struct mf_buffer *frame)
{
    struct transfer *transfer = take_transfer(mpi);
    int is_done;

    if (!transfer)
        return -ENOMEM;
    if (MPI_Isend(frame->data, (int)frame->size, MPI_BYTE, (int)to, tag, MPI_COMM_WORLD,
                  &transfer->request) != MPI_SUCCESS) {
        give_back(mpi, transfer);
        return -EIO;
    }
    if (MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE) == MPI_SUCCESS && is_done) {
        mf_buffer_clear(frame);
        give_back(mpi, transfer);
        return 0;
    }
    struct mf_buffer recycled = transfer->frame;
    transfer->frame = *frame;
    transfer->to = to;
    *frame = recycled;
    mpi->peers[to].unsent_bytes += transfer->frame.size;
    mf_list_push_back(&mpi->outgoing, &transfer->node);
    return 0;
}

static int mpi_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame)
{
    struct mpi_transport *mpi = mpi_of(transport);
    struct mf_buffer announcement = {0};
    int r;

    if (mf_buffer_status(frame) < 0)
        return mf_buffer_status(frame);
    if (frame->size == 0)
        return 0;
    if (frame->size > INT_MAX || to >= transport->size)
        return -EINVAL;
    if (frame->size <= SMALL_BYTES)
        return start_send(mpi, to, TAG_SMALL, frame);
    r = start_send(mpi, to, TAG_SMALL, &announcement);
    mf_buffer_finish(&announcement);
    return r < 0 ? r : start_send(mpi, to, TAG_LARGE, frame);
}

static uint64_t mpi_unsent(const struct mf_transport *transport, uint32_t to)
{
    return mpi_of(transport)->peers[to].unsent_bytes;
}

/* --- receiving --- */

/* Begins to receive a large frame that was announced: 1, 0 if MPI has not seen it, or -errno. */
static int begin_large(struct mpi_transport *mpi, uint32_t from, struct mf_buffer *frame)
{
    MPI_Message message;
    MPI_Status status;
    int is_there, size;

    if (MPI_Improbe((int)from, TAG_LARGE, MPI_COMM_WORLD, &is_there, &message, &status) !=
        MPI_SUCCESS)
        return -EIO;
    if (!is_there)
        return 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    if (mf_buffer_reserve(frame, (size_t)size) < 0)
        return -ENOMEM;
    frame->size = (size_t)size;
    return MPI_Imrecv(frame->data, size, MPI_BYTE, &message, &mpi->peers[from].large) == MPI_SUCCESS
               ? 1
               : -EIO;
}

static int move_large(void *arg, uint32_t from, struct mf_buffer *frame)
{
    struct mpi_transport *mpi = arg;
    int r = frame->size > 0 ? 1 : begin_large(mpi, from, frame);
    int is_done;

    if (r <= 0)
        return r;
    if (MPI_Test(&mpi->peers[from].large, &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        return -EIO;
    return is_done;
}

/* The ring is posted in order, so after a failure it is of no use. */
static void post(struct mpi_transport *mpi, struct slot *slot)
{
    if (MPI_Start(&slot->request) != MPI_SUCCESS)
        mpi->error = -EIO;
}

/* What was lent to the caller is ours again. */
static void take_back(struct mpi_transport *mpi)
{
    mf_backlog_release(&mpi->backlog);
    if (mpi->lent)
        post(mpi, mpi->lent);
    mpi->lent = NULL;
}

static int put_in_backlog(struct mpi_transport *mpi, uint32_t from, const struct mf_buffer *frame)
{
    if (frame->size == 0)
        return mf_backlog_await(&mpi->backlog, from);
    return mf_backlog_put(&mpi->backlog, from, frame->data, frame->size);
}

/* Lends out the first small frame that need not wait for a large one: 1, 0 or -errno. */
static int lend_small(struct mpi_transport *mpi, uint32_t *ret_from,
                      const struct mf_buffer **ret_frame)
{
    for (int i = 0; i < RING_SIZE; i++) {
        struct slot *slot = &mpi->ring[mpi->head];
        MPI_Status status;
        int is_done, size, r;

        if (MPI_Test(&slot->request, &is_done, &status) != MPI_SUCCESS)
            return mpi->error = -EIO;
        if (!is_done)
            return 0;
        mpi->head = (mpi->head + 1) % RING_SIZE;
        MPI_Get_count(&status, MPI_BYTE, &size);
        slot->frame.size = (size_t)size;
        if (size > 0 && !mf_backlog_has(&mpi->backlog, (uint32_t)status.MPI_SOURCE)) {
            mpi->lent = slot;
            *ret_from = (uint32_t)status.MPI_SOURCE;
            *ret_frame = &slot->frame;
            return 1;
        }
        r = put_in_backlog(mpi, (uint32_t)status.MPI_SOURCE, &slot->frame);
        post(mpi, slot);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What need not be looked at for each small frame. */
static int move_rest(struct mpi_transport *mpi)
{
    int r = mf_backlog_move(&mpi->backlog, move_large, mpi);

    mpi->n_in_a_row = 0;
    return r < 0 ? r : reap_sends(mpi);
}

/* The backlog comes first: it is older than what the ring has. */
static int look(struct mpi_transport *mpi, uint32_t *ret_from, const struct mf_buffer **ret_frame)
{
    int r = mf_backlog_take(&mpi->backlog, ret_from, ret_frame);

    if (r == 0)
        r = lend_small(mpi, ret_from, ret_frame);
    if (r == 0)
        r = move_rest(mpi);
    return r == 0 ? mf_backlog_take(&mpi->backlog, ret_from, ret_frame) : r;
}

static int mpi_receive(struct mf_transport *transport, uint32_t *ret_from,
                       const struct mf_buffer **ret_frame)
{
    struct mpi_transport *mpi = mpi_of(transport);
    int r;

    take_back(mpi);
    r = mpi->error;
    if (r == 0 && mpi->n_in_a_row++ >= MAX_IN_A_ROW)
        r = move_rest(mpi);
    if (r == 0)
        r = look(mpi, ret_from, ret_frame);
    for (uint32_t n = 1; r == 0 && n < transport->n_looks; n++)
        r = look(mpi, ret_from, ret_frame);
    transport->n_looks = 0;
    return r;
}

/* --- life --- */

static void free_transfers(struct mf_list *list)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(list))) {
        struct transfer *transfer = transfer_of(node);
        mf_buffer_finish(&transfer->frame);
        free(transfer);
    }
}

/* The last frames, such as a STOP, must leave before MPI_Finalize. */
static void drain_sends(struct mpi_transport *mpi)
{
    int64_t deadline_ns = mf_clock_monotonic_ns() + MF_NS_PER_S;
    struct timespec nap = {.tv_nsec = 100 * MF_NS_PER_US};

    while (reap_sends(mpi) == 0 && !mf_list_is_empty(&mpi->outgoing) &&
           mf_clock_monotonic_ns() < deadline_ns)
        nanosleep(&nap, NULL);
}

/* Both calls are local: they wait for nobody. */
static void free_ring(struct mpi_transport *mpi)
{
    for (int i = 0; i < RING_SIZE; i++) {
        struct slot *slot = &mpi->ring[i];

        if (slot->request == MPI_REQUEST_NULL)
            continue;
        if (slot != mpi->lent)
            MPI_Cancel(&slot->request);
        MPI_Request_free(&slot->request);
    }
}

static void mpi_destroy(struct mf_transport *transport)
{
    struct mpi_transport *mpi = mpi_of(transport);

    drain_sends(mpi);
    free_ring(mpi);
    /* It waits for all ranks, also for dead ones. Without it this was the last call of MPI. */
    if (!transport->has_losses)
        MPI_Finalize();
    /* Only now is MPI surely done with the memory of unfinished transfers. */
    free_transfers(&mpi->outgoing);
    free_transfers(&mpi->spare);
    mf_backlog_finish(&mpi->backlog);
    free(mpi->peers);
    free(mpi->ring_bytes);
    free(mpi);
}

static const struct mf_transport_ops mpi_ops = {
    .send = mpi_send,
    .receive = mpi_receive,
    .unsent = mpi_unsent,
    .destroy = mpi_destroy,
};

static int mpi_fail(int code, const char *what, struct mf_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;

    MPI_Error_string(code, text, &length);
    return mf_error_set(err, -EIO, "%s: %s", what, text);
}

static int fill_ring(struct mpi_transport *mpi)
{
    for (int i = 0; i < RING_SIZE && mpi->error == 0; i++) {
        struct slot *slot = &mpi->ring[i];

        slot->frame.data = mpi->ring_bytes + (size_t)i * SMALL_BYTES;
        if (MPI_Recv_init(slot->frame.data, SMALL_BYTES, MPI_BYTE, MPI_ANY_SOURCE, TAG_SMALL,
                          MPI_COMM_WORLD, &slot->request) != MPI_SUCCESS)
            return -EIO;
        post(mpi, slot);
    }
    return mpi->error;
}

static int start(struct mpi_transport *mpi)
{
    int r = mf_backlog_init(&mpi->backlog, mpi->base.size);

    mf_list_init(&mpi->outgoing);
    mf_list_init(&mpi->spare);
    for (int i = 0; i < RING_SIZE; i++)
        mpi->ring[i].request = MPI_REQUEST_NULL;
    mpi->peers = calloc(mpi->base.size, sizeof(*mpi->peers));
    mpi->ring_bytes = aligned_alloc(CACHE_LINE, (size_t)RING_SIZE * SMALL_BYTES);
    if (r < 0 || !mpi->peers || !mpi->ring_bytes)
        return -ENOMEM;
    return fill_ring(mpi);
}

int mf_transport_mpi_create(int *argc, char ***argv, struct mf_transport **ret_transport,
                            struct mf_error *err)
{
    struct mpi_transport *mpi;
    int rank, size, code, is_used = 0;

    MPI_Initialized(&is_used);
    if (is_used)
        return mf_error_set(err, -EALREADY, "MPI is initialised already");
    mpi = calloc(1, sizeof(*mpi));
    if (!mpi)
        return mf_error_set(err, -ENOMEM, "out of memory");
    code = MPI_Init(argc, argv);
    if (code != MPI_SUCCESS) {
        free(mpi);
        return mpi_fail(code, "MPI_Init", err);
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    mpi->base =
        (struct mf_transport){.ops = &mpi_ops, .rank = (uint32_t)rank, .size = (uint32_t)size};
    code = start(mpi);
    if (code < 0) {
        mpi_destroy(&mpi->base);
        return mf_error_set(err, code, "the transport cannot start: %s", strerror(-code));
    }
    *ret_transport = &mpi->base;
    return 0;
}

void mf_transport_mpi_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}
