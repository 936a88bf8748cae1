/* Tests of base/buffer.c. */
#include "base/buffer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(buffer, integers_are_little_endian)
{
    static const uint8_t expected[] = {0x01, 0x03, 0x02, 0x07, 0x06, 0x05, 0x04};
    struct mf_buffer buffer = {0};

    mf_buffer_put_u8(&buffer, 0x01);
    mf_buffer_put_u16(&buffer, 0x0203);
    mf_buffer_put_u32(&buffer, 0x04050607);
    cr_assert_eq(buffer.size, sizeof(expected));
    cr_assert_eq(memcmp(buffer.data, expected, sizeof(expected)), 0);
    mf_buffer_finish(&buffer);
}

Test(buffer, every_integer_reads_back_as_written)
{
    struct mf_buffer buffer = {0};
    struct mf_reader reader;

    mf_buffer_put_u8(&buffer, UINT8_MAX);
    mf_buffer_put_u16(&buffer, 0xfedc);
    mf_buffer_put_u32(&buffer, 0xfedcba98);
    mf_buffer_put_u64(&buffer, UINT64_C(0xfedcba9876543210));
    mf_buffer_put_i64(&buffer, INT64_MIN);
    reader = mf_reader_over(buffer.data, buffer.size);
    cr_assert_eq(mf_reader_get_u8(&reader), UINT8_MAX);
    cr_assert_eq(mf_reader_get_u16(&reader), 0xfedc);
    cr_assert_eq(mf_reader_get_u32(&reader), 0xfedcba98);
    cr_assert_eq(mf_reader_get_u64(&reader), UINT64_C(0xfedcba9876543210));
    cr_assert_eq(mf_reader_get_i64(&reader), INT64_MIN);
    cr_assert_eq(mf_reader_finish(&reader), 0);
    mf_buffer_finish(&buffer);
}

Test(buffer, bytes_survive_growing)
{
    struct mf_buffer buffer = {0};

    for (uint32_t i = 0; i < 10000; i++)
        mf_buffer_put_u32(&buffer, i);
    cr_assert_eq(buffer.size, 40000u);
    for (struct mf_reader reader = mf_reader_over(buffer.data, buffer.size); reader.left > 0;)
        cr_assert_eq(10000 - reader.left / 4, mf_reader_get_u32(&reader));
    mf_buffer_finish(&buffer);
}

Test(buffer, printed_text_has_no_nul)
{
    struct mf_buffer buffer = {0};

    mf_buffer_print(&buffer, "%s-%d", "task", 12);
    mf_buffer_print(&buffer, "!");
    cr_assert_eq(buffer.size, 8u);
    cr_assert_eq(memcmp(buffer.data, "task-12!", 8), 0);
    mf_buffer_finish(&buffer);
}

Test(buffer, printed_text_may_be_larger_than_the_memory_so_far)
{
    struct mf_buffer buffer = {0};

    mf_buffer_print(&buffer, "%5000d", 7);
    cr_assert_eq(buffer.size, 5000u);
    cr_assert_eq(buffer.data[4999], '7');
    mf_buffer_finish(&buffer);
}

Test(buffer, out_of_memory_is_remembered_and_writes_nothing_more)
{
    struct mf_buffer buffer = {0};

    mf_buffer_put_u8(&buffer, 1);
    cr_assert_eq(mf_buffer_reserve(&buffer, SIZE_MAX), -ENOMEM);
    mf_buffer_put_u8(&buffer, 2);
    mf_buffer_print(&buffer, "text");
    cr_assert_eq(mf_buffer_status(&buffer), -ENOMEM);
    cr_assert_eq(buffer.size, 1u);
    mf_buffer_finish(&buffer);
}

Test(buffer, clearing_forgets_bytes_and_failure_but_keeps_memory)
{
    struct mf_buffer buffer = {0};
    size_t capacity;

    mf_buffer_put_u64(&buffer, 1);
    capacity = buffer.capacity;
    mf_buffer_reserve(&buffer, SIZE_MAX);
    mf_buffer_clear(&buffer);
    cr_assert_eq(mf_buffer_status(&buffer), 0);
    cr_assert_eq(buffer.size, 0u);
    cr_assert_eq(buffer.capacity, capacity);
    mf_buffer_finish(&buffer);
}

Test(buffer, finishing_leaves_an_empty_buffer)
{
    struct mf_buffer buffer = {0};

    mf_buffer_put_u64(&buffer, 1);
    mf_buffer_finish(&buffer);
    cr_assert_null(buffer.data);
    cr_assert_eq(buffer.size + buffer.capacity, 0u);
    mf_buffer_finish(NULL);
}

Test(buffer, consuming_moves_the_rest_to_the_front)
{
    struct mf_buffer buffer = {0};

    mf_buffer_append(&buffer, "abcdef", 6);
    mf_buffer_consume(&buffer, 4);
    cr_assert_eq(buffer.size, 2u);
    cr_assert_eq(memcmp(buffer.data, "ef", 2), 0);
    mf_buffer_consume(&buffer, 2);
    cr_assert_eq(buffer.size, 0u);
    mf_buffer_finish(&buffer);
}

Test(buffer, nothing_can_be_appended_from_null)
{
    struct mf_buffer buffer = {0};

    mf_buffer_append(&buffer, NULL, 0);
    cr_assert_eq(mf_buffer_status(&buffer), 0);
    cr_assert_eq(buffer.size, 0u);
    mf_buffer_consume(&buffer, 0);
    mf_buffer_finish(&buffer);
}

Test(buffer, patching_overwrites_four_bytes_in_place)
{
    struct mf_buffer buffer = {0};
    struct mf_reader reader;

    mf_buffer_put_u8(&buffer, 9);
    mf_buffer_put_u32(&buffer, 0);
    mf_buffer_put_u8(&buffer, 8);
    mf_buffer_patch_u32(&buffer, 1, 0xcafebabe);
    reader = mf_reader_over(buffer.data, buffer.size);
    cr_assert_eq(mf_reader_get_u8(&reader), 9);
    cr_assert_eq(mf_reader_get_u32(&reader), 0xcafebabe);
    cr_assert_eq(mf_reader_get_u8(&reader), 8);
    mf_buffer_finish(&buffer);
}

Test(reader, byte_strings_are_views_into_the_message)
{
    struct mf_buffer buffer = {0};
    struct mf_reader reader;
    const uint8_t *bytes;
    size_t n;

    mf_buffer_put_bytes(&buffer, "a\0b", 3);
    mf_buffer_put_bytes(&buffer, NULL, 0);
    reader = mf_reader_over(buffer.data, buffer.size);
    bytes = mf_reader_get_bytes(&reader, &n);
    cr_assert_eq(n, 3u);
    cr_assert_eq((void *)bytes, (void *)(buffer.data + 4));
    cr_assert_not_null(mf_reader_get_bytes(&reader, &n));
    cr_assert_eq(n, 0u);
    cr_assert_eq(mf_reader_finish(&reader), 0);
    mf_buffer_finish(&buffer);
}

Test(reader, a_short_read_gives_zeros_from_then_on)
{
    static const uint8_t bytes[] = {1, 2, 3};
    struct mf_reader reader = mf_reader_over(bytes, sizeof(bytes));

    cr_assert_eq(mf_reader_get_u32(&reader), 0u);
    cr_assert_eq(mf_reader_get_u8(&reader), 0, "a byte is left, but the reader has failed");
    cr_assert_null(mf_reader_get_raw(&reader, 0));
    cr_assert_eq(mf_reader_finish(&reader), -EBADMSG);
}

Test(reader, a_length_beyond_the_message_fails)
{
    static const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 'a'};
    struct mf_reader reader = mf_reader_over(bytes, sizeof(bytes));
    size_t n = 1;

    cr_assert_null(mf_reader_get_bytes(&reader, &n));
    cr_assert_eq(n, 0u);
    cr_assert(reader.has_failed);
}

Test(reader, bytes_left_over_are_an_error)
{
    struct mf_reader reader = mf_reader_over("ab", 2);

    mf_reader_get_u8(&reader);
    cr_assert_eq(mf_reader_finish(&reader), -EBADMSG);
    mf_reader_get_u8(&reader);
    cr_assert_eq(mf_reader_finish(&reader), 0);
}

Test(reader, an_empty_message_can_be_read)
{
    struct mf_reader reader = mf_reader_over(NULL, 0);

    cr_assert_eq(mf_reader_finish(&reader), 0);
    cr_assert_eq(mf_reader_get_u8(&reader), 0);
    cr_assert_eq(mf_reader_finish(&reader), -EBADMSG);
}

Test(reader, text_is_copied_with_its_nul)
{
    struct mf_buffer buffer = {0};
    struct mf_reader reader;
    char text[6];

    mf_buffer_put_text(&buffer, "seven");
    mf_buffer_put_text(&buffer, NULL);
    reader = mf_reader_over(buffer.data, buffer.size);
    mf_reader_get_text(&reader, text, sizeof(text));
    cr_assert_str_eq(text, "seven");
    mf_reader_get_text(&reader, text, sizeof(text));
    cr_assert_str_eq(text, "");
    cr_assert_eq(mf_reader_finish(&reader), 0);
    mf_buffer_finish(&buffer);
}

Test(reader, text_that_does_not_fit_fails_and_gives_nothing)
{
    struct mf_buffer buffer = {0};
    struct mf_reader reader;
    char text[5] = "old";

    mf_buffer_put_text(&buffer, "seven");
    reader = mf_reader_over(buffer.data, buffer.size);
    mf_reader_get_text(&reader, text, sizeof(text));
    cr_assert_str_eq(text, "");
    cr_assert_eq(mf_reader_finish(&reader), -EBADMSG);
    mf_buffer_finish(&buffer);
}
