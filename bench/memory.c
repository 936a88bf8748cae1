/*
 * Memory of rank 0: what a queued null task costs, and that a finished one
 * whose future was released costs nothing.
 *
 *     mpirun -n 2 bench_memory [tasks=1000000] [rounds=10] [hold_ms=3000] [options=none]
 *
 * The options of the queued tasks: none, priority, attempts, limit, rank, callback, after (one that
 * holds a worker), or all but after.
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

/* Which of them the queued tasks have. */
enum kind { NONE, PRIORITY, ATTEMPTS, LIMIT, RANK, CALLBACK, AFTER, ALL };
static enum kind kind;
static int64_t kind_number;

static int64_t n_called_back;

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

/* Returns the future of one of the tasks that do so. */
static mpifarm_future hold_workers(struct mpifarm *farm, int function)
{
    int64_t duration_ns = hold_ms * MF_NS_PER_MS;
    mpifarm_future future;

    for (uint32_t rank = 1; rank < mpifarm_size(farm); rank++) {
        const struct mpifarm_task_options options = {.rank = rank, .priority = 1};

        mf_client_check(farm, "mpifarm_submit",
                        mpifarm_submit(farm, function, &duration_ns, sizeof(duration_ns), &options,
                                       rank == 1 ? &future : NULL));
    }
    return future;
}

static void call_back(struct mpifarm *farm, mpifarm_future future,
                      const struct mpifarm_result *result, void *arg)
{
    if (result->status != MPIFARM_DONE)
        mf_client_fail("a task was not done");
    n_called_back++;
}

/* NULL for none; they point to `after`. */
static const struct mpifarm_task_options *make_options(const mpifarm_future *after)
{
    static struct mpifarm_task_options options;

    options = (struct mpifarm_task_options){0};
    if (kind == PRIORITY || kind == ALL)
        options.priority = -1;
    if (kind == ATTEMPTS || kind == ALL)
        options.max_attempts = 3;
    if (kind == LIMIT || kind == ALL)
        options.timeout_ns = INT64_C(3600) * MF_NS_PER_S;
    if (kind == RANK || kind == ALL)
        options.rank = 1;
    if (kind == CALLBACK || kind == ALL) {
        options.delivery = MPIFARM_DELIVER_CALLBACK;
        options.callback = call_back;
    }
    if (kind == AFTER) {
        options.after = after;
        options.n_after = 1;
    }
    return kind == NONE ? NULL : &options;
}

/* Queues n tasks one by one, as most programs do. */
static void submit_all(struct mpifarm *farm, int function,
                       const struct mpifarm_task_options *options, mpifarm_future *futures,
                       int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        mf_client_check(farm, "mpifarm_submit",
                        mpifarm_submit(farm, function, NULL, 0, options, &futures[i]));
}

static void finish_all(struct mpifarm *farm, const mpifarm_future *futures, int64_t n)
{
    struct mpifarm_result result;

    mf_client_check(farm, "mpifarm_drain", mpifarm_drain(farm, MPIFARM_FOREVER));
    /* Those that were called back are released already. */
    if (kind == CALLBACK || kind == ALL) {
        if (n_called_back != n)
            mf_client_fail("a task was not called back");
        n_called_back = 0;
        return;
    }
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
    mpifarm_future holder;
    int64_t bytes;

    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &before));
    holder = hold_workers(farm, function);
    submit_all(farm, function, make_options(&holder), futures, n_tasks);
    bytes = mf_measure_resident_bytes();
    mf_client_check(farm, "mpifarm_progress", mpifarm_progress(farm, NULL));
    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &queued));
    if (queued.n_done != before.n_done)
        mf_client_fail("tasks ended while others were queued: hold_ms is too short");
    finish_all(farm, futures, n_tasks);
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, holder));
    return bytes;
}

static void client(struct mpifarm *farm, int function)
{
    mpifarm_future *futures = mf_client_allocate((size_t)n_tasks, sizeof(*futures));
    int64_t n_warm_up = N_WARM_UP < n_tasks ? N_WARM_UP : n_tasks;
    int64_t begin_bytes, queued_bytes, first_bytes;
    mpifarm_future before;

    /* Written to, so that they are in memory already. */
    memset(futures, 1, (size_t)n_tasks * sizeof(*futures));
    mf_client_check(farm, "mpifarm_submit", mpifarm_submit(farm, function, NULL, 0, NULL, &before));
    submit_all(farm, function, make_options(&before), futures, n_warm_up);
    finish_all(farm, futures, n_warm_up);
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, before));

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
        {"tasks", &n_tasks, NULL},
        {"rounds", &n_rounds, NULL},
        {"hold_ms", &hold_ms, NULL},
        {"options", &kind_number, "none priority attempts limit rank callback after all"},
        {0}};

    mf_measure_settings(argc, argv, settings);
    kind = (enum kind)kind_number;
    if (n_tasks < 1 || n_rounds < 2)
        mf_client_fail("at least one task and two rounds are needed");
    return mf_client_run(&(struct mpifarm_options){.isolation = MPIFARM_ISOLATION_OFF},
                         bench_function, client);
}
