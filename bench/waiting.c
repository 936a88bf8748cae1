/*
 * A farm that waits, to be watched from outside for the processor time it
 * takes.
 *
 *     mpirun -n R bench_waiting [mode=idle|task] [seconds=10] [isolate=0|1]
 *
 *     idle  there is no task; the client sleeps in an event loop of its own
 *     task  one task sleeps all the time, and the client waits for it in mpifarm_wait()
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

enum mode { MODE_IDLE, MODE_TASK };

static int64_t mode, seconds = 10, isolate;

static void nap(int64_t duration_ns)
{
    nanosleep(&(struct timespec){.tv_sec = duration_ns / MF_NS_PER_S,
                                 .tv_nsec = duration_ns % MF_NS_PER_S},
              NULL);
}

/* Sleeps for the time that is its input. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    int64_t duration_ns;
    size_t size;

    memcpy(&duration_ns, mpifarm_input(context, &size), sizeof(duration_ns));
    nap(duration_ns);
    return 0;
}

static void run_task(struct mpifarm *farm, int function, int64_t duration_ns)
{
    mpifarm_future future;

    mf_client_check(
        farm, "mpifarm_submit",
        mpifarm_submit(farm, function, &duration_ns, sizeof(duration_ns), NULL, &future));
    mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, future, MPIFARM_FOREVER));
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
}

/* What a client with an event loop does when nothing else happens. */
static void loop(struct mpifarm *farm)
{
    int64_t now_ns = mf_clock_monotonic_ns(), end_ns = now_ns + seconds * MF_NS_PER_S, next_ns;

    for (; now_ns < end_ns; now_ns = mf_clock_monotonic_ns()) {
        mf_client_check(farm, "mpifarm_progress", mpifarm_progress(farm, &next_ns));
        nap(mf_earliest_ns(next_ns, end_ns - now_ns));
    }
}

static void client(struct mpifarm *farm, int function)
{
    for (int i = 0; i < 1000; i++)
        run_task(farm, function, 0);
    if (mode == MODE_IDLE)
        loop(farm);
    else
        run_task(farm, function, seconds * MF_NS_PER_S);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {{"mode", &mode, "idle task"},
                                                  {"seconds", &seconds, NULL},
                                                  {"isolate", &isolate, NULL},
                                                  {0}};
    struct mpifarm_options options = {0};

    mf_measure_settings(argc, argv, settings);
    options.isolation = isolate ? MPIFARM_ISOLATION_ON : MPIFARM_ISOLATION_OFF;
    return mf_client_run(&options, bench_function, client);
}
