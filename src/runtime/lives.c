/*
 * With a standby: which processes the ranks are, kept in the journal. A scheduler that takes over
 * knows by it who has died meanwhile, and waits for nobody of those; and whose process is there
 * although it says nothing, as one that was stopped: what that has is not to be run elsewhere. Runs
 * in the scheduler's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than the text of any life. */
#define TEXT_BYTES 1024

static char *name_of(const struct mf_peer *peer, char name[32])
{
    snprintf(name, 32, "life %" PRIu32, peer->rank);
    return name;
}

/* --- noting --- */

/* Two digits for each byte. "" for a life of which nothing is known. */
static int print_life(const struct mf_life *life, char text[TEXT_BYTES])
{
    struct mf_buffer bytes = {0};
    int r = 0;

    text[0] = '\0';
    if (life->pid == 0)
        return 0;
    mf_life_encode(life, &bytes);
    r = mf_buffer_status(&bytes);
    if (r == 0 && bytes.size * 2 >= TEXT_BYTES)
        r = -E2BIG;
    for (size_t i = 0; i < bytes.size && r == 0; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes.data[i]);
    mf_buffer_finish(&bytes);
    return r;
}

int mf_lives_note(struct mf_scheduler *scheduler, const struct mf_peer *peer, struct mf_error *err)
{
    char text[TEXT_BYTES], name[32];
    int r = print_life(&peer->life, text);

    if (r < 0)
        return mf_error_set(err, r, "cannot note the process of a rank: %s", strerror(-r));
    return mf_journal_set_text(scheduler->journal, name_of(peer, name), text, err);
}

int mf_lives_note_all(struct mf_scheduler *scheduler, struct mf_error *err)
{
    int r = 0;

    for (uint32_t i = 0; i < scheduler->n_peers && r == 0; i++)
        r = mf_lives_note(scheduler, &scheduler->peers[i], err);
    return r;
}

/* --- recalling --- */

/* Returns whether the text is that of a life. */
static bool scan_life(const char *text, struct mf_life *ret_life)
{
    uint8_t bytes[TEXT_BYTES / 2];
    struct mf_reader reader;
    unsigned int byte;
    size_t n = 0;

    for (; sscanf(text + 2 * n, "%2x", &byte) == 1; n++)
        bytes[n] = (uint8_t)byte;
    reader = mf_reader_over(bytes, n);
    mf_life_decode(&reader, ret_life);
    return n > 0 && !reader.has_failed;
}

int mf_lives_recall(struct mf_scheduler *scheduler, struct mf_error *err)
{
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];
        char text[TEXT_BYTES] = "", name[32];
        int r =
            mf_journal_get_text(scheduler->journal, name_of(peer, name), text, sizeof(text), err);

        if (r < 0 && r != -ENOENT)
            return r;
        if (peer->state != MF_PEER_EXPECTED || !scan_life(text, &peer->life))
            continue;
        mf_notice_meet(scheduler, peer, &peer->life);
        mf_notice_expect(scheduler, peer);
    }
    return 0;
}
