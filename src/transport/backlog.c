/*
 * Queues behind large frames: see backlog.h.
 *
 * Frames get here only while a large one is under way, so each has memory of
 * its own, which is spare after use if it is large, else freed.
 */
#include "transport/backlog.h"

#include <errno.h>
#include <stdlib.h>

/* One that is_awaited is being filled by somebody else. */
struct mf_backlog_frame {
    struct mf_list node;
    uint32_t peer;
    bool is_awaited;
    struct mf_buffer frame;
};

static struct mf_backlog_frame *frame_of(struct mf_list *node)
{
    return mf_container_of(node, struct mf_backlog_frame, node);
}

static struct mf_backlog_frame *first_of(const struct mf_backlog_queue *queue)
{
    return frame_of(queue->frames.next);
}

static void free_frame(struct mf_backlog *backlog, struct mf_backlog_frame *frame)
{
    mf_spares_put(backlog->spares, &frame->frame);
    free(frame);
}

int mf_backlog_init(struct mf_backlog *backlog, uint32_t n_peers, struct mf_spares *spares)
{
    *backlog = (struct mf_backlog){.n_peers = n_peers, .spares = spares};
    mf_list_init(&backlog->waiting);
    mf_list_init(&backlog->ready);
    backlog->queues = calloc(n_peers, sizeof(*backlog->queues));
    if (!backlog->queues)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_peers; i++) {
        mf_list_init(&backlog->queues[i].node);
        mf_list_init(&backlog->queues[i].frames);
    }
    return 0;
}

void mf_backlog_finish(struct mf_backlog *backlog)
{
    struct mf_list *node;

    mf_backlog_release(backlog);
    for (uint32_t i = 0; backlog->queues && i < backlog->n_peers; i++)
        while ((node = mf_list_pop_front(&backlog->queues[i].frames)))
            free_frame(backlog, frame_of(node));
    free(backlog->queues);
    *backlog = (struct mf_backlog){0};
}

/* Which list a queue is in follows from the frame that it begins with. */
static void file_queue(struct mf_backlog *backlog, struct mf_backlog_queue *queue)
{
    mf_list_remove(&queue->node);
    if (!mf_list_is_empty(&queue->frames))
        mf_list_push_back(first_of(queue)->is_awaited ? &backlog->waiting : &backlog->ready,
                          &queue->node);
}

static struct mf_backlog_frame *pop_first(struct mf_backlog *backlog,
                                          struct mf_backlog_queue *queue)
{
    struct mf_backlog_frame *frame = frame_of(mf_list_pop_front(&queue->frames));

    file_queue(backlog, queue);
    return frame;
}

static struct mf_backlog_frame *add(struct mf_backlog *backlog, uint32_t peer, bool is_awaited)
{
    struct mf_backlog_queue *queue = &backlog->queues[peer];
    struct mf_backlog_frame *frame = calloc(1, sizeof(*frame));

    if (!frame)
        return NULL;
    frame->peer = peer;
    frame->is_awaited = is_awaited;
    mf_list_push_back(&queue->frames, &frame->node);
    file_queue(backlog, queue);
    return frame;
}

int mf_backlog_put(struct mf_backlog *backlog, uint32_t peer, const void *bytes, size_t size)
{
    struct mf_buffer copy = {0};
    struct mf_backlog_frame *frame = NULL;

    mf_buffer_append(&copy, bytes, size);
    if (mf_buffer_status(&copy) == 0)
        frame = add(backlog, peer, false);
    if (!frame) {
        mf_buffer_finish(&copy);
        return -ENOMEM;
    }
    frame->frame = copy;
    return 0;
}

int mf_backlog_await(struct mf_backlog *backlog, uint32_t peer)
{
    struct mf_backlog_frame *frame = add(backlog, peer, true);

    if (!frame)
        return -ENOMEM;
    frame->frame = mf_spares_take(backlog->spares);
    return 0;
}

int mf_backlog_move(struct mf_backlog *backlog, mf_backlog_move_fn *move, void *arg)
{
    mf_list_for_each_safe (node, &backlog->waiting) {
        struct mf_backlog_queue *queue = mf_container_of(node, struct mf_backlog_queue, node);
        struct mf_backlog_frame *frame = first_of(queue);
        int r = move(arg, frame->peer, &frame->frame);

        if (r < 0) {
            free_frame(backlog, pop_first(backlog, queue));
            return r;
        }
        if (r > 0) {
            frame->is_awaited = false;
            file_queue(backlog, queue);
        }
    }
    return 0;
}

int mf_backlog_take(struct mf_backlog *backlog, uint32_t *ret_peer,
                    const struct mf_buffer **ret_frame)
{
    if (mf_list_is_empty(&backlog->ready))
        return 0;
    mf_backlog_release(backlog);
    backlog->lent =
        pop_first(backlog, mf_container_of(backlog->ready.next, struct mf_backlog_queue, node));
    *ret_peer = backlog->lent->peer;
    *ret_frame = &backlog->lent->frame;
    return 1;
}

void mf_backlog_release(struct mf_backlog *backlog)
{
    if (!backlog->lent)
        return;
    free_frame(backlog, backlog->lent);
    backlog->lent = NULL;
}
