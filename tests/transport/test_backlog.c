/* Frames that wait behind an awaited one: order, peers apart from each other, and errors. */
#include "transport/backlog.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <string.h>

static struct mf_spares spares;
static struct mf_backlog backlog;

static void setup(void)
{
    cr_assert(eq(int, mf_backlog_init(&backlog, 3, &spares), 0));
}

static void teardown(void)
{
    mf_backlog_finish(&backlog);
    mf_spares_finish(&spares);
}

TestSuite(backlog, .init = setup, .fini = teardown);

/* What move() is to do for each peer: a text that arrives, NULL for none yet, or an error. */
static struct {
    const char *text;
    int error;
} arrivals[3];

static int move(void *arg, uint32_t peer, struct mf_buffer *frame)
{
    if (arrivals[peer].error < 0)
        return arrivals[peer].error;
    if (!arrivals[peer].text)
        return 0;
    mf_buffer_append(frame, arrivals[peer].text, strlen(arrivals[peer].text));
    arrivals[peer].text = NULL;
    return 1;
}

static void put_text(uint32_t peer, const char *text)
{
    cr_assert(eq(int, mf_backlog_put(&backlog, peer, text, strlen(text)), 0));
}

static void expect_text(uint32_t peer, const char *text)
{
    const struct mf_buffer *frame;
    uint32_t from = 99;

    cr_assert(eq(int, mf_backlog_take(&backlog, &from, &frame), 1));
    cr_assert(eq(u32, from, peer));
    cr_assert(eq(sz, frame->size, strlen(text)));
    cr_assert(memcmp(frame->data, text, frame->size) == 0);
}

static void expect_nothing(void)
{
    const struct mf_buffer *frame;
    uint32_t from;

    cr_assert(eq(int, mf_backlog_take(&backlog, &from, &frame), 0));
}

Test(backlog, a_frame_waits_for_the_awaited_one_before_it)
{
    mf_backlog_await(&backlog, 1);
    put_text(1, "second");
    mf_backlog_move(&backlog, move, NULL);
    expect_nothing();

    arrivals[1].text = "first";
    mf_backlog_move(&backlog, move, NULL);
    expect_text(1, "first");
    expect_text(1, "second");
    expect_nothing();
}

Test(backlog, one_peer_does_not_wait_for_another)
{
    mf_backlog_await(&backlog, 0);
    mf_backlog_await(&backlog, 2);
    arrivals[2].text = "two";
    mf_backlog_move(&backlog, move, NULL);
    expect_text(2, "two");
    expect_nothing();
    cr_assert(mf_backlog_has(&backlog, 0));
    cr_assert(not(mf_backlog_has(&backlog, 1)));
    cr_assert(not(mf_backlog_has(&backlog, 2)));
}

Test(backlog, awaited_frames_of_a_peer_arrive_one_after_the_other)
{
    mf_backlog_await(&backlog, 1);
    put_text(1, "b");
    mf_backlog_await(&backlog, 1);
    put_text(1, "d");
    arrivals[1].text = "a";
    mf_backlog_move(&backlog, move, NULL);
    arrivals[1].text = "c";
    mf_backlog_move(&backlog, move, NULL);
    cr_assert(strcmp(arrivals[1].text, "c") == 0, "moved before its turn");

    expect_text(1, "a");
    expect_text(1, "b");
    expect_nothing();
    mf_backlog_move(&backlog, move, NULL);
    expect_text(1, "c");
    expect_text(1, "d");
}

Test(backlog, an_awaited_frame_that_fails_is_dropped_and_the_rest_goes_on)
{
    mf_backlog_await(&backlog, 1);
    put_text(1, "rest");
    arrivals[1].error = -EIO;
    cr_assert(eq(int, mf_backlog_move(&backlog, move, NULL), -EIO));
    expect_text(1, "rest");
    cr_assert(eq(int, mf_backlog_move(&backlog, move, NULL), 0));
}

/* Grows the frame to arg bytes, which keeps it there. */
static int grow(void *arg, uint32_t peer, struct mf_buffer *frame)
{
    cr_assert(eq(sz, frame->size, 0));
    cr_assert(eq(int, mf_buffer_reserve(frame, *(const size_t *)arg), 0));
    frame->size = *(const size_t *)arg;
    return 1;
}

static const uint8_t *memory_of_next(size_t size)
{
    const struct mf_buffer *frame;
    uint32_t from;

    mf_backlog_await(&backlog, 0);
    mf_backlog_move(&backlog, grow, &size);
    cr_assert(eq(int, mf_backlog_take(&backlog, &from, &frame), 1));
    cr_assert(eq(sz, frame->size, size));
    return frame->data;
}

Test(backlog, memory_of_a_large_frame_is_used_again_but_not_that_of_a_huge_one)
{
    const uint8_t *first = memory_of_next(1 << 20);

    mf_backlog_release(&backlog);
    cr_assert(eq(ptr, (void *)memory_of_next(1 << 20), (void *)first));
    mf_backlog_release(&backlog);
    memory_of_next(5 << 20);
    mf_backlog_release(&backlog);
    cr_assert(eq(u32, spares.n, 0));
}

Test(backlog, what_is_left_is_freed_at_the_end)
{
    mf_backlog_await(&backlog, 0);
    put_text(0, "behind");
    put_text(1, "there");
    expect_text(1, "there");
}
