/* Time from the kernel's clocks: see clock.h. Any thread may call these. */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec now = {0};
    int r = clock_gettime(id, &now);

    /* Both clocks exist on every Linux, and the pointer is valid. */
    assert(r == 0);
    (void)r;
    return now.tv_sec * MF_NS_PER_S + now.tv_nsec;
}

int64_t mf_clock_monotonic_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t mf_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}
