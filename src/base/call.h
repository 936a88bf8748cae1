/*
 * Calls of task functions as bytes: what goes to a worker for each call, and
 * what comes back for it.
 *
 * Built for speed, since hundreds of calls that run for nanoseconds may travel
 * together: fixed little-endian headers that are copied as they stand.
 *
 *     call   u64 task, u32 size, u16 function, u16 flags,
 *            [HAS_DETAILS: 40 bytes, [of a stretch: u64 task step, u64 tag step], checkpoint],
 *            [input]
 *     entry  u32 size, u8 kind, u8 cause, u16 flags, i32 code, u32 n_more, bytes
 *
 * Calls that are alike travel as one, a stretch: the details say how many more
 * there are, whose inputs follow. Results that are alike share an entry.
 *
 * Nothing is aligned. Decoding checks every bound, so that any bytes at all
 * are either valid or fail the reader.
 */
#ifndef MF_BASE_CALL_H
#define MF_BASE_CALL_H

#include "base/buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** Inputs and results that are larger than this do not travel with their call. */
#define MF_CALL_LARGE_BYTES ((size_t)64 << 10)

/** All calls of a unit, in the place of the index of one. */
#define MF_EVERY_CALL UINT32_MAX

/** Bytes of a function's message that are kept. */
#define MF_CALL_MESSAGE_BYTES 4000

/** Flags of calls and entries. */
enum {
    MF_CALL_HAS_DETAILS = 1, /* mf_call_details follow the header */
    MF_CALL_IS_LARGE = 2,    /* its bytes came in pieces */
    MF_CALL_HAS_RESULTS = 4, /* the input is a bundle: its own, and the results of others */
};

/** The header of a call. size is that of the input, also if it is large and comes otherwise. */
struct mf_call_header {
    uint64_t task;
    uint32_t size_low;
    uint16_t function;
    uint16_t flags;
};

/**
 * What most calls do not need.
 *
 * @tag, @group, @timeout_ns   as the submitter says
 * @try_number        which try of the task this is, from 1
 * @size_high         upper half of the input's size
 * @n_more            calls alike that come after this one: their task and tag go on by the steps
 *                    that follow, and their inputs lie one behind the other. Not with a large input
 *                    or a checkpoint
 * @checkpoint_size   bytes that an earlier try saved; they follow the details
 */
struct mf_call_details {
    uint64_t tag;
    int64_t timeout_ns;
    uint32_t group;
    uint32_t try_number;
    uint32_t size_high;
    uint32_t n_more;
    uint64_t checkpoint_size;
};

/** From one call of a stretch to the next. What goes down has a step that wraps around. */
struct mf_call_steps {
    uint64_t task;
    uint64_t tag;
};

/** A call as decoded, or the first of a stretch; pointers into the record. input is NULL when it is
 * large. */
struct mf_call {
    uint64_t task;
    uint16_t function;
    bool is_large;
    bool has_results;
    size_t size;
    const uint8_t *input;
    const uint8_t *checkpoint;
    struct mf_call_details details; /* zeros but for try_number 1 when there were none */
    struct mf_call_steps steps;     /* of a stretch */
};

enum mf_entry_kind {
    MF_ENTRY_RESULT = 0, /* of a call: cause, code, bytes: result, or message if it failed */
    MF_ENTRY_CHILD = 1,  /* a child of the call whose RESULT comes next: mf_child, input */
};

/** Causes in entries are at most this. */
#define MF_ENTRY_MAX_CAUSE 100

/**
 * The header of an entry.
 *
 * @size   bytes that follow; of a large result, those of its task's number, u64
 * @cause  of a result: an enum mpifarm_cause
 * @code   of a result: what the function returned, a signal, an exit status
 * @n_more results of calls that come after this one: all of them are done, and have equal shares
 *         of the bytes
 */
struct mf_entry_header {
    uint32_t size;
    uint8_t kind;
    uint8_t cause;
    uint16_t flags;
    int32_t code;
    uint32_t n_more;
};

/** The bytes of a CHILD entry begin with this; the input follows. */
struct mf_child {
    uint64_t tag;
    int64_t timeout_ns;
    uint32_t group;
    int32_t priority;
    uint32_t max_attempts;
    uint32_t rank;
    uint16_t function;
    uint8_t delivery;
    uint8_t unused[5];
};

_Static_assert(sizeof(struct mf_call_header) == 16, "travels as it stands");
_Static_assert(sizeof(struct mf_call_details) == 40, "travels as it stands");
_Static_assert(sizeof(struct mf_call_steps) == 16, "travels as it stands");
_Static_assert(sizeof(struct mf_entry_header) == 16, "travels as it stands");
_Static_assert(sizeof(struct mf_child) == 40, "travels as it stands");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers travel as they stand");

/** Appends a call or a stretch; its input too unless it is_large. Its try_number is at least 1 if
 * it has details. */
void mf_call_put(struct mf_buffer *buffer, const struct mf_call *call);

/** Bytes of a stretch before its first input, that is before all of them. */
#define MF_STRETCH_HEAD_BYTES                                                                      \
    (sizeof(struct mf_call_header) + sizeof(struct mf_call_details) + sizeof(struct mf_call_steps))

/** Writes these, or fewer of a call that is none, which is written as one that has details and no
 * checkpoint; the inputs are to follow. Returns how many. */
size_t mf_call_put_head(uint8_t head[static MF_STRETCH_HEAD_BYTES], const struct mf_call *call);

/** The next call or stretch; fails the reader when it is damaged. Returns whether there was one. */
bool mf_call_get(struct mf_reader *reader, struct mf_call *ret_call);

/** The same for its header, and how many calls it stands for, alone, which is quicker. */
bool mf_call_skip(struct mf_reader *reader, struct mf_call_header *ret_header, uint64_t *ret_n);

/** Goes on in a stretch by n calls, at most n_more. */
static inline void mf_call_advance(struct mf_call *call, uint32_t n)
{
    call->task += n * call->steps.task;
    call->details.tag += n * call->steps.tag;
    call->details.n_more -= n;
    if (call->input)
        call->input += n * call->size;
}

/** The next call, one by one: `call` is the one before, and starts as {0}. */
static inline bool mf_call_next(struct mf_reader *reader, struct mf_call *call)
{
    if (call->details.n_more == 0)
        return mf_call_get(reader, call);
    mf_call_advance(call, 1);
    return true;
}

/** Whether the call needs mf_call_details. */
static inline bool mf_call_has_details(const struct mf_call *call)
{
    return call->details.tag || call->details.timeout_ns || call->details.group ||
           call->details.try_number > 1 || call->details.checkpoint_size || call->details.n_more ||
           call->size > UINT32_MAX;
}

/** Appends an entry; data may be NULL if the header's size is 0. */
static inline void mf_entry_put(struct mf_buffer *buffer, const struct mf_entry_header *header,
                                const void *data)
{
    if (mf_buffer_reserve(buffer, sizeof(*header) + header->size) < 0)
        return;
    memcpy(buffer->data + buffer->size, header, sizeof(*header));
    mf_copy(buffer->data + buffer->size + sizeof(*header), data, header->size);
    buffer->size += sizeof(*header) + header->size;
}

/** Bytes of entries that are gathered, and told together: with the headers around them they stay
 * below what MPI sends eagerly. */
#define MF_ENTRIES_BYTES 3950

/** An entry becomes that of n results, whose `size` bytes each stand behind its header. */
static inline void mf_entry_share(uint8_t *entry, uint32_t n, size_t size)
{
    struct mf_entry_header header;

    memcpy(&header, entry, sizeof(header));
    header.n_more = n - 1;
    header.size = (uint32_t)(n * size);
    memcpy(entry, &header, sizeof(header));
}

/** Whether a header is that of a child, a large result, a failure or several results, and can be.
 */
bool mf_entry_is_sound(const struct mf_entry_header *header);

/** The next entry; data is borrowed. Returns 1, 0 after the last, or -EBADMSG. */
static inline int mf_entry_get(struct mf_reader *reader, struct mf_entry_header *ret_header,
                               const uint8_t **ret_data)
{
    struct mf_entry_header header;

    if (reader->has_failed)
        return -EBADMSG;
    if (reader->left == 0)
        return 0;
    if (reader->left < sizeof(header))
        return -EBADMSG;
    memcpy(&header, reader->data, sizeof(header));
    /* Most are results of calls that are done. */
    if (header.size > reader->left - sizeof(header) ||
        ((header.kind | header.cause | header.flags | header.n_more) != 0 &&
         !mf_entry_is_sound(&header)))
        return -EBADMSG;
    *ret_header = header;
    *ret_data = reader->data + sizeof(header);
    reader->data += sizeof(header) + header.size;
    reader->left -= sizeof(header) + header.size;
    return 1;
}

#endif
