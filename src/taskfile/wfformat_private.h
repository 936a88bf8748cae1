/* What the readers of WfFormat share among themselves. Nobody else includes it. */
#ifndef MF_TASKFILE_WFFORMAT_PRIVATE_H
#define MF_TASKFILE_WFFORMAT_PRIVATE_H

#include "taskfile/wfformat.h"

#include <jansson.h>

/** Room for the path of anything in the file. */
#define MF_JSON_PATH_SIZE 128

/**
 * A file that is being read.
 *
 * @numbers  a JSON object from the id of each task to its place, for looking up
 */
struct mf_workflow_reader {
    struct mf_workflow *workflow;
    json_t *numbers;
};

/**
 * mf_json_take() - a member of an object.
 *
 * @path  of the object, "" for the outermost
 * @type  what it has to be, as of mf_json_type_name()
 *
 * Returns 0 with the value, borrowed, or with NULL if there is none; or -EINVAL.
 */
int mf_json_take(const json_t *object, const char *path, const char *key, const char *type,
                 json_t **ret_value, struct mf_error *err);

/** The same, but -EINVAL if there is none. */
int mf_json_take_needed(const json_t *object, const char *path, const char *key, const char *type,
                        json_t **ret_value, struct mf_error *err);

/** Returns the place of the task of that id, or -1. */
int64_t mf_workflow_find(const struct mf_workflow_reader *reader, const char *id);

/** wfformat_graph.c: parents and children, for tasks that all have their ids. Returns 0 or -errno.
 */
int mf_workflow_read_parents(struct mf_workflow_reader *reader, const json_t *tasks,
                             struct mf_error *err);

/** wfformat_graph.c: puts each task behind all that it comes after. Returns 0 or -errno. */
int mf_workflow_sort(struct mf_workflow *workflow, struct mf_error *err);

/** wfformat_execution.c: what is known of how the tasks ran. Returns 0 or -errno. */
int mf_workflow_read_execution(struct mf_workflow_reader *reader, const json_t *execution,
                               struct mf_error *err);

#endif
