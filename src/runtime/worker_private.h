/*
 * A worker's state, shared by the files it is made of:
 *
 *     worker.c           life, the turn, what the scheduler says
 *     worker_attempts.c  attempts, their slots, what the executor says
 *     worker_feeds.c     files with the output of tasks that others take
 *     worker_handover.c  from a scheduler that died to the next one
 *     worker_hooks.c     commands that it runs before its first task, and when it leaves
 *     worker_rooms.c     room that it keeps for tasks of others, and that others keep for its own
 *     worker_notice.c    that the scheduler is there, that this worker is, and beginning again
 *     worker_signal.c    attempts that a resource manager ends together with the worker
 */
#ifndef MF_RUNTIME_WORKER_PRIVATE_H
#define MF_RUNTIME_WORKER_PRIVATE_H

#include "base/list.h"
#include "base/table.h"
#include "runtime/handover.h"
#include "runtime/node.h"
#include "runtime/sentry.h"
#include "runtime/worker.h"
#include "topo/stock.h"
#include "wire/message.h"

enum mf_attempt_state {
    MF_ATTEMPT_FETCHING, /* waits for its feeds */
    MF_ATTEMPT_QUEUED,
    MF_ATTEMPT_STAGED,
    MF_ATTEMPT_RUNNING,
    MF_ATTEMPT_SUSPENDED,
    MF_ATTEMPT_HELD, /* it has failed, which may be no fault of its own */
    MF_ATTEMPT_KEPT,
    MF_ATTEMPT_HOLDING, /* a part: it has its slots, and runs nothing */
};

struct mf_feed;

/*
 * An attempt this worker knows. While FETCHING or QUEUED it owns its RUN record's command;
 * `node` is in `fetching`, in the queue, in `untold`, in `held`, or in no list. Its GPUs are booked
 * from the beginning, since the scheduler counts them so, and chosen with its first slots. One that
 * is SUSPENDED has no slots; it is in the queue when it is to go on.
 *
 * @is_part   it only keeps room for what another worker runs
 * @is_spread it runs on several nodes, or as several ranks
 * @rooms     what HOLD or RUN said of them, NULL for nothing
 * @has_gpus  whether they are chosen
 * @ran_ns    when it was suspended last: how long it had run
 * @is_yielding  it was asked to give its slots up, which it has until it does
 * @goes_on   with is_yielding: the scheduler that asked for it is gone, and it gets slots again
 * @saved     saved_size bytes that an earlier try saved, until it starts
 * @feeds     n_feeds, one for each place of a path in the command; none once it has ended
 * @fingerprint  with a standby: of its command as it was received
 * @outcome   while HELD, and with a standby while KEPT: how it ended
 * @held_until_ns  while HELD
 * @is_inline with that: its output is small
 */
struct mf_worker_attempt {
    mf_task_id task;
    uint32_t number;
    uint32_t try_number;
    enum mf_attempt_state state;
    uint32_t n_slots;
    uint32_t *slots;
    uint32_t n_gpus;
    uint32_t *gpus;
    bool is_part;
    bool is_spread;
    char *rooms;
    bool has_gpus;
    bool is_yielding;
    bool goes_on;
    uint64_t mem_bytes;
    int64_t timeout_ns;
    int64_t started_ns;
    uint8_t *command;
    size_t command_size;
    uint8_t *saved;
    size_t saved_size;
    struct mf_feed **feeds;
    uint32_t n_feeds;
    int64_t ran_ns;
    uint64_t fingerprint;
    struct mf_outcome *outcome;
    int64_t held_until_ns;
    bool is_inline;
    struct mf_output *output;
    struct mf_list node;
};

/** A command that the worker runs once; `command` is borrowed from the list. */
struct mf_worker_hook {
    bool is_stop;
    const uint8_t *command;
    size_t size;
};

/*
 * Hooks run one after the other, each in all slots: those for the start before any task, those
 * for the end once nothing else runs.
 *
 * @list         as HOOKS brought it; @items  n of them, in it
 * @next         the first that was not looked at for what is being done now
 * @running      the one that runs, if any does
 * @is_stopping  the worker was told to leave
 * @is_hurried   it was told so again: what runs is ended, and no more is begun
 * @next_busy_ns when the scheduler is told again that it is about it
 */
struct mf_worker_hooks {
    uint8_t *list;
    struct mf_worker_hook *items;
    uint32_t n;
    uint32_t next;
    uint32_t running;
    bool is_running;
    bool is_stopping;
    bool is_hurried;
    int64_t next_busy_ns;
};

/*
 * @attempts    (task, attempt) to struct mf_worker_attempt *
 * @fetching    FETCHING ones in order of arrival
 * @queue       QUEUED ones, and SUSPENDED ones that are to go on, in order of arrival
 * @untold      RUNNING ones that the scheduler does not know to run, oldest first
 * @held        HELD ones, those that failed first in front
 * @shares_signals  a resource manager sends SIGTERM to all processes of a job, tasks included
 * @signalled_until_ns  attempts that began before that have got it; INT64_MIN for none
 * @n_wide      RUNNING ones with more than one slot, and parts that are HOLDING some
 * @never_pins  slots are used without their processors
 * @may_stage   attempts may wait in the executor: none is suspended, since then slots change
 *              hands here
 * @host        name of its node
 * @stock       slots and GPUs of this worker
 * @feeds       task to struct mf_feed *; NULL while there was none
 * @scratch     name of the directory that feeds are in
 * @heirs       of the scheduler: its epoch, 0 without a standby, and who comes after it; the share
 *              of this worker
 * @awaits_heir  its scheduler is lost, since lost_ns, and another one may take over for
 *               patience_ns
 * @n_passed    how often since then this rank was to do so, and could not
 * @is_turned   another scheduler is expected at the address that it has
 * @is_reporting  it owes a REPORT to its scheduler, and says nothing else until then
 * @sentry      watches the scheduler, as its only peer; NULL when that is in this process
 * @sent_ns     when a frame was last sent
 * @is_resetting  the scheduler has given this worker up: all it has is to end, unreported
 */
struct mf_worker_rank {
    struct mf_transport *transport;
    uint32_t scheduler;
    struct mf_executor *executor;
    struct mf_buffer frame;
    struct mf_table *attempts;
    struct mf_list fetching;
    struct mf_list queue;
    struct mf_list untold;
    struct mf_list held;
    bool shares_signals;
    int64_t signalled_until_ns;
    uint32_t n_slots;
    uint32_t n_staged;
    uint32_t n_wide;
    char host[MF_HOST_SIZE];
    struct mf_stock stock;
    struct mf_table *feeds;
    struct mf_worker_hooks hooks;
    const char *scratch;
    struct mf_life life; /* of this process */
    struct mf_sentry *sentry;
    int64_t sent_ns;
    int64_t now_ns;
    int error;
    bool is_welcome;
    bool is_broken;
    bool is_finished;
    bool is_resetting;
    bool is_orphan;
    bool has_losses;
    bool may_stage;
    struct mf_takeover heirs;
    int64_t lost_ns, patience_ns;
    uint32_t n_passed;
    bool awaits_heir;
    bool is_turned;
    bool is_reporting;
    bool never_pins;
};

/* The table's key; all bytes are set, since keys are compared as memory. */
struct mf_worker_attempt_key {
    uint64_t task;
    uint64_t number;
};

/* worker_attempts.c */

/** The attempt, or NULL if it is not known or not any more. */
struct mf_worker_attempt *mf_worker_rank_find(const struct mf_worker_rank *worker, mf_task_id task,
                                              uint32_t number);

/** An attempt as its RUN record describes it; NULL when memory is out. */
struct mf_worker_attempt *mf_worker_attempt_create(const struct mf_message *run);

/** NULL is accepted. */
void mf_worker_attempt_free(struct mf_worker_attempt *attempt);

/** Takes the attempt out of the table and frees it; its GPUs are for others then. */
void mf_worker_rank_forget(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** Takes a part out of the table; what it had is for others then. */
void mf_worker_rank_let_go(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** Whether the executor has it. */
static inline bool mf_worker_attempt_has_begun(const struct mf_worker_attempt *attempt)
{
    return attempt->state == MF_ATTEMPT_STAGED || attempt->state == MF_ATTEMPT_RUNNING ||
           attempt->state == MF_ATTEMPT_SUSPENDED;
}

typedef void (*mf_worker_attempt_fn)(struct mf_worker_rank *worker,
                                     struct mf_worker_attempt *attempt);

/**
 * mf_worker_rank_each_attempt() - call fn for each attempt that there is.
 *
 * What fn does may take any of them out of the table. Without memory nothing is called, and the
 * worker is broken.
 */
void mf_worker_rank_each_attempt(struct mf_worker_rank *worker, mf_worker_attempt_fn fn);

/** The executor is to end an attempt that it has, which it may tell of at once. */
void mf_worker_rank_end_begun(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** Ends an attempt that cannot be started, with the reason. */
void mf_worker_rank_refuse(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                           const char *detail);

/** Stops an attempt that runs: its slots are free, now or when it yields. */
void mf_worker_rank_suspend(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** Gives queued attempts to the executor as far as slots and staging allow. */
void mf_worker_rank_start_queued(struct mf_worker_rank *worker);

/** Reports the end of an attempt that has no slots any more. */
void mf_worker_rank_report_ended(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                                 const struct mf_executor_event *event);

/** Appends all of an output, stdout first. Returns 0 or -errno. */
int mf_worker_rank_read_output(const struct mf_output *output, struct mf_buffer *bytes);

/* worker_rooms.c */

/** Makes the command of an attempt what it is started as, if it is a spread one. Returns 0 or
 * -errno. */
int mf_worker_rooms_spread(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** Says that the room of a part is kept, and which GPUs are in it. */
void mf_worker_rooms_report(struct mf_worker_rank *worker, const struct mf_worker_attempt *attempt);

/** An attempt or a part is over on this node: nothing of it is left here. */
void mf_worker_rooms_clear(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/* worker_handover.c */

/** Tells how an attempt ended. Returns whether its output is in the record, else it is to be
 * pulled.
 */
bool mf_worker_rank_post_ended(struct mf_worker_rank *worker,
                               const struct mf_worker_attempt *attempt,
                               const struct mf_outcome *outcome, const struct mf_output *output);

/** Its scheduler is lost. Returns whether another one may still take over. */
bool mf_worker_handover_await(struct mf_worker_rank *worker);

/** Sends the REPORT that is owed, once it is known what it is. */
void mf_worker_handover_turn(struct mf_worker_rank *worker);

/** A rank says that it is the scheduler. Returns 0 or -errno. */
int mf_worker_handover_on_takeover(struct mf_worker_rank *worker, uint32_t from,
                                   const struct mf_message *message);

/** A record of a rank that is not the scheduler, or not any more. Returns 0 or -errno. */
int mf_worker_handover_on_stranger(struct mf_worker_rank *worker, uint32_t from,
                                   const struct mf_message *message);

/* worker_feeds.c */

/**
 * mf_worker_feeds_await() - queue an attempt once all that its command takes is here.
 *
 * @run  its RUN record, with feeds
 *
 * Returns 0, -EPROTO or -ENOMEM.
 */
int mf_worker_feeds_await(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                          const struct mf_message *run);

/** An attempt needs its feeds no more. */
void mf_worker_feeds_give_back(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt);

/** A piece has come. */
void mf_worker_feeds_on_piece(struct mf_worker_rank *worker, const struct mf_message *piece);

/** A feed is not needed beyond the attempts that are here. */
void mf_worker_feeds_on_unfeed(struct mf_worker_rank *worker, const struct mf_message *unfeed);

/** Nobody knows any more of the feeds that are here: none stays beyond the attempts that take it.
 */
void mf_worker_feeds_forget(struct mf_worker_rank *worker);

/** Removes all files. */
void mf_worker_feeds_finish(struct mf_worker_rank *worker);

/* worker_hooks.c */

/** Takes over what HOOKS brings. Returns 0, -EPROTO, -EBADMSG or -ENOMEM. */
int mf_worker_hooks_take(struct mf_worker_rank *worker, const struct mf_message *message);

/** Begins the next hook, if it is time for it. */
void mf_worker_hooks_turn(struct mf_worker_rank *worker);

/** Whether tasks may be started: the hooks for the start have ended, and it does not leave. */
bool mf_worker_hooks_let_work(const struct mf_worker_rank *worker);

/** The worker is told to leave: ends what runs, and then hooks for the end are begun. */
void mf_worker_hooks_stop(struct mf_worker_rank *worker);

/** Whether leaving has to wait for hooks. */
bool mf_worker_hooks_are_left(const struct mf_worker_rank *worker);

/** When the next turn is due for hooks; INT64_MAX for never. */
int64_t mf_worker_hooks_next_ns(const struct mf_worker_rank *worker);

/** Whether the executor speaks of a hook, which is dealt with here then. */
bool mf_worker_hooks_heard(struct mf_worker_rank *worker, const struct mf_executor_event *event);

void mf_worker_hooks_finish(struct mf_worker_rank *worker);
/* worker_notice.c */

/** Begins to watch the scheduler. Returns 0 or -ENOMEM. */
int mf_worker_notice_create(struct mf_worker_rank *worker,
                            const struct mf_worker_rank_config *config);

/** The scheduler says which process it is. */
void mf_worker_notice_on_pulse(struct mf_worker_rank *worker, const struct mf_message *pulse);

/** The scheduler has given this worker up, and takes it back when it has ended all it has. */
void mf_worker_notice_on_reset(struct mf_worker_rank *worker);

/** After what came was taken in: looks whether the scheduler is there, and says that this worker
 * is. */
void mf_worker_notice_turn(struct mf_worker_rank *worker);

/** When the scheduler should next hear of this worker; INT64_MAX for never. */
int64_t mf_worker_notice_next_ns(const struct mf_worker_rank *worker);

/**
 * mf_worker_rank_on_scheduler_lost() - what a worker does when its scheduler is gone.
 *
 * It ends its tasks, and is finished; but with a standby it goes on for a while, and waits for
 * another one.
 */
void mf_worker_rank_on_scheduler_lost(struct mf_worker_rank *worker);

/* worker_signal.c */

/** The end of an attempt, if it is better reported a little later. Returns whether that is so. */
bool mf_worker_signal_hold(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                           const struct mf_executor_event *event);

/** An attempt that is HELD was to be ended anyway, or got a signal: that is why it has ended. */
void mf_worker_signal_excuse(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                             enum mf_cause cause);

/** Reports what has been held for long enough. */
void mf_worker_signal_turn(struct mf_worker_rank *worker);

/** When the next turn is due for what is held; INT64_MAX for never. */
int64_t mf_worker_signal_next_ns(const struct mf_worker_rank *worker);

/* worker.c */

/** Appends a record for the scheduler; sends the frame first if that would make it too large. */
void mf_worker_rank_post(struct mf_worker_rank *worker, const struct mf_message *message);

/** The same for a record about an attempt without any other field. */
void mf_worker_rank_post_simple(struct mf_worker_rank *worker, enum mf_message_kind kind,
                                mf_task_id task, uint32_t number);

/** Says, once, that nothing can run here any more. */
void mf_worker_rank_report_broken(struct mf_worker_rank *worker, const char *text);

#endif
