/*
 * Where a worker's calls run: in the rank itself (inline_caller.c), or in
 * executor processes (host_caller.c). Units go in, entries come out.
 *
 * Driven by one thread. A caller calls back from inside turn(), recall(),
 * cancel() and stop(), never from start().
 */
#ifndef MF_EXEC_CALLER_H
#define MF_EXEC_CALLER_H

#include "base/error.h"
#include "base/loop.h"
#include "exec/blocks.h"
#include "exec/calls.h"
#include "exec/executor.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_caller;

/**
 * Calls to run one after the other on one slot, in order.
 *
 * @unit, @attempt   what its events are about
 * @n_calls          at least 1
 * @calls, @size     their bytes (base/call.h), valid, a stretch alone; borrowed during start()
 * @has_large        whether the input of any of them is large
 * @slot             from 1, the slot they have to run on if there are several; 0 for any
 */
struct mf_caller_unit {
    uint64_t unit;
    uint32_t attempt;
    uint32_t n_calls;
    const uint8_t *calls;
    size_t size;
    bool has_large;
    uint32_t slot;
};

enum mf_caller_event_kind {
    MF_CALLER_ENTRIES,    /* what came of the next n_calls calls of a unit; is_last: of all */
    MF_CALLER_LARGE,      /* the large result of task, whose entry comes next: data is taken */
    MF_CALLER_CHECKPOINT, /* data saved by call `index` of the unit, which is task; all before it
                             were told, so that the next entry is its own: data is taken */
    MF_CALLER_YIELDED,    /* the call of the unit has stopped at a checkpoint, after duration_ns */
    MF_CALLER_RETURNED,   /* what was not reported of the unit will not run (after a recall) */
    MF_CALLER_BROKEN,     /* error: nothing runs here any more, and nothing follows */
};

/**
 * @entries, @size   of the calls, without the bytes of large results
 * @duration_ns      spent in the functions of these calls
 * @idle_ns          with the first entries of a unit: how long its slot had had nothing to do
 * @data             malloc()ed, size bytes, now the receiver's (LARGE, CHECKPOINT)
 */
struct mf_caller_event {
    enum mf_caller_event_kind kind;
    uint64_t unit;
    uint32_t attempt;
    uint32_t n_calls;
    uint32_t index;
    bool is_last;
    uint64_t task;
    const uint8_t *entries;
    uint8_t *data;
    size_t size;
    int64_t duration_ns;
    int64_t idle_ns;
    const struct mf_error *error;
};

/**
 * @is_patient  finish hooks of executor processes may take as long as they like, else 4 s
 * @heard       called for each event
 * @take_large  hands over the large input of a task (malloc()ed, now the caller's), or returns
 *              -ENOENT; asked when its unit is started
 * @arg         handed to both
 * @memory_bytes   most that an executor process may have of its own (exec/memory.h) beyond what it
 *              had before its first call; 0 for no limit
 */
struct mf_caller_config {
    bool is_patient;
    void (*heard)(void *arg, const struct mf_caller_event *event);
    int (*take_large)(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size);
    void *arg;
    uint64_t memory_bytes;
};

/**
 * @begin   once, before all else: the functions (borrowed, outlive the caller), the rank, and
 *          its slots (borrowed during the call). Runs the init hook where it belongs; returns 0,
 *          -ECANCELED if the hook refused, or -errno
 * @start   takes a unit, to be run when a slot is free. Returns 0, -EPROTO when a large input has
 *          another size than its call says, or -errno; then nothing runs of it, and the large
 *          inputs it has taken by then are lost
 * @recall  the unit gives back what has not begun: RETURNED follows, or its last entries if all of
 *          it has begun. An unknown unit is ignored
 * @cancel  nobody wants the result of call `index`, or of MF_EVERY_CALL, any more: it is not run,
 * or asked to stop, or ended; its entry comes all the same (cause FUNCTION if it was not run)
 * @attach  a block of shared memory, for calls from now on; its place is needed no longer than
 *          during the call. Returns 0, or what mf_block_open() does, or -errno
 * @drop    the block is not used any more
 * @yield   the call of a unit of one call on a slot is to stop at its next checkpoint: YIELDED
 *          follows, unless its entry does, and the slot is for other units. Returns 0, or
 *          -ENOTSUP where calls run in this process
 * @go_on   lets one that has yielded go on in a slot that no other unit has. Not where yield() is
 *          not supported
 * @turn    runs calls, or looks what became of them, for about a tenth of a millisecond or one
 *          call, whichever is longer. Returns 1 when anything happened, else 0
 * @keep_time   instead of a turn while nothing that is told can be taken in: ends calls that are
 *          over their time, runs nothing and tells nothing
 * @is_busy whether there are calls that have not been reported
 * @next_ns when it wants a turn even if nothing happens; INT64_MAX for never
 * @process the process that serves a slot (from 1) and can be given calls; 0 when there is none
 *          at the moment, and always when calls run in this process
 * @kill    kills that process, and with it the call that runs there
 * @stop    ends what runs and runs the finish hooks. Nothing follows. From inside of turn() it only
 *          asks a function to return, and lets nothing more begin: it is then to be called again.
 *          Executor processes are waited for: one that is in a call for a second, others for 4, one
 *          in its finish hook for as long as that takes if the caller is patient. Those that are
 *          left are killed, and may take three seconds more to disappear
 * @destroy stops if that was not done, and frees. NULL is accepted by mf_caller_destroy()
 */
struct mf_caller_ops {
    int (*begin)(struct mf_caller *caller, const struct mf_functions *functions, uint32_t rank,
                 const struct mf_slot *slots, uint32_t n_slots);
    int (*start)(struct mf_caller *caller, const struct mf_caller_unit *unit);
    void (*recall)(struct mf_caller *caller, uint64_t unit, uint32_t attempt);
    void (*cancel)(struct mf_caller *caller, uint64_t unit, uint32_t attempt, uint32_t index);
    int (*attach)(struct mf_caller *caller, mpifarm_block block, const struct mf_block_place *place,
                  size_t size);
    void (*drop)(struct mf_caller *caller, mpifarm_block block);
    int (*yield)(struct mf_caller *caller, uint64_t unit, uint32_t attempt);
    void (*go_on)(struct mf_caller *caller, uint64_t unit, uint32_t attempt, uint32_t slot);
    int (*turn)(struct mf_caller *caller, int64_t now_ns);
    void (*keep_time)(struct mf_caller *caller, int64_t now_ns);
    bool (*is_busy)(const struct mf_caller *caller);
    int64_t (*next_ns)(const struct mf_caller *caller);
    pid_t (*process)(struct mf_caller *caller, uint32_t slot);
    void (*kill)(struct mf_caller *caller, uint32_t slot);
    void (*stop)(struct mf_caller *caller);
    void (*destroy)(struct mf_caller *caller);
};

/** Every caller begins with this. */
struct mf_caller {
    const struct mf_caller_ops *ops;
};

static inline void mf_caller_destroy(struct mf_caller *caller)
{
    if (caller)
        caller->ops->destroy(caller);
}

/**
 * mf_inline_caller_create() - run calls in this process and thread.
 *
 * @poll, @poll_arg   called by a running function's mpifarm_should_stop(), at most every
 *                    millisecond, to take in what might cancel it; NULL for none
 *
 * It has one slot, however many begin() names. From inside poll everything but turn() may be
 * called.
 *
 * Returns 0 or -ENOMEM.
 */
int mf_inline_caller_create(const struct mf_caller_config *config, void (*poll)(void *arg),
                            void *poll_arg, struct mf_caller **ret_caller);

/** The process that forks executor processes: see host.h; {0} is none. */
struct mf_nursery {
    pid_t pid;
    int fd;
};

/**
 * mf_nursery_fork() - start the process that executor processes are forked from.
 * Before MPI_Init and any thread.
 *
 * Returns 0, or -errno with a sentence.
 */
int mf_nursery_fork(struct mf_nursery *ret_nursery, struct mf_error *err);

/** Ends a nursery that no caller was made for, killed after three seconds. {0} is accepted. */
void mf_nursery_stop(struct mf_nursery *nursery);

/**
 * mf_host_caller_create() - run calls in executor processes, one for each slot.
 *
 * @nursery  taken if 0 is returned
 * @loop     borrowed, outlives the caller
 *
 * Returns 0 or -errno.
 */
int mf_host_caller_create(const struct mf_caller_config *config, struct mf_nursery *nursery,
                          struct mf_loop *loop, struct mf_caller **ret_caller);

#endif
