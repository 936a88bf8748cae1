/*
 * What comes after what, for tasks that a farm has or will have; and how tasks
 * ended that others may still come after. Private to the core.
 */
#ifndef MF_CORE_LINKS_H
#define MF_CORE_LINKS_H

#include "core/farm.h"

struct mf_table;

/** Tasks that come after one, and what they ask of it. */
struct mf_successors {
    uint32_t n;
    uint32_t capacity;
    struct mf_dependency items[];
};

/**
 * Starts with mf_links_init().
 *
 * @successors  task to struct mf_successors *, for tasks that are not final or not there yet
 * @ends        two bits for each task, n_ends tasks: how it ended
 * @roots       SKIPPED task to the task whose end led to that
 */
struct mf_links {
    struct mf_table *successors;
    uint8_t *ends;
    uint64_t n_ends;
    struct mf_table *roots;
};

/** What is known of a condition. */
enum mf_prospect { MF_PROSPECT_OPEN, MF_PROSPECT_MET, MF_PROSPECT_NEVER };

/** Returns 0 or -ENOMEM. */
int mf_links_init(struct mf_links *links);
void mf_links_finish(struct mf_links *links);

/** Whether a condition is met by a task in that state. */
enum mf_prospect mf_condition_prospect(enum mf_condition condition, enum mf_task_state state);

/** Memory for a new task and for links to it. Returns 0 or -ENOMEM. O(n_after). */
int mf_links_reserve(struct mf_links *links, mf_task_id task, const struct mf_dependency *after,
                     uint32_t n_after);

/**
 * mf_links_add() - a task comes after another one, which is not known to have ended;
 * mf_links_reserve() came before.
 */
void mf_links_add(struct mf_links *links, mf_task_id task, const struct mf_dependency *after);

/** How a task ended: DONE, FAILED, SKIPPED for both of the others; WAITING while it has not. O(1).
 */
enum mf_task_state mf_links_end_of(const struct mf_links *links, mf_task_id task);

/**
 * mf_links_end() - a task is final.
 *
 * @root  of a SKIPPED one, else 0
 *
 * Returns those that come after it, malloc()ed and the caller's, or NULL for none.
 */
struct mf_successors *mf_links_end(struct mf_links *links, mf_task_id task,
                                   enum mf_task_state state, mf_task_id root);

/** Those that come after a task that is not final, which stay the links', or NULL for none. */
const struct mf_successors *mf_links_after(const struct mf_links *links, mf_task_id task);

/** The task whose end led to that of a SKIPPED one; else the task itself. */
mf_task_id mf_links_root(const struct mf_links *links, mf_task_id task);

/**
 * mf_links_next_missing() - walk over the tasks above `last` that others come after: for when
 * no more are submitted.
 *
 * @cursor  0 to begin; changed by each call
 *
 * Returns such a task with those that come after it, which stay the links', or 0 after the last.
 */
mf_task_id mf_links_next_missing(const struct mf_links *links, mf_task_id last, size_t *cursor,
                                 const struct mf_successors **ret_successors);

#endif
