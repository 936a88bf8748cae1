/*
 * What follows from the end of a task for those that come after it: they
 * become READY, or are SKIPPED, and so on with those after them. A chain can
 * be as long as the farm, so it is worked off from a list rather than by
 * recursion.
 */
#include "core/farm_private.h"

#include <errno.h>
#include <stdlib.h>

/* A WAITING task that can never be READY. */
static void skip(struct mf_farm *farm, struct mf_task *task, mf_task_id root)
{
    task->root = root;
    mf_farm_settle(farm, task, MF_TASK_SKIPPED, MF_CAUSE_SKIPPED);
}

/* One of the tasks that it waits for has ended. */
static void hear(struct mf_farm *farm, const struct mf_dependency *successor,
                 enum mf_task_state state, mf_task_id root)
{
    struct mf_task *task = mf_tasks_find(&farm->tasks, successor->task);

    if (!task || task->state != MF_TASK_WAITING)
        return;
    if (mf_condition_prospect(successor->condition, state) == MF_PROSPECT_NEVER)
        skip(farm, task, root);
    else if (--task->n_waiting_for == 0)
        mf_farm_make_ready(farm, task);
}

static void tell_successors(struct mf_farm *farm, mf_task_id id, enum mf_task_state state,
                            mf_task_id root)
{
    struct mf_successors *successors =
        mf_links_end(&farm->links, id, state, state == MF_TASK_SKIPPED ? root : 0);

    for (uint32_t i = 0; successors && i < successors->n; i++)
        hear(farm, &successors->items[i], state, root);
    free(successors);
}

void mf_farm_follow_ends(struct mf_farm *farm)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(&farm->ended))) {
        struct mf_task *task = mf_container_of(node, struct mf_task, node);

        /* When the run is being stopped, what comes after is left for another run. */
        if (task->state == MF_TASK_CANCELLED && farm->stop != MF_STOP_NONE)
            continue;
        tell_successors(farm, task->id, task->state,
                        task->state == MF_TASK_SKIPPED ? task->root : task->id);
    }
}

/* --- new tasks --- */

int mf_farm_reserve_links(struct mf_farm *farm, const struct mf_event *event)
{
    mf_task_id id = farm->tasks.n_added + 1;

    if (!farm->config.has_dependencies)
        return event->n_after > 0 ? -EINVAL : 0;
    for (uint32_t i = 0; i < event->n_after; i++)
        if (event->after[i].task == 0 || event->after[i].task == id ||
            (unsigned int)event->after[i].condition > MF_AFTER_NOT_OK)
            return -EINVAL;
    return mf_links_reserve(&farm->links, id, event->after, event->n_after);
}

void mf_farm_link(struct mf_farm *farm, struct mf_task *task, const struct mf_event *event)
{
    mf_task_id root = 0;

    for (uint32_t i = 0; i < event->n_after; i++) {
        const struct mf_dependency *after = &event->after[i];
        enum mf_task_state state = mf_links_end_of(&farm->links, after->task);

        switch (mf_condition_prospect(after->condition, state)) {
        case MF_PROSPECT_OPEN:
            mf_links_add(&farm->links, task->id, after);
            task->n_waiting_for++;
            break;
        case MF_PROSPECT_NEVER:
            root = root ? root : mf_links_root(&farm->links, after->task);
            break;
        case MF_PROSPECT_MET:
            break;
        }
    }
    if (root != 0)
        skip(farm, task, root);
    else if (task->n_waiting_for == 0)
        mf_farm_make_ready(farm, task);
}

int mf_farm_handle_settled(struct mf_farm *farm, const struct mf_event *event)
{
    struct mf_task *task;
    mf_task_id id;
    int r;

    if (farm->is_closed || !mf_task_state_is_final(event->state) || event->n_after > 0)
        return -EINVAL;
    r = mf_tasks_reserve(&farm->tasks);
    if (r == 0)
        r = mf_farm_reserve_links(farm, event);
    if (r < 0)
        return r;
    task = mf_tasks_add(&farm->tasks);
    id = task->id;
    mf_tasks_forget(&farm->tasks, task);
    farm->n_settled_earlier++;
    farm->n_failed_before += event->history && event->state == MF_TASK_FAILED;
    if (farm->config.has_dependencies)
        tell_successors(farm, id, event->state, id);
    return 0;
}

/* Those that come after a task that will never be there are SKIPPED: it was promised, and is not.
 */
void mf_farm_follow_close(struct mf_farm *farm)
{
    const struct mf_successors *successors;
    mf_task_id missing;
    size_t cursor = 0;

    while (farm->config.has_dependencies &&
           (missing = mf_links_next_missing(&farm->links, farm->tasks.n_added, &cursor,
                                            &successors)) != 0)
        for (uint32_t i = 0; i < successors->n; i++)
            hear(farm, &successors->items[i], MF_TASK_SKIPPED, missing);
}
