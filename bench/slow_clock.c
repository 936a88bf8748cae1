/*
 * A monotonic clock that goes MPIFARM_BENCH_SLOWER times slower, to be preloaded into programs of
 * which one runs so much slower than it should, as under callgrind. What they do at fixed times
 * then weighs as much beside all else as it does in a run at full speed.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

#define NS_PER_S 1000000000LL

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_settime)(int, int, const struct itimerspec *, struct itimerspec *);
static int64_t slower = 1;

static int64_t to_ns(const struct timespec *time)
{
    return time->tv_sec * NS_PER_S + time->tv_nsec;
}

static struct timespec from_ns(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
}

/* All processes count from the start of the machine, so that their times can be compared. */
static void begin(void)
{
    const char *text = getenv("MPIFARM_BENCH_SLOWER");

    if (text && atoi(text) > 0)
        slower = atoi(text);
    real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    real_settime = (int (*)(int, int, const struct itimerspec *, struct itimerspec *))dlsym(
        RTLD_NEXT, "timerfd_settime");
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    int result;

    /* Others begin before this one does. */
    if (!real_gettime)
        begin();
    result = real_gettime(id, ret_time);
    if (result == 0 && id == CLOCK_MONOTONIC)
        *ret_time = from_ns(to_ns(ret_time) / slower);
    return result;
}

__attribute__((visibility("default"))) int
timerfd_settime(int fd, int flags, const struct itimerspec *timer, struct itimerspec *ret_before)
{
    struct itimerspec real = *timer;

    if (!real_settime)
        begin();
    real.it_value = from_ns(to_ns(&timer->it_value) * slower);
    return real_settime(fd, flags, &real, ret_before);
}
