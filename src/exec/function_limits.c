/*
 * Functions with a limit of memory: see function_executor_private.h. Runs in the
 * rank's only thread.
 */
#include "exec/function_executor_private.h"

#include "base/clock.h"

#include <stdlib.h>

void mf_function_watch_limited(struct mf_function_executor *functions)
{
    for (uint32_t i = 0; i < functions->n_slots && functions->n_limited > 0; i++) {
        struct mf_function_run *run = functions->slots[i].run;
        pid_t pid;

        if (!run || run->mem_bytes == 0)
            continue;
        pid = functions->caller->ops->process(functions->caller, i + 1);
        if (pid <= 0 || pid == run->memory.pid)
            continue;
        mf_memory_watch_begin(&run->memory, "/proc", pid, run->mem_bytes, mf_clock_monotonic_ns());
        functions->look_at_ns = mf_earliest_ns(functions->look_at_ns,
                                               run->memory.trend.seen_ns + MF_MEMORY_LOOK_MIN_NS);
        if (functions->look_at_ns < functions->rest_until_ns)
            functions->look_at_ns = functions->rest_until_ns;
    }
}

/* Those that are watched and run; watches has room for n_slots. */
static uint32_t list_watches(struct mf_function_executor *functions,
                             struct mf_memory_watch **watches)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < functions->n_slots; i++) {
        struct mf_function_run *run = functions->slots[i].run;

        if (run && run->memory.pid > 0 && run->asked == MF_CAUSE_NONE)
            watches[n++] = &run->memory;
    }
    return n;
}

static void end_large(struct mf_function_executor *functions)
{
    for (uint32_t i = 0; i < functions->n_slots; i++) {
        struct mf_function_run *run = functions->slots[i].run;

        if (!run || !run->memory.is_over || run->asked != MF_CAUSE_NONE)
            continue;
        run->asked = MF_CAUSE_MEMORY;
        (void)mf_memory_kill_strays("/proc", &(struct mf_group_use){.group = run->memory.pid});
        functions->caller->ops->kill(functions->caller, i + 1);
    }
}

void mf_function_look_at_memory(struct mf_function_executor *functions, int64_t now_ns)
{
    int64_t wait_ns = MF_MEMORY_LOOK_MAX_NS, began_ns = mf_memory_clock();
    struct mf_memory_watch **watches;
    uint32_t n;

    if (now_ns < functions->look_at_ns)
        return;
    watches = calloc(functions->n_slots, sizeof(struct mf_memory_watch *));
    n = watches ? list_watches(functions, watches) : 0;
    if (n > 0 && mf_memory_watch_look("/proc", watches, n, now_ns, &wait_ns) == 0)
        end_large(functions);
    free(watches);
    now_ns = mf_clock_monotonic_ns();
    functions->rest_until_ns = now_ns + mf_memory_rest(began_ns);
    functions->look_at_ns = now_ns + wait_ns;
    if (functions->look_at_ns < functions->rest_until_ns)
        functions->look_at_ns = functions->rest_until_ns;
    if (functions->n_limited == 0)
        functions->look_at_ns = INT64_MAX;
}
