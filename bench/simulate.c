/*
 * How long the simulator takes, and how much memory: random run times around a
 * second, with or without dependencies. One thread.
 *
 *     bench_simulate [tasks [workers [slots [after [policy]]]]]
 *
 * Each task comes after so many random ones of the 1000 in front of it. Prints
 * name=number words.
 */
#include "base/clock.h"
#include "base/rng.h"
#include "runtime/sim.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define REACH 1000

/* Tasks before which each comes, no one twice. */
static uint32_t draw_after(struct mf_rng *rng, uint64_t task, uint32_t most,
                           struct mf_dependency *after)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < most && task > 1; i++) {
        uint64_t reach = task - 1 < REACH ? task - 1 : REACH;
        mf_task_id other = task - 1 - mf_rng_below(rng, reach);
        bool is_new = true;

        for (uint32_t j = 0; j < n; j++)
            is_new = is_new && after[j].task != other;
        if (is_new)
            after[n++] = (struct mf_dependency){.task = other, .condition = MF_AFTER_OK};
    }
    return n;
}

static void draw_tasks(struct mf_sim_task *tasks, uint64_t n_tasks, struct mf_dependency *after,
                       uint32_t n_after)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 1);
    for (uint64_t i = 0; i < n_tasks; i++) {
        int64_t duration_ns = 500000000 + (int64_t)mf_rng_below(&rng, 1000000000);

        tasks[i] = (struct mf_sim_task){
            .spec = {.needs.n_slots = 1, .max_attempts = 1, .estimate_ns = duration_ns},
            .duration_ns = duration_ns,
            .after = after + i * n_after,
        };
        tasks[i].n_after = draw_after(&rng, i + 1, n_after, after + i * n_after);
    }
}

/* Wall clock of the simulation; processor time and memory of the whole process. */
static void print_figures(int64_t spent_ns, const struct mf_sim_result *result)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("seconds=%.3f cpu=%.3f mib=%ld makespan=%.3f messages=%" PRIu64 "\n",
           (double)spent_ns * 1e-9,
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6,
           usage.ru_maxrss / 1024, (double)result->makespan_ns * 1e-9, result->n_messages);
}

int main(int argc, char **argv)
{
    uint64_t n_tasks = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint32_t n_workers = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10000;
    uint32_t n_slots = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : 64;
    uint32_t n_after = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
    const struct mf_policy *policy = mf_policy_find(argc > 5 ? argv[5] : "fifo");
    const struct mf_sim_group group = {n_workers, {.n_slots = n_slots}};
    const struct mf_sim_config config = {.farm = {.policy = policy, .max_prefetch_per_slot = 32},
                                         .groups = &group,
                                         .n_groups = 1,
                                         .latency_ns = 50000};
    struct mf_sim_task *tasks = calloc(n_tasks, sizeof(*tasks));
    struct mf_dependency *after = calloc(n_tasks * n_after + 1, sizeof(*after));
    struct mf_sim_result result;
    int64_t begin_ns;
    int r;

    if (!tasks || !after || !policy)
        return 1;
    draw_tasks(tasks, n_tasks, after, n_after);
    begin_ns = mf_clock_monotonic_ns();
    r = mf_sim_run(&config, tasks, n_tasks, &result);
    if (r < 0) {
        fprintf(stderr, "bench_simulate: %s\n", strerror(-r));
        return 1;
    }
    print_figures(mf_clock_monotonic_ns() - begin_ns, &result);
    free(after);
    free(tasks);
    return 0;
}
