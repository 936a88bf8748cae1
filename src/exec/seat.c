/*
 * One slot of a host caller and the process that serves it, what goes out: see
 * host_caller_parts.h.
 *
 * Records are written as the ring has room, from where their bytes are: a
 * portion from its unit, a large input from its memory.
 */
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct mf_seat *mf_seat_create(struct mf_host_caller *caller, uint32_t index, uint32_t pinned_to)
{
    struct mf_seat *seat = malloc(sizeof(*seat));

    if (!seat)
        return NULL;
    *seat = (struct mf_seat){
        .caller = caller, .index = index, .pinned_to = pinned_to, .wake_ns = INT64_MAX};
    mf_list_init(&seat->units);
    return seat;
}

static void end_sending(struct mf_seat *seat)
{
    struct mf_host_unit *unit = seat->sending;

    seat->sending = NULL;
    seat->head_left = seat->body_left = 0;
    if (!unit)
        return;
    unit->is_sending = false;
    if (unit->is_over)
        mf_host_unit_end(unit);
}

void mf_seat_finish_life(struct mf_seat *seat)
{
    end_sending(seat);
    seat->input_of = NULL;
    free(seat->large.data);
    seat->large = (struct mf_seat_large){0};
    mf_buffer_clear(&seat->in);
    seat->in_done = 0;
    mf_host_finish(&seat->host);
}

void mf_seat_destroy(struct mf_seat *seat)
{
    struct mf_list *node;

    mf_seat_finish_life(seat);
    while ((node = mf_list_pop_front(&seat->units)))
        mf_host_unit_end(mf_container_of(node, struct mf_host_unit, node));
    mf_buffer_finish(&seat->in);
    mf_buffer_finish(&seat->text);
    free(seat);
}

static void put_fork(struct mf_seat *seat)
{
    struct mf_channel *channel = &seat->caller->channel;
    const struct mf_host_slot *slot = &seat->caller->slots[seat->pinned_to - 1];
    struct mf_buffer *body = mf_channel_begin(channel, MF_NURSERY_FORK);

    mf_buffer_put_u32(body, seat->index);
    mf_buffer_put_u32(body, seat->life);
    mf_buffer_put_u32(body, slot->n_cpus);
    for (uint32_t i = 0; i < slot->n_cpus; i++)
        mf_buffer_put_u32(body, slot->cpus[i]);
    mf_channel_end(channel);
}

int mf_seat_give_birth(struct mf_seat *seat)
{
    int fds[2] = {-1, fcntl(seat->caller->bell_fd, F_DUPFD_CLOEXEC, 0)};
    int result;

    if (fds[1] < 0)
        return -errno;
    mf_seat_finish_life(seat);
    result = mf_host_create(&seat->host, seat->caller->bell_fd, &fds[0]);
    if (result < 0) {
        mf_close(&fds[1]);
        return result;
    }
    mf_host_ask_for_bell(&seat->host);
    seat->life++;
    seat->pid = 0;
    seat->is_alive = true;
    seat->is_ready = seat->is_leaving = false;
    seat->is_asked = seat->has_yielded = false;
    seat->yielded_ns = 0;
    seat->has_died = seat->is_unborn = seat->is_damaged = seat->lacks_memory = seat->is_killed =
        seat->is_watched = false;
    seat->first_portion = seat->next_portion = 1;
    seat->n_notices = 0;
    seat->n_ended = seat->doomed = 0;
    seat->watch = (struct mf_seat_watch){0};
    seat->memory = (struct mf_seat_memory){0};
    seat->retry_ns = 0;
    seat->progress = 0;
    seat->still_ns = seat->looked_ns = 0;
    seat->wake_ns = INT64_MAX;
    put_fork(seat);
    return mf_channel_attach(&seat->caller->channel, fds, 2);
}

bool mf_seat_is_ready(struct mf_seat *seat)
{
    /* Once is enough: later some function may write nonsense there. */
    if (!seat->is_ready && seat->is_alive)
        seat->is_ready =
            atomic_load_explicit(&seat->host.memory->stage, memory_order_acquire) == MF_HOST_READY;
    return seat->is_ready;
}

bool mf_seat_is_finishing(struct mf_seat *seat)
{
    return atomic_load_explicit(&seat->host.memory->stage, memory_order_acquire) ==
           MF_HOST_FINISHING;
}

/* --- sending --- */

static void begin_record(struct mf_seat *seat, uint32_t kind, uint64_t number, const void *body,
                         size_t size)
{
    seat->head.record = (struct mf_host_record){.kind = kind, .number = number, .size = size};
    seat->head_size = seat->head_left = sizeof(seat->head.record);
    seat->body = body;
    seat->body_left = size;
}

static void begin_notice(struct mf_seat *seat)
{
    const struct mf_host_notice *notice = &seat->caller->notices[seat->n_notices++];

    mf_buffer_clear(&seat->text);
    if (notice->is_there) {
        mf_buffer_put_u64(&seat->text, notice->size);
        mf_buffer_append(&seat->text, &notice->place, sizeof(notice->place));
    }
    begin_record(seat, notice->is_there ? MF_HOST_ATTACH : MF_HOST_DROP, notice->block,
                 seat->text.data, seat->text.size);
}

static struct mf_host_unit *find_unsent(struct mf_seat *seat)
{
    mf_list_for_each (node, &seat->units) {
        struct mf_host_unit *unit = mf_container_of(node, struct mf_host_unit, node);

        if (unit->n_sent < unit->n_calls && !unit->is_recalled)
            return unit;
    }
    return NULL;
}

static void begin_unit_record(struct mf_seat *seat, struct mf_host_unit *unit, uint32_t kind,
                              uint64_t number, const void *body, size_t size)
{
    begin_record(seat, kind, number, body, size);
    seat->sending = unit;
    unit->is_sending = true;
}

/* A part of a stretch is a stretch. */
static void put_stretch(struct mf_seat *seat, const struct mf_host_unit *unit,
                        const struct mf_host_cut *cut)
{
    struct mf_call call;
    size_t n;

    mf_host_unit_look(unit, cut, 0, &call);
    call.details.n_more = cut->n_calls - 1;
    n = mf_call_put_head(seat->head.stretch, &call);
    seat->head_size = seat->head_left = sizeof(seat->head.record) + n;
    seat->head.record.size += n;
}

static void begin_portion(struct mf_seat *seat, struct mf_host_unit *unit,
                          const struct mf_host_cut *cut)
{
    uint64_t number = seat->next_portion++;

    seat->portions[number % MF_HOST_PORTIONS] = (struct mf_seat_portion){.unit = unit, .cut = *cut};
    seat->is_watched |= cut->has_limit || cut->unwanted;
    unit->n_sent += cut->n_calls;
    unit->sent_bytes += cut->bytes;
    mf_host_offer(&seat->host, number, cut->unwanted);
    begin_unit_record(seat, unit, MF_HOST_PORTION, number, unit->calls + cut->offset, cut->bytes);
    seat->head.record.n_calls = cut->n_calls;
    if (unit->is_stretch)
        put_stretch(seat, unit, cut);
}

/* Returns whether there was anything to begin, and room for it in the table. */
static bool begin_next(struct mf_seat *seat)
{
    struct mf_host_unit *unit;
    struct mf_host_cut cut;

    if (seat->n_notices < seat->caller->n_notices) {
        begin_notice(seat);
        return true;
    }
    if (seat->next_portion - seat->first_portion == MF_HOST_PORTIONS || !(unit = find_unsent(seat)))
        return false;
    mf_host_unit_cut(unit, &cut);
    if (cut.large && cut.large->data && !cut.unwanted && seat->input_of != unit) {
        struct mf_call call;

        mf_host_unit_look(unit, &cut, 0, &call);
        begin_unit_record(seat, unit, MF_HOST_INPUT, call.task, cut.large->data, cut.large->size);
        seat->input_of = unit;
        return true;
    }
    seat->input_of = NULL;
    begin_portion(seat, unit, &cut);
    return true;
}

static size_t write_part(struct mf_ring *ring, const void *data, size_t left)
{
    size_t part = left < mf_ring_room(ring) ? left : mf_ring_room(ring);

    if (part > 0)
        mf_ring_write(ring, data, part);
    return part;
}

/* Returns whether all of the record was written. */
static bool write_record(struct mf_seat *seat)
{
    struct mf_ring *ring = &seat->host.to;
    const uint8_t *head = (const uint8_t *)&seat->head;

    if (mf_ring_room(ring) < seat->head_left + seat->body_left && !mf_ring_look_for_room(ring))
        seat->is_damaged = true;
    if (seat->is_damaged)
        return false;
    seat->head_left -= write_part(ring, head + seat->head_size - seat->head_left, seat->head_left);
    if (seat->head_left == 0) {
        size_t part = write_part(ring, seat->body, seat->body_left);

        seat->body_left -= part;
        seat->body += part;
    }
    return seat->head_left + seat->body_left == 0;
}

bool mf_seat_send(struct mf_seat *seat)
{
    uint64_t before = seat->host.to.own;

    if (!seat->is_alive || seat->has_died || seat->is_damaged)
        return false;
    do {
        if (seat->head_left + seat->body_left > 0 && !write_record(seat))
            break;
        end_sending(seat);
    } while (begin_next(seat));
    if (seat->host.to.own == before)
        return false;
    mf_ring_publish(&seat->host.to);
    mf_host_wake(&seat->host);
    return true;
}

/* --- portions --- */

static struct mf_seat_portion *portion_at(struct mf_seat *seat, uint64_t number)
{
    return &seat->portions[number % MF_HOST_PORTIONS];
}

struct mf_seat_portion *mf_seat_front(struct mf_seat *seat)
{
    return seat->first_portion < seat->next_portion ? portion_at(seat, seat->first_portion) : NULL;
}

void mf_seat_pop(struct mf_seat *seat)
{
    if (++seat->first_portion == seat->next_portion)
        seat->is_watched = false;
}

void mf_seat_revoke(struct mf_seat *seat, struct mf_host_unit *unit)
{
    if (seat->input_of == unit)
        seat->input_of = NULL;
    for (uint64_t number = seat->next_portion; number-- > seat->first_portion;) {
        struct mf_seat_portion *portion = portion_at(seat, number);

        if (portion->unit != unit)
            continue;
        /* Those before this one are older: they have begun too. */
        if (!mf_host_revoke(&seat->host, number))
            break;
        unit->n_sent = portion->cut.first;
        unit->sent_bytes = portion->cut.offset;
        portion->unit = NULL;
    }
}

void mf_seat_recall(struct mf_seat *seat, struct mf_host_unit *unit)
{
    unit->is_recalled = true;
    mf_seat_revoke(seat, unit);
    if (unit->n_sent == unit->n_reported) {
        mf_seat_tell_returned(seat, unit);
        return;
    }
    for (uint64_t number = seat->first_portion; number < seat->next_portion; number++) {
        if (portion_at(seat, number)->unit != unit)
            continue;
        portion_at(seat, number)->is_stopping = true;
        atomic_store_explicit(&mf_host_portion(&seat->host, number)->should_stop, 1,
                              memory_order_relaxed);
    }
}

void mf_seat_cancel(struct mf_seat *seat, const struct mf_host_unit *unit, uint32_t index)
{
    for (uint64_t number = seat->first_portion; number < seat->next_portion; number++) {
        struct mf_seat_portion *portion = portion_at(seat, number);
        uint32_t bit = index - portion->cut.first;

        if (portion->unit != unit || (index != MF_EVERY_CALL && bit >= portion->cut.n_calls))
            continue;
        portion->cut.unwanted |= index == MF_EVERY_CALL ? UINT64_MAX : UINT64_C(1) << bit;
        atomic_store_explicit(&mf_host_portion(&seat->host, number)->unwanted,
                              portion->cut.unwanted, memory_order_relaxed);
        seat->is_watched = true;
        seat->wake_ns = 0;
        /* To end it needs no slot. */
        if (seat->has_yielded)
            mf_seat_go_on(seat);
    }
}
