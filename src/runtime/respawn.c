/*
 * Workers that come while the run goes on: in place of lost ones (--respawn), on the cores and GPUs
 * that those had, or because the user wants more of them (mpifarm scale). One is started at
 * a time, and nothing waits for it. Runs in rank 0's only thread.
 *
 * A share of a node that nobody uses any more is vacant: its worker was lost, or has left. A worker
 * that was drained and is still there takes its share again when one is wanted.
 */
#include "runtime/scheduler_private.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Between two that did not come up. */
#define PAUSE_NS (2 * MF_NS_PER_S)

/* So many one after the other that did not come up are enough. */
#define MAX_FAILURES 3

/* A worker that was only silent, and has been for so long, is replaced. */
#define SILENCE_NS (10 * MF_NS_PER_S)

/* A process that was started says HELLO by then. */
#define HELLO_TIMEOUT_NS (15 * MF_NS_PER_S)

/* Words of the command line of this process, and its size. */
#define MAX_COMMAND_LINE (1 << 20)

/* --- starting one --- */

static int read_command_line(struct mf_buffer *text)
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    while (mf_buffer_reserve(text, 4096) == 0 && text->size < MAX_COMMAND_LINE &&
           (n = read(fd, text->data + text->size, 4096)) > 0)
        text->size += (size_t)n;
    mf_close(&fd);
    mf_buffer_put_u8(text, 0);
    return mf_buffer_status(text);
}

/* The words of this command, with the program's own path first; they lie in text. */
static int split_words(struct mf_buffer *text, char *program, char ***ret_argv)
{
    size_t n = 0, at = 0;
    char **argv;

    for (size_t i = 0; i < text->size; i++)
        n += text->data[i] == 0;
    argv = calloc(n + 1, sizeof(char *));
    if (!argv)
        return -ENOMEM;
    n = 0;
    while (at + 1 < text->size) {
        argv[n] = n > 0 ? (char *)text->data + at : program;
        n++;
        at += strlen((char *)text->data + at) + 1;
    }
    *ret_argv = argv;
    return 0;
}

/* A worker is a process of the same command, which finds out by MPI that it was started so. */
static int start_on(struct mf_scheduler *scheduler, const char *host)
{
    struct mf_transport *remote = scheduler->config.remote;
    char program[PATH_MAX], dir[PATH_MAX];
    struct mf_spawn spawn = {.host = host, .dir = dir};
    struct mf_buffer text = {0};
    int r = read_command_line(&text);

    if (r == 0 && (!realpath("/proc/self/exe", program) || !getcwd(dir, sizeof(dir))))
        r = -errno;
    if (r == 0)
        r = split_words(&text, program, &spawn.argv);
    if (r == 0)
        r = remote->ops->spawn(remote, &spawn);
    free(spawn.argv);
    mf_buffer_finish(&text);
    return r;
}

/* --- what is wanted --- */

bool mf_respawn_can(const struct mf_scheduler *scheduler)
{
    const struct mf_transport *remote = scheduler->config.remote;

    return remote && remote->ops->spawn && scheduler->n_peers < remote->max_size;
}

static bool is_wanted(const struct mf_peer *peer)
{
    return peer->is_wanted && peer->welcome.size > 0;
}

/* The only place where this is changed. */
static void set_wanted(struct mf_scheduler *scheduler, struct mf_peer *peer, bool wanted)
{
    if (wanted && !peer->is_wanted)
        scheduler->respawn.n_wanted++;
    else if (!wanted && peer->is_wanted)
        scheduler->respawn.n_wanted--;
    peer->is_wanted = wanted;
}

/* The first whose share is wanted, or NULL. */
static struct mf_peer *find_wanted(const struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers && scheduler->respawn.n_wanted > 0; i++)
        if (is_wanted(&scheduler->peers[i]))
            return &scheduler->peers[i];
    return NULL;
}

bool mf_respawn_is_pending(const struct mf_scheduler *scheduler)
{
    const struct mf_respawn *respawn = &scheduler->respawn;

    return respawn->is_starting || respawn->newcomer || find_wanted(scheduler);
}

bool mf_respawn_is_starting(const struct mf_scheduler *scheduler)
{
    return scheduler->respawn.is_starting;
}

bool mf_respawn_is_missed(const struct mf_scheduler *scheduler)
{
    struct mf_needs largest = mf_workers_largest(mf_farm_workers(scheduler->farm));

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        if ((is_wanted(peer) || peer == scheduler->respawn.place) &&
            mf_needs_exceed(&peer->share, &largest))
            return true;
    }
    return false;
}

void mf_respawn_want(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_respawn *respawn = &scheduler->respawn;

    peer->is_vacant = peer->welcome.size > 0;
    if (!peer->is_vacant || respawn->n_left == 0 || peer->rank == 0 || !mf_respawn_can(scheduler))
        return;
    respawn->n_left--;
    set_wanted(scheduler, peer, true);
}

/* A place that nobody has, of those that are not wanted yet; or NULL. */
static struct mf_peer *find_vacant(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 1; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].is_vacant && !scheduler->peers[i].is_wanted)
            return &scheduler->peers[i];
    return NULL;
}

/* Its node is: it gets no work, and not as the user said so. */
static bool is_given_back(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    return scheduler->release.is_asking && scheduler->release.spared[peer->rank];
}

bool mf_respawn_is_drained(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return !is_given_back(scheduler, peer) && peer->state == MF_PEER_UP && worker &&
           (worker->state == MF_WORKER_GONE || worker->state == MF_WORKER_DRAINING);
}

/* One such, or NULL. */
static struct mf_peer *find_drained(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (mf_respawn_is_drained(scheduler, &scheduler->peers[i]))
            return &scheduler->peers[i];
    return NULL;
}

static void take_back(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s gets work again", peer->rank,
                peer->host);
    mf_peer_offer(scheduler, peer);
}

uint32_t mf_respawn_grow(struct mf_scheduler *scheduler, uint32_t n, uint32_t *ret_n_starting)
{
    uint32_t n_back = 0;
    struct mf_peer *peer;

    *ret_n_starting = 0;
    for (; n > 0 && (peer = find_drained(scheduler)); n--) {
        take_back(scheduler, peer);
        n_back++;
    }
    if (n_back > 0)
        mf_wishes_note_drained(scheduler);
    for (; n > 0 && mf_respawn_can(scheduler) && (peer = find_vacant(scheduler)); n--) {
        set_wanted(scheduler, peer, true);
        ++*ret_n_starting;
    }
    return n_back;
}

uint32_t mf_respawn_n_vacant(const struct mf_scheduler *scheduler)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];

        n += mf_respawn_is_drained(scheduler, peer);
        n += i > 0 && peer->is_vacant && !peer->is_wanted && mf_respawn_can(scheduler);
    }
    return n;
}

/* --- coming up --- */

static void fail(struct mf_scheduler *scheduler, const char *why)
{
    struct mf_respawn *respawn = &scheduler->respawn;

    mf_log_warning(scheduler->config.log, "no worker could be started on %s: %s",
                   respawn->place->host, why);
    respawn->not_before_ns = scheduler->now_ns + PAUSE_NS;
    if (++respawn->n_failures < MAX_FAILURES)
        set_wanted(scheduler, respawn->place, true);
    respawn->place->is_vacant = true;
    respawn->place = NULL;
    if (respawn->n_failures < MAX_FAILURES)
        return;
    mf_log_warning(scheduler->config.log, "no more workers are started");
    respawn->n_left = 0;
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        set_wanted(scheduler, &scheduler->peers[i], false);
    respawn->n_failures = 0;
}

static void begin_next(struct mf_scheduler *scheduler)
{
    struct mf_respawn *respawn = &scheduler->respawn;
    struct mf_peer *place = find_wanted(scheduler);
    int r;

    if (!place || !mf_respawn_can(scheduler) || scheduler->now_ns < respawn->not_before_ns)
        return;
    set_wanted(scheduler, place, false);
    place->is_vacant = false;
    respawn->place = place;
    mf_log_info(scheduler->config.log, "starting a worker on %s in place of rank %" PRIu32,
                place->host, place->rank);
    r = start_on(scheduler, place->host);
    respawn->is_starting = r == 0;
    if (r < 0)
        fail(scheduler, strerror(-r));
}

static void take_in(struct mf_scheduler *scheduler, uint32_t number)
{
    struct mf_respawn *respawn = &scheduler->respawn;
    struct mf_peer *peer;

    mf_peers_add(scheduler, number);
    peer = &scheduler->peers[number];
    respawn->newcomer = peer;
    respawn->not_before_ns = scheduler->now_ns + HELLO_TIMEOUT_NS;
    if (!scheduler->is_leaving)
        return;
    mf_peer_dismiss(scheduler, peer, "the run is over");
    respawn->newcomer = NULL;
}

static void await_start(struct mf_scheduler *scheduler)
{
    struct mf_transport *remote = scheduler->config.remote;
    struct mf_error err;
    uint32_t number;
    int r = remote->ops->spawned(remote, &number, &err);

    if (r == 0)
        return;
    scheduler->respawn.is_starting = false;
    if (r > 0)
        take_in(scheduler, number);
    else
        fail(scheduler, err.text);
}

/* It has been started and has not said a word. */
static void await_hello(struct mf_scheduler *scheduler)
{
    struct mf_respawn *respawn = &scheduler->respawn;

    if (scheduler->now_ns < respawn->not_before_ns)
        return;
    mf_peer_dismiss(scheduler, respawn->newcomer, "it does not answer");
    respawn->newcomer = NULL;
    fail(scheduler, "it does not answer");
}

int mf_respawn_on_hello(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    struct mf_respawn *respawn = &scheduler->respawn;
    struct mf_peer *place = respawn->place;
    struct mf_event event = {.kind = MF_EVENT_WORKER_UP, .worker = peer->rank};
    struct mf_message welcome = {.kind = MF_MESSAGE_WELCOME};

    respawn->newcomer = NULL;
    respawn->place = NULL;
    respawn->n_failures = 0;
    respawn->not_before_ns = scheduler->now_ns;
    if (strcmp(peer->host, place->host) != 0) {
        mf_peer_dismiss(scheduler, peer, "it came up on another node");
        place->is_vacant = true;
        return 0;
    }
    peer->welcome = place->welcome;
    place->welcome = (struct mf_buffer){0};
    peer->share = event.has = place->share;
    peer->node = event.node = place->node;
    peer->n_slots = place->n_slots;
    peer->state = MF_PEER_UP;
    welcome.payload = peer->welcome.data;
    welcome.payload_size = peer->welcome.size;
    mf_peer_post(peer, &welcome);
    mf_hooks_post(scheduler, peer);
    mf_notice_expect(scheduler, peer);
    mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s takes the place of rank %" PRIu32,
                peer->rank, peer->host, place->rank);
    return mf_scheduler_apply(scheduler, &event);
}

/* --- the turn --- */

/*
 * The process of one that has been silent for so long is gone, or no use. They are many, so that a
 * look at all says when the next one is due: of those that are lost later none is before that.
 */
static void give_up_silent(struct mf_scheduler *scheduler)
{
    struct mf_respawn *respawn = &scheduler->respawn;
    int64_t look_ns = scheduler->now_ns + SILENCE_NS;

    if (scheduler->now_ns < respawn->look_ns)
        return;
    for (uint32_t i = 1; i < scheduler->n_peers && respawn->n_left > 0; i++) {
        struct mf_peer *peer = &scheduler->peers[i];

        if (peer->state != MF_PEER_LOST || peer->is_vacant)
            continue;
        if (scheduler->now_ns < peer->lost_ns + SILENCE_NS) {
            look_ns = mf_earliest_ns(look_ns, peer->lost_ns + SILENCE_NS);
            continue;
        }
        mf_peer_dismiss(scheduler, peer, "nothing is heard of it");
        peer->state = MF_PEER_GONE;
        mf_respawn_want(scheduler, peer);
    }
    respawn->look_ns = look_ns;
}

/* One that was started by us, was drained and has ended all: it leaves, and its place is vacant. */
static void let_go_drained(struct mf_scheduler *scheduler)
{
    const struct mf_workers *workers = mf_farm_workers(scheduler->farm);

    for (uint32_t i = scheduler->n_first_peers; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];
        const struct mf_worker *worker = mf_workers_find(workers, i);

        if (peer->state != MF_PEER_UP || !worker || worker->state != MF_WORKER_GONE)
            continue;
        mf_peer_post_stop(scheduler, peer);
        peer->state = MF_PEER_STOPPING;
        peer->is_vacant = peer->welcome.size > 0;
    }
}

void mf_respawn_turn(struct mf_scheduler *scheduler)
{
    struct mf_respawn *respawn = &scheduler->respawn;

    if (respawn->is_starting) {
        await_start(scheduler);
        return;
    }
    if (scheduler->is_leaving)
        return;
    if (respawn->newcomer) {
        await_hello(scheduler);
        return;
    }
    give_up_silent(scheduler);
    let_go_drained(scheduler);
    begin_next(scheduler);
}

int64_t mf_respawn_next_ns(const struct mf_scheduler *scheduler)
{
    if (!mf_respawn_is_pending(scheduler))
        return INT64_MAX;
    return scheduler->respawn.is_starting ? scheduler->now_ns + MF_NS_PER_MS
                                          : scheduler->respawn.not_before_ns;
}
