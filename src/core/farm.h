/*
 * The farm: which tasks there are, who runs them, and what comes next.
 *
 * Pure: events go in, tasks whose state changed come out. It reads no clock,
 * does no I/O, starts no thread and writes no log, so the same events always
 * lead to the same changes: tests, the simulator, journal replay and a standby
 * scheduler all rest on this.
 *
 *     mf_farm_apply(farm, &event)            for each thing that happened
 *     mf_farm_apply(farm, &tick)             once a turn: places, recalls, ends
 *     while (mf_farm_next_change(farm, &c))  carry out what the state asks for
 *
 * One owner, one thread. Cost per event is O(log ready + log workers).
 */
#ifndef MF_CORE_FARM_H
#define MF_CORE_FARM_H

#include "core/outcome.h"
#include "core/placement.h"
#include "core/policy.h"
#include "core/task.h"
#include "core/worker.h"

#include <stdbool.h>
#include <stdint.h>

struct mf_farm;

/** When to stop because of what tasks did; as GNU Parallel's --halt. */
enum mf_halt_when { MF_HALT_NEVER, MF_HALT_SOON, MF_HALT_NOW };

/** How the farm is being stopped. Never goes back. */
enum mf_stop {
    MF_STOP_NONE, /* it is not */
    MF_STOP_SOON, /* nothing new is placed; what was placed and not started is recalled */
    MF_STOP_NOW,  /* and what runs is ended */
};

/** What becomes of a task that fits no worker any more. */
enum mf_stranding {
    MF_STRANDING_NONE,   /* it fails */
    MF_STRANDING_FITTED, /* unless it fitted workers that came up: it waits for such to come back */
    MF_STRANDING_ALL,    /* all did, before this farm was created: none of them fails for it */
};

/**
 * @policy, @placement   NULL for first come first served, and least loaded
 * @seed                 for placements that draw lots
 * @policy_settings      numbers that policies go by
 * @countables           how many of each countable the run has; see struct mf_needs
 * @halt_when            what to do once halt_failed or halt_fraction is reached
 * @halt_failed          number of FAILED tasks that halts the farm, 0 for none
 * @halt_fraction        the same as a share of all tasks, 0 .. 1, 0 for none;
 *                       all are expected_tasks, or those submitted if that is 0
 * @expected_tasks       how many tasks there will be, 0 when unknown
 * @has_dependencies     tasks may come after others: the end of each is remembered, in two bits
 * @delay_ns             least time between two placements
 * @timeout_factor       a task running longer than this times the median run
 *                       time of those done is ended, once 3 are done; 0 for none
 * @mem_factor           a task that ended for its memory is tried again with so many times as
 *                       much, as far as a worker that could run it has that; 0 for the same
 * @budgets              by enum mf_budget: a task fails with that many attempts that ended for
 *                       the cause, and these do not count against its max_attempts; 0 for none
 * @crash_limit          a task that lost this many workers, or launchers of theirs, fails; 0 for
 *                       no limit
 * @retry_delay_ns, @retry_delay_max_ns   a task waits so long after its first failed attempt,
 *                       twice as long after the next, up to the most; 0 for not at all
 * @quarantine           what it takes for a worker to be put in quarantine, see quarantine.c;
 *                       0 for never
 * @max_prefetch_per_slot  upper bound of tasks sent ahead per slot
 * @turnaround_ns        time from a free slot to a task sent for it, before
 *                       ticks tell it better
 * @first_attempt        attempts of all tasks have numbers above this: those up to it were given
 *                       out by an earlier scheduler of the run
 * @stranding            see there
 * @max_suspended_per_slot  under a policy that preempts: a worker begins so many tasks for
 *                       each slot, beyond the one that runs; 0 suspends none
 * @forgets_run_times    nobody asks how long tasks took: their median, which costs as much as the
 *                       rest of an end, is not kept. Not with a timeout_factor
 */
struct mf_farm_config {
    const struct mf_policy *policy;
    const struct mf_placement *placement;
    struct mf_policy_settings policy_settings;
    uint32_t countables[MF_N_COUNTABLES];
    uint64_t seed;
    enum mf_halt_when halt_when;
    uint64_t halt_failed;
    double halt_fraction;
    uint64_t expected_tasks;
    bool has_dependencies;
    int64_t delay_ns;
    double timeout_factor;
    double mem_factor;
    uint32_t budgets[MF_N_BUDGETS];
    uint32_t crash_limit;
    int64_t retry_delay_ns, retry_delay_max_ns;
    uint32_t quarantine;
    uint32_t max_prefetch_per_slot;
    int64_t turnaround_ns;
    uint32_t first_attempt;
    enum mf_stranding stranding;
    uint32_t max_suspended_per_slot;
    bool forgets_run_times;
};

/** What a task asks of another one that it comes after. Stored in journals: never renumber. */
enum mf_condition {
    MF_AFTER_OK = 0,     /* that it is DONE */
    MF_AFTER_ANY = 1,    /* that it is final */
    MF_AFTER_NOT_OK = 2, /* that it FAILED */
};

/** A task that another one comes after: submitted before or, in a farm that is open, later. */
struct mf_dependency {
    mf_task_id task;
    enum mf_condition condition;
};

/** The budget that a failure for this cause counts against. */
enum mf_budget mf_budget_of(enum mf_cause cause);

/** Attempts of a task so far. @n_tries  all that ended or were lost; of these @failed  by budget,
 * those that failed, and @n_lost  those that may have brought down their worker, or its launcher */
struct mf_task_history {
    uint32_t failed[MF_N_BUDGETS];
    uint32_t n_lost;
    uint32_t n_tries;
};

/** What can happen to a farm. */
enum mf_event_kind {
    MF_EVENT_SUBMITTED, /* spec, after, history, is_withheld: a new task, with the next id */
    MF_EVENT_SETTLED, /* state, history: the next id is of a task that is final already; not told */
    MF_EVENT_CLOSED,  /* no more tasks will be submitted */
    MF_EVENT_WORKER_UP,    /* worker, node, has: one that was not there takes tasks; or worker: one
                              that drains takes them again */
    MF_EVENT_WORKER_DRAIN, /* worker: it gets no more; it is GONE when it holds none */
    MF_EVENT_WORKER_LOST,  /* worker: it and what it ran are gone */
    MF_EVENT_ADOPTED,  /* worker, task, attempt, n_tries, state, duration_ns, cause, is_innocent: it
                          is there */
    MF_EVENT_LET_GO,   /* task: it adopts nothing, and is withheld no more */
    MF_EVENT_HELD,     /* worker, task, attempt: it keeps a part's room free for the task */
    MF_EVENT_STARTED,  /* worker, task, attempt */
    MF_EVENT_ENDED,    /* worker, task, attempt, cause, duration_ns, is_innocent */
    MF_EVENT_RETURNED, /* worker, task, attempt: given back unstarted */
    MF_EVENT_SUSPENDED, /* worker, task, attempt, duration_ns: as wished; it ran so long */
    MF_EVENT_CONTINUED, /* worker, task, attempt: as wished; it runs again */
    MF_EVENT_CANCEL,    /* task: withdraw it, whatever its state */
    MF_EVENT_STOP,      /* stop: the user stops the run */
    MF_EVENT_LEARNED,   /* spec.kind, duration_ns, n_samples: run time known from an earlier run */
    MF_EVENT_SHARE,     /* spec.group, spec.weight: how much slot time a group gets beside others */
    MF_EVENT_POLICY,    /* policy: READY tasks are placed in its order from now on */
    MF_EVENT_WALLTIME,  /* end_ns: nothing is started that should run beyond that */
    MF_EVENT_TICK,      /* turnaround_ns, is_paused: decide what comes next */
};

/**
 * @now_ns         monotonic; never less than in the event before
 * @task, @attempt, @worker   what it is about, where the kind says so
 * @after          n_after tasks that a new one comes after, borrowed; no one twice
 * @node           where a new worker is
 * @has            what a new worker has: n_slots, n_gpus, mem_bytes
 * @state          of a task that an earlier run has settled: DONE, FAILED, CANCELLED or SKIPPED;
 *                 of one that is ADOPTED, RUNNING or SUSPENDED, or DONE if it has ended, with cause
 * @is_withheld    it waits until it is ADOPTED or LET_GO
 * @n_tries        attempts before the one that is ADOPTED which ended or were lost
 * @history        what a task has been through in this run under an earlier scheduler, NULL for
 *                 nothing
 * @is_innocent    with MF_CAUSE_LAUNCHER: it was not running when that died, so it is not to blame
 * @n_samples      tasks that a run time known before stands for
 * @policy         that charges no groups, as their accounts are kept from the start or not at all
 * @end_ns         as now_ns; INT64_MAX for no end
 * @turnaround_ns  measured time from a slot's becoming free to a new task there,
 *                 0 when there is no measurement
 * @is_paused      true: place nothing in this tick (output is backed up)
 */
struct mf_event {
    enum mf_event_kind kind;
    int64_t now_ns;
    mf_task_id task;
    uint32_t attempt;
    mf_worker_id worker;
    mf_node_id node;
    struct mf_task_spec spec;
    const struct mf_dependency *after;
    uint32_t n_after;
    enum mf_task_state state;
    uint32_t n_tries;
    const struct mf_task_history *history;
    bool is_withheld;
    struct mf_needs has;
    enum mf_cause cause;
    bool is_innocent;
    int64_t duration_ns;
    uint64_t n_samples;
    enum mf_stop stop;
    const struct mf_policy *policy;
    int64_t end_ns;
    int64_t turnaround_ns;
    bool is_paused;
};

/**
 * A task whose state or wish changed, as it is now. What it asks for:
 *
 *   PLACED                      send it to worker, unless this attempt was sent; but if it
 *                               is_gathering, to the workers of its parts, which are to keep room
 *                               for it. These let go of that when the attempt is over
 *   PLACED with wish RECALL     ask worker to give it back
 *   PLACED, RUNNING, SUSPENDED, wish END   ask worker to end it; cause says why (TIMEOUT,
 *                               STOPPED)
 *   RUNNING with wish SUSPEND   ask worker to stop it; its slots are others' from now on
 *   RUNNING with wish YIELD     ask worker to stop it where it can be; then its slots are others'
 *   RUNNING, SUSPENDED, wish CONTINUE   ask worker to let it go on, when there are slots
 *   RUNNING, SUSPENDED          nothing
 *   READY                       nothing: it waits, for another attempt
 *   a final state               settle it: this is the last change of the task
 *
 * Doing it twice does no harm. A task that is READY for the first time is not
 * told, as nobody has to do anything. Without the wish END, cause is that of the
 * last attempt that ended. attempt numbers every placement, so that (task,
 * attempt) is unique. A task that needs several nodes has its parts in mf_farm_find(), and is
 * told once more when all are held. tries counts those that ended or were lost with their worker,
 * and charged those that used up one of max_attempts. root is the task whose end led to SKIPPED.
 */
struct mf_change {
    mf_task_id task;
    uint64_t cookie;
    enum mf_task_state state;
    enum mf_wish wish;
    enum mf_cause cause;
    uint32_t attempt;
    uint32_t tries;
    uint32_t charged;
    uint32_t max_attempts;
    struct mf_needs needs;
    mf_worker_id worker;
    mf_task_id root;
    bool is_gathering;
};

/** How many tasks are in each state, and what went on. */
struct mf_farm_counts {
    uint64_t submitted;
    uint64_t by_state[MF_TASK_STATE_COUNT];
    uint64_t retried; /* attempts that ended in another attempt */
    uint64_t stale;   /* events about attempts already given up */
    uint64_t recalled;
    uint64_t quarantined; /* times that a worker was put in quarantine, or let out of it */
    uint32_t workers_up;
    uint32_t slots_up;
};

/** From mf_farm_apply(): the event is about an attempt already given up; drop it. */
#define MF_FARM_E_STALE 1

/** Returns 0 and an empty farm, the caller's to destroy, or -ENOMEM or -EINVAL. */
int mf_farm_create(const struct mf_farm_config *config, struct mf_farm **ret_farm);

/** Frees the farm and all tasks in it; NULL is accepted. */
void mf_farm_destroy(struct mf_farm *farm);

/**
 * mf_farm_apply() - let one event change the farm.
 *
 * The only way a farm changes. It reads no clock, does no I/O and never
 * blocks, so the same events always lead to the same farm.
 *
 * @farm    farm to change; the caller's alone during the call
 * @event   what happened (borrowed)
 *
 * Returns
 *   0                applied
 *   MF_FARM_E_STALE  about an attempt already given up: drop the event
 *   -EINVAL          names an unknown task or worker, or makes no sense
 *   -ENOMEM          out of memory
 * and leaves the farm untouched unless it returns 0 (the count of stale events
 * apart).
 */
int mf_farm_apply(struct mf_farm *farm, const struct mf_event *event);

/**
 * mf_farm_next_change() - the next task that changed since it was last told.
 *
 * In order of the first change. A task in a final state is forgotten by this:
 * its id is then unknown to mf_farm_find().
 *
 * Returns 1 with a change, 0 when there is none. O(1).
 */
int mf_farm_next_change(struct mf_farm *farm, struct mf_change *ret_change);

/** The task of that id, or NULL if it never was or is settled. O(1). */
const struct mf_task *mf_farm_find(const struct mf_farm *farm, mf_task_id id);

/**
 * mf_farm_next_left() - the next task that has left its rooms on several nodes since it was last
 * told.
 *
 * Told once for any number of attempts, and also of one that has new rooms by then; to be asked
 * before the changes, as a task that is final is forgotten with the last of these.
 *
 * Returns its id, 0 when there is none. O(1).
 */
mf_task_id mf_farm_next_left(struct mf_farm *farm);

/** The first task that is known with an id above the one given, or NULL: for walking over all. */
const struct mf_task *mf_farm_after(const struct mf_farm *farm, mf_task_id id);

/** The workers, for reports. */
const struct mf_workers *mf_farm_workers(const struct mf_farm *farm);

void mf_farm_count(const struct mf_farm *farm, struct mf_farm_counts *ret_counts);

/**
 * Some of these counts, for those who ask all the time: READY tasks, those that workers hold, and
 * the last id.
 */
uint64_t mf_farm_n_ready(const struct mf_farm *farm);
uint64_t mf_farm_n_held(const struct mf_farm *farm);
mf_task_id mf_farm_last_id(const struct mf_farm *farm);

/**
 * The i-th of mf_farm_n_ready() READY tasks, from 0, in no particular order. O(1), and as many
 * steps as there are classes of tasks that stand aside, 255 at most.
 */
const struct mf_task *mf_farm_ready_at(const struct mf_farm *farm, uint64_t i);

/**
 * mf_farm_successors() - the tasks that come after one that is not final, each with what it
 * asks of it.
 *
 * Returns how many; *ret_successors is the farm's, until it changes. O(1).
 */
uint32_t mf_farm_successors(const struct mf_farm *farm, mf_task_id task,
                            const struct mf_dependency **ret_successors);

/** The policy that it goes by. */
const struct mf_policy *mf_farm_policy(const struct mf_farm *farm);

/** READY tasks that wait for a countable. */
uint64_t mf_farm_n_parked(const struct mf_farm *farm);

/** READY tasks that should run beyond the end of the allocation. */
uint64_t mf_farm_n_late(const struct mf_farm *farm);

/** READY tasks that fit no worker, and are left for one of those that were lost to come back. */
uint64_t mf_farm_n_stranded(const struct mf_farm *farm);

/** READY tasks that stand aside, since nobody had room for them or their like. */
uint64_t mf_farm_n_aside(const struct mf_farm *farm);

/** How the farm is being stopped, by the user or by --halt. */
enum mf_stop mf_farm_stopping(const struct mf_farm *farm);

/**
 * Whether nothing is left to do: closed and all tasks final, or stopping and no
 * worker holds a task.
 */
bool mf_farm_is_finished(const struct mf_farm *farm);

/**
 * mf_farm_spare() - choose idle workers that the farm can do without.
 *
 * It can if all tasks that no worker holds could start at once on the others, and if none of those
 * that go has more of anything than these: so also what is tried again finds room. While tasks are
 * left that need several nodes it cannot.
 *
 * @may_go  by number of the worker, up to the largest that ever came up: those that may go, each
 *          with all others of its node; afterwards those that can, when there are any
 *
 * Returns whether there are any; false also without memory. O(1) while more tasks are left than
 * slots are free. Else O(workers); and with t tasks that are not placed, of s sizes, also
 * O(t log t + s * workers + t * workers of a node).
 */
bool mf_farm_spare(const struct mf_farm *farm, bool *may_go);

/** When the next tick is due by the clock (a delay, a time limit), at once if the last one left
 * READY tasks that it did not look at; INT64_MAX for never. */
int64_t mf_farm_next_tick_ns(const struct mf_farm *farm);

/**
 * mf_farm_supplied_ns() - for how long all workers that are UP have something to do.
 *
 * What was sent ahead to the least loaded of them, in tasks as long as the last ones were in the
 * mean: 0 if it has none. An estimate. O(1).
 */
int64_t mf_farm_supplied_ns(const struct mf_farm *farm);

/** Median run time of the tasks done, an estimate when there are many; 0 before the first. */
int64_t mf_farm_median_ns(const struct mf_farm *farm);

/**
 * mf_farm_estimate_ns() - how long a task should run.
 *
 * What its submitter says, else the median of those of its kind that are done, else the
 * median of all that are done, else that of all kinds known from earlier runs.
 *
 * Returns nanoseconds, or 0 when nothing is known. O(1).
 */
int64_t mf_farm_estimate_ns(const struct mf_farm *farm, const struct mf_task *task);

/**
 * mf_farm_learned() - walk over the run times known of kinds of tasks, for the next run's
 * MF_EVENT_LEARNED. In no particular order; the farm must not change meanwhile.
 *
 * @cursor  0 to begin; changed by each call
 *
 * Returns 1 with a kind, the median of its run times and of how many, 0 after the last.
 */
int mf_farm_learned(const struct mf_farm *farm, size_t *cursor, uint32_t *ret_kind,
                    int64_t *ret_median_ns, uint64_t *ret_n_samples);

/**
 * mf_farm_check() - verify every invariant. For tests: O(tasks + workers).
 *
 * Returns NULL, or a sentence naming what is broken (static text).
 */
const char *mf_farm_check(const struct mf_farm *farm);

#endif
