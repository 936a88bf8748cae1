/*
 * Tasks of very different lengths: the makespan against what no farm can
 * beat. Run times follow a Pareto distribution, cut off at the top, and are
 * the same in every run.
 *
 *     mpirun -n R bench_balance [tasks=5000] [shortest_us=100] [longest_us=250000] [sleep=0|1]
 *                               [isolate=0|1]
 *
 * Tasks stay busy, or sleep where ranks outnumber the cores. Prints makespan_s;
 * bound_s, the longer of the longest task and the share of one worker in the
 * sum; and greedy_s, the makespan when each worker takes the next task at the
 * moment it is free, which is the best that can be done without knowing run times.
 */
#include "client.h"
#include "measure.h"

#include "base/clock.h"
#include "base/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHAPE 1.1
#define SEED 1

static int64_t n_tasks = 5000, shortest_us = 100, longest_us = 250000, is_sleep, isolate;

/* Takes the time that is its input, and returns it. */
static int bench_function(struct mpifarm_context *context, void *user)
{
    int64_t duration_ns;
    size_t size;

    memcpy(&duration_ns, mpifarm_input(context, &size), sizeof(duration_ns));
    if (is_sleep)
        nanosleep(&(struct timespec){.tv_sec = duration_ns / MF_NS_PER_S,
                                     .tv_nsec = duration_ns % MF_NS_PER_S},
                  NULL);
    else
        mf_measure_spin(duration_ns);
    return mpifarm_write(context, &duration_ns, sizeof(duration_ns));
}

static int64_t *draw_durations(void)
{
    int64_t *duration_ns = mf_client_allocate((size_t)n_tasks, sizeof(*duration_ns));
    struct mf_rng rng;

    mf_rng_init(&rng, SEED);
    for (int64_t i = 0; i < n_tasks; i++)
        duration_ns[i] = (int64_t)fmin((double)(longest_us * MF_NS_PER_US),
                                       (double)(shortest_us * MF_NS_PER_US) *
                                           pow(1 - mf_rng_unit(&rng), -1 / SHAPE));
    return duration_ns;
}

static int64_t find_bound_ns(const int64_t *duration_ns, int64_t n_slots)
{
    int64_t sum_ns = 0, longest_ns = 0;

    for (int64_t i = 0; i < n_tasks; i++) {
        sum_ns += duration_ns[i];
        if (duration_ns[i] > longest_ns)
            longest_ns = duration_ns[i];
    }
    return sum_ns / n_slots > longest_ns ? sum_ns / n_slots : longest_ns;
}

static int64_t find_greedy_ns(const int64_t *duration_ns, int64_t n_slots)
{
    int64_t *free_at_ns = mf_client_allocate((size_t)n_slots, sizeof(*free_at_ns)), end_ns = 0;

    for (int64_t i = 0; i < n_tasks; i++) {
        int64_t first = 0;

        for (int64_t slot = 1; slot < n_slots; slot++)
            if (free_at_ns[slot] < free_at_ns[first])
                first = slot;
        free_at_ns[first] += duration_ns[i];
        if (free_at_ns[first] > end_ns)
            end_ns = free_at_ns[first];
    }
    free(free_at_ns);
    return end_ns;
}

/* Runs all tasks; returns how long it took. */
static int64_t time_tasks(struct mpifarm *farm, int function, const int64_t *duration_ns)
{
    int64_t *results = mf_client_allocate((size_t)n_tasks, sizeof(*results));
    int64_t begin_ns = mf_clock_monotonic_ns(), spent_ns;

    if (mf_client_check(farm, "mpifarm_map",
                        mpifarm_map(farm, function, duration_ns, sizeof(*duration_ns),
                                    (size_t)n_tasks, results, sizeof(*results), NULL)) > 0)
        mf_client_fail("a task was not done");
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    if (memcmp(results, duration_ns, (size_t)n_tasks * sizeof(*results)) != 0)
        mf_client_fail("a task has another result");
    free(results);
    return spent_ns;
}

static void client(struct mpifarm *farm, int function)
{
    int64_t *duration_ns = draw_durations();
    struct mpifarm_counts counts;
    double makespan_ns;

    mf_client_check(farm, "mpifarm_count", mpifarm_count(farm, &counts));
    if (counts.n_slots == 0)
        mf_client_fail("no worker");
    makespan_ns = (double)time_tasks(farm, function, duration_ns);
    printf("makespan_s=%.4f bound_s=%.4f greedy_s=%.4f\n", makespan_ns / MF_NS_PER_S,
           (double)find_bound_ns(duration_ns, counts.n_slots) / MF_NS_PER_S,
           (double)find_greedy_ns(duration_ns, counts.n_slots) / MF_NS_PER_S);
    free(duration_ns);
}

int main(int argc, char **argv)
{
    const struct mf_measure_setting settings[] = {
        {"tasks", &n_tasks, NULL},         {"shortest_us", &shortest_us, NULL},
        {"longest_us", &longest_us, NULL}, {"sleep", &is_sleep, NULL},
        {"isolate", &isolate, NULL},       {0},
    };
    struct mpifarm_options options = {0};

    mf_measure_settings(argc, argv, settings);
    if (n_tasks < 1 || shortest_us < 1 || longest_us < shortest_us)
        mf_client_fail("at least one task is needed, and times in order");
    options.isolation = isolate ? MPIFARM_ISOLATION_ON : MPIFARM_ISOLATION_OFF;
    return mf_client_run(&options, bench_function, client);
}
