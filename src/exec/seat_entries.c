/*
 * What an executor process sends, as events: see host_caller_parts.h.
 *
 * Bytes are copied out of the shared memory before they are looked at, so that
 * nobody can change what was checked. What cannot be marks the seat as damaged,
 * which ends the process.
 *
 * An executor tells of each call by itself, so that nothing is lost when it dies.
 * From here on results that are alike share an entry, which whoever gets them
 * takes in at once.
 */
#include "exec/host_caller_parts.h"

#include "base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A buffer that grew beyond this is freed when it is empty. */
#define KEPT_BYTES (2 * MF_HOST_RING_BYTES)

/* More than a process can have spent in a portion is nonsense that it wrote there. */
#define MAX_DURATION_NS (INT64_C(1000000) * MF_NS_PER_S)

/* No process has that much memory for a result. */
#define MAX_LARGE_BYTES (UINT64_C(1) << 39)

/**
 * Entries of n_calls calls of the oldest portion, from first up to end: where they came, but closer
 * together.
 *
 * @n_open    results in the last of them, which is at `open` and has open_size bytes of each; 0
 * when it can take no more
 * @call_at   where the entries of the next call begin: what is before it is whole
 * @at        where the next entry begins
 */
struct gathered {
    size_t first, end;
    uint32_t n_calls;
    uint32_t n_open;
    size_t open, open_size;
    size_t call_at, at;
};

static void tell(struct mf_seat *seat, struct mf_caller_event *event,
                 const struct mf_host_unit *unit)
{
    event->unit = unit->unit;
    event->attempt = unit->attempt;
    seat->caller->config.heard(seat->caller->config.arg, event);
}

/* --- ends of portions and units --- */

static void end_unit(struct mf_seat *seat, struct mf_host_unit *unit)
{
    seat->n_outstanding -= unit->n_calls - unit->n_reported;
    mf_list_remove(&unit->node);
    if (seat->input_of == unit)
        seat->input_of = NULL;
    seat->is_asked = false;
    mf_host_unit_end(unit);
}

void mf_seat_tell_returned(struct mf_seat *seat, struct mf_host_unit *unit)
{
    struct mf_caller_event event = {.kind = MF_CALLER_RETURNED};

    tell(seat, &event, unit);
    end_unit(seat, unit);
}

/* The oldest portion will tell nothing any more. */
static void end_portion(struct mf_seat *seat)
{
    struct mf_seat_portion portion = *mf_seat_front(seat);
    struct mf_host_unit *unit = portion.unit;

    mf_seat_pop(seat);
    if (!unit)
        return;
    if (portion.cut.large) {
        free(portion.cut.large->data);
        portion.cut.large->data = NULL;
    }
    unit->reported_bytes = portion.cut.offset + portion.cut.bytes;
    if (unit->n_reported == unit->n_calls)
        end_unit(seat, unit);
    else if (unit->is_recalled && (!mf_seat_front(seat) || mf_seat_front(seat)->unit != unit))
        mf_seat_tell_returned(seat, unit);
}

/* --- telling --- */

static int64_t believe_ns(int64_t time_ns)
{
    return time_ns < 0 || time_ns > MAX_DURATION_NS ? 0 : time_ns;
}

static void set_times(struct mf_seat *seat, struct mf_seat_portion *portion,
                      struct mf_caller_event *event)
{
    struct mf_host_portion *shared = mf_host_portion(&seat->host, seat->first_portion);
    int64_t duration_ns =
        believe_ns(atomic_load_explicit(&shared->duration_ns, memory_order_relaxed));

    if (duration_ns > portion->told_ns)
        event->duration_ns = duration_ns - portion->told_ns;
    portion->told_ns += event->duration_ns;
    if (portion->unit->n_reported == event->n_calls)
        event->idle_ns = believe_ns(atomic_load_explicit(&shared->idle_ns, memory_order_relaxed));
}

static void estimate(struct mf_host_caller *caller, const struct mf_caller_event *event)
{
    if (event->duration_ns > 0)
        caller->call_ns = (3 * caller->call_ns + event->duration_ns / event->n_calls) / 4;
}

/* The calls are counted before. */
static void tell_entries(struct mf_seat *seat, const uint8_t *entries, size_t size,
                         uint32_t n_calls)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_caller_event event = {
        .kind = MF_CALLER_ENTRIES,
        .n_calls = n_calls,
        .is_last = portion->unit->n_reported == portion->unit->n_calls,
        .entries = entries,
        .size = size,
    };

    set_times(seat, portion, &event);
    estimate(seat->caller, &event);
    tell(seat, &event, portion->unit);
}

/* Nothing is gathered; what comes next is at `at`. */
static void begin_at(struct gathered *gathered, size_t at)
{
    gathered->first = gathered->end = gathered->call_at = at;
    gathered->n_calls = gathered->n_open = 0;
}

/* Completes the entry that results alike shared. */
static void close_entry(struct mf_seat *seat, struct gathered *gathered)
{
    if (gathered->n_open > 1)
        mf_entry_share(seat->in.data + gathered->open, gathered->n_open, gathered->open_size);
    gathered->n_open = 0;
}

static void flush(struct mf_seat *seat, struct gathered *gathered)
{
    close_entry(seat, gathered);
    if (gathered->n_calls > 0)
        tell_entries(seat, seat->in.data + gathered->first, gathered->end - gathered->first,
                     gathered->n_calls);
    begin_at(gathered, gathered->call_at);
}

/* The entries of a call, the last of which has this header, are whole. */
static void gather(struct mf_seat *seat, struct gathered *gathered,
                   const struct mf_entry_header *header)
{
    uint8_t *end = seat->in.data + gathered->end;
    size_t n = gathered->at - gathered->call_at;
    bool is_plain = !header->cause && !header->flags && n == sizeof(*header) + header->size;

    if (is_plain && gathered->n_open > 0 && gathered->open_size == header->size) {
        memmove(end, seat->in.data + gathered->at - header->size, header->size);
        gathered->end += header->size;
        gathered->n_open++;
    } else {
        close_entry(seat, gathered);
        memmove(end, seat->in.data + gathered->call_at, n);
        gathered->n_open = is_plain;
        gathered->open = gathered->end;
        gathered->open_size = header->size;
        gathered->end += n;
    }
    gathered->call_at = gathered->at;
    gathered->n_calls++;
}

static void count_call(struct mf_seat *seat)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);

    portion->n_reported++;
    portion->unit->n_reported++;
    seat->n_outstanding--;
    seat->n_ended++;
}

void mf_seat_tell_entry(struct mf_seat *seat, enum mpifarm_cause cause, int code,
                        const char *message)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_entry_header header = {.size = (uint32_t)strlen(message),
                                     .kind = MF_ENTRY_RESULT,
                                     .cause = (uint8_t)cause,
                                     .code = code};
    uint8_t entry[sizeof(header) + 512];

    if (header.size > sizeof(entry) - sizeof(header))
        header.size = sizeof(entry) - sizeof(header);
    memcpy(entry, &header, sizeof(header));
    memcpy(entry + sizeof(header), message, header.size);
    count_call(seat);
    tell_entries(seat, entry, sizeof(header) + header.size, 1);
    if (portion->n_reported == portion->cut.n_calls)
        end_portion(seat);
}

/* --- entries --- */

/* The task of the call whose entries come next. */
static uint64_t find_task(const struct mf_seat_portion *portion)
{
    struct mf_call call;

    mf_host_unit_look(portion->unit, &portion->cut, portion->n_reported, &call);
    return call.task;
}

/* A large result was announced, and is told with the entry that comes now. */
static void tell_large(struct mf_seat *seat)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_caller_event event = {
        .kind = MF_CALLER_LARGE, .data = seat->large.data, .size = seat->large.size};

    event.task = find_task(portion);
    seat->large = (struct mf_seat_large){0};
    tell(seat, &event, portion->unit);
}

/* A call has ended; what came of it is whole. The bytes of a large result are the task, u64. */
static void on_result(struct mf_seat *seat, struct gathered *gathered,
                      const struct mf_entry_header *header, const uint8_t *data)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    bool is_large = header->flags & MF_CALL_IS_LARGE;
    bool is_lost = is_large && !seat->large.data;
    uint64_t task = 0;

    if (is_large)
        memcpy(&task, data, sizeof(task));
    if (!portion || !portion->unit || is_large != seat->large.is_there ||
        (is_large && task != find_task(portion))) {
        seat->is_damaged = true;
        return;
    }
    if (is_large ||
        gathered->end - gathered->first + gathered->at - gathered->call_at > MF_ENTRIES_BYTES)
        flush(seat, gathered);
    if (is_large && !is_lost)
        tell_large(seat);
    if (is_lost) {
        seat->large = (struct mf_seat_large){0};
        begin_at(gathered, gathered->at);
        mf_seat_tell_entry(seat, MPIFARM_CAUSE_MEMORY, 0, "no memory for its result in the rank");
        return;
    }
    gather(seat, gathered, header);
    count_call(seat);
    if (portion->n_reported == portion->cut.n_calls) {
        flush(seat, gathered);
        end_portion(seat);
    }
}

/* Data is malloc()ed, and taken. */
static void tell_checkpoint(struct mf_seat *seat, uint8_t *data, size_t size)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_caller_event event = {.kind = MF_CALLER_CHECKPOINT, .data = data, .size = size};

    if (!portion || !portion->unit) {
        seat->is_damaged = true;
        free(data);
        return;
    }
    event.index = portion->cut.first + portion->n_reported;
    event.task = find_task(portion);
    tell(seat, &event, portion->unit);
}

/* Without memory the one before it is as good as can be had. */
static void on_checkpoint(struct mf_seat *seat, const uint8_t *bytes, size_t size)
{
    uint8_t *data = malloc(size ? size : 1);

    if (!data)
        return;
    mf_copy(data, bytes, size);
    tell_checkpoint(seat, data, size);
}

/* A large checkpoint that is whole is told. */
static void look_at_large(struct mf_seat *seat)
{
    struct mf_seat_large large = seat->large;

    if (!large.is_checkpoint || large.left > 0)
        return;
    seat->large = (struct mf_seat_large){0};
    if (large.data)
        tell_checkpoint(seat, large.data, large.size);
}

/* Large bytes follow; what of them came together with this is taken at once. */
static void on_large(struct mf_seat *seat, struct gathered *gathered, const uint8_t *data,
                     bool is_checkpoint)
{
    struct mf_seat_large *large = &seat->large;
    uint64_t total;
    size_t part = seat->in.size - gathered->at;

    memcpy(&total, data, sizeof(total));
    if (total == 0 || total > (is_checkpoint ? MF_CHECKPOINT_MAX_BYTES : MAX_LARGE_BYTES) ||
        large->is_there) {
        seat->is_damaged = true;
        return;
    }
    *large = (struct mf_seat_large){.data = malloc(total),
                                    .size = total,
                                    .left = total,
                                    .is_there = true,
                                    .is_checkpoint = is_checkpoint};
    if (part > large->left)
        part = large->left;
    if (large->data)
        memcpy(large->data, seat->in.data + gathered->at, part);
    large->left -= part;
    gathered->at += part;
    look_at_large(seat);
}

/* Nobody needs to know of one that goes on at once. */
static void on_yielded(struct mf_seat *seat)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);
    struct mf_host_portion *shared = mf_host_portion(&seat->host, seat->first_portion);
    struct mf_caller_event event = {.kind = MF_CALLER_YIELDED};

    if (!portion || !portion->unit || !seat->is_asked) {
        seat->is_damaged = true;
        return;
    }
    event.duration_ns =
        believe_ns(atomic_load_explicit(&shared->duration_ns, memory_order_relaxed));
    if (mf_seat_note_yielded(seat))
        tell(seat, &event, portion->unit);
}

static void on_stopped(struct mf_seat *seat)
{
    struct mf_seat_portion *portion = mf_seat_front(seat);

    if (!portion || (portion->unit && !portion->is_stopping))
        seat->is_damaged = true;
    else
        end_portion(seat);
}

/* One of those that are not for others; they stand between the entries of calls. */
static void on_own_entry(struct mf_seat *seat, struct gathered *gathered,
                         const struct mf_entry_header *header, const uint8_t *data, bool is_between)
{
    if (!is_between) {
        seat->is_damaged = true;
        return;
    }
    flush(seat, gathered);
    if (header->kind == MF_HOST_ENTRY_LARGE || header->kind == MF_HOST_ENTRY_LARGE_CHECKPOINT)
        on_large(seat, gathered, data, header->kind == MF_HOST_ENTRY_LARGE_CHECKPOINT);
    else if (header->kind == MF_HOST_ENTRY_CHECKPOINT)
        on_checkpoint(seat, data, header->size);
    else if (header->kind == MF_HOST_ENTRY_YIELDED)
        on_yielded(seat);
    else
        on_stopped(seat);
    begin_at(gathered, gathered->at);
}

/* Whether the rank can go on when the bytes of this are here. */
static bool is_believable(const struct mf_entry_header *header)
{
    bool is_large = header->flags & MF_CALL_IS_LARGE;

    if (header->flags & ~MF_CALL_IS_LARGE || header->cause > MPIFARM_CAUSE_MEMORY ||
        header->n_more > 0)
        return false;
    if (header->kind != MF_ENTRY_RESULT && (header->flags || header->cause))
        return false;
    switch (header->kind) {
    case MF_ENTRY_RESULT:
        if (header->cause)
            return !is_large && header->size <= MF_CALL_MESSAGE_BYTES;
        return is_large ? header->size == sizeof(uint64_t) : header->size <= MF_CALL_LARGE_BYTES;
    case MF_ENTRY_CHILD:
        return header->size >= sizeof(struct mf_child) &&
               header->size <= sizeof(struct mf_child) + MF_CHILDREN_MAX_BYTES;
    case MF_HOST_ENTRY_LARGE:
    case MF_HOST_ENTRY_LARGE_CHECKPOINT:
        return header->size == sizeof(uint64_t);
    case MF_HOST_ENTRY_CHECKPOINT:
        return header->size <= MF_CALL_LARGE_BYTES;
    case MF_HOST_ENTRY_STOPPED:
    case MF_HOST_ENTRY_YIELDED:
        return header->size == 0;
    default:
        return false;
    }
}

/* What rank 0 would take for the fault of this rank. */
static void check_child(struct mf_seat *seat, const uint8_t *data)
{
    struct mf_child child;

    memcpy(&child, data, sizeof(child));
    if (child.function >= seat->caller->functions->n_items ||
        (child.delivery != MPIFARM_DELIVER_NONE && child.delivery != MPIFARM_DELIVER_QUEUE))
        seat->is_damaged = true;
}

static void handle_entry(struct mf_seat *seat, struct gathered *gathered,
                         const struct mf_entry_header *header, const uint8_t *data, bool is_between)
{
    if (header->kind == MF_ENTRY_RESULT)
        on_result(seat, gathered, header, data);
    else if (header->kind == MF_ENTRY_CHILD)
        check_child(seat, data);
    else
        on_own_entry(seat, gathered, header, data, is_between);
}

/* Children that came without their call are not looked at again. */
static void handle_entries(struct mf_seat *seat)
{
    struct gathered gathered = {.at = seat->in_done};
    struct mf_entry_header header;

    while (!seat->is_damaged && seat->in.size - gathered.at >= sizeof(header)) {
        const uint8_t *data = seat->in.data + gathered.at + sizeof(header);
        bool is_between = gathered.at == gathered.call_at;

        memcpy(&header, seat->in.data + gathered.at, sizeof(header));
        if (!is_believable(&header)) {
            seat->is_damaged = true;
            break;
        }
        if (header.size > seat->in.size - gathered.at - sizeof(header))
            break;
        gathered.at += sizeof(header) + header.size;
        handle_entry(seat, &gathered, &header, data, is_between);
    }
    flush(seat, &gathered);
    mf_buffer_consume(&seat->in, gathered.call_at);
    seat->in_done = gathered.at - gathered.call_at;
    if (seat->in.size == 0 && seat->in.capacity > KEPT_BYTES)
        mf_buffer_finish(&seat->in);
}

/* Takes n bytes of a large result or checkpoint, which are dropped if there is no memory for it. */
static void take_large(struct mf_seat *seat, size_t n)
{
    struct mf_seat_large *large = &seat->large;

    if (n > large->left)
        n = large->left;
    if (large->data)
        mf_ring_read(&seat->host.back, large->data + large->size - large->left, n);
    else
        seat->host.back.own += n;
    large->left -= n;
    look_at_large(seat);
}

bool mf_seat_take_entries(struct mf_seat *seat)
{
    struct mf_ring *ring = &seat->host.back;
    size_t n;

    if (!seat->is_alive || seat->is_damaged)
        return false;
    if (!mf_ring_look_for_bytes(ring)) {
        seat->is_damaged = true;
        return true;
    }
    if (mf_ring_filled(ring) == 0)
        return false;
    if (seat->large.left > 0)
        take_large(seat, mf_ring_filled(ring));
    n = mf_ring_filled(ring);
    if (n > 0 && mf_buffer_reserve(&seat->in, n) == 0) {
        mf_ring_read(ring, seat->in.data + seat->in.size, n);
        seat->in.size += n;
    }
    mf_ring_release(ring);
    mf_host_wake(&seat->host);
    if (mf_buffer_status(&seat->in) < 0)
        seat->is_damaged = seat->lacks_memory = true;
    handle_entries(seat);
    return true;
}
