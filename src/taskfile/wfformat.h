/*
 * Workflows in WfFormat, the JSON format of WfCommons: https://wfcommons.org/format,
 * schema 1.5 of https://github.com/wfcommons/WfFormat.
 *
 *     schemaVersion                          "1.5"
 *     workflow.specification.tasks[]         name, id, parents[], children[]
 *     workflow.execution.tasks[]             id, runtimeInSeconds, coreCount, memoryInBytes,
 *                                            priority, command {program, arguments[]}
 *
 * Parents and children say the same thing twice, and have to agree. The section
 * execution may be missing, and so may tasks in it: their run times are unknown
 * then, and they have no command. Whatever else the file holds is passed over.
 */
#ifndef MF_TASKFILE_WFFORMAT_H
#define MF_TASKFILE_WFFORMAT_H

#include "base/error.h"
#include "core/farm.h"
#include "taskfile/arena.h"

/**
 * A task of a workflow.
 *
 * @needs       cores rounded up, 1 unless the file says; memory
 * @runtime_ns  -1 when the file does not say
 * @args        n_args words, the program first; none when the file does not say
 * @after       n_after tasks by number, in ascending order
 * @place       where it stands among the tasks of the specification, from 0
 * @execution_place   where it stands among those of the execution, if it has a run time
 */
struct mf_workflow_task {
    const char *id;
    const char *name;
    struct mf_needs needs;
    int32_t priority;
    int64_t runtime_ns;
    uint32_t n_args;
    const char **args;
    struct mf_dependency *after;
    uint32_t n_after;
    size_t place;
    size_t execution_place;
};

/**
 * Starts as {0}.
 *
 * @tasks  n_tasks of them, each behind all that it comes after, and in the order of
 *         the file where that allows it; number 1 is the first. All is in the arena
 */
struct mf_workflow {
    struct mf_arena arena;
    size_t n_tasks;
    struct mf_workflow_task *tasks;
};

/**
 * mf_workflow_read() - read and check a workflow.
 *
 * @path  "-" is standard input
 *
 * Returns 0, or -errno with `file: json.path[3]: sentence` in err; the workflow is to be
 * finished in any case. O(n log n), and memory for the whole file meanwhile.
 */
int mf_workflow_read(struct mf_workflow *workflow, const char *path, struct mf_error *err);

/** Frees what it holds and leaves {0}; NULL is accepted. */
void mf_workflow_finish(struct mf_workflow *workflow);

#endif
