/*
 * From submit to result on an idle farm: one task at a time, on ranks that
 * look for messages without a pause.
 *
 *     mpirun -n 2 bench_latency [tasks=10000] [isolate=0|1]
 *
 * Prints median_us and p99_us of submit, wait and result together.
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_WARM_UP 1000

static int64_t n_tasks = 10000, isolate;

/* Returns its input. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);

    return mpifarm_write(context, input, size);
}

/* One task, there and back; in us. */
static double time_task(struct mpifarm *farm, int function, uint64_t number)
{
    int64_t begin_ns = mf_clock_monotonic_ns(), spent_ns;
    struct mpifarm_result result;
    mpifarm_future future;

    mf_client_check(farm, "mpifarm_submit",
                    mpifarm_submit(farm, function, &number, sizeof(number), NULL, &future));
    mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, future, MPIFARM_FOREVER));
    mf_client_check(farm, "mpifarm_result", mpifarm_result(farm, future, &result));
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    if (result.size != sizeof(number) || memcmp(result.data, &number, sizeof(number)) != 0)
        mf_client_fail("a task has another result");
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
    return (double)spent_ns / MF_NS_PER_US;
}

static void client(struct mpifarm *farm, int function)
{
    double *time_us = calloc((size_t)n_tasks, sizeof(*time_us));

    if (!time_us)
        mf_client_fail("out of memory");
    for (uint64_t i = 0; i < N_WARM_UP; i++)
        time_task(farm, function, i);
    for (int64_t i = 0; i < n_tasks; i++)
        time_us[i] = time_task(farm, function, (uint64_t)i);
    printf("median_us=%.3f", mf_measure_percentile(time_us, (size_t)n_tasks, 0.5));
    printf(" p99_us=%.3f\n", mf_measure_percentile(time_us, (size_t)n_tasks, 0.99));
    free(time_us);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"tasks", &n_tasks, NULL}, {"isolate", &isolate, NULL}, {0}};
    struct mpifarm_options options = {.spin_ns = 10 * MF_NS_PER_S};

    mf_measure_settings(argc, argv, settings);
    if (n_tasks < 1)
        mf_client_fail("at least one task is needed");
    options.isolation = isolate ? MPIFARM_ISOLATION_ON : MPIFARM_ISOLATION_OFF;
    return mf_client_run(&options, bench_function, client);
}
