/*
 * Splitting memory and GPUs of one node among the ranks on it: see resources.h.
 * As for cores, everything is a function of the arguments.
 */
#include "topo/resources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/**
 * A GPU of the node.
 *
 * @owner     index of the rank that gets it, UINT32_MAX when there is none
 * @is_dealt  for deal_by_distance()
 */
struct pooled {
    const struct mf_gpu *gpu;
    uint32_t owner;
    bool is_dealt;
};

/* --- memory --- */

static void share_memory(struct mf_topo_rank *ranks, uint32_t n_ranks)
{
    uint64_t node_bytes = 0, n_slots = 0;

    for (uint32_t i = 0; i < n_ranks; i++) {
        if (ranks[i].has && ranks[i].has->mem_bytes > node_bytes)
            node_bytes = ranks[i].has->mem_bytes;
        n_slots += ranks[i].n_slots;
    }
    for (uint32_t i = 0; i < n_ranks; i++) {
        uint64_t own_bytes = ranks[i].has ? ranks[i].has->mem_bytes : 0;

        if (ranks[i].n_slots == 0)
            continue;
        ranks[i].mem_bytes = node_bytes / n_slots * ranks[i].n_slots;
        if (ranks[i].n_slots == n_slots)
            ranks[i].mem_bytes = node_bytes;
        if (own_bytes > 0 && own_bytes < ranks[i].mem_bytes)
            ranks[i].mem_bytes = own_bytes;
    }
}

/* --- GPUs --- */

static bool has_gpu(const struct mf_topo_rank *rank, const struct mf_gpu *gpu)
{
    for (uint32_t i = 0; rank->has && i < rank->has->n_gpus; i++)
        if (strcmp(rank->has->gpus[i].id, gpu->id) == 0)
            return true;
    return false;
}

/* All GPUs that any rank has, each once; n_pool is how many. */
static struct pooled *build_pool(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                                 uint32_t *ret_n_pool)
{
    uint64_t n_most = 1;
    uint32_t n = 0;
    struct pooled *pool;

    for (uint32_t r = 0; r < n_ranks; r++)
        n_most += ranks[r].has ? ranks[r].has->n_gpus : 0;
    pool = calloc(n_most, sizeof(*pool));
    for (uint32_t r = 0; pool && r < n_ranks; r++)
        for (uint32_t i = 0; ranks[r].has && i < ranks[r].has->n_gpus; i++) {
            const struct mf_gpu *gpu = &ranks[r].has->gpus[i];
            bool is_known = false;

            for (uint32_t earlier = 0; earlier < r && !is_known; earlier++)
                is_known = has_gpu(&ranks[earlier], gpu);
            if (!is_known)
                pool[n++].gpu = gpu;
        }
    *ret_n_pool = n;
    return pool;
}

/* The worker with the fewest GPUs for its slots, of those that may use this one if there are any.
 */
static uint32_t neediest(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                         const struct mf_gpu *gpu)
{
    uint32_t best = UINT32_MAX;

    for (int only_users = 1; only_users >= 0 && best == UINT32_MAX; only_users--)
        for (uint32_t r = 0; r < n_ranks; r++) {
            if (ranks[r].n_slots == 0 || (only_users && !has_gpu(&ranks[r], gpu)))
                continue;
            if (best == UINT32_MAX || (ranks[r].n_gpus + UINT64_C(1)) * ranks[best].n_slots <
                                          (ranks[best].n_gpus + UINT64_C(1)) * ranks[r].n_slots)
                best = r;
        }
    return best;
}

/* Whether just the same ranks have both. */
static bool have_same_users(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                            const struct mf_gpu *a, const struct mf_gpu *b)
{
    for (uint32_t r = 0; r < n_ranks; r++)
        if (has_gpu(&ranks[r], a) != has_gpu(&ranks[r], b))
            return false;
    return true;
}

uint32_t mf_gpu_distance(const struct mf_gpu *gpu, uint32_t numa, uint32_t package)
{
    if (gpu->numa != MF_NOWHERE && gpu->numa == numa)
        return 0;
    if (gpu->package == MF_NOWHERE || package == MF_NOWHERE)
        return 2;
    return gpu->package == package ? 1 : 3;
}

/* How far it is from the slot of the rank that is nearest to it. */
static uint32_t distance_to(const struct mf_topo_rank *rank, const struct mf_topo_split *split,
                            const struct mf_gpu *gpu)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < rank->n_slots && least > 0; i++) {
        const struct mf_core *core = &split->pool[rank->slot_cores[i]];
        uint32_t distance = mf_gpu_distance(gpu, core->numa, core->package);

        if (distance < least)
            least = distance;
    }
    return least;
}

/* The nearest rank that has some to get, the first of equals. */
static uint32_t nearest(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                        const struct mf_topo_split *split, const uint32_t *n_due,
                        const struct mf_gpu *gpu, uint32_t *ret_distance)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t r = 0; r < n_ranks; r++) {
        uint32_t distance = n_due[r] > 0 ? distance_to(&ranks[r], split, gpu) : UINT32_MAX;

        if (distance < UINT32_MAX && (best == UINT32_MAX || distance < *ret_distance)) {
            best = r;
            *ret_distance = distance;
        }
    }
    return best;
}

/* Deals those from first to end out anew, the ones near to somebody before the others. */
static void deal_by_distance(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                             const struct mf_topo_split *split, struct pooled *pool, uint32_t first,
                             uint32_t end, uint32_t *n_due)
{
    for (uint32_t i = first; i < end; i++) {
        n_due[pool[i].owner]++;
        pool[i].is_dealt = false;
    }
    for (uint32_t limit = 0; limit <= MF_GPU_MAX_DISTANCE; limit++)
        for (uint32_t i = first; i < end; i++) {
            uint32_t distance = UINT32_MAX;
            uint32_t owner = pool[i].is_dealt
                                 ? UINT32_MAX
                                 : nearest(ranks, n_ranks, split, n_due, pool[i].gpu, &distance);

            if (owner == UINT32_MAX || distance > limit)
                continue;
            pool[i].owner = owner;
            pool[i].is_dealt = true;
            n_due[owner]--;
        }
}

/*
 * Owners were dealt in turn, which says how many each gets. Among neighbours
 * that the same ranks may use, each gets its number of those near its slots;
 * where nothing is known of them, those are side by side.
 */
static int bring_near(const struct mf_topo_rank *ranks, uint32_t n_ranks,
                      const struct mf_topo_split *split, struct pooled *pool, uint32_t n_pool)
{
    uint32_t *n_due = calloc((size_t)n_ranks + 1, sizeof(*n_due));

    if (!n_due)
        return -ENOMEM;
    for (uint32_t first = 0, end; first < n_pool; first = end) {
        for (end = first + 1; end < n_pool; end++)
            if (!have_same_users(ranks, n_ranks, pool[first].gpu, pool[end].gpu))
                break;
        if (pool[first].owner < n_ranks)
            deal_by_distance(ranks, n_ranks, split, pool, first, end, n_due);
    }
    free(n_due);
    return 0;
}

static int share_gpus(struct mf_topo_rank *ranks, uint32_t n_ranks, struct mf_topo_split *split)
{
    uint32_t n_pool, n_given = 0;
    struct pooled *pool = build_pool(ranks, n_ranks, &n_pool);
    struct mf_gpu *gpus = calloc((size_t)n_pool + 1, sizeof(*gpus));

    if (!pool || !gpus) {
        free(pool);
        free(gpus);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n_pool; i++) {
        pool[i].owner = neediest(ranks, n_ranks, pool[i].gpu);
        if (pool[i].owner < n_ranks)
            ranks[pool[i].owner].n_gpus++;
    }
    if (bring_near(ranks, n_ranks, split, pool, n_pool) < 0) {
        free(pool);
        free(gpus);
        return -ENOMEM;
    }
    for (uint32_t r = 0; r < n_ranks; r++) {
        ranks[r].gpus = gpus + n_given;
        for (uint32_t i = 0; i < n_pool; i++)
            if (pool[i].owner == r)
                gpus[n_given++] = *pool[i].gpu;
    }
    free(pool);
    split->gpus = gpus;
    return 0;
}

int mf_topo_share_resources(struct mf_topo_rank *ranks, uint32_t n_ranks,
                            struct mf_topo_split *split)
{
    for (uint32_t r = 0; r < n_ranks; r++) {
        ranks[r].mem_bytes = 0;
        ranks[r].gpus = NULL;
        ranks[r].n_gpus = 0;
    }
    share_memory(ranks, n_ranks);
    return share_gpus(ranks, n_ranks, split);
}
