/*
 * Feeds: files on this node with what tasks wrote to standard output, for the
 * commands of later ones. A feed is fetched from the scheduler when the first
 * attempt that needs it arrives, and stays for others until the scheduler says
 * that none will come. Attempts wait outside of the queue until theirs are
 * complete. Runs in the rank's only thread.
 */
#include "runtime/worker_private.h"

#include "base/command.h"
#include "base/io.h"
#include "base/outs.h"
#include "base/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes asked for ahead of each feed: enough to keep them coming. */
#define FETCH_AHEAD_BYTES (4 * (uint64_t)MF_DATA_MAX_BYTES)

/**
 * The output of a task on this node.
 *
 * @fd       open for writing until it is complete
 * @asked, @received   bytes of `size`
 * @n_users  places in commands of attempts that have not ended
 * @error    why it cannot be used, 0 or -errno; then whatever attempt takes it is refused
 * @is_unwanted  no new attempt will come
 */
struct mf_feed {
    mf_task_id task;
    uint64_t size;
    uint64_t asked;
    uint64_t received;
    int fd;
    uint32_t n_users;
    int error;
    bool is_unwanted;
};

static bool is_complete(const struct mf_feed *feed)
{
    return feed->fd < 0;
}

static void name_file(const struct mf_feed *feed, char *name, size_t size)
{
    snprintf(name, size, "out.%" PRIu64, feed->task);
}

static struct mf_feed *find_feed(const struct mf_worker_rank *worker, mf_task_id task)
{
    struct mf_feed **found = worker->feeds ? mf_table_find(worker->feeds, &task) : NULL;

    return found ? *found : NULL;
}

static void remove_feed(struct mf_worker_rank *worker, struct mf_feed *feed)
{
    char path[MF_SCRATCH_BYTES + 32], name[32];

    name_file(feed, name, sizeof(name));
    snprintf(path, sizeof(path), "%s/%s", worker->scratch, name);
    (void)unlink(path);
    mf_close(&feed->fd);
    mf_table_remove(worker->feeds, &feed->task);
    free(feed);
}

/* --- fetching --- */

static void fetch_more(struct mf_worker_rank *worker, struct mf_feed *feed)
{
    while (feed->asked < feed->size && feed->asked - feed->received < FETCH_AHEAD_BYTES) {
        uint64_t left = feed->size - feed->asked;
        struct mf_message fetch = {
            .kind = MF_MESSAGE_FETCH,
            .task = feed->task,
            .stream = MF_STDOUT,
            .offset = feed->asked,
            .length = (uint32_t)(left < MF_DATA_MAX_BYTES ? left : MF_DATA_MAX_BYTES),
        };

        feed->asked += fetch.length;
        mf_worker_rank_post(worker, &fetch);
    }
    if (feed->received == feed->size)
        mf_close(&feed->fd);
}

/* Begins a feed, whose file may fail: then it is there with its error. */
static int begin_feed(struct mf_worker_rank *worker, mf_task_id task, uint64_t size,
                      struct mf_feed **ret_feed)
{
    struct mf_feed *feed = calloc(1, sizeof(*feed));
    char name[32];
    void *place;
    int r = worker->feeds ? 0 : mf_table_create(sizeof(task), sizeof(feed), &worker->feeds);

    if (r == 0)
        r = feed ? mf_table_insert(worker->feeds, &task, &place) : -ENOMEM;
    if (r < 0) {
        free(feed);
        return r;
    }
    *(struct mf_feed **)place = feed;
    *feed = (struct mf_feed){.task = task, .size = size};
    name_file(feed, name, sizeof(name));
    feed->fd = mf_scratch_file(worker->scratch, name);
    if (feed->fd < 0)
        feed->error = feed->fd;
    else
        fetch_more(worker, feed);
    *ret_feed = feed;
    return 0;
}

/* --- attempts that wait --- */

/* Puts the paths into the command, which then is one like others. */
static int fill_command(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    struct mf_buffer filled = {0}, texts = {0};
    const char **paths = calloc(attempt->n_feeds, sizeof(*paths));
    struct mf_command *command = NULL;
    size_t path_size = strlen(worker->scratch) + 32;
    int r = paths ? mf_command_decode(attempt->command, attempt->command_size, &command) : -ENOMEM;

    if (r == 0 && (!command->has_outs || mf_outs_count(command) != attempt->n_feeds))
        r = -EBADMSG;
    if (r == 0)
        r = mf_buffer_reserve(&texts, path_size * attempt->n_feeds);
    for (uint32_t i = 0; i < attempt->n_feeds && r == 0; i++) {
        char name[32];

        name_file(attempt->feeds[i], name, sizeof(name));
        paths[i] = (char *)texts.data + texts.size;
        mf_buffer_print(&texts, "%s/%s", worker->scratch, name);
        mf_buffer_put_u8(&texts, '\0');
    }
    if (r == 0) {
        mf_outs_fill(command, paths, &filled);
        r = mf_buffer_status(&filled);
    }
    if (r == 0) {
        free(attempt->command);
        attempt->command = filled.data;
        attempt->command_size = filled.size;
        filled = (struct mf_buffer){0};
    }
    mf_buffer_finish(&filled);
    mf_buffer_finish(&texts);
    free(command);
    free(paths);
    return r;
}

/* The first feed of an attempt that has failed, or NULL; *ret_waits tells whether any is awaited.
 */
static const struct mf_feed *look_at_feeds(const struct mf_worker_attempt *attempt, bool *ret_waits)
{
    *ret_waits = false;
    for (uint32_t i = 0; i < attempt->n_feeds; i++) {
        if (attempt->feeds[i]->error < 0)
            return attempt->feeds[i];
        *ret_waits |= !is_complete(attempt->feeds[i]);
    }
    return NULL;
}

/* Queues an attempt whose feeds are complete; ends one that will never get them. */
static void settle(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    bool has_to_wait;
    const struct mf_feed *failed = look_at_feeds(attempt, &has_to_wait);
    char detail[128];
    int r;

    if (failed) {
        snprintf(detail, sizeof(detail), "the output of task number %" PRIu64 " in %s: %s",
                 failed->task, worker->scratch, strerror(-failed->error));
        mf_worker_rank_refuse(worker, attempt, detail);
        return;
    }
    if (has_to_wait)
        return;
    r = fill_command(worker, attempt);
    if (r < 0) {
        mf_worker_rank_refuse(worker, attempt, strerror(-r));
        return;
    }
    mf_list_remove(&attempt->node);
    attempt->state = MF_ATTEMPT_QUEUED;
    mf_list_push_back(&worker->queue, &attempt->node);
}

static void settle_waiting(struct mf_worker_rank *worker)
{
    mf_list_for_each_safe (node, &worker->fetching)
        settle(worker, mf_container_of(node, struct mf_worker_attempt, node));
}

static int take_feeds(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                      const struct mf_message *run)
{
    struct mf_reader reader = mf_reader_over(run->feeds, run->feeds_size);
    uint32_t n_feeds = (uint32_t)(run->feeds_size / MF_FEED_BYTES);

    attempt->feeds = calloc(n_feeds, sizeof(struct mf_feed *));
    if (!attempt->feeds)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_feeds; i++) {
        mf_task_id task = mf_reader_get_u64(&reader);
        uint64_t size = mf_reader_get_u64(&reader);
        struct mf_feed *feed = find_feed(worker, task);
        int r = feed ? 0 : begin_feed(worker, task, size, &feed);

        if (r < 0)
            return r;
        feed->n_users++;
        feed->is_unwanted = false;
        attempt->feeds[attempt->n_feeds++] = feed;
    }
    return 0;
}

int mf_worker_feeds_await(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt,
                          const struct mf_message *run)
{
    int r;

    if (run->feeds_size % MF_FEED_BYTES != 0)
        return -EPROTO;
    r = take_feeds(worker, attempt, run);
    if (r < 0)
        return r;
    attempt->state = MF_ATTEMPT_FETCHING;
    mf_list_push_back(&worker->fetching, &attempt->node);
    settle(worker, attempt);
    return 0;
}

void mf_worker_feeds_give_back(struct mf_worker_rank *worker, struct mf_worker_attempt *attempt)
{
    for (uint32_t i = 0; i < attempt->n_feeds; i++) {
        struct mf_feed *feed = attempt->feeds[i];

        if (--feed->n_users == 0 && (feed->is_unwanted || feed->error < 0))
            remove_feed(worker, feed);
    }
    attempt->n_feeds = 0;
}

/* --- what the scheduler says --- */

void mf_worker_feeds_on_piece(struct mf_worker_rank *worker, const struct mf_message *piece)
{
    struct mf_feed *feed = find_feed(worker, piece->task);

    /* Of a feed that was given up in the meantime, or begun anew. */
    if (!feed || is_complete(feed) || feed->error < 0 || piece->offset != feed->received)
        return;
    if (piece->error != 0)
        feed->error = -piece->error;
    else if (piece->payload_size == 0 || piece->payload_size > feed->asked - feed->received)
        feed->error = -EIO;
    else
        feed->error = mf_pwrite_all(feed->fd, piece->payload, piece->payload_size, piece->offset);
    feed->received += piece->payload_size;
    if (feed->error == 0)
        fetch_more(worker, feed);
    if (feed->error < 0 || is_complete(feed))
        settle_waiting(worker);
}

void mf_worker_feeds_on_unfeed(struct mf_worker_rank *worker, const struct mf_message *unfeed)
{
    struct mf_feed *feed = find_feed(worker, unfeed->task);

    if (feed && feed->n_users == 0)
        remove_feed(worker, feed);
    else if (feed)
        feed->is_unwanted = true;
}

/* One that no attempt takes, or NULL. */
static struct mf_feed *find_unused(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    while (worker->feeds && mf_table_next(worker->feeds, &cursor, NULL, &place)) {
        struct mf_feed *feed = *(struct mf_feed **)place;

        if (feed->n_users == 0)
            return feed;
        feed->is_unwanted = true;
    }
    return NULL;
}

void mf_worker_feeds_forget(struct mf_worker_rank *worker)
{
    struct mf_feed *feed;

    while ((feed = find_unused(worker)))
        remove_feed(worker, feed);
}

/* --- life --- */

void mf_worker_feeds_finish(struct mf_worker_rank *worker)
{
    size_t cursor = 0;
    void *place;

    if (!worker->feeds)
        return;
    while (mf_table_next(worker->feeds, &cursor, NULL, &place)) {
        struct mf_feed *feed = *(struct mf_feed **)place;

        mf_close(&feed->fd);
        free(feed);
    }
    mf_table_destroy(worker->feeds);
    worker->feeds = NULL;
    mf_scratch_remove(worker->scratch);
}
