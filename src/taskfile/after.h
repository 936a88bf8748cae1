/*
 * What after=, afterany=, afternotok=, GREASY's [# ... #] and {out:ID} name, as numbers of tasks.
 *
 * Tokens between commas:
 *   NAME       the task whose id was given as that, or a default one as 12.3
 *   12         all tasks of line 12 of the same file
 *   3-7        all tasks of lines 3 to 7, one at least
 *   -2         the task two before this one
 *   FILE:12    line 12 of another file of the same input
 * In {out:ID} stands one of these that names one task.
 * In [# ... #], as GREASY's user guide has it, all are lines before this one,
 * each of them a task: 12, 3-7, and -2 for two lines above.
 */
#ifndef MF_TASKFILE_AFTER_H
#define MF_TASKFILE_AFTER_H

#include "taskfile/ids.h"
#include "taskfile/keys.h"

/**
 * Tasks that one comes after. Starts as {0}; memory is reused.
 *
 * @items  n tasks in order of their numbers
 * @outs   n_outs tasks that {out:ID} names, in the order of the places; they are
 *         among items too
 */
struct mf_after {
    struct mf_dependency *items;
    uint32_t n, capacity;
    mf_task_id *outs;
    uint32_t n_outs, outs_capacity;
};

/**
 * A task whose lists are read.
 *
 * @first_seq    per file: number of its first task, 0 if that is not known yet
 * @seq          its number
 * @only_before  tasks behind it cannot be named
 */
struct mf_after_place {
    const struct mf_ids *ids;
    const uint64_t *first_seq;
    uint32_t file;
    uint64_t line;
    uint64_t seq;
    bool only_before;
};

void mf_after_finish(struct mf_after *after);

/** Whether the fields name any task. */
bool mf_after_is_given(const struct mf_fields *fields);

/**
 * mf_after_resolve() - the numbers of all tasks that the fields name.
 *
 * Returns 0 with them, each once, or -errno with a sentence in err.
 */
int mf_after_resolve(struct mf_after *after, const struct mf_after_place *place,
                     const struct mf_fields *fields, struct mf_error *err);

#endif
