/*
 * The runner from inside: its data, and what its parts do for each other.
 *
 *     runner.c    frames, time, life
 *     starting.c  slots and starts
 *     ending.c    ends
 *     limiting.c  memory over its limit
 *     suspending.c  attempts that are stopped, to go on later
 */
#ifndef MF_EXEC_RUNNER_PARTS_H
#define MF_EXEC_RUNNER_PARTS_H

#include "base/table.h"
#include "exec/attempt.h"
#include "exec/out_of_memory.h"
#include "exec/runner.h"
#include "exec/spawn.h"

#include <stdint.h>

/** A slot that was left when there was no staged attempt, and the number of that end. */
struct mf_freed_slot {
    uint32_t slot;
    uint64_t end;
};

/**
 * @attempts    all, mf_attempt_key to struct mf_attempt *
 * @by_pid      RUNNING ones
 * @deadlines   those of RUNNING and LEFT that have one
 * @staged, @queue, @left   attempts in these phases, in order
 * @young       RUNNING ones whose pipes are not watched yet, oldest first
 * @limited     RUNNING and LEFT ones with a limit of memory
 * @look_at_ns  when these are to be looked at, and rest_until_ns: not sooner
 * @n_staged    how many there are in staged
 * @n_ever_staged   how many there were in all
 * @n_active    RUNNING and LEFT ones
 * @freed       n_freed slots in order of their ends, from first_freed on, in a
 *              ring of n_slots
 * @n_ends      ENDED and UNSTAGED frames written so far
 * @n_spilled, @spilled_bytes   outputs in files that the rank has not closed
 * @pause_ns    current pause between refused starts, 0 when there was none
 * @refused_since_ns   since when nothing could be started and nothing ran
 * @is_starting   starts are being made
 * @out_of_memory   what the kernel has killed for that
 * @error       why it cannot go on, or 0
 */
struct mf_runner {
    struct mf_runner_config config;
    struct mf_streams_config streams_config;
    uint8_t bytes[MF_STREAMS_READ_BYTES];
    struct mf_configuration configuration;
    struct mf_spawner spawner;
    struct mf_table *attempts;
    struct mf_table *by_pid;
    struct mf_heap deadlines;
    struct mf_list staged, queue, left, young;
    struct mf_list limited;
    int64_t look_at_ns;
    int64_t rest_until_ns;
    uint64_t n_staged;
    uint64_t n_ever_staged;
    uint64_t n_active;
    struct mf_freed_slot *freed;
    uint32_t first_freed, n_freed;
    uint64_t n_ends;
    uint64_t n_spilled, spilled_bytes;
    int64_t pause_ns, retry_at_ns, refused_since_ns;
    int64_t now_ns;
    bool is_starting;
    struct mf_out_of_memory out_of_memory;
    int error;
};

/** Keeps the first error for which the launcher cannot go on. */
static inline void mf_runner_note_error(struct mf_runner *runner, int error)
{
    if (error < 0 && runner->error == 0)
        runner->error = error;
}

/** Now plus a duration, or never. */
static inline int64_t mf_later_ns(int64_t now_ns, int64_t duration_ns)
{
    int64_t sum;

    return __builtin_add_overflow(now_ns, duration_ns, &sum) ? INT64_MAX : sum;
}

/** Sets when an attempt is to be looked at again. */
void mf_runner_set_deadline(struct mf_runner *runner, struct mf_attempt *attempt,
                            int64_t deadline_ns);

/** Lets a new attempt wait for its start, or for a slot. ends_seen is as in its START frame. */
void mf_runner_admit(struct mf_runner *runner, struct mf_attempt *attempt, uint64_t ends_seen);

/** An end was just told: its slot goes to the first staged attempt, or is remembered. */
void mf_runner_pass_slots(struct mf_runner *runner, const struct mf_attempt *attempt);

/** Nobody is known to have the slots of an attempt any more. */
static inline void mf_runner_leave_slots(struct mf_runner *runner, const struct mf_attempt *attempt)
{
    if (attempt->n_slots > 0)
        mf_tenants_leave(runner->config.tenants, attempt->slots[0]);
}

/** Whether something has its slots and may start now. */
bool mf_runner_can_start(const struct mf_runner *runner);

/** Starts what has its slots, as far as descriptors, the system and the rank allow. */
void mf_runner_start_queued(struct mf_runner *runner);

/**
 * mf_runner_has_executed() - tell whether a running attempt whose main process was reaped
 * had come to execute its program.
 *
 * If not, the attempt is dealt with: it is over, or queued for another try.
 */
bool mf_runner_has_executed(struct mf_runner *runner, struct mf_attempt *attempt);

/** The attempt is over: tell, let the next one have its slot, free it. */
void mf_runner_finish(struct mf_runner *runner, struct mf_attempt *attempt);

/** Gives back an attempt that has not begun: tell, let the next one have its slot, free it. */
void mf_runner_give_back(struct mf_runner *runner, struct mf_attempt *attempt);

/** Ends an attempt in whatever phase it is. */
void mf_runner_end(struct mf_runner *runner, struct mf_attempt *attempt, enum mf_cause cause);

/** The deadline of an attempt has come. */
void mf_runner_expire(struct mf_runner *runner, struct mf_attempt *attempt);

/** From now on an attempt that runs must keep to its memory, if that is limited. */
void mf_runner_limit(struct mf_runner *runner, struct mf_attempt *attempt);

/** Ends what uses more memory than it has. O(n log n) in the processes of the node. */
void mf_runner_look_at_memory(struct mf_runner *runner);

/** When that is to be done next; INT64_MAX for never. */
int64_t mf_runner_next_look_ns(const struct mf_runner *runner);

/** Stops an attempt and all its processes; its slots are the rank's again. */
void mf_runner_suspend(struct mf_runner *runner, struct mf_attempt *attempt);

/** Lets a suspended attempt go on in slots that the rank gave it (taken). */
void mf_runner_resume(struct mf_runner *runner, struct mf_attempt *attempt, uint32_t *slots,
                      uint32_t n_slots);

/** Lets the processes of a suspended attempt go on, if only so that they can end. */
void mf_runner_wake(struct mf_attempt *attempt);

/** The mf_streams_fn of every attempt, which is its arg. */
void mf_runner_on_stream(void *arg, int error);

#endif
