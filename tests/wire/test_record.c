/* Records of function tasks survive the way to bytes and back, and no bytes at all can hurt. */
#include "wire/record.h"

#include "base/rng.h"
#include "wire/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static struct mf_reader open_frame(const struct mf_buffer *frame)
{
    struct mf_reader reader;

    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    return reader;
}

Test(record, header_and_body_survive_the_way)
{
    struct mf_record sent = {.kind = MF_RECORD_RESULT,
                             .flags = MF_RECORD_IS_LAST,
                             .number = 60,
                             .unit = UINT64_C(1) << 50,
                             .attempt = 3};
    struct mf_buffer frame = {0};
    struct mf_record got;
    struct mf_reader body;

    mf_record_put(&frame, &sent, "some bytes", 10);
    struct mf_reader reader = open_frame(&frame);
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 1));
    cr_assert(eq(int, got.kind, MF_RECORD_RESULT));
    cr_assert(eq(int, got.flags, MF_RECORD_IS_LAST));
    cr_assert(eq(u32, got.number, 60));
    cr_assert(eq(u64, got.unit, UINT64_C(1) << 50));
    cr_assert(eq(u32, got.attempt, 3));
    cr_assert(eq(sz, body.left, 10));
    cr_assert(memcmp(body.data, "some bytes", 10) == 0);
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 0));
    mf_buffer_finish(&frame);
}

Test(record, a_body_can_be_appended_in_parts)
{
    struct mf_record sent = {.kind = MF_RECORD_UNIT};
    struct mf_buffer frame = {0};
    struct mf_record got;
    struct mf_reader body;

    mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_STOP}, NULL, 0);
    size_t offset = mf_record_begin(&frame, &sent);
    mf_buffer_put_u32(&frame, 1);
    mf_buffer_put_u32(&frame, 2);
    mf_record_end(&frame, offset);
    mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_BYE}, NULL, 0);
    struct mf_reader reader = open_frame(&frame);
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 1));
    cr_assert(eq(int, got.kind, MF_RECORD_STOP));
    cr_assert(eq(sz, body.left, 0));
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 1));
    cr_assert(eq(u32, got.body_size, 8));
    mf_reader_get_u32(&body);
    cr_assert(eq(u32, mf_reader_get_u32(&body), 2));
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 1));
    cr_assert(eq(int, got.kind, MF_RECORD_BYE));
    cr_assert(eq(int, mf_record_next(&reader, &got, &body), 0));
    mf_buffer_finish(&frame);
}

Test(record, shares_its_frame_header_with_messages)
{
    struct mf_buffer ours = {0}, theirs = {0};

    mf_record_put(&ours, &(struct mf_record){.kind = MF_RECORD_BYE}, NULL, 0);
    mf_message_encode(&(struct mf_message){.kind = MF_MESSAGE_BYE}, &theirs);
    cr_assert(memcmp(ours.data, theirs.data, 4) == 0);
    mf_buffer_finish(&ours);
    mf_buffer_finish(&theirs);
}

Test(record, every_truncation_is_refused)
{
    struct mf_buffer frame = {0};
    struct mf_record got;
    struct mf_reader body;

    mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_CHECKPOINT}, "saved", 5);
    for (size_t size = 5; size < frame.size; size++) {
        struct mf_reader reader;

        cr_assert(eq(int, mf_frame_open(frame.data, size, &reader), 0));
        cr_assert(eq(int, mf_record_next(&reader, &got, &body), -EBADMSG), "at %zu bytes", size);
    }
    mf_buffer_finish(&frame);
}

Test(record, unknown_kinds_are_refused)
{
    struct mf_record got;
    struct mf_reader body;

    for (unsigned kind = 0; kind < 256; kind++) {
        struct mf_record sent = {.kind = (uint8_t)kind};
        bool is_known = (kind >= MF_RECORD_HELLO && kind <= MF_RECORD_HOOKS) ||
                        (kind >= MF_RECORD_WELCOME && kind <= MF_RECORD_END);
        struct mf_reader reader = mf_reader_over(&sent, sizeof(sent));

        cr_assert(eq(int, mf_record_next(&reader, &got, &body), is_known ? 1 : -EBADMSG));
    }
}

Test(record, without_memory_nothing_is_completed)
{
    struct mf_buffer frame = {.has_failed = true};

    mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_BYE}, "x", 1);
    cr_assert(eq(sz, frame.size, 0));
    cr_assert(eq(int, mf_buffer_status(&frame), -ENOMEM));
}

Test(record, changed_bytes_never_read_outside_the_frame)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        struct mf_buffer frame = {0};
        struct mf_record got;
        struct mf_reader reader, body;

        mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_UNIT}, "calls", 5);
        mf_record_put(&frame, &(struct mf_record){.kind = MF_RECORD_PIECE}, "bytes", 5);
        for (int change = 0; change < 3; change++)
            frame.data[mf_rng_below(&rng, frame.size)] = (uint8_t)mf_rng_next(&rng);
        if (mf_frame_open(frame.data, frame.size, &reader) == 0)
            while (mf_record_next(&reader, &got, &body) == 1)
                cr_assert(body.data + body.left <= frame.data + frame.size);
        mf_buffer_finish(&frame);
    }
}
