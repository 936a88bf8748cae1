/*
 * The state machine of a task: one table of moves. Who moves a task is
 * core/move.c, for every reason there is. Pure data, any thread.
 */
#include "core/task.h"

#include "base/units.h"

#include <inttypes.h>
#include <stdio.h>

#define TO(state) (1u << MF_TASK_##state)

/* Nothing follows a final state. */
const unsigned int mf_task_moves[MF_TASK_STATE_COUNT] = {
    [MF_TASK_WAITING] = TO(READY) | TO(CANCELLED) | TO(SKIPPED),
    [MF_TASK_READY] = TO(PLACED) | TO(FAILED) | TO(CANCELLED),
    [MF_TASK_PLACED] = TO(RUNNING) | TO(READY) | TO(DONE) | TO(FAILED) | TO(CANCELLED),
    [MF_TASK_RUNNING] = TO(READY) | TO(DONE) | TO(FAILED) | TO(CANCELLED) | TO(SUSPENDED),
    [MF_TASK_SUSPENDED] = TO(READY) | TO(DONE) | TO(FAILED) | TO(CANCELLED) | TO(RUNNING),
};

static const char *const names[MF_TASK_STATE_COUNT] = {
    [MF_TASK_WAITING] = "WAITING",     [MF_TASK_READY] = "READY",
    [MF_TASK_PLACED] = "PLACED",       [MF_TASK_RUNNING] = "RUNNING",
    [MF_TASK_DONE] = "DONE",           [MF_TASK_FAILED] = "FAILED",
    [MF_TASK_CANCELLED] = "CANCELLED", [MF_TASK_SKIPPED] = "SKIPPED",
    [MF_TASK_SUSPENDED] = "SUSPENDED",
};

const char *mf_task_state_name(enum mf_task_state state)
{
    return (unsigned int)state < MF_TASK_STATE_COUNT ? names[state] : "UNKNOWN";
}

void mf_needs_raise(struct mf_needs *largest, const struct mf_needs *needs)
{
    if (needs->n_slots > largest->n_slots)
        largest->n_slots = needs->n_slots;
    if (needs->n_gpus > largest->n_gpus)
        largest->n_gpus = needs->n_gpus;
    if (needs->mem_bytes > largest->mem_bytes)
        largest->mem_bytes = needs->mem_bytes;
    if (needs->n_nodes > largest->n_nodes)
        largest->n_nodes = needs->n_nodes;
}

bool mf_needs_exceed(const struct mf_needs *needs, const struct mf_needs *largest)
{
    return needs->n_slots > largest->n_slots || needs->n_gpus > largest->n_gpus ||
           needs->mem_bytes > largest->mem_bytes ||
           (needs->n_nodes > 1 && needs->n_nodes > largest->n_nodes);
}

void mf_needs_explain(const struct mf_needs *needs, const struct mf_needs *largest, char *text,
                      size_t size)
{
    char needed[32], had[32];

    mf_format_size(needs->mem_bytes, needed, sizeof(needed));
    mf_format_size(largest->mem_bytes, had, sizeof(had));
    if (needs->n_slots > largest->n_slots)
        snprintf(text, size, "needs %" PRIu32 " cores%s, and the largest worker has %" PRIu32,
                 needs->n_slots, needs->n_nodes > 1 ? " on each node" : "", largest->n_slots);
    else if (needs->n_gpus > largest->n_gpus)
        snprintf(text, size, "needs %" PRIu32 " GPU%s, and the largest worker has %" PRIu32,
                 needs->n_gpus, needs->n_gpus > 1 ? "s" : "", largest->n_gpus);
    else if (needs->mem_bytes > 0 && largest->mem_bytes == 0)
        snprintf(text, size,
                 "needs %s of memory, and how much the nodes have cannot be found out: say it "
                 "with --mem SIZE",
                 needed);
    else if (needs->mem_bytes > largest->mem_bytes)
        snprintf(text, size, "needs %s of memory, and the largest worker has %s", needed, had);
    else if (needs->n_nodes > 1 && needs->n_nodes > largest->n_nodes)
        snprintf(text, size, "needs %" PRIu32 " nodes, and the run has %" PRIu32, needs->n_nodes,
                 largest->n_nodes);
    else if (needs->n_nodes > 1)
        snprintf(text, size,
                 "needs %" PRIu32 " nodes that have what it asks for on each, and fewer do",
                 needs->n_nodes);
    else if (needs->mem_bytes == 0)
        snprintf(text, size,
                 "needs %" PRIu32 " cores and %" PRIu32 " GPUs on one worker; some have %" PRIu32
                 " cores, some %" PRIu32 " GPUs, none has both",
                 needs->n_slots, needs->n_gpus, largest->n_slots, largest->n_gpus);
    else
        snprintf(text, size,
                 "needs %" PRIu32 " cores, %" PRIu32 " GPUs and %s of memory on one worker; some "
                 "have %" PRIu32 " cores, some %" PRIu32 " GPUs, some %s, none has all",
                 needs->n_slots, needs->n_gpus, needed, largest->n_slots, largest->n_gpus, had);
}
