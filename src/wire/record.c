/* Records of function tasks to bytes and back: see record.h. No state; any thread. */
#include "wire/record.h"

#include "wire/message.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static bool is_known(uint8_t kind)
{
    return (kind >= MF_RECORD_HELLO && kind <= MF_RECORD_HOOKS) ||
           (kind >= MF_RECORD_WELCOME && kind <= MF_RECORD_END);
}

size_t mf_record_begin(struct mf_buffer *frame, const struct mf_record *record)
{
    size_t offset;

    if (frame->size == 0)
        mf_frame_begin(frame);
    offset = frame->size;
    mf_buffer_append(frame, record, sizeof(*record));
    return offset;
}

void mf_record_end(struct mf_buffer *frame, size_t record)
{
    size_t body_size;

    if (frame->has_failed)
        return;
    body_size = frame->size - record - sizeof(struct mf_record);
    if (body_size > UINT32_MAX) {
        frame->has_failed = true;
        return;
    }
    mf_buffer_patch_u32(frame, record + offsetof(struct mf_record, body_size), (uint32_t)body_size);
}

void mf_record_put(struct mf_buffer *frame, const struct mf_record *record, const void *data,
                   size_t size)
{
    size_t offset = mf_record_begin(frame, record);

    mf_buffer_append(frame, data, size);
    mf_record_end(frame, offset);
}

int mf_record_next(struct mf_reader *frame, struct mf_record *ret_record,
                   struct mf_reader *ret_body)
{
    struct mf_record record;

    if (frame->has_failed)
        return -EBADMSG;
    if (frame->left == 0)
        return 0;
    if (frame->left < sizeof(record))
        return -EBADMSG;
    memcpy(&record, frame->data, sizeof(record));
    if (!is_known(record.kind) || record.body_size > frame->left - sizeof(record))
        return -EBADMSG;
    *ret_record = record;
    *ret_body = mf_reader_over(frame->data + sizeof(record), record.body_size);
    frame->data += sizeof(record) + record.body_size;
    frame->left -= sizeof(record) + record.body_size;
    return 1;
}
