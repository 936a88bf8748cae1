/*
 * Tasks that are booked as one: see range.h. Owned by the book's owner, one
 * thread.
 *
 * Each element is in one of four places, and counted there: in a stretch that
 * waits, in one that is out, as a task of its own, or ended.
 */
#include "core/range.h"

#include "core/book_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Above all tickets, so that no task has the number of an element. */
#define FIRST_ELEMENT ((uint64_t)MF_BOOKING_GENERATIONS << 32)

/* --- stretches --- */

static struct mf_stretch *make_stretch(uint64_t first, uint64_t n)
{
    struct mf_stretch *stretch = malloc(sizeof(*stretch));

    if (!stretch)
        return NULL;
    *stretch = (struct mf_stretch){.range = MF_NO_RANGE, .first = first, .n = n};
    mf_list_init(&stretch->node);
    return stretch;
}

static void destroy_stretch(struct mf_stretch *stretch)
{
    mf_list_remove(&stretch->node);
    free(stretch);
}

struct mf_stretch *mf_stretch_cut(struct mf_stretch *stretch, uint64_t n)
{
    struct mf_stretch *front;

    if (n == stretch->n) {
        mf_list_remove(&stretch->node);
        return stretch;
    }
    front = make_stretch(stretch->first, n);
    if (!front)
        return NULL;
    front->is_alone = stretch->is_alone;
    stretch->first += n;
    stretch->n -= n;
    return front;
}

/* A stretch goes before those that wait, and becomes one with its neighbour. */
static void put_first(struct mf_range *range, struct mf_stretch *stretch)
{
    struct mf_stretch *next;

    if (!mf_list_is_empty(&range->waiting)) {
        next = mf_container_of(range->waiting.next, struct mf_stretch, node);
        if (stretch->first + stretch->n == next->first && stretch->is_alone == next->is_alone) {
            stretch->n += next->n;
            destroy_stretch(next);
        }
    }
    mf_list_push_front(&range->waiting, &stretch->node);
}

/* The first n elements are not in the stretch any more; an empty one belongs to nothing. */
static void drop_first(struct mf_stretch *stretch, struct mf_range *range, uint64_t n)
{
    stretch->first += n;
    stretch->n -= n;
    range->n_placed -= n;
    if (stretch->n > 0)
        return;
    mf_list_remove(&stretch->node);
    stretch->range = MF_NO_RANGE;
}

/* --- life --- */

static void drop_waiting(struct mf_range *range)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(&range->waiting)))
        free(mf_container_of(node, struct mf_stretch, node));
}

void mf_range_destroy(struct mf_range *range)
{
    if (!range)
        return;
    drop_waiting(range);
    /* Those that are out are with their units, which may outlive the book. */
    while (mf_list_pop_front(&range->out))
        continue;
    if (range->is_owned)
        free((void *)range->inputs);
    free(range);
}

/* Returns 0 or -ENOMEM. */
static int copy_inputs(struct mf_range *range, const struct mf_order *order)
{
    uint8_t *inputs;

    range->inputs = NULL;
    if (order->size == 0)
        return 0;
    inputs = reallocarray(NULL, range->n, order->size);
    if (!inputs)
        return -ENOMEM;
    memcpy(inputs, order->input, range->n * order->size);
    range->inputs = inputs;
    range->is_owned = true;
    return 0;
}

static struct mf_range *make_range(const struct mf_order *order, uint64_t n,
                                   const struct mf_range_results *results)
{
    struct mf_range *range = calloc(1, sizeof(*range));

    if (!range)
        return NULL;
    mf_list_init(&range->waiting);
    mf_list_init(&range->out);
    range->n = range->n_ready = n;
    range->inputs = order->input;
    if (results) {
        range->has_results = true;
        range->results = results->data;
        range->result_size = results->size;
    } else if (copy_inputs(range, order) < 0) {
        mf_range_destroy(range);
        return NULL;
    }
    return range;
}

int mf_book_add_range(struct mf_book *book, const struct mf_order *order, uint64_t n,
                      const struct mf_range_results *results, mf_ticket *ret_ticket)
{
    struct mf_range *range = make_range(order, n, results);
    struct mf_stretch *all = make_stretch(0, n);
    int r = -ENOMEM;

    if (range && all) {
        range->first_id = FIRST_ELEMENT + book->n_elements;
        mf_list_push_back(&range->waiting, &all->node);
        all = NULL;
        r = mf_book_add_booking(book, order, range, ret_ticket);
    }
    if (r < 0) {
        free(all);
        mf_range_destroy(range);
        return r;
    }
    book->n_elements += n;
    return 0;
}

void mf_range_end(struct mf_range *range)
{
    range->n_not_done += range->n_ready;
    range->n_ready = 0;
    drop_waiting(range);
}

/* Once nothing of it is left, a range is over. */
static void look_if_over(struct mf_book *book, uint32_t number)
{
    const struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    const struct mf_range *range = mf_booking_range(booking);

    if (mf_task_state_is_final((enum mf_task_state)booking->state))
        mf_book_forget_if_unwanted(book, number);
    else if (range->n_ready + range->n_placed + range->n_detached == 0)
        mf_book_conclude(book, number, MF_TASK_DONE);
}

/* --- coming back --- */

void mf_range_take_back(struct mf_book *book, struct mf_booking *booking)
{
    struct mf_range *range = mf_booking_range(booking);
    struct mf_list *node;

    while ((node = mf_list_pop_front(&range->out)))
        mf_container_of(node, struct mf_stretch, node)->range = MF_NO_RANGE;
    book->by_state[MF_TASK_PLACED] -= range->n_placed;
    book->by_state[booking->state] += range->n_placed;
    range->n_ready += range->n_placed;
    range->n_placed = 0;
}

void mf_book_return_stretch(struct mf_book *book, struct mf_stretch *stretch, bool is_suspect)
{
    uint32_t number = stretch->range;
    struct mf_booking *booking;
    struct mf_range *range;

    mf_list_remove(&stretch->node);
    if (number == MF_NO_RANGE) {
        free(stretch);
        return;
    }
    booking = mf_bookings_at(&book->bookings, number);
    range = mf_booking_range(booking);
    stretch->is_alone |= is_suspect;
    range->n_placed -= stretch->n;
    range->n_ready += stretch->n;
    if (booking->state == MF_TASK_READY) {
        book->by_state[MF_TASK_PLACED] -= stretch->n;
        book->by_state[MF_TASK_READY] += stretch->n;
        mf_ready_add(&book->ready, number, (int64_t)stretch->n);
        put_first(range, stretch);
    } else {
        put_first(range, stretch);
        mf_book_make_ready(book, number, true);
    }
}

static bool is_too_long(const struct mf_range *range, size_t size)
{
    return range->has_results && size > range->result_size;
}

/* Puts n results to their places, filled up with zeros. */
static void keep_results(struct mf_range *range, uint64_t first, uint64_t n, const uint8_t *bytes,
                         size_t size)
{
    uint8_t *place = range->results;

    if (!range->has_results || range->result_size == 0)
        return;
    place += first * range->result_size;
    if (size == range->result_size) {
        memcpy(place, bytes, n * size);
        return;
    }
    for (; n > 0; n--, place += range->result_size, bytes += size) {
        mf_copy(place, bytes, size);
        memset(place + size, 0, range->result_size - size);
    }
}

void mf_book_end_elements(struct mf_book *book, struct mf_stretch *stretch, uint64_t n,
                          const uint8_t *results, size_t size)
{
    uint32_t number = stretch->range;
    struct mf_booking *booking;
    struct mf_range *range;

    if (number == MF_NO_RANGE) {
        stretch->first += n;
        stretch->n -= n;
        return;
    }
    booking = mf_bookings_at(&book->bookings, number);
    range = mf_booking_range(booking);
    book->by_state[MF_TASK_PLACED] -= n;
    if (is_too_long(range, size)) {
        book->by_state[MF_TASK_FAILED] += n;
        range->n_not_done += n;
    } else {
        book->by_state[MF_TASK_DONE] += n;
        keep_results(range, stretch->first, n, results, size);
    }
    mf_book_leave_group(book, booking->group, n);
    drop_first(stretch, range, n);
    look_if_over(book, number);
}

/* --- elements as tasks --- */

/* Like the range, with what its element number `element` has. Returns NULL when memory is out. */
static struct mf_booking_extra *make_extra(const struct mf_booking *range, mf_ticket ticket,
                                           uint64_t element)
{
    struct mf_booking_extra *extra = calloc(1, sizeof(*extra));
    struct mf_booking_rare *rare = extra ? calloc(1, sizeof(*rare)) : NULL;

    if (!rare) {
        free(extra);
        return NULL;
    }
    extra->timeout_ns = range->extra->timeout_ns;
    extra->priority = range->extra->priority;
    extra->max_attempts = range->extra->max_attempts;
    extra->rank = range->extra->rank;
    extra->rare = rare;
    rare->range_of = ticket;
    rare->element = element;
    return extra;
}

/* The range outlives its elements, so what is not small stays there. */
static void borrow_input(struct mf_booking *booking, const struct mf_range *range, size_t size)
{
    const uint8_t *input = size > 0 ? range->inputs + booking->extra->rare->element * size : NULL;

    booking->size = size;
    if (size <= MF_BOOKING_SMALL) {
        mf_copy(booking->small, input, size);
        return;
    }
    booking->bytes = (uint8_t *)input;
    booking->is_on_heap = true;
    booking->extra->is_borrowed = true;
}

/* A task like the range's element number `element`. Returns its number, or MF_BOOKING_NONE. */
static uint32_t make_task(struct mf_book *book, uint32_t range_number, uint64_t element,
                          uint32_t unit)
{
    const struct mf_booking *of = mf_bookings_at(&book->bookings, range_number);
    struct mf_booking_extra *extra = make_extra(of, mf_book_ticket(book, range_number), element);
    struct mf_booking *booking;
    uint32_t number;

    booking = extra ? mf_bookings_add(&book->bookings, &number) : NULL;
    if (!booking) {
        free(extra ? extra->rare : NULL);
        free(extra);
        return MF_BOOKING_NONE;
    }
    *booking = (struct mf_booking){
        .generation = booking->generation,
        .state = MF_TASK_PLACED,
        .delivery = MF_DELIVER_NONE,
        .function = of->function,
        .tag = of->tag + element,
        .group = of->group,
        .unit = unit,
        .extra = extra,
    };
    borrow_input(booking, mf_booking_range(of), of->size);
    if (of->extra->rare->n_predecessors > 0 && mf_book_gather_for(book, of, booking) < 0) {
        mf_book_forget(book, number);
        return MF_BOOKING_NONE;
    }
    return number;
}

uint32_t mf_book_detach(struct mf_book *book, struct mf_stretch *stretch, uint32_t unit)
{
    uint32_t number = make_task(book, stretch->range, stretch->first, unit);
    uint32_t range_number = stretch->range;
    struct mf_booking *booking = mf_bookings_at(&book->bookings, range_number);
    struct mf_range *range = mf_booking_range(booking);

    drop_first(stretch, range, 1);
    if (number != MF_BOOKING_NONE) {
        range->n_detached++;
        return number;
    }
    book->by_state[MF_TASK_PLACED]--;
    book->by_state[MF_TASK_FAILED]++;
    range->n_not_done++;
    mf_book_leave_group(book, booking->group, 1);
    look_if_over(book, range_number);
    return MF_BOOKING_NONE;
}

static struct mf_range *range_of(const struct mf_book *book, const struct mf_booking *booking)
{
    return mf_booking_range(
        mf_bookings_at(&book->bookings, (uint32_t)booking->extra->rare->range_of));
}

bool mf_range_has_room(const struct mf_book *book, const struct mf_booking *booking, size_t size)
{
    return !is_too_long(range_of(book, booking), size);
}

void mf_range_keep_result(struct mf_book *book, const struct mf_booking *booking, const void *bytes,
                          size_t size)
{
    keep_results(range_of(book, booking), booking->extra->rare->element, 1, bytes, size);
}

void mf_range_end_detached(struct mf_book *book, mf_ticket range_ticket, bool is_done)
{
    uint32_t number = (uint32_t)range_ticket;
    struct mf_range *range = mf_booking_range(mf_bookings_at(&book->bookings, number));

    range->n_detached--;
    range->n_not_done += !is_done;
    look_if_over(book, number);
}

uint64_t mf_book_task_id(const struct mf_book *book, uint32_t number)
{
    const struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    if (!rare || !rare->range_of)
        return mf_booking_ticket(booking, number);
    return range_of(book, booking)->first_id + rare->element;
}
