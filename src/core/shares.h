/*
 * The slot time that groups of tasks had and are about to have, and who is next.
 *
 * Start-time fair queueing: Goyal, Vin and Cheng, "Start-time fair queueing: a
 * scheduling algorithm for integrated services packet switching networks",
 * SIGCOMM 1996. Each group has a line of READY tasks. A task's tag is where the
 * line ended when it joined; it moves that end by its slot time divided by the
 * group's share. Lowest tag first, and groups that always have something to do
 * get slot time in proportion to their shares, whatever their tasks are like. A group that
 * had nothing to do begins where the others are, so that it saves nothing up.
 *
 * What a task takes is only guessed when it joins. So a group's account is set
 * right once the time is known, and from time to time all tasks join anew.
 *
 * Memory is bounded: the groups beyond the first MF_SHARES_MAX_GROUPS count as
 * one. Private to the core.
 */
#ifndef MF_CORE_SHARES_H
#define MF_CORE_SHARES_H

#include "base/table.h"

#define MF_SHARES_MAX_GROUPS 65536

/**
 * The account of one group. Times are slot time over share.
 *
 * @share    set by the user; 0 for 1
 * @used_ns  what its tasks that were placed have used, or should use
 * @line_ns  where its line ends: the tag of the next task that joins
 * @n_ready  tasks in the line
 */
struct mf_share {
    double share;
    double used_ns;
    double line_ns;
    uint64_t n_ready;
};

/**
 * Starts as {0}.
 *
 * @by_group  uint32_t to struct mf_share; NULL before the first group
 * @others    of all groups that are not in there
 * @now_ns    the virtual time: the tag that the task placed last had, and never less than before
 */
struct mf_shares {
    struct mf_table *by_group;
    struct mf_share others;
    double now_ns;
};

void mf_shares_finish(struct mf_shares *shares);

/** An account for a group, so that nothing below fails. Returns 0 or -ENOMEM. */
int mf_shares_reserve(struct mf_shares *shares, uint32_t group);

/**
 * mf_shares_set() - how much of the slot time a group gets, beside others that have 1.
 *
 * Returns 0, -EINVAL if it is not above 0 or not finite, -ENOSPC if the group is
 * one of those that count as one, or -ENOMEM.
 */
int mf_shares_set(struct mf_shares *shares, uint32_t group, double share);

/** A task becomes READY, which should take so much slot time. Returns its tag. O(1). */
double mf_shares_join(struct mf_shares *shares, uint32_t group, double slot_ns);

/** A READY task is withdrawn. */
void mf_shares_leave(struct mf_shares *shares, uint32_t group);

/** A READY task is placed: the slot time that it should take is charged. */
void mf_shares_place(struct mf_shares *shares, uint32_t group, double slot_ns);

/** It took so much more than charged; less when below 0. */
void mf_shares_correct(struct mf_shares *shares, uint32_t group, double slot_ns);

/** All lines begin anew; each READY task joins again, by mf_shares_rejoin(). O(groups). */
void mf_shares_restart(struct mf_shares *shares);
double mf_shares_rejoin(struct mf_shares *shares, uint32_t group, double slot_ns);

#endif
