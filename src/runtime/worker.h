/*
 * A worker: the part of a rank that runs tasks.
 *
 * It takes RUN records from the scheduler, gives them slots, hands them to an
 * executor and reports what became of them. Single-slot attempts that wait
 * behind full slots are staged in the executor, so that a slot that becomes
 * free is used again without a word to anybody. Attempts with GPUs wait here, as
 * theirs are to be near the slot. Slots and GPUs are the worker's: one owner, one
 * thread.
 */
#ifndef MF_RUNTIME_WORKER_H
#define MF_RUNTIME_WORKER_H

#include "base/life.h"
#include "exec/executor.h"
#include "topo/resources.h"
#include "topo/topo.h"
#include "transport/transport.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_worker_rank;

/**
 * @transport  to the scheduler (borrowed)
 * @scheduler  number of the scheduler's end
 * @loop       tells when the scheduler's process ends (borrowed). NULL when that is this process:
 *             then neither tells the other that it is there
 * @scheduler_may_be_silent   it runs functions itself, and says nothing meanwhile
 * @life       of this process (borrowed during create); NULL if nobody answers for it
 * @scratch    name of a directory for files of its tasks, from mf_scratch_name(); made when
 *             it is needed and removed in the end (borrowed)
 * @host       name of its node, for tests; NULL for that of this one
 * @cores, @n_cores, @resources   what HELLO says of this rank (borrowed during create)
 * @never_pins  slots are used without their processors, whatever WELCOME says
 * @shares_signals  it is in a job whose resource manager sends SIGTERM to all its processes, those
 *             of tasks included: mf_worker_rank_note_terminated() tells of its own
 * @patience_ns  for how long it waits for another scheduler, 0 for MF_HANDOVER_PATIENCE_NS
 */
struct mf_worker_rank_config {
    struct mf_transport *transport;
    uint32_t scheduler;
    struct mf_loop *loop;
    bool scheduler_may_be_silent;
    const struct mf_life *life;
    const char *scratch;
    const char *host;
    const struct mf_core *cores;
    uint32_t n_cores;
    const struct mf_topo_resources *resources;
    bool never_pins;
    bool shares_signals;
    int64_t patience_ns;
};

/**
 * mf_worker_rank_create() - make a worker and say HELLO.
 *
 * Returns 0 or -errno; the caller destroys it.
 */
int mf_worker_rank_create(const struct mf_worker_rank_config *config,
                          struct mf_worker_rank **ret_worker);

/** Gives the worker its executor (taken), which calls mf_worker_rank_heard(). Before any turn. */
void mf_worker_rank_set_executor(struct mf_worker_rank *worker, struct mf_executor *executor);

/** The mf_executor_fn of the worker's executor; arg is the worker. */
void mf_worker_rank_heard(void *arg, const struct mf_executor_event *event);

/**
 * mf_worker_rank_note_terminated() - SIGTERM has come to this process.
 *
 * With shares_signals tasks got it too: failures at this time, and later ones of attempts that run
 * now, are reported as MF_CAUSE_TERMINATED, which is no fault of theirs.
 */
void mf_worker_rank_note_terminated(struct mf_worker_rank *worker, int64_t now_ns);

/** Ends what runs and frees; NULL is accepted. */
void mf_worker_rank_destroy(struct mf_worker_rank *worker);

/**
 * mf_worker_rank_turn() - receive, start, report. Never blocks.
 *
 * Returns 1 when there was traffic, 0 when there was none, or -errno when the
 * transport failed or the scheduler sent what cannot be.
 */
int mf_worker_rank_turn(struct mf_worker_rank *worker, int64_t now_ns);

/** When it wants its next turn even if nothing happens; INT64_MAX for never. */
int64_t mf_worker_rank_next_ns(const struct mf_worker_rank *worker);

/** Epoch of its scheduler; 0 as long as there is no standby. */
uint64_t mf_worker_rank_epoch(const struct mf_worker_rank *worker);

/** Whether it is without a scheduler, and another one may come. */
bool mf_worker_rank_is_waiting(const struct mf_worker_rank *worker);

/**
 * Whether this rank is to try now to take over: its scheduler is lost, and whoever comes before it
 * has had time enough.
 */
bool mf_worker_rank_may_succeed(const struct mf_worker_rank *worker, mf_worker_id rank,
                                int64_t now_ns);

/**
 * This rank cannot take over: it is not to try again before all others have had their turn.
 *
 * Returns how often that is so since its scheduler was lost.
 */
uint32_t mf_worker_rank_pass(struct mf_worker_rank *worker);

/** From now on its scheduler is at this address, and tells so by TAKEOVER. */
void mf_worker_rank_turn_to(struct mf_worker_rank *worker, struct mf_transport *transport,
                            uint32_t scheduler);

/** Whether it was told to stop and has said BYE, or has ended its tasks without a scheduler. */
bool mf_worker_rank_is_finished(const struct mf_worker_rank *worker);

/** Whether its scheduler is gone, and no other has come. */
bool mf_worker_rank_is_orphan(const struct mf_worker_rank *worker);

/** After the end: whether ranks were lost, so that none should wait for all the others. */
bool mf_worker_rank_has_losses(const struct mf_worker_rank *worker);

#endif
