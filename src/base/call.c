/*
 * Calls and entries to bytes and back: see call.h. No state; any thread.
 */
#include "base/call.h"

#include <assert.h>
#include <string.h>

#define ALL_CALL_FLAGS (MF_CALL_HAS_DETAILS | MF_CALL_IS_LARGE | MF_CALL_HAS_RESULTS)

static inline uint8_t *put_details(uint8_t *to, const struct mf_call *call)
{
    struct mf_call_details details = call->details;

    assert(details.try_number > 0);
    details.size_high = (uint32_t)((uint64_t)call->size >> 32);
    memcpy(to, &details, sizeof(details));
    to += sizeof(details);
    if (details.n_more == 0)
        return to;
    memcpy(to, &call->steps, sizeof(call->steps));
    return to + sizeof(call->steps);
}

static inline size_t details_bytes(const struct mf_call *call)
{
    return sizeof(call->details) + (call->details.n_more > 0 ? sizeof(call->steps) : 0) +
           call->details.checkpoint_size;
}

static inline struct mf_call_header header_of(const struct mf_call *call, bool has_details)
{
    return (struct mf_call_header){
        .task = call->task,
        .size_low = (uint32_t)call->size,
        .function = call->function,
        .flags = (uint16_t)((has_details ? MF_CALL_HAS_DETAILS : 0) |
                            (call->is_large ? MF_CALL_IS_LARGE : 0) |
                            (call->has_results ? MF_CALL_HAS_RESULTS : 0)),
    };
}

void mf_call_put(struct mf_buffer *buffer, const struct mf_call *call)
{
    bool has_details = mf_call_has_details(call);
    size_t n_details = has_details ? details_bytes(call) : 0;
    size_t n_input = call->is_large ? 0 : call->size * ((size_t)call->details.n_more + 1);
    struct mf_call_header header = header_of(call, has_details);
    uint8_t *to;

    if (mf_buffer_reserve(buffer, sizeof(header) + n_details + n_input) < 0)
        return;
    to = buffer->data + buffer->size;
    memcpy(to, &header, sizeof(header));
    to += sizeof(header);
    if (has_details) {
        to = put_details(to, call);
        mf_copy(to, call->checkpoint, call->details.checkpoint_size);
        to += call->details.checkpoint_size;
    }
    mf_copy(to, call->input, n_input);
    buffer->size += sizeof(header) + n_details + n_input;
}

size_t mf_call_put_head(uint8_t head[static MF_STRETCH_HEAD_BYTES], const struct mf_call *call)
{
    struct mf_call_header header = header_of(call, true);

    assert(call->details.checkpoint_size == 0);
    memcpy(head, &header, sizeof(header));
    return (size_t)(put_details(head + sizeof(header), call) - head);
}

static bool fail(struct mf_reader *reader)
{
    reader->has_failed = true;
    return false;
}

/* Returns whether there is one; a part of one, or one that cannot be, fails the reader. */
static inline bool get_header(struct mf_reader *reader, struct mf_call_header *ret_header)
{
    if (reader->has_failed || reader->left == 0)
        return false;
    if (reader->left < sizeof(*ret_header))
        return fail(reader);
    memcpy(ret_header, reader->data, sizeof(*ret_header));
    if (ret_header->flags & ~ALL_CALL_FLAGS)
        return fail(reader);
    reader->data += sizeof(*ret_header);
    reader->left -= sizeof(*ret_header);
    return true;
}

/* Returns false and fails the reader if they are damaged. */
static inline bool get_details(struct mf_reader *reader, struct mf_call_details *ret_details)
{
    if (reader->left < sizeof(*ret_details))
        return fail(reader);
    memcpy(ret_details, reader->data, sizeof(*ret_details));
    reader->data += sizeof(*ret_details);
    reader->left -= sizeof(*ret_details);
    if (ret_details->try_number == 0 || ret_details->checkpoint_size > reader->left ||
        (ret_details->n_more > 0 && ret_details->checkpoint_size > 0))
        return fail(reader);
    return true;
}

/* Of what is no stretch there are none. Returns false and fails the reader if they are damaged. */
static inline bool get_steps(struct mf_reader *reader, const struct mf_call_details *details,
                             struct mf_call_steps *ret_steps)
{
    if (details->n_more == 0)
        return true;
    if (reader->left < sizeof(*ret_steps))
        return fail(reader);
    memcpy(ret_steps, reader->data, sizeof(*ret_steps));
    reader->data += sizeof(*ret_steps);
    reader->left -= sizeof(*ret_steps);
    return true;
}

/* Steps over bytes; returns whether they are there. */
static inline bool step(struct mf_reader *reader, size_t n)
{
    if (n > reader->left)
        return fail(reader);
    reader->data += n;
    reader->left -= n;
    return true;
}

/* Steps over the inputs of a call, or of a stretch, which has no large ones. */
static inline bool step_inputs(struct mf_reader *reader, bool is_large, uint64_t size,
                               uint32_t n_more)
{
    if (n_more == 0)
        return is_large || step(reader, size);
    if (is_large || size > reader->left / ((uint64_t)n_more + 1))
        return fail(reader);
    return step(reader, size * ((uint64_t)n_more + 1));
}

bool mf_call_get(struct mf_reader *reader, struct mf_call *ret_call)
{
    struct mf_call_header header;

    if (!get_header(reader, &header))
        return false;
    ret_call->task = header.task;
    ret_call->function = header.function;
    ret_call->is_large = header.flags & MF_CALL_IS_LARGE;
    ret_call->has_results = header.flags & MF_CALL_HAS_RESULTS;
    ret_call->size = header.size_low;
    ret_call->checkpoint = NULL;
    if (!(header.flags & MF_CALL_HAS_DETAILS)) {
        ret_call->details = (struct mf_call_details){.try_number = 1};
    } else {
        if (!get_details(reader, &ret_call->details) ||
            !get_steps(reader, &ret_call->details, &ret_call->steps))
            return false;
        ret_call->size |= (uint64_t)ret_call->details.size_high << 32;
        if (ret_call->details.checkpoint_size > 0) {
            ret_call->checkpoint = reader->data;
            step(reader, ret_call->details.checkpoint_size);
        }
    }
    ret_call->input = ret_call->is_large || ret_call->size == 0 ? NULL : reader->data;
    return step_inputs(reader, ret_call->is_large, ret_call->size, ret_call->details.n_more);
}

bool mf_call_skip(struct mf_reader *reader, struct mf_call_header *ret_header, uint64_t *ret_n)
{
    struct mf_call_details details = {0};
    struct mf_call_steps steps;
    uint64_t size;

    if (!get_header(reader, ret_header))
        return false;
    if (ret_header->flags & MF_CALL_HAS_DETAILS &&
        (!get_details(reader, &details) || !get_steps(reader, &details, &steps) ||
         !step(reader, details.checkpoint_size)))
        return false;
    size = (uint64_t)details.size_high << 32 | ret_header->size_low;
    *ret_n = (uint64_t)details.n_more + 1;
    return step_inputs(reader, ret_header->flags & MF_CALL_IS_LARGE, size, details.n_more);
}

bool mf_entry_is_sound(const struct mf_entry_header *header)
{
    bool is_large = header->flags & MF_CALL_IS_LARGE;

    return header->kind <= MF_ENTRY_CHILD && !(header->flags & ~MF_CALL_IS_LARGE) &&
           header->cause <= MF_ENTRY_MAX_CAUSE && !(is_large && header->cause != 0) &&
           !(is_large && header->size != sizeof(uint64_t)) &&
           !(header->n_more > 0 &&
             (is_large || header->kind != MF_ENTRY_RESULT || header->cause != 0 ||
              header->size % ((uint64_t)header->n_more + 1) != 0)) &&
           !(header->kind == MF_ENTRY_CHILD && header->size < sizeof(struct mf_child));
}
