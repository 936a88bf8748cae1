/*
 * The messages between scheduler and workers, and their bytes.
 *
 * A frame is what one MPI message carries: a header, then any number of
 * records. All of one turn's records for one peer travel in one frame.
 *
 *     +----+----+---------+-----------+-----------+----
 *     | 'm'| 'f'| version | record    | record    | ...
 *     +----+----+---------+-----------+-----------+----
 *       u8   u8     u16     u8 kind, then the fields of that kind
 *
 * Integers are little-endian. Decoding checks every bound, so that any bytes
 * at all are either a valid record or -EBADMSG.
 */
#ifndef MF_WIRE_MESSAGE_H
#define MF_WIRE_MESSAGE_H

#include "base/buffer.h"
#include "base/life.h"
#include "core/outcome.h"
#include "core/task.h"

#include <stdbool.h>
#include <stdint.h>

/** Changes whenever a record's bytes do; all ranks of a run must agree. */
#define MF_WIRE_VERSION 18

/** A frame with batched records is sent before it grows beyond this, to stay eager in MPI. */
#define MF_FRAME_EAGER_BYTES 4000

/** Largest piece of output in one MF_MESSAGE_DATA. */
#define MF_DATA_MAX_BYTES (256 * 1024)

enum mf_message_kind {
    /* worker to scheduler */
    MF_MESSAGE_HELLO = 1,   /* host, life, payload: what the rank has of its node */
    MF_MESSAGE_STARTED = 2, /* task, attempt */
    MF_MESSAGE_ENDED = 3,   /* task, attempt, outcome, size, is_inline, payload: output if inline */
    MF_MESSAGE_RETURNED = 4,   /* task, attempt */
    MF_MESSAGE_DATA = 5,       /* task, attempt, stream, offset, error, payload */
    MF_MESSAGE_BROKEN = 6,     /* payload: why the rank can run nothing any more, as text */
    MF_MESSAGE_BYE = 7,        /* the last word of a worker */
    MF_MESSAGE_FETCH = 8,      /* task, stream, offset, length: of a feed */
    MF_MESSAGE_SUSPENDED = 9,  /* task, attempt, ran_ns */
    MF_MESSAGE_CONTINUED = 10, /* task, attempt */
    MF_MESSAGE_BEAT = 11,      /* nothing else was sent for a while */
    MF_MESSAGE_AGAIN = 12,     /* after a RESET: nothing of before is left here */
    MF_MESSAGE_HOOKED = 13,    /* task: number of the hook; outcome, size, payload: its output */
    MF_MESSAGE_BUSY = 14,      /* was told to stop, and is about it: hooks still run */
    MF_MESSAGE_SAVED = 15,     /* task, attempt, payload: what it saved for the next try */
    MF_MESSAGE_HELD = 37,      /* task, attempt, payload: it keeps free what it was told to HOLD; of
                                  GPUs the variable that names them, as text */
    MF_MESSAGE_REPORT = 33,    /* host, life, payload: what it has and runs, for a scheduler that it
                                  does    not know yet; see handover.h */
    MF_MESSAGE_RENEWED = 34,   /* payload: how its launcher process ended, which another one has
                                  replaced, as text */
    MF_MESSAGE_SUPERSEDED = 32, /* payload: which scheduler it has now, for one that was before */
    /* scheduler to worker */
    MF_MESSAGE_WELCOME = 16, /* payload: run directory, slots and GPUs */
    MF_MESSAGE_RUN = 17,     /* task, attempt, needs, try_number, timeout_ns, feeds, saved, rooms,
                                payload: encoded mf_command */
    MF_MESSAGE_HOLD = 35,    /* task, attempt, needs, rooms: keep that free for what another runs */
    MF_MESSAGE_LET_GO = 36,  /* task, attempt: no more */
    MF_MESSAGE_RECALL = 18,  /* task, attempt */
    MF_MESSAGE_END = 19,     /* task, attempt, cause */
    MF_MESSAGE_PULL = 20,    /* task, attempt, stream, offset, length */
    MF_MESSAGE_RELEASE = 21, /* task, attempt: nothing of it is needed any more */
    MF_MESSAGE_STOP = 22,    /* error: end everything, run the hooks for that, and leave; once more:
                                leave. 0 in order, else ranks were lost, and none waits for the
                                others any more */
    MF_MESSAGE_FEED = 23,    /* task, stream, offset, error, payload: a piece of its output */
    MF_MESSAGE_UNFEED = 24,  /* task: nothing that runs takes its output any more */
    MF_MESSAGE_SUSPEND = 25, /* task, attempt: stop it where it can be; its slots are for others */
    MF_MESSAGE_CONTINUE = 26, /* task, attempt: let it go on when there are slots */
    MF_MESSAGE_WARN = 31,     /* signal: for the processes of all that runs */
    MF_MESSAGE_PULSE = 27,    /* life of the scheduler; nothing else was sent for a while */
    MF_MESSAGE_RESET = 28,    /* the worker was given up: end everything, then say AGAIN */
    MF_MESSAGE_HOOKS = 29,    /* payload: commands to run before the first task, and at the end */
    MF_MESSAGE_TAKEOVER = 30, /* life, payload: epoch of the scheduler, and who comes after it */
};
#define MF_MESSAGE_KIND_MAX MF_MESSAGE_HELD

/**
 * One record; which fields count is said beside its kind.
 *
 * @n_slots, @n_gpus, @mem_bytes   what the attempt needs; no memory is no limit
 * @try_number  which try of the task the attempt is, as the user counts
 * @life       process of the rank that sends it
 * @ran_ns     how long the attempt has run
 * @feeds      feeds_size bytes: u64 task and u64 bytes of standard output for each place of a
 *             path in the command; borrowed as payload
 * @saved      saved_size bytes that an earlier try saved, none if there are none; borrowed as
 *             payload
 * @rooms      rooms_size bytes: lines with a name of the attempt and, in RUN, the hosts of the
 *             other nodes that it has, each with a blank and the variable of its GPUs there if it
 *             has some; none if it has one node. Borrowed as payload
 * @signal     number of a signal
 * @size       bytes that the worker holds of each stream
 * @is_inline  payload is the output: stdout, then stderr
 * @error      0, or the errno value that kept the worker from reading
 * @payload    payload_size bytes; borrowed, after decoding from the frame
 */
struct mf_message {
    enum mf_message_kind kind;
    mf_task_id task;
    uint32_t attempt;
    uint32_t n_slots;
    uint32_t n_gpus;
    uint64_t mem_bytes;
    uint32_t try_number;
    int64_t timeout_ns;
    int64_t ran_ns;
    enum mf_cause cause;
    enum mf_stream stream;
    uint64_t offset;
    uint32_t length;
    uint32_t signal;
    int32_t error;
    uint64_t size[MF_N_STREAMS];
    bool is_inline;
    struct mf_outcome outcome;
    char host[256];
    struct mf_life life;
    const uint8_t *feeds;
    size_t feeds_size;
    const uint8_t *saved;
    size_t saved_size;
    const uint8_t *rooms;
    size_t rooms_size;
    const uint8_t *payload;
    size_t payload_size;
};

/** Bytes of one feed in a RUN record. */
#define MF_FEED_BYTES ((size_t)16)

/** Appends the header of a frame: what an empty buffer gets before its first record. */
void mf_frame_begin(struct mf_buffer *frame);

/** Appends the record to a frame, beginning the frame if the buffer is empty. */
void mf_message_encode(const struct mf_message *message, struct mf_buffer *frame);

/** The payload of a record as text, as far as it fits into size bytes. */
void mf_message_text(const struct mf_message *message, char *text, size_t size);

/**
 * mf_frame_open() - check the header of a received frame.
 *
 * Returns 0 and a reader over its records, -EPROTO for another version, or
 * -EBADMSG.
 */
int mf_frame_open(const void *data, size_t size, struct mf_reader *ret_reader);

/**
 * mf_message_decode() - the next record of a frame.
 *
 * Returns 1 with the record (payload points into the frame), 0 after the last,
 * or -EBADMSG.
 */
int mf_message_decode(struct mf_reader *reader, struct mf_message *ret_message);

#endif
