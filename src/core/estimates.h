/*
 * How long tasks take, learned from those that are done: a running median for
 * each kind of task, and one over all that earlier runs have learned.
 *
 * Memory is bounded: the first MF_ESTIMATES_MAX_KINDS kinds are told apart, at
 * 8 KiB each; what is learned of others is dropped. Private to the core.
 */
#ifndef MF_CORE_ESTIMATES_H
#define MF_CORE_ESTIMATES_H

#include "base/table.h"
#include "core/median.h"

#define MF_ESTIMATES_MAX_KINDS 1024

/**
 * Starts as {0}.
 *
 * @by_kind  uint32_t to struct mf_median *; NULL before the first kind
 * @earlier  what was told by mf_estimates_add_earlier(), of all kinds
 */
struct mf_estimates {
    struct mf_table *by_kind;
    struct mf_median earlier;
};

void mf_estimates_finish(struct mf_estimates *estimates);

/** Memory for a kind, so that learning never fails; 0 is none. Returns 0 or -ENOMEM. */
int mf_estimates_reserve(struct mf_estimates *estimates, uint32_t kind);

/** A task of that kind, for which there is memory, took so long. */
void mf_estimates_learn(struct mf_estimates *estimates, uint32_t kind, int64_t duration_ns);

/**
 * mf_estimates_add_earlier() - what an earlier run has learned of a kind.
 *
 * @n_samples  how much it counts beside what this run learns, at most as MF_MEDIAN_SAMPLES
 *
 * Returns 0 or -ENOMEM.
 */
int mf_estimates_add_earlier(struct mf_estimates *estimates, uint32_t kind, int64_t duration_ns,
                             uint64_t n_samples);

/** The median of a kind, at least 1; 0 when nothing is known of it. O(1). */
int64_t mf_estimates_of_kind(const struct mf_estimates *estimates, uint32_t kind);

/** The median over what earlier runs have learned, at least 1; 0 when that is nothing. O(1). */
int64_t mf_estimates_of_earlier(const struct mf_estimates *estimates);

/**
 * mf_estimates_next() - walk over what is known, in no particular order.
 *
 * @cursor  0 to begin; changed by each call
 *
 * Returns 1 with a kind, its median and how many samples that stands for, 0 after the last.
 */
int mf_estimates_next(const struct mf_estimates *estimates, size_t *cursor, uint32_t *ret_kind,
                      int64_t *ret_median_ns, uint64_t *ret_n_samples);

#endif
