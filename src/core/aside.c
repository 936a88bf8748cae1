/*
 * READY tasks that nobody has room for, put aside by what they need, so that
 * any number of them does not hide those behind them.
 *
 * A class is of tasks that are alike: when one of them fits nowhere now, none
 * does. They stay aside from tick to tick, and each tick looks at the first of each
 * class only. What differs without end, memory and run time, is alike within a factor
 * of two: place.c asks for the least of a class before it puts all aside.
 */
#include "core/farm_private.h"

#include <stdlib.h>
#include <string.h>

/* Numbers of classes fit into struct mf_task's `parked`, behind those of the countables and before
 * MF_PARKED_STRANDED. */
#define MAX_ASIDES (MF_PARKED_STRANDED - 1 - MF_N_COUNTABLES)

/* 1 + floor(log2 n), and 0 for 0. */
static uint8_t magnitude(uint64_t n)
{
    return n > 0 ? (uint8_t)(64 - __builtin_clzll(n)) : 0;
}

static uint64_t least_of_magnitude(uint8_t magnitude)
{
    return magnitude > 0 ? UINT64_C(1) << (magnitude - 1) : 0;
}

static struct mf_aside_key key_of(const struct mf_task *task)
{
    struct mf_aside_key key;

    /* With the bytes in between, as they are compared. */
    memset(&key, 0, sizeof(key));
    key.n_slots = task->spec.needs.n_slots;
    key.n_gpus = task->spec.needs.n_gpus;
    key.n_nodes = mf_needs_n_nodes(&task->spec.needs);
    memcpy(key.countables, task->spec.needs.countables, sizeof(key.countables));
    key.kind = task->spec.kind;
    key.target = task->spec.has_target ? task->spec.target : MF_WORKER_NONE;
    key.avoid = task->avoid;
    key.avoid_node = task->avoid_node;
    key.is_suspect = task->spec.needs.is_suspect;
    key.mem = magnitude(task->spec.needs.mem_bytes);
    key.estimate = magnitude((uint64_t)task->spec.estimate_ns);
    return key;
}

void mf_aside_least(const struct mf_task *task, struct mf_task *ret_least)
{
    struct mf_aside_key key = key_of(task);

    *ret_least = *task;
    ret_least->spec.needs.mem_bytes = least_of_magnitude(key.mem);
    ret_least->spec.estimate_ns = (int64_t)least_of_magnitude(key.estimate);
}

uint32_t mf_aside_find(const struct mf_farm *farm, const struct mf_task *task)
{
    struct mf_aside_key key;

    if (farm->n_asides == 0)
        return MF_ASIDE_NONE;
    key = key_of(task);
    for (uint32_t i = 0; i < farm->n_asides; i++)
        if (memcmp(&farm->asides[i].key, &key, sizeof(key)) == 0)
            return i;
    return MF_ASIDE_NONE;
}

/* A place for another class: a new one, or that of one without tasks. */
static struct mf_aside *find_place(struct mf_farm *farm)
{
    struct mf_aside *grown;

    for (uint32_t i = 0; i < farm->n_asides; i++)
        if (farm->asides[i].tasks.n_items == 0)
            return &farm->asides[i];
    if (farm->n_asides == MAX_ASIDES)
        return NULL;
    grown = reallocarray(farm->asides, farm->n_asides + 1, sizeof(*grown));
    if (!grown)
        return NULL;
    farm->asides = grown;
    grown += farm->n_asides++;
    mf_heap_init(&grown->tasks, farm->ready.before, farm->ready.index_offset);
    return grown;
}

uint32_t mf_aside_add(struct mf_farm *farm, const struct mf_task *task)
{
    uint32_t found = mf_aside_find(farm, task);
    struct mf_aside *aside;

    if (found != MF_ASIDE_NONE)
        return found;
    aside = find_place(farm);
    if (!aside)
        return MF_ASIDE_NONE;
    aside->key = key_of(task);
    aside->is_stuck = false;
    return (uint32_t)(aside - farm->asides);
}

bool mf_aside_put(struct mf_farm *farm, uint32_t i, struct mf_task *task)
{
    mf_heap_remove(&farm->ready, task);
    if (mf_heap_push(&farm->asides[i].tasks, task) < 0) {
        mf_farm_put_back(farm, task);
        return false;
    }
    task->parked = (uint8_t)(MF_N_COUNTABLES + 1 + i);
    farm->asides[i].is_stuck = true;
    return true;
}

void mf_aside_take_next(struct mf_farm *farm, uint32_t i)
{
    struct mf_task *task = mf_heap_pop(&farm->asides[i].tasks);

    if (task)
        mf_farm_put_back(farm, task);
}

void mf_farm_look_again(struct mf_farm *farm, bool at_all)
{
    for (uint32_t i = 0; i < farm->n_asides; i++) {
        farm->asides[i].is_stuck = false;
        do
            mf_aside_take_next(farm, i);
        while (at_all && farm->asides[i].tasks.n_items > 0);
    }
}

void mf_asides_finish(struct mf_farm *farm)
{
    for (uint32_t i = 0; i < farm->n_asides; i++)
        mf_heap_finish(&farm->asides[i].tasks);
    free(farm->asides);
}
