/*
 * How many null tasks a second the scheduling core alone can pass through:
 * submit, place, end and tell, with one worker of 64 slots and a window of
 * tasks in flight. One thread, no I/O until the end.
 *
 *     bench_core [tasks [window]]
 */
#include "base/clock.h"
#include "core/farm.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void apply(struct mf_farm *farm, const struct mf_event *event)
{
    int r = mf_farm_apply(farm, event);

    if (r != 0) {
        fprintf(stderr, "bench_core: event %d: %d\n", (int)event->kind, r);
        exit(1);
    }
}

/* Ends what was placed; returns how many tasks became final. */
static uint64_t carry_out(struct mf_farm *farm)
{
    struct mf_change change;
    uint64_t n_final = 0;

    while (mf_farm_next_change(farm, &change) == 1) {
        n_final += mf_task_state_is_final(change.state);
        if (change.state == MF_TASK_PLACED && change.wish == MF_WISH_NONE)
            apply(farm, &(struct mf_event){.kind = MF_EVENT_ENDED,
                                           .task = change.task,
                                           .attempt = change.attempt,
                                           .worker = change.worker,
                                           .duration_ns = 1000});
    }
    return n_final;
}

static void run(struct mf_farm *farm, uint64_t n_tasks, uint64_t window)
{
    const struct mf_event submit = {.kind = MF_EVENT_SUBMITTED,
                                    .spec = {.needs.n_slots = 1, .max_attempts = 1}};
    const struct mf_event tick = {.kind = MF_EVENT_TICK};
    uint64_t n_submitted = 0;
    uint64_t n_final = 0;

    while (n_final < n_tasks) {
        while (n_submitted < n_tasks && n_submitted - n_final < window) {
            apply(farm, &submit);
            n_submitted++;
        }
        apply(farm, &tick);
        n_final += carry_out(farm);
    }
}

int main(int argc, char **argv)
{
    uint64_t n_tasks = argc > 1 ? strtoull(argv[1], NULL, 10) : 10000000;
    uint64_t window = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    struct mf_farm *farm;
    int64_t begin_ns, spent_ns;

    if (window == 0 || mf_farm_create(&(struct mf_farm_config){0}, &farm) < 0)
        return 1;
    apply(farm, &(struct mf_event){.kind = MF_EVENT_WORKER_UP, .worker = 0, .has.n_slots = 64});
    begin_ns = mf_clock_monotonic_ns();
    run(farm, n_tasks, window);
    spent_ns = mf_clock_monotonic_ns() - begin_ns;
    printf("core: %" PRIu64 " tasks, window %" PRIu64 ": %.0f tasks/s\n", n_tasks, window,
           (double)n_tasks * 1e9 / (double)spent_ns);
    mf_farm_destroy(farm);
    return 0;
}
