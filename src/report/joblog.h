/*
 * joblog.tsv: GNU Parallel's columns, one line per settled task, written after
 * the journal was committed.
 */
#ifndef MF_REPORT_JOBLOG_H
#define MF_REPORT_JOBLOG_H

#include "base/error.h"
#include "core/outcome.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_joblog;

/** Opens path; `append` goes on behind what is there, else it is replaced. Returns 0 or -errno. */
int mf_joblog_open(const char *path, bool append, struct mf_joblog **ret_joblog,
                   struct mf_error *err);

/**
 * Buffers one line: Seq Host Starttime JobRuntime Send Receive Exitval Signal
 * Command. Newlines and tabs in the command become blanks. Returns 0 or -ENOMEM.
 */
int mf_joblog_add(struct mf_joblog *joblog, uint64_t seq, const char *host,
                  const struct mf_outcome *outcome, const char *command_text);

/** Writes what is buffered. Returns 0 or -errno with a sentence; then it is kept for another try.
 */
int mf_joblog_flush(struct mf_joblog *joblog, struct mf_error *err);

/** Flushes and closes; NULL is accepted. Returns 0 or -errno. */
int mf_joblog_close(struct mf_joblog *joblog, struct mf_error *err);

#endif
