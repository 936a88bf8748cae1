/*
 * Output on its way into the stores: small output came with its attempt's end,
 * large output is pulled from the worker piece by piece. Runs in rank 0's only
 * thread.
 */
#include "runtime/scheduler_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes asked of one worker and not yet here. */
#define PULL_AHEAD_BYTES (4 * (uint64_t)MF_DATA_MAX_BYTES)

/* --- regions --- */

uint64_t mf_region_total(const uint64_t size[MF_N_STREAMS])
{
    return size[MF_STDOUT] + size[MF_STDERR];
}

struct mf_store *mf_region_store(const struct mf_scheduler *scheduler, uint32_t store)
{
    switch (store) {
    case MF_STORE_SPOOL:
        return scheduler->spool;
    case MF_STORE_FEED:
        return scheduler->feed;
    default:
        return scheduler->kept;
    }
}

int mf_region_reserve(struct mf_scheduler *scheduler, mf_task_id task,
                      const struct mf_outcome *outcome, const uint64_t size[MF_N_STREAMS],
                      struct mf_region *region, struct mf_error *err)
{
    bool is_kept = scheduler->config.output_dir || !mf_outcome_is_success(outcome);
    bool is_wanted = mf_feeds_is_wanted(scheduler, task);

    *region = (struct mf_region){.size = {size[MF_STDOUT], size[MF_STDERR]}};
    if (mf_region_total(size) == 0)
        return 0;
    region->store = is_kept ? MF_STORE_KEPT : is_wanted ? MF_STORE_FEED : MF_STORE_SPOOL;
    return mf_store_reserve(mf_region_store(scheduler, region->store), mf_region_total(size),
                            &region->file, &region->offset, err);
}

int mf_region_write(struct mf_scheduler *scheduler, const struct mf_region *region, uint64_t offset,
                    const void *data, size_t n, struct mf_error *err)
{
    if (n == 0)
        return 0;
    return mf_store_write(mf_region_store(scheduler, region->store), region->file,
                          region->offset + offset, data, n, err);
}

void mf_region_release(struct mf_scheduler *scheduler, const struct mf_region *region)
{
    if (region->store == MF_STORE_SPOOL || region->store == MF_STORE_FEED)
        mf_store_release(mf_region_store(scheduler, region->store), region->file,
                         mf_region_total(region->size));
}

/* --- large outputs --- */

void mf_transfer_begin(struct mf_scheduler *scheduler, struct mf_live *live, struct mf_peer *peer,
                       const struct mf_message *message)
{
    struct mf_transfer *transfer = calloc(1, sizeof(*transfer));
    struct mf_error err;

    if (!transfer) {
        mf_scheduler_fail_with(scheduler, -ENOMEM, "cannot fetch output");
        return;
    }
    if (mf_region_reserve(scheduler, live->task, &message->outcome, message->size,
                          &transfer->region, &err) < 0) {
        free(transfer);
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    transfer->live = live;
    transfer->peer = peer;
    transfer->attempt = message->attempt;
    transfer->outcome = message->outcome;
    live->transfer = transfer;
    mf_list_push_back(&peer->transfers, &transfer->node);
}

static void free_transfer(struct mf_transfer *transfer)
{
    transfer->live->transfer = NULL;
    mf_list_remove(&transfer->node);
    free(transfer);
}

static void end_transfer(struct mf_scheduler *scheduler, struct mf_transfer *transfer)
{
    struct mf_message release = {
        .kind = MF_MESSAGE_RELEASE, .task = transfer->live->task, .attempt = transfer->attempt};

    if (scheduler->epoch == 0)
        mf_peer_post(transfer->peer, &release);
    mf_settle_attempt_ended(scheduler, transfer->live, transfer->peer, transfer->attempt,
                            &transfer->outcome, &transfer->region);
}

/* Asks for one more piece; false when all has been asked for. */
static bool pull_piece(struct mf_scheduler *scheduler, struct mf_transfer *transfer)
{
    const uint64_t *size = transfer->region.size;
    bool is_stderr = transfer->asked >= size[MF_STDOUT];
    uint64_t end = is_stderr ? mf_region_total(size) : size[MF_STDOUT];
    uint64_t left = end - transfer->asked;
    struct mf_message pull = {
        .kind = MF_MESSAGE_PULL,
        .task = transfer->live->task,
        .attempt = transfer->attempt,
        .stream = is_stderr ? MF_STDERR : MF_STDOUT,
        .offset = transfer->asked - (is_stderr ? size[MF_STDOUT] : 0),
        .length = (uint32_t)(left < MF_DATA_MAX_BYTES ? left : MF_DATA_MAX_BYTES),
    };

    if (left == 0)
        return false;
    transfer->asked += pull.length;
    mf_peer_post(transfer->peer, &pull);
    return true;
}

void mf_transfers_pull(struct mf_scheduler *scheduler)
{
    if (mf_settle_is_backed_up(scheduler) && mf_farm_stopping(scheduler->farm) != MF_STOP_NOW)
        return;
    for (uint32_t i = 0; i < scheduler->n_peers; i++) {
        struct mf_peer *peer = &scheduler->peers[i];
        uint64_t ahead = 0;

        mf_list_for_each (node, &peer->transfers) {
            struct mf_transfer *transfer = mf_container_of(node, struct mf_transfer, node);

            ahead += transfer->asked - transfer->received;
            while (ahead < PULL_AHEAD_BYTES && pull_piece(scheduler, transfer))
                ahead += MF_DATA_MAX_BYTES;
            if (ahead >= PULL_AHEAD_BYTES)
                break;
        }
    }
}

/* The worker cannot read back what it kept: the attempt fails for that, without output. */
static void spoil(struct mf_scheduler *scheduler, struct mf_transfer *transfer,
                  const struct mf_message *data)
{
    mf_region_release(scheduler, &transfer->region);
    transfer->region = (struct mf_region){0};
    transfer->outcome.cause = MF_CAUSE_OUTPUT;
    snprintf(transfer->outcome.detail, sizeof(transfer->outcome.detail),
             "cannot read its output back: %s",
             data->error ? strerror(data->error) : "it is shorter than it was");
}

void mf_transfers_on_data(struct mf_scheduler *scheduler, struct mf_peer *peer,
                          const struct mf_message *data)
{
    struct mf_live *live = mf_live_find(scheduler, data->task);
    struct mf_transfer *transfer = live ? live->transfer : NULL;
    struct mf_error err;

    if (!transfer || transfer->attempt != data->attempt || transfer->peer != peer)
        return;
    /* Pieces come in the order in which they were asked for. */
    uint64_t in_stream =
        transfer->received - (data->stream == MF_STDERR ? transfer->region.size[MF_STDOUT] : 0);
    uint64_t left = transfer->region.size[data->stream] - in_stream;
    uint64_t expected = left < MF_DATA_MAX_BYTES ? left : MF_DATA_MAX_BYTES;
    if (data->offset != in_stream || data->payload_size != expected) {
        spoil(scheduler, transfer, data);
    } else if (mf_region_write(scheduler, &transfer->region, transfer->received, data->payload,
                               data->payload_size, &err) < 0) {
        mf_scheduler_fail(scheduler, &err);
        return;
    }
    transfer->received += expected;
    if (transfer->received < mf_region_total(transfer->region.size))
        return;
    end_transfer(scheduler, transfer);
    free_transfer(transfer);
}

void mf_transfers_drop(struct mf_scheduler *scheduler, struct mf_peer *peer)
{
    mf_list_for_each_safe (node, &peer->transfers) {
        struct mf_transfer *transfer = mf_container_of(node, struct mf_transfer, node);

        mf_region_release(scheduler, &transfer->region);
        free_transfer(transfer);
    }
}
