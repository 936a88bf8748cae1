/* Queueing theory: see queueing.h. */
#include "runtime/queueing.h"

#include <math.h>

/* The probability that all servers are busy where nobody waits. */
static double erlang_b(double load, uint64_t n_servers)
{
    double b = 1;

    for (uint64_t k = 1; k <= n_servers; k++)
        b = load * b / ((double)k + load * b);
    return b;
}

void mf_queueing_mmc(double arrivals_per_s, double service_s, uint64_t n_servers,
                     struct mf_queueing *ret_queueing)
{
    double load = arrivals_per_s * service_s;
    double spare_per_s = (double)n_servers / service_s - arrivals_per_s;
    double b = erlang_b(load, n_servers), c;

    *ret_queueing = (struct mf_queueing){.utilisation = load / (double)n_servers,
                                         .is_stable = load < (double)n_servers};
    if (!ret_queueing->is_stable)
        return;
    c = b / (1 - ret_queueing->utilisation * (1 - b));
    ret_queueing->wait_probability = c;
    ret_queueing->wait_mean_s = c / spare_per_s;
    /* Those that wait do so for an exponential time. */
    ret_queueing->wait_95_s = c > 0.05 ? log(c / 0.05) / spare_per_s : 0;
}
