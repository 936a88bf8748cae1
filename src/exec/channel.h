/*
 * One end of the socket between a rank and its launcher: whole frames and
 * file descriptors, sent and received in batches.
 *
 * A frame is a 32-bit length of what follows, one byte of kind, and a body.
 * Frames gather in memory until the flush; nothing here blocks.
 */
#ifndef MF_EXEC_CHANNEL_H
#define MF_EXEC_CHANNEL_H

#include "base/buffer.h"
#include "base/passing.h"

#include <stddef.h>
#include <stdint.h>

/** Descriptors that one frame can carry. */
#define MF_CHANNEL_MAX_FDS MF_PASSING_MAX_FDS

/** A frame longer than this breaks the channel. */
#define MF_CHANNEL_MAX_FRAME ((size_t)4 << 20)

/**
 * Descriptors on their way with one frame.
 *
 * @offset  where its frame begins in the outgoing bytes; unused on arrival
 */
struct mf_passed_fds {
    size_t offset;
    int fds[MF_CHANNEL_MAX_FDS];
    uint32_t n_fds;
};

/** A queue of them, first in, first out: items[first .. first + n). */
struct mf_passed_queue {
    struct mf_passed_fds *items;
    size_t first, n, capacity;
};

/**
 * @fd         the socket, owned; nonblocking
 * @in         bytes received; the first in_done of them have been handed out
 * @out        bytes to send; the first out_done of them have been sent
 * @frame      where the frame being written begins in out
 * @arrived    descriptors received with frames not yet handed out
 * @departing  descriptors to send with frames in out
 */
struct mf_channel {
    int fd;
    struct mf_buffer in;
    size_t in_done;
    struct mf_buffer out;
    size_t out_done;
    size_t frame;
    struct mf_passed_queue arrived;
    struct mf_passed_queue departing;
};

/** A frame received; body is borrowed from the channel until the next receive. */
struct mf_frame {
    uint8_t kind;
    struct mf_reader body;
};

/** Takes a nonblocking stream socket. */
void mf_channel_init(struct mf_channel *channel, int fd);

/** Closes the socket and all descriptors on their way. */
void mf_channel_finish(struct mf_channel *channel);

/** Begins a frame; what follows is put into the buffer that it returns, up to mf_channel_end(). */
struct mf_buffer *mf_channel_begin(struct mf_channel *channel, uint8_t kind);

/** Completes the frame. Failure shows in mf_channel_flush(). */
void mf_channel_end(struct mf_channel *channel);

/**
 * mf_channel_attach() - send descriptors with the frame just completed.
 *
 * @fds  n_fds of them, 1 .. MF_CHANNEL_MAX_FDS; taken, whatever is returned
 *
 * Returns 0 or -ENOMEM.
 */
int mf_channel_attach(struct mf_channel *channel, const int *fds, uint32_t n_fds);

/** Bytes that wait to be sent. */
size_t mf_channel_backlog(const struct mf_channel *channel);

/** From mf_channel_flush(): the socket is full; flush again when it is writable. */
#define MF_CHANNEL_E_FULL 1

/** From mf_channel_flush(): too many descriptors of this user are on their way; try a while later.
 */
#define MF_CHANNEL_E_LATER 2

/** Sends what it can. Returns 0 when that was all, one of the two above, or -errno. */
int mf_channel_flush(struct mf_channel *channel);

/**
 * mf_channel_receive() - take what has come, without waiting for more.
 *
 * Returns 0, -EPIPE when the other end is gone, or another -errno.
 */
int mf_channel_receive(struct mf_channel *channel);

/** Returns 1 with the next whole frame, 0 when there is none, -EBADMSG on an impossible length. */
int mf_channel_next(struct mf_channel *channel, struct mf_frame *ret_frame);

/**
 * mf_channel_take_fds() - the descriptors of the frame just handed out.
 *
 * Call it once for each frame that was sent with descriptors, and for no
 * other. A process that is out of descriptors gets fewer than were sent.
 *
 * Returns how many there are; they are the caller's.
 */
uint32_t mf_channel_take_fds(struct mf_channel *channel, int ret_fds[MF_CHANNEL_MAX_FDS]);

#endif
