/* Storage of tasks: see tasks.h. Owned by one farm, used by its thread. */
#include "core/tasks.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 16

static uint64_t chunk_number(mf_task_id id)
{
    return (id - 1) / MF_TASKS_PER_CHUNK;
}

static size_t chunk_offset(mf_task_id id)
{
    return (id - 1) % MF_TASKS_PER_CHUNK;
}

void mf_tasks_finish(struct mf_tasks *tasks)
{
    for (const struct mf_task *task = mf_tasks_after(tasks, 0); task;
         task = mf_tasks_after(tasks, task->id))
        free(task->parts);
    for (size_t i = 0; i < tasks->n_chunks; i++)
        free(tasks->chunks[i]);
    free(tasks->chunks);
    free(tasks->spare);
    *tasks = (struct mf_tasks){0};
}

/* Room for one more directory entry. */
static int grow_directory(struct mf_tasks *tasks)
{
    size_t capacity = tasks->capacity ? 2 * tasks->capacity : FIRST_CAPACITY;
    struct mf_task_chunk **chunks;

    if (tasks->n_chunks < tasks->capacity)
        return 0;
    chunks = reallocarray(tasks->chunks, capacity, sizeof(struct mf_task_chunk *));
    if (!chunks)
        return -ENOMEM;
    tasks->chunks = chunks;
    tasks->capacity = capacity;
    return 0;
}

int mf_tasks_reserve(struct mf_tasks *tasks)
{
    struct mf_task_chunk *chunk;

    if (chunk_number(tasks->n_added + 1) < tasks->first + tasks->n_chunks)
        return 0;
    if (grow_directory(tasks) < 0)
        return -ENOMEM;

    /* Its tasks stay uninitialised until they are added. */
    chunk = tasks->spare ? tasks->spare : malloc(sizeof(*chunk));
    if (!chunk)
        return -ENOMEM;
    tasks->spare = NULL;
    chunk->n_kept = 0;
    tasks->chunks[tasks->n_chunks++] = chunk;
    return 0;
}

struct mf_task *mf_tasks_add(struct mf_tasks *tasks)
{
    mf_task_id id = tasks->n_added + 1;
    struct mf_task_chunk *chunk;
    struct mf_task *task;

    assert(chunk_number(id) < tasks->first + tasks->n_chunks);
    chunk = tasks->chunks[chunk_number(id) - tasks->first];
    task = &chunk->tasks[chunk_offset(id)];
    *task = (struct mf_task){.id = id};
    chunk->n_kept++;
    tasks->n_added = id;
    return task;
}

struct mf_task *mf_tasks_find(const struct mf_tasks *tasks, mf_task_id id)
{
    struct mf_task_chunk *chunk;
    struct mf_task *task;

    if (!mf_tasks_has_added(tasks, id) || chunk_number(id) < tasks->first)
        return NULL;
    chunk = tasks->chunks[chunk_number(id) - tasks->first];
    if (!chunk)
        return NULL;
    task = &chunk->tasks[chunk_offset(id)];
    return task->id == id ? task : NULL;
}

/* Drops the leading free entries once they are half of the directory, so that
 * the cost of moving the rest is spread over them. */
static void trim_directory(struct mf_tasks *tasks)
{
    while (tasks->n_leading < tasks->n_chunks && !tasks->chunks[tasks->n_leading])
        tasks->n_leading++;
    if (2 * tasks->n_leading < tasks->n_chunks)
        return;
    tasks->n_chunks -= tasks->n_leading;
    memmove(tasks->chunks, tasks->chunks + tasks->n_leading,
            tasks->n_chunks * sizeof(struct mf_task_chunk *));
    tasks->first += tasks->n_leading;
    tasks->n_leading = 0;
}

static void free_chunk(struct mf_tasks *tasks, uint64_t number)
{
    struct mf_task_chunk **chunk = &tasks->chunks[number - tasks->first];

    if (tasks->spare)
        free(*chunk);
    else
        tasks->spare = *chunk;
    *chunk = NULL;
    trim_directory(tasks);
}

void mf_tasks_forget(struct mf_tasks *tasks, struct mf_task *task)
{
    uint64_t number = chunk_number(task->id);
    struct mf_task_chunk *chunk = tasks->chunks[number - tasks->first];
    mf_task_id last = (number + 1) * MF_TASKS_PER_CHUNK;

    if (task->parts)
        mf_list_remove(&task->parts[0].left_node);
    free(task->parts);
    task->parts = NULL;
    task->id = 0;
    chunk->n_kept--;
    if (chunk->n_kept == 0 && tasks->n_added >= last)
        free_chunk(tasks, number);
}

struct mf_task *mf_tasks_after(const struct mf_tasks *tasks, mf_task_id id)
{
    for (id++; id <= tasks->n_added; id++) {
        struct mf_task *task = mf_tasks_find(tasks, id);

        if (task)
            return task;
        /* Passing over what is not kept chunk by chunk. */
        if (chunk_number(id) < tasks->first)
            id = tasks->first * MF_TASKS_PER_CHUNK;
        else if (!tasks->chunks[chunk_number(id) - tasks->first])
            id = (chunk_number(id) + 1) * MF_TASKS_PER_CHUNK;
    }
    return NULL;
}
