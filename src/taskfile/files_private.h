/* What files.c and files_check.c share: the source that reads task files. */
#ifndef MF_TASKFILE_FILES_PRIVATE_H
#define MF_TASKFILE_FILES_PRIVATE_H

#include "taskfile/source_ops.h"

#include "taskfile/after.h"
#include "taskfile/ids.h"
#include "taskfile/task_file.h"

/**
 * @first_seq   per file: the number that its first task has in the run; 0 while not known
 * @has_stream  whether not all of the input is known beforehand
 * @graph       NULL if tasks come in any order, or with a stream
 * @after       of the entry last made: without a graph, or where it takes outputs
 * @front, @back  read for next and load
 * @largest     the most that any task seen so far needs of each kind
 * @current     number of the file that `front` reads
 * @entry       the one last given, with the memory of its texts
 */
struct files {
    struct mf_source source;
    const struct mf_source_options *options;
    uint32_t n_files;
    const char **names;
    struct mf_task_file *files;
    uint32_t n_open;
    uint64_t *first_seq;
    bool has_stream;
    struct mf_ids ids;
    struct mf_graph *graph;
    struct mf_after after;
    struct mf_cursor front, back;
    uint32_t current;
    bool has_first_priority, has_priority;
    bool has_dependencies, has_outs, has_estimates;
    int32_t first_priority;
    struct mf_needs largest;
    struct mf_arena arena;
    struct mf_entry entry;
};

/**
 * mf_files_register() - find out what must be found out about each task once.
 *
 * Whether its id is free, whether priorities differ, what tasks say at all.
 * Returns 0, or -errno with a sentence.
 */
int mf_files_register(struct files *files, uint32_t number, const struct mf_line *line,
                      const struct mf_fields *fields, struct mf_error *err);

/** Reads all regular files, and makes the graph if there is one. Returns 0 or -errno. */
int mf_files_check(struct files *files, struct mf_error *err);

/** Whether a barrier stands between the task and the one before it in any file. */
bool mf_files_has_barrier(const struct files *files, uint32_t number, uint64_t task,
                          bool *ret_checks);

/** Whether any file has a barrier. */
bool mf_files_have_barriers(const struct files *files);

/** Reads the line of a task again, with its fields. Returns 0, or -errno with a sentence. */
int mf_files_find_line(struct files *files, uint32_t number, uint64_t task,
                       struct mf_line *ret_line, struct mf_error *err);

/** A failure with "FILE:LINE: " before its sentence. Returns r. */
int mf_files_at_line(const struct files *files, uint32_t number, uint64_t line, int r,
                     struct mf_error *err);

#endif
