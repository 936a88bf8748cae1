/*
 * Null tasks a second through StarPU, in one process whose workers are threads.
 *
 *     bench_peer_starpu [tasks=500000]
 *
 * Prints tasks_per_s.
 */
#include "measure.h"

#include "base/clock.h"

#include <starpu.h>
#include <stdio.h>
#include <stdlib.h>

/* What the tasks of one worker returned, in a cache line of its own. */
struct sum {
    _Alignas(64) uint64_t value;
};

static struct sum sums[STARPU_NMAXWORKERS];

static void null_function(void *buffers[], void *number)
{
    sums[starpu_worker_get_id()].value += (uint64_t)(uintptr_t)number;
}

static void run(struct starpu_codelet *codelet, int64_t n_tasks)
{
    for (int64_t i = 0; i < n_tasks; i++) {
        struct starpu_task *task = starpu_task_create();

        task->cl = codelet;
        task->cl_arg = (void *)(uintptr_t)i;
        if (starpu_task_submit(task) != 0) {
            fprintf(stderr, "bench_peer_starpu: a task was refused\n");
            exit(1);
        }
    }
    starpu_task_wait_for_all();
}

int main(int argc, char **argv)
{
    int64_t n_tasks = 500000, begin_ns, spent_ns;
    const struct mf_measure_setting settings[] = {{"tasks", &n_tasks, NULL}, {0}};
    struct starpu_codelet codelet = {.cpu_funcs = {null_function}};
    uint64_t sum = 0;

    mf_measure_settings(argc, argv, settings);
    if (starpu_init(NULL) != 0)
        return 1;
    begin_ns = mf_clock_monotonic_ns();
    run(&codelet, n_tasks);
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    starpu_shutdown();
    for (size_t i = 0; i < STARPU_NMAXWORKERS; i++)
        sum += sums[i].value;
    if (sum != (uint64_t)n_tasks * (uint64_t)(n_tasks - 1) / 2) {
        fprintf(stderr, "bench_peer_starpu: results are missing, or wrong\n");
        return 1;
    }
    printf("tasks_per_s=%.0f\n", (double)n_tasks * MF_NS_PER_S / (double)spent_ns);
    return 0;
}
