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
 * @n_stops    a rank does nothing for up to three seconds, so often
 */
struct t_ranks_config {
    uint64_t seed;
    uint32_t n_workers;
    uint32_t n_tasks;
    uint32_t n_deaths;
    uint32_t n_stops;
};

/**
 * t_ranks_run() - run a farm to its end, and check it after each turn and in the end.
 *
 * Each task has to be DONE, once by the journal; and a task of which a rank reported that it is
 * done has not been run again unless that rank died.
 *
 * Returns NULL, or what is wrong (static text).
 */
const char *t_ranks_run(const struct t_ranks_config *config);

/** Attempts of the last run that a death cut short. */
uint32_t t_ranks_n_cut(void);

#endif
