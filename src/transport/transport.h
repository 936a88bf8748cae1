/*
 * Moving frames between the scheduler and the workers.
 *
 * One thread per rank uses a transport. Nothing here blocks, so a dead peer
 * can hang nobody; frames from one peer arrive in the order in which it sent
 * them.
 */
#ifndef MF_TRANSPORT_TRANSPORT_H
#define MF_TRANSPORT_TRANSPORT_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_transport;

/** A program to start as one more end. @argv  with its path first and NULL behind */
struct mf_spawn {
    char **argv;
    const char *host;
    const char *dir;
};

/**
 * @send     start sending a frame. Its memory is taken and *frame left empty,
 *           with recycled memory if there is any; an empty frame is not sent.
 *           Returns 0 or -errno, also for a frame before it that was lost: the
 *           peer gets nothing more, others as before.
 * @receive  1 with a frame, borrowed until the next call, and its sender; 0 for
 *           none now; or -errno. Also moves what is being sent.
 * @spare    an empty buffer, the caller's, with the memory of a large frame that is over, if there
 *           is any. NULL where none is kept
 * @unsent   bytes of frames to a peer that are still ours
 * @spawn    begin to start a program on a host; what it says of it is copied. Until that is over
 *           nothing is received, and what is sent waits. NULL where it cannot be done. Returns 0,
 *           -EBUSY while another one is being started, -ENOSPC, or another -errno
 * @spawned  1 once it is there, with its number, which is one more than the highest before;
 *           0 not yet; or -errno with a sentence: nothing came of it. After that no more than
 *           0 until the next one
 * @destroy  gives what is still being sent up to a second, waits for the other ends unless
 *           has_losses, and frees
 */
struct mf_transport_ops {
    int (*send)(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame);
    int (*receive)(struct mf_transport *transport, uint32_t *ret_from,
                   const struct mf_buffer **ret_frame);
    struct mf_buffer (*spare)(struct mf_transport *transport);
    uint64_t (*unsent)(const struct mf_transport *transport, uint32_t to);
    int (*spawn)(struct mf_transport *transport, const struct mf_spawn *spawn);
    int (*spawned)(struct mf_transport *transport, uint32_t *ret_number, struct mf_error *err);
    void (*destroy)(struct mf_transport *transport);
};

/** Looks of a receive after a pause. */
#define MF_LOOKS_AFTER_PAUSE 2

/**
 * Every transport begins with this.
 *
 * @rank, @size  this end's number, and how many ends there are
 * @max_size     how many there can be, if more are started
 * @n_looks      set by the user: how often the next receive looks before it says that there is
 *               nothing, once if 0. MF_LOOKS_AFTER_PAUSE, since the first look after a pause may
 *               only get things going; more where there is nothing else to do
 * @has_losses   set by the user: other ends are gone, and would be waited for in vain
 * @is_spawned   this end was started by another one, which is the only one that it can reach
 */
struct mf_transport {
    const struct mf_transport_ops *ops;
    uint32_t rank;
    uint32_t size;
    uint32_t max_size;
    uint32_t n_looks;
    bool has_losses;
    bool is_spawned;
};

static inline int mf_transport_send(struct mf_transport *transport, uint32_t to,
                                    struct mf_buffer *frame)
{
    return transport->ops->send(transport, to, frame);
}

static inline int mf_transport_receive(struct mf_transport *transport, uint32_t *ret_from,
                                       const struct mf_buffer **ret_frame)
{
    return transport->ops->receive(transport, ret_from, ret_frame);
}

/** Memory to make a large frame in. */
static inline struct mf_buffer mf_transport_spare(struct mf_transport *transport)
{
    return transport->ops->spare ? transport->ops->spare(transport) : (struct mf_buffer){0};
}

static inline uint64_t mf_transport_unsent(const struct mf_transport *transport, uint32_t to)
{
    return transport->ops->unsent(transport, to);
}

/** NULL is accepted. */
static inline void mf_transport_destroy(struct mf_transport *transport)
{
    if (transport)
        transport->ops->destroy(transport);
}

/**
 * mf_transport_local_pair() - two ends in one process and thread.
 *
 * The first is the scheduler's, the second the worker's; each is number 0 to
 * the other. Either may be destroyed first. Returns 0 or -ENOMEM.
 */
int mf_transport_local_pair(struct mf_transport **ret_scheduler, struct mf_transport **ret_worker);

/** What MPI is told of the threads of a process, which decides whether it has to lock anything. */
enum mf_mpi_threads {
    MF_MPI_ALONE,   /* there is but the one that uses the transport */
    MF_MPI_THREADS, /* others never call it */
    MF_MPI_SPAWNS,  /* others never call it but for spawn */
};

/** Whether somebody has called MPI_Init in this process, and so nobody can any more. */
bool mf_transport_mpi_is_used(void);

/**
 * mf_transport_mpi_create() - join the other ranks: MPI_Init.
 *
 * Once per process, from the thread that will use it. Errors of MPI are
 * returned rather than aborting. destroy() does MPI_Finalize. An end that was
 * started by another one has the number that it was given there, and can reach that one alone,
 * as number 0.
 *
 * Returns 0, -EALREADY if MPI is initialised, or -EIO with MPI's own words in err.
 */
int mf_transport_mpi_create(int *argc, char ***argv, enum mf_mpi_threads threads,
                            struct mf_transport **ret_transport, struct mf_error *err);

/**
 * mf_transport_mpi_abort() - end all ranks at once: MPI_Abort.
 *
 * For when a rank that does not answer would keep MPI_Finalize from returning.
 */
void mf_transport_mpi_abort(int status);

#endif
