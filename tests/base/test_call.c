/* Tests of base/call.c. */
#include "base/call.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

static struct mf_call decode_one(const struct mf_buffer *bytes)
{
    struct mf_reader reader = mf_reader_over(bytes->data, bytes->size);
    struct mf_call call;

    cr_assert(mf_call_get(&reader, &call));
    cr_assert(eq(sz, reader.left, 0));
    return call;
}

static struct mf_call detailed(void)
{
    return (struct mf_call){
        .task = UINT64_C(1) << 40,
        .function = 65534,
        .size = 5,
        .input = (const uint8_t *)"input",
        .checkpoint = (const uint8_t *)"saved",
        .details = {.tag = 77,
                    .timeout_ns = 5000000000,
                    .group = 9,
                    .try_number = 3,
                    .checkpoint_size = 5},
    };
}

Test(call, a_null_call_is_sixteen_bytes)
{
    struct mf_call sent = {.task = 12, .function = 3, .details = {.try_number = 1}};
    struct mf_buffer bytes = {0};

    mf_call_put(&bytes, &sent);
    cr_assert(eq(sz, bytes.size, 16));
    struct mf_call got = decode_one(&bytes);
    cr_assert(eq(u64, got.task, 12));
    cr_assert(eq(u16, got.function, 3));
    cr_assert(eq(sz, got.size, 0));
    cr_assert_null(got.input);
    cr_assert_null(got.checkpoint);
    cr_assert(eq(u32, got.details.try_number, 1));
    cr_assert(eq(u64, got.details.tag, 0));
    mf_buffer_finish(&bytes);
}

Test(call, details_checkpoint_and_input_survive_the_way)
{
    struct mf_call sent = detailed();
    struct mf_buffer bytes = {0};

    mf_call_put(&bytes, &sent);
    struct mf_call got = decode_one(&bytes);
    cr_assert(eq(u64, got.task, sent.task));
    cr_assert(eq(u16, got.function, 65534));
    cr_assert(eq(sz, got.size, 5));
    cr_assert(memcmp(got.input, "input", 5) == 0);
    cr_assert(memcmp(got.checkpoint, "saved", 5) == 0);
    cr_assert(eq(u64, got.details.tag, 77));
    cr_assert(eq(i64, got.details.timeout_ns, 5000000000));
    cr_assert(eq(u32, got.details.group, 9));
    cr_assert(eq(u32, got.details.try_number, 3));
    cr_assert(eq(u64, got.details.checkpoint_size, 5));
    mf_buffer_finish(&bytes);
}

Test(call, a_large_input_is_only_named)
{
    struct mf_call sent = {
        .task = 1, .is_large = true, .size = (size_t)5 << 30, .details = {.try_number = 1}};
    struct mf_buffer bytes = {0};

    mf_call_put(&bytes, &sent);
    struct mf_call got = decode_one(&bytes);
    cr_assert(got.is_large);
    cr_assert(eq(sz, got.size, (size_t)5 << 30));
    cr_assert_null(got.input);
    mf_buffer_finish(&bytes);
}

Test(call, calls_follow_each_other)
{
    struct mf_buffer bytes = {0};
    struct mf_call call = {.input = (const uint8_t *)"abcdefg", .details = {.try_number = 1}};

    for (call.task = 0; call.task < 1000; call.task++) {
        call.size = call.task % 8;
        mf_call_put(&bytes, &call);
    }
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    for (uint64_t task = 0; task < 1000; task++) {
        cr_assert(mf_call_get(&reader, &call));
        cr_assert(eq(u64, call.task, task));
        cr_assert(eq(sz, call.size, task % 8));
    }
    cr_assert(not(mf_call_get(&reader, &call)));
    cr_assert(eq(int, mf_reader_finish(&reader), 0));
    mf_buffer_finish(&bytes);
}

Test(call, stepping_over_calls_gives_their_headers)
{
    struct mf_buffer bytes = {0};
    struct mf_call call = detailed();
    struct mf_call_header header;
    uint64_t n;

    mf_call_put(&bytes, &call);
    call = (struct mf_call){.task = 2, .size = 3, .input = (const uint8_t *)"abc"};
    mf_call_put(&bytes, &call);
    call = (struct mf_call){.task = 3, .size = 3, .is_large = true};
    mf_call_put(&bytes, &call);
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(mf_call_skip(&reader, &header, &n));
    cr_assert(eq(u16, header.function, 65534));
    cr_assert(mf_call_skip(&reader, &header, &n));
    cr_assert(eq(u64, header.task, 2));
    cr_assert(mf_call_skip(&reader, &header, &n));
    cr_assert(eq(u16, header.flags, MF_CALL_IS_LARGE));
    cr_assert(not(mf_call_skip(&reader, &header, &n)));
    cr_assert(not(reader.has_failed));
    mf_buffer_finish(&bytes);
}

static void expect_truncations_refused(const struct mf_call *sent)
{
    struct mf_buffer bytes = {0};
    struct mf_call_header header;
    uint64_t n;
    struct mf_call call;

    mf_call_put(&bytes, sent);
    for (size_t size = 1; size < bytes.size; size++) {
        struct mf_reader reader = mf_reader_over(bytes.data, size);

        cr_assert(not(mf_call_get(&reader, &call)), "at %zu bytes", size);
        cr_assert(reader.has_failed, "at %zu bytes", size);
        reader = mf_reader_over(bytes.data, size);
        cr_assert(not(mf_call_skip(&reader, &header, &n)), "at %zu bytes", size);
        cr_assert(reader.has_failed, "at %zu bytes", size);
    }
    mf_buffer_finish(&bytes);
}

Test(call, every_truncation_is_refused)
{
    struct mf_call with_details = detailed();
    struct mf_call plain = {.task = 2, .size = 3, .input = (const uint8_t *)"abc"};

    expect_truncations_refused(&with_details);
    expect_truncations_refused(&plain);
}

Test(call, unknown_flags_and_try_zero_are_refused)
{
    struct mf_call call = detailed();
    struct mf_buffer bytes = {0};
    struct mf_reader reader;

    mf_call_put(&bytes, &call);
    bytes.data[14] |= 8;
    reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(not(mf_call_get(&reader, &call)));
    cr_assert(reader.has_failed);
    bytes.data[14] &= 7;
    bytes.data[16 + 20] = 0;
    reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(not(mf_call_get(&reader, &call)));
    cr_assert(reader.has_failed);
    mf_buffer_finish(&bytes);
}

Test(call, without_memory_nothing_is_put)
{
    struct mf_call call = detailed();
    struct mf_buffer bytes = {.has_failed = true};

    mf_call_put(&bytes, &call);
    cr_assert(eq(sz, bytes.size, 0));
    cr_assert(eq(int, mf_buffer_status(&bytes), -ENOMEM));
}

Test(call, changed_bytes_never_read_outside_the_record)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    for (int round = 0; round < 20000; round++) {
        struct mf_call call = detailed();
        struct mf_buffer bytes = {0};

        mf_call_put(&bytes, &call);
        for (int change = 0; change < 3; change++)
            bytes.data[mf_rng_below(&rng, bytes.size)] = (uint8_t)mf_rng_next(&rng);
        struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
        while (mf_call_get(&reader, &call))
            cr_assert(call.input == NULL || call.input + call.size <= bytes.data + bytes.size);
        mf_buffer_finish(&bytes);
    }
}

static struct mf_call stretch(const uint8_t *inputs, size_t size, uint32_t n)
{
    return (struct mf_call){
        .task = 500,
        .function = 4,
        .size = size,
        .input = inputs,
        .details = {.tag = 70, .group = 3, .try_number = 1, .n_more = n - 1},
        .steps = {1, 1},
    };
}

Test(stretch, its_calls_come_one_by_one_with_their_own_input_task_and_tag)
{
    const uint8_t inputs[] = "aabbccdd";
    struct mf_call sent = stretch(inputs, 2, 4), last = {.task = 9, .size = 1, .input = inputs};
    struct mf_buffer bytes = {0};
    struct mf_call call = {0};

    mf_call_put(&bytes, &sent);
    cr_assert(eq(sz, bytes.size, MF_STRETCH_HEAD_BYTES + 8));
    last.details.try_number = 1;
    mf_call_put(&bytes, &last);
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    for (uint64_t i = 0; i < 4; i++) {
        cr_assert(mf_call_next(&reader, &call));
        cr_assert(eq(u64, call.task, 500 + i));
        cr_assert(eq(u64, call.details.tag, 70 + i));
        cr_assert(eq(u32, call.details.group, 3));
        cr_assert(memcmp(call.input, inputs + 2 * i, 2) == 0);
    }
    cr_assert(mf_call_next(&reader, &call));
    cr_assert(eq(u64, call.task, 9));
    cr_assert(not(mf_call_next(&reader, &call)));
    cr_assert(not(reader.has_failed));
    mf_buffer_finish(&bytes);
}

Test(stretch, its_tasks_and_tags_go_by_its_steps)
{
    struct mf_call sent = stretch(NULL, 0, 5);
    struct mf_buffer bytes = {0};
    struct mf_call call = {0};

    sent.steps = (struct mf_call_steps){.task = ((uint64_t)1 << 32) - 1, .tag = 0};
    mf_call_put(&bytes, &sent);
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    for (uint64_t i = 0; i < 5; i++) {
        cr_assert(mf_call_next(&reader, &call));
        cr_assert(eq(u64, call.task, 500 + (i << 32) - i));
        cr_assert(eq(u64, call.details.tag, 70));
    }
    mf_buffer_finish(&bytes);
}

Test(stretch, a_part_of_one_call_is_written_as_a_call)
{
    struct mf_call sent = stretch((const uint8_t *)"aabb", 2, 2), got;
    uint8_t head[MF_STRETCH_HEAD_BYTES];
    struct mf_buffer bytes = {0};

    mf_call_advance(&sent, 1);
    mf_buffer_append(&bytes, head, mf_call_put_head(head, &sent));
    mf_buffer_append(&bytes, "bb", 2);
    got = decode_one(&bytes);
    cr_assert(eq(u64, got.task, 501));
    cr_assert(eq(u32, got.details.n_more, 0));
    cr_assert(memcmp(got.input, "bb", 2) == 0);
    mf_buffer_finish(&bytes);
}

Test(stretch, without_input_it_takes_no_more_bytes_however_many_calls_it_is)
{
    struct mf_call sent = stretch(NULL, 0, 100000);
    struct mf_call_header header;
    struct mf_buffer bytes = {0};
    struct mf_call call = {0};
    uint64_t n;

    mf_call_put(&bytes, &sent);
    cr_assert(eq(sz, bytes.size, MF_STRETCH_HEAD_BYTES));
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size), skipping = reader;
    cr_assert(mf_call_skip(&skipping, &header, &n));
    cr_assert(eq(u64, n, 100000));
    for (n = 0; mf_call_next(&reader, &call); n++)
        cr_assert_null(call.input);
    cr_assert(eq(u64, n, 100000));
    cr_assert(eq(u64, call.details.tag, 70 + 99999));
    mf_buffer_finish(&bytes);
}

Test(stretch, its_head_is_written_alone_before_inputs_from_elsewhere)
{
    const uint8_t inputs[] = "aabbcc";
    struct mf_call sent = stretch(inputs, 2, 3), part = sent;
    uint8_t head[MF_STRETCH_HEAD_BYTES];
    struct mf_buffer whole = {0}, parts = {0};

    mf_call_advance(&part, 1);
    mf_call_put(&whole, &part);
    mf_buffer_append(&parts, head, mf_call_put_head(head, &part));
    mf_buffer_append(&parts, inputs + 2, 4);
    cr_assert(eq(sz, parts.size, whole.size));
    cr_assert(memcmp(parts.data, whole.data, whole.size) == 0);
    mf_buffer_finish(&whole);
    mf_buffer_finish(&parts);
}

Test(stretch, a_part_of_one_is_refused_at_every_length)
{
    const uint8_t inputs[] = "aabbcc";
    struct mf_call sent = stretch(inputs, 2, 3);
    struct mf_call_header header;
    struct mf_buffer bytes = {0};
    struct mf_call call;
    uint64_t n;

    mf_call_put(&bytes, &sent);
    for (size_t size = 1; size < bytes.size; size++) {
        struct mf_reader reader = mf_reader_over(bytes.data, size), skipping = reader;

        cr_assert(not(mf_call_get(&reader, &call)));
        cr_assert(not(mf_call_skip(&skipping, &header, &n)));
        cr_assert(reader.has_failed && skipping.has_failed, "at %zu bytes", size);
    }
    mf_buffer_finish(&bytes);
}

Test(stretch, large_inputs_checkpoints_and_sums_that_overflow_are_refused)
{
    struct {
        struct mf_call_header header;
        struct mf_call_details details;
        uint8_t bytes[64];
    } large = {.header = {.size_low = 1, .flags = MF_CALL_HAS_DETAILS | MF_CALL_IS_LARGE},
               .details = {.try_number = 1, .n_more = 1}},
      saved = {.header = {.flags = MF_CALL_HAS_DETAILS},
               .details = {.try_number = 1, .n_more = 1, .checkpoint_size = 1}},
      vast = {.header = {.flags = MF_CALL_HAS_DETAILS},
              .details = {.try_number = 1, .n_more = UINT32_MAX, .size_high = 1}};
    const void *bad[] = {&large, &saved, &vast};
    struct mf_call call;

    for (size_t i = 0; i < 3; i++) {
        struct mf_reader reader = mf_reader_over(bad[i], sizeof(large));

        cr_assert(not(mf_call_get(&reader, &call)), "number %zu", i);
        cr_assert(reader.has_failed);
    }
}

Test(entry, results_that_are_alike_share_one)
{
    struct mf_entry_header results = {.size = 6, .n_more = 2}, got;
    struct mf_buffer bytes = {0};
    const uint8_t *data;

    mf_entry_put(&bytes, &results, "aabbcc");
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
    cr_assert(eq(u32, got.n_more, 2));
    cr_assert(memcmp(data, "aabbcc", 6) == 0);
    mf_buffer_finish(&bytes);
}

Test(entry, results_and_children_survive_the_way)
{
    struct mf_entry_header child = {.kind = MF_ENTRY_CHILD, .size = sizeof(struct mf_child)};
    struct mf_entry_header result = {.cause = 4, .code = -7, .size = 3};
    struct mf_child about = {.tag = 5};
    struct mf_buffer bytes = {0};
    struct mf_entry_header got;
    const uint8_t *data;

    mf_entry_put(&bytes, &child, &about);
    mf_entry_put(&bytes, &result, "abc");
    result.size = 0;
    mf_entry_put(&bytes, &result, NULL);
    struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
    cr_assert(eq(int, got.kind, MF_ENTRY_CHILD));
    cr_assert(memcmp(data, &about, sizeof(about)) == 0);
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
    cr_assert(eq(int, got.cause, 4));
    cr_assert(eq(int, got.code, -7));
    cr_assert(memcmp(data, "abc", 3) == 0);
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
    cr_assert(eq(u32, got.size, 0));
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 0));
    for (size_t size = bytes.size - 1; size > bytes.size - 16; size--) {
        reader = mf_reader_over(bytes.data, size);
        cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
        cr_assert(eq(int, mf_entry_get(&reader, &got, &data), 1));
        cr_assert(eq(int, mf_entry_get(&reader, &got, &data), -EBADMSG));
    }
    mf_buffer_finish(&bytes);
}

Test(entry, damaged_headers_are_refused)
{
    static const struct mf_entry_header bad[] = {
        {.size = 1},
        {.size = UINT32_MAX},
        {.kind = 2},
        {.flags = 1},
        {.kind = MF_ENTRY_CHILD},
        {.n_more = 1, .cause = 1},
        {.n_more = 1, .kind = MF_ENTRY_CHILD},
        {.n_more = 1, .flags = MF_CALL_IS_LARGE},
    };
    static const struct {
        struct mf_entry_header header;
        uint8_t bytes[5];
    } uneven = {{.n_more = 1, .size = 5}, "12345"};
    struct mf_entry_header got;
    const uint8_t *data;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mf_reader reader = mf_reader_over(&bad[i], sizeof(bad[i]));

        cr_assert(eq(int, mf_entry_get(&reader, &got, &data), -EBADMSG), "number %zu", i);
    }
    struct mf_reader reader = mf_reader_over(&uneven, sizeof(struct mf_entry_header) + 5);
    cr_assert(eq(int, mf_entry_get(&reader, &got, &data), -EBADMSG));
}
