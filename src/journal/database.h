/*
 * The journal's database: the one place that knows SQLite. The tables are
 * described in schema.h.
 */
#ifndef MF_JOURNAL_DATABASE_H
#define MF_JOURNAL_DATABASE_H

#include "journal/journal.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_database;

/** What a run has come to, as its journal tells. */
struct mf_database_survey {
    bool has_attempts;
    bool is_complete; /* finished, and every task is DONE */
    uint64_t n_done;
    uint64_t n_failed;
};

/**
 * mf_database_open() - open a journal, making its tables in an empty file.
 *
 * @path      of the file, which exists
 * @shown     its name in messages (copied)
 * @is_empty_refused  an empty file is no journal (reading) rather than a new one
 *
 * Returns 0, or -errno with a sentence: -EBADMSG no journal of ours, a newer
 * one, or a damaged one; -EBUSY another program has it open; -ENOENT empty.
 */
int mf_database_open(const char *path, const char *shown, bool is_empty_refused,
                     struct mf_database **ret_database, struct mf_error *err);

/** Closes without losing what was committed; NULL is accepted. */
void mf_database_close(struct mf_database *database);

/** Leaves the log as it is at close: for a copy that nobody will read again. */
void mf_database_set_disposable(struct mf_database *database);

/** Begins a transaction. Returns 0 or -errno. */
int mf_database_begin(struct mf_database *database, struct mf_error *err);

/** Makes it durable; after -errno it is still open or gone: call rollback. */
int mf_database_commit(struct mf_database *database, struct mf_error *err);

/** Undoes the transaction if one is open. */
void mf_database_rollback(struct mf_database *database);

int mf_database_insert(struct mf_database *database, const struct mf_journal_attempt *attempt,
                       struct mf_error *err);
int mf_database_set_printed(struct mf_database *database, uint64_t row, struct mf_error *err);

/** Notes that the output of a row is nowhere. Returns 0 or -errno. */
int mf_database_forget_output(struct mf_database *database, uint64_t row, struct mf_error *err);
/** Turns the rows of FAILED tasks into those of attempts that were tried again. */
int mf_database_forgive(struct mf_database *database, struct mf_error *err);
int mf_database_set_text(struct mf_database *database, const char *name, const char *value,
                         struct mf_error *err);

/** As mf_journal_get_text(). */
int mf_database_get_text(struct mf_database *database, const char *name, char *text, size_t size,
                         struct mf_error *err);

/** The largest row, 0 when there is none. Returns 0 or -errno. */
int mf_database_last_row(struct mf_database *database, uint64_t *ret_row, struct mf_error *err);

/** As mf_journal_each(). */
int mf_database_each(struct mf_database *database, mf_journal_fn fn, void *arg,
                     struct mf_error *err);

/** As mf_journal_walk(). */
int mf_database_walk(struct mf_database *database, uint64_t row, uint32_t n, mf_journal_row_fn fn,
                     void *arg, struct mf_error *err);

/** Returns 0 or -errno. O(attempts) only if the run is not complete. */
int mf_database_survey(struct mf_database *database, struct mf_database_survey *ret_survey,
                       struct mf_error *err);

#endif
