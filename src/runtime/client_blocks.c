/*
 * Blocks of bytes that every node has: one server of a node stores them in
 * shared memory, the others of that node attach. One that cannot, since it is in
 * another container, stores them for itself. Runs in rank 0's only thread.
 */
#include "runtime/client_private.h"

#include <errno.h>
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

/* Lets a station store the block, whose bytes went ahead; or attach it, if there is a place. */
static void post_block(struct mf_client *client, struct mf_station *station,
                       const struct mf_block *block, const struct mf_block_place *place)
{
    struct mf_record record = {.kind = MF_RECORD_BLOCK, .unit = block->number, .number = !place};
    struct mf_buffer *frame =
        mf_station_frame(client, station, sizeof(record) + sizeof(block->size) + sizeof(*place));
    size_t offset = mf_record_begin(frame, &record);

    mf_buffer_put_u64(frame, block->size);
    if (place)
        mf_buffer_append(frame, place, sizeof(*place));
    mf_record_end(frame, offset);
    block->stations[station->rank] = place ? ATTACHING : STORING;
}

static bool has_keeper(const struct mf_client *client, const struct mf_block *block,
                       const struct mf_station *station)
{
    for (uint32_t i = 0; i < station->rank; i++)
        if (block->stations[i] == STORING && strcmp(client->stations[i].host, station->host) == 0)
            return true;
    return false;
}

static int send_bytes(struct mf_client *client, const struct mf_block *block,
                      struct mf_station *station)
{
    int r;

    mf_station_frame(client, station, 0);
    r = mf_outbox_post_large(&station->outbox, block->number, true, block->data, block->size, NULL,
                             NULL);
    if (r == 0)
        post_block(client, station, block, NULL);
    return r;
}

static int give(struct mf_client *client, struct mf_block *block, struct mf_station *station)
{
    int r = 0;

    if (has_keeper(client, block, station))
        block->stations[station->rank] = AWAITING;
    else
        r = send_bytes(client, block, station);
    if (r == 0)
        block->n_awaited++;
    return r;
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
                          const struct mf_station *keeper, const struct mf_block_place *place)
{
    for (uint32_t i = 0; i < client->n_stations; i++) {
        struct mf_station *station = &client->stations[i];

        if (block->stations[i] != AWAITING || strcmp(station->host, keeper->host) != 0)
            continue;
        if (place) {
            post_block(client, station, block, place);
            continue;
        }
        block->stations[i] = NOTHING;
        block->n_awaited--;
    }
}

/* place is NULL if there was an error. */
static void settle(struct mf_client *client, struct mf_block *block,
                   const struct mf_station *station, int error, const struct mf_block_place *place)
{
    bool was_keeper = block->stations[station->rank] == STORING;

    block->stations[station->rank] = error ? NOTHING : HAVING;
    block->n_awaited--;
    if (error && block->error == 0)
        block->error = error;
    if (was_keeper)
        follow_keeper(client, block, station, place);
}

int mf_blocks_on_stored(struct mf_client *client, struct mf_station *station,
                        const struct mf_record *record, struct mf_reader *body)
{
    struct mf_block *block = find_block(client, (uint32_t)record->unit);
    uint8_t state = block ? block->stations[station->rank] : NOTHING;
    int error = -(int)(record->number & 4095);
    struct mf_block_place place;
    const uint8_t *raw = mf_reader_get_raw(body, sizeof(place));

    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    memcpy(&place, raw, sizeof(place));
    if (state != STORING && state != ATTACHING)
        return 0;
    if (state == ATTACHING && error < 0 && send_bytes(client, block, station) == 0)
        return 0;
    settle(client, block, station, error, error < 0 ? NULL : &place);
    return 0;
}

void mf_blocks_lose(struct mf_client *client, const struct mf_station *station)
{
    size_t cursor = 0;
    void *place;

    while (mf_table_next(client->blocks, &cursor, NULL, &place)) {
        struct mf_block *block = *(struct mf_block **)place;
        uint8_t state = block->stations[station->rank];

        if (state == STORING || state == ATTACHING || state == AWAITING)
            settle(client, block, station, -EIO, NULL);
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
