/* The farm's end of the control channel. Runs in rank 0's only thread. */
#include "control/control.h"

#include "base/clock.h"
#include "base/io.h"
#include "control/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Who connects beyond these waits until one of them is done. */
#define MAX_CLIENTS 16

/* Time to say something, and to take the answer. */
#define PATIENCE_NS (5 * MF_NS_PER_S)

/* Between two words to who waits: well within its own patience. */
#define BEAT_NS (2 * MF_NS_PER_S)

/*
 * @control      NULL while the place is free
 * @ticket       of the request that is to be answered later, 0 for none
 * @deadline_ns  when it is hung up on, or told that it is not forgotten
 */
struct client {
    struct mf_control *control;
    uint64_t ticket;
    int fd;
    struct mf_watch *watch;
    int64_t deadline_ns;
};

/*
 * @watch   NULL while all places are taken, so that the loop does not turn for who waits
 * @socket  what was made in the directory
 */
struct mf_control {
    struct mf_loop *loop;
    mf_control_fn fn;
    void *arg;
    int place_fd;
    int fd;
    struct stat socket;
    struct mf_watch *watch;
    struct client clients[MAX_CLIENTS];
    uint32_t n_clients;
    uint64_t last_ticket;
};

static void on_connect(void *arg, uint32_t events);

/* Whoever has to wait is not even accepted: the kernel's queue is bounded, too. */
static void listen_if_room(struct mf_control *control)
{
    bool has_room = control->n_clients < MAX_CLIENTS;

    (void)mf_loop_modify(control->loop, control->watch, has_room ? EPOLLIN : 0);
}

static void hang_up(struct client *client)
{
    struct mf_control *control = client->control;

    mf_loop_remove(control->loop, client->watch);
    mf_close(&client->fd);
    *client = (struct client){.fd = -1};
    control->n_clients--;
    listen_if_room(control);
}

/* --- one request --- */

/* An answer goes into the socket's buffer at once or, to who reads none, nowhere. Returns 0 or
 * -errno. */
static int answer(struct client *client, const struct mf_control_reply *reply)
{
    struct mf_buffer packet = {0};
    int r = mf_control_reply_encode(reply, &packet);

    if (r == 0 && send(client->fd, packet.data, packet.size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        r = -errno;
    mf_buffer_finish(&packet);
    return r;
}

/*
 * Says that the answer comes later. Returns whether it is still wanted: who gives up closes its end
 * for receiving first, so that it has heard this, or it cannot be sent any more.
 */
static bool say_later(struct client *client)
{
    const struct mf_control_reply later = {.is_later = true};
    int r = answer(client, &later);

    return r == 0 || r == -EAGAIN;
}

/* Returns whether there is a reply already. */
static bool carry_out(struct client *client, const void *packet, size_t size,
                      struct mf_control_reply *reply)
{
    struct mf_control *control = client->control;
    struct mf_control_request request;
    struct mf_error err;
    bool has_reply;

    if (mf_control_request_decode(packet, size, &request, &err) < 0) {
        mf_control_reply_set(reply, false, "%s", err.text);
        return true;
    }
    if (!say_later(client)) {
        mf_control_request_finish(&request);
        return true;
    }
    has_reply = control->fn(control->arg, ++control->last_ticket, &request, reply);
    if (!has_reply) {
        client->ticket = control->last_ticket;
        client->deadline_ns = mf_clock_monotonic_ns() + BEAT_NS;
    }
    mf_control_request_finish(&request);
    return has_reply;
}

/* Whoever waits for an answer has nothing more to say, and hangs up with whatever it sends. */
static void on_packet(void *arg, uint32_t events)
{
    struct client *client = arg;
    struct mf_control_reply reply = {0};
    char *packet = malloc(MF_CONTROL_PACKET_BYTES + 1);
    bool has_reply = true;
    ssize_t n = -1;

    (void)events;
    if (packet)
        n = recv(client->fd, packet, MF_CONTROL_PACKET_BYTES + 1, MSG_DONTWAIT);
    if (n > MF_CONTROL_PACKET_BYTES)
        mf_control_reply_set(&reply, false, "the request is too large");
    else if (n > 0 && client->ticket == 0)
        has_reply = carry_out(client, packet, (size_t)n, &reply);
    free(packet);
    if (!has_reply)
        return;
    if (n > 0 && client->ticket == 0)
        (void)answer(client, &reply);
    if (n >= 0 || (errno != EAGAIN && errno != EINTR))
        hang_up(client);
}

/* NULL for one that has hung up. */
static struct client *find_waiting(struct mf_control *control, uint64_t ticket)
{
    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        if (control->clients[i].control && control->clients[i].ticket == ticket)
            return &control->clients[i];
    return NULL;
}

void mf_control_answer(struct mf_control *control, uint64_t ticket,
                       const struct mf_control_reply *reply)
{
    struct client *client = find_waiting(control, ticket);

    if (!client)
        return;
    (void)answer(client, reply);
    hang_up(client);
}

bool mf_control_is_awaited(struct mf_control *control, uint64_t ticket)
{
    struct client *client = find_waiting(control, ticket);

    return client && say_later(client);
}

/* --- connections --- */

static struct client *find_place(struct mf_control *control)
{
    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        if (!control->clients[i].control)
            return &control->clients[i];
    return NULL;
}

/* Takes fd. */
static void admit(struct mf_control *control, int fd)
{
    struct client *client = find_place(control);

    if (!client || !mf_control_is_own(fd)) {
        mf_close(&fd);
        return;
    }
    *client = (struct client){
        .control = control, .fd = fd, .deadline_ns = mf_clock_monotonic_ns() + PATIENCE_NS};
    if (mf_loop_add(control->loop, fd, EPOLLIN, on_packet, client, &client->watch) < 0) {
        mf_close(&client->fd);
        *client = (struct client){.fd = -1};
        return;
    }
    control->n_clients++;
}

static void on_connect(void *arg, uint32_t events)
{
    struct mf_control *control = arg;
    int fd = accept4(control->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    (void)events;
    if (fd >= 0)
        admit(control, fd);
    listen_if_room(control);
}

/* --- time --- */

static void keep_time(struct client *client, int64_t now_ns)
{
    if (client->ticket == 0 || !say_later(client))
        hang_up(client);
    else
        client->deadline_ns = now_ns + BEAT_NS;
}

void mf_control_keep_time(struct mf_control *control, int64_t now_ns)
{
    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        if (control->clients[i].control && now_ns >= control->clients[i].deadline_ns)
            keep_time(&control->clients[i], now_ns);
}

int64_t mf_control_next_ns(const struct mf_control *control)
{
    int64_t next_ns = INT64_MAX;

    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        if (control->clients[i].control)
            next_ns = mf_earliest_ns(next_ns, control->clients[i].deadline_ns);
    return next_ns;
}

/* --- life --- */

static int start_listening(struct mf_control *control, const struct sockaddr_un *address)
{
    int r;

    control->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (control->fd < 0)
        return -errno;
    if (unlinkat(control->place_fd, MF_CONTROL_SOCKET, 0) < 0 && errno != ENOENT)
        return -errno;
    if (bind(control->fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
        fchmodat(control->place_fd, MF_CONTROL_SOCKET, 0600, 0) < 0 ||
        fstatat(control->place_fd, MF_CONTROL_SOCKET, &control->socket, AT_SYMLINK_NOFOLLOW) < 0 ||
        listen(control->fd, MAX_CLIENTS) < 0)
        return -errno;
    r = mf_loop_add(control->loop, control->fd, EPOLLIN, on_connect, control, &control->watch);
    return r;
}

int mf_control_create(const char *run_dir, struct mf_loop *loop, mf_control_fn fn, void *arg,
                      struct mf_control **ret_control, struct mf_error *err)
{
    struct mf_control *control = calloc(1, sizeof(*control));
    struct sockaddr_un address;
    int r;

    if (!control)
        return mf_error_set(err, -ENOMEM, "out of memory");
    *control = (struct mf_control){.loop = loop, .fn = fn, .arg = arg, .fd = -1, .place_fd = -1};
    r = control->place_fd = mf_control_open_place(run_dir, &address, err);
    if (r >= 0) {
        r = start_listening(control, &address);
        if (r < 0)
            mf_error_set(err, r, "%s/" MF_CONTROL_SOCKET ": %s", run_dir, strerror(-r));
    }
    if (r < 0) {
        mf_control_destroy(control);
        return r;
    }
    *ret_control = control;
    return 0;
}

/* Another farm may have its own there by now; the number of ours is its own while it is open. */
static bool has_own_socket(const struct mf_control *control)
{
    struct stat found;

    return fstatat(control->place_fd, MF_CONTROL_SOCKET, &found, AT_SYMLINK_NOFOLLOW) == 0 &&
           mf_is_same_file(&found, &control->socket);
}

void mf_control_destroy(struct mf_control *control)
{
    if (!control)
        return;
    for (uint32_t i = 0; i < MAX_CLIENTS; i++)
        if (control->clients[i].control)
            hang_up(&control->clients[i]);
    mf_loop_remove(control->loop, control->watch);
    if (control->watch && has_own_socket(control))
        (void)unlinkat(control->place_fd, MF_CONTROL_SOCKET, 0);
    mf_close(&control->fd);
    mf_close(&control->place_fd);
    free(control);
}
