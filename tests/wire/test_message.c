/* Records survive the way to bytes and back, and no bytes at all can hurt. */
#include "wire/message.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static struct mf_message decode_one(const struct mf_buffer *frame)
{
    struct mf_message message = {0};
    struct mf_reader reader;

    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    cr_assert(eq(int, mf_message_decode(&reader, &message), 1));
    cr_assert(eq(sz, reader.left, 0));
    return message;
}

static struct mf_message ended(const char *output, uint64_t n_stdout)
{
    struct mf_message message = {
        .kind = MF_MESSAGE_ENDED,
        .task = UINT64_C(1) << 40,
        .attempt = 7,
        .is_inline = true,
        .size = {n_stdout, strlen(output) - n_stdout},
        .outcome = {.cause = MF_CAUSE_SIGNAL,
                    .exit_status = 137,
                    .signal = 9,
                    .started_wall_ns = 123,
                    .duration_ns = 456,
                    .max_rss_bytes = UINT64_C(1) << 33,
                    .detail = "left processes behind"},
        .payload = (const uint8_t *)output,
        .payload_size = strlen(output),
    };

    return message;
}

Test(message, carries_a_run_with_its_command)
{
    struct mf_message run = {.kind = MF_MESSAGE_RUN,
                             .task = 12,
                             .attempt = 3,
                             .n_slots = 4,
                             .n_gpus = 2,
                             .mem_bytes = UINT64_C(3) << 40,
                             .try_number = 2,
                             .timeout_ns = 5000000000,
                             .feeds = (const uint8_t *)"sixteen bytes...",
                             .feeds_size = MF_FEED_BYTES,
                             .rooms = (const uint8_t *)"name\nhost\n",
                             .rooms_size = 10,
                             .payload = (const uint8_t *)"command",
                             .payload_size = 7};
    struct mf_buffer frame = {0};

    mf_message_encode(&run, &frame);
    struct mf_message got = decode_one(&frame);
    cr_assert(eq(int, got.kind, MF_MESSAGE_RUN));
    cr_assert(eq(u64, got.task, 12));
    cr_assert(eq(u32, got.attempt, 3));
    cr_assert(eq(u32, got.n_slots, 4));
    cr_assert(eq(u32, got.n_gpus, 2));
    cr_assert(eq(u64, got.mem_bytes, UINT64_C(3) << 40));
    cr_assert(eq(u32, got.try_number, 2));
    cr_assert(eq(i64, got.timeout_ns, 5000000000));
    cr_assert(eq(sz, got.payload_size, 7));
    cr_assert(memcmp(got.payload, "command", 7) == 0);
    cr_assert(eq(sz, got.feeds_size, MF_FEED_BYTES));
    cr_assert(memcmp(got.feeds, "sixteen bytes...", MF_FEED_BYTES) == 0);
    cr_assert(eq(sz, got.rooms_size, 10));
    cr_assert(memcmp(got.rooms, "name\nhost\n", 10) == 0);
    mf_buffer_finish(&frame);
}

Test(message, carries_what_a_worker_fetches)
{
    struct mf_message fetch = {
        .kind = MF_MESSAGE_FETCH, .task = 9, .offset = UINT64_C(5) << 32, .length = 77};
    struct mf_message feed = {.kind = MF_MESSAGE_FEED,
                              .task = 9,
                              .offset = 12,
                              .error = 5,
                              .payload = (const uint8_t *)"piece",
                              .payload_size = 5};
    struct mf_buffer frame = {0};

    mf_message_encode(&fetch, &frame);
    struct mf_message got = decode_one(&frame);
    cr_assert(eq(u64, got.task, 9));
    cr_assert(eq(u64, got.offset, UINT64_C(5) << 32));
    cr_assert(eq(u32, got.length, 77));
    mf_buffer_clear(&frame);
    mf_message_encode(&feed, &frame);
    got = decode_one(&frame);
    cr_assert(eq(u64, got.offset, 12));
    cr_assert(eq(i32, got.error, 5));
    cr_assert(memcmp(got.payload, "piece", 5) == 0);
    mf_buffer_finish(&frame);
}

Test(message, carries_an_outcome_and_both_streams)
{
    struct mf_message sent = ended("outerr", 3);
    struct mf_buffer frame = {0};

    mf_message_encode(&sent, &frame);
    struct mf_message got = decode_one(&frame);
    cr_assert(eq(u64, got.task, sent.task));
    cr_assert(eq(int, got.outcome.cause, MF_CAUSE_SIGNAL));
    cr_assert(eq(int, got.outcome.signal, 9));
    cr_assert(eq(u64, got.outcome.max_rss_bytes, UINT64_C(1) << 33));
    cr_assert(eq(str, got.outcome.detail, "left processes behind"));
    cr_assert(eq(u64, got.size[MF_STDOUT], 3));
    cr_assert(eq(u64, got.size[MF_STDERR], 3));
    cr_assert(memcmp(got.payload, "outerr", 6) == 0);
    mf_buffer_finish(&frame);
}

Test(message, several_records_share_a_frame_in_order)
{
    struct mf_buffer frame = {0};
    struct mf_message message = {0};
    struct mf_reader reader;

    for (uint64_t task = 1; task <= 100; task++) {
        struct mf_message sent = {.kind = MF_MESSAGE_STARTED, .task = task, .attempt = 1};
        mf_message_encode(&sent, &frame);
    }
    cr_assert(eq(int, mf_frame_open(frame.data, frame.size, &reader), 0));
    for (uint64_t task = 1; task <= 100; task++) {
        cr_assert(eq(int, mf_message_decode(&reader, &message), 1));
        cr_assert(eq(u64, message.task, task));
    }
    cr_assert(eq(int, mf_message_decode(&reader, &message), 0));
    mf_buffer_finish(&frame);
}

Test(message, another_version_is_told_from_rubbish)
{
    struct mf_message bye = {.kind = MF_MESSAGE_BYE};
    struct mf_buffer frame = {0};
    struct mf_reader reader;

    mf_message_encode(&bye, &frame);
    frame.data[2]++;
    cr_assert(eq(int, mf_frame_open(frame.data, frame.size, &reader), -EPROTO));
    frame.data[0] = 'x';
    cr_assert(eq(int, mf_frame_open(frame.data, frame.size, &reader), -EBADMSG));
    cr_assert(eq(int, mf_frame_open(frame.data, 1, &reader), -EBADMSG));
    mf_buffer_finish(&frame);
}

Test(message, every_truncation_is_refused)
{
    struct mf_message sent = ended("outerr", 3);
    struct mf_buffer frame = {0};

    mf_message_encode(&sent, &frame);
    for (size_t size = 5; size < frame.size; size++) {
        struct mf_message message = {0};
        struct mf_reader reader;

        cr_assert(eq(int, mf_frame_open(frame.data, size, &reader), 0));
        cr_assert(eq(int, mf_message_decode(&reader, &message), -EBADMSG), "at %zu bytes", size);
    }
    mf_buffer_finish(&frame);
}

Test(message, inline_output_must_be_as_long_as_it_says)
{
    struct mf_message sent = ended("outerr", 3);
    struct mf_buffer frame = {0};
    struct mf_message message = {0};
    struct mf_reader reader;

    sent.size[MF_STDERR] = UINT64_MAX;
    mf_message_encode(&sent, &frame);
    cr_assert(eq(int, mf_frame_open(frame.data, frame.size, &reader), 0));
    cr_assert(eq(int, mf_message_decode(&reader, &message), -EBADMSG));
    mf_buffer_finish(&frame);
}

Test(message, changed_bytes_never_read_outside_the_frame)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        struct mf_message sent = ended("some output", 4), got = {0};
        struct mf_buffer frame = {0};
        struct mf_reader reader;

        mf_message_encode(&sent, &frame);
        for (int change = 0; change < 3; change++)
            frame.data[mf_rng_below(&rng, frame.size)] = (uint8_t)mf_rng_next(&rng);
        if (mf_frame_open(frame.data, frame.size, &reader) == 0)
            while (mf_message_decode(&reader, &got) == 1)
                cr_assert(got.payload_size == 0 ||
                          (got.payload >= frame.data &&
                           got.payload + got.payload_size <= frame.data + frame.size));
        mf_buffer_finish(&frame);
    }
}

Test(message, carries_how_long_a_suspended_attempt_has_run)
{
    struct mf_message suspended = {
        .kind = MF_MESSAGE_SUSPENDED, .task = 12, .attempt = 3, .ran_ns = INT64_C(5) << 33};
    struct mf_buffer frame = {0};

    mf_message_encode(&suspended, &frame);
    struct mf_message got = decode_one(&frame);
    cr_assert(eq(int, got.kind, MF_MESSAGE_SUSPENDED));
    cr_assert(eq(u64, got.task, 12));
    cr_assert(eq(i64, got.ran_ns, INT64_C(5) << 33));
    mf_buffer_finish(&frame);
}
