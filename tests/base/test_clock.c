/* Tests of base/clock.c. */
#include "base/clock.h"

#include "base/io.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <sys/timerfd.h>
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

/* Whether the timer fires, within a minute. */
static bool fires(int timer_fd)
{
    struct pollfd fd = {.fd = timer_fd, .events = POLLIN};

    return poll(&fd, 1, 60000) == 1;
}

Test(clock, a_timer_fires_at_its_time_and_at_once_when_that_is_past)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int64_t due_ns = mf_clock_monotonic_ns() + 2 * MF_NS_PER_MS;

    cr_assert_eq(mf_clock_set_timer(fd, due_ns), 0);
    cr_assert(fires(fd));
    cr_assert_geq(mf_clock_monotonic_ns(), due_ns);
    for (int64_t past_ns = -1; past_ns <= 1; past_ns++) {
        cr_assert_eq(mf_clock_set_timer(fd, INT64_MAX), 0);
        cr_assert_eq(mf_clock_set_timer(fd, past_ns), 0);
        cr_assert(fires(fd));
    }
    mf_close(&fd);
}

Test(clock, a_timer_for_never_is_off)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    struct itimerspec timer;

    cr_assert_eq(mf_clock_set_timer(fd, mf_clock_monotonic_ns() + 3600 * MF_NS_PER_S), 0);
    cr_assert_eq(mf_clock_set_timer(fd, INT64_MAX), 0);
    cr_assert_eq(timerfd_gettime(fd, &timer), 0);
    cr_assert_eq(timer.it_value.tv_sec, 0);
    cr_assert_eq(timer.it_value.tv_nsec, 0);
    mf_close(&fd);
    cr_assert_eq(mf_clock_set_timer(fd, 1), -EBADF);
}
