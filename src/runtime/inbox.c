/*
 * Putting large bodies together from their pieces: see outbox.h. The memory of
 * a whole body is asked for with its first piece. One owner, one thread.
 */
#include "runtime/outbox.h"

#include "base/large.h"
#include "base/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct body_key {
    uint64_t number;
    uint64_t is_block;
};

/* A body that is coming in; data is NULL when there was no memory for it. */
struct body {
    uint8_t *data;
    uint64_t size;
    uint64_t n_received;
};

struct mf_inbox {
    struct mf_table *bodies;
};

int mf_inbox_create(struct mf_inbox **ret_inbox)
{
    struct mf_inbox *inbox = calloc(1, sizeof(*inbox));
    int r;

    if (!inbox)
        return -ENOMEM;
    r = mf_table_create(sizeof(struct body_key), sizeof(struct body), &inbox->bodies);
    if (r < 0) {
        free(inbox);
        return r;
    }
    *ret_inbox = inbox;
    return 0;
}

void mf_inbox_destroy(struct mf_inbox *inbox)
{
    size_t cursor = 0;
    void *place;

    if (!inbox)
        return;
    while (mf_table_next(inbox->bodies, &cursor, NULL, &place))
        free(((struct body *)place)->data);
    mf_table_destroy(inbox->bodies);
    free(inbox);
}

static void drop_body(struct mf_inbox *inbox, const struct body_key *key)
{
    struct body *body = mf_table_find(inbox->bodies, key);

    if (!body)
        return;
    free(body->data);
    mf_table_remove(inbox->bodies, key);
}

/* Makes room for the body of which the first piece came: of an earlier one nothing is kept. */
static int begin_body(struct mf_inbox *inbox, const struct body_key *key, uint64_t size)
{
    void *place;

    drop_body(inbox, key);
    if (mf_table_insert(inbox->bodies, key, &place) < 0)
        return -ENOMEM;
    *(struct body *)place = (struct body){.data = mf_large_alloc(size), .size = size};
    return 0;
}

static int fill_body(struct mf_inbox *inbox, const struct body_key *key, const uint8_t *data,
                     size_t size)
{
    struct body *body = mf_table_find(inbox->bodies, key);

    if (!body || size > body->size - body->n_received)
        return -EBADMSG;
    if (body->data && size > 0)
        memcpy(body->data + body->n_received, data, size);
    body->n_received += size;
    return 0;
}

int mf_inbox_put(struct mf_inbox *inbox, const struct mf_record *record, struct mf_reader *body)
{
    struct body_key key = {record->unit, (record->flags & MF_RECORD_IS_BLOCK) != 0};
    int r = 0;

    if (record->flags & MF_RECORD_IS_FIRST) {
        uint64_t size = mf_reader_get_u64(body);

        if (body->has_failed || size == 0 || body->left > size)
            return -EBADMSG;
        r = begin_body(inbox, &key, size);
    }
    return r < 0 ? r : fill_body(inbox, &key, body->data, body->left);
}

int mf_inbox_take(struct mf_inbox *inbox, uint64_t number, bool is_block, uint8_t **ret_data,
                  size_t *ret_size)
{
    struct body_key key = {number, is_block};
    struct body *body = mf_table_find(inbox->bodies, &key);
    int r = 0;

    if (!body || body->n_received < body->size)
        return -ENOENT;
    if (body->data) {
        *ret_data = body->data;
        *ret_size = body->size;
    } else {
        r = -ENOMEM;
    }
    mf_table_remove(inbox->bodies, &key);
    return r;
}
