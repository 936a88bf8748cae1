/* A run directory of its own for each test, and attempts to put in it. */
#ifndef MF_TESTS_JOURNAL_T_RUN_H
#define MF_TESTS_JOURNAL_T_RUN_H

#include "journal/journal.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Makes a temporary directory; the path of a run directory in it that does not exist yet. */
const char *t_run_dir(void);

/** Removes it with all that is in it. */
void t_run_remove(void);

/** "RUN/NAME", valid until the next call. */
const char *t_run_file(const char *name);

/** Writes a file in the run directory. */
void t_run_write(const char *name, const void *data, size_t n);

/** fork() for a test: the child dies with the test, whatever becomes of that. */
pid_t t_fork(void);

/** Opens, which must work. */
struct mf_journal *t_journal(enum mf_journal_mode mode);

/** Opens, which must fail with this code and these words in its sentence. */
void t_refused(enum mf_journal_mode mode, int code, const char *words);

/** An attempt of task `seq`, with its number as id and every field set from it. */
struct mf_journal_attempt t_attempt(uint64_t seq, enum mf_task_state state);

/** Appends n attempts that are DONE, for seq first, first + 1, ... */
void t_append(struct mf_journal *journal, uint64_t first, uint64_t n);

void t_commit(struct mf_journal *journal);
void t_close(struct mf_journal *journal);

/** Rows in the journal, which must be 1, 2, 3, ... */
uint64_t t_count(struct mf_journal *journal);

/** The same of a closed one. */
uint64_t t_count_in(enum mf_journal_mode mode);

#endif
