/* Two ends in one process: order, ownership of frames, and either end leaving first. */
#include "transport/transport.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static struct mf_transport *scheduler, *worker;

static void setup(void)
{
    cr_assert(eq(int, mf_transport_local_pair(&scheduler, &worker), 0));
}

static void teardown(void)
{
    mf_transport_destroy(scheduler);
    mf_transport_destroy(worker);
}

TestSuite(local, .init = setup, .fini = teardown);

static int send_text(struct mf_transport *from, const char *text)
{
    struct mf_buffer frame = {0};
    int r;

    mf_buffer_append(&frame, text, strlen(text));
    r = mf_transport_send(from, 0, &frame);
    mf_buffer_finish(&frame);
    return r;
}

static void expect_text(struct mf_transport *at, const char *text)
{
    const struct mf_buffer *frame;
    uint32_t from = 99;

    cr_assert(eq(int, mf_transport_receive(at, &from, &frame), 1));
    cr_assert(eq(u32, from, 0));
    cr_assert(eq(sz, frame->size, strlen(text)));
    cr_assert(memcmp(frame->data, text, frame->size) == 0);
}

static void expect_nothing(struct mf_transport *at)
{
    const struct mf_buffer *frame;
    uint32_t from;

    cr_assert(eq(int, mf_transport_receive(at, &from, &frame), 0));
}

Test(local, frames_arrive_in_order_and_once)
{
    cr_assert(eq(int, send_text(scheduler, "one"), 0));
    cr_assert(eq(int, send_text(scheduler, "two"), 0));
    expect_text(worker, "one");
    expect_text(worker, "two");
    expect_nothing(worker);
}

Test(local, ends_do_not_hear_themselves)
{
    cr_assert(eq(int, send_text(worker, "up"), 0));
    expect_nothing(worker);
    expect_text(scheduler, "up");
}

Test(local, an_empty_frame_is_not_sent)
{
    struct mf_buffer frame = {0};

    cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
    expect_nothing(worker);
}

Test(local, a_failed_frame_is_refused)
{
    struct mf_buffer frame = {.has_failed = true};

    cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), -ENOMEM));
    expect_nothing(worker);
}

Test(local, unsent_counts_what_was_not_received)
{
    send_text(scheduler, "12345");
    send_text(scheduler, "678");
    cr_assert(eq(u64, mf_transport_unsent(scheduler, 0), 8));
    expect_text(worker, "12345");
    cr_assert(eq(u64, mf_transport_unsent(scheduler, 0), 3));
}

Test(local, memory_of_frames_is_used_again)
{
    struct mf_buffer frame = {0};

    for (int round = 0; round < 3; round++) {
        mf_buffer_append(&frame, "abc", 3);
        cr_assert(eq(int, mf_transport_send(scheduler, 0, &frame), 0));
        expect_text(worker, "abc");
        expect_nothing(worker);
    }
    cr_assert(frame.capacity > 0, "the third frame should have got the first one's memory");
    mf_buffer_finish(&frame);
}

Test(local, sending_to_an_end_that_left_fails)
{
    mf_transport_destroy(worker);
    worker = NULL;
    cr_assert(eq(int, send_text(scheduler, "late"), -EPIPE));
}
