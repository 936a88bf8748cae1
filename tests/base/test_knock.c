/* Asking whether a process is there, over a socket of this host. */
#include "base/knock.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct mf_door door;
static int door_fd, knock_fd;
static uint64_t token;

static void setup(void)
{
    door_fd = mf_door_open(&door);
    knock_fd = mf_knock_open(&token);
    cr_assert(ge(int, door_fd, 0));
    cr_assert(ge(int, knock_fd, 0));
    cr_assert(gt(u32, door.n_addresses, 0));
}

static void teardown(void)
{
    close(door_fd);
    close(knock_fd);
}

TestSuite(knock, .init = setup, .fini = teardown);

static void await(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};

    cr_assert(eq(int, poll(&item, 1, 60000), 1));
}

Test(knock, whoever_knows_the_door_is_answered)
{
    for (int is_there = 0; is_there < 2; is_there++) {
        uint32_t peer = 0, address;
        bool answer = !is_there;

        mf_knock(knock_fd, token, &door, 7);
        await(door_fd);
        cr_assert(ge(uint, mf_door_answer(door_fd, &door, is_there != 0), 1));
        await(knock_fd);
        while (mf_knock_hear(knock_fd, token, &peer, &answer, &address) != 0)
            cr_assert(eq(u32, peer, 7));
        cr_assert(eq(int, answer, is_there != 0));
    }
}

Test(knock, strangers_are_not_answered)
{
    struct mf_door other = door;
    uint32_t peer, address;
    bool answer;

    other.key[3] ^= 1;
    mf_knock(knock_fd, token, &other, 7);
    await(door_fd);
    cr_assert(eq(uint, mf_door_answer(door_fd, &door, true), 0));
    cr_assert(eq(int, mf_knock_hear(knock_fd, token, &peer, &answer, &address), 0));
}

Test(knock, garbage_is_dropped)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(door.port)};
    char bytes[2000];

    memset(bytes, 'm', sizeof(bytes));
    memcpy(&to.sin_addr, &door.addresses[door.n_addresses - 1], 4);
    for (size_t n = 0; n < sizeof(bytes); n += 50)
        (void)!sendto(knock_fd, bytes, n, 0, (struct sockaddr *)&to, sizeof(to));
    await(door_fd);
    cr_assert(eq(uint, mf_door_answer(door_fd, &door, true), 0));
}

Test(knock, whoever_floods_a_door_does_not_keep_it_from_all_else)
{
    door.n_addresses = 1;
    for (int i = 0; i < MF_DOOR_PACKETS + 20; i++)
        mf_knock(knock_fd, token, &door, 7);
    await(door_fd);
    cr_assert(eq(uint, mf_door_answer(door_fd, &door, true), MF_DOOR_PACKETS));
    cr_assert(eq(uint, mf_door_answer(door_fd, &door, true), 20));
}

Test(knock, an_answer_to_another_question_is_dropped)
{
    uint32_t peer, address;
    bool answer;

    mf_knock(knock_fd, token, &door, 7);
    await(door_fd);
    (void)mf_door_answer(door_fd, &door, true);
    await(knock_fd);
    cr_assert(eq(int, mf_knock_hear(knock_fd, token + 1, &peer, &answer, &address), -EBADMSG));
}

Test(knock, a_door_travels)
{
    struct mf_door got = {0};
    struct mf_buffer bytes = {0};
    struct mf_reader reader;

    mf_door_encode(&door, &bytes);
    reader = mf_reader_over(bytes.data, bytes.size);
    mf_door_decode(&reader, &got);
    cr_assert(eq(int, mf_reader_finish(&reader), 0));
    cr_assert(eq(int, memcmp(&got, &door, sizeof(door)), 0));
    for (size_t n = 0; n < bytes.size; n++) {
        reader = mf_reader_over(bytes.data, n);
        mf_door_decode(&reader, &got);
        cr_assert(ne(int, mf_reader_finish(&reader), 0));
    }
    mf_buffer_finish(&bytes);
}
