/*
 * The journal's tables, as `sqlite3 mpifarm-run/journal.db` shows them.
 *
 *   attempt   one row for each ended attempt, in the order of their ends; its
 *             columns are explained in the schema itself, which `.schema` prints
 *   run       name and value of what is known of the run as a whole:
 *             "finished" is 1 once all its tasks are final, "stopped by" says
 *             what stopped it before that, "" for nothing; "began" says since
 *             when it goes on, in ns since 1970, "" when it has ended
 *
 *   SELECT id, attempt, exit_status, duration_ns / 1e9, command
 *     FROM attempt WHERE state = 5;                          -- what failed, and how
 *   SELECT host, count(*), sum(duration_ns) / 1e9 FROM attempt GROUP BY host;
 *
 * The file is told from others by its application_id, and its layout by
 * user_version.
 */
#ifndef MF_JOURNAL_SCHEMA_H
#define MF_JOURNAL_SCHEMA_H

#include <stddef.h>
#include <stdint.h>

#define MF_SCHEMA_APPLICATION 0x6d704a6c /* "mpJl" */
#define MF_SCHEMA_VERSION 1

/** Makes all tables in one transaction. */
extern const char mf_schema_sql[];

/** Type of a column's value in struct mf_journal_attempt. */
enum mf_column_kind {
    MF_COLUMN_64,     /* int64_t, or uint64_t as the same bits */
    MF_COLUMN_U32,    /* uint32_t or an enum */
    MF_COLUMN_I32,    /* int32_t */
    MF_COLUMN_BOOL,   /* bool */
    MF_COLUMN_RANK,   /* mf_worker_id; MF_WORKER_NONE is NULL */
    MF_COLUMN_TEXT,   /* const char * */
    MF_COLUMN_DETAIL, /* the array of struct mf_outcome */
    MF_COLUMN_KEY,    /* MF_KEY_SIZE bytes */
};

/**
 * Where a column's value is in struct mf_journal_attempt.
 *
 * @max  of an enum, 0 for the type's own
 */
struct mf_column {
    enum mf_column_kind kind;
    size_t offset;
    uint32_t max;
};

/** The columns of table attempt, in its order. */
#define MF_SCHEMA_N_COLUMNS 30
extern const struct mf_column mf_schema_columns[MF_SCHEMA_N_COLUMNS];

#endif
