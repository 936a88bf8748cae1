/*
 * The rank's side of the executor for commands, from inside:
 *
 *     process.c          what is asked of the launcher; life
 *     process_reports.c  what the launcher says
 *     process_end.c      the death of a launcher, and the next one
 *
 * While there is no launcher, what is asked for gathers in the channel of the
 * next one, and nothing can be staged: no attempt there could pass its slot on.
 */
#ifndef MF_EXEC_PROCESS_PRIVATE_H
#define MF_EXEC_PROCESS_PRIVATE_H

#include "base/table.h"
#include "exec/channel.h"
#include "exec/process.h"
#include "exec/protocol.h"
#include "exec/tenants.h"

/** As many deaths within MF_DEATHS_NS are too many. */
#define MF_MAX_DEATHS 5
#define MF_DEATHS_NS (60 * MF_NS_PER_S)

struct mf_process_executor;

/** Shared by the executor and its open outputs of one launcher; freed with the last of them. */
struct mf_closing {
    uint64_t n_owners;
    struct mf_process_executor *executor;
};

/**
 * What the rank knows of an attempt.
 *
 * @pid        its process group, 0 before it is known to have started
 * @slot       first of its slots, MF_SLOT_NONE while it is staged
 * @held_slot  of a launcher that died: the slot that it had then, else MF_SLOT_NONE
 * @started_wall_ns   with that: since when
 * @staged_as  the how-manieth it was that this launcher was given to stage, from 1; else 0
 */
struct mf_process_record {
    uint32_t pid;
    uint32_t slot;
    uint32_t held_slot;
    int64_t started_wall_ns;
    uint64_t staged_as;
};

/**
 * @launcher    fd is the channel's, -1 while there is no launcher
 * @records     of all attempts, mf_attempt_key to struct mf_process_record
 * @lost        while there is no launcher: those that the one before had; else NULL
 * @configuration   as the next launcher is to have it; without slots before it is known
 * @n_staged    attempts that this launcher was given to stage, in all
 * @ends_seen   ENDED and UNSTAGED frames taken in, of this launcher
 * @died_ns     when the last n_deaths launchers died, in a ring of MF_MAX_DEATHS - 1
 * @is_broken   nothing runs any more
 */
struct mf_process_executor {
    struct mf_executor base;
    struct mf_launcher launcher;
    struct mf_loop *loop;
    struct mf_watch *watch;
    struct mf_watch *lifeline_watch;
    struct mf_channel channel;
    mf_executor_fn fn;
    void *arg;
    struct mf_table *records;
    struct mf_table *lost;
    struct mf_closing *closing;
    struct mf_configuration configuration;
    uint64_t n_staged;
    uint64_t ends_seen;
    int64_t died_ns[MF_MAX_DEATHS - 1];
    unsigned n_deaths;
    bool is_broken;
};

/** Whether there is no launcher at the moment, but another one is on its way. */
static inline bool mf_process_is_between(const struct mf_process_executor *process)
{
    return process->lost != NULL;
}

/* process_reports.c */

/** Returns 0 and a new one with the executor as its only owner, or -ENOMEM. */
int mf_closing_create(struct mf_process_executor *process, struct mf_closing **ret_closing);

/** One owner less. */
void mf_closing_leave(struct mf_closing *closing);

/** Does what one frame tells. Returns 0, -EBADMSG or another -errno. */
int mf_process_handle(struct mf_process_executor *process, struct mf_frame *frame);

/* process_end.c */

/** For the loop, on the lifeline; arg is the executor. */
void mf_process_on_lifeline(void *arg, uint32_t events);

/** The launcher is gone, or not understood: asks for another one, or breaks. */
void mf_process_lose(struct mf_process_executor *process, int error);

/** Leaves launcher and keeper, and waits for all that they leave behind. */
void mf_process_leave(struct mf_process_executor *process);

/** Sends the launcher what it has to know before all else. */
void mf_process_send_configuration(struct mf_process_executor *process);

/* process.c */

/** For the loop, on the channel; arg is the executor. */
void mf_process_on_channel(void *arg, uint32_t events);

#endif
