/* Watching peers: see sentry.h. */
#include "runtime/sentry.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/list.h"
#include "runtime/vigil.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* A sentry with a loop of its own asks it so often. */
#define ASK_NS (20 * MF_NS_PER_MS)

/* `node` is in the sentry's list once the process has ended, until that was told. */
struct peer {
    struct mf_sentry *sentry;
    struct mf_watch *watch;
    int fd;
    struct mf_list node;
};

/**
 * @own_loop  loop, if nobody else waits for it
 * @asked_ns  when it was last asked then
 */
struct mf_sentry {
    struct mf_loop *loop;
    struct mf_loop *own_loop;
    int64_t asked_ns;
    struct mf_vigil *vigil;
    struct mf_list ended;
    uint32_t n_peers;
    struct peer peers[];
};

int mf_sentry_create(struct mf_loop *loop, uint32_t n_peers, int64_t silence_ns,
                     struct mf_sentry **ret_sentry)
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

void mf_sentry_meet(struct mf_sentry *sentry, uint32_t number, const struct mf_life *life)
{
    struct peer *peer = &sentry->peers[number];
    int r;

    if (peer->watch)
        return;
    r = mf_life_open(life, &peer->fd);
    if (r == -ESRCH)
        note_ended(peer);
    /* A process that cannot be watched is one out of reach. */
    if (r == 1 && mf_loop_add(sentry->loop, peer->fd, EPOLLIN, on_ended, peer, &peer->watch) < 0)
        mf_close(&peer->fd);
}

void mf_sentry_expect(struct mf_sentry *sentry, uint32_t peer)
{
    if (!sentry->peers[peer].watch)
        mf_vigil_begin(sentry->vigil, peer);
}

void mf_sentry_heard(struct mf_sentry *sentry, uint32_t peer)
{
    mf_vigil_heard(sentry->vigil, peer);
}

void mf_sentry_forget(struct mf_sentry *sentry, uint32_t peer)
{
    stop_watching(&sentry->peers[peer]);
    mf_list_remove(&sentry->peers[peer].node);
    mf_vigil_end(sentry->vigil, peer);
}

void mf_sentry_look(struct mf_sentry *sentry, int64_t now_ns)
{
    mf_vigil_look(sentry->vigil, now_ns);
    if (!sentry->own_loop || now_ns < sentry->asked_ns + ASK_NS)
        return;
    sentry->asked_ns = now_ns;
    (void)mf_loop_wait(sentry->own_loop, 0);
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
    *ret_peer = mf_vigil_next(sentry->vigil);
    *ret_passing = MF_PASSING_SILENT;
    return *ret_peer != MF_VIGIL_NOBODY;
}
