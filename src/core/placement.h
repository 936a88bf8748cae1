/*
 * Which worker gets a task. A placement is one file in core/placements with
 * one const vtable; adding one touches nothing but the list in placement.c.
 *
 * A task goes to a worker that has all that it needs free, by the rule of the
 * placement. Only where there is none is it sent ahead to a worker that is
 * busy, and then by all of them to the least loaded: anything else would leave one
 * worker idle while the tasks that it could run wait at another.
 */
#ifndef MF_CORE_PLACEMENT_H
#define MF_CORE_PLACEMENT_H

#include "base/rng.h"
#include "core/worker.h"

/**
 * What a placement chooses from.
 *
 * @workers  the workers
 * @task     the task to place
 * @avoid    worker that it must not get, where it failed; or MF_WORKER_NONE
 * @avoid_node   node of which it must not get any worker, or MF_NODE_UNKNOWN
 * @avoids_kept  nor may it get one that is kept for another task
 * @mark     of the nodes that were chosen for it, if it needs several: the next is to be another
 *           one; or 0
 * @home     the worker that ran a task of its group last, or MF_WORKER_NONE
 * @rng      for those that draw lots
 * @cursor   for those that go round: the number of the worker chosen last
 */
struct mf_choice {
    const struct mf_workers *workers;
    const struct mf_task *task;
    mf_worker_id avoid;
    bool avoids_kept;
    mf_node_id avoid_node;
    uint64_t mark;
    mf_worker_id home;
    struct mf_rng *rng;
    mf_worker_id *cursor;
};

/** Whether a worker is none of those that the task must not get. */
static inline bool mf_choice_allows(const struct mf_choice *choice, const struct mf_worker *worker)
{
    if (choice->mark > 0 && mf_workers_is_marked(choice->workers, worker, choice->mark))
        return false;
    return worker->id != choice->avoid && !(choice->avoids_kept && worker->is_kept) &&
           (choice->avoid_node == MF_NODE_UNKNOWN || worker->node != choice->avoid_node);
}

/**
 * @name       as the user says it
 * @summary    a clause for --help
 * @choose     a worker among those that are UP, that mf_choice_allows(), and that have
 *             mf_worker_has_room() for the task's needs; NULL when there is
 *             none now
 * @has_homes  it looks at `home`, so that the farm has to remember it
 * @has_fullness   it looks at workers->by_fullness, so that they have to be kept in that order
 */
struct mf_placement {
    const char *name;
    const char *summary;
    struct mf_worker *(*choose)(const struct mf_choice *choice);
    bool has_homes;
    bool has_fullness;
};

/*
 * With k workers that have a free slot, of n in all. Finding that none fits takes
 * O(log n) where one kind of resource is short, and up to n looks where each of slots, GPUs and
 * memory is to be had, but on different workers: see room.h. Where all have all that the task
 * needs, or none has a free slot:
 */

/** The worker with the least work outstanding per slot; ties go to the lower rank.
 * O(log n) also where few of them fit, if that is for one kind of resource; else up to O(n). */
extern const struct mf_placement mf_placement_least_loaded;

/** The next one by number after the last one chosen. The less of O(n / k) and O(k) where free ones
 * are anywhere, which is at most O(sqrt n); else O(k). */
extern const struct mf_placement mf_placement_round_robin;

/** Any of them, each as likely. O(1) expected if most of the k fit, else O(k). */
extern const struct mf_placement mf_placement_random;

/** The less loaded of two drawn at random. As random. */
extern const struct mf_placement mf_placement_two_choices;

/** The worker that has least left then of slots, GPUs and memory, each as a part of the most
 * that any worker has. O(log n) where the slots are what is used most, or all are as full;
 * else O(k). */
extern const struct mf_placement mf_placement_best_fit;

/** The fullest: with the largest part in use of its slots, GPUs or memory. O(log n), but that it
 * passes over fuller ones where the task does not fit. */
extern const struct mf_placement mf_placement_pack;

/** The emptiest, in the same sense. O(log n) where slots are what is used most, else O(k). */
extern const struct mf_placement mf_placement_scatter;

/** The one that ran the task's group last, else the least loaded; as that. */
extern const struct mf_placement mf_placement_affinity;

/** The placement of that name, or NULL. */
const struct mf_placement *mf_placement_find(const char *name);

/** The i-th placement there is, from 0, or NULL after the last. */
const struct mf_placement *mf_placement_at(uint32_t i);

/* What placements have in common. */

/** Whether a worker that is UP may be chosen, and has all that the task needs free. O(1). */
bool mf_choice_fits(const struct mf_choice *choice, const struct mf_worker *worker);

/** Whether any worker may: if not, there is no need to look for it. For a task that needs a slot
 * and nothing else, whether there is one at all. O(log n). */
bool mf_choice_has_any(const struct mf_choice *choice);

/**
 * mf_choice_visit() - call visit() for each worker that fits, in no particular order.
 *
 * Goes down the order of load and turns back at workers without a free slot:
 * O(workers that have one).
 */
void mf_choice_visit(const struct mf_choice *choice,
                     void (*visit)(struct mf_worker *worker, void *data), void *data);

/** One of those that fit, each as likely, or NULL. O(1) expected if most with a free slot fit. */
struct mf_worker *mf_choice_draw(const struct mf_choice *choice);

/** Where the task is sent ahead, when no worker fits: the least loaded with room, or NULL. */
struct mf_worker *mf_choice_ahead(const struct mf_choice *choice);

#endif
