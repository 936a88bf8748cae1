/* A workflow in WfFormat as a source of tasks: see wfformat.h for the format. */
#ifndef MF_TASKFILE_WFFORMAT_SOURCE_H
#define MF_TASKFILE_WFFORMAT_SOURCE_H

#include "taskfile/source.h"

/**
 * mf_source_open_workflow() - the tasks of a workflow, each behind its parents.
 *
 * @path    "-" is standard input, which is read to its end
 * @is_run  whether each task needs a command
 *
 * A task without a command is called by its name.
 *
 * Returns 0, or -errno with `file: json.path: sentence` in err.
 */
int mf_source_open_workflow(const char *path, bool is_run, struct mf_source **ret_source,
                            struct mf_error *err);

#endif
