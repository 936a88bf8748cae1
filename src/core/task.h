/* A task as the scheduling core sees it: what it needs, never what it does. */
#ifndef MF_CORE_TASK_H
#define MF_CORE_TASK_H

#include "base/heap.h"
#include "base/list.h"
#include "core/outcome.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Number of a task in its run: 1, 2, 3, ... in order of submission; 0 is none. */
typedef uint64_t mf_task_id;

/** Number of a worker: its rank. */
typedef uint32_t mf_worker_id;
#define MF_WORKER_NONE UINT32_MAX

/** Number of the node that a worker is on, from 1; 0 where nobody said. */
typedef uint32_t mf_node_id;
#define MF_NODE_UNKNOWN 0

/** States of a task; core/task.c holds the table of moves. Stored in journals: never renumber. */
enum mf_task_state {
    MF_TASK_WAITING = 0,   /* for other tasks */
    MF_TASK_READY = 1,     /* for a worker */
    MF_TASK_PLACED = 2,    /* given to a worker, not known to have started */
    MF_TASK_RUNNING = 3,   /* started on its worker */
    MF_TASK_DONE = 4,      /* succeeded; this and the states below are final */
    MF_TASK_FAILED = 5,    /* used up its attempts, or can never run */
    MF_TASK_CANCELLED = 6, /* withdrawn before it was done */
    MF_TASK_SKIPPED = 7,   /* something it depends on failed */
    MF_TASK_SUSPENDED = 8, /* stopped on its worker, to go on there; not final */
};
#define MF_TASK_STATE_COUNT 9

/** What the farm wants from the worker that holds a task. */
enum mf_wish {
    MF_WISH_NONE = 0,
    MF_WISH_RECALL,   /* give it back if it has not started */
    MF_WISH_END,      /* end it */
    MF_WISH_SUSPEND,  /* stop it, and let another one have its slots */
    MF_WISH_YIELD,    /* stop it where it lets that happen; until then it keeps its slots */
    MF_WISH_CONTINUE, /* let it go on as soon as there are slots */
};

/**
 * Causes of a failed attempt that can have a budget of their own; the others share that of the
 * task, as these do unless they have one.
 */
enum mf_budget { MF_BUDGET_EXIT, MF_BUDGET_SIGNAL, MF_BUDGET_TIME, MF_BUDGET_MEMORY };
#define MF_N_BUDGETS 4

/** Run-wide countables (licences) that tasks can ask for: so many kinds of them. */
#define MF_N_COUNTABLES 8

/**
 * What a task needs while it runs.
 *
 * @n_slots    cores of its worker, at least 1
 * @n_gpus     GPUs of its worker
 * @n_nodes    it needs all of these of one worker on each of so many nodes; 0 and 1 are one
 * @is_suspect   the farm's own: it fails with the next worker that is lost under it, so that there
 *               is no other such task on its worker, nor does it wait there for a slot
 * @mem_bytes  memory of its worker
 * @countables   of each run-wide countable, so many
 */
struct mf_needs {
    uint32_t n_slots;
    uint32_t n_gpus;
    uint32_t n_nodes;
    bool is_suspect;
    uint64_t mem_bytes;
    uint32_t countables[MF_N_COUNTABLES];
};

/** Nodes that it needs, at least 1. */
static inline uint32_t mf_needs_n_nodes(const struct mf_needs *needs)
{
    return needs->n_nodes > 1 ? needs->n_nodes : 1;
}

/** Makes largest the most of both, countables aside. */
void mf_needs_raise(struct mf_needs *largest, const struct mf_needs *needs);

/** Whether needs has more of a kind than largest, countables aside. */
bool mf_needs_exceed(const struct mf_needs *needs, const struct mf_needs *largest);

/**
 * mf_needs_explain() - say why no worker has what a task needs.
 *
 * "needs 3 GPUs, and the largest worker has 2"; "needs 3.0 GiB of memory, and the
 * largest worker has 512.0 MiB"; or that no worker has all of it.
 *
 * @largest  the most that any worker has of each, 0 bytes of memory when that
 *           is not known; and how many nodes there are
 */
void mf_needs_explain(const struct mf_needs *needs, const struct mf_needs *largest, char *text,
                      size_t size);

/**
 * What the submitter says of a task.
 *
 * @cookie        the submitter's own number, handed back in changes
 * @needs         what it needs while it runs
 * @priority      higher goes first, under policies that look at it
 * @group         tasks that belong together, by the submitter's numbers; 0 for none
 * @kind          tasks that take about as long, by the submitter's numbers; 0 for none
 * @weight        what its completion is worth, 0 for 1
 * @estimate_ns   how long it should run, 0 when nobody says
 * @deadline_ns   when it should be done, on the clock of the events; 0 for never
 * @upward_ns     longest way from its start to the end of all that comes after it, itself
 *                included; 0 when unknown
 * @max_attempts  how often it is tried in all, at least 1
 * @target        with has_target: the one worker that may run it
 * @avoid         with has_avoid: a worker that should not, while another can
 * @is_long       it may keep its worker from giving anything back: nothing is sent ahead there
 * @is_suspendable  it can be stopped and go on later: policies that preempt may do so
 * @yields        with is_suspendable: not at any time, but where it lets that happen
 */
struct mf_task_spec {
    uint64_t cookie;
    struct mf_needs needs;
    int32_t priority;
    uint32_t group;
    uint32_t kind;
    float weight;
    int64_t estimate_ns;
    int64_t deadline_ns;
    int64_t upward_ns;
    uint32_t max_attempts;
    mf_worker_id target;
    mf_worker_id avoid;
    bool has_target;
    bool has_avoid;
    bool is_long;
    bool is_suspendable;
    bool yields;
};

struct mf_task;

/**
 * Room that a task has on one more node than that of the worker which runs it: see span.c.
 *
 * @worker   that it is on; MF_WORKER_NONE for none
 * @is_held  that worker keeps it free by now
 * @node     its place in the list of that worker
 * @left_node  of the first of a task: its place among those that left their rooms
 */
struct mf_span_part {
    struct mf_task *task;
    mf_worker_id worker;
    bool is_held;
    struct mf_list node;
    struct mf_list left_node;
};

/**
 * A task in the farm. Policies read it; only the farm writes it.
 *
 * @cause         why the last attempt that ended did so
 * @end_cause     why it is to be ended, with the wish END
 * @is_cancelled  it was withdrawn while a worker held it
 * @has_most_memory  it FAILED with tries left: it needs more memory than any worker has
 * @parked        while READY: the countable that it lacks plus 1, beyond those the class with
 *                which it stands aside, MF_PARKED_LATE, MF_PARKED_STRANDED, or
 *                MF_PARKED_DELAYED until not_before_ns; 0 for none
 * @attempt       number of the current or last attempt, from 1; 0 before the first
 * @tries         attempts that ran to an end or were lost with their worker, not those recalled
 * @charged       those of them that count against max_attempts: not those lost with their worker,
 *                that were a probe, or whose cause has a budget of its own
 * @failed        by budget: attempts that failed for that cause
 * @worker        the worker that holds it while PLACED, RUNNING or SUSPENDED, else MF_WORKER_NONE
 * @has_slots     while held: slots of its worker are committed to it. One that is SUSPENDED, or
 *                is to be, has none until it is to CONTINUE; all else that it needs it keeps
 * @avoid         worker of the last failed attempt, or MF_WORKER_NONE
 * @avoid_node    node of the last attempt that failed or was lost, or MF_NODE_UNKNOWN
 * @not_before_ns while READY: it waits until then to be tried again
 * @is_probe      while held: it finds out whether a worker in quarantine works again
 * @parts         if it needs several nodes, and was ever placed: one for each but the first; owned
 * @n_parts_held  while held: how many of them are held
 * @lost          how many workers, or launchers of theirs, disappeared while they ran it, or may
 *                have
 * @n_waiting_for tasks that it comes after which have not ended, while WAITING; one more while
 *                it is_withheld
 * @is_withheld   while WAITING: a worker may have an attempt of it, which it is to adopt
 * @root          of a SKIPPED one: the task whose end led to that
 * @key           what its policy orders it by, as computed when it got in line last; while it
 *                runs under a policy that preempts, what says whose slot is taken first
 * @charged_ns    slot time that its group was charged for it, while a worker holds it
 * @ready_ns      when it was READY first
 * @is_overtaken  while READY: once only the worker that it avoids had room
 * @overtaken_from   with it: how many tasks had been placed in all then
 * @started_ns    when it was placed, or once it is RUNNING when that began, monotonic; or its
 *                present turn
 * @ran_ns        how long its attempt had run before started_ns
 * @turn          counts up with each time that a task is given slots
 * @heap_index    its place among the ready tasks, those in line on its worker, or those whose
 *                slots may be taken
 * @node          its place in the list of its worker
 * @running_node  its place among the running tasks of which nothing is wished, or to yield
 * @dirty_node    its place among the tasks whose change was not told yet
 */
struct mf_task {
    mf_task_id id;
    struct mf_task_spec spec;
    enum mf_task_state state : 8;
    enum mf_wish wish : 8;
    enum mf_cause cause : 8;
    enum mf_cause end_cause : 8;
    bool is_dirty : 1;
    bool is_cancelled : 1;
    bool has_slots : 1;
    bool is_overtaken : 1;
    bool is_withheld : 1;
    bool is_probe : 1;
    bool has_most_memory : 1;
    uint8_t parked;
    uint32_t attempt;
    uint32_t tries;
    uint32_t charged;
    uint32_t failed[MF_N_BUDGETS];
    uint32_t n_parts_held;
    struct mf_span_part *parts;
    mf_worker_id worker;
    mf_worker_id avoid;
    mf_node_id avoid_node;
    uint32_t lost;
    uint32_t overtaken_from;
    uint32_t n_waiting_for;
    mf_task_id root;
    double key;
    double charged_ns;
    int64_t ready_ns;
    int64_t not_before_ns;
    mf_heap_index heap_index;
    int64_t started_ns;
    int64_t ran_ns;
    uint64_t turn;
    struct mf_list node;
    struct mf_list running_node;
    struct mf_list dirty_node;
};

/* In a task's `parked`; the classes of tasks that stand aside have the numbers below. */
#define MF_PARKED_DELAYED UINT8_MAX
#define MF_PARKED_LATE (UINT8_MAX - 1)
#define MF_PARKED_STRANDED (UINT8_MAX - 2)

/** Whether a task never changes again. */
static inline bool mf_task_state_is_final(enum mf_task_state state)
{
    return state >= MF_TASK_DONE && state <= MF_TASK_SKIPPED;
}

/** How many nodes it needs beside the first. */
static inline uint32_t mf_task_n_parts(const struct mf_task *task)
{
    return mf_needs_n_nodes(&task->spec.needs) - 1;
}

/** Whether its worker was not told of it yet, since room on other nodes is still to be held. */
static inline bool mf_task_is_gathering(const struct mf_task *task)
{
    return task->state == MF_TASK_PLACED && task->n_parts_held < mf_task_n_parts(task);
}

/** Whether it runs in slots of its own, and is not about to be ended. */
static inline bool mf_task_runs_on(const struct mf_task *task)
{
    return task->state == MF_TASK_RUNNING &&
           (task->wish == MF_WISH_NONE || task->wish == MF_WISH_YIELD);
}

/** How long its present attempt has run, without the time in which it was suspended. */
static inline int64_t mf_task_ran_ns(const struct mf_task *task, int64_t now_ns)
{
    return task->ran_ns + (mf_task_runs_on(task) ? now_ns - task->started_ns : 0);
}

/** The state machine's table: for each state, a bit for each that may follow it. */
extern const unsigned int mf_task_moves[MF_TASK_STATE_COUNT];

/** Whether a task may go from one state to the other. */
static inline bool mf_task_may_move(enum mf_task_state from, enum mf_task_state to)
{
    return (unsigned int)from < MF_TASK_STATE_COUNT && (unsigned int)to < MF_TASK_STATE_COUNT &&
           (mf_task_moves[from] & (1u << to)) != 0;
}

/** "WAITING", "READY", ... */
const char *mf_task_state_name(enum mf_task_state state);

#endif
