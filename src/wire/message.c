/*
 * Records to bytes and back. Which fields a kind has is listed once, in
 * fields_of(); encoding and decoding both walk that list, so that they cannot
 * disagree.
 */
#include "wire/message.h"

#include <errno.h>
#include <string.h>

/* The fields a record can have, in the order in which they travel. */
enum {
    FIELD_TASK = 1 << 0,  /* task and attempt */
    FIELD_NEEDS = 1 << 1, /* n_slots, n_gpus, mem_bytes and try_number */
    FIELD_TIMEOUT = 1 << 2,
    FIELD_CAUSE = 1 << 3,
    FIELD_PLACE = 1 << 4, /* stream and offset */
    FIELD_LENGTH = 1 << 5,
    FIELD_ERROR = 1 << 6,
    FIELD_OUTCOME = 1 << 7, /* outcome, size and is_inline */
    FIELD_HOST = 1 << 8,
    FIELD_FEEDS = 1 << 9,
    FIELD_PAYLOAD = 1 << 10,
    FIELD_RAN = 1 << 11,
    FIELD_SIGNAL = 1 << 13,
    FIELD_LIFE = 1 << 12,
    FIELD_SAVED = 1 << 14,
    FIELD_ROOMS = 1 << 15,
};

/* The fields of a kind, or -1 for a kind that there is not. */
static int fields_of(unsigned kind)
{
    switch (kind) {
    case MF_MESSAGE_HELLO:
    case MF_MESSAGE_REPORT:
        return FIELD_HOST | FIELD_LIFE | FIELD_PAYLOAD;
    case MF_MESSAGE_STARTED:
    case MF_MESSAGE_RETURNED:
    case MF_MESSAGE_RECALL:
    case MF_MESSAGE_RELEASE:
    case MF_MESSAGE_LET_GO:
    case MF_MESSAGE_UNFEED:
    case MF_MESSAGE_CONTINUED:
    case MF_MESSAGE_SUSPEND:
    case MF_MESSAGE_CONTINUE:
        return FIELD_TASK;
    case MF_MESSAGE_SUSPENDED:
        return FIELD_TASK | FIELD_RAN;
    case MF_MESSAGE_HOLD:
        return FIELD_TASK | FIELD_NEEDS | FIELD_ROOMS;
    case MF_MESSAGE_SAVED:
    case MF_MESSAGE_HELD:
        return FIELD_TASK | FIELD_PAYLOAD;
    case MF_MESSAGE_ENDED:
    case MF_MESSAGE_HOOKED:
        return FIELD_TASK | FIELD_OUTCOME | FIELD_PAYLOAD;
    case MF_MESSAGE_DATA:
    case MF_MESSAGE_FEED:
        return FIELD_TASK | FIELD_PLACE | FIELD_ERROR | FIELD_PAYLOAD;
    case MF_MESSAGE_BROKEN:
    case MF_MESSAGE_RENEWED:
    case MF_MESSAGE_WELCOME:
    case MF_MESSAGE_SUPERSEDED:
    case MF_MESSAGE_HOOKS:
        return FIELD_PAYLOAD;
    case MF_MESSAGE_TAKEOVER:
        return FIELD_LIFE | FIELD_PAYLOAD;
    case MF_MESSAGE_RUN:
        return FIELD_TASK | FIELD_NEEDS | FIELD_TIMEOUT | FIELD_FEEDS | FIELD_SAVED | FIELD_ROOMS |
               FIELD_PAYLOAD;
    case MF_MESSAGE_END:
        return FIELD_TASK | FIELD_CAUSE;
    case MF_MESSAGE_WARN:
        return FIELD_SIGNAL;
    case MF_MESSAGE_PULL:
    case MF_MESSAGE_FETCH:
        return FIELD_TASK | FIELD_PLACE | FIELD_LENGTH;
    case MF_MESSAGE_STOP:
        return FIELD_ERROR;
    case MF_MESSAGE_PULSE:
        return FIELD_LIFE;
    case MF_MESSAGE_BYE:
    case MF_MESSAGE_BUSY:
    case MF_MESSAGE_BEAT:
    case MF_MESSAGE_AGAIN:
    case MF_MESSAGE_RESET:
        return 0;
    default:
        return -1;
    }
}

/* What each frame begins with. */
static const uint8_t frame_header[] = {'m', 'f', MF_WIRE_VERSION & 255, MF_WIRE_VERSION >> 8};

void mf_frame_begin(struct mf_buffer *frame)
{
    mf_buffer_append(frame, frame_header, sizeof(frame_header));
}

void mf_message_encode(const struct mf_message *message, struct mf_buffer *frame)
{
    int fields = fields_of(message->kind);

    if (frame->size == 0)
        mf_frame_begin(frame);
    mf_buffer_put_u8(frame, (uint8_t)message->kind);
    if (fields & FIELD_TASK) {
        mf_buffer_put_u64(frame, message->task);
        mf_buffer_put_u32(frame, message->attempt);
    }
    if (fields & FIELD_NEEDS) {
        mf_buffer_put_u32(frame, message->n_slots);
        mf_buffer_put_u32(frame, message->n_gpus);
        mf_buffer_put_u64(frame, message->mem_bytes);
        mf_buffer_put_u32(frame, message->try_number);
    }
    if (fields & FIELD_TIMEOUT)
        mf_buffer_put_i64(frame, message->timeout_ns);
    if (fields & FIELD_RAN)
        mf_buffer_put_i64(frame, message->ran_ns);
    if (fields & FIELD_CAUSE)
        mf_buffer_put_u8(frame, (uint8_t)message->cause);
    if (fields & FIELD_PLACE) {
        mf_buffer_put_u8(frame, (uint8_t)message->stream);
        mf_buffer_put_u64(frame, message->offset);
    }
    if (fields & FIELD_LENGTH)
        mf_buffer_put_u32(frame, message->length);
    if (fields & FIELD_SIGNAL)
        mf_buffer_put_u32(frame, message->signal);
    if (fields & FIELD_ERROR)
        mf_buffer_put_u32(frame, (uint32_t)message->error);
    if (fields & FIELD_OUTCOME) {
        mf_outcome_encode(&message->outcome, frame);
        for (int i = 0; i < MF_N_STREAMS; i++)
            mf_buffer_put_u64(frame, message->size[i]);
        mf_buffer_put_u8(frame, message->is_inline);
    }
    if (fields & FIELD_HOST)
        mf_buffer_put_text(frame, message->host);
    if (fields & FIELD_LIFE)
        mf_life_encode(&message->life, frame);
    if (fields & FIELD_FEEDS)
        mf_buffer_put_bytes(frame, message->feeds, message->feeds_size);
    if (fields & FIELD_SAVED)
        mf_buffer_put_bytes(frame, message->saved, message->saved_size);
    if (fields & FIELD_ROOMS)
        mf_buffer_put_bytes(frame, message->rooms, message->rooms_size);
    if (fields & FIELD_PAYLOAD)
        mf_buffer_put_bytes(frame, message->payload, message->payload_size);
}

void mf_message_text(const struct mf_message *message, char *text, size_t size)
{
    size_t n = message->payload_size < size - 1 ? message->payload_size : size - 1;

    mf_copy(text, message->payload, n);
    text[n] = '\0';
}

int mf_frame_open(const void *data, size_t size, struct mf_reader *ret_reader)
{
    const uint8_t *bytes = data;

    if (size < sizeof(frame_header) || memcmp(bytes, frame_header, 2) != 0)
        return -EBADMSG;
    if (memcmp(bytes, frame_header, sizeof(frame_header)) != 0)
        return -EPROTO;
    *ret_reader = mf_reader_over(bytes + sizeof(frame_header), size - sizeof(frame_header));
    return 0;
}

static void decode_cause(struct mf_reader *reader, struct mf_message *message)
{
    uint8_t cause = mf_reader_get_u8(reader);

    if (cause > MF_CAUSE_MAX)
        reader->has_failed = true;
    message->cause = (enum mf_cause)cause;
}

static void decode_place(struct mf_reader *reader, struct mf_message *message)
{
    uint8_t stream = mf_reader_get_u8(reader);

    if (stream >= MF_N_STREAMS)
        reader->has_failed = true;
    message->stream = (enum mf_stream)stream;
    message->offset = mf_reader_get_u64(reader);
}

static void decode_outcome(struct mf_reader *reader, struct mf_message *message)
{
    mf_outcome_decode(reader, &message->outcome);
    for (int i = 0; i < MF_N_STREAMS; i++)
        message->size[i] = mf_reader_get_u64(reader);
    message->is_inline = mf_reader_get_u8(reader) != 0;
}

/* An inline output must be as long as its sizes say, so that users can rely on it. */
static bool is_consistent(const struct mf_message *message)
{
    if (message->kind != MF_MESSAGE_ENDED && message->kind != MF_MESSAGE_HOOKED)
        return true;
    if (!message->is_inline)
        return message->payload_size == 0;
    return message->size[0] <= message->payload_size &&
           message->size[1] == message->payload_size - message->size[0];
}

int mf_message_decode(struct mf_reader *reader, struct mf_message *ret_message)
{
    if (reader->left == 0 && !reader->has_failed)
        return 0;

    uint8_t kind = mf_reader_get_u8(reader);
    int fields = fields_of(kind);
    if (fields < 0)
        return -EBADMSG;
    /* Only the fields of this kind are set: the outcome alone is hundreds of bytes. */
    ret_message->kind = (enum mf_message_kind)kind;
    if (fields & FIELD_TASK) {
        ret_message->task = mf_reader_get_u64(reader);
        ret_message->attempt = mf_reader_get_u32(reader);
    }
    if (fields & FIELD_NEEDS) {
        ret_message->n_slots = mf_reader_get_u32(reader);
        ret_message->n_gpus = mf_reader_get_u32(reader);
        ret_message->mem_bytes = mf_reader_get_u64(reader);
        ret_message->try_number = mf_reader_get_u32(reader);
    }
    if (fields & FIELD_TIMEOUT)
        ret_message->timeout_ns = mf_reader_get_i64(reader);
    if (fields & FIELD_RAN)
        ret_message->ran_ns = mf_reader_get_i64(reader);
    if (fields & FIELD_CAUSE)
        decode_cause(reader, ret_message);
    if (fields & FIELD_PLACE)
        decode_place(reader, ret_message);
    if (fields & FIELD_LENGTH)
        ret_message->length = mf_reader_get_u32(reader);
    if (fields & FIELD_SIGNAL)
        ret_message->signal = mf_reader_get_u32(reader);
    if (fields & FIELD_ERROR)
        ret_message->error = (int32_t)mf_reader_get_u32(reader);
    if (fields & FIELD_OUTCOME)
        decode_outcome(reader, ret_message);
    if (fields & FIELD_HOST)
        mf_reader_get_text(reader, ret_message->host, sizeof(ret_message->host));
    if (fields & FIELD_LIFE)
        mf_life_decode(reader, &ret_message->life);
    ret_message->feeds = ret_message->saved = NULL;
    ret_message->rooms = ret_message->payload = NULL;
    ret_message->feeds_size = ret_message->saved_size = 0;
    ret_message->rooms_size = ret_message->payload_size = 0;
    if (fields & FIELD_FEEDS)
        ret_message->feeds = mf_reader_get_bytes(reader, &ret_message->feeds_size);
    if (fields & FIELD_SAVED)
        ret_message->saved = mf_reader_get_bytes(reader, &ret_message->saved_size);
    if (fields & FIELD_ROOMS)
        ret_message->rooms = mf_reader_get_bytes(reader, &ret_message->rooms_size);
    if (fields & FIELD_PAYLOAD)
        ret_message->payload = mf_reader_get_bytes(reader, &ret_message->payload_size);
    if (reader->has_failed || !is_consistent(ret_message))
        return -EBADMSG;
    return 1;
}
