/*
 * A private copy of a journal, so that it can be read while a farm writes it:
 * the farm's lock on the database lasts for its whole life.
 */
#ifndef MF_JOURNAL_SNAPSHOT_H
#define MF_JOURNAL_SNAPSHOT_H

#include "base/error.h"

/**
 * @dir   temporary directory of the copy, mode 0700 (owned)
 * @path  the copy of the database in it (owned)
 */
struct mf_snapshot {
    char *dir;
    char *path;
};

/**
 * mf_snapshot_take() - copy the journal of a run directory as of one commit.
 *
 * The copy goes to $TMPDIR or /tmp. O(size of the journal); nothing in the
 * run directory is changed and no lock is taken.
 *
 * Returns 0, or -errno with a sentence: -ENOENT no run there, -EAGAIN the
 * journal changed faster than it could be copied.
 */
int mf_snapshot_take(struct mf_snapshot *snapshot, const char *run_dir, struct mf_error *err);

/** Removes the copy; open descriptors of it stay good. {0} and a removed one are accepted. */
void mf_snapshot_remove(struct mf_snapshot *snapshot);

#endif
