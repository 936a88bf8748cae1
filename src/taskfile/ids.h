/* Which ids are taken, over all files of a source. */
#ifndef MF_TASKFILE_IDS_H
#define MF_TASKFILE_IDS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_table;
struct mf_bits;

/**
 * @names    of the files, n_files, borrowed
 * @given    hash of each given id to where it stands
 * @default_lines  per file, which lines are tasks without a given id
 * @has_lookalike  whether a given id could be the default id of some line
 */
struct mf_ids {
    const char *const *names;
    uint32_t n_files;
    struct mf_table *given;
    struct mf_bits *default_lines;
    bool has_lookalike;
};

/** Bytes that mf_ids_default() may write for a name of n bytes. */
#define MF_ID_ROOM(n) ((n) + 24)

/** Returns 0 or -ENOMEM. */
int mf_ids_init(struct mf_ids *ids, const char *const *names, uint32_t n_files);

/** Frees what ids owns, after which only mf_ids_default() works; {0} is accepted. */
void mf_ids_finish(struct mf_ids *ids);

/** Writes the id of a line that gives none: "12", or "a.farm:12" among several files. */
void mf_ids_default(const struct mf_ids *ids, uint32_t file, uint64_t line, char *ret_id);

/**
 * mf_ids_add() - take the id of a task line.
 *
 * @id  given there, or NULL for the default
 *
 * O(1), and only a bit of memory for a default. Returns 0, -EEXIST with a
 * sentence that names both lines in err, or -ENOMEM.
 */
int mf_ids_add(struct mf_ids *ids, const char *id, uint32_t file, uint64_t line,
               struct mf_error *err);

#endif
