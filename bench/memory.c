/*
 * Memory of rank 0: what a queued null task costs, and that a finished one
 * whose future was released costs nothing.
 *
 *     mpirun -n 2 bench_memory [tasks=1000000] [rounds=10] [hold_ms=3000]
 *
 * In each round a first task of `hold_ms` occupies each worker while the others
 * are queued; then all of them end, and their futures are released. Prints
 * queued_bytes, by which a queued task made the process larger in the first
 * round, and finished_bytes, by which a task made it larger in the further ones.
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define N_WARM_UP 10000

static int64_t n_tasks = 1000000, n_rounds = 10, hold_ms = 3000;

/* Does nothing; or, with an input, holds the worker for that long. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    int64_t duration_ns;
    size_t size;
    const void *input = mpifarm_input(context, &size);

    if (size != sizeof(duration_ns))
        return 0;
    memcpy(&duration_ns, input, sizeof(duration_ns));
    nanosleep(&(struct timespec){.tv_sec = duration_ns / MF_NS_PER_S,
                                 .tv_nsec = duration_ns % MF_NS_PER_S},
              NULL);
    return 0;
}

static void hold_workers(struct mpifarm *farm, int function)
{
    int64_t duration_ns = hold_ms * MF_NS_PER_MS;

    for (uint32_t rank = 1; rank < mpifarm_size(farm); rank++)
        mf_client_check(farm, "mpifarm_submit",
                        mpifarm_submit(farm, function, &duration_ns, sizeof(duration_ns),
                                       &(struct mpifarm_task_options){.rank = rank}, NULL));
}

/* Queues n tasks one by one, as most programs do. */
static void submit_all(struct mpifarm *farm, int function, mpifarm_future *futures, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        mf_client_check(farm, "mpifarm_submit",
                        mpifarm_submit(farm, function, NULL, 0, NULL, &futures[i]));
}

static void finish_all(struct mpifarm *farm, const mpifarm_future *futures, int64_t n)
{
    struct mpifarm_result result;

    mf_client_check(farm, "mpifarm_drain", mpifarm_drain(farm, MPIFARM_FOREVER));
    for (int64_t i = 0; i < n; i++) {
        mf_client_check(farm, "mpifarm_result", mpifarm_result(farm, futures[i], &result));
        if (result.status != MPIFARM_DONE)
            mf_client_fail("a task was not done");
        mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, futures[i]));
    }
}

/* One round; returns the memory of this process while all tasks are queued. */
static int64_t run_round(struct mpifarm *farm, int function, mpifarm_future *futures)
{
    struct mpifarm_counts before, queued;
    int64_t bytes;

    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &before));
    hold_workers(farm, function);
    submit_all(farm, function, futures, n_tasks);
    bytes = mf_measure_resident_bytes();
    mf_client_check(farm, "mpifarm_progress", mpifarm_progress(farm, NULL));
    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &queued));
    if (queued.n_done != before.n_done)
        mf_client_fail("tasks ended while others were queued: hold_ms is too short");
    finish_all(farm, futures, n_tasks);
    return bytes;
}

static void client(struct mpifarm *farm, int function)
{
    mpifarm_future *futures = malloc((size_t)n_tasks * sizeof(*futures));
    int64_t begin_bytes, queued_bytes, first_bytes;

    if (!futures)
        mf_client_fail("out of memory");
    /* Written to, so that they are in memory already. */
    memset(futures, 1, (size_t)n_tasks * sizeof(*futures));
    submit_all(farm, function, futures, N_WARM_UP < n_tasks ? N_WARM_UP : n_tasks);
    finish_all(farm, futures, N_WARM_UP < n_tasks ? N_WARM_UP : n_tasks);

    begin_bytes = mf_measure_resident_bytes();
    queued_bytes = run_round(farm, function, futures);
    first_bytes = mf_measure_resident_bytes();
    for (int64_t i = 1; i < n_rounds; i++)
        run_round(farm, function, futures);
    printf("queued_bytes=%.2f finished_bytes=%.4f peak_bytes=%" PRId64 "\n",
           (double)(queued_bytes - begin_bytes) / (double)n_tasks,
           (double)(mf_measure_resident_bytes() - first_bytes) / (double)(n_tasks * (n_rounds - 1)),
           mf_measure_peak_bytes());
    free(futures);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"tasks", &n_tasks, NULL}, {"rounds", &n_rounds, NULL}, {"hold_ms", &hold_ms, NULL}, {0}};

    mf_measure_settings(argc, argv, settings);
    if (n_tasks < 1 || n_rounds < 2)
        mf_client_fail("at least one task and two rounds are needed");
    return mf_client_run(&(struct mpifarm_options){.isolation = MPIFARM_ISOLATION_OFF},
                         bench_function, client);
}
