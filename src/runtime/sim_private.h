/*
 * What the files of the simulator share among themselves. Nobody else includes it.
 *
 *   sim.c         the beginning, the loop over all that happens, the end
 *   sim_turn.c    the scheduler's turns
 *   sim_events.c  what happens when, and the frames that messages travel in
 *   sim_worker.c  the workers
 *   sim_totals.c  figures
 */
#ifndef MF_RUNTIME_SIM_PRIVATE_H
#define MF_RUNTIME_SIM_PRIVATE_H

#include "base/list.h"
#include "base/rng.h"
#include "runtime/chooser.h"
#include "runtime/sim.h"

/** The virtual clock ends here. */
#define MF_SIM_LAST_NS (INT64_C(1) << 62)

enum mf_sim_event_kind {
    MF_SIM_AT_WORKER,    /* a frame of orders arrives */
    MF_SIM_AT_SCHEDULER, /* a frame of reports arrives */
    MF_SIM_TELL,         /* of a worker: an attempt has run long enough to be told */
    MF_SIM_END,          /* of a worker: an attempt ends by itself */
    MF_SIM_WAKE,         /* the first of the events of a worker is due */
    MF_SIM_DEATH,        /* a worker dies */
    MF_SIM_NOTICE,       /* the scheduler gets to know */
    MF_SIM_TURN,         /* a turn begins: after all else of its instant */
};

/** @order  breaks ties of time; the subject's type goes with the kind */
struct mf_sim_event {
    int64_t at_ns;
    uint64_t order;
    void *subject;
    enum mf_sim_event_kind kind;
};

/** A heap of events by time and order. Starts as {0}. */
struct mf_sim_queue {
    struct mf_sim_event *events;
    size_t n, capacity;
    uint64_t n_pushed;
};

/** One order or report; kind is that of the event which a report becomes. */
struct mf_sim_record {
    mf_task_id task;
    uint32_t attempt;
    enum {
        MF_SIM_RUN,
        MF_SIM_RECALL,
        MF_SIM_STOP,
        MF_SIM_SUSPEND,
        MF_SIM_CONTINUE,
        MF_SIM_REPORT
    } order : 8;
    enum mf_event_kind kind : 8;
    enum mf_cause cause : 8;
    int64_t duration_ns;
};

#define MF_SIM_RECORDS_INLINE 2

/**
 * A message between the scheduler and a worker.
 *
 * @posted_ns  when it was begun: what is posted at that instant goes with it
 * @next       the next one in the scheduler's inbox or of its turn
 */
struct mf_sim_frame {
    struct mf_sim_worker *worker;
    struct mf_sim_frame *next;
    int64_t posted_ns;
    uint32_t n_records, capacity;
    struct mf_sim_record *records;
    struct mf_sim_record inlined[MF_SIM_RECORDS_INLINE];
};

/**
 * An attempt at a worker: in its queue, or running and then the subject of one event, or
 * suspended.
 *
 * @is_gone     it ended before its event, which frees it
 * @is_suspended  it has run, and is among the suspended ones or in the queue
 * @began_ns    when it started
 * @started_ns  the same, later by the time in which it was suspended
 * @ran_ns      while suspended: how long it has run
 * @first_slot  head of the chain of its slots, see struct mf_sim_worker
 */
struct mf_sim_job {
    mf_task_id task;
    uint32_t attempt;
    uint32_t n_slots;
    uint32_t first_slot;
    bool is_running, is_gone, is_suspended;
    int64_t began_ns, started_ns, ran_ns;
    struct mf_sim_worker *worker;
    struct mf_list node;
};

/**
 * @next_slot   chains of slots: of those free, and of those of each running job
 * @first_free  head of the chain of n_free slots that are free
 * @queue       jobs that wait for slots, in the order received
 * @running     jobs that run
 * @suspended   jobs that are suspended
 * @outgoing    its last frame; no longer valid once the clock has gone on from last_post_ns
 * @orders      the frame for it of the turn under way, or NULL
 * @next_lost   the next one whose death was noticed
 */
struct mf_sim_worker {
    mf_worker_id id;
    struct mf_needs has;
    bool is_alive;
    uint32_t *next_slot;
    uint32_t first_free, n_free;
    struct mf_list queue, running, suspended;
    struct mf_sim_queue events;
    int64_t wake_ns;
    struct mf_sim_frame *outgoing;
    struct mf_sim_frame *orders;
    struct mf_sim_worker *next_lost;
};

/**
 * @error        the first thing that went wrong, which ends the loop
 * @workers      n_workers by number, room for workers_capacity
 * @n_submitted  tasks that the farm knows
 * @n_final      tasks that the farm has told to be final
 * @n_first_workers, @n_deaths   workers at the start; deaths since a task was final or submitted
 * @barrier_ns   when the last barrier was passed
 * @jobs         by task: its job at a worker, or NULL
 * @sent         by task: the attempt that was sent last
 * @finals_ns    by task: when it was done, or known to be final
 * @waits_ns     n_waits times that tasks waited
 * @has_started  by task: whether it did once
 * @inbox        frames that arrived since the last turn, the last one at inbox_end
 * @lost         workers whose death was noticed since the last turn
 * @outbox       frames of the turn under way
 * @turn_ns      when the next turn begins, INT64_MAX if none is due
 * @busy_until_ns  end of the last turn
 * @turn_cost_ns average cost of a turn
 * @chooser      under the policy auto, else NULL
 * @has_totals   the result is finished
 */
struct mf_sim {
    const struct mf_sim_config *config;
    const struct mf_sim_task *tasks;
    uint64_t n_tasks;
    int error;
    int64_t now_ns;
    struct mf_sim_queue queue;
    struct mf_farm *farm;
    struct mf_rng rng;
    struct mf_sim_worker **workers;
    uint32_t n_workers, workers_capacity;
    uint64_t n_submitted, n_final;
    uint32_t n_first_workers;
    uint64_t n_deaths;
    bool is_closed;
    int64_t barrier_ns;
    struct mf_sim_job **jobs;
    uint32_t *sent;
    int64_t *finals_ns;
    int64_t *waits_ns;
    uint64_t n_waits;
    bool *has_started;
    struct mf_sim_frame *inbox, **inbox_end;
    struct mf_sim_worker *lost, **lost_end;
    struct mf_sim_frame *outbox, **outbox_end;
    int64_t turn_ns, busy_until_ns, turn_cost_ns;
    struct mf_chooser *chooser;
    bool has_totals;
    struct mf_sim_result result;
};

/** How long an attempt has run. */
static inline int64_t mf_sim_ran_ns(const struct mf_sim *sim, const struct mf_sim_job *job)
{
    return job->is_running ? sim->now_ns - job->started_ns : job->ran_ns;
}

static inline const struct mf_sim_task *mf_sim_task_of(const struct mf_sim *sim, mf_task_id task)
{
    return &sim->tasks[task - 1];
}

/** Remembers the first error, below 0. */
static inline void mf_sim_fail(struct mf_sim *sim, int error)
{
    if (sim->error == 0)
        sim->error = error;
}

/* sim_events.c */

/** Lets something happen at that time: to all, or as an event of one worker. */
void mf_sim_push(struct mf_sim *sim, int64_t at_ns, enum mf_sim_event_kind kind, void *subject);
void mf_sim_push_to(struct mf_sim *sim, struct mf_sim_queue *queue, int64_t at_ns,
                    enum mf_sim_event_kind kind, void *subject);

/** Takes the next event out; returns whether there was one. */
bool mf_sim_pop(struct mf_sim_queue *queue, struct mf_sim_event *ret_event);

/** A new frame that is posted now, or NULL after an error. */
struct mf_sim_frame *mf_sim_frame_create(struct mf_sim *sim, struct mf_sim_worker *worker);
void mf_sim_frame_destroy(struct mf_sim_frame *frame);
void mf_sim_frame_add(struct mf_sim *sim, struct mf_sim_frame *frame,
                      const struct mf_sim_record *record);

/** Frees all events, and what only they refer to. */
void mf_sim_queue_finish(struct mf_sim_queue *queue);

/* sim_turn.c */

/** Asks for a turn at that time, or as soon as the scheduler is free. */
void mf_sim_request_turn(struct mf_sim *sim, int64_t at_ns);

/** Receives, submits, decides, sends; and asks for the next turn where it knows of one. */
void mf_sim_take_turn(struct mf_sim *sim);

/* sim_worker.c */

/** A new worker, known to the farm; returns 0 or -errno. */
int mf_sim_worker_add(struct mf_sim *sim, const struct mf_needs *has);
void mf_sim_worker_destroy(struct mf_sim_worker *worker);

/** What the events of their names do; a frame is consumed. */
void mf_sim_worker_receive(struct mf_sim *sim, struct mf_sim_frame *frame);
void mf_sim_worker_wake(struct mf_sim *sim, struct mf_sim_worker *worker, int64_t at_ns);
void mf_sim_worker_die(struct mf_sim *sim, struct mf_sim_worker *worker);

/* sim_totals.c */

/** A job starts; at its task's first, that waited since it could have started. */
void mf_sim_note_start(struct mf_sim *sim, const struct mf_sim_job *job);

/** An attempt that ran is over. */
void mf_sim_note_end(struct mf_sim *sim, const struct mf_sim_job *job, enum mf_sim_end end);

/** The farm tells that a task is final. */
void mf_sim_note_final(struct mf_sim *sim, const struct mf_change *change);

/** Computes what follows from the sums. */
void mf_sim_finish_totals(struct mf_sim *sim);

#endif
