/* Watching peers: see sentry.h. */
#include "runtime/sentry.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/list.h"
#include "runtime/vigil.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* Between looks that somebody takes in each turn. */
#define LOOK_NS (5 * MF_NS_PER_MS)

/* A sentry with a loop of its own asks it so often. */
#define ASK_NS (20 * MF_NS_PER_MS)

/* Silent peers are asked for in this last part of the time that they may be so. */
#define ASKING_NS (1333 * MF_NS_PER_MS)

/* Between two rounds of asking, and after one in which answers may come. */
#define ROUND_NS (250 * MF_NS_PER_MS)
#define ANSWERS_NS (5 * MF_NS_PER_S)

/* Packets in one round: many peers are asked in turn. */
#define PACKETS 4096

/* Answers are taken in after so many, as the socket holds only some hundreds. */
#define PACKETS_AT_ONCE 64

/* More than it holds: if there are still some, somebody floods it. */
#define ANSWERS_AT_ONCE 1024

/* Nobody is taken for gone before so many questions in a row are without an answer. */
#define ENOUGH_QUESTIONS 4

/* After so many of them, a peer is asked for at all addresses again. */
#define LOST_QUESTIONS 2

/**
 * A peer.
 *
 * @door           where it is asked for; port 0 when its process is within reach
 * @is_expected    by whoever has the sentry
 * @has_answered   somebody stands behind the door
 * @answer_address   from there; 0 for nowhere yet
 * @n_unanswered   questions since anything was heard of it, up to ENOUGH_QUESTIONS
 * @node           in the sentry's list once the process has ended, until that was told
 */
struct peer {
    struct mf_sentry *sentry;
    struct mf_watch *watch;
    int fd;
    struct mf_door door;
    bool is_expected;
    bool has_answered;
    uint32_t answer_address;
    uint8_t n_unanswered;
    struct mf_list node;
};

/**
 * @own_loop  loop, if nobody else waits for it
 * @asked_ns  when it was last asked then
 * @knock_fd, @token   to ask at doors, -1 until one is known
 * @round_ns  when peers are next asked for
 * @heard_ns  when answers were last looked for
 * @answers_ns   until when some may come
 * @has_asked    since the last look
 * @cursor    peer to begin the next round with
 */
struct mf_sentry {
    struct mf_loop *loop;
    struct mf_loop *own_loop;
    int64_t asked_ns;
    enum mf_sentry_rule rule;
    int64_t silence_ns;
    int knock_fd;
    uint64_t token;
    int64_t now_ns, round_ns, heard_ns, answers_ns;
    uint32_t cursor;
    bool has_asked;
    struct mf_vigil *vigil;
    struct mf_list ended;
    uint32_t n_peers;
    struct peer peers[];
};

int mf_sentry_create(struct mf_loop *loop, uint32_t n_peers, int64_t silence_ns,
                     enum mf_sentry_rule rule, struct mf_sentry **ret_sentry)
{
    struct mf_sentry *sentry = calloc(1, sizeof(*sentry) + n_peers * sizeof(sentry->peers[0]));
    int r;

    if (!sentry)
        return -ENOMEM;
    mf_list_init(&sentry->ended);
    for (uint32_t i = 0; i < n_peers; i++) {
        sentry->peers[i] = (struct peer){.sentry = sentry, .fd = -1};
        mf_list_init(&sentry->peers[i].node);
    }
    sentry->n_peers = n_peers;
    sentry->rule = rule;
    sentry->silence_ns = silence_ns;
    sentry->knock_fd = -1;
    r = mf_vigil_create(n_peers, silence_ns, &sentry->vigil);
    if (r == 0 && !loop)
        r = mf_loop_create(&sentry->own_loop);
    if (r < 0) {
        mf_sentry_destroy(sentry);
        return r;
    }
    sentry->loop = loop ? loop : sentry->own_loop;
    *ret_sentry = sentry;
    return 0;
}

static void stop_watching(struct peer *peer)
{
    mf_loop_remove(peer->sentry->loop, peer->watch);
    peer->watch = NULL;
    mf_close(&peer->fd);
}

void mf_sentry_destroy(struct mf_sentry *sentry)
{
    if (!sentry)
        return;
    for (uint32_t i = 0; i < sentry->n_peers; i++)
        stop_watching(&sentry->peers[i]);
    mf_close(&sentry->knock_fd);
    mf_loop_destroy(sentry->own_loop);
    mf_vigil_destroy(sentry->vigil);
    free(sentry);
}

static void note_ended(struct peer *peer)
{
    stop_watching(peer);
    mf_list_remove(&peer->node);
    mf_list_push_back(&peer->sentry->ended, &peer->node);
}

static void on_ended(void *arg, uint32_t events)
{
    note_ended(arg);
}

/* The first question is only to know whether there is somebody to answer. */
static void find_door(struct mf_sentry *sentry, uint32_t number, const struct mf_life *life)
{
    if (life->door.port == 0)
        return;
    if (sentry->knock_fd < 0)
        sentry->knock_fd = mf_knock_open(&sentry->token);
    if (sentry->knock_fd < 0)
        return;
    sentry->peers[number].door = life->door;
    sentry->peers[number].answer_address = 0;
    mf_knock(sentry->knock_fd, sentry->token, &life->door, number);
    sentry->has_asked = true;
}

void mf_sentry_meet(struct mf_sentry *sentry, uint32_t number, const struct mf_life *life)
{
    struct peer *peer = &sentry->peers[number];
    int r;

    if (peer->watch || peer->door.port != 0)
        return;
    r = mf_life_open(life, &peer->fd);
    if (r == 0)
        find_door(sentry, number, life);
    if (r == -ESRCH)
        note_ended(peer);
    /* A process that cannot be watched is one out of reach. */
    if (r == 1 && mf_loop_add(sentry->loop, peer->fd, EPOLLIN, on_ended, peer, &peer->watch) < 0)
        mf_close(&peer->fd);
}

/* Where there is something to go by, and nothing better. */
static void consider(struct mf_sentry *sentry, uint32_t number)
{
    const struct peer *peer = &sentry->peers[number];

    if (peer->is_expected && !peer->watch && (sentry->rule == MF_SENTRY_ALL || peer->has_answered))
        mf_vigil_begin(sentry->vigil, number);
}

void mf_sentry_expect(struct mf_sentry *sentry, uint32_t peer)
{
    sentry->peers[peer].is_expected = true;
    sentry->peers[peer].n_unanswered = 0;
    consider(sentry, peer);
}

void mf_sentry_heard(struct mf_sentry *sentry, uint32_t peer)
{
    sentry->peers[peer].n_unanswered = 0;
    mf_vigil_heard(sentry->vigil, peer);
}

bool mf_sentry_vouches(const struct mf_sentry *sentry, uint32_t peer)
{
    return sentry->peers[peer].watch ||
           (sentry->peers[peer].door.port != 0 && sentry->peers[peer].has_answered);
}

void mf_sentry_forget(struct mf_sentry *sentry, uint32_t peer)
{
    stop_watching(&sentry->peers[peer]);
    sentry->peers[peer].is_expected = false;
    sentry->peers[peer].door.port = 0;
    mf_list_remove(&sentry->peers[peer].node);
    mf_vigil_end(sentry->vigil, peer);
}

/* --- asking --- */

static void on_answer(struct mf_sentry *sentry, uint32_t number, bool is_there, uint32_t address)
{
    struct peer *peer = &sentry->peers[number];

    if (peer->door.port == 0)
        return;
    if (!is_there) {
        note_ended(peer);
        return;
    }
    peer->answer_address = address;
    mf_sentry_heard(sentry, number);
    if (!peer->has_answered) {
        peer->has_answered = true;
        consider(sentry, number);
    }
}

static void take_answers(struct mf_sentry *sentry)
{
    uint32_t number, address;
    bool is_there;
    int r = 1;

    for (int n = 0; r != 0 && n < ANSWERS_AT_ONCE; n++) {
        r = mf_knock_hear(sentry->knock_fd, sentry->token, &number, &is_there, &address);
        if (r > 0 && number < sentry->n_peers)
            on_answer(sentry, number, is_there, address);
    }
}

static void hear_answers(struct mf_sentry *sentry)
{
    if (sentry->has_asked)
        sentry->answers_ns = sentry->now_ns + ANSWERS_NS;
    sentry->has_asked = false;
    if (sentry->now_ns >= sentry->answers_ns || sentry->now_ns < sentry->heard_ns + ASK_NS)
        return;
    sentry->heard_ns = sentry->now_ns;
    take_answers(sentry);
}

/* At the address that answered last, if that is one of the door's. Returns how many packets. */
static unsigned ask(struct mf_sentry *sentry, uint32_t number)
{
    struct peer *peer = &sentry->peers[number];
    struct mf_door door = peer->door;

    for (uint32_t i = 0; i < door.n_addresses && peer->n_unanswered < LOST_QUESTIONS; i++)
        if (door.addresses[i] == peer->answer_address) {
            door.addresses[0] = peer->answer_address;
            door.n_addresses = 1;
        }
    mf_knock(sentry->knock_fd, sentry->token, &door, number);
    peer->n_unanswered += peer->n_unanswered < ENOUGH_QUESTIONS;
    return door.n_addresses;
}

static void ask_around(struct mf_sentry *sentry)
{
    unsigned n_packets = 0, n_at_once = 0;

    if (sentry->knock_fd < 0 || sentry->now_ns < sentry->round_ns)
        return;
    sentry->round_ns = sentry->now_ns + ROUND_NS;
    for (uint32_t n = 0; n < sentry->n_peers && n_packets < PACKETS; n++) {
        uint32_t number = sentry->cursor;
        unsigned n_sent;

        sentry->cursor = (number + 1) % sentry->n_peers;
        if (sentry->peers[number].door.port == 0 ||
            mf_vigil_silence_ns(sentry->vigil, number) < sentry->silence_ns - ASKING_NS)
            continue;
        n_sent = ask(sentry, number);
        n_packets += n_sent;
        n_at_once += n_sent;
        if (n_at_once >= PACKETS_AT_ONCE) {
            take_answers(sentry);
            n_at_once = 0;
        }
    }
    sentry->has_asked |= n_packets > 0;
}

/* --- looking --- */

bool mf_sentry_is_due(const struct mf_sentry *sentry, int64_t now_ns)
{
    return now_ns >= sentry->now_ns + LOOK_NS || !mf_list_is_empty(&sentry->ended);
}

void mf_sentry_hasten(struct mf_sentry *sentry)
{
    sentry->asked_ns = INT64_MIN;
}

void mf_sentry_look(struct mf_sentry *sentry, int64_t now_ns)
{
    sentry->now_ns = now_ns;
    hear_answers(sentry);
    mf_vigil_look(sentry->vigil, now_ns);
    ask_around(sentry);
    if (!sentry->own_loop || now_ns < sentry->asked_ns + ASK_NS)
        return;
    sentry->asked_ns = now_ns;
    (void)mf_loop_wait(sentry->own_loop, 0);
}

/* It is known by its silence only if it was asked for often enough. */
static bool was_asked_for(const struct peer *peer)
{
    return peer->door.port == 0 || peer->n_unanswered >= ENOUGH_QUESTIONS;
}

bool mf_sentry_next(struct mf_sentry *sentry, uint32_t *ret_peer, enum mf_passing *ret_passing)
{
    struct mf_list *node = mf_list_pop_front(&sentry->ended);

    if (node) {
        *ret_peer = (uint32_t)(mf_container_of(node, struct peer, node) - sentry->peers);
        *ret_passing = MF_PASSING_ENDED;
        mf_sentry_forget(sentry, *ret_peer);
        return true;
    }
    *ret_passing = MF_PASSING_SILENT;
    while ((*ret_peer = mf_vigil_next(sentry->vigil)) != MF_VIGIL_NOBODY) {
        if (was_asked_for(&sentry->peers[*ret_peer]))
            return true;
        mf_vigil_begin(sentry->vigil, *ret_peer);
    }
    return false;
}
