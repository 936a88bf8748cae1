/*
 * Running attempts on one rank: what the worker asks for, and what it hears.
 *
 * An executor is driven by one thread, through the loop it was created with:
 * it calls back from inside mf_loop_wait(), or from its own functions. The
 * worker owns the slots; the executor runs what it is told where it is told.
 */
#ifndef MF_EXEC_EXECUTOR_H
#define MF_EXEC_EXECUTOR_H

#include "base/error.h"
#include "base/loop.h"
#include "core/outcome.h"
#include "core/task.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mf_executor;
struct mf_output;

/**
 * An attempt to run.
 *
 * @slots       n_slots indexes of the slots it has, into those configured; with
 *              n_slots 0 the attempt is *staged*: it needs one slot and begins
 *              in that of the next single-slot attempt that ends, in the order
 *              of staging, without asking the worker. So the slot of an ENDED
 *              is free only if no attempt was staged when it was told
 * @try_number  which try of its task this is, as the user counts: MPIFARM_ATTEMPT
 * @gpus        variable that tells a program of the GPUs it has and of no other,
 *              "CUDA_VISIBLE_DEVICES=0,3"; NULL for none
 * @mem_bytes   most memory that its processes may use together, 0 for no limit
 * @timeout_ns  longest run time, 0 for none
 * @saved       saved_size bytes that an earlier try saved (borrowed); NULL for none
 * @command, @command_size   an encoded mf_command (borrowed)
 */
struct mf_start {
    mf_task_id task;
    uint32_t attempt;
    uint32_t try_number;
    uint32_t n_slots;
    const uint32_t *slots;
    const char *gpus;
    uint64_t mem_bytes;
    int64_t timeout_ns;
    const uint8_t *saved;
    size_t saved_size;
    const void *command;
    size_t command_size;
};

/**
 * What an executor tells. Every attempt given to it ends in ENDED or UNSTAGED,
 * once; those that have not when it is BROKEN are lost, and nothing follows.
 *
 * After RENEWED comes the end of all that ran in what died: ENDED with
 * MF_CAUSE_LAUNCHER, or UNSTAGED.
 */
enum mf_executor_event_kind {
    MF_EXECUTOR_STARTED,   /* task, attempt, slot; told of staged attempts only */
    MF_EXECUTOR_ENDED,     /* task, attempt, slot, outcome, output; the slots are free */
    MF_EXECUTOR_UNSTAGED,  /* task, attempt: it had not begun and will not */
    MF_EXECUTOR_BROKEN,    /* error: nothing runs any more, e.g. the launcher was killed */
    MF_EXECUTOR_SUSPENDED, /* task, attempt, ran_ns: as asked for */
    MF_EXECUTOR_CONTINUED, /* task, attempt: as asked for */
    MF_EXECUTOR_RENEWED,   /* error: how the launcher ended, which another one has replaced */
    MF_EXECUTOR_SAVED,     /* task, attempt, saved: for the next try, if this one fails */
};

/**
 * @slot     index of the first slot it had; UINT32_MAX if it never had one
 * @ran_ns   how long it has run so far, without the time in which it was suspended
 * @saved    saved_size bytes, in place of any that it saved before (borrowed during the call)
 * @outcome  how it ended (borrowed during the call)
 * @output   what it wrote, now the receiver's to close; NULL when nothing
 */
struct mf_executor_event {
    enum mf_executor_event_kind kind;
    mf_task_id task;
    uint32_t attempt;
    uint32_t slot;
    int64_t ran_ns;
    const uint8_t *saved;
    size_t saved_size;
    const struct mf_outcome *outcome;
    struct mf_output *output;
    const struct mf_error *error;
};

/** What suspend() returns for an attempt that keeps its slots until it yields. */
enum { MF_EXECUTOR_E_LATER = 1 };

typedef void (*mf_executor_fn)(void *arg, const struct mf_executor_event *event);

/**
 * One slot.
 *
 * @number  as the user sees it ({%}, MPIFARM_SLOT), from 1, unique on its node
 * @cpus    n_cpus operating-system numbers of the processors of its core;
 *          0 of them leaves the slot unpinned
 */
struct mf_slot {
    uint32_t number;
    uint32_t n_cpus;
    uint32_t *cpus;
};

/**
 * @configure  the slots, before the first start and once; copied. run_dir is put
 *             into MPIFARM_RUN_DIR, rank into MPIFARM_RANK. Returns 0 or -errno.
 * @start      begin or stage an attempt. Returns 0, or -errno and nothing changed.
 * @unstage    give a staged attempt back if it has not begun: UNSTAGED follows;
 *             if it has, nothing follows but its ENDED
 * @end        end an attempt: TERM to its processes, KILL after the grace; its
 *             ENDED has this cause. An unknown attempt is ignored.
 * @suspend    stop an attempt that is not staged. SUSPENDED follows, unless its ENDED does.
 *             Returns 0, and its slots are the caller's again at once; or
 *             MF_EXECUTOR_E_LATER, and they are with its SUSPENDED, which follows when the
 *             attempt lets that happen. NULL where that cannot be
 * @resume     let a suspended attempt go on in these slots. CONTINUED follows, unless its
 *             ENDED does
 * @warn       send a signal to the processes of all commands that run; one that is suspended gets
 *             it when it goes on. One that fails after it has ended for MF_CAUSE_WALLTIME. NULL
 *             where there are no processes
 * @flush      hand on what was asked for since the last flush (batching)
 * @destroy    kill everything that runs, wait for it, free. NULL is accepted.
 *             Not from inside a callback.
 */
struct mf_executor_ops {
    int (*configure)(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir);
    int (*start)(struct mf_executor *executor, const struct mf_start *start);
    void (*unstage)(struct mf_executor *executor, mf_task_id task, uint32_t attempt);
    void (*end)(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause);
    int (*suspend)(struct mf_executor *executor, mf_task_id task, uint32_t attempt);
    void (*resume)(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                   const uint32_t *slots, uint32_t n_slots);
    void (*warn)(struct mf_executor *executor, int number);
    int (*flush)(struct mf_executor *executor);
    void (*destroy)(struct mf_executor *executor);
};

/** Every executor begins with this; without can_stage an attempt has its slots from the start.
 * It may change. */
struct mf_executor {
    const struct mf_executor_ops *ops;
    bool can_stage;
};

/*
 * What one attempt wrote, kept within its limit: small in memory, the rest in
 * an unlinked file. Reading presents each stream as one run of bytes: all of
 * it, or head, a line that says how much was dropped, and tail.
 */

/** Bytes that mf_output_read() can give for a stream. */
uint64_t mf_output_size(const struct mf_output *output, enum mf_stream stream);

/** Whether all of it is in memory, so that reading costs no I/O. */
bool mf_output_is_small(const struct mf_output *output);

/** Reads up to n bytes at offset; returns how many (0 at the end) or -errno. */
ssize_t mf_output_read(const struct mf_output *output, enum mf_stream stream, uint64_t offset,
                       void *data, size_t n);

/** Frees it; NULL is accepted. */
void mf_output_close(struct mf_output *output);

#endif
