/* Who has not been heard of for too long: see vigil.h. One owner. */
#include "runtime/vigil.h"

#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

/* Between two looks this much counts at most. */
#define LONGEST_LOOK_NS (100 * MF_NS_PER_MS)

/* All peers are looked at so often in the time that one may be silent. */
#define ROUNDS 16

/* A peer that is not expected. */
#define NEVER INT64_MIN

/**
 * @listened_ns  time that counts; peers have it of when they were last heard
 * @looked_ns    when the last look was
 * @round_ns     when all are looked at again
 * @cursor       next peer of this round; n_peers when it is over
 */
struct mf_vigil {
    int64_t silence_ns;
    int64_t listened_ns;
    int64_t looked_ns;
    int64_t round_ns;
    uint32_t cursor;
    uint32_t n_peers;
    int64_t heard_ns[];
};

int mf_vigil_create(uint32_t n_peers, int64_t silence_ns, struct mf_vigil **ret_vigil)
{
    struct mf_vigil *vigil = calloc(1, sizeof(*vigil) + n_peers * sizeof(vigil->heard_ns[0]));

    if (!vigil)
        return -ENOMEM;
    vigil->silence_ns = silence_ns;
    vigil->n_peers = vigil->cursor = n_peers;
    for (uint32_t i = 0; i < n_peers; i++)
        vigil->heard_ns[i] = NEVER;
    *ret_vigil = vigil;
    return 0;
}

void mf_vigil_destroy(struct mf_vigil *vigil)
{
    free(vigil);
}

void mf_vigil_begin(struct mf_vigil *vigil, uint32_t peer)
{
    vigil->heard_ns[peer] = vigil->listened_ns;
}

void mf_vigil_end(struct mf_vigil *vigil, uint32_t peer)
{
    vigil->heard_ns[peer] = NEVER;
}

void mf_vigil_heard(struct mf_vigil *vigil, uint32_t peer)
{
    if (vigil->heard_ns[peer] != NEVER)
        vigil->heard_ns[peer] = vigil->listened_ns;
}

int64_t mf_vigil_silence_ns(const struct mf_vigil *vigil, uint32_t peer)
{
    return vigil->heard_ns[peer] == NEVER ? 0 : vigil->listened_ns - vigil->heard_ns[peer];
}

void mf_vigil_look(struct mf_vigil *vigil, int64_t now_ns)
{
    int64_t passed_ns = now_ns - vigil->looked_ns;

    vigil->looked_ns = now_ns;
    vigil->listened_ns += mf_earliest_ns(passed_ns, LONGEST_LOOK_NS);
    if (vigil->cursor < vigil->n_peers || vigil->listened_ns < vigil->round_ns)
        return;
    vigil->cursor = 0;
    vigil->round_ns = vigil->listened_ns + vigil->silence_ns / ROUNDS;
}

uint32_t mf_vigil_next(struct mf_vigil *vigil)
{
    while (vigil->cursor < vigil->n_peers) {
        uint32_t peer = vigil->cursor++;

        if (mf_vigil_silence_ns(vigil, peer) >= vigil->silence_ns) {
            mf_vigil_end(vigil, peer);
            return peer;
        }
    }
    return MF_VIGIL_NOBODY;
}
