/*
 * Outputs that other tasks take: which are wanted, where they are, and giving
 * them to workers. An output is kept in a store of its own from the end of its
 * task until every task that takes it is DONE, so that --resume-failed finds it
 * too. Runs in rank 0's only thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * Bytes under way to all workers, above which none are read, and those to one
 * worker, above which it has to wait. More to one of them does not count, so
 * that those who take nothing leave room for the others.
 */
#define UNSENT_MAX_BYTES ((uint64_t)32 << 20)
#define PEER_UNSENT_MAX_BYTES ((uint64_t)1 << 20)

/* Bytes read in one turn: a turn stays short. */
#define BYTES_PER_TURN ((uint64_t)4 << 20)

/**
 * The output of a task that others take.
 *
 * @has_region   its task is DONE, and region and row in the journal are known
 * @is_printed   it need not be printed any more
 * @n_undone     tasks that take it and are not DONE
 * @n_unended    of these, those that have not ended in any way
 * @ranks        n_ranks workers that were told of it, in ascending order
 */
struct mf_wanted {
    bool has_region;
    bool is_printed;
    struct mf_region region;
    uint64_t row;
    uint32_t n_undone;
    uint32_t n_unended;
    uint32_t *ranks;
    uint32_t n_ranks, capacity;
};

/* A worker asks for a piece. */
struct fetch {
    struct mf_list node;
    struct mf_peer *peer;
    mf_task_id task;
    uint64_t offset;
    uint32_t length;
};

static struct mf_wanted *find_wanted(const struct mf_scheduler *scheduler, mf_task_id task)
{
    return scheduler->wanted ? mf_table_find(scheduler->wanted, &task) : NULL;
}

bool mf_feeds_is_wanted(const struct mf_scheduler *scheduler, mf_task_id task)
{
    return find_wanted(scheduler, task) != NULL;
}

/* --- what is wanted --- */

static bool is_first_place(const struct mf_entry *entry, uint32_t i)
{
    for (uint32_t k = 0; k < i; k++)
        if (entry->outs[k] == entry->outs[i])
            return false;
    return true;
}

/* Counts a task that is to be run, or has FAILED for now, among those that take outputs. */
static int count_taker(struct mf_scheduler *scheduler, const struct mf_entry *entry, bool has_ended)
{
    for (uint32_t i = 0; i < entry->n_outs; i++) {
        struct mf_wanted *wanted;
        void *place;
        int r;

        if (!is_first_place(entry, i))
            continue;
        r = mf_table_insert(scheduler->wanted, &entry->outs[i], &place);
        if (r < 0)
            return r;
        wanted = place;
        if (r == 0)
            *wanted = (struct mf_wanted){0};
        wanted->n_undone++;
        wanted->n_unended += !has_ended;
    }
    return 0;
}

/*
 * What resuming needs to know of each task.
 *
 * @tasks    n of them, from task number 1; is_counted once counted as a taker
 * @again    numbers of tasks that are to be run again for their output
 */
struct plan {
    struct planned {
        uint64_t cookie;
        enum mf_task_state state;
        bool is_taker;
        bool is_counted;
    } * tasks;
    uint64_t n, capacity;
    struct mf_buffer again;
};

static int note_task(struct mf_scheduler *scheduler, struct plan *plan,
                     const struct mf_entry *entry)
{
    if (plan->n == plan->capacity) {
        uint64_t capacity = plan->capacity ? plan->capacity * 2 : 1024;
        struct planned *tasks = reallocarray(plan->tasks, capacity, sizeof(*tasks));

        if (!tasks)
            return -ENOMEM;
        plan->tasks = tasks;
        plan->capacity = capacity;
    }
    plan->tasks[plan->n++] = (struct planned){.cookie = entry->cookie,
                                              .state = mf_earlier_state(scheduler, &entry->command),
                                              .is_taker = entry->n_outs > 0};
    return 0;
}

/* Every task once; without an earlier run there is nothing else to find out. */
static int read_all(struct mf_scheduler *scheduler, struct plan *plan, struct mf_error *err)
{
    const struct mf_entry *entry;
    int r, failure = 0;

    while (failure == 0 && (r = mf_source_next(scheduler->config.source, &entry, err)) == 0)
        failure = scheduler->earlier ? note_task(scheduler, plan, entry)
                                     : count_taker(scheduler, entry, false);
    mf_source_rewind(scheduler->config.source);
    if (failure < 0)
        return mf_error_set(err, failure, "out of memory");
    return r < 0 ? r : 0;
}

static int push_again(struct plan *plan, mf_task_id task)
{
    mf_buffer_append(&plan->again, &task, sizeof(task));
    return mf_buffer_status(&plan->again);
}

/* Finds the output of a DONE task; where that is gone the task is run again, if it may be. */
static int demand(struct mf_scheduler *scheduler, struct plan *plan, mf_task_id task,
                  bool may_rerun, struct mf_error *err)
{
    struct planned *planned = &plan->tasks[task - 1];
    struct mf_wanted *wanted = find_wanted(scheduler, task);
    const struct mf_entry *entry;
    struct mf_earlier_output *output;
    void *place;
    int r;

    if (planned->state != MF_TASK_DONE || wanted->has_region)
        return 0;
    r = mf_source_load(scheduler->config.source, planned->cookie, &entry, err);
    if (r < 0)
        return r;
    output = mf_earlier_find_output(scheduler, &entry->command);
    if (output && !output->is_gone) {
        output->is_wanted = wanted->has_region = true;
        wanted->is_printed = output->is_printed;
        wanted->region = output->region;
        wanted->row = output->row;
        return 0;
    }
    if (!may_rerun)
        return 0;
    planned->state = MF_TASK_WAITING;
    r = mf_table_insert(scheduler->reruns, &task, &place);
    if (r >= 0)
        r = push_again(plan, task);
    return r < 0 ? mf_error_set(err, r, "out of memory") : 0;
}

/* Looks at what a task takes that is to be run, or that FAILED: it may be run some other time. */
static int look_at_taker(struct mf_scheduler *scheduler, struct plan *plan, mf_task_id task,
                         struct mf_error *err)
{
    struct planned *planned = &plan->tasks[task - 1];
    bool has_ended = planned->state == MF_TASK_FAILED;
    const struct mf_entry *entry;
    mf_task_id *outs;
    uint32_t n_outs;
    int r;

    if (planned->is_counted)
        return 0;
    r = mf_source_load(scheduler->config.source, planned->cookie, &entry, err);
    if (r < 0 || entry->n_outs == 0)
        return r;
    planned->is_counted = true;
    if (count_taker(scheduler, entry, has_ended) < 0)
        return mf_error_set(err, -ENOMEM, "out of memory");
    n_outs = entry->n_outs;
    outs = calloc(n_outs, sizeof(*outs));
    if (!outs)
        return mf_error_set(err, -ENOMEM, "out of memory");
    memcpy(outs, entry->outs, n_outs * sizeof(*outs));
    for (uint32_t i = 0; i < n_outs && r == 0; i++)
        r = demand(scheduler, plan, outs[i], !has_ended, err);
    free(outs);
    return r;
}

static int plan_resume(struct mf_scheduler *scheduler, struct plan *plan, struct mf_error *err)
{
    mf_task_id task;
    int r = 0;

    for (task = 1; task <= plan->n && r == 0; task++)
        if (plan->tasks[task - 1].is_taker && plan->tasks[task - 1].state != MF_TASK_DONE)
            r = look_at_taker(scheduler, plan, task, err);
    while (r == 0 && plan->again.size > 0) {
        plan->again.size -= sizeof(task);
        memcpy(&task, plan->again.data + plan->again.size, sizeof(task));
        r = look_at_taker(scheduler, plan, task, err);
    }
    return r;
}

/* An output that nobody takes any more: the journal must not name a region that is used again. */
static void give_up_output(struct mf_scheduler *scheduler, uint64_t row,
                           const struct mf_region *region, bool is_gone)
{
    struct mf_error err;

    if (region->store != MF_STORE_FEED)
        return;
    if (mf_journal_forget_output(scheduler->journal, row, &err) < 0)
        mf_scheduler_fail(scheduler, &err);
    if (!is_gone)
        mf_store_release(scheduler->feed, region->file, mf_region_total(region->size));
}

static void give_up_earlier(struct mf_scheduler *scheduler)
{
    for (uint32_t i = 0; i < scheduler->n_unprinted; i++) {
        const struct mf_earlier_output *output = &scheduler->unprinted[i];

        if (!output->is_wanted && (output->is_printed || output->is_gone))
            give_up_output(scheduler, output->row, &output->region, output->is_gone);
    }
}

int mf_feeds_plan(struct mf_scheduler *scheduler, struct mf_error *err)
{
    struct mf_source_summary summary;
    struct plan plan = {0};
    int r;

    mf_source_summarize(scheduler->config.source, &summary);
    if (summary.has_outs) {
        r = mf_table_create(sizeof(mf_task_id), sizeof(struct mf_wanted), &scheduler->wanted);
        if (r == 0)
            r = mf_table_create(sizeof(mf_task_id), sizeof(bool), &scheduler->reruns);
        if (r < 0)
            return mf_error_set(err, r, "out of memory");
        r = read_all(scheduler, &plan, err);
        if (r == 0 && scheduler->earlier)
            r = plan_resume(scheduler, &plan, err);
        free(plan.tasks);
        mf_buffer_finish(&plan.again);
        if (r < 0)
            return r;
    }
    give_up_earlier(scheduler);
    return 0;
}

bool mf_feeds_must_rerun(const struct mf_scheduler *scheduler, mf_task_id task)
{
    return scheduler->reruns && mf_table_find(scheduler->reruns, &task);
}

void mf_feeds_finish(struct mf_scheduler *scheduler)
{
    struct mf_list *node;
    size_t cursor = 0;
    void *place;

    while ((node = mf_list_pop_front(&scheduler->fetches)))
        free(mf_container_of(node, struct fetch, node));
    while (scheduler->wanted && mf_table_next(scheduler->wanted, &cursor, NULL, &place))
        free(((struct mf_wanted *)place)->ranks);
    mf_table_destroy(scheduler->wanted);
    mf_table_destroy(scheduler->reruns);
}

/* --- from the end of its task to the end of those that take it --- */

static void release_if_unneeded(struct mf_scheduler *scheduler, struct mf_wanted *wanted)
{
    if (!wanted->has_region || !wanted->is_printed || wanted->n_undone > 0)
        return;
    give_up_output(scheduler, wanted->row, &wanted->region, false);
    wanted->has_region = false;
}

void mf_feeds_note_done(struct mf_scheduler *scheduler, mf_task_id task, uint64_t row,
                        const struct mf_region *region, bool is_printed)
{
    struct mf_wanted *wanted = find_wanted(scheduler, task);

    if (!wanted)
        return;
    wanted->has_region = true;
    wanted->is_printed = is_printed;
    wanted->row = row;
    wanted->region = *region;
}

void mf_feeds_note_printed(struct mf_scheduler *scheduler, mf_task_id task, uint64_t row,
                           const struct mf_region *region)
{
    struct mf_wanted *wanted = find_wanted(scheduler, task);

    if (!wanted || wanted->row != row) {
        give_up_output(scheduler, row, region, false);
        return;
    }
    wanted->is_printed = true;
    release_if_unneeded(scheduler, wanted);
}

static void tell_workers(struct mf_scheduler *scheduler, mf_task_id task, struct mf_wanted *wanted)
{
    struct mf_message unfeed = {.kind = MF_MESSAGE_UNFEED, .task = task};

    for (uint32_t i = 0; i < wanted->n_ranks; i++) {
        struct mf_peer *peer = &scheduler->peers[wanted->ranks[i]];

        if (peer->state == MF_PEER_UP)
            mf_peer_post(peer, &unfeed);
    }
    free(wanted->ranks);
    wanted->ranks = NULL;
    wanted->n_ranks = wanted->capacity = 0;
}

void mf_feeds_note_taker_ended(struct mf_scheduler *scheduler, const struct mf_live *live,
                               enum mf_task_state state)
{
    struct mf_entry entry = {.outs = live->outs, .n_outs = live->n_outs};

    for (uint32_t i = 0; i < live->n_outs; i++) {
        struct mf_wanted *wanted = find_wanted(scheduler, live->outs[i]);

        if (!wanted || !is_first_place(&entry, i))
            continue;
        if (--wanted->n_unended == 0)
            tell_workers(scheduler, live->outs[i], wanted);
        if (state == MF_TASK_DONE)
            wanted->n_undone--;
        release_if_unneeded(scheduler, wanted);
    }
}

/* --- to the workers --- */

/* Where the rank is among those that were told, or belongs: they are in ascending order. */
static uint32_t find_rank(const struct mf_wanted *wanted, uint32_t rank)
{
    uint32_t first = 0, end = wanted->n_ranks;

    while (first < end) {
        uint32_t middle = first + (end - first) / 2;

        if (wanted->ranks[middle] < rank)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static int note_rank(struct mf_wanted *wanted, uint32_t rank)
{
    uint32_t i = find_rank(wanted, rank);

    if (i < wanted->n_ranks && wanted->ranks[i] == rank)
        return 0;
    if (wanted->n_ranks == wanted->capacity) {
        uint32_t capacity = wanted->capacity ? 2 * wanted->capacity : 4;
        uint32_t *ranks = reallocarray(wanted->ranks, capacity, sizeof(*ranks));

        if (!ranks)
            return -ENOMEM;
        wanted->ranks = ranks;
        wanted->capacity = capacity;
    }
    memmove(&wanted->ranks[i + 1], &wanted->ranks[i],
            (wanted->n_ranks - i) * sizeof(*wanted->ranks));
    wanted->ranks[i] = rank;
    wanted->n_ranks++;
    return 0;
}

int mf_feeds_encode(struct mf_scheduler *scheduler, const struct mf_live *live, uint32_t rank,
                    struct mf_buffer *buffer)
{
    for (uint32_t i = 0; i < live->n_outs; i++) {
        struct mf_wanted *wanted = find_wanted(scheduler, live->outs[i]);

        if (!wanted || !wanted->has_region)
            return -ENODATA;
        if (note_rank(wanted, rank) < 0)
            return -ENOMEM;
        mf_buffer_put_u64(buffer, live->outs[i]);
        mf_buffer_put_u64(buffer, wanted->region.size[MF_STDOUT]);
    }
    return mf_buffer_status(buffer);
}

int mf_feeds_on_fetch(struct mf_scheduler *scheduler, struct mf_peer *peer,
                      const struct mf_message *message)
{
    struct fetch *fetch;

    if (message->length > MF_DATA_MAX_BYTES || message->length == 0)
        return -EPROTO;
    fetch = malloc(sizeof(*fetch));
    if (!fetch)
        return -ENOMEM;
    *fetch = (struct fetch){
        .peer = peer, .task = message->task, .offset = message->offset, .length = message->length};
    mf_list_init(&fetch->node);
    mf_list_push_back(&scheduler->fetches, &fetch->node);
    return 0;
}

/* Reads a piece; returns how many bytes, or -errno. */
static ssize_t read_piece(const struct mf_scheduler *scheduler, const struct fetch *fetch,
                          uint8_t *bytes)
{
    const struct mf_wanted *wanted = find_wanted(scheduler, fetch->task);
    const struct mf_region *region = wanted ? &wanted->region : NULL;
    uint64_t size = region ? region->size[MF_STDOUT] : 0;
    ssize_t n;

    if (!region || !wanted->has_region || fetch->offset > size ||
        fetch->length > size - fetch->offset)
        return -ENODATA;
    n = mf_store_read(mf_region_store(scheduler, region->store), region->file,
                      region->offset + fetch->offset, bytes, fetch->length);
    return n >= 0 && (size_t)n < fetch->length ? -EIO : n;
}

static void answer(struct mf_scheduler *scheduler, const struct fetch *fetch, uint8_t *bytes)
{
    ssize_t n = read_piece(scheduler, fetch, bytes);
    struct mf_message feed = {.kind = MF_MESSAGE_FEED,
                              .task = fetch->task,
                              .stream = MF_STDOUT,
                              .offset = fetch->offset,
                              .error = n < 0 ? (int32_t)-n : 0,
                              .payload = bytes,
                              .payload_size = n < 0 ? 0 : (size_t)n};

    mf_peer_post(fetch->peer, &feed);
}

/* What was posted in this turn is not sent yet, but counts as well. */
static uint64_t unsent_of(const struct mf_peer *peer)
{
    return peer->frame.size + mf_transport_unsent(peer->transport, peer->address);
}

static uint64_t count_unsent(const struct mf_scheduler *scheduler)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        uint64_t unsent =
            scheduler->peers[i].state == MF_PEER_UP ? unsent_of(&scheduler->peers[i]) : 0;

        n += unsent < PEER_UNSENT_MAX_BYTES ? unsent : PEER_UNSENT_MAX_BYTES;
    }
    return n;
}

/* Answers a worker that has room, and forgets one that is lost. Returns whether it was either. */
static bool serve(struct mf_scheduler *scheduler, struct fetch *fetch, uint8_t *bytes)
{
    if (fetch->peer->state == MF_PEER_UP) {
        if (unsent_of(fetch->peer) >= PEER_UNSENT_MAX_BYTES)
            return false;
        answer(scheduler, fetch, bytes);
    }
    mf_list_remove(&fetch->node);
    free(fetch);
    return true;
}

bool mf_feeds_turn(struct mf_scheduler *scheduler)
{
    uint64_t n_bytes = 0;
    bool was_any = false;
    uint8_t *bytes;

    if (mf_list_is_empty(&scheduler->fetches) || count_unsent(scheduler) >= UNSENT_MAX_BYTES)
        return false;
    bytes = malloc(MF_DATA_MAX_BYTES);
    if (!bytes) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot give output to a worker");
        return false;
    }
    mf_list_for_each_safe (node, &scheduler->fetches) {
        struct fetch *fetch = mf_container_of(node, struct fetch, node);
        uint32_t length = fetch->length;

        if (!serve(scheduler, fetch, bytes))
            continue;
        was_any = true;
        n_bytes += length;
        if (n_bytes >= BYTES_PER_TURN)
            break;
    }
    free(bytes);
    return was_any;
}
