/*
 * With a standby: what was decided of the run while it goes on, kept in the journal for whoever
 * schedules next: that it stops, which workers get no more work, which tasks are withdrawn. It is
 * durable before the user is answered. Runs in the scheduler's only thread.
 *
 * A scheduler that comes after another one adopts what there is first, since what runs may end, and
 * what has ended counts. It starts nothing meanwhile, and then does what was decided.
 */
#include "runtime/cancelling.h"
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How it is being stopped, whether by what says nothing of the tasks, and why: "1 0 mpifarm stop"
 */
#define TEXT_STOP "stop asked"

/* Numbers of ranks: " 2 5" */
#define TEXT_DRAINED "drained ranks"

/* The n-th request, as it came; behind the last one that holds there is an empty one or none. */
#define TEXT_CANCEL "cancel %" PRIu32

/* Of the longest name of a text, and of one rank in a text. */
#define NAME_BYTES 32
#define RANK_BYTES 12

static char *name_cancel(uint32_t n, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, TEXT_CANCEL, n);
    return name;
}

/* --- noting --- */

int mf_wishes_begin(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char name[NAME_BYTES];
    int r = mf_journal_set_text(scheduler->journal, TEXT_STOP, "", err);

    if (r == 0)
        r = mf_journal_set_text(scheduler->journal, TEXT_DRAINED, "", err);
    return r < 0 ? r : mf_journal_set_text(scheduler->journal, name_cancel(1, name), "", err);
}

static bool is_kept(const struct mf_scheduler *scheduler)
{
    return scheduler->epoch > 0 && !scheduler->has_failed;
}

static void keep(struct mf_scheduler *scheduler, const char *name, const char *text)
{
    struct mf_error err;

    if (mf_journal_set_text(scheduler->journal, name, text, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
}

void mf_wishes_secure(struct mf_scheduler *scheduler)
{
    if (is_kept(scheduler))
        mf_settle_turn(scheduler, true);
}

/* What the farm stops by itself for is known only behind its next decisions. */
void mf_wishes_note_stop(struct mf_scheduler *scheduler)
{
    enum mf_stop stop = mf_farm_stopping(scheduler->farm);
    char text[sizeof(scheduler->stopped_by) + 16];

    if (!is_kept(scheduler) || stop <= scheduler->wishes.noted)
        return;
    scheduler->wishes.noted = stop;
    snprintf(text, sizeof(text), "%d %d %s", (int)stop, scheduler->is_interrupted,
             scheduler->stopped_by[0] ? scheduler->stopped_by : "--halt");
    keep(scheduler, TEXT_STOP, text);
    mf_wishes_secure(scheduler);
}

/* One that the scheduler before had drained may not be so here yet, or be away. */
static bool is_drained(const struct mf_scheduler *scheduler, const struct mf_peer *peer)
{
    bool is_known = peer->state == MF_PEER_UP && !scheduler->wishes.are_left &&
                    mf_workers_find(mf_farm_workers(scheduler->farm), peer->rank);

    return mf_respawn_is_drained(scheduler, peer) || (peer->is_drained && !is_known);
}

void mf_wishes_note_drained(struct mf_scheduler *scheduler)
{
    size_t size = (size_t)scheduler->n_peers * RANK_BYTES + 1, n = 0;
    char *text;

    if (!is_kept(scheduler))
        return;
    text = calloc(1, size);
    if (!text) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot note which ranks are drained");
        return;
    }
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (is_drained(scheduler, &scheduler->peers[i]))
            n += (size_t)snprintf(text + n, size - n, " %" PRIu32, i);
    keep(scheduler, TEXT_DRAINED, text);
    free(text);
    mf_wishes_secure(scheduler);
}

void mf_wishes_note_cancel(struct mf_scheduler *scheduler, const struct mf_control_request *request)
{
    struct mf_buffer packet = {0};
    char name[NAME_BYTES];

    if (!is_kept(scheduler))
        return;
    if (mf_control_request_encode(request, &packet) == 0)
        mf_buffer_put_u8(&packet, '\0');
    if (mf_buffer_status(&packet) < 0 || packet.size == 0) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot note which tasks are cancelled");
    } else {
        keep(scheduler, name_cancel(++scheduler->wishes.n_cancels, name),
             (const char *)packet.data);
        keep(scheduler, name_cancel(scheduler->wishes.n_cancels + 1, name), "");
    }
    mf_buffer_finish(&packet);
}

/* --- recalling --- */

/* A request is a text of less. */
#define CANCEL_BYTES (MF_CONTROL_PACKET_BYTES + 1)

/* A text that there may be; "" for none. */
static int recall_text(struct mf_scheduler *scheduler, const char *name, char *text, size_t size,
                       struct mf_error *err)
{
    int r;

    text[0] = '\0';
    r = mf_journal_get_text(scheduler->journal, name, text, size, err);
    return r == -ENOENT ? 0 : r;
}

/* The more urgent one of what was told before and what is told now. */
static void want_stop(struct mf_scheduler *scheduler, enum mf_stop stop)
{
    if (stop > scheduler->wishes.stop)
        scheduler->wishes.stop = stop;
    scheduler->wishes.are_left = true;
}

void mf_wishes_stop_later(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why)
{
    if (scheduler->stopped_by[0] == '\0')
        snprintf(scheduler->stopped_by, sizeof(scheduler->stopped_by), "%s", why);
    want_stop(scheduler, stop);
}

static int recall_stop(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char text[sizeof(scheduler->stopped_by) + 16];
    int r = recall_text(scheduler, TEXT_STOP, text, sizeof(text), err);
    int stop, is_interrupted, at = 0;

    if (r < 0 || sscanf(text, "%d %d %n", &stop, &is_interrupted, &at) < 2 || at == 0)
        return r;
    scheduler->wishes.noted = stop >= MF_STOP_NOW ? MF_STOP_NOW : MF_STOP_SOON;
    want_stop(scheduler, scheduler->wishes.noted);
    scheduler->is_interrupted = is_interrupted != 0;
    snprintf(scheduler->stopped_by, sizeof(scheduler->stopped_by), "%s", text + at);
    return 0;
}

static int recall_drained(struct mf_scheduler *scheduler, struct mf_error *err)
{
    /* As many as there were before: some may have come later, and left. */
    size_t size = ((size_t)mf_peers_max(scheduler) + UINT16_MAX) * RANK_BYTES;
    char *text = malloc(size), *rest = text, *end;
    int r;

    if (!text)
        return mf_error_set(err, -ENOMEM, "out of memory");
    r = recall_text(scheduler, TEXT_DRAINED, text, size, err);
    while (r == 0) {
        unsigned long rank = strtoul(rest, &end, 10);

        if (end == rest)
            break;
        if (rank < scheduler->n_peers)
            scheduler->peers[rank].is_drained = scheduler->wishes.are_left = true;
        rest = end;
    }
    free(text);
    return r;
}

/* Only how many requests there are: they are read again when their tasks are to be cancelled. */
static int count_cancels(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char *text = malloc(CANCEL_BYTES), name[NAME_BYTES];
    uint32_t n = 0;
    int r;

    if (!text)
        return mf_error_set(err, -ENOMEM, "out of memory");
    do {
        r = recall_text(scheduler, name_cancel(n + 1, name), text, CANCEL_BYTES, err);
        n += text[0] != '\0';
    } while (r == 0 && text[0]);
    free(text);
    scheduler->wishes.n_cancels = n;
    scheduler->wishes.are_left |= n > 0;
    return r;
}

int mf_wishes_recall(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = recall_stop(scheduler, err);

    if (r == 0)
        r = recall_drained(scheduler, err);
    return r < 0 ? r : count_cancels(scheduler, err);
}

/* --- doing it --- */

static int recall_cancel(struct mf_scheduler *scheduler, uint32_t n, char *text,
                         struct mf_error *err)
{
    struct mf_control_request request;
    char name[NAME_BYTES];
    int r = recall_text(scheduler, name_cancel(n, name), text, CANCEL_BYTES, err);

    if (r == 0)
        r = mf_control_request_decode(text, strlen(text), &request, err);
    if (r < 0)
        return r;
    r = mf_requests_recall_cancel(scheduler, &request);
    mf_control_request_finish(&request);
    return r < 0 ? mf_error_set(err, r, "cannot cancel tasks: %s", strerror(-r)) : 0;
}

/* Those that came meanwhile are known already, which does no harm. */
static int recall_cancels(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char *text = malloc(CANCEL_BYTES);
    int r = text ? 0 : mf_error_set(err, -ENOMEM, "out of memory");

    for (uint32_t n = 1; n <= scheduler->wishes.n_cancels && r == 0; n++)
        r = recall_cancel(scheduler, n, text, err);
    free(text);
    return r;
}

static void drain(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        const struct mf_peer *peer = &scheduler->peers[i];
        struct mf_event event = {.kind = MF_EVENT_WORKER_DRAIN, .worker = i};

        if (peer->state != MF_PEER_UP || !peer->is_drained)
            continue;
        mf_log_info(scheduler->config.log, "rank %" PRIu32 " on %s gets no more work, as before", i,
                    peer->host);
        mf_scheduler_apply(scheduler, &event);
    }
}

static void stop(struct mf_scheduler *scheduler)
{
    enum mf_stop stop = scheduler->wishes.stop;

    if (stop == MF_STOP_NONE)
        return;
    mf_log_info(scheduler->config.log, "the run is being stopped by %s: %s", scheduler->stopped_by,
                stop == MF_STOP_NOW ? "ending the running tasks" : "running tasks may end");
    mf_scheduler_stop(scheduler, stop, scheduler->stopped_by);
}

void mf_wishes_turn(struct mf_scheduler *scheduler)
{
    struct mf_wishes *wishes = &scheduler->wishes;
    struct mf_error err;

    if (wishes->are_left && !mf_adoption_is_under_way(scheduler)) {
        wishes->are_left = false;
        drain(scheduler);
        stop(scheduler);
        if (recall_cancels(scheduler, &err) < 0)
            mf_scheduler_fail(scheduler, &err);
    }
    mf_wishes_note_stop(scheduler);
}
