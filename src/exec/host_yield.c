/*
 * Calls that yield at a checkpoint, and the processes that take their places:
 * see host_caller_parts.h.
 *
 * The process of a call that has yielded sleeps, and keeps all that the function
 * has. It leaves its slot to a spare process, of which there are as many as
 * calls have yielded at a time. One is asked for when a call is to yield; until
 * it is ready the call runs on, so that there is always somebody to serve a slot.
 */
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/clock.h"

#include <stdlib.h>

/* When there was no spare process to be had, another is asked for after this. */
#define SPARE_PAUSE_NS MF_NS_PER_S

/* --- seats and slots --- */

struct mf_seat *mf_host_caller_add_seat(struct mf_host_caller *caller, uint32_t pinned_to)
{
    struct mf_seat **seats =
        reallocarray(caller->seats, caller->n_seats + 1, sizeof(struct mf_seat *));
    struct mf_seat *seat;

    if (!seats)
        return NULL;
    caller->seats = seats;
    seat = mf_seat_create(caller, caller->n_seats, pinned_to);
    if (seat)
        seats[caller->n_seats++] = seat;
    return seat;
}

static void put_cpus(struct mf_buffer *body, const struct mf_host_slot *slot)
{
    mf_buffer_put_u32(body, slot->n_cpus);
    for (uint32_t i = 0; i < slot->n_cpus; i++)
        mf_buffer_put_u32(body, slot->cpus[i]);
}

/* The nursery knows that the process is still the one that is meant. */
static void move_to_slot(struct mf_seat *seat, uint32_t slot)
{
    struct mf_host_caller *caller = seat->caller;
    struct mf_buffer *body;

    seat->slot = slot;
    caller->slots[slot - 1].seat = seat;
    if (seat->pinned_to == slot)
        return;
    body = mf_channel_begin(&caller->channel, MF_NURSERY_PIN);
    mf_buffer_put_u32(body, seat->index);
    mf_buffer_put_u32(body, seat->life);
    put_cpus(body, &caller->slots[seat->pinned_to - 1]);
    put_cpus(body, &caller->slots[slot - 1]);
    mf_channel_end(&caller->channel);
    seat->pinned_to = slot;
}

/* --- spare processes --- */

/* Whether it has a process that nobody needs now, which may not be ready yet. */
static bool is_spare(const struct mf_seat *seat)
{
    return seat->slot == 0 && seat->is_alive && !seat->has_died && !seat->is_damaged &&
           !seat->is_killed && !seat->is_leaving && !seat->has_yielded &&
           mf_list_is_empty(&seat->units);
}

static struct mf_seat *find_spare(struct mf_host_caller *caller)
{
    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (is_spare(caller->seats[i]) && mf_seat_is_ready(caller->seats[i]))
            return caller->seats[i];
    return NULL;
}

/* Asks for another one, near a slot. Without memory for it, later. */
static void add_spare(struct mf_host_caller *caller, uint32_t slot, int64_t now_ns)
{
    struct mf_seat *seat = NULL;

    for (uint32_t i = 0; i < caller->n_seats && !seat; i++)
        if (caller->seats[i]->slot == 0 && !caller->seats[i]->is_alive)
            seat = caller->seats[i];
    if (seat)
        seat->pinned_to = slot;
    else
        seat = mf_host_caller_add_seat(caller, slot);
    if (!seat || mf_seat_give_birth(seat) < 0)
        caller->spare_ns = now_ns + SPARE_PAUSE_NS;
}

void mf_host_caller_lose_spare(struct mf_seat *seat, bool was_futile, int64_t now_ns)
{
    mf_seat_finish_life(seat);
    seat->has_died = seat->has_yielded = false;
    seat->wake_ns = INT64_MAX;
    if (was_futile)
        seat->caller->spare_ns = now_ns + SPARE_PAUSE_NS;
}

/* --- asking --- */

/* Whether the call that the seat of a slot runs is to yield, and was not asked yet. */
static bool is_to_ask(struct mf_seat *seat)
{
    const struct mf_seat_portion *portion = seat->is_alive ? mf_seat_front(seat) : NULL;

    return portion && portion->unit && portion->unit->should_yield && !seat->is_asked &&
           !portion->cut.unwanted;
}

static void ask(struct mf_seat *seat)
{
    seat->is_asked = true;
    mf_host_ask_to_yield(&seat->host, seat->first_portion);
}

static bool is_any_to_ask(struct mf_host_caller *caller)
{
    for (uint32_t i = 0; i < caller->n_slots; i++)
        if (is_to_ask(caller->slots[i].seat))
            return true;
    return false;
}

/* Spare processes that are not for a call that was asked, and are ready, or are to be. */
static void count_spares(struct mf_host_caller *caller, int64_t *ret_n_ready, int64_t *ret_n_coming)
{
    *ret_n_ready = *ret_n_coming = 0;
    for (uint32_t i = 0; i < caller->n_seats; i++) {
        struct mf_seat *seat = caller->seats[i];

        if (is_spare(seat))
            (*(mf_seat_is_ready(seat) ? ret_n_ready : ret_n_coming))++;
        *ret_n_ready -= seat->is_asked;
    }
}

bool mf_host_caller_ask_to_yield(struct mf_host_caller *caller, int64_t now_ns)
{
    int64_t n_ready, n_coming;
    bool has_asked = false;

    if (now_ns >= caller->spare_ns)
        caller->spare_ns = 0;
    if (!is_any_to_ask(caller))
        return false;
    count_spares(caller, &n_ready, &n_coming);
    for (uint32_t i = 0; i < caller->n_slots; i++) {
        struct mf_seat *seat = caller->slots[i].seat;

        if (!is_to_ask(seat))
            continue;
        if (n_ready-- > 0) {
            ask(seat);
            has_asked = true;
        } else if (n_coming-- <= 0 && caller->spare_ns == 0) {
            add_spare(caller, i + 1, now_ns);
        }
    }
    return has_asked;
}

/* --- yielding, and going on --- */

void mf_seat_go_on(struct mf_seat *seat)
{
    seat->has_yielded = false;
    seat->wake_ns = 0;
    mf_host_go_on(&seat->host, seat->first_portion);
}

bool mf_seat_note_yielded(struct mf_seat *seat)
{
    struct mf_seat *spare = find_spare(seat->caller);

    seat->is_asked = false;
    seat->has_yielded = true;
    /* The spare may have been killed meanwhile, and one that was cancelled is to end. */
    if (!spare || mf_seat_front(seat)->cut.unwanted) {
        mf_seat_go_on(seat);
        return false;
    }
    move_to_slot(spare, seat->slot);
    seat->slot = 0;
    return true;
}

void mf_host_caller_go_on(struct mf_host_caller *caller, uint64_t number, uint32_t attempt,
                          uint32_t slot)
{
    struct mf_seat *seat;
    struct mf_host_unit *unit = mf_host_caller_find(caller, number, attempt, &seat);

    if (!unit || !seat || !seat->has_yielded || slot - 1 >= caller->n_slots)
        return;
    unit->should_yield = false;
    unit->slot = slot;
    caller->slots[slot - 1].seat->slot = 0;
    move_to_slot(seat, slot);
    mf_seat_go_on(seat);
}
