/*
 * New tasks of the book. See book.h. Owned by the book's owner, one thread.
 */
#include "core/book_private.h"

#include <errno.h>
#include <stdlib.h>

static int join_group(struct mf_book *book, uint32_t group, uint64_t n)
{
    void *place;

    if (group == 0)
        return 0;
    if (mf_table_insert(book->groups, &group, &place) < 0)
        return -ENOMEM;
    *(uint64_t *)place += n;
    return 0;
}

static bool needs_extra(const struct mf_book *book, const struct mf_order *order)
{
    return order->priority || order->timeout_ns || order->rank || order->hearer.hear ||
           order->n_after || (order->max_attempts && order->max_attempts != book->max_attempts);
}

static int fill_extra(struct mf_book *book, struct mf_booking *booking,
                      const struct mf_order *order)
{
    struct mf_booking_extra *extra;

    if (!needs_extra(book, order))
        return 0;
    extra =
        order->hearer.hear ? mf_book_need_hearer(book, booking) : mf_book_need_extra(book, booking);
    if (!extra)
        return -ENOMEM;
    if (order->hearer.hear)
        extra->hearer[0] = order->hearer;
    extra->timeout_ns = order->timeout_ns;
    extra->priority = order->priority;
    extra->rank = order->rank;
    if (order->max_attempts)
        extra->max_attempts = order->max_attempts;
    return 0;
}

static int add_successor(struct mf_book *book, struct mf_booking *booking, mf_ticket successor)
{
    struct mf_booking_rare *rare = mf_book_need_rare(book, booking);
    uint32_t capacity;
    void *grown;

    if (!rare)
        return -ENOMEM;
    if (rare->n_successors == rare->successors_capacity) {
        capacity = rare->successors_capacity ? 2 * rare->successors_capacity : 4;
        grown = reallocarray(rare->successors, capacity, sizeof(*rare->successors));
        if (!grown)
            return -ENOMEM;
        rare->successors = grown;
        rare->successors_capacity = capacity;
    }
    rare->successors[rare->n_successors++] = successor;
    return 0;
}

/*
 * Lets the task wait for those that are not done, and be given the results of all. What was linked
 * stays so when this fails: the ticket is then one of no task.
 *
 * Returns 0; 1 if one of them has ended and is not done; -ESTALE or -ENOMEM.
 */
static int wait_for(struct mf_book *book, struct mf_booking *booking, mf_ticket ticket,
                    const struct mf_order *order)
{
    struct mf_booking_rare *rare = mf_book_need_rare(book, booking);
    int is_skipped = 0;

    if (!rare || order->n_after > UINT32_MAX)
        return -ENOMEM;
    rare->predecessors = calloc(order->n_after, sizeof(*rare->predecessors));
    if (!rare->predecessors)
        return -ENOMEM;
    for (size_t i = 0; i < order->n_after; i++) {
        struct mf_booking *before = mf_bookings_find(&book->bookings, order->after[i]);
        int r;

        if (!before || before == booking)
            return -ESTALE;
        r = mf_book_note_taker(book, before, order->after[i], booking);
        if (r < 0)
            return r;
        if (mf_task_state_is_final((enum mf_task_state)before->state)) {
            is_skipped |= before->state != MF_TASK_DONE;
            continue;
        }
        r = add_successor(book, before, ticket);
        if (r < 0)
            return r;
        rare->n_waiting_for++;
    }
    return is_skipped;
}

static void begin(struct mf_book *book, uint32_t number, bool is_skipped)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    booking->state = MF_TASK_WAITING;
    book->by_state[MF_TASK_WAITING] += mf_booking_count(booking);
    book->n_added += mf_booking_count(booking);
    if (is_skipped)
        mf_book_conclude(book, number, MF_TASK_SKIPPED);
    else if (!mf_booking_rare(booking) || mf_booking_rare(booking)->n_waiting_for == 0)
        mf_book_make_ready(book, number, false);
}

/* Nothing is to be kept of it but what every task has, and nothing awaited. */
static bool is_plain(const struct mf_book *book, const struct mf_order *order)
{
    return order->group == 0 && !needs_extra(book, order);
}

/* The bytes of a task, or those of a range, which has them already. Returns 0 or -ENOMEM. */
static int keep_input(struct mf_book *book, struct mf_booking *booking,
                      const struct mf_order *order, struct mf_range *range)
{
    if (!range)
        return mf_booking_keep_bytes(booking, order->input, order->size, false);
    if (!mf_book_need_rare(book, booking))
        return -ENOMEM;
    booking->extra->rare->range = range;
    booking->size = order->size;
    return 0;
}

int mf_book_add_booking(struct mf_book *book, const struct mf_order *order, struct mf_range *range,
                        mf_ticket *ret_ticket)
{
    uint32_t number;
    struct mf_booking *booking = mf_bookings_add(&book->bookings, &number);
    mf_ticket ticket;
    int r;

    if (!booking)
        return -ENOMEM;
    ticket = mf_booking_ticket(booking, number);
    *booking = (struct mf_booking){
        .generation = booking->generation,
        .delivery = (uint16_t)order->delivery & 3,
        .is_held = order->is_held,
        .function = order->function,
        .tag = order->tag,
    };
    r = fill_extra(book, booking, order);
    if (r == 0 && order->n_after > 0)
        r = wait_for(book, booking, ticket, order);
    if (r >= 0 && join_group(book, order->group, range ? range->n : 1) < 0)
        r = -ENOMEM;
    if (r >= 0) {
        booking->group = order->group;
        if (keep_input(book, booking, order, range) < 0) {
            mf_book_leave_group(book, order->group, range ? range->n : 1);
            r = -ENOMEM;
        }
    }
    if (r < 0) {
        mf_book_forget(book, number);
        return r;
    }
    *ret_ticket = ticket;
    begin(book, number, r > 0);
    return 0;
}

static int add_any(struct mf_book *book, const struct mf_order *order, mf_ticket *ret_ticket)
{
    return mf_book_add_booking(book, order, NULL, ret_ticket);
}

/*
 * As add_any() of a plain order, which is what most are. Its fields are
 * written together, as each bit of its own would cost as much as all.
 */
static int add_plain(struct mf_book *book, const struct mf_order *order, mf_ticket *ret_ticket)
{
    uint32_t number;
    struct mf_booking *booking = mf_bookings_add(&book->bookings, &number);

    if (!booking)
        return -ENOMEM;
    *booking = (struct mf_booking){
        .generation = booking->generation,
        .state = MF_TASK_READY,
        .delivery = (uint16_t)order->delivery & 3,
        .is_held = order->is_held,
        .function = order->function,
        .tag = order->tag,
    };
    if (mf_booking_keep_bytes(booking, order->input, order->size, false) < 0 ||
        mf_ready_put(&book->ready, number, false) < 0) {
        mf_book_forget(book, number);
        return -ENOMEM;
    }
    book->by_state[MF_TASK_READY]++;
    book->n_added++;
    *ret_ticket = mf_booking_ticket(booking, number);
    return 0;
}

int mf_book_add(struct mf_book *book, const struct mf_order *order, mf_ticket *ret_ticket)
{
    return is_plain(book, order) ? add_plain(book, order, ret_ticket)
                                 : add_any(book, order, ret_ticket);
}

int mf_book_add_array(struct mf_book *book, const struct mf_order *first, size_t n,
                      mf_ticket *ret_tickets, size_t *ret_n)
{
    int (*add)(struct mf_book * book, const struct mf_order *order, mf_ticket *ret_ticket) =
        is_plain(book, first) ? add_plain : add_any;
    struct mf_order order = *first;
    int r = 0;

    for (*ret_n = 0; *ret_n < n; ++*ret_n) {
        r = add(book, &order, &ret_tickets[*ret_n]);
        if (r < 0)
            break;
        order.tag++;
        if (order.size > 0)
            order.input = (const uint8_t *)order.input + order.size;
    }
    return r;
}
