/* See gpu_pool.h. A node has few GPUs: everything is by linear search. */
#include "runtime/gpu_pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mf_gpu_pool_fill(struct mf_gpu_pool *pool, const struct mf_gpu *gpus, uint32_t n_gpus)
{
    if (n_gpus == 0)
        return 0;
    pool->gpus = calloc(n_gpus, sizeof(*pool->gpus));
    pool->is_used = calloc(n_gpus, sizeof(*pool->is_used));
    if (!pool->gpus || !pool->is_used) {
        mf_gpu_pool_finish(pool);
        return -ENOMEM;
    }
    memcpy(pool->gpus, gpus, n_gpus * sizeof(*gpus));
    pool->n_gpus = pool->n_free = n_gpus;
    return 0;
}

void mf_gpu_pool_finish(struct mf_gpu_pool *pool)
{
    free(pool->gpus);
    free(pool->is_used);
    *pool = (struct mf_gpu_pool){0};
}

int mf_gpu_pool_take(struct mf_gpu_pool *pool, uint32_t n, uint32_t *ret_indexes)
{
    uint32_t n_taken = 0;

    if (n > pool->n_free)
        return -EBUSY;
    for (uint32_t i = 0; n_taken < n; i++) {
        if (pool->is_used[i])
            continue;
        pool->is_used[i] = true;
        ret_indexes[n_taken++] = i;
    }
    pool->n_free -= n;
    return 0;
}

void mf_gpu_pool_give(struct mf_gpu_pool *pool, uint32_t n, const uint32_t *indexes)
{
    for (uint32_t i = 0; i < n; i++)
        pool->is_used[indexes[i]] = false;
    pool->n_free += n;
}

void mf_gpu_pool_print(const struct mf_gpu_pool *pool, uint32_t n, const uint32_t *indexes,
                       struct mf_buffer *text)
{
    for (uint32_t i = 0; i < n; i++)
        mf_buffer_print(text, "%s%s", i > 0 ? "," : "", pool->gpus[indexes[i]].id);
    mf_buffer_put_u8(text, 0);
}
