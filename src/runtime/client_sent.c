/*
 * What happens to units that were sent: they are asked back, split, lost with
 * their server, dissolved. Runs in rank 0's only thread.
 */
#include "runtime/client_private.h"

#include "base/clock.h"

#include <stdlib.h>

/* A unit that takes this long gives back what it has not begun, once others have nothing to do. */
#define SPLIT_AFTER_NS (5 * MF_NS_PER_MS)

/* Servers that a task may take with it before it is given up. */
#define CRASH_LIMIT 3

/* Calls of which a unit has so many are short ones, if they take no longer than this. */
#define MANY_CALLS 8
#define SHORT_CALL_NS (12.5 * MF_NS_PER_US)

/* How far ahead servers are supplied, at least and at most. */
#define MIN_TURNAROUND_NS (5 * MF_NS_PER_US)
#define MAX_TURNAROUND_NS (20 * MF_NS_PER_MS)

struct mf_unit *mf_unit_find(const struct mf_client *client, const struct mf_station *station,
                             uint64_t id, uint32_t attempt)
{
    const struct mf_task *task = mf_farm_find(client->farm, id);
    struct mf_unit *unit;

    if (!task || task->state != MF_TASK_PLACED)
        return NULL;
    unit = client->units[task->spec.cookie];
    return unit->station == station && unit->attempt == attempt ? unit : NULL;
}

/* --- what takes longer than it should --- */

void mf_unit_ask_back(struct mf_client *client, const struct mf_unit *unit)
{
    struct mf_record record = {
        .kind = MF_RECORD_RECALL, .unit = unit->id, .attempt = unit->attempt};

    mf_record_put(mf_station_frame(client, unit->station, sizeof(record)), &record, NULL, 0);
}

/* Calls for one rank alone are of use to another slot of it only, and would but lose their order.
 */
static bool can_go_elsewhere(const struct mf_client *client, const struct mf_unit *unit)
{
    const struct mf_worker *worker;

    if (unit->target == 0)
        return true;
    worker = mf_workers_find(mf_farm_workers(client->farm), unit->target);
    return worker && worker->n_committed < worker->n_slots;
}

void mf_units_split(struct mf_client *client)
{
    const struct mf_workers *workers = mf_farm_workers(client->farm);

    /* What frees a slot asks again. */
    if (workers->n_free == 0 || mf_book_n_ready(client->book) > 0) {
        client->may_split = false;
        return;
    }
    if (client->now_ns < client->next_split_ns) {
        client->may_split = true;
        return;
    }
    client->next_split_ns = client->now_ns + SPLIT_AFTER_NS;
    client->may_split = false;
    for (uint32_t i = 0; i < client->n_units; i++) {
        struct mf_unit *unit = client->units[i];

        if (!unit || !unit->station || unit->is_recalled || unit->n_calls - unit->n_reported < 2 ||
            !can_go_elsewhere(client, unit))
            continue;
        if (client->now_ns - unit->sent_ns < SPLIT_AFTER_NS) {
            client->may_split = true;
            continue;
        }
        unit->is_recalled = true;
        mf_unit_ask_back(client, unit);
    }
}

/* --- coming back --- */

static void give_back(struct mf_client *client, uint32_t number, bool is_suspect)
{
    if (number == MF_NO_CALL)
        return;
    mf_book_at(client->book, number)->is_alone |= is_suspect;
    mf_book_return(client->book, number);
}

/* The last ones first, as each goes before those that are there. */
void mf_unit_dissolve(struct mf_client *client, struct mf_unit *unit, bool is_suspect)
{
    if (unit->stretch)
        mf_book_return_stretch(client->book, unit->stretch, is_suspect);
    for (uint32_t i = unit->n_calls; i > unit->n_reported && !unit->stretch; i--)
        give_back(client, unit->calls[i - 1], is_suspect);
    if (unit->has_detached)
        give_back(client, unit->detached, is_suspect);
    unit->stretch = NULL;
    unit->has_detached = false;
    unit->n_calls = unit->n_reported;
}

/* The call that a server was in when it disappeared, or one of those behind it. */
static void suspect(struct mf_client *client, struct mf_unit *unit)
{
    uint32_t number = mf_unit_next(client, unit);

    if (number != MF_NO_CALL)
        mf_book_lose(client->book, number, CRASH_LIMIT, MPIFARM_CAUSE_LOST,
                     "the ranks that ran it disappeared");
    mf_unit_step(unit);
}

/* Units are run in the order in which they were sent, one for each slot. */
void mf_units_lose(struct mf_client *client, const struct mf_station *station)
{
    const struct mf_worker *worker = mf_workers_find(mf_farm_workers(client->farm), station->rank);
    uint32_t n_running = station->n_slots;

    mf_list_for_each (node, &worker->tasks) {
        const struct mf_task *task = mf_container_of(node, struct mf_task, node);
        struct mf_unit *unit = client->units[task->spec.cookie];

        bool was_running = unit->n_reported < unit->n_calls && n_running > 0;

        if (was_running)
            suspect(client, unit);
        n_running -= was_running;
        mf_unit_dissolve(client, unit, was_running);
        unit->station = NULL;
    }
}

void mf_units_hand_over_input(struct mf_client *client, uint32_t number)
{
    struct mf_booking *booking = mf_book_at(client->book, number);
    struct mf_station *station = client->units[booking->unit]->station;
    uint64_t id;

    if (!station || booking->size <= MF_CALL_LARGE_BYTES)
        return;
    id = mf_book_task_id(client->book, number);
    if (booking->extra && booking->extra->is_borrowed) {
        mf_outbox_copy_rest(&station->outbox, id);
        return;
    }
    if (!mf_outbox_hand_over(&station->outbox, id, free, booking->bytes))
        return;
    booking->is_on_heap = false;
    booking->size = 0;
}

/* --- how far ahead servers are supplied --- */

/* What is sent ahead behind a long call cannot be had back, so that it would end unevenly. */
int64_t mf_units_turnaround_ns(const struct mf_client *client)
{
    if (client->are_calls_short && client->turnaround_ns < client->ahead_ns)
        return client->ahead_ns;
    return client->turnaround_ns;
}

void mf_units_note_idle(struct mf_client *client, const struct mf_unit *unit, int64_t idle_ns)
{
    if (!unit->is_hungry)
        return;
    client->are_calls_short = unit->n_calls >= MANY_CALLS &&
                              mf_book_duration_ns(client->book, unit->function) <= SHORT_CALL_NS;
    /* Up at once when a server ran dry although there was work, down slowly. */
    if (idle_ns > 0)
        client->turnaround_ns +=
            (idle_ns < MF_NS_PER_MS ? idle_ns : MF_NS_PER_MS) / (4 * (int64_t)client->n_stations);
    else
        client->turnaround_ns -= client->turnaround_ns / 64;
    if (client->turnaround_ns < MIN_TURNAROUND_NS)
        client->turnaround_ns = MIN_TURNAROUND_NS;
    if (client->turnaround_ns > MAX_TURNAROUND_NS)
        client->turnaround_ns = MAX_TURNAROUND_NS;
}
