/* What there is and what of it is free: see stock_private.h. */
#include "topo/stock_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** A slot while the order is made; layer says how many slots before it have its core. */
struct entry {
    uint32_t layer;
    uint32_t slot;
    const struct mf_place *place;
};

/* --- making it --- */

static int compare_by_core(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;
    int r = mf_stock_compare(left->place->core, right->place->core);

    return r ? r : mf_stock_compare(left->slot, right->slot);
}

static uint32_t key_of(const struct entry *entry, enum mf_stock_level level)
{
    switch (level) {
    case MF_STOCK_LAYER:
        return entry->layer;
    case MF_STOCK_PACKAGE:
        return entry->place->package;
    case MF_STOCK_NUMA:
        return entry->place->numa;
    default:
        return entry->place->cache;
    }
}

static int compare_by_place(const void *a, const void *b)
{
    int r = 0;

    for (int level = 0; level < MF_STOCK_N_LEVELS && r == 0; level++)
        r = mf_stock_compare(key_of(a, (enum mf_stock_level)level),
                             key_of(b, (enum mf_stock_level)level));
    return r ? r : compare_by_core(a, b);
}

static void put_in_order(struct mf_stock *stock, struct entry *entries)
{
    for (uint32_t i = 0; i < stock->n_slots; i++)
        entries[i] = (struct entry){.slot = i, .place = &stock->places[i]};
    qsort(entries, stock->n_slots, sizeof(*entries), compare_by_core);
    for (uint32_t i = 1; i < stock->n_slots; i++)
        if (entries[i].place->core == entries[i - 1].place->core)
            entries[i].layer = entries[i - 1].layer + 1;
    qsort(entries, stock->n_slots, sizeof(*entries), compare_by_place);
    for (uint32_t i = 0; i < stock->n_slots; i++) {
        stock->slot_at[i] = entries[i].slot;
        stock->position_of[entries[i].slot] = i;
    }
}

/* Closes the parts from this level down: what follows is not in them. */
static void close_parts(struct mf_stock *stock, uint32_t *open, int level, uint32_t position)
{
    for (; level < MF_STOCK_N_LEVELS; level++) {
        struct mf_stock_part *part = &stock->parts[open[level]];

        part->end = position;
        part->next = stock->n_parts;
        part->n_free = part->end - part->first;
    }
}

static void make_parts(struct mf_stock *stock, const struct entry *entries)
{
    uint32_t open[MF_STOCK_N_LEVELS] = {0};

    for (uint32_t i = 0; i < stock->n_slots; i++) {
        int level = 0;

        if (i > 0) {
            while (level < MF_STOCK_N_LEVELS &&
                   key_of(&entries[i], (enum mf_stock_level)level) ==
                       key_of(&entries[i - 1], (enum mf_stock_level)level))
                level++;
            close_parts(stock, open, level, i);
        }
        for (; level < MF_STOCK_N_LEVELS; level++) {
            open[level] = stock->n_parts++;
            stock->parts[open[level]] =
                (struct mf_stock_part){.level = (enum mf_stock_level)level,
                                       .first = i,
                                       .up = level ? open[level - 1] : MF_NO_PART};
        }
    }
    close_parts(stock, open, 0, stock->n_slots);
}

static int fill_gpus(struct mf_stock *stock, const struct mf_gpu *gpus, uint32_t n_gpus)
{
    stock->gpus = calloc((size_t)n_gpus + 1, sizeof(*gpus));
    stock->is_gpu_free = calloc((size_t)n_gpus + 1, sizeof(*stock->is_gpu_free));
    if (!stock->gpus || !stock->is_gpu_free)
        return -ENOMEM;
    if (n_gpus > 0)
        memcpy(stock->gpus, gpus, n_gpus * sizeof(*gpus));
    memset(stock->is_gpu_free, true, n_gpus);
    stock->n_gpus = stock->n_unbooked = n_gpus;
    return 0;
}

int mf_stock_fill(struct mf_stock *stock, const struct mf_place *places, uint32_t n_slots,
                  const struct mf_gpu *gpus, uint32_t n_gpus)
{
    struct entry *entries = calloc(n_slots, sizeof(*entries));

    stock->places = calloc(n_slots, sizeof(*places));
    stock->slot_at = calloc(n_slots, sizeof(*stock->slot_at));
    stock->position_of = calloc(n_slots, sizeof(*stock->position_of));
    stock->is_free = calloc(n_slots, sizeof(*stock->is_free));
    /* At most one part of each level begins at a slot. */
    stock->parts = calloc((size_t)n_slots * MF_STOCK_N_LEVELS, sizeof(*stock->parts));
    if (!entries || !stock->places || !stock->slot_at || !stock->position_of || !stock->is_free ||
        !stock->parts || fill_gpus(stock, gpus, n_gpus) < 0) {
        free(entries);
        mf_stock_finish(stock);
        return -ENOMEM;
    }
    memcpy(stock->places, places, n_slots * sizeof(*places));
    memset(stock->is_free, true, n_slots);
    stock->n_slots = stock->n_free = n_slots;
    put_in_order(stock, entries);
    make_parts(stock, entries);
    free(entries);
    return 0;
}

void mf_stock_finish(struct mf_stock *stock)
{
    free(stock->places);
    free(stock->slot_at);
    free(stock->position_of);
    free(stock->is_free);
    free(stock->parts);
    free(stock->gpus);
    free(stock->is_gpu_free);
    *stock = (struct mf_stock){0};
}

/* --- taking and giving slots --- */

/* The cache that a position is in. */
static uint32_t find_cache(const struct mf_stock *stock, uint32_t position)
{
    uint32_t part = 0;

    while (stock->parts[part].end <= position || stock->parts[part].level != MF_STOCK_CACHE)
        part = stock->parts[part].end <= position ? stock->parts[part].next : part + 1;
    return part;
}

void mf_stock_set_free(struct mf_stock *stock, uint32_t position, bool is_free)
{
    uint32_t change = is_free ? 1 : UINT32_MAX;

    assert(stock->is_free[position] != is_free);
    stock->is_free[position] = is_free;
    stock->n_free += change;
    for (uint32_t part = find_cache(stock, position); part != MF_NO_PART;
         part = stock->parts[part].up)
        stock->parts[part].n_free += change;
}

void mf_stock_take_slot(struct mf_stock *stock, uint32_t slot)
{
    if (stock->is_free[stock->position_of[slot]])
        mf_stock_set_free(stock, stock->position_of[slot], false);
}

void mf_stock_give_slots(struct mf_stock *stock, uint32_t n, const uint32_t *slots)
{
    for (uint32_t i = 0; i < n; i++)
        mf_stock_set_free(stock, stock->position_of[slots[i]], true);
}

/* --- GPUs --- */

int mf_stock_book_gpus(struct mf_stock *stock, uint32_t n_gpus)
{
    if (n_gpus > stock->n_unbooked)
        return -EBUSY;
    stock->n_unbooked -= n_gpus;
    return 0;
}

void mf_stock_unbook_gpus(struct mf_stock *stock, uint32_t n_gpus)
{
    stock->n_unbooked += n_gpus;
}

void mf_stock_give_gpus(struct mf_stock *stock, uint32_t n, const uint32_t *gpus)
{
    for (uint32_t i = 0; i < n; i++)
        stock->is_gpu_free[gpus[i]] = true;
    stock->n_unbooked += n;
}

/* The sum of its distances to some slots. */
static uint64_t distance_to_all(const struct mf_stock *stock, uint32_t gpu, const uint32_t *slots,
                                uint32_t n_slots)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < n_slots; i++)
        sum += mf_gpu_distance(&stock->gpus[gpu], stock->places[slots[i]].numa,
                               stock->places[slots[i]].package);
    return sum;
}

void mf_stock_take_gpus(struct mf_stock *stock, uint32_t n, const uint32_t *slots, uint32_t n_slots,
                        uint32_t *ret_gpus)
{
    for (uint32_t taken = 0; taken < n; taken++) {
        uint64_t least = UINT64_MAX;

        for (uint32_t gpu = 0; gpu < stock->n_gpus; gpu++) {
            uint64_t distance =
                stock->is_gpu_free[gpu] ? distance_to_all(stock, gpu, slots, n_slots) : UINT64_MAX;

            if (distance < least) {
                least = distance;
                ret_gpus[taken] = gpu;
            }
        }
        assert(least < UINT64_MAX);
        stock->is_gpu_free[ret_gpus[taken]] = false;
    }
}

void mf_stock_print_gpus(const struct mf_stock *stock, uint32_t n, const uint32_t *gpus,
                         struct mf_buffer *text)
{
    mf_buffer_print(text, "%s=", mf_gpu_variable(stock->gpus[gpus[0]].kind));
    for (uint32_t i = 0; i < n; i++)
        mf_buffer_print(text, "%s%s", i > 0 ? "," : "", stock->gpus[gpus[i]].id);
    mf_buffer_put_u8(text, 0);
}
