/*
 * Frames over MPI: nonblocking point-to-point only, one tag, one thread.
 *
 * No call here waits for a peer: a receive is a matched probe and a
 * nonblocking receive, a send stays in a list until MPI is done with its
 * memory. So a rank that dies in the middle of a transfer leaves one request
 * pending, and nobody hangs.
 */
#include "transport/transport.h"

#include "base/clock.h"
#include "base/list.h"

#include <errno.h>
#include <limits.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define TAG 77

/* Most receives in progress; further messages wait inside MPI. */
#define MAX_INCOMING 64

/* A frame that MPI reads from or writes to while `request` is active. */
struct transfer {
    struct mf_list node;
    MPI_Request request;
    uint32_t peer;
    struct mf_buffer frame;
};

/*
 * `outgoing` and `incoming` are in the order in which they began; `spare` are
 * transfers whose memory can be used again; `delivered` is lent to the caller.
 */
struct mpi_transport {
    struct mf_transport base;
    struct mf_list outgoing;
    struct mf_list incoming;
    struct mf_list spare;
    uint32_t n_incoming;
    struct transfer *delivered;
    uint64_t *unsent;
    uint64_t *blocked_in_scan; /* per peer: the scan that found an unfinished receive from it */
    uint64_t scan;
};

static struct mpi_transport *mpi_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct mpi_transport, base);
}

static struct transfer *take_transfer(struct mpi_transport *mpi)
{
    struct mf_list *node = mf_list_pop_front(&mpi->spare);
    struct transfer *transfer;

    if (node)
        return mf_container_of(node, struct transfer, node);
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

/* Takes back the memory of sends that MPI is done with. */
static int reap_sends(struct mpi_transport *mpi)
{
    mf_list_for_each_safe (node, &mpi->outgoing) {
        struct transfer *transfer = mf_container_of(node, struct transfer, node);
        int is_done;

        if (MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return -EIO;
        if (!is_done)
            continue;
        mpi->unsent[transfer->peer] -= transfer->frame.size;
        mf_list_remove(node);
        give_back(mpi, transfer);
    }
    return 0;
}

/* Most frames are small and gone at once: their memory is free for the next one. */
static int note_sent(struct mpi_transport *mpi, struct transfer *transfer)
{
    int is_done;

    if (MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
        is_done = 0;
    if (is_done) {
        give_back(mpi, transfer);
        return 0;
    }
    mpi->unsent[transfer->peer] += transfer->frame.size;
    mf_list_push_back(&mpi->outgoing, &transfer->node);
    return 0;
}

static int mpi_send(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame)
{
    struct mpi_transport *mpi = mpi_of(transport);

    if (mf_buffer_status(frame) < 0)
        return mf_buffer_status(frame);
    if (frame->size == 0)
        return 0;
    if (frame->size > INT_MAX || to >= transport->size)
        return -EINVAL;
    struct transfer *transfer = take_transfer(mpi);
    if (!transfer)
        return -ENOMEM;

    struct mf_buffer recycled = transfer->frame;
    transfer->frame = *frame;
    transfer->peer = to;
    if (MPI_Isend(transfer->frame.data, (int)transfer->frame.size, MPI_BYTE, (int)to, TAG,
                  MPI_COMM_WORLD, &transfer->request) != MPI_SUCCESS) {
        transfer->frame = recycled;
        give_back(mpi, transfer);
        return -EIO;
    }
    *frame = recycled;
    return note_sent(mpi, transfer);
}

/* Begins to receive one message if one is there: 1, 0 or -errno. */
static int begin_receive(struct mpi_transport *mpi)
{
    MPI_Message message;
    MPI_Status status;
    int is_there, size;

    if (MPI_Improbe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &is_there, &message, &status) !=
        MPI_SUCCESS)
        return -EIO;
    if (!is_there)
        return 0;
    MPI_Get_count(&status, MPI_BYTE, &size);
    struct transfer *transfer = take_transfer(mpi);
    if (!transfer)
        return -ENOMEM;
    if (mf_buffer_reserve(&transfer->frame, (size_t)size) < 0) {
        give_back(mpi, transfer);
        return -ENOMEM;
    }
    transfer->peer = (uint32_t)status.MPI_SOURCE;
    transfer->frame.size = (size_t)size;
    if (MPI_Imrecv(transfer->frame.data, size, MPI_BYTE, &message, &transfer->request) !=
        MPI_SUCCESS) {
        give_back(mpi, transfer);
        return -EIO;
    }
    mf_list_push_back(&mpi->incoming, &transfer->node);
    mpi->n_incoming++;
    return 1;
}

/*
 * The first finished receive before which none from the same peer is
 * unfinished. A peer that died in mid-message thus holds up only itself.
 */
static int find_finished(struct mpi_transport *mpi, struct transfer **ret_transfer)
{
    mpi->scan++;
    mf_list_for_each (node, &mpi->incoming) {
        struct transfer *transfer = mf_container_of(node, struct transfer, node);
        int is_done;

        if (mpi->blocked_in_scan[transfer->peer] == mpi->scan)
            continue;
        if (MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE) != MPI_SUCCESS)
            return -EIO;
        if (is_done) {
            *ret_transfer = transfer;
            return 1;
        }
        mpi->blocked_in_scan[transfer->peer] = mpi->scan;
    }
    return 0;
}

static int mpi_receive(struct mf_transport *transport, uint32_t *ret_from,
                       const struct mf_buffer **ret_frame)
{
    struct mpi_transport *mpi = mpi_of(transport);
    struct transfer *transfer;
    int r = 0;

    if (mpi->delivered)
        give_back(mpi, mpi->delivered);
    mpi->delivered = NULL;
    if (mpi->n_incoming < MAX_INCOMING)
        r = begin_receive(mpi);
    /* After a pause the first probe only makes progress, and the second one finds. */
    if (r == 0 && transport->has_slept && mpi->n_incoming < MAX_INCOMING)
        r = begin_receive(mpi);
    transport->has_slept = false;
    if (r < 0)
        return r;
    r = find_finished(mpi, &transfer);
    /* Once a turn, when nothing more is there. */
    if (r == 0)
        return reap_sends(mpi);
    if (r < 0)
        return r;
    mf_list_remove(&transfer->node);
    mpi->n_incoming--;
    mpi->delivered = transfer;
    *ret_from = transfer->peer;
    *ret_frame = &transfer->frame;
    return 1;
}

static uint64_t mpi_unsent(const struct mf_transport *transport, uint32_t to)
{
    return mpi_of(transport)->unsent[to];
}

static void free_transfers(struct mf_list *list)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(list))) {
        struct transfer *transfer = mf_container_of(node, struct transfer, node);
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

static void mpi_destroy(struct mf_transport *transport)
{
    struct mpi_transport *mpi = mpi_of(transport);

    drain_sends(mpi);
    if (mpi->delivered)
        give_back(mpi, mpi->delivered);
    MPI_Finalize();
    /* Only now is MPI surely done with the memory of unfinished transfers. */
    free_transfers(&mpi->outgoing);
    free_transfers(&mpi->incoming);
    free_transfers(&mpi->spare);
    free(mpi->unsent);
    free(mpi->blocked_in_scan);
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
    mf_list_init(&mpi->outgoing);
    mf_list_init(&mpi->incoming);
    mf_list_init(&mpi->spare);
    mpi->unsent = calloc((size_t)size, sizeof(*mpi->unsent));
    mpi->blocked_in_scan = calloc((size_t)size, sizeof(*mpi->blocked_in_scan));
    if (!mpi->unsent || !mpi->blocked_in_scan) {
        mpi_destroy(&mpi->base);
        return mf_error_set(err, -ENOMEM, "out of memory");
    }
    *ret_transport = &mpi->base;
    return 0;
}

void mf_transport_mpi_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}
