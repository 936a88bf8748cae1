/*
 * What stands beside a journal and tells of the same run: joblog.tsv, with a line for each task
 * that has ended and was committed. A journal that knows of fewer has lost some.
 */
#ifndef MF_JOURNAL_WITNESS_H
#define MF_JOURNAL_WITNESS_H

#include "base/error.h"

#include <stdint.h>

/**
 * mf_witness_count() - how many ended tasks joblog.tsv tells of.
 *
 * O(size of joblog.tsv). What cannot be read tells of none.
 *
 * @dir  the run directory
 */
uint64_t mf_witness_count(const char *dir);

/**
 * mf_witness_check() - whether a journal may be continued, by what was told beside it.
 *
 * The end of a log may be torn when a node crashes, which costs a group or two: those tasks are run
 * again. More than that was taken away.
 *
 * @dir      the run directory, for the sentence
 * @n_told   ended tasks that joblog.tsv tells of
 * @n_known  of these, as many as the journal can know
 *
 * Returns 0, or -EBADMSG with a sentence.
 */
int mf_witness_check(const char *dir, uint64_t n_told, uint64_t n_known, struct mf_error *err);

#endif
