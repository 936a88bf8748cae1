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

/**
 * Where the task of an id stands.
 *
 * @is_one   whether it is one task of a line that repeats
 * @ordinal  which one then, from 0
 */
struct mf_id_place {
    uint32_t file;
    uint64_t line;
    bool is_one;
    uint64_t ordinal;
};

/**
 * mf_ids_find() - where the task of an id stands.
 *
 * @text  a given id, LINE.N, or among several files FILE:LINE and FILE:LINE.N; not
 *        a line number alone, as in which file that is depends on who asks
 *
 * Returns whether there is such a task. O(files).
 */
bool mf_ids_find(const struct mf_ids *ids, const char *text, struct mf_id_place *ret_place);

/** The lines of a file that are tasks. */
const struct mf_task_lines *mf_ids_lines(const struct mf_ids *ids, uint32_t file);

#endif
