/*
 * The run directory as a place on disk: making it, checking that it is the
 * user's own, holding its lock, and clearing it for a new run.
 */
#ifndef MF_JOURNAL_RUNDIR_H
#define MF_JOURNAL_RUNDIR_H

#include "base/error.h"

#include <stdbool.h>

/** The journal's file in a run directory. */
#define MF_RUNDIR_JOURNAL "journal.db"

/** The job log that a run keeps beside it. */
#define MF_RUNDIR_JOBLOG "joblog.tsv"

/**
 * @path     as the user gave it, for messages (owned)
 * @fd       the directory, -1 when it is not open
 * @lock_fd  its lock file, -1 when the lock is not held
 * @holder   what it says while this process holds the lock
 */
struct mf_rundir {
    char *path;
    int fd;
    int lock_fd;
    char holder[320];
};

/**
 * mf_rundir_open() - make or check the directory, and take its lock.
 *
 * Returns 0, or -errno with a sentence: -EBUSY another process holds the lock,
 * -EACCES it belongs to somebody else, -ENOTEMPTY it has files but no journal.
 * Whatever it returns, mf_rundir_finish() cleans up.
 */
int mf_rundir_open(struct mf_rundir *rundir, const char *path, struct mf_error *err);

/** Releases the lock and closes; NULL and a directory that failed to open are accepted. */
void mf_rundir_finish(struct mf_rundir *rundir);

/** Whether the directory that was opened is still the one of that name. */
bool mf_rundir_is_in_place(const struct mf_rundir *rundir);

/** As mf_journal_check_lock(). */
int mf_rundir_check_lock(const struct mf_rundir *rundir, struct mf_error *err);

/**
 * mf_rundir_is_held() - whether a farm holds the lock of a run directory, on any host.
 *
 * For onlookers: takes no lock and opens nothing for writing.
 *
 * Returns 1 or 0, or -errno where locks cannot be looked at.
 */
int mf_rundir_is_held(const char *path);

/**
 * mf_rundir_has_journal() - whether there is a journal with anything in it, as far as sizes tell.
 *
 * For onlookers: opens nothing. Where it says no, nothing can be continued.
 */
bool mf_rundir_has_journal(const char *path);

/**
 * Empties the journal and the job log and removes the files of out/, and nothing else.
 *
 * The job log comes first, so that it never tells of more than the journal has lost by this.
 * The journal stays as a file of no bytes: that is what tells a run directory
 * from a directory of other files, should the process die in between.
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_rundir_clear(struct mf_rundir *rundir, struct mf_error *err);

/** "; make room there", "; use --run-dir ...", or "": what to do about a failed write. */
const char *mf_rundir_advice(int code);

#endif
