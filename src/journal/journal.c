/*
 * The journal: groups of records over a run directory and its database.
 *
 * The open group lives in memory as encoded records and goes to the database
 * in one transaction when it is committed. A commit that fails is undone and
 * leaves the group as it was, so that it can be tried again once there is room
 * on the disk. Used by rank 0, one thread.
 */
#include "journal/journal.h"

#include "journal/database.h"
#include "journal/rundir.h"
#include "journal/snapshot.h"
#include "journal/witness.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A text of an earlier run that is longer is not taken over. */
#define LEGACY_BYTES ((size_t)256 << 10)

#define FINISHED "finished"

/**
 * @rundir      directory and lock; not used for reading
 * @snapshot    the copy that is read; removed as soon as it is open
 * @group       records of the open group, in order
 * @n_pending   how many those are
 * @next_row    row of the next attempt
 * @n_missing   ended tasks that it was found to have lost
 * @is_finished what the journal says of the run, the open group included
 */
struct mf_journal {
    struct mf_rundir rundir;
    struct mf_database *database;
    struct mf_buffer group;
    uint64_t n_pending;
    uint64_t next_row;
    uint64_t n_missing;
    bool is_finished;
    bool is_reading;
    ino_t inode; /* of journal.db */
    dev_t device;
};

enum record_kind { RECORD_ATTEMPT = 1, RECORD_PRINTED, RECORD_FORGOTTEN, RECORD_TEXT };

/* A record of the group; texts point into the group. */
struct record {
    enum record_kind kind;
    struct mf_journal_attempt attempt;
    uint64_t row;
    const char *name;
    const char *value;
};

/* With its NUL, so that a reader can use it in place. */
static void put_string(struct mf_buffer *buffer, const char *text)
{
    text = text ? text : "";
    mf_buffer_put_bytes(buffer, text, strlen(text) + 1);
}

static const char *get_string(struct mf_reader *reader)
{
    size_t size;

    return (const char *)mf_reader_get_bytes(reader, &size);
}

static void encode_attempt(struct mf_buffer *buffer, const struct mf_journal_attempt *attempt)
{
    mf_buffer_put_u8(buffer, RECORD_ATTEMPT);
    mf_buffer_put_u64(buffer, attempt->row);
    mf_buffer_put_u64(buffer, attempt->seq);
    put_string(buffer, attempt->id);
    mf_buffer_append(buffer, attempt->key, MF_KEY_SIZE);
    put_string(buffer, attempt->command_text);
    mf_buffer_put_u32(buffer, attempt->attempt);
    mf_buffer_put_u8(buffer, (uint8_t)attempt->state);
    put_string(buffer, attempt->host);
    mf_buffer_put_u32(buffer, attempt->rank);
    mf_outcome_encode(&attempt->outcome, buffer);
    mf_buffer_put_u32(buffer, attempt->region.store);
    mf_buffer_put_u32(buffer, attempt->region.file);
    mf_buffer_put_u64(buffer, attempt->region.offset);
    mf_buffer_put_u64(buffer, attempt->region.size[MF_STDOUT]);
    mf_buffer_put_u64(buffer, attempt->region.size[MF_STDERR]);
    mf_buffer_put_u8(buffer, attempt->is_printed);
}

static void decode_attempt(struct mf_reader *reader, struct mf_journal_attempt *ret_attempt)
{
    const uint8_t *key;

    ret_attempt->row = mf_reader_get_u64(reader);
    ret_attempt->seq = mf_reader_get_u64(reader);
    ret_attempt->id = get_string(reader);
    key = mf_reader_get_raw(reader, MF_KEY_SIZE);
    if (key)
        memcpy(ret_attempt->key, key, MF_KEY_SIZE);
    ret_attempt->command_text = get_string(reader);
    ret_attempt->attempt = mf_reader_get_u32(reader);
    ret_attempt->state = (enum mf_task_state)mf_reader_get_u8(reader);
    ret_attempt->host = get_string(reader);
    ret_attempt->rank = mf_reader_get_u32(reader);
    mf_outcome_decode(reader, &ret_attempt->outcome);
    ret_attempt->region.store = mf_reader_get_u32(reader);
    ret_attempt->region.file = mf_reader_get_u32(reader);
    ret_attempt->region.offset = mf_reader_get_u64(reader);
    ret_attempt->region.size[MF_STDOUT] = mf_reader_get_u64(reader);
    ret_attempt->region.size[MF_STDERR] = mf_reader_get_u64(reader);
    ret_attempt->is_printed = mf_reader_get_u8(reader);
}

/* Takes the next record of the group; false behind the last. */
static bool next_record(struct mf_reader *reader, struct record *ret_record)
{
    if (!reader->left)
        return false;
    ret_record->kind = (enum record_kind)mf_reader_get_u8(reader);
    switch (ret_record->kind) {
    case RECORD_ATTEMPT:
        decode_attempt(reader, &ret_record->attempt);
        break;
    case RECORD_PRINTED:
    case RECORD_FORGOTTEN:
        ret_record->row = mf_reader_get_u64(reader);
        break;
    case RECORD_TEXT:
        ret_record->name = get_string(reader);
        ret_record->value = get_string(reader);
        break;
    }
    assert(!reader->has_failed);
    return true;
}

/* Accepts the record just encoded, or takes back what of it fitted. */
static int end_record(struct mf_journal *journal, size_t old_size, struct mf_error *err)
{
    if (mf_buffer_status(&journal->group) == 0) {
        journal->n_pending++;
        return 0;
    }
    journal->group.size = old_size;
    journal->group.has_failed = false;
    return mf_error_set(err, -ENOMEM, "%s: out of memory for the journal", journal->rundir.path);
}

int mf_journal_set_text(struct mf_journal *journal, const char *name, const char *text,
                        struct mf_error *err)
{
    size_t old_size = journal->group.size;

    assert(!journal->is_reading);
    mf_buffer_put_u8(&journal->group, RECORD_TEXT);
    put_string(&journal->group, name);
    put_string(&journal->group, text);
    return end_record(journal, old_size, err);
}

int mf_journal_set_finished(struct mf_journal *journal, bool is_all_done, struct mf_error *err)
{
    int code = mf_journal_set_text(journal, FINISHED, is_all_done ? "1" : "0", err);

    if (!code)
        journal->is_finished = is_all_done;
    return code;
}

int mf_journal_append(struct mf_journal *journal, struct mf_journal_attempt *attempt,
                      struct mf_error *err)
{
    size_t old_size;
    int code = 0;

    assert(!journal->is_reading);
    /* A run that goes on is not finished any more, should it die before it says so. */
    if (journal->is_finished)
        code = mf_journal_set_finished(journal, false, err);
    if (code)
        return code;
    old_size = journal->group.size;
    attempt->row = journal->next_row;
    encode_attempt(&journal->group, attempt);
    code = end_record(journal, old_size, err);
    if (!code)
        journal->next_row++;
    return code;
}

/* A record about a row that is there already. */
static int note_row(struct mf_journal *journal, enum record_kind kind, uint64_t row,
                    struct mf_error *err)
{
    size_t old_size = journal->group.size;

    assert(!journal->is_reading);
    mf_buffer_put_u8(&journal->group, (uint8_t)kind);
    mf_buffer_put_u64(&journal->group, row);
    return end_record(journal, old_size, err);
}

int mf_journal_set_printed(struct mf_journal *journal, uint64_t row, struct mf_error *err)
{
    return note_row(journal, RECORD_PRINTED, row, err);
}

int mf_journal_forget_output(struct mf_journal *journal, uint64_t row, struct mf_error *err)
{
    return note_row(journal, RECORD_FORGOTTEN, row, err);
}

int mf_journal_get_text(struct mf_journal *journal, const char *name, char *text, size_t size,
                        struct mf_error *err)
{
    struct mf_reader reader = mf_reader_over(journal->group.data, journal->group.size);
    struct record record;
    const char *found = NULL;

    while (next_record(&reader, &record)) {
        if (record.kind == RECORD_TEXT && strcmp(record.name, name) == 0)
            found = record.value;
    }
    if (!found)
        return mf_database_get_text(journal->database, name, text, size, err);
    if (strlen(found) >= size)
        return mf_error_set(err, -ERANGE, "\"%s\" of the run is too long", name);
    memcpy(text, found, strlen(found) + 1);
    return 0;
}

uint64_t mf_journal_pending(const struct mf_journal *journal)
{
    return journal->n_pending;
}

static int apply_record(struct mf_database *database, const struct record *record,
                        struct mf_error *err)
{
    switch (record->kind) {
    case RECORD_ATTEMPT:
        return mf_database_insert(database, &record->attempt, err);
    case RECORD_PRINTED:
        return mf_database_set_printed(database, record->row, err);
    case RECORD_FORGOTTEN:
        return mf_database_forget_output(database, record->row, err);
    case RECORD_TEXT:
        return mf_database_set_text(database, record->name, record->value, err);
    }
    return -EINVAL;
}

int mf_journal_commit(struct mf_journal *journal, struct mf_error *err)
{
    struct mf_reader reader = mf_reader_over(journal->group.data, journal->group.size);
    struct record record;
    int code;

    if (!journal->n_pending)
        return 0;
    code = mf_database_begin(journal->database, err);
    while (!code && next_record(&reader, &record))
        code = apply_record(journal->database, &record, err);
    if (!code)
        code = mf_database_commit(journal->database, err);
    if (code) {
        mf_database_rollback(journal->database);
        return code;
    }
    mf_buffer_clear(&journal->group);
    journal->n_pending = 0;
    return 0;
}

int mf_journal_each(struct mf_journal *journal, mf_journal_fn fn, void *arg, struct mf_error *err)
{
    return mf_database_each(journal->database, fn, arg, err);
}

int mf_journal_walk(struct mf_journal *journal, uint64_t row, uint32_t n, mf_journal_row_fn fn,
                    void *arg, struct mf_error *err)
{
    return mf_database_walk(journal->database, row, n, fn, arg, err);
}

/* The database file of a directory. A path must not look like a URI to SQLite. */
static char *join_path(const char *dir)
{
    char *path;

    if (asprintf(&path, "%s%s/%s", dir[0] == '/' ? "" : "./", dir, MF_RUNDIR_JOURNAL) < 0)
        return NULL;
    return path;
}

static char *join_shown(const char *dir)
{
    char *path;

    return asprintf(&path, "%s/%s", dir, MF_RUNDIR_JOURNAL) < 0 ? NULL : path;
}

static int open_database(struct mf_journal *journal, const char *path, const char *dir,
                         struct mf_error *err)
{
    char *shown = join_shown(dir);
    int code;

    if (!path || !shown)
        code = mf_error_set(err, -ENOMEM, "%s: out of memory", dir);
    else
        code = mf_database_open(path, shown, journal->is_reading, &journal->database, err);
    free(shown);
    return code;
}

/* Learns where the journal ends. */
static int read_state(struct mf_journal *journal, struct mf_error *err)
{
    char text[8];
    uint64_t last_row = 0;
    int code = mf_database_last_row(journal->database, &last_row, err);

    if (code)
        return code;
    journal->next_row = last_row + 1;
    code = mf_database_get_text(journal->database, FINISHED, text, sizeof(text), NULL);
    journal->is_finished = !code && strcmp(text, "1") == 0;
    return 0;
}

static int open_for_reading(struct mf_journal *journal, const char *dir, struct mf_error *err)
{
    /* First, so that what is committed and told meanwhile does not look lost. */
    uint64_t n_told = mf_witness_count(dir);
    struct mf_snapshot snapshot;
    int code = mf_snapshot_take(&snapshot, dir, err);

    if (code)
        return code;
    code = open_database(journal, snapshot.path, dir, err);
    if (!code) {
        mf_database_set_disposable(journal->database);
        code = read_state(journal, err);
    }
    /* The database has its files open: nothing is left behind however this process ends. */
    mf_snapshot_remove(&snapshot);
    if (n_told > 0 && (code == -ENOENT || (!code && journal->next_row == 1)))
        return mf_witness_check(dir, n_told, 0, err);
    return code;
}

/* Returns 0 if the run that is there may be replaced without being asked. */
static int check_replaceable(struct mf_journal *journal, struct mf_error *err)
{
    struct mf_database_survey survey;
    int code = mf_database_survey(journal->database, &survey, err);

    if (!code && !survey.has_attempts)
        return mf_witness_check(journal->rundir.path, mf_witness_count(journal->rundir.path), 0,
                                err);
    if (code || survey.is_complete)
        return code;
    return mf_error_set(err, -EEXIST,
                        "%s: holds a run that is not complete (%llu done, %llu failed); use "
                        "--resume or --resume-failed to continue it, --run-dir for another "
                        "directory, or --force to start afresh",
                        journal->rundir.path, (unsigned long long)survey.n_done,
                        (unsigned long long)survey.n_failed);
}

/* Takes out of the run that is replaced what outlives it. What is damaged is replaced without. */
static void read_legacy(struct mf_journal *journal, char *text, size_t size)
{
    if (mf_database_get_text(journal->database, MF_JOURNAL_LEARNED, text, size, NULL) < 0)
        text[0] = '\0';
}

/* Looks at the run that is to be replaced. Only where nobody forces that can it be refused. */
static int look_at_earlier(struct mf_journal *journal, const char *path, const char *dir,
                           enum mf_journal_mode mode, char *legacy, size_t size,
                           struct mf_error *err)
{
    int code = open_database(journal, path, dir, err);

    if (!code && mode == MF_JOURNAL_NEW)
        code = check_replaceable(journal, err);
    if (!code)
        read_legacy(journal, legacy, size);
    mf_database_close(journal->database);
    journal->database = NULL;
    return mode == MF_JOURNAL_NEW ? code : 0;
}

static int open_afresh(struct mf_journal *journal, const char *path, const char *dir,
                       enum mf_journal_mode mode, struct mf_error *err)
{
    char *legacy = calloc(1, LEGACY_BYTES);
    int code;

    if (!legacy)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", dir);
    code = look_at_earlier(journal, path, dir, mode, legacy, LEGACY_BYTES, err);
    if (!code)
        code = mf_rundir_clear(&journal->rundir, err);
    if (!code)
        code = open_database(journal, path, dir, err);
    if (!code && legacy[0])
        code = mf_database_set_text(journal->database, MF_JOURNAL_LEARNED, legacy, err);
    free(legacy);
    return code;
}

static int open_for_writing(struct mf_journal *journal, const char *dir, enum mf_journal_mode mode,
                            struct mf_error *err)
{
    char *path = join_path(dir);
    struct stat status;
    int code = mf_rundir_open(&journal->rundir, dir, err);

    if (!code && mode == MF_JOURNAL_CONTINUE)
        code = open_database(journal, path, dir, err);
    else if (!code)
        code = open_afresh(journal, path, dir, mode, err);
    if (!code && stat(path, &status) == 0) {
        journal->inode = status.st_ino;
        journal->device = status.st_dev;
    }
    free(path);
    return code ? code : read_state(journal, err);
}

/* Compares with what was told beside it. What was lost before is known, and was run again. */
static int find_missing(struct mf_journal *journal, struct mf_error *err)
{
    uint64_t n_told = mf_witness_count(journal->rundir.path), n_known = journal->next_row - 1;
    char text[24] = "";
    int code;

    if (n_told <= n_known)
        return 0;
    code = mf_database_get_text(journal->database, MF_JOURNAL_LOST, text, sizeof(text), err);
    if (code && code != -ENOENT)
        return code;
    n_known += strtoull(text, NULL, 10);
    code = mf_witness_check(journal->rundir.path, n_told, n_known, err);
    if (code || n_told <= n_known)
        return code;
    journal->n_missing = n_told - n_known;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)(n_told - journal->next_row + 1));
    return mf_journal_set_text(journal, MF_JOURNAL_LOST, text, err);
}

static void destroy(struct mf_journal *journal)
{
    mf_database_close(journal->database);
    mf_buffer_finish(&journal->group);
    /* Last, so that nobody opens a journal that is still being closed. */
    mf_rundir_finish(&journal->rundir);
    free(journal);
}

int mf_journal_open(const char *dir, enum mf_journal_mode mode, struct mf_journal **ret_journal,
                    struct mf_error *err)
{
    struct mf_journal *journal = calloc(1, sizeof(*journal));
    int code;

    if (!journal)
        return mf_error_set(err, -ENOMEM, "%s: out of memory", dir);
    journal->rundir = (struct mf_rundir){.fd = -1, .lock_fd = -1};
    journal->is_reading = mode == MF_JOURNAL_READ;
    if (journal->is_reading)
        code = open_for_reading(journal, dir, err);
    else
        code = open_for_writing(journal, dir, mode, err);
    if (!code && mode == MF_JOURNAL_CONTINUE)
        code = find_missing(journal, err);
    if (code) {
        destroy(journal);
        return code;
    }
    *ret_journal = journal;
    return 0;
}

int mf_journal_forgive(struct mf_journal *journal, struct mf_error *err)
{
    return mf_database_forgive(journal->database, err);
}

int mf_journal_check_place(const struct mf_journal *journal, struct mf_error *err)
{
    struct stat status;
    char *path = join_path(journal->rundir.path);
    int code = !path ? -ENOMEM : stat(path, &status) < 0 ? -errno : 0;

    free(path);
    if (!code && status.st_ino == journal->inode && status.st_dev == journal->device)
        return 0;
    if (code == -ENOENT && mf_rundir_is_in_place(&journal->rundir))
        return mf_error_set(err, -ENODATA,
                            "%s/%s: was removed during the run; what has ended since cannot be "
                            "recorded",
                            journal->rundir.path, MF_RUNDIR_JOURNAL);
    return mf_error_set(err, code ? code : -ENOENT,
                        "%s: the run directory was removed or replaced during the run; "
                        "what has ended since cannot be recorded",
                        journal->rundir.path);
}

int mf_journal_check_lock(const struct mf_journal *journal, struct mf_error *err)
{
    return mf_rundir_check_lock(&journal->rundir, err);
}

uint64_t mf_journal_missing(const struct mf_journal *journal)
{
    return journal->n_missing;
}

uint64_t mf_journal_next_row(const struct mf_journal *journal)
{
    return journal->next_row;
}

void mf_journal_discard(struct mf_journal *journal)
{
    mf_buffer_clear(&journal->group);
    journal->n_pending = 0;
}

int mf_journal_close(struct mf_journal *journal, struct mf_error *err)
{
    int code;

    if (!journal)
        return 0;
    code = mf_journal_commit(journal, err);
    destroy(journal);
    return code;
}
