/*
 * Frames and descriptors over a stream socket.
 *
 * The kernel ends a receive at the bytes that came with descriptors, and hands
 * over at most one such set at a time. So each set is sent in a message of its
 * own that begins with its frame, and sets arrive in the order of their frames.
 *
 * Owned by one rank or one launcher, and used by its only thread.
 */
#include "exec/channel.h"

#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room offered to each receive. */
#define RECEIVE_BYTES ((size_t)64 << 10)

#define LENGTH_BYTES sizeof(uint32_t)

static int queue_push(struct mf_passed_queue *queue, const struct mf_passed_fds *item)
{
    if (queue->first > 0 && queue->first + queue->n == queue->capacity) {
        memmove(queue->items, queue->items + queue->first, queue->n * sizeof(*queue->items));
        queue->first = 0;
    }
    if (queue->n == queue->capacity) {
        size_t capacity = queue->capacity ? 2 * queue->capacity : 16;
        struct mf_passed_fds *items = realloc(queue->items, capacity * sizeof(*items));

        if (!items)
            return -ENOMEM;
        queue->items = items;
        queue->capacity = capacity;
    }
    queue->items[queue->first + queue->n++] = *item;
    return 0;
}

static struct mf_passed_fds *queue_front(struct mf_passed_queue *queue)
{
    return queue->n > 0 ? &queue->items[queue->first] : NULL;
}

static void queue_pop(struct mf_passed_queue *queue)
{
    queue->first++;
    if (--queue->n == 0)
        queue->first = 0;
}

static void close_set(struct mf_passed_fds *set)
{
    for (uint32_t i = 0; i < set->n_fds; i++)
        mf_close(&set->fds[i]);
    set->n_fds = 0;
}

static void queue_finish(struct mf_passed_queue *queue)
{
    for (struct mf_passed_fds *set; (set = queue_front(queue)); queue_pop(queue))
        close_set(set);
    free(queue->items);
    *queue = (struct mf_passed_queue){0};
}

void mf_channel_init(struct mf_channel *channel, int fd)
{
    *channel = (struct mf_channel){.fd = fd};
}

void mf_channel_finish(struct mf_channel *channel)
{
    mf_close(&channel->fd);
    queue_finish(&channel->arrived);
    queue_finish(&channel->departing);
    mf_buffer_finish(&channel->in);
    mf_buffer_finish(&channel->out);
}

struct mf_buffer *mf_channel_begin(struct mf_channel *channel, uint8_t kind)
{
    channel->frame = channel->out.size;
    mf_buffer_put_u32(&channel->out, 0);
    mf_buffer_put_u8(&channel->out, kind);
    return &channel->out;
}

void mf_channel_end(struct mf_channel *channel)
{
    size_t size = channel->out.size - channel->frame - LENGTH_BYTES;

    if (mf_buffer_status(&channel->out) == 0)
        mf_buffer_patch_u32(&channel->out, channel->frame, (uint32_t)size);
}

int mf_channel_attach(struct mf_channel *channel, const int *fds, uint32_t n_fds)
{
    struct mf_passed_fds set = {.offset = channel->frame, .n_fds = n_fds};
    int result;

    memcpy(set.fds, fds, n_fds * sizeof(*fds));
    result = queue_push(&channel->departing, &set);
    if (result < 0)
        close_set(&set);
    return result;
}

size_t mf_channel_backlog(const struct mf_channel *channel)
{
    return channel->out.size - channel->out_done;
}

/* Forgets what was sent; the bytes move only when half of them are old. */
static void drop_sent(struct mf_channel *channel)
{
    size_t done = channel->out_done;

    if (done == channel->out.size)
        mf_buffer_clear(&channel->out);
    else if (done > channel->out.size / 2)
        mf_buffer_consume(&channel->out, done);
    else
        return;
    channel->out_done = 0;
    for (size_t i = 0; i < channel->departing.n; i++)
        channel->departing.items[channel->departing.first + i].offset -= done;
}

/* Which failures to send pass by themselves. */
static int explain(ssize_t error)
{
    if (error == -EAGAIN)
        return MF_CHANNEL_E_FULL;
    return error == -ETOOMANYREFS ? MF_CHANNEL_E_LATER : (int)error;
}

int mf_channel_flush(struct mf_channel *channel)
{
    int result = mf_buffer_status(&channel->out);

    while (result == 0 && channel->out_done < channel->out.size) {
        struct mf_passed_fds *next = queue_front(&channel->departing);
        bool has_fds = next && next->offset == channel->out_done;
        size_t end = channel->out.size;
        ssize_t sent;

        if (has_fds && channel->departing.n > 1)
            end = next[1].offset;
        else if (next && !has_fds)
            end = next->offset;
        sent = mf_pass(channel->fd, channel->out.data + channel->out_done, end - channel->out_done,
                       has_fds ? next->fds : NULL, has_fds ? next->n_fds : 0);
        if (sent < 0) {
            result = explain(sent);
            break;
        }
        channel->out_done += (size_t)sent;
        if (has_fds) {
            close_set(next);
            queue_pop(&channel->departing);
        }
    }
    drop_sent(channel);
    return result;
}

int mf_channel_receive(struct mf_channel *channel)
{
    struct mf_buffer *in = &channel->in;
    struct mf_passed_fds set = {0};
    bool is_cut;
    ssize_t got;
    int result;

    mf_buffer_consume(in, channel->in_done);
    channel->in_done = 0;
    result = mf_buffer_reserve(in, RECEIVE_BYTES);
    if (result < 0)
        return result;

    got = mf_take_passed(channel->fd, in->data + in->size, in->capacity - in->size, set.fds,
                         &set.n_fds, &is_cut);
    if (got < 0)
        return got == -EAGAIN ? 0 : (int)got;
    if (got == 0)
        return -EPIPE;
    in->size += (size_t)got;
    /* A set that was cut short to nothing has its place, too. */
    if (set.n_fds == 0 && !is_cut)
        return 0;
    result = queue_push(&channel->arrived, &set);
    if (result < 0)
        close_set(&set);
    return result;
}

int mf_channel_next(struct mf_channel *channel, struct mf_frame *ret_frame)
{
    struct mf_reader reader =
        mf_reader_over(channel->in.data + channel->in_done, channel->in.size - channel->in_done);
    uint32_t size;

    if (reader.left < LENGTH_BYTES)
        return 0;
    size = mf_reader_get_u32(&reader);
    if (size == 0 || size > MF_CHANNEL_MAX_FRAME)
        return -EBADMSG;
    if (reader.left < size)
        return 0;
    channel->in_done += LENGTH_BYTES + size;
    reader.left = size;
    ret_frame->kind = mf_reader_get_u8(&reader);
    ret_frame->body = reader;
    return 1;
}

uint32_t mf_channel_take_fds(struct mf_channel *channel, int ret_fds[MF_CHANNEL_MAX_FDS])
{
    struct mf_passed_fds *set = queue_front(&channel->arrived);
    uint32_t n_fds = set ? set->n_fds : 0;

    if (set) {
        memcpy(ret_fds, set->fds, sizeof(set->fds));
        queue_pop(&channel->arrived);
    }
    return n_fds;
}
