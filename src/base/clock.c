/* Time from the kernel's clocks: see clock.h. Any thread may call these. */
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <sys/timerfd.h>
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

int mf_clock_set_timer(int timer_fd, int64_t due_ns)
{
    struct itimerspec timer = {0};

    /* A time of zero would switch it off. */
    if (due_ns <= 0)
        due_ns = 1;
    if (due_ns < INT64_MAX)
        timer.it_value =
            (struct timespec){.tv_sec = due_ns / MF_NS_PER_S, .tv_nsec = due_ns % MF_NS_PER_S};
    return timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &timer, NULL) < 0 ? -errno : 0;
}
