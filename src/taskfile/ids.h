/* Which ids are taken, over all files of a source. */
#ifndef MF_TASKFILE_IDS_H
#define MF_TASKFILE_IDS_H

#include "base/error.h"
#include "taskfile/task_lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_table;
struct mf_file_ids;

/**
 * @names    of the files, n_files, borrowed
 * @given    hash of each given id to where it stands
 * @files    per file, which lines are tasks, and which of them have a given id
 * @has_lookalike  whether a given id could be the default id of some line
 */
struct mf_ids {
    const char *const *names;
    uint32_t n_files;
    struct mf_table *given;
    struct mf_file_ids *files;
    bool has_lookalike;
};

/** Bytes that mf_ids_default() and its like may write for a name of n bytes. */
#define MF_ID_ROOM(n) ((n) + 48)

/** Returns 0 or -ENOMEM. */
int mf_ids_init(struct mf_ids *ids, const char *const *names, uint32_t n_files);

/** Frees what ids owns, after which only mf_ids_default() works; {0} is accepted. */
void mf_ids_finish(struct mf_ids *ids);

/** Writes the id of a line that gives none: "12", or "a.farm:12" among several files. */
void mf_ids_default(const struct mf_ids *ids, uint32_t file, uint64_t line, char *ret_id);

/** The same for a task of a line that repeats: "12.0", "12.1", ... */
void mf_ids_default_repeat(const struct mf_ids *ids, uint32_t file, uint64_t line, uint64_t ordinal,
                           char *ret_id);

/**
 * mf_ids_add() - take the id of a task line.
 *
 * @id  given there, or NULL for the default
 *
 * O(1), and only two bits of memory for a default. Lines are added in order.
 * Returns 0, -EEXIST with a sentence that names both lines in err, or -ENOMEM.
 */
int mf_ids_add(struct mf_ids *ids, const char *id, uint32_t file, uint64_t line,
               struct mf_error *err);

/** The same for a line that makes n_tasks tasks, 1 at least, without given ids. */
int mf_ids_add_repeat(struct mf_ids *ids, uint32_t file, uint64_t line, uint64_t n_tasks,
                      struct mf_error *err);

/** Whether a text is a given id, or FILE:LINE; if so, where its task stands. O(1 + files). */
bool mf_ids_find(const struct mf_ids *ids, const char *text, uint32_t *ret_file,
                 uint64_t *ret_line);

/** The lines of a file that are tasks. */
const struct mf_task_lines *mf_ids_lines(const struct mf_ids *ids, uint32_t file);

#endif
