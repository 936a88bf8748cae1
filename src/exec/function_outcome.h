/* What came of a function's call, in the words of commands: an outcome and an output. */
#ifndef MF_EXEC_FUNCTION_OUTCOME_H
#define MF_EXEC_FUNCTION_OUTCOME_H

#include "base/call.h"
#include "exec/executor.h"

/**
 * An answer of a caller; all borrowed.
 *
 * @entry         its RESULT
 * @bytes, @size  of the entry, or of the large result that came ahead of it
 * @limit_bytes   kept of each stream
 * @spill_dir     where large output waits
 */
struct mf_function_answer {
    const struct mf_entry_header *entry;
    const uint8_t *bytes;
    size_t size;
    uint64_t limit_bytes;
    const char *spill_dir;
};

/**
 * mf_function_outcome() - set all of an outcome but slot and times.
 *
 * What the function printed and then its result is standard output, the message
 * of a failure standard error. Output that cannot be kept fails the attempt.
 *
 * Returns the output, the caller's to close, or NULL for none.
 */
struct mf_output *mf_function_outcome(const struct mf_function_answer *answer,
                                      struct mf_outcome *outcome);

#endif
