/*
 * What is known of the remaining work of a farm: a copy small enough to simulate.
 *
 * It has the workers, what each of them holds with the run time left, READY
 * tasks, and those that come after any of them. Where that is more than the
 * limits below, every k-th worker is taken with what it holds, and as many of
 * the READY tasks. How long a task runs is what the farm expects of it:
 * mf_farm_estimate_ns(), or the mean of the others where nothing is known.
 *
 * Equal farms give equal outlooks. Cost is O(workers) with a small constant, and
 * bounded by the limits in all else. One owner, one thread.
 */
#ifndef MF_RUNTIME_OUTLOOK_H
#define MF_RUNTIME_OUTLOOK_H

#include "runtime/sim.h"

/** At most so many slots, tasks that workers hold, READY tasks, tasks in all, and dependencies. */
#define MF_OUTLOOK_SLOTS 1024
#define MF_OUTLOOK_HELD 1024
#define MF_OUTLOOK_READY 1024
#define MF_OUTLOOK_TASKS 3072
#define MF_OUTLOOK_AFTER 16384

/**
 * @tasks       n_tasks of them, held ones first, the others in order of submission, on a clock
 *              that begins at 0
 * @groups      n_groups kinds of workers
 * @is_known    how long some of the tasks run is known
 * @is_part     there are more workers or tasks than are in here
 * @has_priority, @has_weight, @has_deadline   some task differs from others by that
 * @has_ways    for some task the way to the end of all work is longer than itself
 */
struct mf_outlook {
    struct mf_sim_task *tasks;
    uint32_t n_tasks;
    struct mf_dependency *after;
    struct mf_sim_group *groups;
    uint32_t n_groups;
    bool is_known, is_part;
    bool has_priority, has_weight, has_deadline, has_ways;
};

/** Returns 0 and an outlook, to be finished, or -ENOMEM. */
int mf_outlook_take(const struct mf_farm *farm, int64_t now_ns, struct mf_outlook *ret_outlook);
void mf_outlook_finish(struct mf_outlook *outlook);

#endif
