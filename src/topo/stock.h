/*
 * The slots and GPUs of a worker, which of them are free, and which of the free
 * ones a task gets. Pure, but for the heap; one owner, one thread.
 *
 * A task gets cores that share as much as they can, and where there is a choice
 * those that leave the most together for the tasks to come. In this order:
 *
 *   1. near enough free GPUs, when it needs some
 *   2. inside one NUMA node; else one package; else as few parts as can be
 *   3. under one cache
 *   4. in the NUMA node with the fewest free slots, so that nodes that are in use
 *      fill up before another one is broken up; then in such a package
 *   5. near the fewest free GPUs, which are left to those that need them
 *   6. as neighbours, in the smallest gap that holds them
 *
 * Where several slots have the same core, all cores come before a second slot of any.
 */
#ifndef MF_TOPO_STOCK_H
#define MF_TOPO_STOCK_H

#include "base/buffer.h"
#include "topo/resources.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * Where a slot is.
 *
 * @core   number of its core on the node; neighbours have numbers in order
 * @cache, @numa, @package   as in struct mf_core
 */
struct mf_place {
    uint32_t core;
    uint32_t cache;
    uint32_t numa;
    uint32_t package;
};

struct mf_stock_part;

/**
 * {0} to begin with; all private to stock.c but the counts.
 *
 * @n_free      of the n_slots slots
 * @n_unbooked  of the n_gpus GPUs, those that no attempt here will get
 */
struct mf_stock {
    uint32_t n_slots;
    uint32_t n_free;
    uint32_t n_gpus;
    uint32_t n_unbooked;
    struct mf_place *places;
    uint32_t *slot_at;
    uint32_t *position_of;
    bool *is_free;
    struct mf_stock_part *parts;
    uint32_t n_parts;
    struct mf_gpu *gpus;
    bool *is_gpu_free;
};

/**
 * mf_stock_fill() - put slots and GPUs into an empty stock; all are free.
 *
 * @places  n_slots, where each slot is; at least one
 *
 * Returns 0 or -ENOMEM.
 */
int mf_stock_fill(struct mf_stock *stock, const struct mf_place *places, uint32_t n_slots,
                  const struct mf_gpu *gpus, uint32_t n_gpus);

/** Frees what fill allocated; {0} is accepted. */
void mf_stock_finish(struct mf_stock *stock);

/**
 * mf_stock_book_gpus() - see to it that there will be so many GPUs to take.
 *
 * Returns 0, or -EBUSY when fewer are left.
 */
int mf_stock_book_gpus(struct mf_stock *stock, uint32_t n_gpus);

/** Gives up what was booked and not taken. */
void mf_stock_unbook_gpus(struct mf_stock *stock, uint32_t n_gpus);

/**
 * mf_stock_take() - choose slots and GPUs, and take them.
 *
 * @n_slots      up to n_free
 * @n_gpus       up to what was booked
 * @ret_slots, @ret_gpus   room for so many indexes; slots in the order of their places
 *
 * O(NUMA nodes + slots of one cache) for one slot; O(slots x GPUs) at most.
 */
void mf_stock_take(struct mf_stock *stock, uint32_t n_slots, uint32_t n_gpus, uint32_t *ret_slots,
                   uint32_t *ret_gpus);

/** Takes this slot, if it is free. */
void mf_stock_take_slot(struct mf_stock *stock, uint32_t slot);

/** They are free again. */
void mf_stock_give_slots(struct mf_stock *stock, uint32_t n, const uint32_t *slots);

/** They are free again, and not booked any more. */
void mf_stock_give_gpus(struct mf_stock *stock, uint32_t n, const uint32_t *gpus);

/**
 * Appends what tells a program of its GPUs and of no other, and a NUL:
 * "CUDA_VISIBLE_DEVICES=0,3", by the kind of the first.
 */
void mf_stock_print_gpus(const struct mf_stock *stock, uint32_t n, const uint32_t *gpus,
                         struct mf_buffer *text);

#endif
