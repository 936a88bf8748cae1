/*
 * From submit to result on an idle farm: one task at a time, on ranks that
 * look for messages without a pause.
 *
 *     mpirun -n 2 bench_latency [tasks=10000] [isolate=0|1]
 *
 * Prints median_us of submit, wait and result together, as the median of the means of ten, and
 * p99_us of single ones, with a look at the clock in each. Where functions run in the rank, also
 * raw_us, the median of round trips in bare MPI, by the ten as well, and ratio: these and the tasks
 * take turns by the hundred, on the same cores, in the same tenth of a millisecond, so that the
 * median of their ratios is little moved by what else the machine does.
 */
#include "client.h"
#include "measure.h"
#include "round_trips.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_WARM_UP 1000

/* Tasks in turn with as many round trips, and those ahead of each that are not counted: what came
 * before has taken the caches. */
#define TURN 100
#define TURN_WARM_UP 10

/* Round trips, and tasks, between two looks at the clock, which would else be a part of what it
 * measures. */
#define PER_LOOK 10

static int64_t n_tasks = 10000, isolate;
static MPI_Comm raw_comm = MPI_COMM_NULL;

/* The same on both sides: the median of round trips in us. */
static double make_round_trips(void)
{
    double trip_us[TURN / PER_LOOK];
    uint64_t message = 0;

    if (raw_comm == MPI_COMM_NULL)
        MPI_Comm_dup(MPI_COMM_WORLD, &raw_comm);
    mf_round_trips(raw_comm, &message, sizeof(message), TURN_WARM_UP);
    for (int i = 0; i < TURN / PER_LOOK; i++)
        trip_us[i] = mf_round_trips(raw_comm, &message, sizeof(message), PER_LOOK);
    return mf_measure_percentile(trip_us, TURN / PER_LOOK, 0.5);
}

/* Returns its input; without one it is the other side of the round trips. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);

    if (size == 0)
        make_round_trips();
    return mpifarm_write(context, input, size);
}

/* n tasks, one after the other, each there and back; in us for each. */
static double time_tasks(struct mpifarm *farm, int function, int n)
{
    mpifarm_future futures[PER_LOOK];
    int64_t begin_ns = mf_clock_monotonic_ns(), spent_ns;

    for (int i = 0; i < n; i++) {
        uint64_t number = (uint64_t)i;
        struct mpifarm_result result;

        mf_client_check(farm, "mpifarm_submit",
                        mpifarm_submit(farm, function, &number, sizeof(number), NULL, &futures[i]));
        mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, futures[i], MPIFARM_FOREVER));
        mf_client_check(farm, "mpifarm_result", mpifarm_result(farm, futures[i], &result));
        if (result.size != sizeof(number) || memcmp(result.data, &number, sizeof(number)) != 0)
            mf_client_fail("a task has another result");
    }
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    for (int i = 0; i < n; i++)
        mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, futures[i]));
    return (double)spent_ns / n / MF_NS_PER_US;
}

/* Round trips with the worker, which is in a task meanwhile; in us. */
static double time_round_trips(struct mpifarm *farm, int function)
{
    mpifarm_future future;
    double trip_us;

    mf_client_check(farm, "mpifarm_submit", mpifarm_submit(farm, function, NULL, 0, NULL, &future));
    mf_client_check(farm, "mpifarm_progress", mpifarm_progress(farm, NULL));
    trip_us = make_round_trips();
    mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, future, MPIFARM_FOREVER));
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
    return trip_us;
}

/* A turn of tasks: each timed by itself, and then, for the median that is returned, by as many as
 * round trips are. */
static double make_tasks(struct mpifarm *farm, int function, double time_us[TURN])
{
    double task_us[TURN / PER_LOOK];

    time_tasks(farm, function, TURN_WARM_UP);
    for (int i = 0; i < TURN; i++)
        time_us[i] = time_tasks(farm, function, 1);
    for (int i = 0; i < TURN / PER_LOOK; i++)
        task_us[i] = time_tasks(farm, function, PER_LOOK);
    return mf_measure_percentile(task_us, TURN / PER_LOOK, 0.5);
}

static void client(struct mpifarm *farm, int function)
{
    size_t n_turns = (size_t)(n_tasks + TURN - 1) / TURN;
    double *time_us = mf_client_allocate(n_turns * TURN, sizeof(*time_us));
    double *task_us = mf_client_allocate(n_turns, sizeof(*task_us));
    double *trip_us = mf_client_allocate(n_turns, sizeof(*trip_us));
    double *ratio = mf_client_allocate(n_turns, sizeof(*ratio));

    for (int i = 0; i < N_WARM_UP; i++)
        time_tasks(farm, function, 1);
    for (size_t i = 0; i < n_turns; i++) {
        trip_us[i] = isolate ? 1 : time_round_trips(farm, function);
        task_us[i] = make_tasks(farm, function, time_us + i * TURN);
        ratio[i] = task_us[i] / trip_us[i];
    }
    printf("median_us=%.3f", mf_measure_percentile(task_us, n_turns, 0.5));
    printf(" p99_us=%.3f", mf_measure_percentile(time_us, n_turns * TURN, 0.99));
    if (!isolate)
        printf(" raw_us=%.3f ratio=%.3f", mf_measure_percentile(trip_us, n_turns, 0.5),
               mf_measure_percentile(ratio, n_turns, 0.5));
    printf("\n");
    free(ratio);
    free(trip_us);
    free(task_us);
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
