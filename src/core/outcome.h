/*
 * How one attempt of a task ended: plain data that the executor fills in, the
 * wire carries, and the journal, joblog and summary show.
 */
#ifndef MF_CORE_OUTCOME_H
#define MF_CORE_OUTCOME_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>

/** Why an attempt ended. Stored in journals: never renumber. */
enum mf_cause {
    MF_CAUSE_NONE = 0,      /* it succeeded */
    MF_CAUSE_EXIT = 1,      /* exit status other than 0 */
    MF_CAUSE_SIGNAL = 2,    /* ended by a signal that the farm did not send */
    MF_CAUSE_TIMEOUT = 3,   /* ended by the farm: over its time limit */
    MF_CAUSE_START = 4,     /* could not be started; exit_status is 126 or 127 */
    MF_CAUSE_OUTPUT = 5,    /* its output could not be kept */
    MF_CAUSE_LOST = 6,      /* its worker disappeared */
    MF_CAUSE_STOPPED = 7,   /* ended by the farm: cancelled, or the run was stopped */
    MF_CAUSE_UNFIT = 8,     /* no worker can ever run it */
    MF_CAUSE_SKIPPED = 9,   /* something that it comes after failed */
    MF_CAUSE_MEMORY = 10,   /* ended by the farm: over its memory */
    MF_CAUSE_LAUNCHER = 11, /* the process that ran it died; with slot 0 it was not running then */
    MF_CAUSE_TERMINATED = 12, /* it failed when its worker, and probably itself, got SIGTERM */
    MF_CAUSE_WALLTIME = 13,   /* warned of the end of the allocation, it ended before it was done */
};
#define MF_CAUSE_MAX MF_CAUSE_WALLTIME

/** Whether an attempt that ended so is the fault of the task, rather than of what ran it. */
static inline bool mf_cause_is_charged(enum mf_cause cause)
{
    return cause != MF_CAUSE_LOST && cause != MF_CAUSE_LAUNCHER && cause != MF_CAUSE_TERMINATED &&
           cause != MF_CAUSE_WALLTIME;
}

/** The two captured streams, as indexes. */
enum mf_stream { MF_STDOUT = 0, MF_STDERR = 1 };
#define MF_N_STREAMS 2

/**
 * @cause           why it ended
 * @exit_status     0 .. 255, as a shell would show it; 128 + signal after a signal
 * @signal          the signal that ended it, 0 for none
 * @pid             process id of a command on its node, 0 for none
 * @slot            number of its first slot on its node, from 1; 0 when it never had one
 * @started_wall_ns, @duration_ns   when it started (since 1970) and how long it ran
 * @user_ns, @system_ns             processor time of it and the children it waited for
 * @max_rss_bytes   most memory that it was seen to use: the largest resident set of any process
 *                  that was waited for, or with a limit what all had together, where that is more
 * @produced_bytes  what it wrote to each stream
 * @dropped_bytes   what of that was over --output-limit and is not kept
 * @detail          one clause for the user beyond what the fields say, may be empty:
 *                  "No such file or directory", "left processes behind"; over its
 *                  memory, how much that is: "1.0 GiB (used 1.2 GiB)"; with its
 *                  launcher, what became of that: "was killed by signal 9 (Killed)"
 */
struct mf_outcome {
    enum mf_cause cause;
    int32_t exit_status;
    int32_t signal;
    int32_t pid;
    uint32_t slot;
    int64_t started_wall_ns;
    int64_t duration_ns;
    int64_t user_ns;
    int64_t system_ns;
    uint64_t max_rss_bytes;
    uint64_t produced_bytes[MF_N_STREAMS];
    uint64_t dropped_bytes[MF_N_STREAMS];
    char detail[160];
};

/** Whether the attempt did what it should. */
static inline bool mf_outcome_is_success(const struct mf_outcome *outcome)
{
    return outcome->cause == MF_CAUSE_NONE;
}

/** Appends the outcome's bytes. */
void mf_outcome_encode(const struct mf_outcome *outcome, struct mf_buffer *buffer);

/** Reads what encode wrote; a bad cause or detail fails the reader. */
void mf_outcome_decode(struct mf_reader *reader, struct mf_outcome *ret_outcome);

/**
 * mf_outcome_describe() - the cause as a clause: "exit status 3",
 * "killed by signal 9 (Killed)", "over its time limit after 10.0 s",
 * "over its memory of 1.0 GiB (used 1.2 GiB)",
 * "cannot be started: No such file or directory (127)".
 *
 * Returns text, which holds size bytes.
 */
char *mf_outcome_describe(const struct mf_outcome *outcome, char *text, size_t size);

/**
 * mf_outcome_describe_on() - the same with the host, where that may be the reason: "killed by
 * signal 9 (Killed) on n3; peak memory 63.9 GiB of 64.0 GiB: probably out of memory", "its worker
 * on n3 disappeared", "its launcher process on n3 was killed by signal 9 (Killed)".
 *
 * @host  where the attempt ran, "" for nowhere
 */
char *mf_outcome_describe_on(const struct mf_outcome *outcome, const char *host, char *text,
                             size_t size);

/** "exit", "signal", "timeout", ...: the cause as one word for tables. */
const char *mf_cause_name(enum mf_cause cause);

#endif
