/*
 * From queued groups to a block of bytes to write: reads what is in a store,
 * and puts tags before lines, in memory of a fixed size.
 */
#ifndef MF_REPORT_STAGE_H
#define MF_REPORT_STAGE_H

#include "base/list.h"
#include "report/order.h"
#include "report/printer.h"

#define MF_STAGE_BLOCK ((size_t)65536)

/**
 * A group in the queue, in one heap block with its tag and its memory.
 *
 * @order      its place while it waits for its turn
 * @node       in the queue, then in the list of those staged
 * @tag_size   characters of group.tag
 * @end        count of bytes written at which it is out, once it is staged
 */
struct mf_job {
    struct mf_order_item order;
    struct mf_list node;
    struct mf_group group;
    size_t tag_size;
    uint64_t end;
};

/** Copies a group into a job, freed with free(). Returns 0 or -ENOMEM. */
int mf_job_create(const struct mf_group *group, struct mf_job **ret_job);

/**
 * @queue     jobs to stage, in order; the first may be staged in part
 * @staged    jobs all of whose bytes are in block or written
 * @block     n_block bytes for one stream, of which n_done are written
 * @stream    what the block is for
 * @n_written bytes taken out of blocks in all
 * @n_queued  bytes that were not read yet
 *
 * The cursor, on the first job of the queue:
 * @at        its stream
 * @n_read    bytes read of that stream
 * @raw       n_raw bytes read that await their tags, of which n_raw_done are staged
 * @is_line_start, @n_tag   how much of the tag of the current line is staged
 */
struct mf_stage {
    struct mf_list queue;
    struct mf_list staged;
    uint8_t *block;
    size_t n_block, n_done;
    int stream;
    uint64_t n_written;
    uint64_t n_queued;

    int at;
    uint64_t n_read;
    uint8_t *raw;
    size_t n_raw, n_raw_done;
    bool is_line_start;
    size_t n_tag;
};

/** Returns 0 or -ENOMEM. */
int mf_stage_init(struct mf_stage *stage);

/** Frees the jobs too. */
void mf_stage_finish(struct mf_stage *stage);

/** Queues a job, now the stage's. */
void mf_stage_push(struct mf_stage *stage, struct mf_job *job);

/**
 * mf_stage_fill() - fill the block again once it is all written.
 *
 * The bytes are of one stream and of as many groups as fit. Returns 0, also
 * when there was nothing to fill it with, or -errno of reading a store: -EIO
 * when bytes are missing there.
 */
int mf_stage_fill(struct mf_stage *stage);

/** Says that n more bytes of the block are written. */
void mf_stage_advance(struct mf_stage *stage, size_t n);

/** Takes out the next job that is all written, the caller's to free; NULL when there is none. */
struct mf_job *mf_stage_pop(struct mf_stage *stage);

/** Whether no job is in it; one of no bytes, or whose bytes are all written, may be. */
bool mf_stage_is_empty(const struct mf_stage *stage);

/** Bytes that are in the stage. */
uint64_t mf_stage_size(const struct mf_stage *stage);

#endif
