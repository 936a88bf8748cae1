/* Records and large bodies on their way between two ends in one process. */
#include "runtime/outbox.h"

#include "wire/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define MIB ((size_t)1 << 20)

/* Each test is a process of its own. */
static struct mf_transport *sender, *receiver;
static struct mf_outbox outbox;
static struct mf_inbox *inbox;
static uint8_t *body;
static int n_released;

static void setup(void)
{
    cr_assert(eq(int, mf_transport_local_pair(&sender, &receiver), 0));
    mf_outbox_init(&outbox, sender, 0);
    cr_assert(eq(int, mf_inbox_create(&inbox), 0));
    body = malloc(20 * MIB);
    for (size_t i = 0; i < 20 * MIB; i++)
        body[i] = (uint8_t)(i * 31 >> 3);
}

static void teardown(void)
{
    mf_outbox_finish(&outbox);
    mf_inbox_destroy(inbox);
    mf_transport_destroy(sender);
    mf_transport_destroy(receiver);
    free(body);
}

TestSuite(outbox, .init = setup, .fini = teardown);
TestSuite(inbox, .init = setup, .fini = teardown);

static void count_release(void *arg)
{
    n_released++;
}

static void post(uint64_t unit, size_t body_size)
{
    struct mf_record record = {.kind = MF_RECORD_RETURNED, .unit = unit};

    mf_record_put(mf_outbox_make_room(&outbox, sizeof(record) + body_size), &record, body,
                  body_size);
}

/* One frame as text, such as "1 2 piece"; NULL when none is there. Pieces go into the inbox. */
static char *next_frame(void)
{
    static char text[4096];
    const struct mf_buffer *frame;
    struct mf_record record;
    struct mf_reader reader, content;
    uint32_t from;
    size_t n = 0;

    if (mf_transport_receive(receiver, &from, &frame) != 1)
        return NULL;
    text[0] = '\0';
    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0));
    while (mf_record_next(&reader, &record, &content) == 1) {
        bool is_piece = record.kind == MF_RECORD_PIECE;

        if (is_piece)
            cr_assert(eq(int, mf_inbox_put(inbox, &record, &content), 0));
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%" PRIu64, n ? " " : "",
                              is_piece ? "piece of " : "", record.unit);
    }
    return text;
}

/* Turns until everything has arrived, and counts the frames. */
static int deliver_all(void)
{
    int n_frames = 0, did_send;

    do {
        did_send = mf_outbox_turn(&outbox);
        cr_assert(did_send >= 0);
        for (; next_frame(); n_frames++)
            did_send = 1;
    } while (did_send);
    cr_assert(mf_outbox_is_empty(&outbox));
    return n_frames;
}

static void take_and_compare(uint64_t number, bool is_block, size_t size)
{
    uint8_t *data;
    size_t n;

    cr_assert(eq(int, mf_inbox_take(inbox, number, is_block, &data, &n), 0));
    cr_assert(eq(sz, n, size));
    cr_assert(memcmp(data, body, size) == 0);
    free(data);
    cr_assert(eq(int, mf_inbox_take(inbox, number, is_block, &data, &n), -ENOENT));
}

Test(outbox, records_of_a_turn_share_a_frame)
{
    cr_assert(eq(int, mf_outbox_turn(&outbox), 0));
    post(1, 0);
    post(2, 100);
    cr_assert(not(mf_outbox_is_empty(&outbox)));
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    cr_assert(mf_outbox_is_empty(&outbox));
    cr_assert(eq(str, next_frame(), "1 2"));
    cr_assert_null(next_frame());
}

Test(outbox, a_frame_is_sent_before_it_would_not_be_eager_any_more)
{
    post(1, 2000);
    post(2, 1900);
    cr_assert_null(next_frame());
    post(3, 100);
    cr_assert(eq(str, next_frame(), "1 2"));
    mf_outbox_turn(&outbox);
    cr_assert(eq(str, next_frame(), "3"));
}

Test(outbox, one_record_may_be_larger_than_that)
{
    post(1, 100000);
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    cr_assert(eq(str, next_frame(), "1"));
}

Test(outbox, a_large_body_keeps_its_place_among_records)
{
    post(1, 0);
    cr_assert(
        eq(int, mf_outbox_post_large(&outbox, 7, false, body, 100000, count_release, NULL), 0));
    post(2, 0);
    cr_assert(eq(int, n_released, 0));
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    cr_assert(eq(int, n_released, 1));
    cr_assert(eq(str, next_frame(), "1"));
    cr_assert(eq(str, next_frame(), "piece of 7"));
    cr_assert(eq(str, next_frame(), "2"));
    take_and_compare(7, false, 100000);
}

static int n_spares_taken;

static struct mf_buffer give_spare(struct mf_transport *transport)
{
    n_spares_taken++;
    return (struct mf_buffer){0};
}

Test(outbox, pieces_are_made_in_memory_of_those_before)
{
    static struct mf_transport_ops ops;

    ops = *sender->ops;
    ops.spare = give_spare;
    sender->ops = &ops;
    mf_outbox_post_large(&outbox, 7, false, body, 3 * MF_PIECE_BYTES, NULL, NULL);
    cr_assert(eq(int, deliver_all(), 3));
    cr_assert(eq(int, n_spares_taken, 3));
}

Test(outbox, no_more_than_the_peer_takes_is_handed_to_the_transport)
{
    mf_outbox_post_large(&outbox, 7, false, body, 20 * MIB, count_release, NULL);
    post(1, 3000);
    post(2, 3000);
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    cr_assert(mf_transport_unsent(sender, 0) <= 4 * MIB);
    cr_assert(eq(int, mf_outbox_turn(&outbox), 0), "the peer has taken nothing");
    cr_assert(not(mf_outbox_is_empty(&outbox)));
    cr_assert(eq(int, n_released, 0));
    cr_assert(eq(int, deliver_all(), (int)(20 * MIB / MF_PIECE_BYTES) + 1 + 2));
    cr_assert(eq(int, n_released, 1));
    take_and_compare(7, false, 20 * MIB);
}

/* Of which no more is sent than is there. */
Test(outbox, a_body_of_more_than_4_gib_is_not_taken_for_a_shorter_one)
{
    uint8_t *data;
    size_t n;
    int n_pieces = 0;

    mf_outbox_post_large(&outbox, 7, false, body, ((size_t)1 << 32) + MIB, NULL, NULL);
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    for (; next_frame(); n_pieces++)
        cr_assert(eq(int, mf_inbox_take(inbox, 7, false, &data, &n), -ENOENT));
    cr_assert(n_pieces > 1);
}

Test(outbox, tasks_and_blocks_have_numbers_of_their_own)
{
    mf_outbox_post_large(&outbox, 7, false, body, 3 * MIB, NULL, NULL);
    mf_outbox_post_large(&outbox, 7, true, body, 1, NULL, NULL);
    deliver_all();
    take_and_compare(7, false, 3 * MIB);
    take_and_compare(7, true, 1);
}

Test(outbox, what_is_left_of_a_body_is_copied_when_its_memory_goes)
{
    uint8_t *shortlived = malloc(20 * MIB);

    memcpy(shortlived, body, 20 * MIB);
    mf_outbox_post_large(&outbox, 7, false, shortlived, 20 * MIB, NULL, NULL);
    cr_assert(eq(int, mf_outbox_turn(&outbox), 1));
    cr_assert(not(mf_outbox_is_empty(&outbox)), "the first pieces alone");
    mf_outbox_copy_rest(&outbox, 7);
    memset(shortlived, 0, 20 * MIB);
    free(shortlived);
    /* One that nothing is left of. */
    mf_outbox_copy_rest(&outbox, 8);
    deliver_all();
    take_and_compare(7, false, 20 * MIB);
}

Test(outbox, finishing_releases_what_was_not_sent)
{
    mf_outbox_post_large(&outbox, 7, false, body, MIB, count_release, NULL);
    mf_outbox_post_large(&outbox, 8, false, body, MIB, NULL, NULL);
    post(1, 0);
    mf_outbox_finish(&outbox);
    cr_assert(eq(int, n_released, 1));
    mf_outbox_init(&outbox, sender, 0);
}

Test(outbox, an_error_of_the_transport_stays)
{
    mf_transport_destroy(receiver);
    receiver = NULL;
    post(1, 0);
    cr_assert(eq(int, mf_outbox_turn(&outbox), -EPIPE));
    cr_assert(eq(int, mf_outbox_turn(&outbox), -EPIPE));
    mf_outbox_post_large(&outbox, 7, false, body, MIB, count_release, NULL);
    cr_assert(eq(int, mf_outbox_turn(&outbox), -EPIPE));
}

/* Hands the inbox one piece; first: with that total. */
static int put(uint64_t number, uint8_t flags, uint64_t total, size_t size)
{
    struct mf_record record = {.kind = MF_RECORD_PIECE, .flags = flags, .unit = number};
    struct mf_buffer bytes = {0};
    struct mf_reader reader;
    int r;

    if (flags & MF_RECORD_IS_FIRST)
        mf_buffer_put_u64(&bytes, total);
    mf_buffer_append(&bytes, body, size);
    reader = mf_reader_over(bytes.data, bytes.size);
    r = mf_inbox_put(inbox, &record, &reader);
    mf_buffer_finish(&bytes);
    return r;
}

Test(inbox, a_body_is_given_out_when_all_of_it_is_there)
{
    uint8_t *data;
    size_t n;

    cr_assert(eq(int, put(1, MF_RECORD_IS_FIRST, 10, 4), 0));
    cr_assert(eq(int, mf_inbox_take(inbox, 1, false, &data, &n), -ENOENT));
    cr_assert(eq(int, put(1, 0, 0, 6), 0));
    cr_assert(eq(int, mf_inbox_take(inbox, 1, false, &data, &n), 0));
    cr_assert(eq(sz, n, 10));
    free(data);
}

Test(inbox, pieces_that_do_not_fit_are_refused)
{
    cr_assert(eq(int, put(1, 0, 0, 6), -EBADMSG), "no first piece came");
    cr_assert(eq(int, put(1, MF_RECORD_IS_FIRST, 10, 11), -EBADMSG));
    cr_assert(eq(int, put(1, MF_RECORD_IS_FIRST, 10, 8), 0));
    cr_assert(eq(int, put(1, 0, 0, 3), -EBADMSG));
    cr_assert(eq(int, put(2, MF_RECORD_IS_FIRST, 0, 0), -EBADMSG), "of nothing");
    struct mf_record record = {.kind = MF_RECORD_PIECE, .flags = MF_RECORD_IS_FIRST};
    struct mf_reader reader = mf_reader_over(body, 7);
    cr_assert(eq(int, mf_inbox_put(inbox, &record, &reader), -EBADMSG));
}

/* It ends a process that asks for more memory than there is. */
static void skip_under_sanitizer(void)
{
#ifdef __SANITIZE_ADDRESS__
    cr_skip_test("asks for more memory than there is");
#endif
}

Test(inbox, a_body_that_no_memory_can_hold_is_swallowed)
{
    uint64_t total = UINT64_C(1) << 62;

    skip_under_sanitizer();
    cr_assert(eq(int, put(1, MF_RECORD_IS_FIRST, total, 100), 0));
    cr_assert(eq(int, put(1, 0, 0, 100), 0));
}

Test(inbox, whoever_takes_a_body_without_memory_is_told)
{
    struct rlimit limit = {.rlim_cur = 512 * MIB, .rlim_max = 512 * MIB};
    uint8_t *data;
    size_t n;

    skip_under_sanitizer();
    cr_assert(eq(int, setrlimit(RLIMIT_AS, &limit), 0));
    cr_assert(eq(int, put(1, MF_RECORD_IS_FIRST, 520 * MIB, 20 * MIB), 0));
    for (int i = 1; i < 26; i++)
        cr_assert(eq(int, put(1, 0, 0, 20 * MIB), 0));
    cr_assert(eq(int, mf_inbox_take(inbox, 1, false, &data, &n), -ENOMEM));
    cr_assert(eq(int, mf_inbox_take(inbox, 1, false, &data, &n), -ENOENT));
}

Test(inbox, a_body_that_begins_again_replaces_what_came)
{
    put(1, MF_RECORD_IS_FIRST, 1000, 500);
    put(1, MF_RECORD_IS_FIRST, 20, 10);
    put(1, 0, 0, 10);
    uint8_t *data;
    size_t n;
    cr_assert(eq(int, mf_inbox_take(inbox, 1, false, &data, &n), 0));
    cr_assert(eq(sz, n, 20));
    free(data);
}
