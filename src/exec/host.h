/*
 * A host: the memory that a rank shares with one executor process.
 *
 *     rank                                     executor process
 *       -- records: portions, inputs, blocks -->
 *       <-- entries: results, checkpoints    --
 *
 * Two rings (ring.h) and a few words. The rank never waits for the executor;
 * the executor waits for the rank, asleep on a word of this memory. A rank
 * that sleeps asks for the bell, an eventfd, to be woken.
 *
 * The executor runs code of the user, which may write anything here: the rank
 * checks all it reads, and takes what cannot be for the death of the executor.
 *
 * Units travel in portions of at most 64 calls. The executor takes a portion
 * before it begins, and until then the rank can revoke it: one word decides.
 * Another one says whether the call that runs is to yield at its next checkpoint,
 * or has and waits there.
 */
#ifndef MF_EXEC_HOST_H
#define MF_EXEC_HOST_H

#include "exec/ring.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "processes share atomic words, and cannot share the locks of a library");

/** Bytes of each ring. */
#define MF_HOST_RING_BYTES ((size_t)256 << 10)

/** Portions on their way, at most. */
#define MF_HOST_PORTIONS 64

/** Calls of one portion, at most: bits of its `unwanted`. */
#define MF_HOST_PORTION_CALLS 64

/** How far an executor process has come. */
enum mf_host_stage {
    MF_HOST_STARTING = 0,
    MF_HOST_IN_HOOK, /* the init hook runs */
    MF_HOST_REFUSED, /* the init hook does not want to work */
    MF_HOST_READY,
    MF_HOST_FINISHING, /* the finish hook runs */
};

/** Whether the call that runs of a portion goes on at its next checkpoint, or has stopped there. */
enum { MF_HOST_GOES_ON = 0, MF_HOST_IS_TO_YIELD, MF_HOST_HAS_YIELDED };

/** When an executor finishes: at once, as it asks its function to, or when that has ended and the
 * rank was told all of it, so that another executor can go on behind it. */
enum mf_host_finish { MF_HOST_FINISHES = 1, MF_HOST_LEAVES };

/** Who has a portion; the word is its number times 4 and one of these. */
enum { MF_HOST_OFFERED = 1, MF_HOST_TAKEN, MF_HOST_REVOKED };

/**
 * What both sides know of portion n, in portions[n % MF_HOST_PORTIONS].
 *
 * @owner         see above
 * @unwanted      bit i: call i was cancelled
 * @should_stop   begin no further call of it
 * @yielding      see above
 * @duration_ns   written by the executor: spent in its calls so far
 * @idle_ns       written by the executor: how long it had nothing to do before
 */
struct mf_host_portion {
    _Alignas(64) _Atomic uint64_t owner;
    _Atomic uint64_t unwanted;
    _Atomic uint32_t should_stop;
    _Atomic uint32_t yielding;
    _Atomic int64_t duration_ns;
    _Atomic int64_t idle_ns;
};

/**
 * The shared memory.
 *
 * @stage      an enum mf_host_stage, written by the executor
 * @n_begun    calls that the executor has begun, withheld ones included
 * @n_returned those of them that are over, whether the rank has their entries or not: at most
 *             one call less than n_begun
 * @base_bytes memory of its own (exec/memory.h) that the executor had before the first call
 * @is_asleep  futex: the executor waits for the rank
 * @wants_bell the rank waits for the executor
 * @doomed     number of the call (the first is 1) for which the rank is about to kill the
 *             executor: when it ends all the same, no other begins before this is 0
 * @should_finish   an enum mf_host_finish, or 0: begin nothing, run the finish hook and exit
 */
struct mf_host_memory {
    struct mf_ring_ends to_ends;
    struct mf_ring_ends back_ends;
    _Alignas(64) _Atomic uint64_t n_begun;
    _Atomic uint64_t n_returned;
    _Atomic uint64_t base_bytes;
    _Atomic uint32_t stage;
    _Alignas(64) _Atomic uint32_t is_asleep;
    _Alignas(64) _Atomic uint32_t wants_bell;
    _Alignas(64) _Atomic uint64_t doomed;
    _Atomic uint32_t should_finish;
    struct mf_host_portion portions[MF_HOST_PORTIONS];
    _Alignas(4096) uint8_t to[MF_HOST_RING_BYTES];
    uint8_t back[MF_HOST_RING_BYTES];
};

enum mf_host_record_kind {
    MF_HOST_PORTION = 1, /* number, n_calls; their bytes */
    MF_HOST_INPUT,       /* number: task; its large input, ahead of the portion of this one call */
    MF_HOST_ATTACH,      /* number: block; u64 size, its place */
    MF_HOST_DROP,        /* number: block */
};

/** The header of a record to the executor; size bytes follow. */
struct mf_host_record {
    uint32_t kind;
    uint32_t n_calls;
    uint64_t number;
    uint64_t size;
};

/** Kinds of entries that go no further than to the rank's end, beside those of base/call.h. */
enum {
    MF_HOST_ENTRY_STOPPED = 128, /* the portion ends: revoked, or stopped */
    MF_HOST_ENTRY_LARGE,      /* u64 size; that many bytes, the result of the next RESULT, follow */
    MF_HOST_ENTRY_CHECKPOINT, /* bytes saved by the call whose entries come next */
    MF_HOST_ENTRY_YIELDED,    /* that call has stopped, until it is let go on */
    MF_HOST_ENTRY_LARGE_CHECKPOINT, /* u64 size; so many bytes, saved by that call, follow */
};

/** One side of a host; each has its own, and its own descriptor of the bell (borrowed). */
struct mf_host {
    struct mf_host_memory *memory;
    struct mf_ring to, back;
    int bell_fd;
};

/**
 * mf_host_create() - make the shared memory; the rank's side.
 *
 * Its size is sealed, so that nobody can take it from under the other side.
 *
 * Returns 0 with a descriptor of the memory, the caller's, or -errno.
 */
int mf_host_create(struct mf_host *host, int bell_fd, int *ret_memory_fd);

/** The executor's side, from the descriptor (borrowed). Its children do not get the memory. */
int mf_host_open(struct mf_host *host, int memory_fd, int bell_fd);

void mf_host_finish(struct mf_host *host);

static inline struct mf_host_portion *mf_host_portion(const struct mf_host *host, uint64_t number)
{
    return &host->memory->portions[number % MF_HOST_PORTIONS];
}

/** The rank puts a portion in its place, before its record. */
void mf_host_offer(struct mf_host *host, uint64_t number, uint64_t unwanted);

/** The executor takes a portion. Returns false if it was revoked. */
bool mf_host_take(struct mf_host *host, uint64_t number);

/** The rank takes a portion back. Returns false if it has begun, or might have. */
bool mf_host_revoke(struct mf_host *host, uint64_t number);

/** The rank asks the call that runs of a portion to yield. */
void mf_host_ask_to_yield(struct mf_host *host, uint64_t number);

/** The executor, at a checkpoint. Returns whether the call has to yield, and has now. */
bool mf_host_yields(struct mf_host_portion *portion);

/** The rank lets it go on, or asks no longer. */
void mf_host_go_on(struct mf_host *host, uint64_t number);

/** Rank: wakes the executor if it sleeps; after anything that it could wait for. */
void mf_host_wake(struct mf_host *host);

/** Rank: asks for the bell. What came before this does not ring: look once more. */
void mf_host_ask_for_bell(struct mf_host *host);

/** Executor: rings the bell if the rank has asked for that. */
void mf_host_ring_bell(struct mf_host *host);

/** Executor: whether the rank wants it to finish at once. */
static inline bool mf_host_should_finish(const struct mf_host *host)
{
    return atomic_load_explicit(&host->memory->should_finish, memory_order_relaxed) ==
           MF_HOST_FINISHES;
}

/** Executor: whether the rank wants it to make room for another one. */
static inline bool mf_host_should_leave(const struct mf_host *host)
{
    return atomic_load_explicit(&host->memory->should_finish, memory_order_relaxed) ==
           MF_HOST_LEAVES;
}

/** Executor: whether it may begin another call. */
static inline bool mf_host_may_begin(const struct mf_host *host)
{
    return atomic_load_explicit(&host->memory->should_finish, memory_order_relaxed) == 0;
}

/*
 * The executor waits in these: it rings the bell, looks for 20 us while others
 * may run, then sleeps. They return false when it is time to finish.
 */

/** Executor: reads n bytes, which are dropped if data is NULL; not when it should leave. */
bool mf_host_receive(struct mf_host *host, void *data, size_t n);

/** Executor: writes n bytes; publishes when it has to wait for room, else that is to be done. */
bool mf_host_send(struct mf_host *host, const void *data, size_t n);

/** Executor: waits while the call of a portion, which has yielded, is not let go on. */
bool mf_host_wait_yielded(struct mf_host *host, uint64_t number);

/** Executor: waits while the rank is about to kill it for this call, which has ended. */
bool mf_host_wait_spared(struct mf_host *host, uint64_t call);

#endif
