/*
 * The journal's database: the one place that calls SQLite. What it stores is
 * described in schema.h.
 *
 * The connection locks the file exclusively before the write-ahead log is
 * switched on, so that the log's index lives in the process and no shared
 * memory is needed on network file systems. With synchronous=FULL one commit
 * is one fdatasync of the log. Used by rank 0, one thread.
 */
#include "journal/database.h"

#include "journal/schema.h"

#include <assert.h>
#include <errno.h>
#include <sqlite3.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING(x) #x
#define NUMBER_TEXT(x) STRING(x)

/* Pages in the log before it is copied back: large, as each copying syncs twice. */
#define CHECKPOINT_PAGES 4000
#define BUSY_TIMEOUT_MS 1000

static const char setup_sql[] = "PRAGMA journal_mode = WAL;"
                                "PRAGMA synchronous = FULL;"
                                "PRAGMA wal_autocheckpoint = " NUMBER_TEXT(CHECKPOINT_PAGES) ";";

static const char insert_sql[] = "INSERT INTO attempt VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                                 "?,?,?,?,?,?,?,?,?,?,?,?,?)";
static const char printed_sql[] = "UPDATE attempt SET printed = 1 WHERE row = ?";
static const char forget_sql[] = "UPDATE attempt SET store = 0 WHERE row = ?";
static const char set_text_sql[] = "INSERT OR REPLACE INTO run VALUES (?, ?)";

/* A task is what one key under one id is; its last attempt says what became of it. */
static const char count_sql[] = "SELECT ifnull(sum(state = 4), 0), ifnull(sum(state = 5), 0)"
                                " FROM (SELECT state, max(row) FROM attempt GROUP BY key, id)";

struct mf_database {
    sqlite3 *db;
    char *shown;
    sqlite3_stmt *insert;
    sqlite3_stmt *set_printed;
    sqlite3_stmt *forget_output;
    sqlite3_stmt *set_text;
};

static int report_damage(const struct mf_database *database, const char *what, struct mf_error *err)
{
    return mf_error_set(err, -EBADMSG,
                        "%s: is damaged (%s); put a copy in its place, or use --force to start "
                        "afresh",
                        database->shown, what);
}

/* The errno behind an I/O error, 0 when SQLite cannot tell: of the log, else of the database. */
static int find_errno(struct mf_database *database)
{
    sqlite3_file *log = NULL;
    int code = sqlite3_system_errno(database->db);

    if (!code)
        sqlite3_file_control(database->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (!code && log && log->pMethods)
        log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &code);
    if (!code)
        sqlite3_file_control(database->db, "main", SQLITE_FCNTL_LAST_ERRNO, &code);
    return code;
}

/* Turns SQLite's last error into a code and a sentence. */
static int fail(struct mf_database *database, int rc, struct mf_error *err)
{
    int code = 0;

    switch (rc & 0xff) {
    case SQLITE_NOTADB:
        return mf_error_set(err, -EBADMSG,
                            "%s: is not a journal of mpifarm; use --run-dir for another "
                            "directory, or --force to replace it",
                            database->shown);
    case SQLITE_CORRUPT:
        return report_damage(database, sqlite3_errmsg(database->db), err);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return mf_error_set(err, -EBUSY, "%s: in use by another program", database->shown);
    case SQLITE_NOMEM:
        return mf_error_set(err, -ENOMEM, "%s: out of memory", database->shown);
    case SQLITE_FULL:
        code = ENOSPC;
        break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
        code = EACCES;
        break;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        code = find_errno(database);
        break;
    default:
        break;
    }
    if (!code)
        return mf_error_set(err, -EIO, "%s: %s", database->shown, sqlite3_errmsg(database->db));
    if (code == ENOSPC || code == EDQUOT || code == EFBIG)
        return mf_error_set(err, -code, "%s: cannot be written: %s; make room there",
                            database->shown, strerror(code));
    return mf_error_set(err, -code, "%s: %s", database->shown, strerror(code));
}

static int execute(struct mf_database *database, const char *sql, struct mf_error *err)
{
    int rc = sqlite3_exec(database->db, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? 0 : fail(database, rc, err);
}

static int prepare(struct mf_database *database, const char *sql, sqlite3_stmt **ret_statement,
                   struct mf_error *err)
{
    int rc =
        sqlite3_prepare_v3(database->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret_statement, NULL);

    return rc == SQLITE_OK ? 0 : fail(database, rc, err);
}

/* Runs a statement that gives no rows, and makes it ready for its next use. */
static int step_once(struct mf_database *database, sqlite3_stmt *statement, struct mf_error *err)
{
    int rc = sqlite3_step(statement);
    int code = rc == SQLITE_DONE ? 0 : fail(database, rc, err);

    sqlite3_reset(statement);
    return code;
}

/* Runs a query of one row of up to two numbers. */
static int query_numbers(struct mf_database *database, const char *sql, int64_t *ret_first,
                         int64_t *ret_second, struct mf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = prepare(database, sql, &statement, err);
    int rc;

    if (code)
        return code;
    rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW) {
        *ret_first = sqlite3_column_int64(statement, 0);
        if (ret_second)
            *ret_second = sqlite3_column_int64(statement, 1);
    } else {
        code = fail(database, rc, err);
    }
    sqlite3_finalize(statement);
    return code;
}

/* Returns 1 for a journal of ours, 0 for an empty file, or -errno; nothing is written. */
static int identify(struct mf_database *database, struct mf_error *err)
{
    int64_t application = 0, version = 0, n_tables = 0;
    int code = query_numbers(database, "PRAGMA application_id", &application, NULL, err);

    if (!code)
        code = query_numbers(database, "PRAGMA user_version", &version, NULL, err);
    if (!code)
        code = query_numbers(database, "SELECT count(*) FROM sqlite_schema", &n_tables, NULL, err);
    if (code)
        return code;
    if (application == 0 && n_tables == 0)
        return 0;
    if (application != MF_SCHEMA_APPLICATION)
        return fail(database, SQLITE_NOTADB, err);
    if (version != MF_SCHEMA_VERSION)
        return mf_error_set(err, -EBADMSG,
                            "%s: was written by another mpifarm (its version is %lld, this program "
                            "knows %d); use that mpifarm, or --run-dir for another directory",
                            database->shown, (long long)version, MF_SCHEMA_VERSION);
    return 1;
}

static int open_tables(struct mf_database *database, bool is_empty_refused, struct mf_error *err)
{
    int code = execute(database, "PRAGMA locking_mode = EXCLUSIVE", err);
    int is_ours = code ? code : identify(database, err);

    if (is_ours < 0)
        return is_ours;
    if (!is_ours && is_empty_refused)
        return mf_error_set(err, -ENOENT, "%s: holds no run yet", database->shown);
    code = execute(database, setup_sql, err);
    if (!code && !is_ours)
        code = execute(database, mf_schema_sql, err);
    if (!code)
        code = prepare(database, insert_sql, &database->insert, err);
    if (!code)
        code = prepare(database, printed_sql, &database->set_printed, err);
    if (!code)
        code = prepare(database, forget_sql, &database->forget_output, err);
    if (!code)
        code = prepare(database, set_text_sql, &database->set_text, err);
    return code;
}

int mf_database_open(const char *path, const char *shown, bool is_empty_refused,
                     struct mf_database **ret_database, struct mf_error *err)
{
    struct mf_database *database = calloc(1, sizeof(*database));
    int code, rc;

    if (!database || !(database->shown = strdup(shown))) {
        free(database);
        return mf_error_set(err, -ENOMEM, "%s: out of memory", shown);
    }
    rc = sqlite3_open_v2(path, &database->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_busy_timeout(database->db, BUSY_TIMEOUT_MS);
    code = rc == SQLITE_OK ? open_tables(database, is_empty_refused, err) : fail(database, rc, err);
    if (code) {
        mf_database_close(database);
        return code;
    }
    *ret_database = database;
    return 0;
}

void mf_database_close(struct mf_database *database)
{
    if (!database)
        return;
    sqlite3_finalize(database->insert);
    sqlite3_finalize(database->set_printed);
    sqlite3_finalize(database->forget_output);
    sqlite3_finalize(database->set_text);
    /* Copying the log back may fail; it then stays and is read at the next open. */
    sqlite3_close_v2(database->db);
    free(database->shown);
    free(database);
}

void mf_database_set_disposable(struct mf_database *database)
{
    sqlite3_db_config(database->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

int mf_database_begin(struct mf_database *database, struct mf_error *err)
{
    return execute(database, "BEGIN IMMEDIATE", err);
}

int mf_database_commit(struct mf_database *database, struct mf_error *err)
{
    return execute(database, "COMMIT", err);
}

void mf_database_rollback(struct mf_database *database)
{
    /* After some errors SQLite has done it already. */
    if (!sqlite3_get_autocommit(database->db))
        sqlite3_exec(database->db, "ROLLBACK", NULL, NULL, NULL);
}

static int bind_column(sqlite3_stmt *statement, int index, const struct mf_column *column,
                       const void *value)
{
    uint32_t number;

    switch (column->kind) {
    case MF_COLUMN_64:
        return sqlite3_bind_int64(statement, index, *(const sqlite3_int64 *)value);
    case MF_COLUMN_U32:
        return sqlite3_bind_int64(statement, index, *(const uint32_t *)value);
    case MF_COLUMN_I32:
        return sqlite3_bind_int64(statement, index, *(const int32_t *)value);
    case MF_COLUMN_BOOL:
        return sqlite3_bind_int64(statement, index, *(const bool *)value);
    case MF_COLUMN_RANK:
        number = *(const uint32_t *)value;
        return number == MF_WORKER_NONE ? sqlite3_bind_null(statement, index)
                                        : sqlite3_bind_int64(statement, index, number);
    case MF_COLUMN_TEXT:
        return sqlite3_bind_text(statement, index, *(const char *const *)value, -1, SQLITE_STATIC);
    case MF_COLUMN_DETAIL:
        return sqlite3_bind_text(statement, index, value, -1, SQLITE_STATIC);
    case MF_COLUMN_KEY:
        return sqlite3_bind_blob(statement, index, value, MF_KEY_SIZE, SQLITE_STATIC);
    }
    return SQLITE_MISUSE;
}

int mf_database_insert(struct mf_database *database, const struct mf_journal_attempt *attempt,
                       struct mf_error *err)
{
    for (int i = 0; i < MF_SCHEMA_N_COLUMNS; i++) {
        int rc = bind_column(database->insert, i + 1, &mf_schema_columns[i],
                             (const char *)attempt + mf_schema_columns[i].offset);

        if (rc != SQLITE_OK)
            return fail(database, rc, err);
    }
    return step_once(database, database->insert, err);
}

int mf_database_set_printed(struct mf_database *database, uint64_t row, struct mf_error *err)
{
    sqlite3_bind_int64(database->set_printed, 1, (sqlite3_int64)row);
    return step_once(database, database->set_printed, err);
}

int mf_database_forget_output(struct mf_database *database, uint64_t row, struct mf_error *err)
{
    sqlite3_bind_int64(database->forget_output, 1, (sqlite3_int64)row);
    return step_once(database, database->forget_output, err);
}

int mf_database_forgive(struct mf_database *database, struct mf_error *err)
{
    static_assert(MF_TASK_READY == 1 && MF_TASK_FAILED == 5, "the numbers below");

    return execute(database, "UPDATE attempt SET state = 1, printed = 1 WHERE state = 5", err);
}

int mf_database_set_text(struct mf_database *database, const char *name, const char *value,
                         struct mf_error *err)
{
    int rc = sqlite3_bind_text(database->set_text, 1, name, -1, SQLITE_STATIC);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(database->set_text, 2, value, -1, SQLITE_STATIC);
    if (rc != SQLITE_OK)
        return fail(database, rc, err);
    return step_once(database, database->set_text, err);
}

int mf_database_get_text(struct mf_database *database, const char *name, char *text, size_t size,
                         struct mf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = prepare(database, "SELECT value FROM run WHERE name = ?", &statement, err);
    int rc;

    if (code)
        return code;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    rc = sqlite3_step(statement);
    if (rc == SQLITE_DONE)
        code = mf_error_set(err, -ENOENT, "%s: knows no \"%s\" of its run", database->shown, name);
    else if (rc != SQLITE_ROW)
        code = fail(database, rc, err);
    else if ((size_t)sqlite3_column_bytes(statement, 0) >= size)
        code =
            mf_error_set(err, -ERANGE, "%s: \"%s\" of its run is too long", database->shown, name);
    else
        snprintf(text, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return code;
}

int mf_database_last_row(struct mf_database *database, uint64_t *ret_row, struct mf_error *err)
{
    int64_t row = 0;
    int code = query_numbers(database, "SELECT ifnull(max(row), 0) FROM attempt", &row, NULL, err);

    if (!code)
        *ret_row = (uint64_t)row;
    return code;
}

static bool read_u32(int64_t number, uint32_t max, uint32_t *ret_value)
{
    *ret_value = (uint32_t)number;
    return number >= 0 && number <= (max ? max : UINT32_MAX);
}

/* Returns false for a value that the journal cannot have written. */
static bool read_column(sqlite3_stmt *statement, int index, const struct mf_column *column,
                        void *ret_value)
{
    int64_t number = sqlite3_column_int64(statement, index);
    const void *bytes;

    switch (column->kind) {
    case MF_COLUMN_64:
        *(int64_t *)ret_value = number;
        return true;
    case MF_COLUMN_U32:
        return read_u32(number, column->max, ret_value);
    case MF_COLUMN_I32:
        *(int32_t *)ret_value = (int32_t)number;
        return number >= INT32_MIN && number <= INT32_MAX;
    case MF_COLUMN_BOOL:
        *(bool *)ret_value = number != 0;
        return true;
    case MF_COLUMN_RANK:
        if (sqlite3_column_type(statement, index) == SQLITE_NULL)
            number = MF_WORKER_NONE;
        return read_u32(number, 0, ret_value);
    case MF_COLUMN_TEXT:
        *(const char **)ret_value = (const char *)sqlite3_column_text(statement, index);
        return *(const char **)ret_value;
    case MF_COLUMN_DETAIL:
        bytes = sqlite3_column_text(statement, index);
        if (!bytes || strlen(bytes) >= sizeof(((struct mf_outcome *)0)->detail))
            return false;
        strcpy(ret_value, bytes);
        return true;
    case MF_COLUMN_KEY:
        bytes = sqlite3_column_blob(statement, index);
        if (!bytes || sqlite3_column_bytes(statement, index) != MF_KEY_SIZE)
            return false;
        memcpy(ret_value, bytes, MF_KEY_SIZE);
        return true;
    }
    return false;
}

static int read_attempt(struct mf_database *database, sqlite3_stmt *statement,
                        struct mf_journal_attempt *ret_attempt, struct mf_error *err)
{
    memset(ret_attempt, 0, sizeof(*ret_attempt));
    for (int i = 0; i < MF_SCHEMA_N_COLUMNS; i++) {
        if (!read_column(statement, i, &mf_schema_columns[i],
                         (char *)ret_attempt + mf_schema_columns[i].offset))
            return report_damage(database, "a row of table attempt makes no sense", err);
    }
    return 0;
}

int mf_database_each(struct mf_database *database, mf_journal_fn fn, void *arg,
                     struct mf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code = prepare(database, "SELECT * FROM attempt ORDER BY row", &statement, err);
    int rc = SQLITE_ROW;

    while (!code && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        struct mf_journal_attempt attempt;

        code = read_attempt(database, statement, &attempt, err);
        if (!code)
            code = fn(arg, &attempt);
    }
    if (!code && rc != SQLITE_DONE)
        code = fail(database, rc, err);
    sqlite3_finalize(statement);
    return code;
}

/* Gives a row to fn. Returns 0 or -EBADMSG. */
static int walk_over(struct mf_database *database, sqlite3_stmt *statement, mf_journal_row_fn fn,
                     void *arg, struct mf_error *err)
{
    const char *id = (const char *)sqlite3_column_text(statement, 1);
    uint32_t state;

    if (!id || !read_u32(sqlite3_column_int64(statement, 2), MF_TASK_STATE_COUNT - 1, &state))
        return report_damage(database, "a row of table attempt makes no sense", err);
    fn(arg, (uint64_t)sqlite3_column_int64(statement, 0), id, (enum mf_task_state)state);
    return 0;
}

int mf_database_walk(struct mf_database *database, uint64_t row, uint32_t n, mf_journal_row_fn fn,
                     void *arg, struct mf_error *err)
{
    sqlite3_stmt *statement = NULL;
    int code =
        prepare(database, "SELECT row, id, state FROM attempt WHERE row > ? ORDER BY row LIMIT ?",
                &statement, err);
    int n_rows = 0, rc = SQLITE_ROW;

    if (code)
        return code;
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)row);
    sqlite3_bind_int64(statement, 2, n);
    while (!code && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        code = walk_over(database, statement, fn, arg, err);
        n_rows++;
    }
    if (!code && rc != SQLITE_DONE)
        code = fail(database, rc, err);
    sqlite3_finalize(statement);
    return code ? code : n_rows;
}

int mf_database_survey(struct mf_database *database, struct mf_database_survey *ret_survey,
                       struct mf_error *err)
{
    static const char glance_sql[] =
        "SELECT EXISTS (SELECT 1 FROM attempt),"
        " ifnull((SELECT value = '1' FROM run WHERE name = 'finished'), 0)"
        " AND NOT EXISTS (SELECT 1 FROM attempt WHERE state = 5)";
    int64_t has_attempts = 0, is_complete = 0, n_done = 0, n_failed = 0;
    int64_t is_finished = 0;
    int code = query_numbers(database, glance_sql, &has_attempts, &is_complete, err);

    /* A task that failed may have been done by --resume-failed: only counting tells. */
    if (!code && !is_complete)
        code = query_numbers(database, count_sql, &n_done, &n_failed, err);
    if (!code && !is_complete)
        code = query_numbers(database,
                             "SELECT EXISTS (SELECT 1 FROM run WHERE name = 'finished' AND value = "
                             "'1')",
                             &is_finished, NULL, err);
    if (code)
        return code;
    *ret_survey = (struct mf_database_survey){
        .has_attempts = has_attempts,
        .is_complete = is_complete || (is_finished && n_failed == 0),
        .n_done = (uint64_t)n_done,
        .n_failed = (uint64_t)n_failed,
    };
    return 0;
}
