/*
 * The servers of the client, leaving: told to stop, lost, waited for, and in the
 * end told that all have left. Runs in rank 0's only thread.
 */
#include "runtime/client_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `code` is 0 and `why` "" for an end in order. */
static void post_stop(struct mf_client *client, struct mf_station *station, int code,
                      const char *why)
{
    bool has_losses = client->n_gone > 0;

    mf_stop_put(mf_station_frame(client, station, 2 * sizeof(struct mf_record) + strlen(why)), code,
                why, has_losses);
    station->awaits_end = code == 0 && !has_losses;
    station->state = MF_STATION_STOPPING;
}

/* What was not handed to the transport is not sent any more. */
static void empty_outbox(struct mf_station *station)
{
    struct mf_outbox *outbox = &station->outbox;
    struct mf_transport *transport = outbox->transport;
    uint32_t peer = outbox->peer;

    mf_outbox_finish(outbox);
    mf_outbox_init(outbox, transport, peer);
    mf_list_remove(&station->node);
}

/* Nothing more is expected of it but that it leaves. */
static void drop(struct mf_client *client, struct mf_station *station, const char *why)
{
    struct mf_event event = {.kind = MF_EVENT_WORKER_LOST, .worker = station->rank};
    bool was_up = station->state == MF_STATION_UP;

    station->state = MF_STATION_GONE;
    empty_outbox(station);
    /* Of results that have not come whole, which may be gigabytes, the rest does not come. */
    mf_inbox_destroy(station->inbox);
    station->inbox = NULL;
    if (client->is_stopping)
        return;
    if (!was_up) {
        mf_station_refuse_to_begin(client, station, why);
        return;
    }
    mf_log_warning(client->config.log, "rank %" PRIu32 " on %s is lost: %s", station->rank,
                   station->host, why);
    client->n_slots -= station->n_slots;
    client->is_stirred = true;
    mf_units_lose(client, station);
    mf_client_apply(client, &event);
    mf_blocks_lose(client, station);
}

void mf_station_lose(struct mf_client *client, struct mf_station *station, const char *why)
{
    if (station->state == MF_STATION_GONE)
        return;
    drop(client, station, why);
    if (client->sentry)
        mf_sentry_forget(client->sentry, station->rank);
}

void mf_station_dismiss(struct mf_client *client, struct mf_station *station, const char *why)
{
    if (station->state >= MF_STATION_STOPPING)
        return;
    drop(client, station, why);
    post_stop(client, station, 0, "");
}

/* If it is there after all it is told to stop; but nobody waits for that. */
static void give_up_silent(struct mf_client *client, struct mf_station *station, const char *why)
{
    mf_station_lose(client, station, why);
    post_stop(client, station, 0, "");
    station->state = MF_STATION_GONE;
}

/* At the end nobody asks for it any more, but it may not have done what it was about to. Once some
 * are lost, others end without waiting: their last word may not have been read yet. */
static void report_loss(const struct mf_client *client, const struct mf_station *station,
                        const char *why)
{
    if (client->is_stopping && client->n_gone == 0)
        mf_log_warning(client->config.log, "rank %" PRIu32 " on %s is lost: %s", station->rank,
                       station->host, why);
}

void mf_stations_look(struct mf_client *client)
{
    enum mf_passing passing;
    uint32_t rank;

    mf_sentry_look(client->sentry, client->now_ns);
    while (mf_sentry_next(client->sentry, &rank, &passing)) {
        struct mf_station *station = &client->stations[rank];
        bool has_ended = passing == MF_PASSING_ENDED;
        const char *why = has_ended ? "its process has ended" : "nothing is heard of it";

        report_loss(client, station, why);
        client->n_gone++;
        if (has_ended)
            mf_station_lose(client, station, why);
        else
            give_up_silent(client, station, why);
    }
}

bool mf_client_has_losses(const struct mf_client *client)
{
    return client->n_gone > 0;
}

void mf_client_stop(struct mf_client *client, int64_t now_ns, int code, const char *why)
{
    client->is_stopping = true;
    for (uint32_t i = 0; i < client->n_stations; i++) {
        struct mf_station *station = &client->stations[i];

        station->awaited_ns = now_ns;
        if (station->state >= MF_STATION_STOPPING)
            continue;
        empty_outbox(station);
        post_stop(client, station, code, why);
    }
    mf_stations_send(client);
}

bool mf_client_is_stopped(const struct mf_client *client)
{
    for (uint32_t i = 0; i < client->n_stations; i++)
        if (client->stations[i].state < MF_STATION_LEFT)
            return false;
    return true;
}

void mf_client_end(struct mf_client *client)
{
    const struct mf_buffer nothing = {0};

    if (client->sentry) {
        mf_sentry_hasten(client->sentry);
        mf_stations_look(client);
    }
    for (uint32_t i = 0; i < client->n_stations; i++) {
        const struct mf_record end = {.kind = MF_RECORD_END, .number = client->n_gone > 0};
        struct mf_station *station = &client->stations[i];

        if (station->state != MF_STATION_LEFT)
            continue;
        mf_station_post(client, station, &end, &nothing);
        /* One that cannot be told goes on waiting, and is not to be waited for itself. */
        if (mf_outbox_turn(&station->outbox) < 0)
            client->n_gone++;
        mf_station_lose(client, station, "it left");
    }
}

/* --- what leaving takes --- */

int mf_station_on_hooks(struct mf_client *client, struct mf_station *station,
                        const struct mf_record *record)
{
    if (station->state < MF_STATION_UP || record->number > 1)
        return -EPROTO;
    station->is_in_hook = record->number == 1;
    station->awaited_ns = client->now_ns;
    return 0;
}

int mf_station_on_bye(struct mf_client *client, struct mf_station *station, struct mf_reader *body)
{
    char why[256] = "it left";

    if (body->left > 0)
        mf_reader_get_text(body, why, sizeof(why));
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    /* Whoever ends now does not know yet what becomes of the others. */
    if (station->state == MF_STATION_STOPPING && station->awaits_end)
        station->state = MF_STATION_LEFT;
    else
        mf_station_lose(client, station, why);
    return 0;
}

static bool is_overdue(const struct mf_station *station, int64_t now_ns)
{
    return station->state < MF_STATION_LEFT && !station->is_in_hook &&
           now_ns - station->awaited_ns >= MF_CLIENT_LEAVE_NS;
}

bool mf_client_is_overdue(const struct mf_client *client, int64_t now_ns)
{
    for (uint32_t i = 0; i < client->n_stations; i++)
        if (is_overdue(&client->stations[i], now_ns))
            return true;
    return false;
}

/* Units that have ended stay until they are looked at, which they are not at the end. */
static bool is_running(const struct mf_client *client, const struct mf_unit *unit)
{
    return unit->n_reported < unit->n_calls &&
           mf_unit_find(client, unit->station, unit->id, unit->attempt) == unit;
}

/* The function that a silent rank has been in, as far as is known; NULL for none. */
static const char *function_at(const struct mf_client *client, const struct mf_station *station)
{
    const struct mf_functions *functions = client->config.functions;
    const struct mf_unit *oldest = NULL;
    uint32_t function;

    for (uint32_t i = 0; i < client->n_units; i++) {
        const struct mf_unit *unit = client->units[i];

        if (unit && unit->station == station && is_running(client, unit) &&
            (!oldest || unit->id < oldest->id))
            oldest = unit;
    }
    if (!oldest)
        return NULL;
    function = oldest->function;
    if (oldest->is_mixed) {
        uint32_t number = oldest->calls[oldest->n_reported];

        /* Which one a call was that was withdrawn, nobody knows any more. */
        if (number == MF_NO_CALL)
            return NULL;
        function = mf_book_at(client->book, number)->function;
    }
    return function < functions->n_items ? functions->items[function].name : NULL;
}

static void describe(const struct mf_client *client, const struct mf_station *station, char *text,
                     size_t size)
{
    const char *function = function_at(client, station);

    if (function)
        snprintf(text, size, "rank %" PRIu32 " on %s does not return from function \"%s\"",
                 station->rank, station->host, function);
    else
        snprintf(text, size, "rank %" PRIu32 " on %s does not answer", station->rank,
                 station->host[0] ? station->host : "an unknown host");
}

char *mf_client_describe_overdue(const struct mf_client *client, int64_t now_ns, char *text,
                                 size_t size)
{
    text[0] = '\0';
    for (uint32_t i = 0; i < client->n_stations; i++) {
        if (!is_overdue(&client->stations[i], now_ns))
            continue;
        describe(client, &client->stations[i], text, size);
        break;
    }
    return text;
}
