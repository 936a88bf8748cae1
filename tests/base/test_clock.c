/* Tests of base/clock.c. */
#include "base/clock.h"

#include <criterion/criterion.h>
#include <time.h>

Test(clock, monotonic_time_never_goes_back)
{
    int64_t last = mf_clock_monotonic_ns();

    for (int i = 0; i < 1000; i++) {
        int64_t now = mf_clock_monotonic_ns();

        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, wall_time_lies_between_two_readings_of_the_system)
{
    struct timespec before, after;
    int64_t now;

    clock_gettime(CLOCK_REALTIME, &before);
    now = mf_clock_wall_ns();
    clock_gettime(CLOCK_REALTIME, &after);
    cr_assert_geq(now, before.tv_sec * MF_NS_PER_S + before.tv_nsec);
    cr_assert_leq(now, after.tv_sec * MF_NS_PER_S + after.tv_nsec);
}
