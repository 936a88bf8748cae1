/* The journal's tables: see schema.h. Data only. */
#include "journal/schema.h"

#include "journal/journal.h"

#include <assert.h>

#define STRING(x) #x
#define NUMBER_TEXT(x) STRING(x)

const char mf_schema_sql[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE attempt (\n"
    "  row INTEGER PRIMARY KEY,   -- order of the ends\n"
    "  seq INTEGER NOT NULL,      -- place of the task in the input, from 1\n"
    "  id TEXT NOT NULL,          -- of the task: given, or its line number\n"
    "  key BLOB NOT NULL,         -- identity of the command across runs\n"
    "  command TEXT NOT NULL,\n"
    "  attempt INTEGER NOT NULL,  -- from 1\n"
    "  state INTEGER NOT NULL,    -- of the task after it: 1 to be tried again, 4 done,\n"
    "                             -- 5 failed, 6 cancelled, 7 skipped\n"
    "  host TEXT NOT NULL,        -- where it ran, '' for nowhere\n"
    "  rank INTEGER,              -- NULL for nowhere\n"
    "  cause INTEGER NOT NULL,    -- 0 success, 1 exit status, 2 signal, 3 time limit,\n"
    "                             -- 4 not started, 5 output not kept, 6 worker lost,\n"
    "                             -- 7 stopped, 8 fits no worker, 9 skipped, 10 memory,\n"
    "                             -- 11 launcher process lost\n"
    "  exit_status INTEGER NOT NULL,\n"
    "  signal INTEGER NOT NULL,\n"
    "  pid INTEGER NOT NULL,\n"
    "  slot INTEGER NOT NULL,\n"
    "  started_ns INTEGER NOT NULL, -- since 1970-01-01 UTC\n"
    "  duration_ns INTEGER NOT NULL,\n"
    "  user_ns INTEGER NOT NULL,    -- processor time\n"
    "  system_ns INTEGER NOT NULL,\n"
    "  max_rss_bytes INTEGER NOT NULL,\n"
    "  stdout_bytes INTEGER NOT NULL, -- written by the command\n"
    "  stderr_bytes INTEGER NOT NULL,\n"
    "  stdout_dropped INTEGER NOT NULL, -- of these, over --output-limit\n"
    "  stderr_dropped INTEGER NOT NULL,\n"
    "  detail TEXT NOT NULL,\n"
    "  store INTEGER NOT NULL,     -- where the output is: 0 nowhere, 1 kept, 2 spool,\n"
    "                            -- 3 feed\n"
    "  file INTEGER NOT NULL,      -- number of the file in the store\n"
    "  offset INTEGER NOT NULL,    -- of standard output; standard error follows\n"
    "  stdout_size INTEGER NOT NULL,\n"
    "  stderr_size INTEGER NOT NULL,\n"
    "  printed INTEGER NOT NULL    -- 0 while its output must still be printed\n"
    ");\n"
    "CREATE INDEX attempt_failed ON attempt (row) WHERE state = 5;\n"
    "CREATE TABLE run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;\n"
    "PRAGMA application_id = " NUMBER_TEXT(
        MF_SCHEMA_APPLICATION) ";"
                               "PRAGMA user_version = " NUMBER_TEXT(MF_SCHEMA_VERSION) ";"
                                                                                       "COMMIT;";

/* Enums are stored through their numbers. */
static_assert(sizeof(enum mf_task_state) == 4 && sizeof(enum mf_cause) == 4, "enums of 32 bits");

#define AT(member) offsetof(struct mf_journal_attempt, member)

const struct mf_column mf_schema_columns[MF_SCHEMA_N_COLUMNS] = {
    {MF_COLUMN_64, AT(row)},
    {MF_COLUMN_64, AT(seq)},
    {MF_COLUMN_TEXT, AT(id)},
    {MF_COLUMN_KEY, AT(key)},
    {MF_COLUMN_TEXT, AT(command_text)},
    {MF_COLUMN_U32, AT(attempt)},
    {MF_COLUMN_U32, AT(state), MF_TASK_STATE_COUNT - 1},
    {MF_COLUMN_TEXT, AT(host)},
    {MF_COLUMN_RANK, AT(rank)},
    {MF_COLUMN_U32, AT(outcome.cause), MF_CAUSE_MAX},
    {MF_COLUMN_I32, AT(outcome.exit_status)},
    {MF_COLUMN_I32, AT(outcome.signal)},
    {MF_COLUMN_I32, AT(outcome.pid)},
    {MF_COLUMN_U32, AT(outcome.slot)},
    {MF_COLUMN_64, AT(outcome.started_wall_ns)},
    {MF_COLUMN_64, AT(outcome.duration_ns)},
    {MF_COLUMN_64, AT(outcome.user_ns)},
    {MF_COLUMN_64, AT(outcome.system_ns)},
    {MF_COLUMN_64, AT(outcome.max_rss_bytes)},
    {MF_COLUMN_64, AT(outcome.produced_bytes[MF_STDOUT])},
    {MF_COLUMN_64, AT(outcome.produced_bytes[MF_STDERR])},
    {MF_COLUMN_64, AT(outcome.dropped_bytes[MF_STDOUT])},
    {MF_COLUMN_64, AT(outcome.dropped_bytes[MF_STDERR])},
    {MF_COLUMN_DETAIL, AT(outcome.detail)},
    {MF_COLUMN_U32, AT(region.store)},
    {MF_COLUMN_U32, AT(region.file)},
    {MF_COLUMN_64, AT(region.offset)},
    {MF_COLUMN_64, AT(region.size[MF_STDOUT])},
    {MF_COLUMN_64, AT(region.size[MF_STDERR])},
    {MF_COLUMN_BOOL, AT(is_printed)},
};
