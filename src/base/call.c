/*
 * Calls and entries to bytes and back: see call.h. No state; any thread.
 */
#include "base/call.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define ALL_CALL_FLAGS (MF_CALL_HAS_DETAILS | MF_CALL_IS_LARGE)

static uint8_t *put_raw(uint8_t *to, const void *data, size_t n)
{
    /* memcpy() from NULL is undefined even for no bytes. */
    if (n > 0)
        memcpy(to, data, n);
    return to + n;
}

static uint8_t *put_details(uint8_t *to, const struct mf_call *call)
{
    struct mf_call_details details = call->details;

    assert(details.try_number > 0);
    details.size_high = (uint32_t)((uint64_t)call->size >> 32);
    details.unused = 0;
    to = put_raw(to, &details, sizeof(details));
    return put_raw(to, call->checkpoint, details.checkpoint_size);
}

void mf_call_put(struct mf_buffer *buffer, const struct mf_call *call)
{
    bool has_details = mf_call_has_details(call);
    struct mf_call_header header = {
        .task = call->task,
        .size_low = (uint32_t)call->size,
        .function = call->function,
        .flags = (uint16_t)((has_details ? MF_CALL_HAS_DETAILS : 0) |
                            (call->is_large ? MF_CALL_IS_LARGE : 0)),
    };

    if (mf_buffer_reserve(buffer, mf_call_bytes(call)) < 0)
        return;
    uint8_t *to = put_raw(buffer->data + buffer->size, &header, sizeof(header));
    if (has_details)
        to = put_details(to, call);
    if (!call->is_large)
        to = put_raw(to, call->input, call->size);
    buffer->size = (size_t)(to - buffer->data);
}

/* Returns false and fails the reader if they are damaged. */
static bool get_details(struct mf_reader *reader, struct mf_call *call)
{
    const uint8_t *bytes = mf_reader_get_raw(reader, sizeof(call->details));

    if (!bytes)
        return false;
    memcpy(&call->details, bytes, sizeof(call->details));
    call->size |= (uint64_t)call->details.size_high << 32;
    if (call->details.try_number == 0) {
        reader->has_failed = true;
        return false;
    }
    if (call->details.checkpoint_size > 0)
        call->checkpoint = mf_reader_get_raw(reader, call->details.checkpoint_size);
    return !reader->has_failed;
}

/* Returns whether there is one; a part of one fails the reader. */
static inline bool get_header(struct mf_reader *reader, struct mf_call_header *ret_header)
{
    if (reader->has_failed || reader->left == 0)
        return false;
    if (reader->left < sizeof(*ret_header)) {
        reader->has_failed = true;
        return false;
    }
    memcpy(ret_header, reader->data, sizeof(*ret_header));
    reader->data += sizeof(*ret_header);
    reader->left -= sizeof(*ret_header);
    return true;
}

bool mf_call_get(struct mf_reader *reader, struct mf_call *ret_call)
{
    struct mf_call_header header;

    if (!get_header(reader, &header))
        return false;
    *ret_call = (struct mf_call){
        .task = header.task,
        .function = header.function,
        .is_large = header.flags & MF_CALL_IS_LARGE,
        .size = header.size_low,
        .details = {.try_number = 1},
    };
    if (header.flags & ~ALL_CALL_FLAGS) {
        reader->has_failed = true;
        return false;
    }
    if (header.flags & MF_CALL_HAS_DETAILS && !get_details(reader, ret_call))
        return false;
    if (!ret_call->is_large && ret_call->size > 0)
        ret_call->input = mf_reader_get_raw(reader, ret_call->size);
    return !reader->has_failed;
}

bool mf_call_skip(struct mf_reader *reader, struct mf_call_header *ret_header)
{
    struct mf_reader before = *reader;
    struct mf_call call;

    if (!get_header(reader, ret_header))
        return false;
    if (ret_header->flags == 0 && ret_header->size_low <= reader->left) {
        reader->data += ret_header->size_low;
        reader->left -= ret_header->size_low;
        return true;
    }
    *reader = before;
    return mf_call_get(reader, &call);
}

int mf_entry_get(struct mf_reader *reader, struct mf_entry_header *ret_header,
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
    if (header.size > reader->left - sizeof(header) || header.kind > MF_ENTRY_CHILD ||
        header.flags & ~MF_CALL_IS_LARGE || header.cause > MF_ENTRY_MAX_CAUSE ||
        (header.flags & MF_CALL_IS_LARGE && header.cause != 0) ||
        (header.kind == MF_ENTRY_CHILD && header.size < sizeof(struct mf_child)) ||
        (header.flags & MF_CALL_IS_LARGE && header.size != sizeof(uint64_t)))
        return -EBADMSG;
    *ret_header = header;
    *ret_data = reader->data + sizeof(header);
    reader->data += sizeof(header) + header.size;
    reader->left -= sizeof(header) + header.size;
    return 1;
}
