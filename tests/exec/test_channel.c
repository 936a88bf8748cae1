/* Frames and descriptors over a socket. */
#include "exec/channel.h"

#include "exec/protocol.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mf_channel left, right;

static void connect_both(void)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    mf_channel_init(&left, fds[0]);
    mf_channel_init(&right, fds[1]);
}

static void finish_both(void)
{
    mf_channel_finish(&left);
    mf_channel_finish(&right);
}

static void put(uint8_t kind, const void *bytes, size_t n)
{
    mf_buffer_append(mf_channel_begin(&left, kind), bytes, n);
    mf_channel_end(&left);
}

TestSuite(channel, .init = connect_both, .fini = finish_both);

Test(channel, frames_arrive_whole_and_in_order)
{
    static uint8_t large[3000000];
    struct mf_frame frame;
    int n_frames = 0, result = 0;

    memset(large, 'x', sizeof(large));
    put(1, "abc", 3);
    put(2, large, sizeof(large));
    put(3, "", 0);
    while (n_frames < 3) {
        cr_assert_geq(mf_channel_flush(&left), 0);
        cr_assert_eq(mf_channel_receive(&right), 0);
        while ((result = mf_channel_next(&right, &frame)) == 1) {
            cr_assert_eq(frame.kind, ++n_frames);
            cr_assert_eq(frame.body.left, n_frames == 1 ? 3 : n_frames == 2 ? sizeof(large) : 0);
        }
        cr_assert_eq(result, 0);
    }
    cr_assert_eq(mf_channel_backlog(&left), 0);
}

/* A descriptor that tells which it is: the reading end of a pipe with one letter. */
static int lettered(char letter)
{
    int fds[2];

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(write(fds[1], &letter, 1), 1);
    close(fds[1]);
    return fds[0];
}

static char letter_of(int fd)
{
    char letter = 0;

    cr_assert_eq(read(fd, &letter, 1), 1);
    close(fd);
    return letter;
}

Test(channel, descriptors_arrive_with_their_frames)
{
    struct mf_frame frame;
    int fds[2], n_frames = 0;

    put(1, "x", 1);
    put(2, "x", 1);
    cr_assert_eq(mf_channel_attach(&left, (int[]){lettered('a'), lettered('b')}, 2), 0);
    put(3, "x", 1);
    put(4, "x", 1);
    cr_assert_eq(mf_channel_attach(&left, (int[]){lettered('c')}, 1), 0);
    put(5, "x", 1);
    cr_assert_eq(mf_channel_flush(&left), 0);
    while (n_frames < 5) {
        cr_assert_eq(mf_channel_receive(&right), 0);
        while (mf_channel_next(&right, &frame) == 1) {
            cr_assert_eq(frame.kind, ++n_frames);
            if (frame.kind == 2) {
                cr_assert_eq(mf_channel_take_fds(&right, fds), 2);
                cr_assert_eq(letter_of(fds[0]), 'a');
                cr_assert_eq(letter_of(fds[1]), 'b');
            } else if (frame.kind == 4) {
                cr_assert_eq(mf_channel_take_fds(&right, fds), 1);
                cr_assert_eq(letter_of(fds[0]), 'c');
            }
        }
    }
}

Test(channel, closed_end_is_told)
{
    mf_channel_finish(&left);
    cr_assert_eq(mf_channel_receive(&right), -EPIPE);
}

Test(channel, impossible_length_breaks_it)
{
    uint8_t zero[8] = {0}, huge[8] = {0xff, 0xff, 0xff, 0xff};
    struct mf_frame frame;

    cr_assert_eq(write(left.fd, zero, sizeof(zero)), (ssize_t)sizeof(zero));
    cr_assert_eq(mf_channel_receive(&right), 0);
    cr_assert_eq(mf_channel_next(&right, &frame), -EBADMSG);
    right.in_done = right.in.size;
    cr_assert_eq(write(left.fd, huge, sizeof(huge)), (ssize_t)sizeof(huge));
    cr_assert_eq(mf_channel_receive(&right), 0);
    cr_assert_eq(mf_channel_next(&right, &frame), -EBADMSG);
}

/* Each cut of a good body must be refused, and read nothing beyond its end. */
Test(protocol, shortened_bodies_are_refused)
{
    uint32_t cpus[] = {1, 2}, slots[] = {0, 3};
    struct mf_slot slot = {.number = 1, .n_cpus = 2, .cpus = cpus};
    struct mf_start start = {.task = 1,
                             .attempt = 2,
                             .n_slots = 2,
                             .slots = slots,
                             .gpus = "CUDA_VISIBLE_DEVICES=0,1",
                             .command = "abc",
                             .command_size = 3};
    struct mf_channel channel;

    mf_channel_init(&channel, -1);
    mf_protocol_put_configure(&channel, &slot, 1, 0, "dir");
    for (size_t n = 5; n < channel.out.size; n++) {
        uint8_t *copy = malloc(n - 5 + 1);
        struct mf_reader reader = mf_reader_over(copy, n - 5);
        struct mf_configuration configuration;

        memcpy(copy, channel.out.data + 5, n - 5);
        cr_assert_eq(mf_protocol_get_configure(&reader, &configuration), -EBADMSG);
        free(copy);
    }
    mf_buffer_clear(&channel.out);
    mf_protocol_put_start(&channel, &start, 9);
    for (size_t n = 5; n < channel.out.size; n++) {
        uint8_t *copy = malloc(n - 5 + 1);
        struct mf_reader reader = mf_reader_over(copy, n - 5);
        uint64_t ends_seen;
        uint32_t *got;
        char *gpus;

        memcpy(copy, channel.out.data + 5, n - 5);
        cr_assert_eq(mf_protocol_get_start(&reader, &start, &got, &gpus, &ends_seen), -EBADMSG);
        free(copy);
    }
    mf_channel_finish(&channel);
}
