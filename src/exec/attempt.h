/* One attempt inside the launcher, and its last words to the rank. */
#ifndef MF_EXEC_ATTEMPT_H
#define MF_EXEC_ATTEMPT_H

#include "base/command.h"
#include "base/heap.h"
#include "base/list.h"
#include "core/outcome.h"
#include "exec/channel.h"
#include "exec/memory.h"
#include "exec/protocol.h"
#include "exec/streams.h"

#include <sys/resource.h>

enum mf_phase { MF_PHASE_STAGED, MF_PHASE_QUEUED, MF_PHASE_RUNNING, MF_PHASE_LEFT };

/** A process: fd is a pidfd, -1 where the kernel has none. */
struct mf_outsider {
    pid_t pid;
    int fd;
};

/**
 * @phase         see runner.h
 * @was_staged    it got its slot from another attempt
 * @staged_as     then: the how-manieth it was that was staged, from 1
 * @is_told       the rank has heard of its start
 * @try_number    which try of its task it is
 * @n_slots, @slots   indexes of its slots; 0 while staged; owned
 * @gpus          variable that tells it of its GPUs, NULL for none; owned
 * @mem_bytes     most that its processes may use together, 0 for no limit
 * @command       owned
 * @streams       its pipes while it runs, and what was captured
 * @outcome       how it ends; its cause is set early when the farm ends it
 * @is_ending     the farm has sent it TERM
 * @is_warned     it was told that the end of the allocation is near
 * @is_suspended  it is stopped, or waits in no queue, and has no slots
 * @outsiders     n_outsiders processes of it in other process groups that were stopped with it
 * @ran_ns        while suspended: how long it has run
 * @is_abandoned  its main process is gone and its output closed, but not its group
 * @has_group     its process group may still have members
 * @started_ns    monotonic; later by the time in which it was suspended
 * @watch_at_ns   when its pipes are to be watched
 * @deadline_ns   when it is to be ended, killed or given up; INT64_MAX for never
 * @heap_index    place among the deadlines
 * @node          in the list of its phase
 * @limited_node  in the list of those that run with a limit of memory
 * @trend         what was seen of its memory
 * @young_node    in the list of those whose pipes are not watched yet
 */
struct mf_attempt {
    struct mf_attempt_key key;
    enum mf_phase phase;
    bool was_staged;
    uint64_t staged_as;
    bool is_told;
    uint32_t try_number;
    uint32_t n_slots;
    uint32_t *slots;
    char *gpus;
    uint64_t mem_bytes;
    int64_t timeout_ns;
    struct mf_command *command;
    struct mf_streams streams;
    struct mf_outcome outcome;
    bool is_ending;
    bool is_warned;
    bool is_suspended;
    struct mf_outsider *outsiders;
    uint32_t n_outsiders;
    int64_t ran_ns;
    bool is_abandoned;
    bool has_group;
    int64_t started_ns;
    int64_t watch_at_ns;
    int64_t deadline_ns;
    mf_heap_index heap_index;
    struct mf_list node;
    struct mf_list limited_node;
    struct mf_memory_trend trend;
    struct mf_list young_node;
};

/**
 * mf_attempt_decode() - make the attempt of a START frame.
 *
 * Its streams are prepared by the caller. Returns 0, -EBADMSG or -ENOMEM.
 */
int mf_attempt_decode(struct mf_reader *reader, struct mf_attempt **ret_attempt,
                      uint64_t *ret_ends_seen);

/** Frees the attempt, its pipes and captures. */
void mf_attempt_destroy(struct mf_attempt *attempt);

/** Lets go of the outsiders as they are. */
void mf_attempt_forget_outsiders(struct mf_attempt *attempt);

/** Notes how its main process ended. A cause that the farm has set stays. */
void mf_attempt_note_exit(struct mf_attempt *attempt, int status, const struct rusage *usage,
                          int64_t now_ns);

/** Notes what its processes were seen to use, if they used no more before. */
void mf_attempt_note_memory(struct mf_attempt *attempt, uint64_t used_bytes);

/** Sets the detail unless there is one. */
void mf_attempt_note(struct mf_attempt *attempt, const char *detail);

/**
 * mf_attempt_report() - put its ENDED frame.
 *
 * Files of its captures go along.
 *
 * @ret_spilled_bytes  what they hold, 0 when there is no file
 *
 * Returns how many files went along, or -ENOMEM.
 */
int mf_attempt_report(struct mf_attempt *attempt, struct mf_channel *channel,
                      uint64_t *ret_spilled_bytes);

/** Comparison for a heap of attempts by deadline. */
bool mf_attempt_is_due_before(const void *a, const void *b);

#endif
