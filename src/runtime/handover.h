/*
 * What passes between a scheduler that takes over a run and the workers that
 * it finds: TAKEOVER says who schedules now and who would come next, REPORT
 * what a worker has and runs.
 *
 * Schedulers of a run are numbered: each has an epoch above that of the one
 * before. A worker follows the highest it has heard of, and tells any other
 * that it is SUPERSEDED.
 */
#ifndef MF_RUNTIME_HANDOVER_H
#define MF_RUNTIME_HANDOVER_H

#include "base/buffer.h"
#include "base/clock.h"
#include "core/task.h"

#include <stdint.h>

/** Ranks that are told of as next schedulers: as many deaths in a row are survived. */
#define MF_MAX_HEIRS 16

/** What runs goes on so long without any scheduler, unless another time is given: where the lock of
 * a dead node is held by a file server, that takes a while to let it go. */
#define MF_HANDOVER_PATIENCE_NS (120 * MF_NS_PER_S)

/**
 * TAKEOVER.
 *
 * @epoch   of the scheduler that sends it, from 1
 * @share   what the worker has of its node, so that it can tell another scheduler; 0 slots for
 *          what it was told before
 * @heirs   n_heirs ranks, the one that takes over first before the others
 */
struct mf_takeover {
    uint64_t epoch;
    struct mf_needs share;
    uint32_t n_heirs;
    mf_worker_id heirs[MF_MAX_HEIRS];
};

void mf_takeover_encode(const struct mf_takeover *takeover, struct mf_buffer *buffer);

/** Returns 0 or -EBADMSG. */
int mf_takeover_decode(const void *data, size_t size, struct mf_takeover *ret_takeover);

/**
 * An attempt that a worker has.
 *
 * @state        RUNNING or SUSPENDED; or DONE for one that has ended in whatever way, of which an
 *               ENDED record tells more
 * @try_number   which try of the task it is, from 1
 * @fingerprint  of its encoded command: the task of the same number must have the same
 * @ran_ns       how long it has run
 */
struct mf_holding {
    mf_task_id task;
    uint32_t attempt;
    uint32_t try_number;
    enum mf_task_state state;
    uint64_t fingerprint;
    int64_t ran_ns;
};

/** REPORT: a head, then n_holdings of them. @share  as above, 0 slots for none */
struct mf_report {
    struct mf_needs share;
    uint32_t n_holdings;
};

void mf_report_encode(const struct mf_report *report, struct mf_buffer *buffer);
void mf_holding_encode(const struct mf_holding *holding, struct mf_buffer *buffer);

/** Reads the head; the reader is over the holdings then. Returns 0 or -EBADMSG. */
int mf_report_decode(const void *data, size_t size, struct mf_report *ret_report,
                     struct mf_reader *ret_reader);

/** Reads the next one. Returns 0 or -EBADMSG. */
int mf_holding_decode(struct mf_reader *reader, struct mf_holding *ret_holding);

/** SUPERSEDED: which scheduler a worker has. */
struct mf_superseded {
    uint64_t epoch;
    uint32_t rank;
};

void mf_superseded_encode(const struct mf_superseded *superseded, struct mf_buffer *buffer);

/** Returns 0 or -EBADMSG. */
int mf_superseded_decode(const void *data, size_t size, struct mf_superseded *ret_superseded);

#endif
