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

/**
 * @send     start sending a frame. Its memory is taken and *frame left empty,
 *           with recycled memory if there is any; an empty frame is not sent.
 *           Returns 0 or -errno.
 * @receive  1 with a frame, borrowed until the next call, and its sender; 0 for
 *           none now; or -errno. Also moves what is being sent.
 * @unsent   bytes of frames to a peer that are still ours
 * @destroy  gives what is still being sent up to a second, waits for the other ends unless
 *           has_losses, and frees
 */
struct mf_transport_ops {
    int (*send)(struct mf_transport *transport, uint32_t to, struct mf_buffer *frame);
    int (*receive)(struct mf_transport *transport, uint32_t *ret_from,
                   const struct mf_buffer **ret_frame);
    uint64_t (*unsent)(const struct mf_transport *transport, uint32_t to);
    void (*destroy)(struct mf_transport *transport);
};

/** Looks of a receive after a pause. */
#define MF_LOOKS_AFTER_PAUSE 2

/**
 * Every transport begins with this.
 *
 * @rank, @size  this end's number, and how many ends there are
 * @n_looks      set by the user: how often the next receive looks before it says that there is
 *               nothing, once if 0. MF_LOOKS_AFTER_PAUSE, since the first look after a pause may
 *               only get things going; more where there is nothing else to do
 * @has_losses   set by the user: other ends are gone, and would be waited for in vain
 */
struct mf_transport {
    const struct mf_transport_ops *ops;
    uint32_t rank;
    uint32_t size;
    uint32_t n_looks;
    bool has_losses;
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

/**
 * mf_transport_mpi_create() - join the other ranks: MPI_Init.
 *
 * Once per process, from the thread that will use it. Errors of MPI are
 * returned rather than aborting. destroy() does MPI_Finalize.
 *
 * Returns 0, -EALREADY if MPI is initialised, or -EIO with MPI's own words in err.
 */
int mf_transport_mpi_create(int *argc, char ***argv, struct mf_transport **ret_transport,
                            struct mf_error *err);

/**
 * mf_transport_mpi_abort() - end all ranks at once: MPI_Abort.
 *
 * For when a rank that does not answer would keep MPI_Finalize from returning.
 */
void mf_transport_mpi_abort(int status);

#endif
