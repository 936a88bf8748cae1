/*
 * What queueing theory says of a stream of tasks, to set beside a simulation.
 * Pure arithmetic.
 */
#ifndef MF_RUNTIME_QUEUEING_H
#define MF_RUNTIME_QUEUEING_H

#include <stdbool.h>
#include <stdint.h>

/**
 * @is_stable         whether tasks arrive more slowly than they can be run; if not, the
 *                    queue grows without end and the fields below utilisation say nothing
 * @utilisation       share of the servers' time that is used; above 1 it cannot be met
 * @wait_probability  that a task finds all servers busy: Erlang's C
 * @wait_mean_s, @wait_95_s   how long tasks wait, on average and at the most 95 of 100
 */
struct mf_queueing {
    bool is_stable;
    double utilisation;
    double wait_probability;
    double wait_mean_s, wait_95_s;
};

/**
 * mf_queueing_mmc() - a queue M/M/c: Poisson arrivals, exponential run times, c servers.
 *
 * A. K. Erlang, "Solution of some problems in the theory of probabilities of
 * significance in automatic telephone exchanges", 1917; L. Kleinrock, "Queueing
 * Systems", vol. 1, 1975, section 3.5. Computed through Erlang's B by recursion,
 * which stays within 0 .. 1 for any number of servers. O(servers).
 *
 * @arrivals_per_s  above 0
 * @service_s       mean run time, above 0
 * @n_servers       at least 1
 */
void mf_queueing_mmc(double arrivals_per_s, double service_s, uint64_t n_servers,
                     struct mf_queueing *ret_queueing);

#endif
