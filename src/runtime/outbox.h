/*
 * What waits to be sent to one peer: records gathered into frames, and large
 * bodies cut into pieces, in one order.
 *
 * A body of gigabytes is handed to the transport piece by piece, as the peer
 * takes them, so that it neither fills the memory nor holds up other peers.
 * One owner, one thread.
 */
#ifndef MF_RUNTIME_OUTBOX_H
#define MF_RUNTIME_OUTBOX_H

#include "base/list.h"
#include "transport/transport.h"
#include "wire/record.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * @transport, @peer  where it goes
 * @frame    records that were not sent; append with mf_record_*() after mf_outbox_make_room()
 * @queue    what has to wait behind a large body
 * @error    why nothing can be sent any more, 0 or -errno
 */
struct mf_outbox {
    struct mf_transport *transport;
    uint32_t peer;
    struct mf_buffer frame;
    struct mf_list queue;
    int error;
};

void mf_outbox_init(struct mf_outbox *outbox, struct mf_transport *transport, uint32_t peer);

/** Forgets what was not sent. */
void mf_outbox_finish(struct mf_outbox *outbox);

/**
 * mf_outbox_make_room() - the frame to append n more bytes to: what is in it is
 * sent first if it would grow beyond what is sent eagerly.
 */
struct mf_buffer *mf_outbox_make_room(struct mf_outbox *outbox, size_t n);

/**
 * mf_outbox_post_large() - send bytes as PIECE records, ahead of what is appended from now on.
 *
 * @number    of the task or block
 * @is_block  which of them
 * @data      size bytes, at least 1
 * @release   called with release_arg when data is not needed any more; NULL when it outlives that
 *
 * Returns 0 or -ENOMEM, and has not taken data then.
 */
int mf_outbox_post_large(struct mf_outbox *outbox, uint64_t number, bool is_block, const void *data,
                         size_t size, void (*release)(void *arg), void *release_arg);

/**
 * mf_outbox_hand_over() - the bytes of a task's large body become the outbox's own, if it still
 * needs them: release is called with release_arg then. Returns whether it does.
 */
bool mf_outbox_hand_over(struct mf_outbox *outbox, uint64_t number, void (*release)(void *arg),
                         void *release_arg);

/**
 * mf_outbox_copy_rest() - the memory of a task's large body is about to go: what has not been sent
 * of it is copied. Without memory for that nothing can be sent any more (-ENOMEM). O(bytes).
 */
void mf_outbox_copy_rest(struct mf_outbox *outbox, uint64_t number);

/**
 * mf_outbox_turn() - send what can be sent now.
 *
 * Returns 1 when anything was handed to the transport, 0 when there was
 * nothing or it cannot take more now, or -errno (and from then on).
 */
int mf_outbox_turn(struct mf_outbox *outbox);

/** Whether all of it was handed to the transport. */
bool mf_outbox_is_empty(const struct mf_outbox *outbox);

/** How many large bodies, and frames behind them, wait. O(that). */
uint32_t mf_outbox_n_waiting(const struct mf_outbox *outbox);

/** Whether a large body would begin to go out at once: nothing waits, and the peer takes what was
 * sent. */
bool mf_outbox_has_room(const struct mf_outbox *outbox);

/*
 * The other end: large bodies that come in pieces.
 */

struct mf_inbox;

int mf_inbox_create(struct mf_inbox **ret_inbox);
void mf_inbox_destroy(struct mf_inbox *inbox);

/**
 * mf_inbox_put() - a PIECE record came.
 *
 * Of a body that no memory can hold the pieces are dropped: it is whoever takes it who has to know.
 *
 * Returns 0; -EBADMSG when it does not fit what came before; -ENOMEM when there is no memory for so
 * much as to note that.
 */
int mf_inbox_put(struct mf_inbox *inbox, const struct mf_record *record, struct mf_reader *body);

/**
 * mf_inbox_take() - the whole body of a task or block; malloc()ed, the caller's.
 *
 * Returns 0, -ENOENT when it is not all here, or -ENOMEM when there was no memory for it.
 */
int mf_inbox_take(struct mf_inbox *inbox, uint64_t number, bool is_block, uint8_t **ret_data,
                  size_t *ret_size);

#endif
