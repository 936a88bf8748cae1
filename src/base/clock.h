/* Time, read once a turn by whoever runs the turn. All of it in nanoseconds. */
#ifndef MF_BASE_CLOCK_H
#define MF_BASE_CLOCK_H

#include <stdint.h>

#define MF_NS_PER_US INT64_C(1000)
#define MF_NS_PER_MS INT64_C(1000000)
#define MF_NS_PER_S INT64_C(1000000000)

/** Time since an arbitrary start; never goes back. */
int64_t mf_clock_monotonic_ns(void);

/** The earlier of two times. */
static inline int64_t mf_earliest_ns(int64_t a_ns, int64_t b_ns)
{
    return a_ns < b_ns ? a_ns : b_ns;
}

/** Time since 1970-01-01 UTC; may jump. */
int64_t mf_clock_wall_ns(void);

/**
 * mf_clock_set_timer() - let a timer descriptor of CLOCK_MONOTONIC become readable at a time.
 *
 * @due_ns  as mf_clock_monotonic_ns(); a time that is past is at once, INT64_MAX is never
 *
 * Returns 0 or -errno.
 */
int mf_clock_set_timer(int timer_fd, int64_t due_ns);

#endif
