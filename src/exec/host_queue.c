/*
 * Which unit of a host caller goes to which seat: see host_caller_parts.h.
 *
 * A seat gets its next unit while it has less than a fraction of a millisecond
 * to do: so short units follow each other without a pause, and a long one keeps
 * no other from a free seat.
 */
#include "exec/host_caller_parts.h"

#include "base/clock.h"

/* An executor that has more to do than this gets no further unit. */
#define AHEAD_NS (300 * MF_NS_PER_US)

static struct mf_host_unit *find_in(const struct mf_list *list, uint64_t number, uint32_t attempt)
{
    mf_list_for_each (node, list) {
        struct mf_host_unit *unit = mf_container_of(node, struct mf_host_unit, node);

        if (unit->unit == number && unit->attempt == attempt)
            return unit;
    }
    return NULL;
}

struct mf_host_unit *mf_host_caller_find(struct mf_host_caller *caller, uint64_t number,
                                         uint32_t attempt, struct mf_seat **ret_seat)
{
    struct mf_host_unit *unit = find_in(&caller->queue, number, attempt);

    *ret_seat = NULL;
    for (uint32_t i = 0; i < caller->n_seats && !unit; i++) {
        unit = find_in(&caller->seats[i]->units, number, attempt);
        *ret_seat = caller->seats[i];
    }
    return unit;
}

static bool wants_unit(const struct mf_host_caller *caller, struct mf_seat *seat)
{
    const struct mf_host_unit *last;

    if (!mf_seat_is_ready(seat) || seat->is_leaving)
        return false;
    if (mf_list_is_empty(&seat->units))
        return true;
    last = mf_container_of(seat->units.prev, struct mf_host_unit, node);
    return last->n_sent == last->n_calls &&
           seat->n_outstanding * (uint64_t)caller->call_ns < AHEAD_NS;
}

static struct mf_seat *choose_seat(struct mf_host_caller *caller, const struct mf_host_unit *unit)
{
    struct mf_seat *best = NULL;

    for (uint32_t i = 0; i < caller->n_seats; i++) {
        struct mf_seat *seat = caller->seats[i];

        if (seat->slot == 0 || (unit->slot != 0 && unit->slot != seat->slot))
            continue;
        if (wants_unit(caller, seat) && (!best || seat->n_outstanding < best->n_outstanding))
            best = seat;
    }
    return best;
}

/* A unit that waits behind another goes to a seat that has none, if it has not begun. */
static void relieve(struct mf_host_caller *caller, struct mf_seat *seat)
{
    struct mf_host_unit *last;

    if (seat->units.next == seat->units.prev)
        return;
    last = mf_container_of(seat->units.prev, struct mf_host_unit, node);
    if (last->is_recalled || last->is_sending || last->n_reported > 0 || last->slot != 0)
        return;
    mf_seat_revoke(seat, last);
    if (last->n_sent > 0)
        return;
    mf_list_remove(&last->node);
    seat->n_outstanding -= last->n_calls;
    mf_list_push_back(&caller->queue, &last->node);
}

static bool has_idle_seat(struct mf_host_caller *caller)
{
    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (caller->seats[i]->slot != 0 && mf_seat_is_ready(caller->seats[i]) &&
            mf_list_is_empty(&caller->seats[i]->units))
            return true;
    return false;
}

/* Gives out the first units of the queue; one that waits for its slot lets others pass. */
static bool empty_queue(struct mf_host_caller *caller)
{
    bool has_sent = false;

    mf_list_for_each_safe (node, &caller->queue) {
        struct mf_host_unit *unit = mf_container_of(node, struct mf_host_unit, node);
        struct mf_seat *seat = choose_seat(caller, unit);

        if (!seat && unit->slot == 0)
            break;
        if (!seat)
            continue;
        mf_list_remove(node);
        mf_list_push_back(&seat->units, node);
        seat->n_outstanding += unit->n_calls;
        has_sent |= mf_seat_send(seat);
    }
    return has_sent;
}

bool mf_host_caller_hand_out(struct mf_host_caller *caller)
{
    bool has_sent = false;

    for (uint32_t i = 0; i < caller->n_seats; i++)
        has_sent |= mf_seat_send(caller->seats[i]);
    for (uint32_t i = 0; i < caller->n_seats && caller->n_seats > 1; i++)
        if (mf_list_is_empty(&caller->queue) && has_idle_seat(caller))
            relieve(caller, caller->seats[i]);
    return has_sent | empty_queue(caller);
}
