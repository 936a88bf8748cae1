/*
 * A stock from inside, shared by the files it is made of:
 *
 *     stock.c         what there is, and what of it is free
 *     stock_choose.c  which slots a task gets
 *
 * Slots stand in the order of their places; a *part* is a stretch of them: a
 * layer (one slot of each core), in it packages, in these NUMA nodes, in these
 * caches. Each part counts its free slots, so that only the slots of the cache
 * that is chosen are looked at one by one.
 */
#ifndef MF_TOPO_STOCK_PRIVATE_H
#define MF_TOPO_STOCK_PRIVATE_H

#include "topo/stock.h"

#define MF_NO_PART UINT32_MAX

enum mf_stock_level {
    MF_STOCK_LAYER,
    MF_STOCK_PACKAGE,
    MF_STOCK_NUMA,
    MF_STOCK_CACHE,
    MF_STOCK_N_LEVELS
};

/**
 * Parts stand in the order of a walk from the top: the parts in one follow it.
 *
 * @first, @end   of its positions
 * @up       the part it is in, MF_NO_PART for a layer
 * @next     the first part that is not in this one
 */
struct mf_stock_part {
    enum mf_stock_level level;
    uint32_t first;
    uint32_t end;
    uint32_t up;
    uint32_t next;
    uint32_t n_free;
};

/** Less than 0, 0 or more, as for qsort(). */
static inline int mf_stock_compare(uint32_t left, uint32_t right)
{
    return left < right ? -1 : left > right;
}

/** Takes or gives the slot at a position, which was not so already. */
void mf_stock_set_free(struct mf_stock *stock, uint32_t position, bool is_free);

/** Takes n free GPUs, those nearest to some slots; of equals the first. */
void mf_stock_take_gpus(struct mf_stock *stock, uint32_t n, const uint32_t *slots, uint32_t n_slots,
                        uint32_t *ret_gpus);

#endif
