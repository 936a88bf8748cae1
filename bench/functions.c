/*
 * Function tasks a second through libmpifarm, by each of the ways to submit.
 *
 *     mpirun -n R bench_functions [mode=submit|array|queue|map] [tasks=N] [input=BYTES]
 *                                 [result=BYTES] [duration_ns=0] [batch=1000] [window=100000]
 *                                 [isolate=0|1]
 *
 *     submit  one call a task; futures are waited for, read and released in order
 *     array   `batch` tasks a call; futures are waited for by the batch
 *     queue   `batch` tasks a call; results are taken in order of completion
 *     map     `window` tasks a call
 *
 * A task stays busy for `duration_ns` and returns its number, which is its tag,
 * or, in inputs of eight bytes and more and always in map, the first eight bytes
 * of its input. At most `window` tasks are out at any time. All results are
 * counted and summed.
 *
 * Prints tasks_per_s; busy_share, what workers spent in functions of the time
 * they had; task_share, the same from the duration that was asked for; and
 * peak_bytes, the memory of rank 0.
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum mode { MODE_SUBMIT, MODE_ARRAY, MODE_QUEUE, MODE_MAP };

/* What every rank was told, before its executors were forked. */
static int64_t mode, n_tasks = 1000000, input_bytes, result_bytes = 8, duration_ns;
static int64_t batch = 1000, window = 100000, isolate;

/* The results that came back. */
struct tally {
    uint64_t n;
    uint64_t sum;
};

static int bench_function(struct mpifarm_context *context, void *user)
{
    uint64_t number = mpifarm_task_tag(context);
    size_t size;
    const void *input = mpifarm_input(context, &size);
    char *result;

    if (size >= sizeof(number))
        memcpy(&number, input, sizeof(number));
    mf_measure_spin(duration_ns);
    if (result_bytes == 0)
        return 0;
    result = mpifarm_reserve(context, (size_t)result_bytes);
    if (!result)
        return 1;
    memset(result, 0, (size_t)result_bytes);
    memcpy(result, &number, sizeof(number));
    return 0;
}

/* Numbers the inputs of n tasks. */
static void fill_inputs(char *inputs, uint64_t first, int64_t n)
{
    if (input_bytes < (int64_t)sizeof(first))
        return;
    for (int64_t i = 0; i < n; i++, first++)
        memcpy(inputs + i * input_bytes, &first, sizeof(first));
}

/* Counts the result of a task that has ended, and gives its future back. */
static void take(struct mpifarm *farm, mpifarm_future future, struct tally *tally)
{
    struct mpifarm_result result;
    uint64_t number;

    mf_client_check(farm, "mpifarm_result", mpifarm_result(farm, future, &result));
    if (result.status != MPIFARM_DONE || result.size != (size_t)result_bytes)
        mf_client_fail("a task was not done, or has another result");
    number = result.tag;
    if (result.size >= sizeof(number))
        memcpy(&number, result.data, sizeof(number));
    tally->n++;
    tally->sum += number;
    mf_client_check(farm, "mpifarm_release", mpifarm_release(farm, future));
}

static void run_submit(struct mpifarm *farm, int function, int64_t n, struct tally *tally)
{
    mpifarm_future *futures = mf_client_allocate((size_t)window, sizeof(*futures));
    char *input = mf_client_allocate(1, (size_t)input_bytes);

    for (int64_t i = 0; i < n + window; i++) {
        mpifarm_future *future = &futures[i % window];

        if (i >= window && i - window < n) {
            mf_client_check(farm, "mpifarm_wait", mpifarm_wait(farm, *future, MPIFARM_FOREVER));
            take(farm, *future, tally);
        }
        if (i < n) {
            fill_inputs(input, (uint64_t)i, 1);
            mf_client_check(farm, "mpifarm_submit",
                            mpifarm_submit(farm, function, input, (size_t)input_bytes,
                                           &(struct mpifarm_task_options){.tag = (uint64_t)i},
                                           future));
        }
    }
    free(input);
    free(futures);
}

/* Submits a batch of the n tasks, those from `first` on; returns how many these are. */
static int64_t submit_batch(struct mpifarm *farm, int function, char *inputs, int64_t first,
                            int64_t n, enum mpifarm_delivery delivery, mpifarm_future *futures)
{
    struct mpifarm_task_options options = {.tag = (uint64_t)first, .delivery = delivery};
    int64_t n_now = n - first < batch ? n - first : batch;

    fill_inputs(inputs, (uint64_t)first, n_now);
    mf_client_check(farm, "mpifarm_submit_array",
                    mpifarm_submit_array(farm, function, inputs, (size_t)input_bytes, (size_t)n_now,
                                         &options, futures));
    return n_now;
}

static void run_array(struct mpifarm *farm, int function, int64_t n, struct tally *tally)
{
    int64_t n_batches = (n + batch - 1) / batch;
    int64_t n_window = window / batch;
    mpifarm_future *futures = mf_client_allocate((size_t)(n_window * batch), sizeof(*futures));
    int64_t *n_in_batch = mf_client_allocate((size_t)n_window, sizeof(*n_in_batch));
    char *inputs = mf_client_allocate((size_t)batch, (size_t)input_bytes);

    for (int64_t i = 0; i < n_batches + n_window; i++) {
        int64_t slot = i % n_window;
        mpifarm_future *first = futures + slot * batch;

        if (i >= n_window && n_in_batch[slot] > 0)
            mf_client_check(
                farm, "mpifarm_wait_all",
                mpifarm_wait_all(farm, first, (size_t)n_in_batch[slot], MPIFARM_FOREVER));
        for (; n_in_batch[slot] > 0; n_in_batch[slot]--)
            take(farm, *first++, tally);
        if (i < n_batches)
            n_in_batch[slot] = submit_batch(farm, function, inputs, i * batch, n,
                                            MPIFARM_DELIVER_FUTURE, futures + slot * batch);
    }
    free(inputs);
    free(n_in_batch);
    free(futures);
}

static void run_queue(struct mpifarm *farm, int function, int64_t n, struct tally *tally)
{
    char *inputs = mf_client_allocate((size_t)batch, (size_t)input_bytes);
    int64_t n_submitted = 0;
    mpifarm_future future;

    while (tally->n < (uint64_t)n) {
        while (n_submitted < n && n_submitted - (int64_t)tally->n <= window - batch)
            n_submitted +=
                submit_batch(farm, function, inputs, n_submitted, n, MPIFARM_DELIVER_QUEUE, NULL);
        mf_client_check(farm, "mpifarm_next", mpifarm_next(farm, MPIFARM_FOREVER, &future));
        take(farm, future, tally);
    }
    free(inputs);
}

static void run_map(struct mpifarm *farm, int function, int64_t n, struct tally *tally)
{
    char *inputs = mf_client_allocate((size_t)window, (size_t)input_bytes);
    char *results = mf_client_allocate((size_t)window, (size_t)result_bytes);
    int64_t n_now;

    for (int64_t first = 0; first < n; first += n_now) {
        uint64_t number;

        n_now = n - first < window ? n - first : window;
        fill_inputs(inputs, (uint64_t)first, n_now);
        if (mf_client_check(farm, "mpifarm_map",
                            mpifarm_map(farm, function, inputs, (size_t)input_bytes, (size_t)n_now,
                                        results, (size_t)result_bytes, NULL)) > 0)
            mf_client_fail("a task of a map was not done");
        for (int64_t i = 0; i < n_now; i++) {
            memcpy(&number, results + i * result_bytes, sizeof(number));
            tally->sum += number;
        }
        tally->n += (uint64_t)n_now;
    }
    free(results);
    free(inputs);
}

static void run(struct mpifarm *farm, int function, int64_t n)
{
    static void (*const runs[])(struct mpifarm * farm, int function, int64_t n,
                                struct tally *tally) = {
        [MODE_SUBMIT] = run_submit,
        [MODE_ARRAY] = run_array,
        [MODE_QUEUE] = run_queue,
        [MODE_MAP] = run_map,
    };
    struct tally tally = {0};

    runs[mode](farm, function, n, &tally);
    if (tally.n != (uint64_t)n || tally.sum != (uint64_t)n * (uint64_t)(n - 1) / 2)
        mf_client_fail("results are missing, or wrong");
}

static void client(struct mpifarm *farm, int function)
{
    struct mpifarm_counts before, after;
    double spent_ns, worker_ns;
    int64_t begin_ns;

    run(farm, function, n_tasks / 20 + 1);
    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &before));
    begin_ns = mf_clock_monotonic_ns();
    run(farm, function, n_tasks);
    spent_ns = (double)(mf_clock_monotonic_ns() - begin_ns);
    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &after));
    if (after.n_done - before.n_done != (uint64_t)n_tasks)
        mf_client_fail("mpifarm_count() counts other tasks than were done");
    worker_ns = spent_ns * after.n_slots;
    printf("tasks_per_s=%.0f busy_share=%.4f task_share=%.4f peak_bytes=%" PRId64 "\n",
           (double)n_tasks * MF_NS_PER_S / spent_ns,
           (double)(after.busy_ns - before.busy_ns) / worker_ns,
           (double)n_tasks * (double)duration_ns / worker_ns, mf_measure_peak_bytes());
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"mode", &mode, "submit array queue map"},
        {"tasks", &n_tasks, NULL},
        {"input", &input_bytes, NULL},
        {"result", &result_bytes, NULL},
        {"duration_ns", &duration_ns, NULL},
        {"batch", &batch, NULL},
        {"window", &window, NULL},
        {"isolate", &isolate, NULL},
        {0},
    };
    struct mpifarm_options options = {0};

    mf_measure_settings(argc, argv, settings);
    if (mode == MODE_MAP && input_bytes < (int64_t)sizeof(uint64_t))
        input_bytes = sizeof(uint64_t);
    if ((result_bytes > 0 || mode == MODE_MAP) && result_bytes < (int64_t)sizeof(uint64_t))
        result_bytes = sizeof(uint64_t);
    if (n_tasks < 1 || batch < 1 || window < batch)
        mf_client_fail("at least one task is needed, and a window of one batch");
    options.isolation = isolate ? MPIFARM_ISOLATION_ON : MPIFARM_ISOLATION_OFF;
    return mf_client_run(&options, bench_function, client);
}
