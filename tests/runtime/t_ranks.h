/*
 * A whole farm in one thread and on a virtual clock: the scheduler with a real
 * journal, and workers whose tasks run by a script. A seed says what the tasks
 * are like, how long messages take, which ranks are slow, and which ones die.
 */
#ifndef T_RANKS_H
#define T_RANKS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * @seed       equal seeds give equal runs
 * @n_workers  beside that of rank 0, which has two cores and does not die
 * @n_tasks    some of which come after others, fail at first, or write much
 * @n_deaths   of other ranks, at random moments
 * @n_stops    a rank, that of the scheduler too, does nothing for a while, so often
 * @longest_stop_ns   for how long, at most
 * @has_bad_rank  rank 1 fails all that it gets, and may be put in quarantine for it
 * @drains_one    rank 1 is drained, and then stopped until it is taken for dead
 */
struct t_ranks_config {
    uint64_t seed;
    uint32_t n_workers;
    uint32_t n_tasks;
    uint32_t n_deaths;
    uint32_t n_stops;
    int64_t longest_stop_ns;
    bool has_bad_rank;
    bool drains_one;
};

/**
 * t_ranks_run() - run a farm to its end, and check it after each turn and in the end.
 *
 * Each task has to be DONE, once by the journal; and one that a rank has run to its end is not run
 * again, unless the rank died, or was stopped for so long that it could be taken for dead.
 *
 * Returns NULL, or what is wrong (static text).
 */
const char *t_ranks_run(const struct t_ranks_config *config);

/** Of the last run: attempts that a death cut short, and how often all had the chance of a turn. */
uint32_t t_ranks_n_cut(void);
uint32_t t_ranks_n_turns(void);

/** How many workers of the last run were back after they had been taken for dead. */
uint32_t t_ranks_n_returned(void);

/** How often a worker of the last run was put in quarantine, or let out. */
uint64_t t_ranks_n_quarantined(void);

#endif
