/*
 * Blocks of bytes that every node has: one server of a node stores them in
 * shared memory, the others of that node attach. Runs in rank 0's only thread.
 */
#include "runtime/client_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a station has of a block. */
enum { NOTHING, STORING, AWAITING, ATTACHING, HAVING };

static struct mf_block *find_block(const struct mf_client *client, uint32_t number)
{
    struct mf_block **place = mf_table_find(client->blocks, &number);

    return place ? *place : NULL;
}

static void free_block(struct mf_block *block)
{
    if (block)
        free(block->stations);
    free(block);
}

void mf_blocks_destroy(struct mf_client *client)
{
    size_t cursor = 0;
    void *place;

    while (client->blocks && mf_table_next(client->blocks, &cursor, NULL, &place))
        free_block(*(struct mf_block **)place);
    mf_table_destroy(client->blocks);
}

/* --- giving --- */

/* Lets a station store the block, whose bytes went ahead, or attach it. */
static void post_block(struct mf_client *client, struct mf_station *station,
                       const struct mf_block *block, bool is_storing)
{
    struct mf_record record = {
        .kind = MF_RECORD_BLOCK, .unit = block->number, .number = is_storing};
    struct mf_buffer *frame = mf_station_frame(client, station, sizeof(record) + 128);
    size_t offset = mf_record_begin(frame, &record);

    mf_buffer_put_u64(frame, block->size);
    mf_buffer_put_text(frame, block->name);
    mf_record_end(frame, offset);
}

static bool has_keeper(const struct mf_client *client, const struct mf_block *block,
                       const struct mf_station *station)
{
    for (uint32_t i = 0; i < station->rank; i++)
        if (block->stations[i] == STORING && strcmp(client->stations[i].host, station->host) == 0)
            return true;
    return false;
}

static int give(struct mf_client *client, struct mf_block *block, struct mf_station *station)
{
    int r;

    if (has_keeper(client, block, station)) {
        block->stations[station->rank] = AWAITING;
        block->n_awaited++;
        return 0;
    }
    mf_station_frame(client, station, 0);
    r = mf_outbox_post_large(&station->outbox, block->number, true, block->data, block->size, NULL,
                             NULL);
    if (r < 0)
        return r;
    post_block(client, station, block, true);
    block->stations[station->rank] = STORING;
    block->n_awaited++;
    return 0;
}

static struct mf_block *create_block(struct mf_client *client, const void *data, size_t size)
{
    struct mf_block *block = calloc(1, sizeof(*block));
    void *place;

    if (!block)
        return NULL;
    block->number = client->last_block + 1;
    block->data = data;
    block->size = size;
    block->stations = calloc(client->n_stations, 1);
    snprintf(block->name, sizeof(block->name), "/mpifarm.%016" PRIx64 ".%" PRIu32,
             client->block_key, block->number);
    if (!block->stations || mf_table_insert(client->blocks, &block->number, &place) < 0) {
        free_block(block);
        return NULL;
    }
    *(struct mf_block **)place = block;
    client->last_block++;
    return block;
}

int mf_client_broadcast(struct mf_client *client, const void *data, size_t size,
                        uint32_t *ret_block)
{
    struct mf_block *block;

    if (client->n_slots == 0)
        return -EHOSTUNREACH;
    block = create_block(client, data, size);
    if (!block)
        return -ENOMEM;
    for (uint32_t i = 0; i < client->n_stations && block->error == 0; i++)
        if (client->stations[i].state == MF_STATION_UP)
            block->error = give(client, block, &client->stations[i]);
    *ret_block = block->number;
    return 0;
}

int mf_client_is_stored(struct mf_client *client, uint32_t number)
{
    struct mf_block *block = find_block(client, number);

    /* The bytes are the client program's until nobody is being sent them any more. */
    if (block->n_awaited > 0)
        return 0;
    block->data = NULL;
    return block->error < 0 ? block->error : 1;
}

/* --- answers --- */

/* The stations of a node that wait for the one that stores: what it has done they can attach. */
static void follow_keeper(struct mf_client *client, struct mf_block *block,
                          const struct mf_station *keeper, bool is_stored)
{
    for (uint32_t i = 0; i < client->n_stations; i++) {
        struct mf_station *station = &client->stations[i];

        if (block->stations[i] != AWAITING || strcmp(station->host, keeper->host) != 0)
            continue;
        block->stations[i] = is_stored ? ATTACHING : NOTHING;
        if (is_stored)
            post_block(client, station, block, false);
        else
            block->n_awaited--;
    }
}

static void settle(struct mf_client *client, struct mf_block *block,
                   const struct mf_station *station, int error)
{
    bool was_keeper = block->stations[station->rank] == STORING;

    block->stations[station->rank] = error ? NOTHING : HAVING;
    block->n_awaited--;
    if (error && block->error == 0)
        block->error = error;
    if (was_keeper)
        follow_keeper(client, block, station, error == 0);
}

void mf_blocks_on_stored(struct mf_client *client, struct mf_station *station,
                         const struct mf_record *record)
{
    struct mf_block *block = find_block(client, (uint32_t)record->unit);
    uint8_t state = block ? block->stations[station->rank] : NOTHING;

    if (state == STORING || state == ATTACHING)
        settle(client, block, station, -(int)(record->number & 4095));
}

void mf_blocks_lose(struct mf_client *client, const struct mf_station *station)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(client->blocks, &cursor, NULL, &place)) {
        struct mf_block *block = *(struct mf_block **)place;
        uint8_t state = block->stations[station->rank];

        if (state == STORING || state == ATTACHING || state == AWAITING)
            settle(client, block, station, -EIO);
        block->stations[station->rank] = NOTHING;
    }
}

int mf_client_drop_block(struct mf_client *client, uint32_t number)
{
    struct mf_record record = {.kind = MF_RECORD_DROP, .unit = number};
    struct mf_block *block = find_block(client, number);

    if (!block)
        return -ENOENT;
    for (uint32_t i = 0; i < client->n_stations; i++)
        if (block->stations[i] != NOTHING && client->stations[i].state == MF_STATION_UP)
            mf_record_put(mf_station_frame(client, &client->stations[i], sizeof(record)), &record,
                          NULL, 0);
    mf_table_remove(client->blocks, &number);
    free_block(block);
    return 0;
}
