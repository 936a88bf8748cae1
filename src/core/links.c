/* What comes after what: see links.h. Owned by one farm, used by its thread. */
#include "core/links.h"

#include "base/table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_PER_BYTE 4

/* The two bits of an end. */
enum end { END_NONE = 0, END_DONE = 1, END_FAILED = 2, END_OTHER = 3 };

int mf_links_init(struct mf_links *links)
{
    int r;

    *links = (struct mf_links){0};
    r = mf_table_create(sizeof(mf_task_id), sizeof(struct mf_successors *), &links->successors);
    if (r == 0)
        r = mf_table_create(sizeof(mf_task_id), sizeof(mf_task_id), &links->roots);
    if (r < 0)
        mf_links_finish(links);
    return r;
}

void mf_links_finish(struct mf_links *links)
{
    size_t cursor = 0;
    void *place;

    while (links->successors && mf_table_next(links->successors, &cursor, NULL, &place))
        free(*(struct mf_successors **)place);
    mf_table_destroy(links->successors);
    mf_table_destroy(links->roots);
    free(links->ends);
    *links = (struct mf_links){0};
}

enum mf_prospect mf_condition_prospect(enum mf_condition condition, enum mf_task_state state)
{
    if (!mf_task_state_is_final(state))
        return MF_PROSPECT_OPEN;
    switch (condition) {
    case MF_AFTER_OK:
        return state == MF_TASK_DONE ? MF_PROSPECT_MET : MF_PROSPECT_NEVER;
    case MF_AFTER_NOT_OK:
        return state == MF_TASK_FAILED ? MF_PROSPECT_MET : MF_PROSPECT_NEVER;
    case MF_AFTER_ANY:
        break;
    }
    return MF_PROSPECT_MET;
}

/* --- ends --- */

static int reserve_end(struct mf_links *links, mf_task_id task)
{
    uint64_t n = links->n_ends ? links->n_ends : 1024;
    uint8_t *ends;

    if (task < links->n_ends)
        return 0;
    while (n <= task)
        n *= 2;
    ends = realloc(links->ends, n / TASKS_PER_BYTE);
    if (!ends)
        return -ENOMEM;
    memset(ends + links->n_ends / TASKS_PER_BYTE, 0, (n - links->n_ends) / TASKS_PER_BYTE);
    links->ends = ends;
    links->n_ends = n;
    return 0;
}

static enum end end_as(enum mf_task_state state)
{
    assert(mf_task_state_is_final(state));
    if (state == MF_TASK_DONE)
        return END_DONE;
    return state == MF_TASK_FAILED ? END_FAILED : END_OTHER;
}

enum mf_task_state mf_links_end_of(const struct mf_links *links, mf_task_id task)
{
    static const enum mf_task_state states[] = {[END_NONE] = MF_TASK_WAITING,
                                                [END_DONE] = MF_TASK_DONE,
                                                [END_FAILED] = MF_TASK_FAILED,
                                                [END_OTHER] = MF_TASK_SKIPPED};

    if (task >= links->n_ends)
        return MF_TASK_WAITING;
    return states[links->ends[task / TASKS_PER_BYTE] >> 2 * (task % TASKS_PER_BYTE) & 3];
}

/* --- links --- */

static struct mf_successors *successors_of(const struct mf_links *links, mf_task_id task)
{
    struct mf_successors **place = mf_table_find(links->successors, &task);

    return place ? *place : NULL;
}

const struct mf_successors *mf_links_after(const struct mf_links *links, mf_task_id task)
{
    return successors_of(links, task);
}

/* Room for n more in the list of a task. */
static int reserve_links(struct mf_links *links, mf_task_id task, uint32_t n)
{
    struct mf_successors *list = successors_of(links, task), *grown;
    uint32_t capacity = list ? list->capacity : 2;
    void *place;

    if (list && n <= list->capacity - list->n)
        return 0;
    while (capacity < (list ? list->n : 0) + n)
        capacity *= 2;
    if (mf_table_insert(links->successors, &task, &place) < 0)
        return -ENOMEM;
    grown = realloc(list, sizeof(*grown) + capacity * sizeof(grown->items[0]));
    if (!grown) {
        if (!list)
            mf_table_remove(links->successors, &task);
        return -ENOMEM;
    }
    if (!list)
        grown->n = 0;
    grown->capacity = capacity;
    *(struct mf_successors **)place = grown;
    return 0;
}

int mf_links_reserve(struct mf_links *links, mf_task_id task, const struct mf_dependency *after,
                     uint32_t n_after)
{
    int r = reserve_end(links, task);

    for (uint32_t i = 0; i < n_after && r == 0; i++)
        if (mf_links_end_of(links, after[i].task) == MF_TASK_WAITING)
            r = reserve_links(links, after[i].task, 1);
    return r;
}

void mf_links_add(struct mf_links *links, mf_task_id task, const struct mf_dependency *after)
{
    struct mf_successors *list = successors_of(links, after->task);

    assert(list && list->n < list->capacity);
    list->items[list->n++] = (struct mf_dependency){.task = task, .condition = after->condition};
}

struct mf_successors *mf_links_end(struct mf_links *links, mf_task_id task,
                                   enum mf_task_state state, mf_task_id root)
{
    struct mf_successors *list = successors_of(links, task);
    void *place;

    assert(task < links->n_ends);
    links->ends[task / TASKS_PER_BYTE] |= (uint8_t)(end_as(state) << 2 * (task % TASKS_PER_BYTE));
    /* Without memory for it, those submitted later name the SKIPPED task itself. */
    if (root != 0 && mf_table_insert(links->roots, &task, &place) >= 0)
        *(mf_task_id *)place = root;
    if (list)
        mf_table_remove(links->successors, &task);
    return list;
}

mf_task_id mf_links_root(const struct mf_links *links, mf_task_id task)
{
    const mf_task_id *root = mf_table_find(links->roots, &task);

    return root ? *root : task;
}

mf_task_id mf_links_next_missing(const struct mf_links *links, mf_task_id last, size_t *cursor,
                                 const struct mf_successors **ret_successors)
{
    const void *task;
    void *list;

    while (mf_table_next(links->successors, cursor, &task, &list)) {
        if (*(const mf_task_id *)task <= last)
            continue;
        *ret_successors = *(struct mf_successors **)list;
        return *(const mf_task_id *)task;
    }
    return 0;
}
