/*
 * Which slots a task gets: see stock.h for the order of what matters, and
 * stock_private.h for the parts that it goes down through.
 */
#include "topo/stock_private.h"

#include <assert.h>

/** Slots being taken for a task with n_gpus; n_taken are in slots. */
struct taking {
    struct mf_stock *stock;
    uint32_t n_gpus;
    uint32_t *slots;
    uint32_t n_taken;
};

static void take_at(struct taking *taking, uint32_t position)
{
    mf_stock_set_free(taking->stock, position, false);
    taking->slots[taking->n_taken++] = taking->stock->slot_at[position];
}

/* The smallest gap that holds n, else the largest; of equals the first. */
static uint32_t find_gap(const struct mf_stock *stock, const struct mf_stock_part *cache,
                         uint32_t n, uint32_t *ret_length)
{
    uint32_t best = 0, best_length = 0;

    for (uint32_t first = cache->first, end; first < cache->end; first = end + 1) {
        for (end = first; end < cache->end && stock->is_free[end]; end++)
            ;
        uint32_t length = end - first;
        bool is_better = best_length < n ? length > best_length : length < best_length;

        if (is_better && (length >= n || best_length < n)) {
            best = first;
            best_length = length;
        }
    }
    *ret_length = best_length;
    return best;
}

static void take_in_cache(struct taking *taking, uint32_t part, uint32_t n)
{
    while (n > 0) {
        uint32_t length;
        uint32_t first = find_gap(taking->stock, &taking->stock->parts[part], n, &length);

        for (uint32_t i = 0; i < length && n > 0; i++, n--)
            take_at(taking, first + i);
    }
}

/* The part inside this one that holds n and has the fewest free slots, else the one with the most.
 */
static uint32_t find_inner(const struct mf_stock *stock, uint32_t part, uint32_t n)
{
    uint32_t best = part + 1;

    for (uint32_t inner = stock->parts[best].next; inner < stock->parts[part].next;
         inner = stock->parts[inner].next) {
        uint32_t n_free = stock->parts[inner].n_free, n_best = stock->parts[best].n_free;

        if (n_best < n ? n_free > n_best : n_free >= n && n_free < n_best)
            best = inner;
    }
    return best;
}

/* Takes n, which it has, out of as few of the parts in it as can be. */
static void take_in_part(struct taking *taking, uint32_t part, uint32_t n)
{
    const struct mf_stock *stock = taking->stock;

    if (stock->parts[part].level == MF_STOCK_CACHE) {
        take_in_cache(taking, part, n);
        return;
    }
    while (n > 0) {
        uint32_t inner = find_inner(stock, part, n);
        uint32_t n_here = stock->parts[inner].n_free < n ? stock->parts[inner].n_free : n;

        take_in_part(taking, inner, n_here);
        n -= n_here;
    }
}

/** Why one part is better than another: less is better, the first that differs decides. */
struct merit {
    uint64_t gpu_distance;
    uint32_t is_split;
    uint32_t n_free;
    uint32_t n_free_above;
    uint32_t n_gpus_near;
};

static int compare_merits(const struct merit *a, const struct merit *b)
{
    if (a->gpu_distance != b->gpu_distance)
        return a->gpu_distance < b->gpu_distance ? -1 : 1;
    if (a->is_split != b->is_split)
        return mf_stock_compare(a->is_split, b->is_split);
    if (a->n_free != b->n_free)
        return mf_stock_compare(a->n_free, b->n_free);
    if (a->n_free_above != b->n_free_above)
        return mf_stock_compare(a->n_free_above, b->n_free_above);
    return mf_stock_compare(a->n_gpus_near, b->n_gpus_near);
}

/* Counts the free GPUs by their distance. In a package any of its NUMA nodes is as near. */
static void count_gpus(const struct mf_stock *stock, const struct mf_stock_part *part,
                       uint32_t counts[MF_GPU_MAX_DISTANCE + 1])
{
    const struct mf_place *place = &stock->places[stock->slot_at[part->first]];
    uint32_t numa = part->level == MF_STOCK_PACKAGE ? MF_NOWHERE : place->numa;

    for (uint32_t i = 0; i < stock->n_gpus; i++)
        if (stock->is_gpu_free[i])
            counts[mf_gpu_distance(&stock->gpus[i], numa, place->package)]++;
}

static struct merit weigh(const struct taking *taking, uint32_t index, uint32_t n)
{
    const struct mf_stock *stock = taking->stock;
    const struct mf_stock_part *part = &stock->parts[index];
    uint32_t counts[MF_GPU_MAX_DISTANCE + 1] = {0}, n_gpus = taking->n_gpus;
    struct merit merit = {
        .n_free = part->n_free,
        .n_free_above = stock->parts[part->up].n_free,
        .is_split = stock->parts[find_inner(stock, index, n)].n_free < n,
    };

    count_gpus(stock, part, counts);
    merit.n_gpus_near = counts[0];
    for (uint32_t distance = 0; distance <= MF_GPU_MAX_DISTANCE; distance++) {
        uint32_t n_here = counts[distance] < n_gpus ? counts[distance] : n_gpus;

        merit.gpu_distance += (uint64_t)n_here * distance;
        n_gpus -= n_here;
    }
    return merit;
}

/* The best of the parts of a layer on this level that hold n, or MF_NO_PART. */
static uint32_t find_best(const struct taking *taking, uint32_t layer, enum mf_stock_level level,
                          uint32_t n)
{
    const struct mf_stock *stock = taking->stock;
    struct merit least = {0};
    uint32_t best = MF_NO_PART;

    for (uint32_t part = layer + 1; part < stock->parts[layer].next;) {
        const struct mf_stock_part *at = &stock->parts[part];

        if (at->level < level) {
            part++;
            continue;
        }
        if (at->n_free >= n) {
            struct merit merit = weigh(taking, part, n);

            if (best == MF_NO_PART || compare_merits(&merit, &least) < 0) {
                best = part;
                least = merit;
            }
        }
        part = at->next;
    }
    return best;
}

static void take_in_layer(struct taking *taking, uint32_t layer, uint32_t n)
{
    uint32_t part = find_best(taking, layer, MF_STOCK_NUMA, n);

    if (part == MF_NO_PART)
        part = find_best(taking, layer, MF_STOCK_PACKAGE, n);
    take_in_part(taking, part == MF_NO_PART ? layer : part, n);
}

/* In the order of places, so that the first ranks and threads of a task are neighbours too. */
static void sort_slots(const struct mf_stock *stock, uint32_t *slots, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t k = i;
             k > 0 && stock->position_of[slots[k]] < stock->position_of[slots[k - 1]]; k--) {
            uint32_t slot = slots[k];

            slots[k] = slots[k - 1];
            slots[k - 1] = slot;
        }
}

void mf_stock_take(struct mf_stock *stock, uint32_t n_slots, uint32_t n_gpus, uint32_t *ret_slots,
                   uint32_t *ret_gpus)
{
    struct taking taking = {.stock = stock, .n_gpus = n_gpus, .slots = ret_slots};

    assert(n_slots <= stock->n_free);
    for (uint32_t layer = 0; taking.n_taken < n_slots; layer = stock->parts[layer].next) {
        uint32_t n_here = n_slots - taking.n_taken;

        if (stock->parts[layer].n_free < n_here)
            n_here = stock->parts[layer].n_free;
        if (n_here > 0)
            take_in_layer(&taking, layer, n_here);
    }
    sort_slots(stock, ret_slots, n_slots);
    mf_stock_take_gpus(stock, n_gpus, ret_slots, n_slots, ret_gpus);
}
