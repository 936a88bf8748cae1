/*
 * The state machine of a task: one table of moves. Who moves a task is
 * core/move.c, for every reason there is. Pure data, any thread.
 */
#include "core/task.h"

#include <stddef.h>

#define TO(state) (1u << MF_TASK_##state)

/* For each state, those that may follow it; nothing follows a final one. */
static const unsigned int moves[MF_TASK_STATE_COUNT] = {
    [MF_TASK_WAITING] = TO(READY) | TO(CANCELLED) | TO(SKIPPED),
    [MF_TASK_READY] = TO(PLACED) | TO(FAILED) | TO(CANCELLED),
    [MF_TASK_PLACED] = TO(RUNNING) | TO(READY) | TO(DONE) | TO(FAILED) | TO(CANCELLED),
    [MF_TASK_RUNNING] = TO(READY) | TO(DONE) | TO(FAILED) | TO(CANCELLED),
};

static const char *const names[MF_TASK_STATE_COUNT] = {
    [MF_TASK_WAITING] = "WAITING",     [MF_TASK_READY] = "READY",     [MF_TASK_PLACED] = "PLACED",
    [MF_TASK_RUNNING] = "RUNNING",     [MF_TASK_DONE] = "DONE",       [MF_TASK_FAILED] = "FAILED",
    [MF_TASK_CANCELLED] = "CANCELLED", [MF_TASK_SKIPPED] = "SKIPPED",
};

bool mf_task_may_move(enum mf_task_state from, enum mf_task_state to)
{
    return (unsigned int)from < MF_TASK_STATE_COUNT && (unsigned int)to < MF_TASK_STATE_COUNT &&
           (moves[from] & (1u << to)) != 0;
}

const char *mf_task_state_name(enum mf_task_state state)
{
    return (unsigned int)state < MF_TASK_STATE_COUNT ? names[state] : "UNKNOWN";
}
