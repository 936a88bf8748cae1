/* Bytes through shared memory, and positions that cannot be. */
#include "exec/ring.h"

#include <criterion/criterion.h>

#include <string.h>

static struct mf_ring_ends ends;
static uint8_t data[64];
static struct mf_ring writer = {.ends = &ends, .data = data, .capacity = sizeof(data)};
static struct mf_ring reader = {.ends = &ends, .data = data, .capacity = sizeof(data)};

Test(ring, bytes_arrive_in_order_around_the_end)
{
    uint8_t next_written = 0, next_read = 0;

    for (int round = 0; round < 1000; round++) {
        size_t n = (size_t)round % (sizeof(data) + 1);
        uint8_t bytes[sizeof(data)];

        cr_assert(mf_ring_look_for_room(&writer));
        cr_assert_eq(mf_ring_room(&writer), sizeof(data));
        for (size_t i = 0; i < n; i++)
            bytes[i] = next_written++;
        mf_ring_write(&writer, bytes, n);
        cr_assert(mf_ring_look_for_bytes(&reader));
        cr_assert_eq(mf_ring_filled(&reader), 0, "not published");
        mf_ring_publish(&writer);
        cr_assert(mf_ring_look_for_bytes(&reader));
        cr_assert_eq(mf_ring_filled(&reader), n);
        mf_ring_read(&reader, bytes, n);
        for (size_t i = 0; i < n; i++)
            cr_assert_eq(bytes[i], next_read++);
        cr_assert(mf_ring_look_for_room(&writer));
        cr_assert_eq(mf_ring_room(&writer), sizeof(data) - n, "not released");
        mf_ring_release(&reader);
    }
}

Test(ring, reader_does_not_believe_what_cannot_have_been_written)
{
    mf_ring_write(&writer, "abc", 3);
    mf_ring_publish(&writer);
    cr_assert(mf_ring_look_for_bytes(&reader));
    for (int bit = 7; bit < 64; bit++) {
        ends.written = UINT64_C(1) << bit;
        cr_assert(!mf_ring_look_for_bytes(&reader));
    }
    ends.written = 2;
    cr_assert(!mf_ring_look_for_bytes(&reader), "it goes back");
    ends.written = 65;
    cr_assert(!mf_ring_look_for_bytes(&reader));
    cr_assert_eq(mf_ring_filled(&reader), 3);
}

Test(ring, writer_does_not_believe_what_cannot_have_been_read)
{
    mf_ring_write(&writer, "abc", 3);
    mf_ring_publish(&writer);
    ends.read = 4;
    cr_assert(!mf_ring_look_for_room(&writer));
    ends.read = UINT64_MAX;
    cr_assert(!mf_ring_look_for_room(&writer));
    ends.read = 2;
    cr_assert(mf_ring_look_for_room(&writer));
    ends.read = 1;
    cr_assert(!mf_ring_look_for_room(&writer), "it goes back");
    cr_assert_eq(mf_ring_room(&writer), sizeof(data) - 1);
}
