/*
 * The client's life and its turn:
 *
 *     receive  what servers report
 *     decide   tasks into units, units to servers
 *     send     one frame for each server, and pieces of what is large
 */
#include "runtime/client_private.h"

#include "base/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames taken in one turn: a flood must not keep the turn from ending. */
#define FRAMES_PER_TURN 64

/* Units sent ahead of a free slot, at most; they are some 0.1 ms long. */
#define MAX_PREFETCH 64

/* What a slot may be ahead before anything was measured. */
#define FIRST_TURNAROUND_NS (20 * MF_NS_PER_US)

/* To sleep and to wake up take a core for some time: it does not pay before there is so much. */
#define LEAST_SUPPLY_NS (200 * MF_NS_PER_US)

int mf_client_apply(struct mf_client *client, struct mf_event *event)
{
    int r;

    event->now_ns = client->now_ns;
    r = mf_farm_apply(client->farm, event);
    if (r == -ENOMEM)
        mf_log_error(client->config.log, "out of memory");
    return r;
}

/* --- receiving --- */

static void handle_frame(struct mf_client *client, struct mf_station *station,
                         const struct mf_buffer *bytes)
{
    struct mf_reader frame, body;
    struct mf_record record;
    int r = mf_frame_open(bytes->data, bytes->size, &frame);

    while (r >= 0 && (r = mf_record_next(&frame, &record, &body)) == 1)
        r = mf_results_handle(client, station, &record, &body);
    if (r == -EPROTO)
        mf_station_dismiss(client, station, "it does not speak this version's protocol");
    else if (r < 0)
        mf_station_dismiss(client, station, strerror(-r));
}

/* At the beginning all servers owe a HELLO, at the end a BYE; in between those that have a unit. */
static bool is_owed(const struct mf_client *client)
{
    return !client->is_begun || client->is_stopping || mf_farm_n_held(client->farm) > 0;
}

/* When nothing is owed, another look would but delay those who wait for what has just come. */
static bool may_look(const struct mf_client *client, int n_frames)
{
    return n_frames == 0 || (n_frames < FRAMES_PER_TURN && is_owed(client));
}

static bool receive(struct mf_client *client)
{
    struct mf_transport *transport =
        client->config.remote ? client->config.remote : client->config.local;
    const struct mf_buffer *bytes;
    uint32_t from;
    int n = 0, r = 0;

    while (may_look(client, n) && (r = mf_transport_receive(transport, &from, &bytes)) > 0) {
        struct mf_station *station = mf_station_find(client, from);

        n++;
        if (station && station->state == MF_STATION_GONE)
            client->n_stale++;
        if (!station || station->state == MF_STATION_GONE)
            continue;
        if (client->sentry)
            mf_sentry_heard(client->sentry, from);
        handle_frame(client, station, bytes);
    }
    if (r < 0 && !client->is_deaf)
        mf_log_error(client->config.log, "receiving from workers failed: %s", strerror(-r));
    client->is_deaf = r < 0;
    return n > 0;
}

/* --- the turn --- */

static void decide(struct mf_client *client)
{
    bool is_split_due = client->may_split && client->now_ns >= client->next_split_ns;

    if (client->is_begun && !client->is_stopping && (client->is_stirred || is_split_due))
        mf_units_turn(client);
}

int mf_client_turn(struct mf_client *client, int64_t now_ns)
{
    bool had_traffic;

    client->now_ns = now_ns;
    /* First what is there to do: a task just submitted should not wait for a look at the mail. */
    decide(client);
    had_traffic = mf_stations_send(client);
    if (receive(client)) {
        had_traffic = client->is_stirred = true;
        /* Where nothing can be given out, what is left to do can wait until the next turn. */
        if (mf_units_have_choice(client))
            decide(client);
        mf_stations_send(client);
    }
    if (client->sentry && mf_sentry_is_due(client->sentry, client->now_ns))
        mf_stations_look(client);
    return had_traffic;
}

int64_t mf_client_next_ns(const struct mf_client *client)
{
    return client->may_split ? client->next_split_ns : INT64_MAX;
}

struct mf_sharing mf_client_sharing(const struct mf_client *client)
{
    return client->sharing;
}

void mf_client_supply_ahead(struct mf_client *client, int64_t ahead_ns)
{
    client->ahead_ns = ahead_ns;
}

int64_t mf_client_leisure_ns(const struct mf_client *client)
{
    int64_t supplied_ns;

    /* Of long calls one may be much shorter than the others. */
    if (client->ahead_ns == 0 || !client->are_calls_short)
        return 0;
    supplied_ns = mf_farm_supplied_ns(client->farm);
    return supplied_ns < LEAST_SUPPLY_NS ? 0 : mf_earliest_ns(supplied_ns / 4, MF_NS_PER_MS);
}

/* --- tasks --- */

bool mf_client_has_worker(const struct mf_client *client, uint32_t rank)
{
    if (rank == 0)
        return client->n_slots > 0;
    return rank < client->n_stations && client->stations[rank].state == MF_STATION_UP;
}

uint32_t mf_client_n_slots(const struct mf_client *client)
{
    return client->n_slots;
}

int mf_client_submit(struct mf_client *client, const struct mf_order *order, mf_ticket *ret_ticket)
{
    if (!mf_client_has_worker(client, order->rank))
        return -EHOSTUNREACH;
    client->is_stirred = true;
    return mf_book_add(client->book, order, ret_ticket);
}

int mf_client_submit_array(struct mf_client *client, const struct mf_order *first, size_t n,
                           mf_ticket *ret_tickets, size_t *ret_n)
{
    *ret_n = 0;
    if (!mf_client_has_worker(client, first->rank))
        return -EHOSTUNREACH;
    client->is_stirred = true;
    return mf_book_add_array(client->book, first, n, ret_tickets, ret_n);
}

int mf_client_submit_child(struct mf_client *client, const struct mf_order *order)
{
    mf_ticket ticket;
    int r;

    client->is_stirred = true;
    r = mf_book_add(client->book, order, &ticket);
    if (r == 0 && !mf_client_has_worker(client, order->rank))
        mf_book_refuse(client->book, (uint32_t)ticket, MPIFARM_CAUSE_UNFIT,
                       "the rank that it must run on is no worker");
    return r;
}

static void post_cancel(struct mf_client *client, const struct mf_unit *unit, uint32_t index)
{
    struct mf_record record = {
        .kind = MF_RECORD_CANCEL, .number = index, .unit = unit->id, .attempt = unit->attempt};

    mf_record_put(mf_station_frame(client, unit->station, sizeof(record)), &record, NULL, 0);
}

/* Takes a task out of its unit, and lets the server know. */
static void withdraw(struct mf_client *client, uint32_t number)
{
    struct mf_unit *unit = client->units[mf_book_at(client->book, number)->unit];
    uint32_t i = unit->n_reported;

    if (unit->has_detached) {
        unit->detached = MF_NO_CALL;
    } else {
        while (unit->calls[i] != number)
            i++;
        unit->calls[i] = MF_NO_CALL;
    }
    if (unit->station)
        post_cancel(client, unit, i);
}

/* Of the elements of a range that are out, what runs is to stop, and nothing more to begin. */
static void withdraw_range(struct mf_client *client, uint32_t number)
{
    for (uint32_t i = 0; i < client->n_units; i++) {
        struct mf_unit *unit = client->units[i];

        if (!unit || !unit->stretch || unit->stretch->range != number || !unit->station)
            continue;
        post_cancel(client, unit, MF_EVERY_CALL);
        mf_unit_ask_back(client, unit);
        unit->is_recalled = true;
    }
}

void mf_client_cancel(struct mf_client *client, mf_ticket ticket)
{
    struct mf_booking *booking = mf_book_find(client->book, ticket);
    const struct mf_range *range = mf_booking_range(booking);

    client->is_stirred = true;
    if (range && range->n_placed > 0) {
        withdraw_range(client, (uint32_t)ticket);
    } else if (!range && booking->state == MF_TASK_PLACED) {
        withdraw(client, (uint32_t)ticket);
        mf_units_hand_over_input(client, (uint32_t)ticket);
    }
    mf_book_cancel(client->book, (uint32_t)ticket);
}

struct mf_book *mf_client_book(const struct mf_client *client)
{
    return client->book;
}

void mf_client_count(const struct mf_client *client, struct mf_client_counts *ret_counts)
{
    struct mf_farm_counts farm;

    mf_farm_count(client->farm, &farm);
    *ret_counts = (struct mf_client_counts){
        .n_workers = farm.workers_up,
        .n_slots = farm.slots_up,
        .n_stale = client->n_stale + farm.stale,
        .busy_ns = client->busy_ns,
    };
}

/* --- life --- */

int mf_client_create(const struct mf_client_config *config, struct mf_client **ret_client)
{
    struct mf_client *client = calloc(1, sizeof(*client));
    const struct mf_farm_config farm = {
        .policy = &mf_policy_priority,
        .max_prefetch_per_slot = MAX_PREFETCH,
        .turnaround_ns = FIRST_TURNAROUND_NS,
        .forgets_run_times = true,
    };
    int r;

    if (!client)
        return -ENOMEM;
    client->config = *config;
    client->created_ns = client->now_ns = mf_clock_monotonic_ns();
    mf_node_host(client->host);
    client->sharing = (struct mf_sharing){.n_ranks = 1, .n_cores = config->n_cores};
    client->turnaround_ns = FIRST_TURNAROUND_NS;
    client->submitted = (struct mf_event){.kind = MF_EVENT_SUBMITTED,
                                          .spec = {.needs.n_slots = 1, .max_attempts = 1}};
    client->tick = (struct mf_event){.kind = MF_EVENT_TICK};
    client->ended = (struct mf_event){.kind = MF_EVENT_ENDED};
    mf_list_init(&client->sending);
    r = mf_farm_create(&farm, &client->farm);
    if (r == 0)
        r = mf_book_create(config->max_attempts, &client->book);
    if (r == 0)
        r = mf_table_create(sizeof(uint32_t), sizeof(struct mf_block *), &client->blocks);
    if (r == 0)
        r = mf_stations_create(client);
    if (r < 0)
        mf_client_destroy(client);
    else
        *ret_client = client;
    return r;
}

void mf_client_destroy(struct mf_client *client)
{
    if (!client)
        return;
    mf_stations_destroy(client);
    mf_units_destroy(client);
    mf_blocks_destroy(client);
    mf_book_destroy(client->book);
    mf_farm_destroy(client->farm);
    free(client);
}
