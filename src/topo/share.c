/*
 * Splitting the cores and slots of one node among the ranks on it.
 *
 * Three steps: the pool of all cores, each once; each core to one worker; the
 * slots to the workers and to their cores. Everything is a function of its
 * arguments, so that every rank of a node, or one for all of them, computes
 * the same split. The result owns two arrays; the work space goes with `share`.
 */
#include "topo/topo.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NO_CORE UINT32_MAX

/**
 * Work space of one split.
 *
 * @workers     n_workers ranks that get slots, in order of rank
 * @core_of_cpu index into the pool by hardware thread; n_cpus entries
 * @may_use     n_pool rows of n_workers: whether the worker may use the core
 * @owned       n_workers counts of cores
 * @owner       n_pool indexes into workers
 * @order       n_pool indexes into the pool; cores that the same workers may
 *              use stand together, those that few may use first
 * @n_slots_on  n_pool counts of slots
 */
struct share {
    struct mf_topo_rank *ranks;
    uint32_t n_ranks;
    struct mf_topo_rank **workers;
    uint32_t n_workers;
    struct mf_core *pool;
    uint32_t n_pool;
    uint32_t *core_of_cpu;
    uint32_t n_cpus;
    bool *may_use;
    uint32_t *owned;
    uint32_t *owner;
    uint32_t *order;
    uint32_t *n_slots_on;
};

static bool *row_of(const struct share *share, uint32_t core)
{
    return &share->may_use[(size_t)core * share->n_workers];
}

/* Adds a hardware thread to a core of the pool, in ascending order. */
static void add_cpu(struct share *share, uint32_t index, uint32_t cpu)
{
    struct mf_core *core = &share->pool[index];
    uint32_t i;

    if (share->core_of_cpu[cpu] != NO_CORE)
        return;
    share->core_of_cpu[cpu] = index;
    if (core->n_cpus == MF_CORE_MAX_CPUS)
        return;
    for (i = core->n_cpus; i > 0 && core->cpus[i - 1] > cpu; i--)
        core->cpus[i] = core->cpus[i - 1];
    core->cpus[i] = cpu;
    core->n_cpus++;
}

/* Ranks bound to different hardware threads of one core see parts of it: parts
 * that overlap are one core of the pool. */
static void add_core(struct share *share, const struct mf_core *core)
{
    uint32_t index = NO_CORE;

    for (uint32_t i = 0; i < core->n_cpus && index == NO_CORE; i++)
        index = share->core_of_cpu[core->cpus[i]];
    if (index == NO_CORE) {
        index = share->n_pool++;
        share->pool[index] =
            (struct mf_core){.numa = core->numa, .package = core->package, .cache = core->cache};
    }
    for (uint32_t i = 0; i < core->n_cpus; i++)
        add_cpu(share, index, core->cpus[i]);
}

/* Neighbours first: the numbers of hardware threads follow the caches within a
 * package, but often alternate between packages. */
static int compare_cores(const void *a, const void *b)
{
    const struct mf_core *left = a, *right = b;

    if (left->package != right->package)
        return left->package < right->package ? -1 : 1;
    if (left->numa != right->numa)
        return left->numa < right->numa ? -1 : 1;
    if (left->cache != right->cache)
        return left->cache < right->cache ? -1 : 1;
    return left->cpus[0] < right->cpus[0] ? -1 : left->cpus[0] > right->cpus[0];
}

static void index_cpus(struct share *share)
{
    for (uint32_t i = 0; i < share->n_cpus; i++)
        share->core_of_cpu[i] = NO_CORE;
    for (uint32_t core = 0; core < share->n_pool; core++)
        for (uint32_t i = 0; i < share->pool[core].n_cpus; i++)
            share->core_of_cpu[share->pool[core].cpus[i]] = core;
}

static int build_pool(struct share *share)
{
    uint64_t n_cores = 0;

    for (uint32_t r = 0; r < share->n_ranks; r++) {
        n_cores += share->ranks[r].n_cores;
        for (uint32_t c = 0; c < share->ranks[r].n_cores; c++) {
            const struct mf_core *core = &share->ranks[r].cores[c];

            for (uint32_t i = 0; i < core->n_cpus; i++)
                if (core->cpus[i] >= share->n_cpus)
                    share->n_cpus = core->cpus[i] + 1;
        }
    }
    if (share->n_cpus == 0)
        return -EINVAL;

    share->pool = calloc(n_cores, sizeof(*share->pool));
    share->core_of_cpu = calloc(share->n_cpus, sizeof(*share->core_of_cpu));
    if (!share->pool || !share->core_of_cpu)
        return -ENOMEM;

    index_cpus(share);
    for (uint32_t r = 0; r < share->n_ranks; r++)
        for (uint32_t c = 0; c < share->ranks[r].n_cores; c++)
            if (share->ranks[r].cores[c].n_cpus > 0)
                add_core(share, &share->ranks[r].cores[c]);
    qsort(share->pool, share->n_pool, sizeof(*share->pool), compare_cores);
    index_cpus(share);
    return 0;
}

static int find_workers(struct share *share)
{
    share->workers = calloc(share->n_ranks ? share->n_ranks : 1, sizeof(struct mf_topo_rank *));
    if (!share->workers)
        return -ENOMEM;
    for (uint32_t r = 0; r < share->n_ranks; r++)
        if (share->ranks[r].is_worker)
            share->workers[share->n_workers++] = &share->ranks[r];
    return share->n_workers > 0 ? 0 : -EINVAL;
}

/* Fills may_use; a core that no worker may use is open to all of them. */
static void find_users(struct share *share)
{
    for (uint32_t w = 0; w < share->n_workers; w++)
        for (uint32_t c = 0; c < share->workers[w]->n_cores; c++) {
            const struct mf_core *core = &share->workers[w]->cores[c];

            for (uint32_t i = 0; i < core->n_cpus; i++)
                if (share->core_of_cpu[core->cpus[i]] != NO_CORE)
                    row_of(share, share->core_of_cpu[core->cpus[i]])[w] = true;
        }
    for (uint32_t core = 0; core < share->n_pool; core++)
        if (!memchr(row_of(share, core), true, share->n_workers))
            memset(row_of(share, core), true, share->n_workers);
}

static uint32_t count_users(const struct share *share, uint32_t core)
{
    uint32_t n = 0;

    for (uint32_t w = 0; w < share->n_workers; w++)
        n += row_of(share, core)[w];
    return n;
}

static int compare_users(const void *a, const void *b, void *arg)
{
    const struct share *share = arg;
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    uint32_t n_left = count_users(share, left), n_right = count_users(share, right);
    int r;

    if (n_left != n_right)
        return n_left < n_right ? -1 : 1;
    r = memcmp(row_of(share, left), row_of(share, right), share->n_workers);
    if (r != 0)
        return -r;
    return left < right ? -1 : left > right;
}

/* The worker with the fewest cores among those in the row. */
static uint32_t poorest(const struct share *share, const bool *row)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t w = 0; w < share->n_workers; w++)
        if (row[w] && (best == UINT32_MAX || share->owned[w] < share->owned[best]))
            best = w;
    assert(best != UINT32_MAX);
    return best;
}

/* Gives out n cores that the same workers may use: first how many each gets,
 * then which, so that each gets neighbours. */
static void assign_class(struct share *share, const uint32_t *cores, uint32_t n, uint32_t *n_taken)
{
    const bool *row = row_of(share, cores[0]);
    uint32_t next = 0;

    memset(n_taken, 0, share->n_workers * sizeof(*n_taken));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t w = poorest(share, row);

        share->owned[w]++;
        n_taken[w]++;
    }
    for (uint32_t w = 0; w < share->n_workers; w++)
        for (uint32_t i = 0; i < n_taken[w]; i++)
            share->owner[cores[next++]] = w;
}

/* Cores with few users go first, or those with a choice would be taken by
 * workers that have others. */
static int assign_cores(struct share *share)
{
    uint32_t *n_taken = calloc(share->n_workers, sizeof(*n_taken));
    uint32_t end;

    share->may_use = calloc((size_t)share->n_pool * share->n_workers, sizeof(*share->may_use));
    share->owned = calloc(share->n_workers, sizeof(*share->owned));
    share->owner = calloc(share->n_pool, sizeof(*share->owner));
    share->order = calloc(share->n_pool, sizeof(*share->order));
    if (!n_taken || !share->may_use || !share->owned || !share->owner || !share->order) {
        free(n_taken);
        return -ENOMEM;
    }
    find_users(share);
    for (uint32_t core = 0; core < share->n_pool; core++)
        share->order[core] = core;
    qsort_r(share->order, share->n_pool, sizeof(*share->order), compare_users, share);

    for (uint32_t start = 0; start < share->n_pool; start = end) {
        const bool *row = row_of(share, share->order[start]);

        for (end = start + 1; end < share->n_pool; end++)
            if (memcmp(row, row_of(share, share->order[end]), share->n_workers) != 0)
                break;
        assign_class(share, &share->order[start], end - start, n_taken);
    }
    free(n_taken);
    return 0;
}

/* The worker that has the fewest slots for its cores; one without a core of its
 * own counts as if it had one. Ties go to the lower rank. */
static uint32_t neediest(const struct share *share)
{
    uint32_t best = 0;

    for (uint32_t w = 1; w < share->n_workers; w++) {
        uint64_t mine = share->owned[w] ? share->owned[w] : 1;
        uint64_t others = share->owned[best] ? share->owned[best] : 1;

        if ((share->workers[w]->n_slots + UINT64_C(1)) * others <
            (share->workers[best]->n_slots + UINT64_C(1)) * mine)
            best = w;
    }
    return best;
}

/* Sets the slots of each rank; slot_cores has room for all n_slots. */
static void divide_slots(struct share *share, uint32_t n_slots, uint32_t *slot_cores)
{
    uint32_t n_given = share->n_workers, first = 1;

    for (uint32_t r = 0; r < share->n_ranks; r++)
        share->ranks[r].n_slots = share->ranks[r].is_worker;
    for (; n_given < n_slots; n_given++)
        share->workers[neediest(share)]->n_slots++;
    for (uint32_t r = 0; r < share->n_ranks; r++) {
        bool has_slots = share->ranks[r].n_slots > 0;

        share->ranks[r].first_slot = has_slots ? first : 0;
        share->ranks[r].slot_cores = has_slots ? &slot_cores[first - 1] : NULL;
        first += share->ranks[r].n_slots;
    }
}

/* The slots of a worker with cores of its own: in turn when there are more
 * slots than cores, spread over all of them when there are fewer. */
static void fill_from_own(struct share *share, uint32_t w, uint32_t *own)
{
    struct mf_topo_rank *worker = share->workers[w];
    uint64_t n_own = share->owned[w];
    uint32_t n = 0;

    for (uint32_t core = 0; core < share->n_pool; core++)
        if (share->owner[core] == w)
            own[n++] = core;
    for (uint32_t s = 0; s < worker->n_slots; s++) {
        uint32_t core = own[worker->n_slots < n_own ? s * n_own / worker->n_slots : s % n_own];

        worker->slot_cores[s] = core;
        share->n_slots_on[core]++;
    }
}

/* The slots of a worker that came away empty-handed: where the fewest are. */
static void fill_from_others(struct share *share, uint32_t w)
{
    struct mf_topo_rank *worker = share->workers[w];
    bool is_bound = false;

    for (uint32_t core = 0; core < share->n_pool; core++)
        is_bound |= row_of(share, core)[w];
    for (uint32_t s = 0; s < worker->n_slots; s++) {
        uint32_t best = NO_CORE;

        for (uint32_t core = 0; core < share->n_pool; core++)
            if ((!is_bound || row_of(share, core)[w]) &&
                (best == NO_CORE || share->n_slots_on[core] < share->n_slots_on[best]))
                best = core;
        worker->slot_cores[s] = best;
        share->n_slots_on[best]++;
    }
}

static int assign_slots(struct share *share, const struct mf_jobs *jobs, uint32_t **ret_slot_cores)
{
    uint32_t n_wanted = mf_jobs_slots(jobs, share->n_pool);
    uint32_t n_slots = n_wanted > share->n_workers ? n_wanted : share->n_workers;
    uint32_t *slot_cores = calloc(n_slots, sizeof(*slot_cores));
    uint32_t *own = calloc(share->n_pool, sizeof(*own));

    share->n_slots_on = calloc(share->n_pool, sizeof(*share->n_slots_on));
    if (!slot_cores || !own || !share->n_slots_on) {
        free(slot_cores);
        free(own);
        return -ENOMEM;
    }
    divide_slots(share, n_slots, slot_cores);
    for (uint32_t w = 0; w < share->n_workers; w++)
        if (share->owned[w] > 0)
            fill_from_own(share, w, own);
    for (uint32_t w = 0; w < share->n_workers; w++)
        if (share->owned[w] == 0)
            fill_from_others(share, w);
    free(own);
    *ret_slot_cores = slot_cores;
    return 0;
}

int mf_topo_share(struct mf_topo_rank *ranks, uint32_t n_ranks, const struct mf_jobs *jobs,
                  struct mf_topo_split *ret_split)
{
    struct share share = {.ranks = ranks, .n_ranks = n_ranks};
    uint32_t *slot_cores = NULL;
    int r;

    r = find_workers(&share);
    if (r == 0)
        r = build_pool(&share);
    if (r == 0)
        r = assign_cores(&share);
    if (r == 0)
        r = assign_slots(&share, jobs, &slot_cores);
    if (r == 0) {
        *ret_split = (struct mf_topo_split){
            .pool = share.pool,
            .n_pool = share.n_pool,
            .slot_cores = slot_cores,
        };
        share.pool = NULL;
    }
    free(share.workers);
    free(share.pool);
    free(share.core_of_cpu);
    free(share.may_use);
    free(share.owned);
    free(share.owner);
    free(share.order);
    free(share.n_slots_on);
    return r;
}

void mf_topo_split_finish(struct mf_topo_split *split)
{
    free(split->pool);
    free(split->slot_cores);
    free(split->gpus);
    *split = (struct mf_topo_split){0};
}
