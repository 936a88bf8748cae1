/*
 * How long a rank that polls may sleep: see backoff.h.
 *
 * The state is the caller's and time is an input, so equal inputs give equal naps.
 */
#include "base/backoff.h"

#include "base/clock.h"

#define SPIN_NS (20 * MF_NS_PER_US)
#define SHORTEST_NAP_NS (50 * MF_NS_PER_US)
#define LONGEST_NAP_NS MF_NS_PER_MS
#define IDLE_AFTER_NS MF_NS_PER_S
#define IDLE_NAP_NS (4 * MF_NS_PER_MS)

int64_t mf_backoff_next(struct mf_backoff *backoff, bool had_traffic, int64_t now_ns)
{
    int64_t quiet_ns;

    /* A fresh state has seen no traffic yet: its silence begins now, not at time 0. */
    if (had_traffic || backoff->quiet_since_ns == 0) {
        backoff->quiet_since_ns = now_ns;
        backoff->nap_ns = 0;
        return 0;
    }

    quiet_ns = now_ns - backoff->quiet_since_ns;
    if (quiet_ns < (backoff->spin_ns > 0 ? backoff->spin_ns : SPIN_NS))
        return 0;
    if (quiet_ns >= IDLE_AFTER_NS)
        return IDLE_NAP_NS;
    if (backoff->nap_ns > 0)
        backoff->nap_ns *= 2;
    else
        backoff->nap_ns = backoff->shortest_nap_ns > 0 ? backoff->shortest_nap_ns : SHORTEST_NAP_NS;
    if (backoff->nap_ns > LONGEST_NAP_NS)
        backoff->nap_ns = LONGEST_NAP_NS;
    return backoff->nap_ns;
}
