/*
 * Staging of output: see stage.h.
 *
 * Small groups share a block, so that a thousand outputs of a line each cost
 * one write. Without a tag bytes are read straight into the block; with one
 * they pass through `raw`, as a tag can make them grow by any factor.
 */
#include "report/stage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mf_job_create(const struct mf_group *group, struct mf_job **ret_job)
{
    size_t n_tag = group->tag ? strlen(group->tag) : 0;
    size_t n_memory = group->store ? 0 : (size_t)(group->size[0] + group->size[1]);
    struct mf_job *job = malloc(sizeof(*job) + n_tag + 1 + n_memory);
    char *tail;

    if (!job)
        return -ENOMEM;
    *job = (struct mf_job){.group = *group, .tag_size = n_tag};
    job->order = (struct mf_order_item){.number = group->seq, .heap_index = MF_HEAP_NONE};
    mf_list_init(&job->node);
    tail = (char *)(job + 1);
    if (group->tag)
        job->group.tag = memcpy(tail, group->tag, n_tag + 1);
    if (n_memory)
        job->group.memory = memcpy(tail + n_tag + 1, group->memory, n_memory);
    *ret_job = job;
    return 0;
}

int mf_stage_init(struct mf_stage *stage)
{
    *stage = (struct mf_stage){.is_line_start = true};
    mf_list_init(&stage->queue);
    mf_list_init(&stage->staged);
    stage->block = malloc(MF_STAGE_BLOCK);
    stage->raw = malloc(MF_STAGE_BLOCK);
    return stage->block && stage->raw ? 0 : -ENOMEM;
}

static void free_jobs(struct mf_list *list)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(list)))
        free(mf_container_of(node, struct mf_job, node));
}

void mf_stage_finish(struct mf_stage *stage)
{
    free_jobs(&stage->queue);
    free_jobs(&stage->staged);
    free(stage->block);
    free(stage->raw);
    stage->block = stage->raw = NULL;
    stage->n_queued = 0;
    stage->n_block = stage->n_done = stage->n_raw = stage->n_raw_done = 0;
}

void mf_stage_push(struct mf_stage *stage, struct mf_job *job)
{
    stage->n_queued += job->group.size[0] + job->group.size[1];
    mf_list_push_back(&stage->queue, &job->node);
}

/* Reads up to room bytes of the stream at the cursor; returns how many, at least 1, or -errno. */
static ssize_t read_source(struct mf_stage *stage, const struct mf_group *group, void *data,
                           size_t room)
{
    uint64_t left = group->size[stage->at] - stage->n_read;
    uint64_t position = (stage->at ? group->size[0] : 0) + stage->n_read;
    size_t n = left < room ? (size_t)left : room;
    ssize_t n_got = (ssize_t)n;

    if (group->store)
        n_got = mf_store_read(group->store, group->file, group->offset + position, data, n);
    else
        memcpy(data, (const uint8_t *)group->memory + position, n);
    if (n_got <= 0)
        return n_got < 0 ? n_got : -EIO;
    stage->n_read += (uint64_t)n_got;
    stage->n_queued -= (uint64_t)n_got;
    return n_got;
}

static void put(struct mf_stage *stage, const void *data, size_t n)
{
    memcpy(stage->block + stage->n_block, data, n);
    stage->n_block += n;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Stages what fits of the tag and the TAB behind it. */
static void put_tag(struct mf_stage *stage, const struct mf_job *job)
{
    size_t room = MF_STAGE_BLOCK - stage->n_block;

    if (stage->n_tag < job->tag_size) {
        size_t n = smaller(room, job->tag_size - stage->n_tag);

        put(stage, job->group.tag + stage->n_tag, n);
        stage->n_tag += n;
        room -= n;
    }
    if (room > 0) {
        put(stage, "\t", 1);
        stage->is_line_start = false;
        stage->n_tag = 0;
    }
}

/* Stages what fits of the raw bytes, up to the end of a line. */
static void put_line(struct mf_stage *stage)
{
    const uint8_t *start = stage->raw + stage->n_raw_done;
    size_t n = smaller(stage->n_raw - stage->n_raw_done, MF_STAGE_BLOCK - stage->n_block);
    const uint8_t *newline = memchr(start, '\n', n);

    if (newline) {
        n = (size_t)(newline - start) + 1;
        stage->is_line_start = true;
    }
    put(stage, start, n);
    stage->n_raw_done += n;
}

static int fill_tagged(struct mf_stage *stage, const struct mf_job *job)
{
    if (stage->n_raw_done == stage->n_raw) {
        ssize_t n = read_source(stage, &job->group, stage->raw, MF_STAGE_BLOCK);

        if (n < 0)
            return (int)n;
        stage->n_raw = (size_t)n;
        stage->n_raw_done = 0;
    }
    while (stage->n_raw_done < stage->n_raw && stage->n_block < MF_STAGE_BLOCK) {
        if (stage->is_line_start)
            put_tag(stage, job);
        else
            put_line(stage);
    }
    return 0;
}

static int fill_plain(struct mf_stage *stage, const struct mf_job *job)
{
    ssize_t n = read_source(stage, &job->group, stage->block + stage->n_block,
                            MF_STAGE_BLOCK - stage->n_block);

    if (n < 0)
        return (int)n;
    stage->n_block += (size_t)n;
    return 0;
}

/* Moves the cursor on from the end of a stream, to the next stream or job. */
static void next_stream(struct mf_stage *stage, struct mf_job *job)
{
    stage->n_read = 0;
    stage->is_line_start = true;
    stage->n_tag = 0;
    if (stage->at == 0) {
        stage->at = 1;
        return;
    }
    stage->at = 0;
    job->end = stage->n_written + stage->n_block;
    mf_list_remove(&job->node);
    mf_list_push_back(&stage->staged, &job->node);
}

int mf_stage_fill(struct mf_stage *stage)
{
    assert(stage->n_done == stage->n_block);
    stage->n_block = stage->n_done = 0;
    while (stage->n_block < MF_STAGE_BLOCK && !mf_list_is_empty(&stage->queue)) {
        struct mf_job *job = mf_container_of(stage->queue.next, struct mf_job, node);
        int code;

        if (stage->n_read == job->group.size[stage->at] && stage->n_raw_done == stage->n_raw) {
            next_stream(stage, job);
            continue;
        }
        if (stage->n_block > 0 && stage->stream != stage->at)
            break;
        stage->stream = stage->at;
        code = job->group.tag ? fill_tagged(stage, job) : fill_plain(stage, job);
        if (code)
            return code;
    }
    return 0;
}

void mf_stage_advance(struct mf_stage *stage, size_t n)
{
    stage->n_done += n;
    stage->n_written += n;
}

struct mf_job *mf_stage_pop(struct mf_stage *stage)
{
    struct mf_job *job;

    if (mf_list_is_empty(&stage->staged))
        return NULL;
    job = mf_container_of(stage->staged.next, struct mf_job, node);
    if (job->end > stage->n_written)
        return NULL;
    mf_list_remove(&job->node);
    return job;
}

bool mf_stage_is_empty(const struct mf_stage *stage)
{
    return mf_list_is_empty(&stage->queue) && mf_list_is_empty(&stage->staged);
}

uint64_t mf_stage_size(const struct mf_stage *stage)
{
    return stage->n_queued + (stage->n_raw - stage->n_raw_done) + (stage->n_block - stage->n_done);
}
