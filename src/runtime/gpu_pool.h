/* The GPUs of a worker, and which of them are in use. One owner, one thread. */
#ifndef MF_RUNTIME_GPU_POOL_H
#define MF_RUNTIME_GPU_POOL_H

#include "base/buffer.h"
#include "topo/resources.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * {0} to begin with.
 *
 * @gpus     n_gpus; owned
 * @is_used  for each of them
 * @n_free   those that are not
 */
struct mf_gpu_pool {
    struct mf_gpu *gpus;
    bool *is_used;
    uint32_t n_gpus;
    uint32_t n_free;
};

/** Fills an empty pool with GPUs that are free (copied). Returns 0 or -ENOMEM. */
int mf_gpu_pool_fill(struct mf_gpu_pool *pool, const struct mf_gpu *gpus, uint32_t n_gpus);

/** Frees what fill allocated; {0} is accepted. */
void mf_gpu_pool_finish(struct mf_gpu_pool *pool);

/**
 * mf_gpu_pool_take() - the first free ones.
 *
 * @ret_indexes  room for n
 *
 * Returns 0, or -EBUSY when fewer are free.
 */
int mf_gpu_pool_take(struct mf_gpu_pool *pool, uint32_t n, uint32_t *ret_indexes);

/** They are free again. */
void mf_gpu_pool_give(struct mf_gpu_pool *pool, uint32_t n, const uint32_t *indexes);

/** Appends their ids as CUDA_VISIBLE_DEVICES has them, and a NUL. */
void mf_gpu_pool_print(const struct mf_gpu_pool *pool, uint32_t n, const uint32_t *indexes,
                       struct mf_buffer *text);

#endif
