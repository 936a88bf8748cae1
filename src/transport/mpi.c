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
 *
 * Ends that were started later are reached by a communicator each, with a ring of its own.
 * MPI_Comm_spawn() waits for the new process to get through MPI_Init(), and for ever if that dies
 * there. It therefore has a thread for itself, and while it is at it nobody else calls MPI, so
 * that MPI_THREAD_SERIALIZED is enough. A thread that does not come back in time is
 * frozen: a signal handler never returns, and MPI goes on without what it was about to do.
 */
#include "transport/transport.h"

#include "base/backoff.h"
#include "base/clock.h"
#include "base/list.h"
#include "transport/backlog.h"
#include "transport/spares.h"

#include <errno.h>
#include <limits.h>
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TAG_SMALL 77
#define TAG_LARGE 78
#define TAG_NUMBER 79 /* of a new end, which it is told */

/* Over shared memory Open MPI sends 4,096 bytes at once, of which 56 are its own. */
#define SMALL_BYTES 4032

/* Small frames are received at multiples of it; an odd number of them spreads over a cache. */
#define CACHE_LINE 64

/* Receives posted ahead; what comes when all are taken waits inside MPI. */
#define RING_SIZE 32
#define SMALL_RING_SIZE 4 /* from a single end */

/* Ends that can be started in the course of a run. */
#define MAX_SPAWNED 256

/* A process that has not got through MPI_Init() by then is given up. Most take half a second, and
 * on a busy node, or where names are slow to be found, several. */
#define SPAWN_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Freezes a thread. No other signal will do: what the process is sent, whatever it is, goes to a
 * thread that does not block it, and may end the process. */
#define FREEZE_SIGNAL (SIGRTMIN + 7)

/* A new end is told its number at once. */
#define NUMBER_TIMEOUT_NS (10 * MF_NS_PER_S)

/* Calls in a row after which all else gets a look although small frames keep coming. */
#define MAX_IN_A_ROW 64

/* A frame that MPI reads from while `request` is active. */
struct transfer {
    struct mf_list node;
    MPI_Request request;
    uint32_t to;
    int tag; /* while it is held */
    struct mf_buffer frame;
};

/* A receive of the ring: a persistent request, and memory that is a part of ring_bytes. */
struct slot {
    MPI_Request request;
    struct mf_buffer frame;
};

/*
 * A communicator, and the receives posted there. Its rank 0 is the end `first`; the ends behind it
 * follow. `bytes` is the memory of the ring.
 */
struct channel {
    MPI_Comm comm;
    uint32_t first;
    struct slot *ring;
    uint32_t n_slots, head;
    uint8_t *bytes;
};

/* A start under way: it is the thread's until is_done. */
struct spawning {
    pthread_t thread;
    char **argv;
    char *host, *dir;
    int64_t deadline_ns;
    atomic_bool is_done;
    int code;
    MPI_Comm comm;
};

/*
 * `large` is what the backlog awaits from this peer, once its receive has begun. `error` is set
 * once a frame to it is lost, 0 or -errno: what follows would be out of order.
 */
struct peer {
    MPI_Request large;
    uint64_t unsent_bytes;
    int error;
};

/*
 * `outgoing` is in the order in which the sends began; `spare` are transfers
 * whose memory, which is not large, can be used again. `lent` is at the caller, and is posted
 * again before anything else. `error` is set once a ring is out of order, and stays. channels[0] is
 * of the ends that there were at the start, n_first in number; each of the others is of one that
 * was started since. `held` are sends that wait for the end of `spawning`. With `is_stuck` a thread
 * was frozen within MPI.
 */
struct mpi_transport {
    struct mf_transport base;
    struct mf_list outgoing;
    struct mf_list spare;
    struct mf_list held;
    struct mf_spares spares;
    struct mf_backlog backlog;
    struct peer *peers;
    struct channel *channels;
    uint32_t n_channels, n_first, next_channel;
    struct spawning *spawning;
    bool is_stuck;
    uint32_t n_in_a_row;
    struct slot *lent;
    int error;
};

static struct mpi_transport *mpi_of(const struct mf_transport *transport)
{
    return mf_container_of(transport, struct mpi_transport, base);
}

/* The channel of an end, and its rank there. */
static const struct channel *channel_of(const struct mpi_transport *mpi, uint32_t end,
                                        int *ret_rank)
{
    const struct channel *channel =
        end < mpi->n_first ? &mpi->channels[0] : &mpi->channels[1 + end - mpi->n_first];

    *ret_rank = (int)(end - channel->first);
    return channel;
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

static void give_back(struct mpi_transport *mpi, struct transfer *transfer)
{
    if (mf_spares_is_large(&transfer->frame))
        mf_spares_put(&mpi->spares, &transfer->frame);
    mf_buffer_clear(&transfer->frame);
    mf_list_push_front(&mpi->spare, &transfer->node);
}

/* --- sending --- */

/* A frame is gone, or lost: then its peer is told no more, and the others as before. */
static void end_send(struct mpi_transport *mpi, struct transfer *transfer, int code)
{
    struct peer *peer = &mpi->peers[transfer->to];

    if (code != MPI_SUCCESS)
        peer->error = -EIO;
    peer->unsent_bytes -= transfer->frame.size;
    give_back(mpi, transfer);
}

/* Takes back the memory of sends that MPI is done with. */
static void reap_sends(struct mpi_transport *mpi)
{
    mf_list_for_each_safe (node, &mpi->outgoing) {
        struct transfer *transfer = transfer_of(node);
        int is_done, code = MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE);

        if (code == MPI_SUCCESS && !is_done)
            continue;
        mf_list_remove(node);
        end_send(mpi, transfer, code);
    }
}

/* Until MPI can be called again. */
static int hold(struct mpi_transport *mpi, struct transfer *transfer, uint32_t to, int tag,
                struct mf_buffer *frame)
{
    struct mf_buffer recycled = transfer->frame;

    transfer->frame = *frame;
    transfer->to = to;
    transfer->tag = tag;
    *frame = recycled;
    mpi->peers[to].unsent_bytes += transfer->frame.size;
    mf_list_push_back(&mpi->held, &transfer->node);
    return 0;
}

/* Sends what was held, in order. */
static void send_held(struct mpi_transport *mpi)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(&mpi->held))) {
        struct transfer *transfer = transfer_of(node);
        int rank, code = MPI_ERR_OTHER;
        const struct channel *channel = channel_of(mpi, transfer->to, &rank);

        if (mpi->peers[transfer->to].error == 0)
            code = MPI_Isend(transfer->frame.data, (int)transfer->frame.size, MPI_BYTE, rank,
                             transfer->tag, channel->comm, &transfer->request);
        if (code == MPI_SUCCESS)
            mf_list_push_back(&mpi->outgoing, &transfer->node);
        else
            end_send(mpi, transfer, code);
    }
}

/*
 * Most frames are small and gone at once, and keep their memory for the next
 * one; else MPI reads from it, and *frame gets recycled memory.
 */
static int start_send(struct mpi_transport *mpi, uint32_t to, int tag, struct mf_buffer *frame)
{
    struct transfer *transfer = take_transfer(mpi);
    const struct channel *channel;
    int is_done = true, rank, code;

    if (!transfer)
        return -ENOMEM;
    if (mpi->spawning)
        return hold(mpi, transfer, to, tag, frame);
    channel = channel_of(mpi, to, &rank);
    code = MPI_Isend(frame->data, (int)frame->size, MPI_BYTE, rank, tag, channel->comm,
                     &transfer->request);
    if (code == MPI_SUCCESS)
        code = MPI_Test(&transfer->request, &is_done, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS || is_done) {
        if (mf_spares_is_large(frame))
            mf_spares_put(&mpi->spares, frame);
        mf_buffer_clear(frame);
        give_back(mpi, transfer);
        return code == MPI_SUCCESS ? 0 : (mpi->peers[to].error = -EIO);
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
    if (mpi->peers[to].error < 0)
        return mpi->peers[to].error;
    if (frame->size <= SMALL_BYTES)
        return start_send(mpi, to, TAG_SMALL, frame);
    r = start_send(mpi, to, TAG_SMALL, &announcement);
    mf_buffer_finish(&announcement);
    return r < 0 ? r : start_send(mpi, to, TAG_LARGE, frame);
}

static struct mf_buffer mpi_spare(struct mf_transport *transport)
{
    return mf_spares_take(&mpi_of(transport)->spares);
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
    int is_there, size, rank;
    const struct channel *channel = channel_of(mpi, from, &rank);

    if (MPI_Improbe(rank, TAG_LARGE, channel->comm, &is_there, &message, &status) != MPI_SUCCESS)
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

/* Lends out the first small frame of a channel that need not wait for a large one: 1, 0 or
 * -errno. */
static int lend_small(struct mpi_transport *mpi, struct channel *channel, uint32_t *ret_from,
                      const struct mf_buffer **ret_frame)
{
    for (uint32_t i = 0; i < channel->n_slots; i++) {
        struct slot *slot = &channel->ring[channel->head];
        MPI_Status status;
        uint32_t from;
        int is_done, size, r;

        if (MPI_Test(&slot->request, &is_done, &status) != MPI_SUCCESS)
            return mpi->error = -EIO;
        if (!is_done)
            return 0;
        channel->head = (channel->head + 1) % channel->n_slots;
        MPI_Get_count(&status, MPI_BYTE, &size);
        slot->frame.size = (size_t)size;
        from = channel->first + (uint32_t)status.MPI_SOURCE;
        if (size > 0 && !mf_backlog_has(&mpi->backlog, from)) {
            mpi->lent = slot;
            *ret_from = from;
            *ret_frame = &slot->frame;
            return 1;
        }
        r = put_in_backlog(mpi, from, &slot->frame);
        post(mpi, slot);
        if (r < 0)
            return r;
    }
    return 0;
}

/* All channels in turn, so that none keeps the others waiting. */
static int lend_any(struct mpi_transport *mpi, uint32_t *ret_from,
                    const struct mf_buffer **ret_frame)
{
    int r = 0;

    for (uint32_t n = 0; n < mpi->n_channels && r == 0; n++) {
        r = lend_small(mpi, &mpi->channels[mpi->next_channel], ret_from, ret_frame);
        if (++mpi->next_channel == mpi->n_channels)
            mpi->next_channel = 0;
    }
    return r;
}

/* What need not be looked at for each small frame. */
static int move_rest(struct mpi_transport *mpi)
{
    int r = mf_backlog_move(&mpi->backlog, move_large, mpi);

    mpi->n_in_a_row = 0;
    if (r == 0)
        reap_sends(mpi);
    return r;
}

static bool is_anything_under_way(const struct mpi_transport *mpi)
{
    return !mf_list_is_empty(&mpi->outgoing) || !mf_list_is_empty(&mpi->backlog.waiting);
}

/* The backlog comes first: it is older than what the ring has. Most looks find nothing, and nothing
 * else to do: the shorter they are, the sooner a frame is seen. */
static int look(struct mpi_transport *mpi, uint32_t *ret_from, const struct mf_buffer **ret_frame)
{
    int r = mf_backlog_take(&mpi->backlog, ret_from, ret_frame);

    if (r == 0)
        r = lend_any(mpi, ret_from, ret_frame);
    if (r != 0 || !is_anything_under_way(mpi))
        return r;
    r = move_rest(mpi);
    return r == 0 ? mf_backlog_take(&mpi->backlog, ret_from, ret_frame) : r;
}

static int mpi_receive(struct mf_transport *transport, uint32_t *ret_from,
                       const struct mf_buffer **ret_frame)
{
    struct mpi_transport *mpi = mpi_of(transport);
    int r;

    if (mpi->spawning)
        return 0;
    take_back(mpi);
    r = mpi->error;
    if (r == 0 && mpi->n_in_a_row++ >= MAX_IN_A_ROW)
        r = move_rest(mpi);
    if (r == 0)
        r = look(mpi, ret_from, ret_frame);
    for (uint32_t n = 1; r == 0 && n < transport->n_looks; n++) {
        mf_relax();
        r = look(mpi, ret_from, ret_frame);
    }
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

    for (;;) {
        reap_sends(mpi);
        if (mf_list_is_empty(&mpi->outgoing) || mf_clock_monotonic_ns() >= deadline_ns)
            return;
        nanosleep(&nap, NULL);
    }
}

/* All calls are local: they wait for nobody. */
static void close_channel(struct mpi_transport *mpi, struct channel *channel)
{
    for (uint32_t i = 0; i < channel->n_slots && !mpi->is_stuck; i++) {
        struct slot *slot = &channel->ring[i];

        if (slot->request == MPI_REQUEST_NULL)
            continue;
        if (slot != mpi->lent)
            MPI_Cancel(&slot->request);
        MPI_Request_free(&slot->request);
    }
    /* MPI_Finalize() would wait for the other end of one that is still there. */
    if (!mpi->is_stuck && channel->comm != MPI_COMM_WORLD && channel->comm != MPI_COMM_NULL)
        MPI_Comm_free(&channel->comm);
}

static void free_channels(struct mpi_transport *mpi)
{
    for (uint32_t i = 0; i < mpi->n_channels; i++) {
        free(mpi->channels[i].ring);
        free(mpi->channels[i].bytes);
    }
    free(mpi->channels);
}

static int fill_ring(struct mpi_transport *mpi, struct channel *channel)
{
    for (uint32_t i = 0; i < channel->n_slots && mpi->error == 0; i++) {
        struct slot *slot = &channel->ring[i];

        slot->frame.data = channel->bytes + (size_t)i * SMALL_BYTES;
        if (MPI_Recv_init(slot->frame.data, SMALL_BYTES, MPI_BYTE, MPI_ANY_SOURCE, TAG_SMALL,
                          channel->comm, &slot->request) != MPI_SUCCESS)
            return -EIO;
        post(mpi, slot);
    }
    return mpi->error;
}

/* Adds a channel, for which there is room. Returns 0 or -errno. */
static int open_channel(struct mpi_transport *mpi, MPI_Comm comm, uint32_t first, uint32_t n_slots)
{
    struct channel *channel = &mpi->channels[mpi->n_channels];

    *channel = (struct channel){.comm = comm, .first = first, .n_slots = n_slots};
    MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    channel->ring = calloc(n_slots, sizeof(*channel->ring));
    channel->bytes = aligned_alloc(CACHE_LINE, (size_t)n_slots * SMALL_BYTES);
    mpi->n_channels++;
    for (uint32_t i = 0; channel->ring && i < n_slots; i++)
        channel->ring[i].request = MPI_REQUEST_NULL;
    if (!channel->ring || !channel->bytes) {
        channel->n_slots = 0;
        return -ENOMEM;
    }
    return fill_ring(mpi, channel);
}

/* --- starting more ends --- */

static int mpi_fail(int code, const char *what, struct mf_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;

    MPI_Error_string(code, text, &length);
    return mf_error_set(err, -EIO, "%s: %s", what, text);
}

static void free_spawning(struct spawning *spawning)
{
    for (char **arg = spawning->argv; arg && *arg; arg++)
        free(*arg);
    free(spawning->argv);
    free(spawning->host);
    free(spawning->dir);
    free(spawning);
}

static int copy_words(char **argv, char ***ret_copy)
{
    size_t n = 0;

    while (argv[n])
        n++;
    *ret_copy = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; *ret_copy && i < n; i++)
        if (!((*ret_copy)[i] = strdup(argv[i])))
            return -ENOMEM;
    return *ret_copy ? 0 : -ENOMEM;
}

static int copy_spawn(const struct mf_spawn *spawn, struct spawning **ret_spawning)
{
    struct spawning *spawning = calloc(1, sizeof(*spawning));

    if (!spawning)
        return -ENOMEM;
    spawning->host = strdup(spawn->host);
    spawning->dir = strdup(spawn->dir);
    if (copy_words(spawn->argv, &spawning->argv) < 0 || !spawning->host || !spawning->dir) {
        free_spawning(spawning);
        return -ENOMEM;
    }
    *ret_spawning = spawning;
    return 0;
}

/* In a thread of its own, while nobody else calls MPI. */
static void *spawn_in_thread(void *arg)
{
    struct spawning *spawning = arg;
    MPI_Info info;
    int code;

    MPI_Info_create(&info);
    MPI_Info_set(info, "host", spawning->host);
    MPI_Info_set(info, "wdir", spawning->dir);
    MPI_Info_set(info, "bind_to", "none");
    spawning->code = MPI_Comm_spawn(spawning->argv[0], spawning->argv + 1, 1, info, 0,
                                    MPI_COMM_SELF, &spawning->comm, &code);
    MPI_Info_free(&info);
    atomic_store(&spawning->is_done, true);
    return NULL;
}

_Noreturn static void stay_here(int number)
{
    for (;;)
        pause();
}

/* Signals of the process are not for it, but for the one that freezes it. */
static int start_thread(struct spawning *spawning)
{
    struct sigaction action = {.sa_handler = stay_here};
    sigset_t blocked, before;
    int r;

    sigfillset(&action.sa_mask);
    sigaction(FREEZE_SIGNAL, &action, NULL);
    sigfillset(&blocked);
    sigdelset(&blocked, FREEZE_SIGNAL);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    r = -pthread_create(&spawning->thread, NULL, spawn_in_thread, spawning);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

static int mpi_spawn(struct mf_transport *transport, const struct mf_spawn *spawn)
{
    struct mpi_transport *mpi = mpi_of(transport);
    int r;

    if (mpi->spawning)
        return -EBUSY;
    if (transport->size >= transport->max_size)
        return -ENOSPC;
    take_back(mpi);
    r = copy_spawn(spawn, &mpi->spawning);
    if (r < 0)
        return r;
    mpi->spawning->deadline_ns = mf_clock_monotonic_ns() + SPAWN_TIMEOUT_NS;
    r = start_thread(mpi->spawning);
    if (r < 0) {
        free_spawning(mpi->spawning);
        mpi->spawning = NULL;
    }
    return r;
}

/* Whatever it waits for may come, and it would call MPI while others do. */
static void freeze(struct mpi_transport *mpi)
{
    pthread_kill(mpi->spawning->thread, FREEZE_SIGNAL);
    pthread_detach(mpi->spawning->thread);
    /* It may still read what it was given, so that this stays. */
    mpi->spawning = NULL;
    mpi->is_stuck = true;
}

/* The new end gets its number, and a place among the others. */
static int adopt(struct mpi_transport *mpi, MPI_Comm comm, uint32_t *ret_number)
{
    uint32_t number = mpi->base.size;
    struct mf_buffer frame = {0};
    int r = open_channel(mpi, comm, number, SMALL_RING_SIZE);

    mpi->base.size++;
    mf_buffer_put_u32(&frame, number);
    if (r == 0)
        r = start_send(mpi, number, TAG_NUMBER, &frame);
    mf_buffer_finish(&frame);
    *ret_number = number;
    return r < 0 ? r : 1;
}

static int mpi_spawned(struct mf_transport *transport, uint32_t *ret_number, struct mf_error *err)
{
    struct mpi_transport *mpi = mpi_of(transport);
    struct spawning *spawning = mpi->spawning;
    int code, r;

    if (!spawning)
        return 0;
    if (!atomic_load(&spawning->is_done)) {
        if (mf_clock_monotonic_ns() < spawning->deadline_ns)
            return 0;
        freeze(mpi);
        send_held(mpi);
        return mf_error_set(err, -ETIMEDOUT, "the new process did not come up in time");
    }
    pthread_join(spawning->thread, NULL);
    code = spawning->code;
    mpi->spawning = NULL;
    send_held(mpi);
    if (code != MPI_SUCCESS)
        r = mpi_fail(code, "MPI_Comm_spawn", err);
    else
        r = adopt(mpi, spawning->comm, ret_number);
    if (r < 0 && code == MPI_SUCCESS)
        mf_error_set(err, r, "the new process cannot be reached: %s", strerror(-r));
    free_spawning(spawning);
    return r;
}

/* One that was started by another end waits for its number; not for ever. */
static int await_number(MPI_Comm parent, uint32_t *ret_number, struct mf_error *err)
{
    const int64_t deadline_ns = mf_clock_monotonic_ns() + NUMBER_TIMEOUT_NS;
    const struct timespec nap = {.tv_nsec = MF_NS_PER_MS};
    uint8_t bytes[4];
    struct mf_reader reader;
    int is_there = 0, code;

    MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN);
    do {
        code = MPI_Iprobe(0, TAG_NUMBER, parent, &is_there, MPI_STATUS_IGNORE);
        if (code != MPI_SUCCESS)
            return mpi_fail(code, "MPI_Iprobe", err);
        if (!is_there)
            nanosleep(&nap, NULL);
    } while (!is_there && mf_clock_monotonic_ns() < deadline_ns);
    if (!is_there)
        return mf_error_set(err, -ETIMEDOUT, "the farm that started this process is silent");
    code = MPI_Recv(bytes, sizeof(bytes), MPI_BYTE, 0, TAG_NUMBER, parent, MPI_STATUS_IGNORE);
    if (code != MPI_SUCCESS)
        return mpi_fail(code, "MPI_Recv", err);
    reader = mf_reader_over(bytes, sizeof(bytes));
    *ret_number = mf_reader_get_u32(&reader);
    return *ret_number > 0 ? 0 : mf_error_set(err, -EPROTO, "this process has no number");
}

/* --- life --- */

static void mpi_destroy(struct mf_transport *transport)
{
    struct mpi_transport *mpi = mpi_of(transport);

    if (mpi->spawning)
        freeze(mpi);
    if (!mpi->is_stuck)
        drain_sends(mpi);
    for (uint32_t i = 0; i < mpi->n_channels; i++)
        close_channel(mpi, &mpi->channels[i]);
    /* It waits for all ranks, also for dead ones. Without it this was the last call of MPI. */
    if (!transport->has_losses && !mpi->is_stuck)
        MPI_Finalize();
    /* Only now is MPI surely done with the memory of unfinished transfers. */
    free_transfers(&mpi->outgoing);
    free_transfers(&mpi->spare);
    free_transfers(&mpi->held);
    mf_backlog_finish(&mpi->backlog);
    mf_spares_finish(&mpi->spares);
    free(mpi->peers);
    free_channels(mpi);
    free(mpi);
}

static const struct mf_transport_ops mpi_ops = {
    .send = mpi_send,
    .receive = mpi_receive,
    .spare = mpi_spare,
    .unsent = mpi_unsent,
    .spawn = mpi_spawn,
    .spawned = mpi_spawned,
    .destroy = mpi_destroy,
};

static int start(struct mpi_transport *mpi, MPI_Comm comm)
{
    uint32_t n_ends = mpi->base.max_size;
    int r = mf_backlog_init(&mpi->backlog, n_ends, &mpi->spares);

    mf_list_init(&mpi->outgoing);
    mf_list_init(&mpi->spare);
    mf_list_init(&mpi->held);
    mpi->peers = calloc(n_ends, sizeof(*mpi->peers));
    mpi->channels = calloc(1 + n_ends - mpi->n_first, sizeof(*mpi->channels));
    if (r < 0 || !mpi->peers || !mpi->channels)
        return -ENOMEM;
    return open_channel(mpi, comm, 0, RING_SIZE);
}

/* Who this end is, and who there are: those of its own start, or the one that started it. */
static int find_ends(struct mpi_transport *mpi, MPI_Comm *ret_comm, struct mf_error *err)
{
    MPI_Comm parent;
    uint32_t number;
    int rank, size, r;

    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_get_parent(&parent);
    mpi->base = (struct mf_transport){.ops = &mpi_ops};
    if (parent == MPI_COMM_NULL) {
        *ret_comm = MPI_COMM_WORLD;
        mpi->base.rank = (uint32_t)rank;
        mpi->base.size = mpi->n_first = (uint32_t)size;
        mpi->base.max_size = (uint32_t)size + (rank == 0 ? MAX_SPAWNED : 0);
        return 0;
    }
    r = await_number(parent, &number, err);
    if (r < 0)
        return r;
    *ret_comm = parent;
    mpi->base.rank = number;
    mpi->base.is_spawned = true;
    mpi->base.size = mpi->base.max_size = mpi->n_first = number + 1;
    return 0;
}

bool mf_transport_mpi_is_used(void)
{
    int is_used = 0;

    MPI_Initialized(&is_used);
    return is_used;
}

int mf_transport_mpi_create(int *argc, char ***argv, enum mf_mpi_threads threads,
                            struct mf_transport **ret_transport, struct mf_error *err)
{
    static const int levels[] = {
        [MF_MPI_ALONE] = MPI_THREAD_SINGLE,
        [MF_MPI_THREADS] = MPI_THREAD_FUNNELED,
        [MF_MPI_SPAWNS] = MPI_THREAD_SERIALIZED,
    };
    struct mpi_transport *mpi;
    MPI_Comm comm;
    int code, r, provided;

    if (mf_transport_mpi_is_used())
        return mf_error_set(err, -EALREADY, "MPI is initialised already");
    mpi = calloc(1, sizeof(*mpi));
    if (!mpi)
        return mf_error_set(err, -ENOMEM, "out of memory");
    code = MPI_Init_thread(argc, argv, levels[threads], &provided);
    if (code != MPI_SUCCESS) {
        free(mpi);
        return mpi_fail(code, "MPI_Init", err);
    }
    r = find_ends(mpi, &comm, err);
    if (r < 0) {
        MPI_Finalize();
        free(mpi);
        return r;
    }
    r = start(mpi, comm);
    if (r < 0) {
        mpi_destroy(&mpi->base);
        return mf_error_set(err, r, "the transport cannot start: %s", strerror(-r));
    }
    *ret_transport = &mpi->base;
    return 0;
}

void mf_transport_mpi_abort(int status)
{
    MPI_Abort(MPI_COMM_WORLD, status);
}
