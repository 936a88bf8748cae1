/* How much memory attempts use, and when to look again. No state but the caller's. */
#ifndef MF_EXEC_MEMORY_H
#define MF_EXEC_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/**
 * A process group, and what has left it.
 *
 * @task_id      of its attempt, as its environment has it in MPIFARM_TASK_ID, NULL when
 *               it has none there (borrowed); try_number as in MPIFARM_ATTEMPT
 * @limit_bytes  for the caller
 * @used_bytes   out: what its processes use together
 */
struct mf_group_use {
    pid_t group;
    const char *task_id;
    uint32_t try_number;
    uint64_t limit_bytes;
    uint64_t used_bytes;
};

/** Comparison for qsort(): by group. */
int mf_group_use_compare(const void *a, const void *b);

/**
 * mf_memory_measure() - look at the processes of some groups.
 *
 * A process belongs to its group, or to that of the nearest ancestor that is in
 * one: to call setsid() hides nothing. Where the ancestors are gone, so that it
 * has become a child of the caller, its environment tells.
 *
 * @proc      "/proc"
 * @uses      n_uses in ascending order of group, no one twice
 * @is_exact  false sums up what each process has resident, which counts a page
 *            once for each process that has it: never too little, and cheap; true
 *            shares such pages out (the Pss of smaps_rollup), where that may be
 *            read, and walks the page tables of the processes
 *
 * One pass over the processes of the node. Returns 0, -ENOMEM, or -errno when
 * there is no such directory.
 */
int mf_memory_measure(const char *proc, struct mf_group_use *uses, uint32_t n_uses, bool is_exact);

/**
 * mf_memory_of() - what one process uses: resident, and with shared pages divided.
 *
 * Returns 0, or -ESRCH when it is gone.
 */
int mf_memory_of(const char *proc, pid_t pid, uint64_t *ret_bytes, uint64_t *ret_exact_bytes);

/**
 * mf_memory_own_of() - the anonymous memory of one process, resident or swapped out.
 *
 * So neither files nor memory that is mapped to be shared; of what it has from its parent, all is
 * in it from the beginning, whether it is written or not.
 *
 * Some ten microseconds. Returns 0, -ESRCH when it is gone, or -ENOTSUP when the kernel does not
 * tell (before 4.5).
 */
int mf_memory_own_of(const char *proc, pid_t pid, uint64_t *ret_bytes);

/**
 * mf_memory_kill_strays() - kill what belongs to a group as above, but is not in it.
 *
 * Returns as mf_memory_measure().
 */
int mf_memory_kill_strays(const char *proc, const struct mf_group_use *use);

/** The shortest and the longest time between two looks at something that is limited. */
#define MF_MEMORY_LOOK_MIN_NS INT64_C(5000000)
#define MF_MEMORY_LOOK_MAX_NS INT64_C(100000000)

/** One part in this many of a processor's time may go into looks. */
#define MF_MEMORY_LOOK_SHARE 50

/**
 * mf_memory_rest() - how long not to look again, since looks may take a part of the time only.
 *
 * Counted is the time of a processor: a thread that had to wait for its turn
 * does not have to rest for that.
 *
 * @began_ns  what mf_memory_clock() said when the look began
 */
int64_t mf_memory_rest(int64_t began_ns);

/** Time that this thread has had a processor, in nanoseconds. */
int64_t mf_memory_clock(void);

/** What was seen of something at the last look; begins as 0 bytes when it began. */
struct mf_memory_trend {
    uint64_t seen_bytes;
    int64_t seen_ns;
};

/**
 * mf_memory_next_look() - how long to wait for the next look.
 *
 * Half the time until it would be over its limit if it went on to grow as it
 * did since the last look, within the bounds above. So what it can be over its
 * limit by is what it gets in the shortest time.
 *
 * @trend  the last look; made this one
 */
int64_t mf_memory_next_look(struct mf_memory_trend *trend, uint64_t used_bytes,
                            uint64_t limit_bytes, int64_t now_ns);

#endif
