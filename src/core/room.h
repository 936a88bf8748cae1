/*
 * The workers in an order, such that the first of them that has enough free is
 * found without looking at those before it: a treap (Seidel and Aragon, "Randomized
 * search trees", 1996) in which each worker knows the most that any below it has
 * free of slots, GPUs and memory. What would be drawn by lot there is computed from
 * the worker's number here, so that the same workers always make the same tree.
 *
 * Finding is O(log workers) where one kind of resource is short. Where two are,
 * branches with enough of each, but on different workers, are gone into in vain.
 */
#ifndef MF_CORE_ROOM_H
#define MF_CORE_ROOM_H

#include "core/task.h"

struct mf_worker;
struct mf_choice;

/** Place of a worker in the tree, embedded in it; most of what it and those below have free. Of
 * slots also the most of a worker without a suspect, for tasks that are suspects. */
struct mf_room_node {
    struct mf_worker *left, *right;
    uint32_t n_slots, n_slots_for_suspect, n_gpus;
    uint64_t mem_bytes;
};

/** Starts with the order and no root. @before  a total order, which no worker in it changes */
struct mf_room {
    struct mf_worker *root;
    mf_heap_before_fn before;
};

/** Puts a worker in; or takes one out that is in there, before its place in the order changes. */
void mf_room_insert(struct mf_room *room, struct mf_worker *worker);
void mf_room_remove(struct mf_room *room, struct mf_worker *worker);

/**
 * The first worker that mf_choice_fits(), or NULL.
 *
 * @n_looked_at  counts the workers looked at, for tests; NULL is accepted
 */
struct mf_worker *mf_room_first(const struct mf_room *room, const struct mf_choice *choice,
                                uint64_t *n_looked_at);

/** Verifies order and sums of the tree, for tests. Returns its number of workers, or below 0. */
int64_t mf_room_check(const struct mf_room *room);

#endif
