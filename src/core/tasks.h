/*
 * Where the farm keeps its tasks: found by id at once, and forgotten so
 * thoroughly that billions can pass through.
 *
 * Ids are dense, so tasks lie in chunks of consecutive ids behind a directory.
 * A chunk is freed when all of its tasks are forgotten; the directory drops
 * its leading free entries, which leaves 8 bytes per chunk behind the oldest
 * task that is kept. Private to the core.
 */
#ifndef MF_CORE_TASKS_H
#define MF_CORE_TASKS_H

#include "core/task.h"

#include <stddef.h>
#include <stdint.h>

/** As few as that: tasks that pass through one by one then always have the same few memory pages,
 * which stay in the nearest caches. */
#define MF_TASKS_PER_CHUNK 64

/** @n_kept  tasks in it that were added and not forgotten; a forgotten one has id 0 */
struct mf_task_chunk {
    uint32_t n_kept;
    struct mf_task tasks[MF_TASKS_PER_CHUNK];
};

/**
 * Starts as {0}.
 *
 * @chunks       n_chunks entries for chunk numbers from first on, NULL once freed
 * @n_leading    how many of the first entries are NULL
 * @spare        a freed chunk kept for the next one, or NULL
 * @n_added      tasks ever added, which is the last id
 */
struct mf_tasks {
    struct mf_task_chunk **chunks;
    uint64_t first;
    size_t n_chunks;
    size_t n_leading;
    size_t capacity;
    struct mf_task_chunk *spare;
    uint64_t n_added;
};

/** Frees all tasks. */
void mf_tasks_finish(struct mf_tasks *tasks);

/** Makes sure that the next mf_tasks_add() has memory. Returns 0 or -ENOMEM. */
int mf_tasks_reserve(struct mf_tasks *tasks);

/** The next task, zeroed but for its id; mf_tasks_reserve() came before. O(1). */
struct mf_task *mf_tasks_add(struct mf_tasks *tasks);

/** The task of that id, or NULL if it was not added or is forgotten. O(1). */
struct mf_task *mf_tasks_find(const struct mf_tasks *tasks, mf_task_id id);

/** Whether a task of that id was ever added. */
static inline bool mf_tasks_has_added(const struct mf_tasks *tasks, mf_task_id id)
{
    return id >= 1 && id <= tasks->n_added;
}

/** Forgets a task. Amortised O(1). */
void mf_tasks_forget(struct mf_tasks *tasks, struct mf_task *task);

/** The first task kept whose id is above the one given, or NULL: for walking over all. */
struct mf_task *mf_tasks_after(const struct mf_tasks *tasks, mf_task_id id);

#endif
