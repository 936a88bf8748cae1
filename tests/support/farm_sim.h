/*
 * A seeded simulation of a whole run: the real farm, fake workers that act as
 * real ones do, and everything that can go wrong drawn by lot: failures, lost
 * and draining workers, duplicated and late messages, cancellations, pauses,
 * stops.
 */
#ifndef MF_TESTS_FARM_SIM_H
#define MF_TESTS_FARM_SIM_H

#include "base/buffer.h"

#include <stdint.h>

/** What happened in a run, to see that the simulation reaches what it should. */
struct t_sim_stats {
    uint64_t done, failed, cancelled, left;
    uint64_t retried, recalled, stale, lost, drained, called_back, timed_out, unfit, targeted,
        avoiding, skipped;
    uint64_t suspended, continued, late, cut, stranded;
    uint64_t delayed, quarantined, probes, kept_apart;
    uint64_t spanning, gathered, parts_lost;
};

/**
 * Runs the farm that the seed describes to its end, checking the farm after
 * every event and the rules of a run on the way.
 *
 * @trace      gets every event and every change as a line; may be NULL
 * @ret_stats  added to
 *
 * Returns NULL, or a sentence naming what went wrong (static text).
 */
const char *t_sim_run(uint64_t seed, struct mf_buffer *trace, struct t_sim_stats *ret_stats);

#endif
