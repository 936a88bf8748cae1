/*
 * The scheduler's state, shared by the files it is made of:
 *
 *     scheduler.c  life, the turn, the end
 *     beginning.c  whether the run can begin, and what there is of an earlier one
 *     adoption.c   what workers have of a scheduler that this one comes after
 *     reign.c      with a standby: the epoch, and who would come next
 *     lives.c      and which processes the ranks are
 *     wishes.c     and what was decided of the run, for the next scheduler
 *     peers.c      the workers: HELLO, shares of nodes, frames to each
 *     notice.c     which of them are there, and those that were given up too early
 *     choosing.c   the policy auto
 *     intake.c     tasks from the source into the farm
 *     earlier.c    what was done earlier
 *     past.c       when that was, in a run that is taken over
 *     learned.c    run times of kinds of tasks, from run to run
 *     dispatch.c   changes of the farm into records to workers
 *     feeds.c      output of tasks to the workers that run others which take it
 *     transfer.c   output into the stores, fetched from workers where it is large
 *     settle.c     ended attempts: journal, and after the commit the telling
 *     recovery.c   what lost workers leave behind; workers in quarantine
 *     respawn.c    workers that come later
 *     requests.c   what the user asks of the run while it goes on
 *     cancelling.c tasks that the user withdraws
 *     draining.c   workers that the user wants to get no more work
 *     hooks.c      commands that workers run when they join and leave
 *     walltime.c   the end of the allocation
 *     standstill.c nothing that is left can start
 *     release.c    idle nodes that Slurm gets back
 *     telling.c    progress, status.json, the result and the summary
 */
#ifndef MF_RUNTIME_SCHEDULER_PRIVATE_H
#define MF_RUNTIME_SCHEDULER_PRIVATE_H

#include "base/list.h"
#include "base/table.h"
#include "report/catalog.h"
#include "report/joblog.h"
#include "report/printer.h"
#include "report/status.h"
#include "report/store.h"
#include "runtime/chooser.h"
#include "runtime/node.h"
#include "runtime/scheduler.h"
#include "runtime/sentry.h"
#include "taskfile/names.h"
#include "wire/message.h"

struct mf_control_request;

/** Failures that the summary shows. */
#define MF_MAX_SHOWN_FAILURES 20

enum mf_peer_state {
    MF_PEER_EXPECTED, /* no HELLO yet */
    MF_PEER_HELLO,    /* waits for its share of the node */
    MF_PEER_UP,       /* works */
    MF_PEER_STOPPING, /* was told to stop; BYE is awaited */
    MF_PEER_LOST,     /* its tasks went elsewhere; if it is heard of, it may begin again */
    MF_PEER_GONE,
};

/**
 * A rank with a worker, as the scheduler sees it; rank 0's own is number 0.
 *
 * @transport, @address  how to reach it
 * @node                 number of its node, from 1; 0 before it is UP
 * @welcome              what it was told of its share, empty once another one has that
 * @is_vacant, @is_wanted   nobody has its share; a worker for that is to be started
 * @lost_ns              when it was lost
 * @is_quarantined, @n_quarantines   whether it is in quarantine; how often it was put there
 * @has                  what its HELLO said
 * @life                 which process it is; pid 0 when that is not known
 * @frame                records of this turn
 * @has_hooks            it was told what to run first and last
 * @is_busy              it was told to stop and has said that hooks still run
 * @send_error           why nothing can be sent to it any more, 0 or -errno
 * @transfers            outputs being pulled from it
 * @share                what it has of its node
 * @was_sent             since it was last looked at whether something was
 * @is_reset             LOST, and told to begin again
 * @is_drained           it gets no work when it comes, or when it is back, as it was drained before
 * @is_missed            it was lost while it had work, or never came, and is not back
 * @is_gone              its process is not there any more, or seems not to be
 */
struct mf_peer {
    uint32_t rank;
    enum mf_peer_state state;
    struct mf_transport *transport;
    uint32_t address;
    char host[MF_HOST_SIZE];
    mf_node_id node;
    bool is_quarantined;
    uint32_t n_quarantines;
    struct mf_buffer welcome;
    bool is_vacant, is_wanted;
    int64_t lost_ns;
    struct mf_offer has;
    struct mf_life life;
    uint32_t n_slots;
    struct mf_buffer frame;
    bool has_hooks;
    bool is_busy;
    int send_error;
    struct mf_list transfers;
    struct mf_needs share;
    bool was_sent;
    bool is_reset;
    bool is_drained;
    bool is_missed;
    bool is_gone;
};

/**
 * Of workers that are there, and those that are not any more.
 *
 * @sentry      NULL when there are no other ranks
 * @life        of this process
 * @cursor, @paced_ns   who is looked at next for whether it has heard from here, as of when
 * @lost_ns     when the last one was lost
 * @n_lost      how often one was lost that had work, or never came
 * @n_renewed   how often the launcher of one has died, and was replaced
 * @n_gone      ranks that are is_gone: whoever leaves waits for nobody then
 * @n_returned  how often one began again
 * @n_stale     records that came from LOST ones, and were dropped
 */
struct mf_notice {
    struct mf_sentry *sentry;
    struct mf_life life;
    uint32_t cursor;
    int64_t paced_ns;
    int64_t lost_ns;
    uint64_t n_lost, n_renewed, n_gone, n_returned, n_stale;
};

/**
 * A task that a worker has or had: what the farm's core does not know of it.
 * It exists from the first placement until the task is settled.
 *
 * @command   encoded, for sending
 * @text      as one line, for journal and joblog
 * @sent      the attempt that was last sent, 0 for none
 * @n_tries_earlier  what they are counted on from
 * @try_number  which try of the task that is, as the user counts
 * @sent_ns     when that was
 * @transfer  its output on the way here, NULL for none
 * @saved     saved_size bytes that its last try saved, NULL for none
 * @outs      n_outs tasks whose output the command takes, as those of its entry
 */
struct mf_live {
    mf_task_id task;
    char *id;
    char *tag;
    char *text;
    uint64_t seq;
    uint8_t key[MF_KEY_SIZE];
    int64_t timeout_ns;
    uint8_t *command;
    size_t command_size;
    uint8_t *saved;
    size_t saved_size;
    uint32_t sent;
    uint32_t n_tries_earlier;
    uint32_t try_number;
    int64_t sent_ns;
    int64_t suspended_wall_ns;
    struct mf_transfer *transfer;
    mf_task_id *outs;
    uint32_t n_outs;
};

/**
 * A large output on its way from a worker into a store. The attempt counts as
 * ended only when all of it is here.
 *
 * @region     where it goes
 * @asked, @received   bytes of stdout and stderr, taken as one run
 */
struct mf_transfer {
    struct mf_list node;
    struct mf_live *live;
    struct mf_peer *peer;
    uint32_t attempt;
    struct mf_outcome outcome;
    struct mf_region region;
    uint64_t asked;
    uint64_t received;
};

/**
 * An ended attempt that is in the journal's open group: what is told of it once
 * the group is committed.
 *
 * @live        of a task that is final, now owned here; NULL when it is tried again
 * @id          of the task, owned, for the index of stored output
 * @attempt     which try of the task it was, from 1
 * @is_printed  nothing of it goes to standard output
 */
struct mf_unsettled {
    struct mf_list node;
    struct mf_live *live;
    enum mf_task_state state;
    uint64_t row;
    char *id;
    uint32_t attempt;
    const char *host;  /* the peer's, or "" */
    mf_worker_id rank; /* the peer's, or MF_WORKER_NONE */
    mf_task_id task;
    uint32_t sent; /* number of the attempt */
    struct mf_outcome outcome;
    struct mf_region region;
    bool is_printed;
    bool is_known; /* the journal has it of an earlier run */
};

/** Why so many tasks were skipped; the text is owned. */
struct mf_kept_skip {
    char *cause;
    uint64_t n_tasks;
};
#define MF_MAX_SHOWN_SKIPS 5

/** A failure kept for the summary; its texts are owned. */
struct mf_kept_failure {
    char *id, *text, *cause;
    uint32_t attempts;
    bool was_started;
};

/** What the journal knew of a command before this run: tasks of equal key are alike. */
struct mf_earlier {
    uint32_t n_done;
    uint32_t n_failed;
    uint32_t n_skipped;
    uint32_t first_unprinted; /* index + 1 into unprinted, 0 for none */
};

/** Output of an earlier run that was not surely printed, or that other tasks may take. */
struct mf_earlier_output {
    bool is_printed;
    bool is_wanted; /* a task that is still to be run takes it */
    bool is_gone;   /* it is not in its store any more */
    uint64_t row;
    struct mf_region region;
    uint32_t next; /* as first_unprinted */
};

/** How the task ended that was last in a place of the input; READY if it was to be tried again. */
struct mf_earlier_place {
    enum mf_task_state state;
    struct mf_task_history history;
    int64_t ran_ns;     /* all its attempts */
    uint32_t unprinted; /* its output, as first_unprinted */
};

/** By number of the id, from 1: the last attempt that was not the end of its task. */
struct mf_earlier_tries {
    struct mf_names ids;
    uint32_t *numbers;
    uint32_t n;
};

/** A task that ended and was not DONE; its id, as the user knows it, is owned. */
struct mf_bad_end {
    char *id;
    enum mf_task_state state;
};

/**
 * Under the policy auto: how the order is chosen.
 *
 * @chooser        NULL under any other policy
 * @paid_until_ns  nothing more is spent on choosing before that
 * @n_changes      how often the policy was changed
 * @why            when that was last, and what was predicted; "" under any other policy
 */
struct mf_choosing {
    struct mf_chooser *chooser;
    int64_t paid_until_ns;
    uint64_t n_changes;
    char why[MF_PREFERENCE_SIZE + 64];
};

/**
 * Workers that come later.
 *
 * @n_left       lost workers that may still be replaced
 * @n_wanted     peers that are marked so
 * @look_ns      until then none has been silent for too long
 * @is_starting  the transport is at it
 * @newcomer     the one that was started and has not said HELLO yet, or NULL
 * @place        whose share that is for, or NULL
 * @not_before_ns   when the next one may be started; with a newcomer, when its time is up
 * @n_failures   since the last one that came up
 */
struct mf_respawn {
    uint32_t n_left, n_wanted;
    int64_t look_ns;
    bool is_starting;
    struct mf_peer *newcomer, *place;
    int64_t not_before_ns;
    uint32_t n_failures;
};

/**
 * Nodes that Slurm gets back.
 *
 * @spared      by rank: those that go next; NULL when none is to go
 * @stays       while they are chosen, by node: it does not go, or its name is told
 * @is_asking   Slurm is asked to take them
 * @has_failed  it has refused, and is not asked again
 * @next_ns     when it is looked for others
 */
struct mf_release {
    bool *spared, *stays;
    bool is_asking, has_failed;
    int64_t next_ns;
};

/**
 * What was decided of the run, and is known to the next scheduler.
 *
 * @are_left   of the scheduler before: it is to be done once all is adopted that there is
 * @stop       of that: how the run is to be stopped
 * @noted      how it is being stopped, as the journal has it
 * @n_cancels  requests to cancel tasks that the journal has
 */
struct mf_wishes {
    bool are_left;
    enum mf_stop stop, noted;
    uint32_t n_cancels;
};

struct mf_scheduler {
    struct mf_scheduler_config config;
    struct mf_farm *farm;
    struct mf_journal *journal; /* NULL until it is open */
    bool is_begun;              /* tasks may be read, and parts below exist: see beginning.c */
    bool is_refused;            /* it will never be */
    int64_t now_ns;
    int64_t created_ns;

    struct mf_peer *peers; /* never moves: room for all that there can be */
    uint32_t n_peers, n_first_peers;
    struct mf_respawn respawn;
    struct mf_release release;
    bool is_sharing_done;
    int64_t awaited_ns, looked_ns; /* before that: how long the ranks were; when that was last */
    uint32_t n_slots;
    struct mf_notice notice;

    bool is_source_done;
    bool is_source_waiting;
    bool is_reading; /* there is more to read at once */
    bool is_telling; /* there are more changes of the farm to carry out at once */
    struct mf_watch *source_watch;
    uint64_t lookahead;
    uint64_t n_total; /* 0 when unknown */
    uint64_t n_entries;
    struct mf_table *earlier;
    struct mf_table *this_run; /* as earlier_places, of what this run has done before a takeover */
    uint64_t first_row;        /* of this run in the journal */
    struct mf_table *earlier_places; /* key and place in the input, to an mf_earlier_place */
    struct mf_table *earlier_outs;   /* the same, or a key and 0, to an index of unprinted */
    struct mf_earlier_output *unprinted;
    uint32_t n_unprinted;
    struct mf_earlier_tries earlier_tries;
    uint64_t n_done_earlier, n_failed_earlier;

    uint64_t epoch;     /* of this scheduler; 0 without a standby */
    uint64_t former;    /* rank of the scheduler before */
    bool has_new_heirs; /* workers are to be told who would come next */
    struct mf_wishes wishes;
    bool is_superseded;        /* by another scheduler: nothing more is done */
    struct mf_table *adoptees; /* see adoption.c; NULL but after a takeover */
    uint64_t n_adopted;
    struct mf_table *spans; /* see spans.c; NULL while no task needed several nodes */

    struct mf_requests *requests; /* see requests.c */

    struct json_t *learned; /* see learned.c; NULL when there is nothing */
    uint32_t last_kind;     /* of those that the farm was told of */
    uint32_t last_group;    /* the same of groups and their shares */
    bool has_dependencies;
    bool is_at_barrier;        /* the entry below waits until all before it have ended */
    uint64_t held_cookie;      /* of that entry */
    struct mf_table *bad_ends; /* task id to struct mf_bad_end, for those that come after it */

    struct mf_table *wanted; /* task id to struct mf_wanted, of feeds.c; NULL without any */
    struct mf_table *reruns; /* ids of tasks that are DONE, but whose output is gone */
    struct mf_list fetches;

    struct mf_choosing choosing;

    int64_t warn_ns, stop_ns; /* see walltime.c; INT64_MAX for never */
    uint64_t n_warned;        /* tasks that ran then */

    struct mf_table *live; /* task id to struct mf_live * */
    struct mf_buffer scratch;
    struct mf_store *kept, *spool, *feed;
    struct mf_printer *printer;
    struct mf_tsv *joblog, *extra_joblog, *catalog;
    struct mf_list unsettled;
    int64_t oldest_unsettled_ns;
    int64_t last_commit_ns, commit_cost_ns;

    uint64_t n_hooks_failed;
    uint64_t n_quarantined; /* changes of that kind that were looked at */

    uint64_t n_done, n_failed, n_cancelled, n_skipped, n_truncated, n_unfit;
    struct mf_kept_skip skips[MF_MAX_SHOWN_SKIPS];
    uint32_t n_skips;
    bool has_times; /* an attempt has ended: the first two of those below hold */
    int64_t first_start_ns, last_end_ns, busy_ns;
    uint64_t n_retried_before; /* another scheduler took over */
    uint32_t n_slots_before;   /* when the run began, 0 for the same */
    struct mf_kept_failure failures[MF_MAX_SHOWN_FAILURES];
    uint32_t n_failures;

    int64_t turn_began_ns, turnaround_ns;
    int64_t next_status_ns;
    bool is_status_lost; /* status.json could not be written, and that was said */
    char stopped_by[256];
    bool is_interrupted; /* from outside, such as by a signal, as stopped_by tells */
    bool has_told_stranded;
    char failed_by[480]; /* by itself: "an error: ...", for those who look later; "" for not */
    bool cannot_print;   /* output cannot be printed any more */
    bool is_input_bad;   /* what came before the bad line is run */
    bool has_failed;     /* by itself: disk, input, workers; nothing more is journaled */
    bool is_leaving;     /* STOP was sent to all */
    int64_t leave_deadline_ns;
    bool is_hurried; /* workers that leave are to run hooks no longer */
    bool is_finished;
};

/* scheduler.c */

/** Ends the run because the farm itself cannot go on: logs the sentence, once. */
void mf_scheduler_fail(struct mf_scheduler *scheduler, const struct mf_error *err);

/** The same for an error that only has a number. */
void mf_scheduler_fail_with(struct mf_scheduler *scheduler, int code, const char *what);

/** Applies an event at the time of this turn; only out of memory is an error here. */
int mf_scheduler_apply(struct mf_scheduler *scheduler, struct mf_event *event);

/* beginning.c */

/** Refuses a task of several nodes under a policy that suspends tasks. Returns 0 or -ENOTSUP. */
int mf_beginning_check_span(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                            struct mf_error *err);

/**
 * mf_beginning_turn() - begin the run, once all workers have said what they have.
 *
 * Refuses it, with a sentence in the log, if the input asks for more of something than the
 * largest worker has, or if there is no place for the run. Then, and when it is stopped before,
 * the workers are let go and the scheduler is finished.
 *
 * Returns whether the run has begun.
 */
bool mf_beginning_turn(struct mf_scheduler *scheduler);

/** When it wants its next turn, while the run has not begun. */
int64_t mf_beginning_next_ns(const struct mf_scheduler *scheduler);

/**
 * Instead of that for a scheduler that takes over: opens the journal, whose lock says that the one
 * before is gone. Returns 0 or -errno with a sentence.
 */
int mf_beginning_take_over(struct mf_scheduler *scheduler, struct mf_error *err);

/* reign.c */

/** Numbers this scheduler behind those before it, durably. Returns 0 or -errno with a sentence. */
int mf_reign_claim(struct mf_scheduler *scheduler, struct mf_error *err);

/** The ranks that were lost before this scheduler took over are not waited for. */
int mf_reign_recall_lost(struct mf_scheduler *scheduler, struct mf_error *err);

/** Tells all ranks that this one schedules now. */
void mf_reign_take_over(struct mf_scheduler *scheduler);

/** Tells workers who would come next, if that has changed. */
void mf_reign_turn(struct mf_scheduler *scheduler);

/** A rank is lost, or back: the next scheduler is not to wait for those that are lost. */
void mf_reign_note_lost(struct mf_scheduler *scheduler);

/** A rank says that it has another scheduler. Returns 0 or -EPROTO. */
int mf_reign_on_superseded(struct mf_scheduler *scheduler, const struct mf_message *message);

/** A rank says that it is the scheduler. Returns 0 or -EPROTO. */
int mf_reign_on_takeover(struct mf_scheduler *scheduler, struct mf_peer *peer,
                         const struct mf_message *message);

/** Whether this scheduler may still write. Returns 0, or -errno with a sentence; behind -ESTALE it
 * is superseded. */
int mf_reign_check(struct mf_scheduler *scheduler, struct mf_error *err);

/* lives.c */

/** Keeps which process a rank is, or all of them, for the next scheduler. Return 0 or -errno with a
 * sentence. */
int mf_lives_note(struct mf_scheduler *scheduler, const struct mf_peer *peer, struct mf_error *err);
int mf_lives_note_all(struct mf_scheduler *scheduler, struct mf_error *err);

/** Watches the processes of those that are expected to report. Returns 0 or -errno with a sentence.
 */
int mf_lives_recall(struct mf_scheduler *scheduler, struct mf_error *err);

/* wishes.c */

/** The run begins: nothing was asked of it yet. Returns 0 or -errno with a sentence. */
int mf_wishes_begin(struct mf_scheduler *scheduler, struct mf_error *err);

/** What was asked of a run that goes on is to be done. Returns 0 or -errno with a sentence. */
int mf_wishes_recall(struct mf_scheduler *scheduler, struct mf_error *err);

/** Behind adoption: does that when it is time, and notes how the run is being stopped. */
void mf_wishes_turn(struct mf_scheduler *scheduler);

/** The run is being stopped, if it is; which workers are drained has changed: durably. */
void mf_wishes_note_stop(struct mf_scheduler *scheduler);
void mf_wishes_note_drained(struct mf_scheduler *scheduler);

/** It is to be stopped by one that takes over and has not begun: once it knows what has ended. */
void mf_wishes_stop_later(struct mf_scheduler *scheduler, enum mf_stop stop, const char *why);

/** Tasks are to be cancelled: durable behind mf_wishes_secure(), which is before the answer. */
void mf_wishes_note_cancel(struct mf_scheduler *scheduler,
                           const struct mf_control_request *request);
void mf_wishes_secure(struct mf_scheduler *scheduler);

/* adoption.c */

int mf_adoption_create(struct mf_scheduler *scheduler);
void mf_adoption_finish(struct mf_scheduler *scheduler);

/** A worker reports what it has. Returns 0, -EPROTO or -ENOMEM. */
int mf_adoption_on_report(struct mf_scheduler *scheduler, struct mf_peer *peer,
                          const struct mf_message *message);

/** The same from one that was given up, which has to begin again. */
void mf_adoption_on_late_report(struct mf_scheduler *scheduler, struct mf_peer *peer,
                                const struct mf_message *message);

/** Whether a worker has an attempt of a task that waits to adopt it. */
bool mf_adoption_awaits(const struct mf_scheduler *scheduler, mf_task_id task);

/** If so, keeps how that attempt ended, and returns true. */
bool mf_adoption_keep_ended(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                            const struct mf_message *message);

/** Its attempts are gone. */
void mf_adoption_on_peer_lost(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** A task is there, withheld as mf_adoption_awaits() says: it adopts its attempt if it can. */
void mf_adoption_on_submitted(struct mf_scheduler *scheduler, mf_task_id task);

/**
 * An attempt has ended and all its output is here: if no task has adopted it yet, its task does so
 * now, as by the event ENDED. Returns whether that is so, and then what mf_farm_apply() said.
 */
bool mf_adoption_end(struct mf_scheduler *scheduler, const struct mf_event *ended, int *ret_r);

/** A task needs no attempt: it is ended if there is one. */
void mf_adoption_on_settled(struct mf_scheduler *scheduler, mf_task_id task);

/** Adopts what could not be before, and ends what no task wants. */
void mf_adoption_turn(struct mf_scheduler *scheduler);

/** Whether a task that a worker has an attempt of is still to be read. */
bool mf_adoption_awaits_reading(const struct mf_scheduler *scheduler);

/** Whether some attempt may be adopted without that anything new is started before. */
bool mf_adoption_is_under_way(const struct mf_scheduler *scheduler);

/* peers.c */

/** A drained worker whose node is given back: that is no loss. */
void mf_peer_part(struct mf_scheduler *scheduler, struct mf_peer *peer);

/** A rank that this scheduler has never heard of is lost, but may come. */
void mf_peer_doubt_unseen(struct mf_scheduler *scheduler, struct mf_peer *peer);

/** The farm gives a worker tasks from now on, by its share of the node. Returns 0 or -errno. */
int mf_peer_offer(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** A worker with that share of its node takes tasks. Returns 0 or -errno. */
int mf_peer_bring_up(struct mf_scheduler *scheduler, struct mf_peer *peer,
                     const struct mf_needs *share);

int mf_peers_create(struct mf_scheduler *scheduler);
void mf_peers_destroy(struct mf_scheduler *scheduler);
struct mf_peer *mf_peers_find(struct mf_scheduler *scheduler, uint32_t rank);

/** How many there can be. */
uint32_t mf_peers_max(const struct mf_scheduler *scheduler);

/** One more rank, whose number is that of those there are. */
void mf_peers_add(struct mf_scheduler *scheduler, uint32_t rank);

/** The rank that this scheduler is in. */
uint32_t mf_peers_self(const struct mf_scheduler *scheduler);

/** Appends a record for the peer; sends the frame first if that would make it too large. */
void mf_peer_post(struct mf_peer *peer, const struct mf_message *message);

/**
 * Hands every begun frame to its transport; peers that nothing can be sent to
 * are lost here. Returns whether there was any.
 */
bool mf_peers_send(struct mf_scheduler *scheduler);

/** A rank says what it has. */
int mf_peers_on_hello(struct mf_scheduler *scheduler, struct mf_peer *peer,
                      const struct mf_message *message);

/** Once all ranks said HELLO, or time is up, gives each its share of its node. */
void mf_peers_share_nodes(struct mf_scheduler *scheduler);

/** When time is up for that. */
int64_t mf_peers_deadline_ns(const struct mf_scheduler *scheduler);

/** A worker can do nothing more: its tasks go to others. */
void mf_peer_lose(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why);

/** The same for one that is only silent: it may turn out to be there. */
void mf_peer_doubt(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why);

/** A worker that was LOST has nothing of before, and takes tasks again. */
void mf_peer_bring_back(struct mf_scheduler *scheduler, struct mf_peer *peer);

/** The same for one that still listens: it is told to stop, and leaves in order. */
void mf_peer_dismiss(struct mf_scheduler *scheduler, struct mf_peer *peer, const char *why);

/** Ends the run if tasks are left, and no worker that could run them. */
void mf_peers_check_left(struct mf_scheduler *scheduler);

/** Tells a worker to stop. */
void mf_peer_post_stop(const struct mf_scheduler *scheduler, struct mf_peer *peer);

/** Tells every worker to stop: from then on the scheduler is leaving. */
void mf_peers_stop(struct mf_scheduler *scheduler);

/** A worker that leaves has said that it is about it: the time for that begins anew. */
void mf_peers_await(struct mf_scheduler *scheduler);

/** After that: whether all workers have left, or need not be waited for any more. */
bool mf_peers_have_left(const struct mf_scheduler *scheduler);

/* notice.c */

/** Begins to watch the ranks. Returns 0 or -ENOMEM. */
int mf_notice_create(struct mf_scheduler *scheduler);
void mf_notice_destroy(struct mf_scheduler *scheduler);

/** A rank says which process it is. */
void mf_notice_meet(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                    const struct mf_life *life);

/** From now on the rank should not be silent. */
void mf_notice_expect(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** The rank is not watched any more. */
void mf_notice_forget(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** Something came from a rank. */
void mf_notice_heard(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** A rank is gone, or seems to be; or is there after all. */
void mf_notice_note_gone(struct mf_scheduler *scheduler, struct mf_peer *peer, bool is_gone);

/** Whether the process of a rank is known to be there, however silent it is. */
bool mf_notice_vouches(const struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** A record of a LOST worker: out of date, or the word that nothing of before is left. */
void mf_notice_on_late(struct mf_scheduler *scheduler, struct mf_peer *peer,
                       const struct mf_message *message);

/** After what came was taken in: gives up who is gone, and lets the others hear from here. */
void mf_notice_turn(struct mf_scheduler *scheduler);

/** When a run without workers need not wait any more for one that may come back. */
int64_t mf_notice_patience_ns(const struct mf_scheduler *scheduler);

/* hooks.c */

/** The run begins: workers are told what to run before their first task and at their end. */
void mf_hooks_begin(struct mf_scheduler *scheduler);

/** Tells one of them, unless it has been told. */
void mf_hooks_post(struct mf_scheduler *scheduler, struct mf_peer *peer);

/** A hook has ended on a worker. Returns 0, or -EPROTO for one that there is not. */
int mf_hooks_on_ended(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                      const struct mf_message *message);

/** A worker that was told to stop still runs hooks: it is waited for. */
void mf_hooks_on_busy(struct mf_scheduler *scheduler, struct mf_peer *peer);

/** Workers that leave are not to run hooks any longer. */
void mf_hooks_hurry(struct mf_scheduler *scheduler);

/* earlier.c */

/** Reads the journal of an earlier run into scheduler->earlier. */
int mf_earlier_load(struct mf_scheduler *scheduler, struct mf_error *err);

/** How the task ended, as the journal of an earlier run has it; WAITING if it has not. */
enum mf_task_state mf_earlier_state(const struct mf_scheduler *scheduler,
                                    const struct mf_command *command);

/** What an earlier run has of the output of a task that it has done, or NULL. */
struct mf_earlier_output *mf_earlier_find_output(const struct mf_scheduler *scheduler,
                                                 const struct mf_command *command);

/** How this task ended, if the journal has it, else WAITING; that end is used up, and told of.
 * *ret_history is what it has been through in this run, NULL for nothing. */
enum mf_task_state mf_earlier_settle(struct mf_scheduler *scheduler, const struct mf_entry *entry,
                                     const struct mf_task_history **ret_history);

/** The number of the last attempt of a task that was not settled, 0 if there was none. */
uint32_t mf_earlier_attempts(struct mf_scheduler *scheduler, const char *id);

/** Whether an earlier run has recorded that a task of that key was skipped, once for each. */
bool mf_earlier_was_skipped(struct mf_scheduler *scheduler, const uint8_t *key);

void mf_earlier_finish(struct mf_scheduler *scheduler);

/* past.c */

/** A run begins that another scheduler may take over. Returns 0 or -errno. */
int mf_past_note(struct mf_scheduler *scheduler, struct mf_error *err);

/** When the run that is taken over began, and has to end. Returns 0 or -errno. */
int mf_past_recall(struct mf_scheduler *scheduler, struct mf_error *err);

/** An attempt has run from one time to another. */
void mf_past_note_time(struct mf_scheduler *scheduler, int64_t start_ns, int64_t end_ns);

/** The same of one that has ended before the run was taken over. Returns how long it ran. */
int64_t mf_past_note_attempt(struct mf_scheduler *scheduler,
                             const struct mf_journal_attempt *attempt);

/* intake.c */

/** Submits tasks until the farm knows enough of them. Returns whether it stopped early to be brief.
 */
bool mf_intake_turn(struct mf_scheduler *scheduler);

/**
 * Whether tasks can be read: all before the barrier at which that waits have ended, or fewer are at
 * hand than are to be.
 */
bool mf_intake_may_go_on(const struct mf_scheduler *scheduler);

void mf_intake_finish(struct mf_scheduler *scheduler);

/** Remembers how a task ended that was not DONE, if others may come after it. */
void mf_intake_note_end(struct mf_scheduler *scheduler, mf_task_id task, const char *id,
                        enum mf_task_state state);

/** Why a task is skipped: "task 3, which failed". Returns text, which holds size bytes. */
char *mf_intake_explain_skip(const struct mf_scheduler *scheduler, mf_task_id root, char *text,
                             size_t size);

/* walltime.c */

/** Tells the farm when the allocation ends, if it does. */
void mf_walltime_create(struct mf_scheduler *scheduler);

/** Warns what runs, and stops the run, when it is time. */
void mf_walltime_turn(struct mf_scheduler *scheduler);

/** When it is time for a turn; INT64_MAX for never. */
int64_t mf_walltime_next_ns(const struct mf_scheduler *scheduler);

/* standstill.c */

/** Behind the decisions of a turn: stops the run when nothing that is left of it can start. */
void mf_standstill_turn(struct mf_scheduler *scheduler);

/* release.c */

/** Returns 0 or -ENOMEM, or another -errno. */
int mf_release_create(struct mf_scheduler *scheduler);
void mf_release_destroy(struct mf_scheduler *scheduler);

/** Behind the decisions of a turn: gives back what is idle, and not needed any more. */
void mf_release_turn(struct mf_scheduler *scheduler);

/** When it wants its next turn; INT64_MAX for never. */
int64_t mf_release_next_ns(const struct mf_scheduler *scheduler);

/* telling.c */

/** Tells the terminal and status.json, when each is due. */
void mf_telling_turn(struct mf_scheduler *scheduler);

/** Replaces status.json now. A run directory that is gone is an error of the run. */
void mf_telling_update_status(struct mf_scheduler *scheduler);

/** What stopped the run before its end, NULL for nothing. Borrowed. */
const char *mf_telling_stopped_by(const struct mf_scheduler *scheduler);

/* choosing.c */

/** Returns 0 or -ENOMEM. */
int mf_choosing_create(struct mf_scheduler *scheduler);
void mf_choosing_destroy(struct mf_scheduler *scheduler);

/** Goes on finding out which policy is best, by a step of the chooser if there is time for it. */
void mf_choosing_turn(struct mf_scheduler *scheduler);

/** When there is time for the next slice; INT64_MAX when none is waited for. */
int64_t mf_choosing_next_ns(const struct mf_scheduler *scheduler);

/** The name of the policy that the farm goes by now. */
const char *mf_choosing_policy(const struct mf_scheduler *scheduler);

/* learned.c */

/** Reads what earlier runs learned. */
void mf_learned_load(struct mf_scheduler *scheduler);
void mf_learned_finish(struct mf_scheduler *scheduler);

/** Before a task of that kind is submitted: tells the farm what is known of it. */
void mf_learned_meet_kind(struct mf_scheduler *scheduler, uint32_t kind);

/** Keeps what is known for the next run. Returns 0 or -errno with a sentence. */
int mf_learned_save(struct mf_scheduler *scheduler, struct mf_error *err);

/** A note of what was learned as text of less than size bytes, the caller's to free; kinds with
 * the fewest tasks behind them are dropped from it for that. NULL when memory is out. */
char *mf_learned_dump(struct json_t *note, size_t size);

/* spans.c */

/** Has the workers of a task's parts keep its room, unless they were told so for that attempt. */
void mf_spans_hold(struct mf_scheduler *scheduler, const struct mf_change *change);

/** Appends what RUN says of the rooms of a task, nothing if it has one. */
void mf_spans_print(struct mf_scheduler *scheduler, mf_task_id task, struct mf_buffer *text);

/** A worker keeps a room: notes the GPUs in it, for the above. Returns 0 or -EPROTO. */
int mf_spans_on_held(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                     const struct mf_message *message);

/** Has rooms let go whose attempts are over; before anything new is sent. */
void mf_spans_turn(struct mf_scheduler *scheduler);

void mf_spans_finish(struct mf_scheduler *scheduler);

/* dispatch.c */

/** Carries out changes of the farm. Returns whether it stopped early to be brief. */
bool mf_dispatch_turn(struct mf_scheduler *scheduler);

struct mf_live *mf_live_find(const struct mf_scheduler *scheduler, mf_task_id task);

/** Reads the task from its source again, and keeps what is needed until it is settled. Returns 0 or
 * -errno with a sentence. */
int mf_live_load(struct mf_scheduler *scheduler, mf_task_id task, uint64_t cookie,
                 struct mf_live **ret_live, struct mf_error *err);

/** Takes the task out of the table; it is then the caller's to free. */
void mf_live_remove(struct mf_scheduler *scheduler, struct mf_live *live);

/** NULL is accepted. */
void mf_live_free(struct mf_live *live);
void mf_live_free_all(struct mf_scheduler *scheduler);

/* requests.c */

/** Opens the control channel; where there can be none, says so. Returns 0 or -ENOMEM. */
int mf_requests_create(struct mf_scheduler *scheduler);

/** Closes it; says which tasks were to be cancelled and did not exist. */
void mf_requests_destroy(struct mf_scheduler *scheduler);

/** Looks for tasks that are to be cancelled. Returns whether it stopped early to be brief. */
bool mf_requests_turn(struct mf_scheduler *scheduler);

/** Tasks that were to be cancelled under the scheduler before are so still. Returns 0 or -errno. */
int mf_requests_recall_cancel(struct mf_scheduler *scheduler,
                              const struct mf_control_request *request);

/** When it wants its next turn; INT64_MAX for never. */
int64_t mf_requests_next_ns(const struct mf_scheduler *scheduler);

/* settle.c */

/** With a standby, a worker keeps an ended attempt until it is told this. */
void mf_settle_release(struct mf_scheduler *scheduler, mf_worker_id rank, mf_task_id task,
                       uint32_t attempt);

int mf_settle_create(struct mf_scheduler *scheduler, struct mf_error *err);
void mf_settle_destroy(struct mf_scheduler *scheduler);

/** A worker reports the end of an attempt. */
void mf_settle_on_ended(struct mf_scheduler *scheduler, struct mf_peer *peer,
                        const struct mf_message *message);

/** Commits if it is due, or at once if `now`, and tells what was committed. */
void mf_settle_turn(struct mf_scheduler *scheduler, bool now);

/** After a failure: makes durable what can be, and forgets the rest. */
void mf_settle_rescue(struct mf_scheduler *scheduler);

/** When the next commit is due; INT64_MAX for never. */
int64_t mf_settle_next_ns(const struct mf_scheduler *scheduler);

/**
 * mf_settle_attempt() - put an ended attempt into the journal's open group.
 *
 * @live   its task; taken if the state is final
 * @peer   where it ran, NULL for nowhere
 */
void mf_settle_attempt(struct mf_scheduler *scheduler, struct mf_live *live,
                       const struct mf_peer *peer, enum mf_task_state state,
                       const struct mf_outcome *outcome, const struct mf_region *region);

/**
 * mf_settle_attempt_ended() - an attempt and all its output are here.
 *
 * Lets the farm know, and records it; a region of an attempt that was already
 * given up is released.
 */
void mf_settle_attempt_ended(struct mf_scheduler *scheduler, struct mf_live *live,
                             const struct mf_peer *peer, uint32_t attempt,
                             const struct mf_outcome *outcome, const struct mf_region *region);

/** Notes for the summary what it tells of a task that is final, beside how many there are. */
void mf_settle_note_end(struct mf_scheduler *scheduler, const char *id, const char *text,
                        uint32_t attempt, const char *host, enum mf_task_state state,
                        const struct mf_outcome *outcome);

/** Takes over all output of an earlier run that was not surely printed, before any is printed. */
void mf_settle_adopt_earlier(struct mf_scheduler *scheduler);

/** Prints the output of a task that an earlier run has done; NULL if it was surely printed. */
void mf_settle_print_earlier(struct mf_scheduler *scheduler, uint64_t seq, const char *tag,
                             const struct mf_earlier_output *output);

/** Whether so much output waits that no more should be made. */
bool mf_settle_is_backed_up(const struct mf_scheduler *scheduler);

/* recovery.c */

/** A worker that was UP is lost: its tasks go to others, and what ran there is recorded. */
void mf_recovery_lose(struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** Adds to the last attempt of a task that failed with all that ran it why no other follows. */
void mf_recovery_say_poison(const struct mf_scheduler *scheduler, const struct mf_task *task,
                            struct mf_outcome *outcome);

/** The launcher of a worker was replaced; the ends of what it ran follow. */
void mf_recovery_on_renewed(struct mf_scheduler *scheduler, const struct mf_peer *peer,
                            const struct mf_message *message);

/** Says which workers were put in quarantine, or let out of it, since the last turn. */
void mf_recovery_turn(struct mf_scheduler *scheduler);

/** Names the workers that were in quarantine: "" for none. Returns text, which holds size bytes. */
char *mf_recovery_name_quarantined(const struct mf_scheduler *scheduler, char *text, size_t size);

/** Names the nodes of workers that were lost and are not back, as "n3 (rank 2), n4 (8 ranks)"; ""
 * for none. Returns text, which holds size bytes. */
char *mf_recovery_name_lost(const struct mf_scheduler *scheduler, char *text, size_t size);

/* respawn.c */

/** Whether another worker can be started at all. */
bool mf_respawn_can(const struct mf_scheduler *scheduler);

/** A worker that was UP is gone: its share is vacant, and one is started for it if any is left. */
void mf_respawn_want(struct mf_scheduler *scheduler, struct mf_peer *peer);

/**
 * mf_respawn_grow() - n more workers, as far as there are shares of nodes that nobody has.
 *
 * Returns how many of those that were drained get work again; *ret_n_starting are started.
 */
uint32_t mf_respawn_grow(struct mf_scheduler *scheduler, uint32_t n, uint32_t *ret_n_starting);

/** Whether it was drained, and is still there, whether or not it has ended all that it ran. */
bool mf_respawn_is_drained(const struct mf_scheduler *scheduler, const struct mf_peer *peer);

/** How many more there can be so. */
uint32_t mf_respawn_n_vacant(const struct mf_scheduler *scheduler);

/** Whether a worker will come; whether its process is being started; whether tasks may need it that
 * no other one could run. */
bool mf_respawn_is_pending(const struct mf_scheduler *scheduler);
bool mf_respawn_is_starting(const struct mf_scheduler *scheduler);
bool mf_respawn_is_missed(const struct mf_scheduler *scheduler);

/** The one that was started says HELLO. Returns 0 or -errno. */
int mf_respawn_on_hello(struct mf_scheduler *scheduler, struct mf_peer *peer);

void mf_respawn_turn(struct mf_scheduler *scheduler);

/** When it wants its next turn; INT64_MAX for never. */
int64_t mf_respawn_next_ns(const struct mf_scheduler *scheduler);

/* feeds.c */

/**
 * mf_feeds_plan() - find out which outputs are taken, and which tasks must be run again for them.
 *
 * Reads all tasks. After outputs of an earlier run were adopted. Returns 0 or -errno with a
 * sentence.
 */
int mf_feeds_plan(struct mf_scheduler *scheduler, struct mf_error *err);
void mf_feeds_finish(struct mf_scheduler *scheduler);

/** Whether a task that is to be run takes the output of this one. */
bool mf_feeds_is_wanted(const struct mf_scheduler *scheduler, mf_task_id task);

/** Whether an earlier run has done the task, but its output is needed and gone. */
bool mf_feeds_must_rerun(const struct mf_scheduler *scheduler, mf_task_id task);

/** A task is DONE: from now on its output can be taken. */
void mf_feeds_note_done(struct mf_scheduler *scheduler, mf_task_id task, uint64_t row,
                        const struct mf_region *region, bool is_printed);

/** An output of the store for feeds was printed. */
void mf_feeds_note_printed(struct mf_scheduler *scheduler, mf_task_id task, uint64_t row,
                           const struct mf_region *region);

/** A task has ended, and the journal has it. */
void mf_feeds_note_taker_ended(struct mf_scheduler *scheduler, const struct mf_live *live,
                               enum mf_task_state state);

/** Appends what the RUN record of a task for a rank says of feeds. Returns 0 or -errno. */
int mf_feeds_encode(struct mf_scheduler *scheduler, const struct mf_live *live, uint32_t rank,
                    struct mf_buffer *buffer);

/** A worker asks for a piece. Returns 0, -EPROTO or -ENOMEM. */
int mf_feeds_on_fetch(struct mf_scheduler *scheduler, struct mf_peer *peer,
                      const struct mf_message *message);

/** Answers what workers asked for, as far as they take it. Returns whether there was any. */
bool mf_feeds_turn(struct mf_scheduler *scheduler);

/* transfer.c */

/** Bytes of both streams. */
uint64_t mf_region_total(const uint64_t size[MF_N_STREAMS]);

/** The store that a region is in. */
struct mf_store *mf_region_store(const struct mf_scheduler *scheduler, uint32_t store);

/**
 * Reserves room for the output of an attempt: in the store for feeds if others take it, in the
 * spool if it is only to be printed, else kept.
 */
int mf_region_reserve(struct mf_scheduler *scheduler, mf_task_id task,
                      const struct mf_outcome *outcome, const uint64_t size[MF_N_STREAMS],
                      struct mf_region *region, struct mf_error *err);

/** Writes n bytes at an offset in the region. Returns 0 or -errno with a sentence. */
int mf_region_write(struct mf_scheduler *scheduler, const struct mf_region *region, uint64_t offset,
                    const void *data, size_t n, struct mf_error *err);

/** Gives up a region that will not be printed. */
void mf_region_release(struct mf_scheduler *scheduler, const struct mf_region *region);

/** Begins to fetch an output that was too large for its ENDED record. */
void mf_transfer_begin(struct mf_scheduler *scheduler, struct mf_live *live, struct mf_peer *peer,
                       const struct mf_message *message);

/** Asks for the next pieces. */
void mf_transfers_pull(struct mf_scheduler *scheduler);

/** A piece has come. */
void mf_transfers_on_data(struct mf_scheduler *scheduler, struct mf_peer *peer,
                          const struct mf_message *data);

/** Forgets the transfers of a worker that is lost. */
void mf_transfers_drop(struct mf_scheduler *scheduler, struct mf_peer *peer);

#endif
