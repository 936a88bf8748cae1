/*
 * Frames that cannot be delivered yet, queued by the peer they came from.
 *
 * A queue begins with an awaited frame: a large one that is still on its way.
 * What its peer sent after it waits behind it, so that the order stays, while
 * the other peers go on. One thread.
 */
#ifndef MF_TRANSPORT_BACKLOG_H
#define MF_TRANSPORT_BACKLOG_H

#include "base/buffer.h"
#include "base/list.h"
#include "transport/spares.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_backlog_frame;

/** Frames of one peer; its node is in a list of the backlog while there are any. */
struct mf_backlog_queue {
    struct mf_list node;
    struct mf_list frames;
};

/**
 * @waiting  queues whose first frame is awaited
 * @ready    queues whose first frame is there
 * @lent     what the last take() lent out
 * @spares   memory for awaited frames; borrowed
 */
struct mf_backlog {
    struct mf_list waiting;
    struct mf_list ready;
    struct mf_backlog_queue *queues;
    uint32_t n_peers;
    struct mf_backlog_frame *lent;
    struct mf_spares *spares;
};

/** Makes n_peers empty queues. Returns 0 or -ENOMEM; finish() is right after either. */
int mf_backlog_init(struct mf_backlog *backlog, uint32_t n_peers, struct mf_spares *spares);

/** Frees all frames, also awaited ones: nobody may write to those any more. */
void mf_backlog_finish(struct mf_backlog *backlog);

/** Whether a frame from peer has to queue. */
static inline bool mf_backlog_has(const struct mf_backlog *backlog, uint32_t peer)
{
    return !mf_list_is_empty(&backlog->queues[peer].frames);
}

/** Queues a copy of a frame. Returns 0 or -ENOMEM. */
int mf_backlog_put(struct mf_backlog *backlog, uint32_t peer, const void *bytes, size_t size);

/** Queues the place of a frame that is awaited. Returns 0 or -ENOMEM. */
int mf_backlog_await(struct mf_backlog *backlog, uint32_t peer);

/**
 * Moves an awaited frame: fills *frame, which is empty at first and stays where
 * it is. Returns 1 when all of it is there, 0 if not yet, or -errno to drop it.
 */
typedef int mf_backlog_move_fn(void *arg, uint32_t peer, struct mf_buffer *frame);

/**
 * mf_backlog_move() - call move for each awaited frame that its queue begins with.
 *
 * Returns 0, or the first error of move, at which it ends.
 */
int mf_backlog_move(struct mf_backlog *backlog, mf_backlog_move_fn *move, void *arg);

/**
 * mf_backlog_take() - lend out the first frame of a queue.
 *
 * Returns 1 with the frame, borrowed until release(), and its peer; or 0 if
 * none is there.
 */
int mf_backlog_take(struct mf_backlog *backlog, uint32_t *ret_peer,
                    const struct mf_buffer **ret_frame);

/** Frees the frame that was lent out, if there is one. */
void mf_backlog_release(struct mf_backlog *backlog);

#endif
