/*
 * joblog.tsv: GNU Parallel's columns, one line per settled task, written after
 * the journal was committed.
 */
#ifndef MF_REPORT_JOBLOG_H
#define MF_REPORT_JOBLOG_H

#include "core/outcome.h"
#include "report/tsv.h"

#include <stdint.h>

/** Opens path; `append` goes on behind what is there, else it is replaced. Returns 0 or -errno. */
int mf_joblog_open(const char *path, bool append, struct mf_tsv **ret_joblog, struct mf_error *err);

/**
 * Buffers one line: Seq Host Starttime JobRuntime Send Receive Exitval Signal
 * Command. Newlines and tabs in the command become blanks. Returns 0 or -ENOMEM.
 */
int mf_joblog_add(struct mf_tsv *joblog, uint64_t seq, const char *host,
                  const struct mf_outcome *outcome, const char *command_text);

#endif
