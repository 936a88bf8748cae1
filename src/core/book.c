/*
 * The book of function tasks: see book.h.
 *
 * A task that ends may let others begin, or skip them, and those others again:
 * such chains can be as long as the book, so they are worked off from a list
 * rather than by recursion.
 */
#include "core/book_private.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- lists of ended tasks --- */

static void push_ended(struct mf_book *book, struct mf_ended *ended, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    booking->next = MF_BOOKING_NONE;
    booking->prev = ended->last;
    if (ended->last == MF_BOOKING_NONE)
        ended->first = number;
    else
        mf_bookings_at(&book->bookings, ended->last)->next = number;
    ended->last = number;
}

static void remove_ended(struct mf_book *book, struct mf_ended *ended, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (booking->prev == MF_BOOKING_NONE)
        ended->first = booking->next;
    else
        mf_bookings_at(&book->bookings, booking->prev)->next = booking->next;
    if (booking->next == MF_BOOKING_NONE)
        ended->last = booking->prev;
    else
        mf_bookings_at(&book->bookings, booking->next)->prev = booking->prev;
}

static struct mf_ended *list_of(struct mf_book *book, unsigned delivery)
{
    if (delivery == MF_DELIVER_QUEUE)
        return &book->queued;
    return delivery == MF_DELIVER_CALLBACK ? &book->called_back : NULL;
}

/* --- one task --- */

static inline void move(struct mf_book *book, struct mf_booking *booking, enum mf_task_state to)
{
    uint64_t n = mf_booking_count(booking);

    book->by_state[booking->state] -= n;
    book->by_state[to] += n;
    mf_booking_set_state(booking, to);
}

static void drop_bytes(struct mf_booking *booking)
{
    if (booking->is_on_heap)
        free(booking->bytes);
    booking->is_on_heap = false;
    booking->size = 0;
}

int mf_booking_keep_bytes(struct mf_booking *booking, const void *bytes, size_t size, bool is_taken)
{
    uint8_t *kept;

    if (is_taken) {
        booking->bytes = (uint8_t *)bytes;
        booking->is_on_heap = true;
    } else if (size <= MF_BOOKING_SMALL) {
        mf_copy(booking->small, bytes, size);
    } else {
        kept = malloc(size);
        if (!kept)
            return -ENOMEM;
        memcpy(kept, bytes, size);
        booking->bytes = kept;
        booking->is_on_heap = true;
    }
    booking->size = size;
    return 0;
}

struct mf_booking_extra *mf_book_need_extra(struct mf_book *book, struct mf_booking *booking)
{
    if (!booking->extra) {
        booking->extra = calloc(1, sizeof(*booking->extra));
        if (booking->extra)
            booking->extra->max_attempts = book->max_attempts;
    }
    return booking->extra;
}

static void free_extra(struct mf_booking *booking)
{
    if (!booking->extra)
        return;
    free(booking->extra->successors);
    free(booking->extra->predecessors);
    free(booking->extra->checkpoint);
    mf_range_destroy(booking->extra->range);
    free(booking->extra);
    booking->extra = NULL;
}

void mf_book_forget(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    drop_bytes(booking);
    if (booking->extra)
        mf_book_let_go(book, booking);
    free_extra(booking);
    mf_bookings_remove(&book->bookings, number);
}

/* Whether other tasks are still to be given its result. */
static inline bool is_awaited(const struct mf_booking *booking)
{
    return booking->extra && booking->extra->n_takers > 0;
}

void mf_book_forget_if_unwanted(struct mf_book *book, uint32_t number)
{
    const struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    const struct mf_range *range = mf_booking_range(booking);

    if (booking->is_held || (list_of(book, booking->delivery) && !booking->is_heard) ||
        is_awaited(booking) || (range && range->n_detached > 0))
        return;
    mf_book_forget(book, number);
}

/* --- groups --- */

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

void mf_book_leave_group(struct mf_book *book, uint32_t group, uint64_t n)
{
    uint64_t *n_tasks;

    if (group == 0 || n == 0)
        return;
    n_tasks = mf_table_find(book->groups, &group);
    *n_tasks -= n;
    if (*n_tasks == 0)
        mf_table_remove(book->groups, &group);
}

uint64_t mf_book_group_size(const struct mf_book *book, uint32_t group)
{
    const uint64_t *n_tasks = mf_table_find(book->groups, &group);

    return n_tasks ? *n_tasks : 0;
}

/* --- ends, and what follows --- */

void mf_book_make_ready(struct mf_book *book, uint32_t number, bool is_first)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    move(book, booking, MF_TASK_READY);
    if (mf_ready_put(&book->ready, number, is_first) == 0)
        return;
    if (mf_booking_range(booking))
        mf_range_take_back(book, booking);
    drop_bytes(booking);
    booking->cause = MF_BOOK_OUT_OF_MEMORY;
    booking->code = 0;
    mf_book_conclude(book, number, MF_TASK_FAILED);
}

/* One of the tasks that it waits for has ended. */
static void hear_predecessor(struct mf_book *book, mf_ticket ticket, bool is_done)
{
    struct mf_booking *booking = mf_bookings_find(&book->bookings, ticket);
    uint32_t number = (uint32_t)ticket;

    if (!booking || booking->state != MF_TASK_WAITING)
        return;
    if (is_done) {
        if (--booking->extra->n_waiting_for == 0)
            mf_book_make_ready(book, number, false);
        return;
    }
    move(book, booking, MF_TASK_SKIPPED);
    booking->next = book->concluding;
    book->concluding = number;
}

/* Everything that follows from the end of one task, whose state is final. */
static void conclude_one(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    bool is_done = booking->state == MF_TASK_DONE;
    struct mf_ended *ended = list_of(book, booking->delivery);

    if (!is_done && booking->state != MF_TASK_FAILED)
        drop_bytes(booking);
    mf_book_leave_group(book, booking->group, mf_booking_count(booking));
    if (booking->extra) {
        for (uint32_t i = 0; i < booking->extra->n_successors; i++)
            hear_predecessor(book, booking->extra->successors[i], is_done);
        free(booking->extra->successors);
        free(booking->extra->checkpoint);
        booking->extra->successors = NULL;
        booking->extra->checkpoint = NULL;
        booking->extra->n_successors = booking->extra->successors_capacity = 0;
        booking->extra->checkpoint_size = 0;
        booking->extra->is_concluded = true;
        mf_book_let_go(book, booking);
        if (booking->extra->range)
            mf_range_end(booking->extra->range);
        if (booking->extra->range_of)
            mf_range_end_detached(book, booking->extra->range_of, is_done);
    }
    if (ended)
        push_ended(book, ended, number);
    mf_book_forget_if_unwanted(book, number);
}

/* What most tasks are: nothing follows from their end but that they may be asked for. */
static inline bool is_of_no_consequence(const struct mf_booking *booking)
{
    return !booking->extra && booking->group == 0 &&
           (booking->delivery == MF_DELIVER_FUTURE || booking->delivery == MF_DELIVER_NONE);
}

void mf_book_conclude(struct mf_book *book, uint32_t number, enum mf_task_state state)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    move(book, booking, state);
    booking->next = book->concluding;
    book->concluding = number;
    if (book->is_concluding)
        return;
    book->is_concluding = true;
    while (book->concluding != MF_BOOKING_NONE) {
        uint32_t next = book->concluding;

        book->concluding = mf_bookings_at(&book->bookings, next)->next;
        conclude_one(book, next);
    }
    book->is_concluding = false;
}

/* --- adding --- */

static bool needs_extra(const struct mf_book *book, const struct mf_order *order)
{
    return order->priority || order->timeout_ns || order->rank || order->hear || order->n_after ||
           (order->max_attempts && order->max_attempts != book->max_attempts);
}

static int fill_extra(struct mf_book *book, struct mf_booking *booking,
                      const struct mf_order *order)
{
    struct mf_booking_extra *extra;

    if (!needs_extra(book, order))
        return 0;
    extra = mf_book_need_extra(book, booking);
    if (!extra)
        return -ENOMEM;
    extra->timeout_ns = order->timeout_ns;
    extra->priority = order->priority;
    extra->rank = order->rank;
    extra->hear = order->hear;
    extra->hear_arg = order->hear_arg;
    if (order->max_attempts)
        extra->max_attempts = order->max_attempts;
    return 0;
}

static int add_successor(struct mf_book *book, struct mf_booking *booking, mf_ticket successor)
{
    struct mf_booking_extra *extra = mf_book_need_extra(book, booking);
    uint32_t capacity;
    void *grown;

    if (!extra)
        return -ENOMEM;
    if (extra->n_successors == extra->successors_capacity) {
        capacity = extra->successors_capacity ? 2 * extra->successors_capacity : 4;
        grown = reallocarray(extra->successors, capacity, sizeof(*extra->successors));
        if (!grown)
            return -ENOMEM;
        extra->successors = grown;
        extra->successors_capacity = capacity;
    }
    extra->successors[extra->n_successors++] = successor;
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
    int is_skipped = 0;

    if (order->n_after > UINT32_MAX)
        return -ENOMEM;
    booking->extra->predecessors = calloc(order->n_after, sizeof(*booking->extra->predecessors));
    if (!booking->extra->predecessors)
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
        booking->extra->n_waiting_for++;
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
    else if (!booking->extra || booking->extra->n_waiting_for == 0)
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
    if (!mf_book_need_extra(book, booking))
        return -ENOMEM;
    booking->extra->range = range;
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
    ticket = (mf_ticket)booking->generation << 32 | number;
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
    *ret_ticket = (mf_ticket)booking->generation << 32 | number;
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

/* --- coming back --- */

static void fail(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                 const void *message, size_t size)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    drop_bytes(booking);
    /* A failure without its message is still a failure. */
    (void)mf_booking_keep_bytes(booking, message, size, false);
    booking->cause = cause & 127;
    booking->code = code;
    mf_book_conclude(book, number, MF_TASK_FAILED);
}

static void try_again(struct mf_book *book, uint32_t number)
{
    mf_bookings_at(&book->bookings, number)->is_alone = true;
    book->n_retried++;
    mf_book_make_ready(book, number, true);
}

static void end_failed(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                       mf_worker_id worker, const void *message, size_t size)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);
    struct mf_booking_extra *extra = booking->extra;

    if (!extra && book->max_attempts > 1)
        extra = mf_book_need_extra(book, booking);
    if (extra) {
        extra->tries++;
        extra->avoid = worker + 1;
        if (extra->tries < extra->max_attempts) {
            try_again(book, number);
            return;
        }
    }
    fail(book, number, cause, code, message, size);
}

int mf_book_end(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                mf_worker_id worker, const void *bytes, size_t size, bool is_taken)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (cause != 0) {
        end_failed(book, number, cause, code, worker, bytes, size);
        if (is_taken)
            free((void *)bytes);
        return 0;
    }
    drop_bytes(booking);
    if (!booking->is_held && booking->delivery == MF_DELIVER_NONE && !is_awaited(booking)) {
        if (booking->extra && booking->extra->range_of)
            mf_range_keep_result(book, booking, bytes, size);
        if (is_taken)
            free((void *)bytes);
    } else if (mf_booking_keep_bytes(booking, bytes, size, is_taken) < 0) {
        fail(book, number, MF_BOOK_OUT_OF_MEMORY, 0, NULL, 0);
        return -ENOMEM;
    }
    if (!is_of_no_consequence(booking)) {
        mf_book_conclude(book, number, MF_TASK_DONE);
        return 0;
    }
    move(book, booking, MF_TASK_DONE);
    if (!booking->is_held)
        mf_book_forget(book, number);
    return 0;
}

void mf_book_return(struct mf_book *book, uint32_t number)
{
    mf_book_make_ready(book, number, true);
}

void mf_book_lose(struct mf_book *book, uint32_t number, uint32_t limit, uint8_t cause,
                  const char *message)
{
    struct mf_booking_extra *extra =
        mf_book_need_extra(book, mf_bookings_at(&book->bookings, number));

    if (!extra || ++extra->n_lost >= limit)
        fail(book, number, cause, 0, message, strlen(message) + 1);
    else
        try_again(book, number);
}

/* What is to end is not READY any more, and nothing of it is out. */
static void leave_lists(struct mf_book *book, uint32_t number)
{
    struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

    if (booking->state == MF_TASK_READY)
        mf_ready_remove(&book->ready, number);
    if (mf_booking_range(booking))
        mf_range_take_back(book, booking);
}

void mf_book_refuse(struct mf_book *book, uint32_t number, uint8_t cause, const char *message)
{
    leave_lists(book, number);
    fail(book, number, cause, 0, message, strlen(message) + 1);
}

void mf_book_cancel(struct mf_book *book, uint32_t number)
{
    leave_lists(book, number);
    mf_book_conclude(book, number, MF_TASK_CANCELLED);
}

int mf_book_checkpoint(struct mf_book *book, uint32_t number, const void *bytes, size_t size)
{
    struct mf_booking_extra *extra =
        mf_book_need_extra(book, mf_bookings_at(&book->bookings, number));
    uint8_t *kept = NULL;

    if (!extra)
        return -ENOMEM;
    if (size > 0) {
        kept = malloc(size);
        if (!kept)
            return -ENOMEM;
        memcpy(kept, bytes, size);
    }
    free(extra->checkpoint);
    extra->checkpoint = kept;
    extra->checkpoint_size = size;
    return 0;
}

/* --- hearing and releasing --- */

int mf_book_hear(struct mf_book *book, enum mf_delivery delivery, mf_ticket *ret_ticket)
{
    struct mf_ended *ended = list_of(book, delivery);
    struct mf_booking *booking;

    if (ended->first == MF_BOOKING_NONE)
        return 0;
    *ret_ticket = mf_book_ticket(book, ended->first);
    booking = mf_bookings_at(&book->bookings, ended->first);
    remove_ended(book, ended, ended->first);
    booking->is_heard = true;
    booking->is_held = true;
    return 1;
}

int mf_book_release(struct mf_book *book, mf_ticket ticket)
{
    struct mf_booking *booking = mf_bookings_find(&book->bookings, ticket);
    struct mf_ended *ended;

    if (!booking || !booking->is_held)
        return -ESTALE;
    ended = list_of(book, booking->delivery);
    booking->is_held = false;
    booking->delivery = MF_DELIVER_NONE;
    if (!mf_task_state_is_final((enum mf_task_state)booking->state))
        return 0;
    if (ended && !booking->is_heard)
        remove_ended(book, ended, (uint32_t)ticket);
    mf_book_forget_if_unwanted(book, (uint32_t)ticket);
    return 0;
}

/* --- questions --- */

struct mf_booking *mf_book_find(const struct mf_book *book, mf_ticket ticket)
{
    return mf_bookings_find(&book->bookings, ticket);
}

struct mf_booking *mf_book_at(const struct mf_book *book, uint32_t number)
{
    return mf_bookings_at(&book->bookings, number);
}

mf_ticket mf_book_ticket(const struct mf_book *book, uint32_t number)
{
    return (mf_ticket)mf_bookings_at(&book->bookings, number)->generation << 32 | number;
}

int mf_book_next(const struct mf_book *book, uint64_t *cursor, uint32_t *ret_number)
{
    uint64_t end = (uint64_t)book->bookings.n_chunks * MF_BOOKINGS_PER_CHUNK;

    while (*cursor < end) {
        uint32_t number = (uint32_t)*cursor;

        if (!book->bookings.chunks[number / MF_BOOKINGS_PER_CHUNK]) {
            *cursor += MF_BOOKINGS_PER_CHUNK - *cursor % MF_BOOKINGS_PER_CHUNK;
            continue;
        }
        ++*cursor;
        if (mf_bookings_at(&book->bookings, number)->generation != 0) {
            *ret_number = number;
            return 1;
        }
    }
    return 0;
}

void mf_book_count(const struct mf_book *book, struct mf_book_counts *ret_counts)
{
    *ret_counts = (struct mf_book_counts){.submitted = book->n_added, .retried = book->n_retried};
    memcpy(ret_counts->by_state, book->by_state, sizeof(book->by_state));
    for (int i = 0; i < MF_TASK_DONE; i++)
        ret_counts->unfinished += book->by_state[i];
}

/* --- life --- */

int mf_book_create(uint32_t max_attempts, struct mf_book **ret_book)
{
    struct mf_book *book = calloc(1, sizeof(*book));
    int r;

    if (!book)
        return -ENOMEM;
    book->max_attempts = max_attempts;
    book->concluding = MF_BOOKING_NONE;
    book->queued = book->called_back = (struct mf_ended){MF_BOOKING_NONE, MF_BOOKING_NONE};
    mf_bookings_init(&book->bookings);
    r = mf_ready_init(&book->ready, &book->bookings);
    if (r == 0)
        r = mf_table_create(sizeof(uint32_t), sizeof(uint64_t), &book->groups);
    if (r < 0)
        mf_book_destroy(book);
    else
        *ret_book = book;
    return r;
}

void mf_book_destroy(struct mf_book *book)
{
    uint64_t cursor = 0;
    uint32_t number;

    if (!book)
        return;
    while (mf_book_next(book, &cursor, &number)) {
        drop_bytes(mf_bookings_at(&book->bookings, number));
        free_extra(mf_bookings_at(&book->bookings, number));
    }
    mf_ready_finish(&book->ready);
    mf_bookings_finish(&book->bookings);
    mf_table_destroy(book->groups);
    free(book->paces);
    free(book);
}
