/* Datagrams about processes: see knock.h. No state; any thread. */
#include "base/knock.h"

#include "base/io.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

static const char question_magic[] = "mfq1";
static const char answer_magic[] = "mfa1";

struct question {
    char magic[4];
    uint8_t key[MF_DOOR_KEY_BYTES];
    uint32_t peer;
    uint64_t token;
} __attribute__((packed));

struct answer {
    char magic[4];
    uint32_t peer;
    uint64_t token;
    uint8_t is_there;
} __attribute__((packed));

static int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    return fd < 0 ? -errno : fd;
}

/* --- answering --- */

/* Those of other interfaces first: the one that every node has is of use to neighbours only. */
static int list_addresses(struct mf_door *door)
{
    struct ifaddrs *list;

    if (getifaddrs(&list) < 0)
        return -errno;
    for (int is_loopback = 0; is_loopback < 2; is_loopback++)
        for (const struct ifaddrs *item = list; item; item = item->ifa_next)
            if (item->ifa_addr && item->ifa_addr->sa_family == AF_INET &&
                (item->ifa_flags & IFF_UP) &&
                ((item->ifa_flags & IFF_LOOPBACK) != 0) == (is_loopback != 0) &&
                door->n_addresses < MF_DOOR_MAX_ADDRESSES)
                memcpy(&door->addresses[door->n_addresses++],
                       &((const struct sockaddr_in *)(const void *)item->ifa_addr)->sin_addr,
                       sizeof(door->addresses[0]));
    freeifaddrs(list);
    return 0;
}

int mf_door_open(struct mf_door *ret_door)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    struct mf_door door = {0};
    int r = list_addresses(&door), fd = r < 0 ? r : open_socket();

    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
        getrandom(door.key, sizeof(door.key), 0) != (ssize_t)sizeof(door.key)) {
        r = errno ? -errno : -EIO;
        mf_close(&fd);
        return r;
    }
    door.port = ntohs(address.sin_port);
    *ret_door = door;
    return fd;
}

void mf_door_encode(const struct mf_door *door, struct mf_buffer *buffer)
{
    mf_buffer_put_u16(buffer, door->port);
    mf_buffer_put_u8(buffer, (uint8_t)door->n_addresses);
    mf_buffer_append(buffer, door->key, sizeof(door->key));
    for (uint32_t i = 0; i < door->n_addresses; i++)
        mf_buffer_put_u32(buffer, door->addresses[i]);
}

void mf_door_decode(struct mf_reader *reader, struct mf_door *ret_door)
{
    const uint8_t *key;

    ret_door->port = mf_reader_get_u16(reader);
    ret_door->n_addresses = mf_reader_get_u8(reader);
    key = mf_reader_get_raw(reader, sizeof(ret_door->key));
    if (!key || ret_door->n_addresses > MF_DOOR_MAX_ADDRESSES) {
        ret_door->n_addresses = 0;
        reader->has_failed = true;
        return;
    }
    memcpy(ret_door->key, key, sizeof(ret_door->key));
    for (uint32_t i = 0; i < ret_door->n_addresses; i++)
        ret_door->addresses[i] = mf_reader_get_u32(reader);
}

/* In a time that says nothing of where they differ. */
static bool is_equal(const uint8_t *a, const uint8_t *b, size_t n)
{
    uint8_t difference = 0;

    for (size_t i = 0; i < n; i++)
        difference |= a[i] ^ b[i];
    return difference == 0;
}

unsigned mf_door_answer(int fd, const struct mf_door *door, bool is_there)
{
    struct sockaddr_in from;
    struct question question;
    unsigned n = 0;

    for (int i = 0; i < MF_DOOR_PACKETS; i++) {
        socklen_t size = sizeof(from);
        struct answer answer = {.is_there = is_there};
        ssize_t n_bytes =
            recvfrom(fd, &question, sizeof(question), MSG_TRUNC, (struct sockaddr *)&from, &size);

        if (n_bytes < 0)
            break;
        if (n_bytes != (ssize_t)sizeof(question) ||
            memcmp(question.magic, question_magic, sizeof(question.magic)) != 0 ||
            !is_equal(question.key, door->key, sizeof(door->key)))
            continue;
        memcpy(answer.magic, answer_magic, sizeof(answer.magic));
        answer.peer = question.peer;
        answer.token = question.token;
        (void)sendto(fd, &answer, sizeof(answer), 0, (struct sockaddr *)&from, size);
        n++;
    }
    return n;
}

/* --- asking --- */

int mf_knock_open(uint64_t *ret_token)
{
    uint64_t token;

    if (getrandom(&token, sizeof(token), 0) != (ssize_t)sizeof(token))
        return -EIO;
    *ret_token = token;
    return open_socket();
}

void mf_knock(int fd, uint64_t token, const struct mf_door *door, uint32_t peer)
{
    struct question question = {.peer = peer, .token = token};

    memcpy(question.magic, question_magic, sizeof(question.magic));
    memcpy(question.key, door->key, sizeof(question.key));
    for (uint32_t i = 0; i < door->n_addresses && door->port != 0; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(door->port)};

        memcpy(&to.sin_addr, &door->addresses[i], sizeof(door->addresses[i]));
        (void)sendto(fd, &question, sizeof(question), 0, (struct sockaddr *)&to, sizeof(to));
    }
}

int mf_knock_hear(int fd, uint64_t token, uint32_t *ret_peer, bool *ret_is_there,
                  uint32_t *ret_address)
{
    struct sockaddr_in from = {0};
    socklen_t size = sizeof(from);
    struct answer answer;
    ssize_t n = recvfrom(fd, &answer, sizeof(answer), MSG_TRUNC, (struct sockaddr *)&from, &size);

    /* A door that nobody stands behind any more is told of as an error. */
    if (n < 0)
        return errno == ECONNREFUSED ? -EBADMSG : 0;
    if (n != (ssize_t)sizeof(answer) ||
        memcmp(answer.magic, answer_magic, sizeof(answer.magic)) != 0 || answer.token != token)
        return -EBADMSG;
    *ret_peer = answer.peer;
    *ret_is_there = answer.is_there != 0;
    *ret_address = from.sin_addr.s_addr;
    return 1;
}
