/*
 * Tasks of the book into units: how long calls take, and how many may travel
 * together. See book.h. Owned by the book's owner, one thread.
 */
#include "core/book_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A run of so many is worth a unit, even if it could take more that is not of the run. */
#define FEWEST_IN_RUN 8

/* See believe(). */
#define MANY_CALLS 16
#define FAR_ABOVE 16
#define LEAST_NS 10

static const struct mf_pace *pace_of(const struct mf_book *book, uint16_t function)
{
    static const struct mf_pace unknown = {0};

    return function < book->n_paces ? &book->paces[function] : &unknown;
}

double mf_book_duration_ns(const struct mf_book *book, uint16_t function)
{
    const struct mf_pace *pace = pace_of(book, function);

    return pace->n_calls > 0 ? pace->mean_ns : -1;
}

/*
 * What many calls together took may be mostly that their rank was kept from
 * running. One sample alone that is far above what is known counts less; if it
 * stays like that, the next ones make it known within a few.
 */
static double believe(const struct mf_pace *pace, uint32_t n_calls, double mean_ns)
{
    double known_ns = pace->mean_ns > LEAST_NS ? pace->mean_ns : LEAST_NS;

    if (n_calls < MANY_CALLS || pace->n_calls < MANY_CALLS || mean_ns < FAR_ABOVE * known_ns)
        return mean_ns;
    return FAR_ABOVE * known_ns;
}

void mf_book_note_duration(struct mf_book *book, uint16_t function, uint32_t n_calls,
                           int64_t duration_ns)
{
    struct mf_pace *pace;
    double mean_ns, weight;

    if (n_calls == 0 || duration_ns < 0)
        return;
    if (function >= book->n_paces) {
        uint32_t n = function + 16u;
        void *grown = reallocarray(book->paces, n, sizeof(*book->paces));

        if (!grown)
            return;
        book->paces = grown;
        memset(book->paces + book->n_paces, 0, (n - book->n_paces) * sizeof(*book->paces));
        book->n_paces = n;
    }
    pace = &book->paces[function];
    mean_ns = believe(pace, n_calls, (double)duration_ns / n_calls);
    pace->n_calls += n_calls;
    /* The first samples count in full, later ones so that the last few hundred calls do. */
    weight = (double)n_calls / (double)(pace->n_calls < 256 ? pace->n_calls : 256 + n_calls);
    pace->mean_ns += (mean_ns - pace->mean_ns) * weight;
}

/* Whether a task has to travel in a unit of its own. */
static bool travels_alone(const struct mf_booking *booking, const struct mf_unit_limits *limits)
{
    size_t checkpoint_size;

    mf_booking_checkpoint(booking, &checkpoint_size);
    return booking->is_alone || booking->size > limits->large_bytes || checkpoint_size > 0;
}

/*
 * The room that is left in a unit: n_run_bytes as long as its calls are a run. What is known of a
 * function is looked up once for the calls of it that follow each other: how long one takes, and
 * how many may travel together.
 *
 * @first, @last_ticket, @last_tag   of what was taken
 */
struct room {
    int64_t n_bytes, n_run_bytes;
    struct mf_run run;
    const struct mf_booking *first;
    mf_ticket last_ticket;
    uint64_t last_tag;
    double duration_ns;
    double call_ns;
    uint64_t max_calls;
    uint32_t function;
};

/* As long as little is known of a function, no more calls travel with it than have been made. */
static void look_up(const struct mf_book *book, uint16_t function, struct room *room)
{
    const struct mf_pace *pace = pace_of(book, function);

    room->function = function;
    room->call_ns = pace->mean_ns;
    room->max_calls = 2 * pace->n_calls;
}

/* Of priority, attempts and rank nothing is said where it runs. */
static inline bool is_plain_call(const struct mf_booking *booking)
{
    const struct mf_booking_extra *extra = booking->extra;

    return !extra || (!extra->rare && extra->tries == 0 && !extra->has_results);
}

static inline int64_t timeout_ns(const struct mf_booking *booking)
{
    return booking->extra ? booking->extra->timeout_ns : 0;
}

/* Whether a task goes on with the run of those before it, n in number; the second one says how. */
static inline bool goes_on(const struct mf_booking *booking, mf_ticket ticket, uint32_t n,
                           struct room *room)
{
    const struct mf_booking *first = room->first;
    uint64_t ticket_step = ticket - room->last_ticket, tag_step = booking->tag - room->last_tag;

    if (n == 1) {
        room->run.ticket_step = ticket_step;
        room->run.tag_step = tag_step;
    }
    return is_plain_call(first) && is_plain_call(booking) &&
           timeout_ns(first) == timeout_ns(booking) && booking->function == first->function &&
           booking->size == first->size && booking->group == first->group &&
           ticket_step == room->run.ticket_step && tag_step == room->run.tag_step;
}

/* Takes what a task needs out of the room, behind n others; returns whether it was there. */
static inline bool fill_room(const struct mf_book *book, const struct mf_booking *booking,
                             mf_ticket ticket, const struct mf_unit_limits *limits, uint32_t n,
                             struct room *room)
{
    if (room->function != booking->function)
        look_up(book, booking->function, room);
    room->n_bytes -= (int64_t)mf_booking_call_bytes(booking, limits);
    room->n_run_bytes -= (int64_t)booking->size;
    room->duration_ns -= room->call_ns;
    if (n == 0) {
        room->first = booking;
    } else if (room->run.is_one && !goes_on(booking, ticket, n, room)) {
        /* Those before it may fit as a run alone. */
        if (n >= FEWEST_IN_RUN || room->n_bytes < 0)
            return false;
        room->run.is_one = false;
    }
    room->last_ticket = ticket;
    room->last_tag = booking->tag;
    return n == 0 || ((room->run.is_one ? room->n_run_bytes : room->n_bytes) >= 0 &&
                      room->duration_ns >= 0 && n < room->max_calls);
}

/* Gives a task the results that it is to be given, which are none for most. Returns 0 or -ENOMEM.
 */
static inline int give_results(struct mf_book *book, struct mf_booking *booking)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    if (!rare || rare->n_predecessors == 0 || rare->range)
        return 0;
    return mf_book_gather(book, booking);
}

/*
 * The first task that is to be taken, with the results that it is to be given;
 * those that there is no memory for fail.
 */
static uint32_t find_first(struct mf_book *book, uint32_t rank)
{
    uint32_t number;

    while ((number = mf_ready_first(&book->ready, rank)) != MF_BOOKING_NONE &&
           give_results(book, mf_bookings_at(&book->bookings, number)) < 0)
        mf_book_refuse(book, number, MF_BOOK_OUT_OF_MEMORY,
                       "there is no memory for the results of the tasks that it comes after");
    return number;
}

uint32_t mf_book_take(struct mf_book *book, uint32_t rank, const struct mf_unit_limits *limits,
                      uint32_t unit, uint32_t *ret_numbers, struct mf_run *ret_run)
{
    struct room room = {.n_bytes = (int64_t)limits->n_bytes,
                        .n_run_bytes = (int64_t)limits->n_bytes - (int64_t)limits->run_bytes,
                        .run = {.is_one = limits->run_bytes > 0},
                        .duration_ns = (double)limits->duration_ns,
                        .function = UINT32_MAX};
    uint32_t number = find_first(book, rank), n = 0;
    bool is_alone = false;

    while (number != MF_BOOKING_NONE && n < limits->n_calls && !is_alone) {
        struct mf_booking *booking = mf_bookings_at(&book->bookings, number);

        if (mf_booking_range(booking) || give_results(book, booking) < 0)
            break;
        is_alone = travels_alone(booking, limits);
        if ((is_alone && n > 0) ||
            !fill_room(book, booking, mf_booking_ticket(booking, number), limits, n, &room))
            break;
        mf_booking_set_state(booking, MF_TASK_PLACED);
        booking->unit = unit;
        ret_numbers[n++] = number;
        number = booking->next;
    }
    book->by_state[MF_TASK_READY] -= n;
    book->by_state[MF_TASK_PLACED] += n;
    if (n > 0)
        mf_ready_cut(&book->ready, ret_numbers[n - 1], n);
    *ret_run = room.run;
    ret_run->is_one &= n > 1;
    return n;
}

/* --- of ranges --- */

/* How many elements of a range fit into a unit, of those that wait next. */
static uint64_t count_fitting(const struct mf_book *book, const struct mf_booking *booking,
                              const struct mf_stretch *next, const struct mf_unit_limits *limits)
{
    const struct mf_pace *pace = pace_of(book, booking->function);
    size_t n_head = limits->call_bytes + limits->details_bytes;
    size_t n_bytes = limits->n_bytes > n_head ? limits->n_bytes - n_head : 0;
    uint64_t n = next->n < limits->n_calls ? next->n : limits->n_calls;

    if (next->is_alone || travels_alone(booking, limits) ||
        mf_booking_must_detach(booking, limits->large_bytes))
        return 1;
    if (n > 2 * pace->n_calls)
        n = 2 * pace->n_calls;
    if (booking->size > 0 && n > n_bytes / booking->size)
        n = n_bytes / booking->size;
    if ((double)n * pace->mean_ns > (double)limits->duration_ns)
        n = (uint64_t)((double)limits->duration_ns / pace->mean_ns);
    return n > 0 ? n : 1;
}

struct mf_stretch *mf_book_take_stretch(struct mf_book *book, uint32_t rank,
                                        const struct mf_unit_limits *limits, int *ret_error)
{
    uint32_t number = mf_ready_first(&book->ready, rank);
    struct mf_stretch *next, *taken;
    struct mf_booking *booking;
    struct mf_range *range;

    *ret_error = 0;
    if (number == MF_BOOKING_NONE)
        return NULL;
    booking = mf_bookings_at(&book->bookings, number);
    range = mf_booking_range(booking);
    if (!range)
        return NULL;
    next = mf_container_of(range->waiting.next, struct mf_stretch, node);
    taken = mf_stretch_cut(next, count_fitting(book, booking, next, limits));
    if (!taken) {
        *ret_error = -ENOMEM;
        return NULL;
    }
    taken->range = number;
    mf_list_push_back(&range->out, &taken->node);
    range->n_ready -= taken->n;
    range->n_placed += taken->n;
    book->by_state[MF_TASK_READY] -= taken->n;
    book->by_state[MF_TASK_PLACED] += taken->n;
    mf_ready_add(&book->ready, number, -(int64_t)taken->n);
    if (range->n_ready == 0) {
        mf_ready_remove(&book->ready, number);
        mf_booking_set_state(booking, MF_TASK_PLACED);
    }
    return taken;
}

/* --- questions --- */

bool mf_book_first(const struct mf_book *book, uint32_t rank, uint32_t *ret_number)
{
    uint32_t number = mf_ready_first(&book->ready, rank);

    if (number == MF_BOOKING_NONE)
        return false;
    *ret_number = number;
    return true;
}

uint64_t mf_book_n_ready(const struct mf_book *book)
{
    return book->ready.anywhere.n_tasks;
}

bool mf_book_has_ranks(const struct mf_book *book)
{
    return mf_table_count(book->ready.by_rank) > 0;
}

uint64_t mf_book_n_ready_for(const struct mf_book *book, uint32_t rank)
{
    struct mf_ready_rank **place = mf_table_find(book->ready.by_rank, &rank);

    return place ? (*place)->n_tasks : 0;
}

uint32_t mf_book_next_rank(const struct mf_book *book, size_t *cursor)
{
    const void *rank;

    if (!mf_table_next(book->ready.by_rank, cursor, &rank, NULL))
        return 0;
    return *(const uint32_t *)rank;
}

int32_t mf_booking_priority(const struct mf_booking *booking)
{
    return booking->extra ? booking->extra->priority : 0;
}
