/*
 * The journal: the truth about a run, in SQLite, written by rank 0 alone.
 *
 * Attempts are appended as they end and become durable together in
 * mf_journal_commit(); what the user is told was committed before. Opening
 * takes the run directory's lock, which ends with the process that holds it.
 */
#ifndef MF_JOURNAL_JOURNAL_H
#define MF_JOURNAL_JOURNAL_H

#include "base/command.h"
#include "base/error.h"
#include "core/outcome.h"
#include "core/task.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_journal;

/** Where an attempt's output is: a region per stream, stdout first, in one file of a store. */
struct mf_region {
    uint32_t store; /* MF_STORE_*, of report/store.h; 0 for none */
    uint32_t file;
    uint64_t offset;
    uint64_t size[MF_N_STREAMS];
};

/**
 * One ended attempt.
 *
 * @row           its number in the journal, from 1; set by append
 * @seq, @id, @key, @command_text   the task: place in the input, id, identity, one line
 * @attempt       from 1
 * @state         what became of the task: final, or MF_TASK_READY when it is tried again
 * @host, @rank   where it ran, "" and MF_WORKER_NONE for nowhere
 * @outcome       how it ended
 * @region        where its output is kept
 * @is_printed    false while its output must still go to standard output
 */
struct mf_journal_attempt {
    uint64_t row;
    uint64_t seq;
    const char *id;
    uint8_t key[MF_KEY_SIZE];
    const char *command_text;
    uint32_t attempt;
    enum mf_task_state state;
    const char *host;
    mf_worker_id rank;
    struct mf_outcome outcome;
    struct mf_region region;
    bool is_printed;
};

/** How to open: see mf_journal_open(). */
enum mf_journal_mode {
    MF_JOURNAL_NEW,      /* refuse a directory that holds an unfinished or failed run */
    MF_JOURNAL_REPLACE,  /* start afresh whatever the directory holds */
    MF_JOURNAL_CONTINUE, /* go on with the run that is there, or start one */
    MF_JOURNAL_READ,     /* for `mpifarm logs`: no lock, nothing is changed */
};

/**
 * mf_journal_open() - open or make the journal of a run directory.
 *
 * The directory is made with mode 0700 where it is missing. A directory of
 * somebody else, one that is no run directory but has files in it, and one
 * that another farm is using are refused. Replacing removes journal.db and the
 * files of `out/` and empties joblog.tsv, nothing else; a run all of whose tasks
 * are DONE is replaced under MF_JOURNAL_NEW too. A journal that knows of fewer
 * ended tasks than joblog.tsv has lost some: if that is more than the end of a
 * log that was torn, only MF_JOURNAL_REPLACE takes it.
 *
 * Returns 0, or -errno with a sentence in err: -EEXIST holds an unfinished run,
 * -EBUSY in use, -EROFS, -EACCES, -ENOSPC, -EBADMSG no journal of ours, damaged, or
 * what was committed is not there. O(size of joblog.tsv).
 */
int mf_journal_open(const char *dir, enum mf_journal_mode mode, struct mf_journal **ret_journal,
                    struct mf_error *err);

/** Commits and closes, releasing the lock; NULL is accepted. Returns 0 or -errno. */
int mf_journal_close(struct mf_journal *journal, struct mf_error *err);

/** Appends an attempt to the open group; attempt->row is set. Returns 0 or -errno. */
int mf_journal_append(struct mf_journal *journal, struct mf_journal_attempt *attempt,
                      struct mf_error *err);

/** Marks the output of a row as printed, in the open group. Returns 0 or -errno. */
int mf_journal_set_printed(struct mf_journal *journal, uint64_t row, struct mf_error *err);

/** Notes that the output of a row is not kept any more, in the open group. Returns 0 or -errno. */
int mf_journal_forget_output(struct mf_journal *journal, uint64_t row, struct mf_error *err);

/** Text of a run that has ended: what stopped it early, "" if nothing did. */
#define MF_JOURNAL_STOPPED_BY "stopped by"

/** Text of a run that goes on: when that began, or was continued, in nanoseconds since 1970; ""
 * when it has ended. Until then what stopped it is that of an earlier part of it. */
#define MF_JOURNAL_BEGAN "began"

/** Text of a run: how many ended tasks joblog.tsv tells of that the journal had lost, when it was
 * continued last. */
#define MF_JOURNAL_LOST "lost"

/** Text of a run: workers that were in quarantine. */
#define MF_JOURNAL_QUARANTINED "quarantined"

/** Stores a named text about the run ("command line", "output", ...). Returns 0 or -errno. */
int mf_journal_set_text(struct mf_journal *journal, const char *name, const char *text,
                        struct mf_error *err);

/** The named text that outlives its run: what opens afresh where a run was takes it over. */
#define MF_JOURNAL_LEARNED "learned"

/** Reads a named text into size bytes; returns 0, -ENOENT, or another -errno. */
int mf_journal_get_text(struct mf_journal *journal, const char *name, char *text, size_t size,
                        struct mf_error *err);

/**
 * mf_journal_check_place() - whether the journal is still where it was opened.
 *
 * What is written to a file that was removed or replaced is lost with the
 * process, and so may be the lock.
 *
 * Returns 0, or -errno with a sentence: -ENODATA the journal alone was removed, and the directory
 * is still that of this run; -ENOENT it is gone, or somebody else's.
 */
int mf_journal_check_place(const struct mf_journal *journal, struct mf_error *err);

/**
 * mf_journal_check_lock() - whether the run directory's lock is still held.
 *
 * A lock can be lost where files are on another host. Then somebody else may have it, and may
 * write.
 *
 * Returns 0; -ESTALE somebody else has taken it; or another -errno; with a sentence.
 */
int mf_journal_check_lock(const struct mf_journal *journal, struct mf_error *err);

/**
 * mf_journal_missing() - how many ended tasks were found lost when it was opened.
 *
 * Of those that joblog.tsv tells of; they are run again. What was found before does not count.
 */
uint64_t mf_journal_missing(const struct mf_journal *journal);

/** The row that the next attempt gets. */
uint64_t mf_journal_next_row(const struct mf_journal *journal);

/** Forgets the open group: what could not be made durable must not become so by closing. */
void mf_journal_discard(struct mf_journal *journal);

/** How many records wait for the next commit. */
uint64_t mf_journal_pending(const struct mf_journal *journal);

/**
 * mf_journal_commit() - make the open group durable.
 *
 * Returns 0, or -errno: the group stays open, and commit can be tried again.
 */
int mf_journal_commit(struct mf_journal *journal, struct mf_error *err);

/** Called for each attempt by mf_journal_each(); pointers are valid during the call. A value
 * other than 0 ends the walk and is returned by it. */
typedef int (*mf_journal_fn)(void *arg, const struct mf_journal_attempt *attempt);

/** Calls fn for every committed attempt in order of rows. Returns 0, what fn gave, or -errno. */
int mf_journal_each(struct mf_journal *journal, mf_journal_fn fn, void *arg, struct mf_error *err);

/** Called for each row by mf_journal_walk(); the id is valid during the call. */
typedef void (*mf_journal_row_fn)(void *arg, uint64_t row, const char *id,
                                  enum mf_task_state state);

/**
 * mf_journal_walk() - tasks of committed attempts, and what became of them, some rows at a time.
 *
 * For who must not take as long as it takes to read all of them at once.
 *
 * @row  those behind it, in their order
 * @n    at most so many
 *
 * Returns how many those were, which is less than n at the end, or -errno with a sentence.
 */
int mf_journal_walk(struct mf_journal *journal, uint64_t row, uint32_t n, mf_journal_row_fn fn,
                    void *arg, struct mf_error *err);

/**
 * mf_journal_forgive() - tasks that FAILED are to be run again.
 *
 * Their rows become those of attempts that were tried again, at once and
 * durably, so that each task has one final row at the most.
 *
 * Returns 0 or -errno with a sentence.
 */
int mf_journal_forgive(struct mf_journal *journal, struct mf_error *err);

/** Marks the run as finished (all its tasks final) or not, in the open group. Returns 0 or -errno.
 */
int mf_journal_set_finished(struct mf_journal *journal, bool is_all_done, struct mf_error *err);

#endif
