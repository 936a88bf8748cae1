/*
 * The state machine of a task: one table of moves. Who moves a task is
 * core/move.c, for every reason there is. Pure data, any thread.
 */
#include "core/task.h"

#include <stddef.h>

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
