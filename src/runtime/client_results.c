/* What servers report. Runs in rank 0's only thread. */
#include "runtime/client_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Longer than any run: what is above is damage, and would overflow sums. */
#define MAX_DURATION_NS (INT64_C(1) << 56)

/* --- children --- */

/* One child of a call that is done. Returns 0 or -errno. */
static int submit_child(struct mf_client *client, const uint8_t *data, size_t size)
{
    struct mf_child child;
    struct mf_order order;

    if (size < sizeof(child))
        return -EBADMSG;
    memcpy(&child, data, sizeof(child));
    if (child.function >= client->config.functions->n_items ||
        (child.delivery != MF_DELIVER_NONE && child.delivery != MF_DELIVER_QUEUE))
        return -EBADMSG;
    order = (struct mf_order){
        .function = child.function,
        .input = data + sizeof(child),
        .size = size - sizeof(child),
        .tag = child.tag,
        .group = child.group,
        .priority = child.priority,
        .max_attempts = child.max_attempts,
        .timeout_ns = child.timeout_ns,
        .rank = child.rank,
        .delivery = (enum mf_delivery)child.delivery,
    };
    if (mf_client_submit_child(client, &order) < 0)
        mf_log_error(client->config.log, "a child task is lost: out of memory");
    return 0;
}

static int submit_children(struct mf_client *client, const uint8_t *entries, size_t size)
{
    struct mf_reader reader = mf_reader_over(entries, size);
    struct mf_entry_header header;
    const uint8_t *data;
    int r;

    while ((r = mf_entry_get(&reader, &header, &data)) == 1) {
        r = submit_child(client, data, header.size);
        if (r < 0)
            return r;
    }
    return r;
}

/* --- results --- */

/* The large result or checkpoint of the task that is written there. */
static int take_large(struct mf_station *station, const uint8_t *data, size_t size,
                      uint8_t **ret_bytes, size_t *ret_size)
{
    uint64_t task;

    if (size != sizeof(task))
        return -EBADMSG;
    memcpy(&task, data, sizeof(task));
    return mf_inbox_take(station->inbox, task, false, ret_bytes, ret_size);
}

/* A message as a text that ends. */
static int end_failed(struct mf_client *client, struct mf_station *station, uint32_t number,
                      const struct mf_entry_header *header, const uint8_t *data)
{
    size_t n = header->size < MF_CALL_MESSAGE_BYTES ? header->size : MF_CALL_MESSAGE_BYTES;
    char message[MF_CALL_MESSAGE_BYTES + 1];

    memcpy(message, data, n);
    message[n] = '\0';
    return mf_book_end(client->book, number, header->cause, header->code, station->rank, message,
                       n + 1, false);
}

/* The next call of a unit has ended. Returns 0 or -errno if that makes no sense. */
static int report_call(struct mf_client *client, struct mf_station *station, struct mf_unit *unit,
                       const struct mf_entry_header *header, const uint8_t *data, size_t size)
{
    uint32_t number = mf_unit_next(client, unit);
    bool is_taken = header->flags & MF_CALL_IS_LARGE;
    uint8_t cause = 0;
    uint8_t *bytes = (uint8_t *)data;

    if (is_taken) {
        int r = take_large(station, data, size, &bytes, &size);

        if (r == -ENOMEM) {
            cause = MF_BOOK_OUT_OF_MEMORY;
            bytes = NULL;
            size = 0;
            is_taken = false;
        } else if (r < 0) {
            return r == -ENOENT ? -EPROTO : r;
        }
    }
    if (number != MF_NO_CALL && mf_book_at(client->book, number)->is_on_heap)
        mf_units_hand_over_input(client, number);
    mf_unit_step(unit);
    if (number == MF_NO_CALL) {
        if (is_taken)
            free(bytes);
    } else if (header->cause != MPIFARM_CAUSE_NONE) {
        end_failed(client, station, number, header, data);
    } else {
        mf_book_end(client->book, number, cause, header->code, station->rank, bytes, size,
                    is_taken);
    }
    return 0;
}

/* The next calls of a unit have ended, as many as the entry is of. Returns 0 or -errno. */
static int report_entry(struct mf_client *client, struct mf_station *station, struct mf_unit *unit,
                        const struct mf_entry_header *header, const uint8_t *data)
{
    bool is_simple = header->cause == MPIFARM_CAUSE_NONE && !(header->flags & MF_CALL_IS_LARGE);
    uint32_t n = header->n_more + 1;
    size_t size = header->size / n;
    int r = 0;

    for (; n > 0 && r == 0; n--, data += size) {
        if (is_simple && unit->stretch && !unit->has_detached) {
            mf_unit_end_elements(client, unit, n, data, size);
            break;
        }
        r = report_call(client, station, unit, header, data, size);
    }
    return r;
}

/* The entries of `n_calls` calls. */
static int report_calls(struct mf_client *client, struct mf_station *station, struct mf_unit *unit,
                        uint32_t n_calls, struct mf_reader *body)
{
    const uint8_t *children = body->data, *data;
    struct mf_entry_header header;
    int r;

    if (n_calls > unit->n_calls - unit->n_reported)
        return -EPROTO;
    while ((r = mf_entry_get(body, &header, &data)) == 1) {
        if (header.kind == MF_ENTRY_CHILD)
            continue;
        if (header.n_more >= n_calls)
            return -EPROTO;
        n_calls -= header.n_more + 1;
        /* Children go first: the parent's group must not seem to be empty in between. */
        size_t n_children_bytes = (size_t)(data - children) - sizeof(header);
        if (n_children_bytes > 0 && header.cause == MPIFARM_CAUSE_NONE &&
            mf_unit_is_next_wanted(unit))
            r = submit_children(client, children, n_children_bytes);
        if (r >= 0)
            r = report_entry(client, station, unit, &header, data);
        if (r < 0)
            return r;
        children = data + header.size;
    }
    return r == 0 && n_calls > 0 ? -EPROTO : r;
}

static int end_unit(struct mf_client *client, struct mf_unit *unit, int64_t duration_ns)
{
    struct mf_event *event = &client->ended;

    event->task = unit->id;
    event->attempt = unit->attempt;
    event->worker = unit->station->rank;
    event->duration_ns = duration_ns;
    return mf_client_apply(client, event) == 0 ? 0 : -EPROTO;
}

/* Calls of different functions are taken to have had equal shares. */
static void note_durations(struct mf_client *client, const struct mf_unit *unit, uint32_t n_calls,
                           int64_t duration_ns)
{
    if (!unit->is_mixed) {
        mf_book_note_duration(client->book, unit->function, n_calls, duration_ns);
        return;
    }
    for (uint32_t i = unit->n_reported; i < unit->n_calls && i - unit->n_reported < n_calls; i++)
        if (unit->calls[i] != MF_NO_CALL)
            mf_book_note_duration(client->book, mf_book_at(client->book, unit->calls[i])->function,
                                  1, duration_ns / n_calls);
}

static int on_result(struct mf_client *client, struct mf_station *station,
                     const struct mf_record *record, struct mf_reader *body)
{
    struct mf_unit *unit = mf_unit_find(client, station, record->unit, record->attempt);
    const uint8_t *raw = mf_reader_get_raw(body, sizeof(struct mf_unit_times));
    struct mf_unit_times times;
    int r;

    if (!raw)
        return -EBADMSG;
    if (!unit) {
        client->n_stale += record->number;
        return 0;
    }
    memcpy(&times, raw, sizeof(times));
    if (times.duration_ns < 0 || times.duration_ns > MAX_DURATION_NS || times.idle_ns < 0)
        return -EBADMSG;
    if (unit->n_reported == 0)
        mf_units_note_idle(client, unit, times.idle_ns);
    client->busy_ns += times.duration_ns;
    unit->duration_ns += times.duration_ns;
    note_durations(client, unit, record->number, times.duration_ns);
    r = report_calls(client, station, unit, record->number, body);
    if (r < 0 || !(record->flags & MF_RECORD_IS_LAST))
        return r;
    if (unit->n_reported != unit->n_calls)
        return -EPROTO;
    return end_unit(client, unit, unit->duration_ns);
}

/* What was not begun is free to go elsewhere. */
static int on_returned(struct mf_client *client, struct mf_station *station,
                       const struct mf_record *record)
{
    struct mf_unit *unit = mf_unit_find(client, station, record->unit, record->attempt);
    struct mf_event event = {.kind = MF_EVENT_RETURNED,
                             .task = record->unit,
                             .attempt = record->attempt,
                             .worker = station->rank};

    if (!unit) {
        client->n_stale++;
        return 0;
    }
    if (unit->is_recalled || unit->n_reported > 0)
        mf_unit_dissolve(client, unit, false);
    if (unit->n_reported > 0)
        return end_unit(client, unit, unit->duration_ns);
    unit->station = NULL;
    return mf_client_apply(client, &event) == 0 ? 0 : -EPROTO;
}

/* The task that a checkpoint is of: MF_NO_CALL when nobody wants it any more. Returns 0 or -errno.
 */
static int find_saver(struct mf_client *client, struct mf_station *station,
                      const struct mf_record *record, uint32_t *ret_number)
{
    struct mf_unit *unit = mf_unit_find(client, station, record->unit, record->attempt);

    *ret_number = MF_NO_CALL;
    if (!unit || record->number < unit->n_reported) {
        client->n_stale++;
        return 0;
    }
    /* All before it was reported, if it is in a stretch. */
    if (record->number >= unit->n_calls || (unit->stretch && record->number != unit->n_reported))
        return -EPROTO;
    *ret_number = unit->stretch ? mf_unit_next(client, unit) : unit->calls[record->number];
    return 0;
}

/* What came of it is taken from the inbox in any case. */
static int keep_large(struct mf_client *client, struct mf_station *station, uint32_t number,
                      const struct mf_reader *body)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int r = take_large(station, body->data, body->left, &bytes, &size);

    if (r == -ENOENT)
        return -EPROTO;
    if (r == 0 && number != MF_NO_CALL)
        r = mf_book_take_checkpoint(client->book, number, bytes, size);
    if (r < 0 || number == MF_NO_CALL)
        free(bytes);
    return r;
}

static int on_checkpoint(struct mf_client *client, struct mf_station *station,
                         const struct mf_record *record, struct mf_reader *body)
{
    uint32_t number;
    int r = find_saver(client, station, record, &number);

    if (r < 0)
        return r;
    if (record->flags & MF_RECORD_IS_LARGE)
        r = keep_large(client, station, number, body);
    else if (number != MF_NO_CALL)
        r = mf_book_checkpoint(client->book, number, body->data, body->left);
    if (r == -ENOMEM)
        mf_log_warning(client->config.log, "no memory to keep a checkpoint");
    return r == -ENOMEM ? 0 : r;
}

static void on_broken(struct mf_client *client, struct mf_station *station, struct mf_reader *body)
{
    char why[1024];

    mf_reader_get_text(body, why, sizeof(why));
    mf_station_dismiss(client, station, body->has_failed ? "it cannot work" : why);
}

int mf_results_handle(struct mf_client *client, struct mf_station *station,
                      const struct mf_record *record, struct mf_reader *body)
{
    if (record->kind == MF_RECORD_HELLO)
        return mf_station_on_hello(client, station, body);
    if (record->kind == MF_RECORD_BYE)
        return mf_station_on_bye(client, station, body);
    if (record->kind == MF_RECORD_HOOKS)
        return mf_station_on_hooks(client, station, record);
    if (station->state != MF_STATION_UP)
        return 0; /* what was on its way when it was told to stop */
    switch (record->kind) {
    case MF_RECORD_RESULT:
        return on_result(client, station, record, body);
    case MF_RECORD_RETURNED:
        return on_returned(client, station, record);
    case MF_RECORD_CHECKPOINT:
        return on_checkpoint(client, station, record, body);
    case MF_RECORD_PIECE:
        return mf_inbox_put(station->inbox, record, body);
    case MF_RECORD_STORED:
        return mf_blocks_on_stored(client, station, record, body);
    case MF_RECORD_BROKEN:
        on_broken(client, station, body);
        return 0;
    default:
        return -EPROTO;
    }
}
