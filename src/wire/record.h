/*
 * The messages of function tasks, and their bytes.
 *
 * They travel in the frames of message.h: a header, then records.
 *
 *     record   u8 kind, u8 flags, u16 0, u32 number, u64 unit, u32 attempt,
 *              u32 body_size, body
 *
 * A unit is what the scheduler places: one or more calls that travel and run
 * one after the other on one slot.
 *
 *     UNIT     body: `number` calls                               to a worker
 *     RESULT   body: mf_unit_times, then the entries of `number`  to the scheduler
 *              calls, from the first that was not reported yet
 *
 * Texts in bodies are as mf_buffer_put_text() writes them, "bytes" as
 * mf_buffer_put_bytes().
 *
 * Large inputs, results and checkpoints travel ahead of the record that names
 * them, in PIECE records under the number of their task; so do blocks.
 *
 * Decoding checks every bound, so that any bytes at all are either a valid
 * record or -EBADMSG.
 */
#ifndef MF_WIRE_RECORD_H
#define MF_WIRE_RECORD_H

#include "base/buffer.h"
#include "base/call.h"

#include <stdint.h>

/** Bytes of one piece, so that its frame fits into 1 MiB. */
#define MF_PIECE_BYTES (((size_t)1 << 20) - 256)

/** Calls of one unit, at most; and if they are one stretch. */
#define MF_CALLS_PER_UNIT 1024
#define MF_CALLS_PER_STRETCH 65536

enum mf_record_kind {
    /* worker to scheduler */
    MF_RECORD_HELLO = 33,    /* body: host (text), cores and functions (bytes each), life */
    MF_RECORD_RESULT = 34,   /* unit, attempt; number: calls reported; flags: IS_LAST */
    MF_RECORD_RETURNED = 35, /* unit, attempt: the calls not reported yet will not run */
    MF_RECORD_STORED = 36,   /* unit: a block is in the node's memory; number: 0, or errno;
                                body: where (mf_block_place) */
    MF_RECORD_BROKEN = 37,   /* body: why the rank cannot work, as text */
    MF_RECORD_BYE = 38,      /* the last word of a worker. body: why it does not serve, as text, or
                                nothing: it was told to stop */
    MF_RECORD_CHECKPOINT = 39, /* unit, attempt; number: which call; body: bytes saved, or if flags
                                  have IS_LARGE its task (u64), under which they came in pieces */
    MF_RECORD_HOOKS = 40, /* number: 1 no call runs, but hooks, for as long as they like; 0 they
                             have ended. Between the last calls and BYE they do not end */
    /* scheduler to worker */
    MF_RECORD_WELCOME = 48, /* body: slots, as mf_node_encode_welcome() */
    MF_RECORD_UNIT = 49,    /* unit, attempt; number: calls */
    MF_RECORD_RECALL = 50,  /* unit, attempt: give back what has not begun */
    MF_RECORD_CANCEL = 51,  /* unit, attempt; number: which call, or MF_EVERY_CALL; it is not wanted
                               any more */
    MF_RECORD_BLOCK = 52,   /* unit: block; number: 1 store it (pieces come first), 0 attach;
                             body: u64 size, and if it is to be attached, where it is */
    MF_RECORD_DROP = 53,    /* unit: block */
    MF_RECORD_STOP = 54,    /* unit: 0 in order, or an errno, and body: why, as text. number: 1 when
                               ranks were lost and none waits for the others; 0: END will follow */
    /* both ways */
    MF_RECORD_PIECE = 55, /* unit: task (input, result, checkpoint) or block; flags: IS_FIRST (body
                           begins with u64 total, at least 1), IS_BLOCK; body: bytes */
    /* scheduler to worker */
    MF_RECORD_LIFE = 56, /* body: life of the scheduler */
    MF_RECORD_END = 57,  /* all workers have left, or none has begun. number: 1 when ranks were lost
                            by then, so that none should wait for the others */
};

/** Flags of records. */
enum {
    MF_RECORD_IS_LAST = 1,
    MF_RECORD_IS_FIRST = 2,
    MF_RECORD_IS_BLOCK = 4,
    MF_RECORD_IS_LARGE = 8
};

/** The header of a record. */
struct mf_record {
    uint8_t kind;
    uint8_t flags;
    uint16_t unused;
    uint32_t number;
    uint64_t unit;
    uint32_t attempt;
    uint32_t body_size;
};

/** The bytes of a RESULT record's body begin with this. */
struct mf_unit_times {
    int64_t duration_ns; /* spent in the functions reported */
    int64_t idle_ns;     /* since the end of the last unit, when there was nothing to do */
};

_Static_assert(sizeof(struct mf_record) == 24, "travels as it stands");
_Static_assert(sizeof(struct mf_unit_times) == 16, "travels as it stands");

/**
 * mf_record_begin() - append a record's header to a frame, beginning the frame if the buffer is
 * empty.
 *
 * What is appended up to mf_record_end() is the body. body_size is set there.
 * Returns the offset of the record, for mf_record_end().
 */
size_t mf_record_begin(struct mf_buffer *frame, const struct mf_record *record);

/** Completes the record; fails the buffer if the body is 4 GiB or more. */
void mf_record_end(struct mf_buffer *frame, size_t record);

/** A record with a whole body; data may be NULL if size is 0. */
void mf_record_put(struct mf_buffer *frame, const struct mf_record *record, const void *data,
                   size_t size);

/**
 * mf_record_next() - the next record of a frame opened with mf_frame_open().
 *
 * Returns 1 with the header and a reader over its body, 0 after the last, or -EBADMSG.
 */
int mf_record_next(struct mf_reader *frame, struct mf_record *ret_record,
                   struct mf_reader *ret_body);

#endif
