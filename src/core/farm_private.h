/*
 * What the files of the farm share among themselves. Nobody else includes it.
 *
 *   farm.c    creation, the entry points, what can be asked
 *   events.c  one function per kind of event
 *   events_worker.c, events_attempt.c, events_adopt.c  those about workers, about attempts, and
 *             about what an earlier scheduler has given out
 *   move.c    every move of a task from one state to another
 *   park.c    where READY tasks wait: to be placed, or out of the way
 *   countables.c  run-wide countables, and tasks that wait for them
 *   backfill.c    what may be placed while a large task waits
 *   span.c    tasks that need room on several nodes
 *   strand.c  tasks whose workers are lost
 *   follow.c  what follows from the end of a task for those that come after it
 *   order.c   keys of READY tasks, what is known of run times, what groups are charged
 *   place.c   the tick: placing, prefetch, time limits
 *   preempt.c whose slots are taken for others, and which suspended task goes on
 *   aside.c   tasks that nobody has room for now
 *   recall.c  which of those sent ahead come back
 *   retry.c   budgets of failed attempts, suspects, and the wait before the next
 *   quarantine.c  workers and nodes that get nothing more
 *   worker.c  the workers and their states
 *   worker_load.c  their load, and their orders by it
 *   worker_able.c  what they have room for, and could run
 *   check.c, check_workers.c   the invariants
 */
#ifndef MF_CORE_FARM_PRIVATE_H
#define MF_CORE_FARM_PRIVATE_H

#include "core/estimates.h"
#include "core/farm.h"
#include "core/links.h"
#include "core/homes.h"
#include "core/median.h"
#include "core/shares.h"
#include "core/tasks.h"

/**
 * A moving average that forgets with a weight of 1/16; starts as {0}.
 *
 * @sum  16 times the average; 0 before the first sample, as samples are at least 1
 */
struct mf_average {
    int64_t sum;
};

static inline int64_t mf_average_get(const struct mf_average *average)
{
    return average->sum / 16;
}

/**
 * Workers that are kept for a task until it fits, one for each node that it needs; see backfill.c.
 * What each of them then has left, of which tasks may have what takes longer, is kept with it.
 *
 * @is_standing  in the present tick, which places no task before it; what it was last is kept
 * @shadow_ns  when it should, INT64_MAX when nobody knows
 * @workers    n_workers of them, in memory for `capacity`
 */
struct mf_reservation {
    bool is_standing;
    mf_task_id task;
    int64_t shadow_ns;
    mf_worker_id *workers;
    uint32_t n_workers, capacity;
};

/** What tasks have in common that all fit somewhere, or none of them; see aside.c. */
struct mf_aside_key {
    uint32_t n_slots, n_gpus, n_nodes;
    uint32_t countables[MF_N_COUNTABLES];
    uint32_t kind;
    mf_worker_id target, avoid;
    mf_node_id avoid_node;
    uint8_t mem, estimate;
    bool is_suspect;
};

/** Such tasks, in the order of READY ones. @is_stuck  none fits anywhere, in the present tick */
struct mf_aside {
    struct mf_aside_key key;
    bool is_stuck;
    struct mf_heap tasks;
};

/**
 * @ready          READY tasks in order of the policy; has memory for every task
 *                 that is not final, so that becoming READY never fails
 * @dirty          tasks whose change was not told yet, in order of the first change
 * @running        RUNNING tasks of which nothing is wished, or to yield, in order of start; in the
 * order of how long they ran where that counts
 * @preempts       the policy suspends tasks
 * @turn_ns        with preempts: how long one keeps its slots while others wait, 0 for ever
 * @victims        with preempts: the tasks among `running` that can be suspended, those first
 *                 whose slots are taken first
 * @blocked        in a tick: workers with a free slot that no suspended task may have
 * @n_in_line      suspended tasks in line on all workers
 * @n_lined_up, @n_turns   keys computed so far, and times that slots were given
 * @left           tasks that left their rooms on several nodes, which was not told yet
 * @ended          final tasks from which nothing followed yet; empty between events
 * @links          what comes after what, if config.has_dependencies
 * @n_settled_earlier  tasks that were final when they were added: in no count by state
 * @n_failed_before  those of them that failed in this run, under another scheduler
 * @now_ns         time of the last event
 * @next_place_ns  with a delay, when the next task may be placed
 * @n_placed       placements so far
 * @last_chosen    worker that got the task placed last
 * @has_countables  there are some; else they need no looking at
 * @parked         READY tasks that lack a countable, in the same order; see countables.c
 * @end_ns         when the allocation ends, INT64_MAX when that is not known
 * @late           READY tasks that should run beyond it; see walltime.c
 * @stranded       READY tasks that fit no worker any more; see strand.c. With may_strand it has
 *                 memory for every task
 * @delayed        READY tasks that wait to be tried again, in order of time; see retry.c
 * @n_attempts_done, @n_attempts_failed   attempts that ended in either way
 * @asides         n_asides classes of READY tasks that nobody had room for
 * @has_more       the last tick did not look at all READY tasks, for the sake of its length
 * @reservation    of the first task that fits nowhere
 * @releases, @candidates   scratch memory of backfill.c
 * @taken          workers chosen for a task that needs several nodes; see span.c
 * @n_recalling    tasks with the wish RECALL
 * @n_yielding     slots of those with the wish YIELD; n_claimed of them are awaited by READY tasks
 *                 that were looked at in this tick; one was asked last at asked_ns
 * @rekey_ns       interval at which keys are computed anew, 0 for never
 * @ordered_ns     when that was done last
 * @n_ticks, @n_ticks_at_order   with rekey_ns, ticks so far, and then
 * @has_keys, @has_shares, @has_homes   the policy has keys, it charges groups, the placement
 *                 looks at homes
 * @counts         submitted, workers_up and slots_up are filled in when asked for
 */
struct mf_farm {
    struct mf_farm_config config;
    struct mf_tasks tasks;
    struct mf_workers workers;
    struct mf_heap ready;
    struct mf_list dirty;
    struct mf_list running;
    struct mf_list ended;
    struct mf_list left;
    struct mf_links links;
    uint64_t n_settled_earlier, n_failed_before;
    struct mf_rng rng;
    uint64_t n_placed;
    mf_worker_id last_chosen;
    bool has_countables;
    struct mf_heap parked[MF_N_COUNTABLES];
    uint64_t n_free_countables[MF_N_COUNTABLES];
    int64_t end_ns;
    struct mf_heap late;
    struct mf_heap stranded;
    bool may_strand;
    struct mf_heap delayed;
    uint64_t n_attempts_done, n_attempts_failed;
    struct mf_aside *asides;
    uint32_t n_asides;
    bool has_more;
    struct mf_reservation reservation;
    struct mf_candidate *candidates;
    uint32_t candidates_capacity;
    struct mf_worker **taken;
    uint32_t taken_capacity;
    struct mf_release *releases;
    uint32_t releases_capacity;
    int64_t now_ns;
    int64_t next_place_ns;
    struct mf_average duration;
    struct mf_average turnaround;
    bool is_closed;
    enum mf_stop stop;
    uint64_t n_recalling;
    uint64_t n_yielding, n_claimed;
    int64_t asked_ns;
    bool preempts;
    int64_t turn_ns;
    struct mf_heap victims;
    struct mf_list blocked;
    uint64_t n_in_line;
    uint64_t n_lined_up, n_turns;
    struct mf_farm_counts counts;
    struct mf_median median;
    int64_t rekey_ns;
    int64_t ordered_ns;
    uint64_t n_ticks, n_ticks_at_order;
    bool has_keys, has_shares, has_homes;
    struct mf_estimates estimates;
    struct mf_shares shares;
    struct mf_homes homes;
};

/** A worker and a node that a task keeps off, or MF_WORKER_NONE and MF_NODE_UNKNOWN. */
struct mf_avoid {
    mf_worker_id worker;
    mf_node_id node;
};

#define MF_AVOID_NOTHING ((struct mf_avoid){MF_WORKER_NONE, MF_NODE_UNKNOWN})

static inline bool mf_avoid_is_nothing(struct mf_avoid avoid)
{
    return avoid.worker == MF_WORKER_NONE && avoid.node == MF_NODE_UNKNOWN;
}

static inline bool mf_avoid_allows(struct mf_avoid avoid, const struct mf_worker *worker)
{
    return worker->id != avoid.worker &&
           (avoid.node == MF_NODE_UNKNOWN || worker->node != avoid.node);
}

/* worker.c */

void mf_workers_init(struct mf_workers *workers);
void mf_workers_finish(struct mf_workers *workers);

/** A new worker, or one that was GONE, UP. Returns 0, -EINVAL if there is one or the numbers are
 * absurd, or -ENOMEM. */
int mf_workers_add(struct mf_workers *workers, mf_worker_id id, mf_node_id node,
                   const struct mf_needs *has);

/** The only writer of a worker's state. */
void mf_workers_move(struct mf_workers *workers, struct mf_worker *worker, enum mf_worker_state to);

/* worker_able.c */

/** The shape of a worker, added if there is none like it; NULL when memory is out. O(shapes). */
struct mf_worker_shape *mf_workers_find_shape(struct mf_workers *workers,
                                              const struct mf_worker *worker);

/* worker_load.c */

void mf_workers_init_orders(struct mf_workers *workers);

/** Memory for n workers in each order: one that comes out of quarantine needs none. Returns 0 or
 * -ENOMEM. */
int mf_workers_reserve_orders(struct mf_workers *workers, uint32_t n);

/** A worker is UP: into all orders and totals; or is not any more. */
void mf_workers_count_in(struct mf_workers *workers, struct mf_worker *worker);
void mf_workers_count_out(struct mf_workers *workers, struct mf_worker *worker);

/** Whether it is among those with a free slot, after its state or its load changed. */
void mf_workers_note_free(struct mf_workers *workers, struct mf_worker *worker);

/** What a task needs is taken from its worker, and given back: the only writers of a worker's load.
 * O(log workers). */
void mf_workers_take(struct mf_workers *workers, struct mf_worker *worker,
                     const struct mf_needs *needs);
void mf_workers_give_back(struct mf_workers *workers, struct mf_worker *worker,
                          const struct mf_needs *needs);

/** The same for slots alone. */
void mf_workers_take_slots(struct mf_workers *workers, struct mf_worker *worker, uint32_t n_slots);
void mf_workers_give_back_slots(struct mf_workers *workers, struct mf_worker *worker,
                                uint32_t n_slots);

/** Restores the order of those that could resume a task, after suspended ones of it changed. */
void mf_workers_note_line(struct mf_workers *workers, struct mf_worker *worker);

/** Slots committed beyond those it has: its prefetched tasks. */
static inline uint32_t mf_worker_surplus(const struct mf_worker *worker)
{
    return worker->n_committed > worker->n_slots ? worker->n_committed - worker->n_slots : 0;
}

/* move.c: none of these fails; each marks the task as changed. */

static inline bool mf_task_is_held(const struct mf_task *task)
{
    return task->state == MF_TASK_PLACED || task->state == MF_TASK_RUNNING ||
           task->state == MF_TASK_SUSPENDED;
}

/** Whether it waits, on the worker that holds it, for slots to go on. */
static inline bool mf_task_is_in_line(const struct mf_task *task)
{
    return task->wish == MF_WISH_SUSPEND ||
           (task->state == MF_TASK_SUSPENDED && task->wish == MF_WISH_NONE);
}

/** Puts a task that no worker holds among the READY ones, or those that wait to be READY. */
void mf_farm_make_ready(struct mf_farm *farm, struct mf_task *task);

/** READY to PLACED, as a new attempt. The worker is UP, the task's target, or gets a probe. If it
 * needs several nodes, the others of farm->taken have a part each. */
void mf_farm_place(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker);

/** Its change is told, though its state is the same. */
void mf_farm_tell(struct mf_farm *farm, struct mf_task *task);

/** PLACED to RUNNING, which answers a recall with no. */
void mf_farm_start(struct mf_farm *farm, struct mf_task *task);

/** A withheld task to RUNNING or SUSPENDED: as the attempt that its worker says it has, for which
 * there is memory. */
void mf_farm_adopt(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker,
                   const struct mf_event *event);

/** Its slots become free, and it gets in line on its worker, for which there is memory; or it is
 * asked to yield. */
void mf_farm_suspend(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker);

/** A task in line gets slots. */
void mf_farm_continue(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker);

/** Its worker has stopped it after ran_ns, 0 if it has not said, or let it go on: RUNNING to
 * SUSPENDED, and back. One that has yielded gets in line, for which there is memory. */
void mf_farm_note_suspended(struct mf_farm *farm, struct mf_task *task, int64_t ran_ns);
void mf_farm_note_continued(struct mf_farm *farm, struct mf_task *task);

/** Takes a task from its worker, before it moves to READY or a final state. */
void mf_farm_release(struct mf_farm *farm, struct mf_task *task);

/** Moves a task that no worker holds to a final state. */
void mf_farm_settle(struct mf_farm *farm, struct mf_task *task, enum mf_task_state state,
                    enum mf_cause cause);

/**
 * What the worker that holds it is asked to do; end_cause goes with the wish END.
 * A wish that stands already keeps its cause.
 */
void mf_farm_wish(struct mf_farm *farm, struct mf_task *task, enum mf_wish wish,
                  enum mf_cause end_cause);

/* order.c */

/** Memory for what a new task's kind and group ask for. Returns 0, -EINVAL if what it says
 * makes no sense, or -ENOMEM. */
int mf_farm_expect(struct mf_farm *farm, const struct mf_task_spec *spec);

/** What a policy sees. */
struct mf_policy_view mf_farm_view(struct mf_farm *farm);

/** Computes the key of a task that becomes READY or gets in line, if has_keys. O(1). */
void mf_farm_order(struct mf_farm *farm, struct mf_task *task);

/** The same for all READY tasks, if it is time; called once a tick, with rekey_ns. */
void mf_farm_reorder(struct mf_farm *farm);

/** Goes by another policy from now on. Returns 0 or -EINVAL. O(ready tasks + held ones). */
int mf_farm_change_policy(struct mf_farm *farm, const struct mf_policy *policy);

/** How often keys are computed anew, 0 for never. */
int64_t mf_farm_rekey_interval(const struct mf_farm_config *config);

/** Charges the group of a READY task that is placed, if has_shares. */
void mf_farm_charge(struct mf_farm *farm, struct mf_task *task);

/** Sets right what was charged, if has_shares, for a task still held: it ran for so long. */
void mf_farm_account(struct mf_farm *farm, const struct mf_task *task, int64_t used_ns);

/* check.c and check_workers.c */

/** Nodes of a list, or UINT64_MAX if its links are broken or it has more than most. */
uint64_t mf_check_count_nodes(const struct mf_list *head, uint64_t most);

/** Whether a heap is in order; NULL or a sentence. */
const char *mf_check_heap(const struct mf_heap *heap);

/** The workers, and what they hold; NULL or a sentence. */
const char *mf_check_workers(const struct mf_farm *farm);

/* events.c */

/** Carries out an event of any kind but a tick; as mf_farm_apply(). */
int mf_farm_handle(struct mf_farm *farm, const struct mf_event *event);

/** Stops the farm if the failures so far ask for it. */
void mf_farm_halt_if_due(struct mf_farm *farm);

/* events_worker.c: as mf_farm_apply(). */

int mf_farm_handle_worker_up(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_worker_drain(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_worker_lost(struct mf_farm *farm, const struct mf_event *event);

/* events_attempt.c */

/** As mf_farm_apply(). */
int mf_farm_handle_started(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_suspended(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_continued(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_ended(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_returned(struct mf_farm *farm, const struct mf_event *event);

/** What a task held is others', for the time that it had it. */
void mf_farm_leave_worker(struct mf_farm *farm, struct mf_task *task, int64_t used_ns);

/** What becomes of a task whose attempt has ended, and has left its worker. */
void mf_farm_end_attempt(struct mf_farm *farm, struct mf_task *task, const struct mf_event *event);

/** A PLACED task leaves its worker, which has not begun it. */
void mf_farm_take_back(struct mf_farm *farm, struct mf_task *task);

/** An attempt ended with what ran it, which it may have brought down, unless it is innocent. */
void mf_farm_note_lost(struct mf_task *task, enum mf_cause cause, bool is_innocent);

/** After that, which is no fault of the task, unless it happens to it again and again. */
void mf_farm_go_on_after_loss(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause,
                              bool was_running);

/* events_adopt.c: as mf_farm_apply(). */

int mf_farm_handle_adopted(struct mf_farm *farm, const struct mf_event *event);
int mf_farm_handle_let_go(struct mf_farm *farm, const struct mf_event *event);

/* follow.c */

/** Checks what a new task comes after, and makes memory for it. Returns 0, -EINVAL or -ENOMEM. */
int mf_farm_reserve_links(struct mf_farm *farm, const struct mf_event *event);

/** A new task waits for those that it comes after, or is READY, or SKIPPED. */
void mf_farm_link(struct mf_farm *farm, struct mf_task *task, const struct mf_event *event);

/** Carries out all that follows from tasks that have become final. */
void mf_farm_follow_ends(struct mf_farm *farm);

/** What nobody will submit any more, nobody waits for. */
void mf_farm_follow_close(struct mf_farm *farm);

int mf_farm_handle_settled(struct mf_farm *farm, const struct mf_event *event);

/* park.c: none of these fails; memory was reserved before. */

/** The heap that a task is in: of READY ones, of those in line on their worker, or of victims. */
struct mf_heap *mf_farm_heap_of(struct mf_farm *farm, const struct mf_task *task);

/** Puts a READY task that is in no heap into that of what keeps it from being placed: see `parked`
 * of struct mf_task. O(log tasks), as all of these. */
void mf_farm_park(struct mf_farm *farm, struct mf_task *task, uint8_t parked);

/** The same for one of those that may be placed. */
void mf_farm_park_ready(struct mf_farm *farm, struct mf_task *task, uint8_t parked);

/** Puts a READY task that is in no heap among those that may be placed. */
void mf_farm_put_back(struct mf_farm *farm, struct mf_task *task);

/** The same for all of a heap of such that were put out of the way, to be looked at again. */
void mf_farm_put_all_back(struct mf_farm *farm, struct mf_heap *heap);

/* countables.c */

/** Whether there are ever as many countables as a task needs. */
bool mf_farm_has_countables(const struct mf_farm *farm, const struct mf_needs *needs);

void mf_farm_take_countables(struct mf_farm *farm, const struct mf_needs *needs);
void mf_farm_give_back_countables(struct mf_farm *farm, const struct mf_needs *needs);

/** Puts the first READY task aside if it lacks a countable now. Returns whether it does. */
bool mf_farm_park_if_lacking(struct mf_farm *farm, struct mf_task *task);

/** Lets tasks try again that lacked what is free now; or all, for their keys to be computed. */
void mf_farm_unpark(struct mf_farm *farm, bool all);

/* walltime.c */

/** Puts the first READY task among the late ones if it should run beyond the end. Returns whether
 * it does. */
bool mf_farm_put_late_if_so(struct mf_farm *farm, struct mf_task *task);

int mf_farm_handle_walltime(struct mf_farm *farm, const struct mf_event *event);

/* strand.c */

/** Memory for tasks to be stranded, before a worker leaves. Returns 0 or -ENOMEM. */
int mf_farm_expect_stranded(struct mf_farm *farm);

/** Puts the first READY task, which fits no worker, among the stranded ones if it fitted workers
 * that there were. Returns whether it did. */
bool mf_farm_strand_if_so(struct mf_farm *farm, struct mf_task *task);

/* aside.c */

#define MF_ASIDE_NONE UINT32_MAX

/** The class of a task, or MF_ASIDE_NONE if there is none; or with a new one, none if there are
 * too many. O(classes). */
uint32_t mf_aside_find(const struct mf_farm *farm, const struct mf_task *task);
uint32_t mf_aside_add(struct mf_farm *farm, const struct mf_task *task);

/** A task that fits wherever any of the class of this one does. */
void mf_aside_least(const struct mf_task *task, struct mf_task *ret_least);

/** Puts a READY task aside, where none of its class fits. Returns false if memory is out. */
bool mf_aside_put(struct mf_farm *farm, uint32_t i, struct mf_task *task);

/** The first task of a class is among the READY ones again, if there is one. */
void mf_aside_take_next(struct mf_farm *farm, uint32_t i);

/** For a new tick, the first of each class is looked at again; or all, for new keys. */
void mf_farm_look_again(struct mf_farm *farm, bool at_all);

void mf_asides_finish(struct mf_farm *farm);

/* backfill.c */

/** Keeps workers for a task that is READY and fits nowhere now. */
void mf_farm_reserve(struct mf_farm *farm, const struct mf_task *task);

/** Whether a task may go to a worker that has room for it: also if that one is reserved. */
bool mf_farm_may_backfill(const struct mf_farm *farm, const struct mf_task *task,
                          const struct mf_worker *worker);

/** A task was placed while there is a reservation. */
void mf_farm_note_backfill(struct mf_farm *farm, const struct mf_task *task);

/** Whether a worker is kept for another task than this one, in the present tick. */
static inline bool mf_farm_is_kept_for_another(const struct mf_farm *farm,
                                               const struct mf_worker *worker,
                                               const struct mf_task *task)
{
    return farm->reservation.is_standing && worker->is_kept && farm->reservation.task != task->id;
}

/* span.c */

/** Memory for a READY task to be placed on the nodes that it needs. */
bool mf_span_prepare(struct mf_farm *farm, struct mf_task *task);

/** A task that was placed on farm->taken[0] takes its room on the others. */
void mf_span_take(struct mf_farm *farm, struct mf_task *task);

/** The opposite, when it leaves its worker. */
void mf_span_give_back(struct mf_farm *farm, struct mf_task *task);

/** A part of a task is lost with its worker, which is GONE. */
void mf_span_lose_part(struct mf_farm *farm, struct mf_span_part *part, struct mf_worker *worker);

int mf_span_handle_held(struct mf_farm *farm, const struct mf_event *event);

/* place.c */

/**
 * Where a task must not go now: the node where it failed last as long as a worker on another one
 * could run it, else that worker as long as another one could.
 */
struct mf_avoid mf_farm_to_avoid(const struct mf_farm *farm, const struct mf_task *task);

/* retry.c */

/** What a new task has been through before. */
void mf_farm_recall_history(struct mf_farm *farm, struct mf_task *task,
                            const struct mf_task_history *history);

/** Whether it is a suspect, from now on, by the workers that were lost under it. To be asked of a
 * task that no worker holds, when these are more than before. */
void mf_farm_suspect_if_so(struct mf_farm *farm, struct mf_task *task);

/** An attempt failed for the task's own cause: counts it against the budget that it is of. */
void mf_farm_charge_failure(struct mf_farm *farm, struct mf_task *task, enum mf_cause cause);

/** Whether a task may not be tried again after a failure of that cause. */
bool mf_farm_is_used_up(const struct mf_farm *farm, const struct mf_task *task,
                        enum mf_cause cause);

/** It will be READY, for another attempt after one that failed or was lost: when. */
void mf_farm_set_delay(struct mf_farm *farm, struct mf_task *task);

/** Those whose wait is over are among the others from now on; or all, for their keys. */
void mf_farm_end_delays(struct mf_farm *farm, bool all);

/** After all: those whose wait is not over wait again. The heap of the others is to be rebuilt. */
void mf_farm_delay_again(struct mf_farm *farm);

bool mf_farm_delayed_before(const void *a, const void *b);

/* quarantine.c */

/** An attempt of a task has ended on a worker, by itself: what that says of it and of others. */
void mf_farm_judge(struct mf_farm *farm, struct mf_task *task, struct mf_worker *worker,
                   bool has_failed, int64_t duration_ns);

/** One that drains is UP again, with what it holds. */
void mf_farm_call_back(struct mf_farm *farm, struct mf_worker *worker);

/** A worker that was lost is back: where it was, if that was the quarantine and it is not needed.
 */
void mf_farm_quarantine_again(struct mf_farm *farm, struct mf_worker *worker);

/** A worker is not UP any more: those in quarantine may be needed. */
void mf_farm_let_out_needed(struct mf_farm *farm);

/** Gives a task each to workers in quarantine for which it is time. */
void mf_farm_probe(struct mf_farm *farm);

/** When that is for the first of them; INT64_MAX for never. */
int64_t mf_farm_next_probe_ns(const struct mf_farm *farm);

/** Workers in quarantine are needed for a task that needs more nodes than there are without. */
void mf_farm_let_out_for(struct mf_farm *farm, const struct mf_task *task);

/** Asks for all PLACED tasks of a worker back, and those that it has room for: see events.c. */
void mf_farm_recall_all(struct mf_farm *farm, struct mf_worker *worker);

/* recall.c */

/** Gives idle slots something to do out of what was sent ahead to others. */
void mf_farm_recall_surplus(struct mf_farm *farm);

/** Asks a worker to give back what was sent ahead to it and comes behind a task in order. */
void mf_farm_recall_behind(struct mf_farm *farm, struct mf_worker *worker,
                           const struct mf_task *first);

/* preempt.c: under a policy that preempts. */

/** Those whose turn is over wait behind others, if there are any; can_place: also READY ones. */
void mf_farm_end_turns(struct mf_farm *farm, bool can_place);

/** When the first turn is over while somebody waits, INT64_MAX for never. */
int64_t mf_farm_next_turn_ns(const struct mf_farm *farm);

/**
 * Lets the first suspended task go on that may, if that goes before `other`, the first READY
 * one, which may be NULL. Returns whether there was one.
 */
bool mf_farm_continue_next(struct mf_farm *farm, const struct mf_task *other);

/** Memory for a worker's line to take all of its tasks. */
bool mf_farm_has_line(struct mf_worker *worker);

/** Lets all suspended tasks go on that may: the last word of a tick. */
void mf_farm_continue_rest(struct mf_farm *farm);

/**
 * A worker that can take a task once slots were taken from others, which they were; or NULL, and
 * others were asked to yield theirs: see mf_farm_awaits_slots().
 */
struct mf_worker *mf_farm_make_room(struct mf_farm *farm, const struct mf_task *task,
                                    struct mf_avoid avoid);

/** Whether slots are about to be given up for a task, beyond those for which others wait. */
bool mf_farm_awaits_slots(struct mf_farm *farm, const struct mf_task *task);

/** Whether there are slots that mf_farm_make_room() would take, or ask for; does neither. */
bool mf_farm_could_make_room(struct mf_farm *farm, const struct mf_task *task,
                             struct mf_avoid avoid);

/** The keys of all tasks that are held are computed anew. */
void mf_farm_reorder_held(struct mf_farm *farm);

/** Decides what comes next: places, recalls, ends what is over its time. */
void mf_farm_tick(struct mf_farm *farm, const struct mf_event *event);

/** How long a task may run by timeout_factor, INT64_MAX for any time. */
int64_t mf_farm_time_limit_ns(const struct mf_farm *farm);

/** Counts a sample, of at least 1 ns and at most 13 days, into an average. */
void mf_average_add(struct mf_average *average, int64_t sample_ns);

#endif
