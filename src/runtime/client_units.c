/*
 * Tasks into units, and units to servers. Runs in rank 0's only thread.
 *
 * A unit is made as late as possible, when a server has room for it, so that
 * what is urgent goes first and what is known of the functions' durations is
 * fresh. It takes about a tenth of a millisecond: long against what a message
 * costs, short against what an uneven end costs. Where servers are supplied far
 * ahead it takes longer, as they could not change their minds sooner anyway.
 */
#include "runtime/client_private.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long a unit should take, at least and at most: a part of what servers are supplied ahead. */
#define UNIT_NS (100 * MF_NS_PER_US)
#define LONGEST_UNIT_NS (500 * MF_NS_PER_US)
#define UNITS_PER_SUPPLY 8

/*
 * A rank that runs a function cannot give back what was sent to it behind that:
 * where calls take this long, or nobody knows how long, nothing is sent ahead.
 */
#define LONG_NS (5.0 * MF_NS_PER_MS)

/* Bytes of calls in a unit: it should leave in one eager frame, with its header. */
#define UNIT_BYTES (MF_FRAME_EAGER_BYTES - sizeof(struct mf_record) - 8)

/* Units that the farm knows beyond those that servers have room for. */
#define UNITS_AHEAD 2

/* Units that may wait aside, each for another server than the one that has room. */
#define MAX_ASIDE 256

/* Units of tasks for one rank alone that it has beyond one for each slot. */
#define UNITS_PER_TARGET 2

static const struct mf_unit_limits unit_limits = {
    .n_calls = MF_CALLS_PER_STRETCH,
    .n_bytes = UNIT_BYTES,
    .call_bytes = sizeof(struct mf_call_header),
    .details_bytes = sizeof(struct mf_call_details),
    .run_bytes = MF_STRETCH_HEAD_BYTES,
    .large_bytes = MF_CALL_LARGE_BYTES,
};

/* --- the units there are --- */

static int grow(struct mf_client *client)
{
    uint32_t n = client->n_units ? 2 * client->n_units : 64;
    struct mf_unit **units = reallocarray(client->units, n, sizeof(struct mf_unit *));
    uint32_t *free_units;

    if (!units)
        return -ENOMEM;
    client->units = units;
    free_units = reallocarray(client->free_units, n, sizeof(*free_units));
    if (!free_units)
        return -ENOMEM;
    client->free_units = free_units;
    for (uint32_t i = n; i > client->n_units; i--) {
        units[i - 1] = NULL;
        free_units[client->n_free_units++] = i - 1;
    }
    client->n_units = n;
    return 0;
}

static void free_unit(struct mf_client *client, struct mf_unit *unit)
{
    if (unit->target != 0)
        mf_station_find(client, unit->target)->n_targeted--;
    client->units[unit->number] = NULL;
    client->free_units[client->n_free_units++] = unit->number;
    free(unit);
}

void mf_units_destroy(struct mf_client *client)
{
    for (uint32_t i = 0; i < client->n_units; i++) {
        if (client->units[i] && client->units[i]->stretch)
            mf_book_return_stretch(client->book, client->units[i]->stretch, false);
        free(client->units[i]);
    }
    free(client->units);
    free(client->free_units);
}

/* --- making units --- */

/*
 * What was taken for a unit.
 *
 * @stretch  elements of a range, else NULL
 * @calls    n_calls tasks, if there is no stretch; whether they are a run
 */
struct taken {
    struct mf_stretch *stretch;
    struct mf_run run;
    uint32_t n_calls;
    uint32_t calls[MF_CALLS_PER_UNIT];
};

static void give_back(struct mf_client *client, struct taken *taken)
{
    if (taken->stretch) {
        mf_book_return_stretch(client->book, taken->stretch, false);
        return;
    }
    while (taken->n_calls-- > 0)
        mf_book_return(client->book, taken->calls[taken->n_calls]);
}

/* What the farm has to know of a unit, whose first task or range is `number`. All fields that are
 * ever set are set each time: the others are as mf_client_create() has them. */
static void describe(const struct mf_client *client, const struct mf_unit *unit, uint32_t number,
                     struct mf_task_spec *spec)
{
    const struct mf_booking *booking = mf_book_at(client->book, number);
    const struct mf_booking_extra *extra = booking->extra;
    double duration_ns = mf_book_duration_ns(client->book, unit->function);

    spec->cookie = unit->number;
    spec->priority = mf_booking_priority(booking);
    spec->is_long = duration_ns < 0 || duration_ns >= LONG_NS;
    spec->has_target = extra && extra->rank != 0;
    spec->target = extra ? extra->rank : 0;
    spec->has_avoid = extra && extra->avoid != 0;
    spec->avoid = extra ? extra->avoid - 1 : 0;
}

static bool are_mixed(const struct mf_client *client, const struct taken *taken, uint16_t function)
{
    if (taken->stretch || taken->run.is_one)
        return false;
    for (uint32_t i = 1; i < taken->n_calls; i++)
        if (mf_book_at(client->book, taken->calls[i])->function != function)
            return true;
    return false;
}

/* A unit of what was taken, made known to the farm. Returns 0 or -ENOMEM. */
static int add_unit(struct mf_client *client, uint32_t number, const struct taken *taken)
{
    size_t size = taken->stretch ? 0 : taken->n_calls * sizeof(taken->calls[0]);
    uint32_t first = taken->stretch ? taken->stretch->range : taken->calls[0];
    struct mf_unit *unit = malloc(sizeof(*unit) + size);
    struct mf_task_spec *spec = &client->submitted.spec;

    if (!unit)
        return -ENOMEM;
    *unit = (struct mf_unit){
        .number = number, .n_calls = taken->n_calls, .run = taken->run, .stretch = taken->stretch};
    memcpy(unit->calls, taken->calls, size);
    unit->function = mf_book_at(client->book, first)->function;
    unit->is_mixed = are_mixed(client, taken, unit->function);
    describe(client, unit, first, spec);
    if (mf_client_apply(client, &client->submitted) < 0) {
        free(unit);
        return -ENOMEM;
    }
    unit->id = mf_farm_last_id(client->farm);
    if (spec->has_target) {
        unit->target = spec->target;
        mf_station_find(client, unit->target)->n_targeted++;
    }
    client->units[number] = unit;
    client->n_free_units--;
    return 0;
}

/* The calls that a unit may take without leaving others with nothing. */
static uint64_t fair_share(struct mf_client *client, uint32_t rank)
{
    if (rank == 0)
        return mf_book_n_ready(client->book) / (2 * (uint64_t)client->n_slots) + 1;
    return mf_book_n_ready_for(client->book, rank) /
               (2 * (uint64_t)mf_station_find(client, rank)->n_slots + 1) +
           1;
}

/* Memory is out: the next turn tries again. */
static int try_later(struct mf_client *client)
{
    client->is_stirred = true;
    return -ENOMEM;
}

/* What cannot travel in a stretch becomes a task: it is alone in this one. */
static void detach_special(struct mf_client *client, uint32_t unit, struct taken *taken)
{
    struct mf_stretch *stretch = taken->stretch;

    if (!mf_booking_must_detach(mf_book_at(client->book, stretch->range), MF_CALL_LARGE_BYTES))
        return;
    taken->calls[0] = mf_book_detach(client->book, stretch, unit);
    taken->n_calls = taken->calls[0] != MF_NO_CALL;
    taken->run.is_one = false;
    taken->stretch = NULL;
    mf_book_return_stretch(client->book, stretch, false);
}

static int64_t unit_duration_ns(const struct mf_client *client)
{
    int64_t duration_ns = mf_units_turnaround_ns(client) / UNITS_PER_SUPPLY;

    if (duration_ns > LONGEST_UNIT_NS)
        return LONGEST_UNIT_NS;
    return duration_ns < UNIT_NS ? UNIT_NS : duration_ns;
}

/* Takes what is next for a unit. Returns 0 or -ENOMEM. */
static int take(struct mf_client *client, uint32_t rank, uint32_t unit, struct taken *ret_taken)
{
    uint64_t share = fair_share(client, rank);
    struct mf_unit_limits limits = unit_limits;
    int r;

    limits.duration_ns = unit_duration_ns(client);
    if (share < limits.n_calls)
        limits.n_calls = (uint32_t)share;
    ret_taken->stretch = mf_book_take_stretch(client->book, rank, &limits, &r);
    if (ret_taken->stretch) {
        ret_taken->n_calls = (uint32_t)ret_taken->stretch->n;
        ret_taken->run.is_one = false;
        detach_special(client, unit, ret_taken);
        return 0;
    }
    if (limits.n_calls > MF_CALLS_PER_UNIT)
        limits.n_calls = MF_CALLS_PER_UNIT;
    ret_taken->n_calls =
        r < 0 ? 0
              : mf_book_take(client->book, rank, &limits, unit, ret_taken->calls, &ret_taken->run);
    return r;
}

/*
 * The next unit, for one rank or, with rank 0, for any. Near the end of the work
 * units become smaller, so that all servers get a share of it.
 *
 * Returns 1, 0 when no task is ready, or -ENOMEM.
 */
static int make_unit(struct mf_client *client, uint32_t rank)
{
    struct taken taken;
    uint32_t number;
    int r;

    if (client->n_free_units == 0 && grow(client) < 0)
        return try_later(client);
    number = client->free_units[client->n_free_units - 1];
    r = take(client, rank, number, &taken);
    if (r == 0 && taken.n_calls == 0)
        return 0;
    if (r == 0) {
        r = add_unit(client, number, &taken);
        if (r < 0)
            give_back(client, &taken);
    }
    return r < 0 ? try_later(client) : 1;
}

/* Tasks for a rank that is gone can run nowhere. */
static void refuse_rank(struct mf_client *client, uint32_t rank)
{
    uint32_t number;

    while (mf_book_first(client->book, rank, &number))
        mf_book_refuse(client->book, number, MPIFARM_CAUSE_UNFIT,
                       "the rank that it must run on is gone");
}

/* Ranks with tasks for them alone that have room for more, or are gone: up to n. */
static uint32_t find_targets(struct mf_client *client, uint32_t *ranks, uint32_t n)
{
    const struct mf_workers *workers = mf_farm_workers(client->farm);
    size_t cursor = 0;
    uint32_t rank, n_found = 0;

    while (n_found < n && (rank = mf_book_next_rank(client->book, &cursor)) != 0) {
        const struct mf_worker *worker = mf_workers_find(workers, rank);

        if (!worker || worker->state != MF_WORKER_UP ||
            (mf_station_find(client, rank)->n_targeted < worker->n_slots + UNITS_PER_TARGET &&
             mf_worker_has_slot(workers, worker)))
            ranks[n_found++] = rank;
    }
    return n_found;
}

static void make_targeted_units(struct mf_client *client)
{
    uint32_t ranks[64];
    uint32_t n = find_targets(client, ranks, 64);

    for (uint32_t i = 0; i < n; i++) {
        const struct mf_station *station = mf_station_find(client, ranks[i]);

        if (!station || station->state != MF_STATION_UP)
            refuse_rank(client, ranks[i]);
        else
            make_unit(client, ranks[i]);
    }
}

/* Returns whether there are units that can be placed, or tasks to make them of. */
static bool make_units(struct mf_client *client)
{
    make_targeted_units(client);
    for (uint64_t n = mf_farm_n_ready(client->farm); n < client->n_aside + UNITS_AHEAD; n++)
        if (mf_book_n_ready(client->book) == 0 || make_unit(client, 0) < 0)
            return n > client->n_aside;
    return true;
}

bool mf_units_have_choice(const struct mf_client *client)
{
    const struct mf_workers *workers = mf_farm_workers(client->farm);

    return mf_book_n_ready(client->book) > 0 || mf_farm_n_ready(client->farm) > 0 ||
           (workers->n_surplus > 0 && workers->n_free > 0) || mf_book_has_ranks(client->book);
}

/* --- to the servers --- */

/* `call` is used for one after the other, as clearing it takes longer than most calls. */
static void put_call(struct mf_client *client, struct mf_buffer *frame, uint32_t number,
                     struct mf_call *call)
{
    const struct mf_booking *booking = mf_book_at(client->book, number);
    const struct mf_booking_extra *extra = booking->extra;
    size_t checkpoint_size;

    call->task = mf_book_task_id(client->book, number);
    call->function = booking->function;
    call->is_large = booking->size > MF_CALL_LARGE_BYTES;
    call->has_results = extra && extra->has_results;
    call->size = booking->size;
    call->input = mf_booking_bytes(booking);
    call->details.tag = booking->tag;
    call->details.group = booking->group;
    call->details.timeout_ns = extra ? extra->timeout_ns : 0;
    call->details.try_number = extra ? extra->tries + 1 : 1;
    call->checkpoint = mf_booking_checkpoint(booking, &checkpoint_size);
    call->details.checkpoint_size = checkpoint_size;
    mf_call_put(frame, call);
}

/* Calls that were withdrawn before the unit was sent do not travel. */
static void drop_withdrawn(struct mf_unit *unit)
{
    uint32_t n = 0;

    if (unit->stretch)
        return;
    for (uint32_t i = 0; i < unit->n_calls; i++)
        if (unit->calls[i] != MF_NO_CALL)
            unit->calls[n++] = unit->calls[i];
    unit->run.is_one &= n == unit->n_calls;
    unit->n_calls = n;
}

static size_t size_of_calls(const struct mf_client *client, const struct mf_unit *unit)
{
    size_t size = 0;

    if (unit->stretch)
        return MF_STRETCH_HEAD_BYTES +
               unit->n_calls * mf_book_at(client->book, unit->stretch->range)->size;
    if (unit->run.is_one)
        return MF_STRETCH_HEAD_BYTES +
               unit->n_calls * mf_book_at(client->book, unit->calls[0])->size;
    for (uint32_t i = 0; i < unit->n_calls; i++)
        size += mf_booking_call_bytes(mf_book_at(client->book, unit->calls[i]), &unit_limits);
    return size;
}

/* A large input goes ahead of its unit. Returns 0 or -ENOMEM. */
static int send_large(struct mf_client *client, struct mf_station *station,
                      const struct mf_unit *unit)
{
    const struct mf_booking *booking;

    if (unit->stretch || mf_book_at(client->book, unit->calls[0])->size <= MF_CALL_LARGE_BYTES)
        return 0;
    booking = mf_book_at(client->book, unit->calls[0]);
    mf_station_frame(client, station, 0);
    return mf_outbox_post_large(&station->outbox, mf_book_task_id(client->book, unit->calls[0]),
                                false, mf_booking_bytes(booking), booking->size, NULL, NULL);
}

static void put_calls(struct mf_client *client, struct mf_buffer *frame, const struct mf_unit *unit)
{
    struct mf_call call = {0};

    if (unit->stretch) {
        mf_unit_put_stretch(client, unit, frame);
        return;
    }
    if (unit->run.is_one) {
        mf_unit_put_run(client, unit, frame);
        return;
    }
    for (uint32_t i = 0; i < unit->n_calls; i++)
        put_call(client, frame, unit->calls[i], &call);
}

static void send_unit(struct mf_client *client, struct mf_unit *unit,
                      const struct mf_change *change)
{
    struct mf_station *station = mf_station_find(client, change->worker);
    struct mf_record record = {
        .kind = MF_RECORD_UNIT, .unit = unit->id, .attempt = change->attempt};
    struct mf_buffer *frame;
    size_t offset;

    drop_withdrawn(unit);
    record.number = unit->n_calls;
    unit->attempt = change->attempt;
    unit->station = station;
    unit->sent_ns = client->now_ns;
    unit->is_hungry = mf_book_n_ready(client->book) > 0;
    if (send_large(client, station, unit) < 0)
        station->outbox.error = -ENOMEM;
    frame =
        mf_station_frame(client, station, size_of_calls(client, unit) + sizeof(struct mf_record));
    offset = mf_record_begin(frame, &record);
    put_calls(client, frame, unit);
    mf_record_end(frame, offset);
}

static bool is_empty(const struct mf_unit *unit)
{
    if (unit->stretch)
        return unit->stretch->range == MF_NO_RANGE;
    for (uint32_t i = unit->n_reported; i < unit->n_calls; i++)
        if (unit->calls[i] != MF_NO_CALL)
            return false;
    return true;
}

/* A unit whose calls were all withdrawn, or went elsewhere, before it was sent. */
static void cancel_unit(struct mf_client *client, const struct mf_change *change)
{
    struct mf_event returned = {.kind = MF_EVENT_RETURNED,
                                .task = change->task,
                                .attempt = change->attempt,
                                .worker = change->worker};
    struct mf_event cancel = {.kind = MF_EVENT_CANCEL, .task = change->task};

    if (change->state == MF_TASK_PLACED)
        mf_client_apply(client, &returned);
    mf_client_apply(client, &cancel);
}

static void carry_out(struct mf_client *client, const struct mf_change *change)
{
    struct mf_unit *unit = client->units[change->cookie];
    bool is_sent = unit->station && unit->attempt == change->attempt;

    if (mf_task_state_is_final(change->state)) {
        mf_unit_dissolve(client, unit, false);
        free_unit(client, unit);
    } else if (!is_sent && is_empty(unit)) {
        cancel_unit(client, change);
    } else if (change->state == MF_TASK_PLACED && !is_sent) {
        send_unit(client, unit, change);
    } else if (change->state == MF_TASK_PLACED && change->wish == MF_WISH_RECALL) {
        mf_unit_ask_back(client, unit);
    }
}

static void carry_out_all(struct mf_client *client)
{
    struct mf_change change;

    while (mf_farm_next_change(client->farm, &change))
        carry_out(client, &change);
}

/* --- the turn --- */

/* Units that the farm did not place although some server has room: they wait for another one. */
static uint64_t count_aside(const struct mf_client *client)
{
    const struct mf_workers *workers = mf_farm_workers(client->farm);
    const struct mf_worker *least_loaded = mf_heap_top(&workers->by_load);

    if (!least_loaded || !mf_worker_has_slot(workers, least_loaded))
        return 0;
    return mf_farm_n_ready(client->farm);
}

void mf_units_turn(struct mf_client *client)
{
    bool has_more = true;

    client->is_stirred = false;
    client->tick.turnaround_ns = mf_units_turnaround_ns(client);
    carry_out_all(client);
    if (client->n_slots == 0)
        return;
    while (has_more && mf_units_have_choice(client)) {
        uint64_t n_aside = client->n_aside, n_ready;

        has_more = make_units(client);
        n_ready = mf_farm_n_ready(client->farm);
        mf_client_apply(client, &client->tick);
        carry_out_all(client);
        client->n_aside = count_aside(client);
        /* Until all that is left waits, and nothing more found a place or stood aside for others.
         */
        has_more &= mf_farm_n_ready(client->farm) == client->n_aside &&
                    (mf_farm_n_ready(client->farm) < n_ready ||
                     (client->n_aside > n_aside && n_aside < MAX_ASIDE));
    }
    mf_units_split(client);
}
