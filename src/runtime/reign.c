/*
 * With a standby: which scheduler of the run this is, and who would come next.
 *
 * The journal has the epoch, the rank that schedules, the first row of the run
 * and the ranks that were lost. Its lock says whether the scheduler lives: who
 * takes over holds it. Where a lock can be lost, workers tell the older of two
 * schedulers that it is superseded, and it looks at the lock before each
 * commit. Runs in the scheduler's only thread.
 */
#include "runtime/scheduler_private.h"

#include "runtime/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_EPOCH "epoch"
#define TEXT_SCHEDULER "scheduler"
#define TEXT_FIRST_ROW "first row"
#define TEXT_LOST "lost ranks"

/* Text of lost ranks; of those beyond it the next scheduler waits for some in vain, and not long.
 */
#define LOST_BYTES 4096

/* Attempts of one task that a scheduler can give out before its numbers are those of the next. */
#define ATTEMPTS_BITS 20
#define EPOCHS (1 << 12)

/* --- in the journal --- */

/* A number of the run; 0 if there is none. */
static int get_number(struct mf_scheduler *scheduler, const char *name, uint64_t *ret_number,
                      struct mf_error *err)
{
    char text[32];
    int r = mf_journal_get_text(scheduler->journal, name, text, sizeof(text), err);

    *ret_number = r == 0 ? strtoull(text, NULL, 10) : 0;
    return r == -ENOENT ? 0 : r;
}

static int set_number(struct mf_scheduler *scheduler, const char *name, uint64_t number,
                      struct mf_error *err)
{
    char text[32];

    snprintf(text, sizeof(text), "%" PRIu64, number);
    return mf_journal_set_text(scheduler->journal, name, text, err);
}

/* The ranks that are lost now. */
static int set_lost(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char text[LOST_BYTES] = "";
    size_t size = 0;

    for (uint32_t i = 0; i < scheduler->n_peers && size + 16 < sizeof(text); i++)
        if (scheduler->peers[i].state == MF_PEER_GONE || scheduler->peers[i].state == MF_PEER_LOST)
            size += (size_t)snprintf(text + size, sizeof(text) - size, " %" PRIu32, i);
    return mf_journal_set_text(scheduler->journal, TEXT_LOST, text, err);
}

/* The run begins: nothing that an earlier one said of itself holds, but what was asked of one that
 * broke off. */
static int begin_reign(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r;

    scheduler->first_row = mf_journal_next_row(scheduler->journal);
    r = set_number(scheduler, TEXT_FIRST_ROW, scheduler->first_row, err);
    if (r == 0)
        r = set_lost(scheduler, err);
    if (r == 0)
        r = mf_past_note(scheduler, err);
    if (r == 0)
        r = scheduler->config.is_continued ? mf_wishes_recall(scheduler, err)
                                           : mf_wishes_begin(scheduler, err);
    return r < 0 ? r : mf_lives_note_all(scheduler, err);
}

/* Where no scheduler was there is nothing to take over. */
static int succeed(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = get_number(scheduler, TEXT_FIRST_ROW, &scheduler->first_row, err);

    if (r == 0 && (scheduler->epoch == 1 || scheduler->first_row == 0))
        return mf_error_set(err, -EINVAL, "%s: there is no run that can be taken over",
                            scheduler->config.shown_run_dir);
    return r < 0 ? r : get_number(scheduler, TEXT_SCHEDULER, &scheduler->former, err);
}

int mf_reign_claim(struct mf_scheduler *scheduler, struct mf_error *err)
{
    uint64_t epoch;
    int r = get_number(scheduler, TEXT_EPOCH, &epoch, err);

    if (r < 0)
        return r;
    scheduler->epoch = epoch + 1;
    if (scheduler->config.is_takeover)
        r = succeed(scheduler, err);
    else
        r = begin_reign(scheduler, err);
    if (r == 0)
        r = set_number(scheduler, TEXT_EPOCH, scheduler->epoch, err);
    if (r == 0)
        r = set_number(scheduler, TEXT_SCHEDULER, mf_peers_self(scheduler), err);
    if (r == 0)
        r = mf_journal_commit(scheduler->journal, err);
    if (r == 0 && scheduler->config.is_takeover)
        scheduler->config.farm.first_attempt = (uint32_t)(epoch % EPOCHS) << ATTEMPTS_BITS;
    return r;
}

/* They are told all the same: whoever lives begins again. */
static void lose(struct mf_scheduler *scheduler, uint64_t rank)
{
    struct mf_peer *peer = rank < scheduler->n_peers ? &scheduler->peers[rank] : NULL;

    if (peer && peer->state == MF_PEER_EXPECTED && rank != mf_peers_self(scheduler))
        mf_peer_doubt_unseen(scheduler, peer);
}

int mf_reign_recall_lost(struct mf_scheduler *scheduler, struct mf_error *err)
{
    char text[LOST_BYTES] = "", *rest = text, *end;
    int r = mf_journal_get_text(scheduler->journal, TEXT_LOST, text, sizeof(text), err);

    if (r < 0 && r != -ENOENT)
        return r;
    for (;;) {
        unsigned long rank = strtoul(rest, &end, 10);

        if (end == rest)
            break;
        lose(scheduler, rank);
        rest = end;
    }
    lose(scheduler, scheduler->former);
    r = set_lost(scheduler, err);
    if (r == 0)
        r = mf_wishes_recall(scheduler, err);
    return r < 0 ? r : mf_lives_recall(scheduler, err);
}

void mf_reign_note_lost(struct mf_scheduler *scheduler)
{
    struct mf_error err;

    if (scheduler->epoch == 0 || scheduler->has_failed || !scheduler->journal)
        return;
    scheduler->has_new_heirs = true;
    if (set_lost(scheduler, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
}

/* --- to workers --- */

static void post_takeover(const struct mf_scheduler *scheduler, struct mf_peer *peer,
                          const struct mf_takeover *takeover)
{
    struct mf_message message = {.kind = MF_MESSAGE_TAKEOVER, .life = scheduler->notice.life};
    struct mf_buffer payload = {0};

    mf_takeover_encode(takeover, &payload);
    message.payload = payload.data;
    message.payload_size = payload.size;
    mf_peer_post(peer, &message);
    mf_buffer_finish(&payload);
}

/* Those on other nodes first: what killed the scheduler may have been its node. Ranks that came
 * later can reach nobody but the one that started them. */
static void choose_heirs(const struct mf_scheduler *scheduler, enum mf_peer_state state,
                         struct mf_takeover *takeover)
{
    uint32_t self = mf_peers_self(scheduler), n = scheduler->n_first_peers;
    const char *host = scheduler->peers[self].host;

    for (int is_same = 0; is_same < 2; is_same++)
        for (uint32_t i = 0; i < n && takeover->n_heirs < MF_MAX_HEIRS; i++) {
            const struct mf_peer *peer = &scheduler->peers[i];

            if (i != self && peer->state == state &&
                (strcmp(peer->host, host) == 0) == (is_same == 1))
                takeover->heirs[takeover->n_heirs++] = i;
        }
}

void mf_reign_take_over(struct mf_scheduler *scheduler)
{
    struct mf_takeover takeover = {.epoch = scheduler->epoch};

    mf_log_warning(scheduler->config.log,
                   "rank %" PRIu64 " is gone: rank %" PRIu32 " goes on with the run",
                   scheduler->former, mf_peers_self(scheduler));
    choose_heirs(scheduler, MF_PEER_EXPECTED, &takeover);
    for (uint32_t i = 0; i < scheduler->n_peers; i++)
        if (scheduler->peers[i].state == MF_PEER_EXPECTED ||
            scheduler->peers[i].state == MF_PEER_LOST)
            post_takeover(scheduler, &scheduler->peers[i], &takeover);
}

/* Those that came later are told of no heir, and so wait for none when this scheduler dies. */
void mf_reign_turn(struct mf_scheduler *scheduler)
{
    struct mf_takeover takeover = {.epoch = scheduler->epoch};

    if (!scheduler->has_new_heirs || scheduler->epoch == 0 || scheduler->is_leaving)
        return;
    scheduler->has_new_heirs = false;
    choose_heirs(scheduler, MF_PEER_UP, &takeover);
    for (uint32_t i = 0; i < scheduler->n_first_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];

        takeover.share = peer->share;
        if (peer->state == MF_PEER_UP)
            post_takeover(scheduler, peer, &takeover);
    }
}

/* --- superseded --- */

/* Another one schedules: this one writes nothing more, and tells its workers nothing. */
static void leave(struct mf_scheduler *scheduler)
{
    scheduler->is_superseded = true;
    scheduler->has_failed = true;
    scheduler->is_finished = true;
    if (scheduler->journal)
        mf_journal_discard(scheduler->journal);
}

static void give_way(struct mf_scheduler *scheduler, uint64_t epoch, uint32_t rank)
{
    mf_log_error(scheduler->config.log,
                 "rank %" PRIu32 " has taken over this run (epoch %" PRIu64 ", this is %" PRIu64
                 "): this scheduler leaves",
                 rank, epoch, scheduler->epoch);
    leave(scheduler);
}

int mf_reign_on_superseded(struct mf_scheduler *scheduler, const struct mf_message *message)
{
    struct mf_superseded superseded;

    if (mf_superseded_decode(message->payload, message->payload_size, &superseded) < 0)
        return -EPROTO;
    if (superseded.epoch > scheduler->epoch && !scheduler->is_superseded)
        give_way(scheduler, superseded.epoch, superseded.rank);
    return 0;
}

int mf_reign_on_takeover(struct mf_scheduler *scheduler, struct mf_peer *peer,
                         const struct mf_message *message)
{
    struct mf_takeover takeover;

    if (mf_takeover_decode(message->payload, message->payload_size, &takeover) < 0)
        return -EPROTO;
    if (takeover.epoch > scheduler->epoch && !scheduler->is_superseded)
        give_way(scheduler, takeover.epoch, peer->rank);
    return 0;
}

int mf_reign_check(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = scheduler->epoch > 0 ? mf_journal_check_lock(scheduler->journal, err) : 0;

    if (r == -ESTALE) {
        mf_log_error(scheduler->config.log, "%s: this scheduler leaves", err->text);
        leave(scheduler);
    }
    return r;
}
