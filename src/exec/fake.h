/*
 * An executor without processes: a script says how each attempt ends and how
 * long it takes. For tests, simulations and benchmarks of what is above it.
 */
#ifndef MF_EXEC_FAKE_H
#define MF_EXEC_FAKE_H

#include "exec/executor.h"

/**
 * How an attempt goes. Starts as {0}: success at once, without output.
 *
 * @duration_ns  how long it runs; one above the attempt's time limit ends at
 *               the limit, with cause TIMEOUT
 * @outcome      how it ends; times, slot and byte counts are filled in
 * @bytes        n_bytes bytes that it writes to each stream (borrowed during the call)
 */
struct mf_fake_run {
    int64_t duration_ns;
    struct mf_outcome outcome;
    const void *bytes[MF_N_STREAMS];
    size_t n_bytes[MF_N_STREAMS];
};

/** Called when an attempt is given to the executor. */
typedef void (*mf_fake_script_fn)(void *arg, const struct mf_start *start, struct mf_fake_run *run);

/**
 * mf_fake_executor_create() - make one.
 *
 * @loop    borrowed, and time is real; or NULL, and time is what
 *          mf_fake_executor_advance() says
 * @fn, @arg             called for each event
 * @script, @script_arg  says how attempts go; NULL for success at once
 *
 * Returns 0 or -errno.
 */
int mf_fake_executor_create(struct mf_loop *loop, mf_executor_fn fn, void *arg,
                            mf_fake_script_fn script, void *script_arg,
                            struct mf_executor **ret_executor);

/**
 * mf_fake_executor_advance() - let time pass, calling back for all that happens.
 *
 * What is asked for in a callback happens at the time of its event, so chains
 * of short attempts go on within one call.
 *
 * @now_ns  not less than before
 */
void mf_fake_executor_advance(struct mf_executor *executor, int64_t now_ns);

/** When the next event is due; INT64_MAX for never. */
int64_t mf_fake_executor_next_ns(const struct mf_executor *executor);

/** Lets it break as if the launcher had been killed: BROKEN is told at once, and nothing after it.
 */
void mf_fake_executor_break(struct mf_executor *executor, const char *text);

#endif
