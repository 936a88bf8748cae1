/*
 * The book of function tasks: each from its submission until its future is
 * released.
 *
 * The farm places *units*: runs of calls that travel together, because a
 * message for each call would cost more than the call. The book holds what is
 * true of each single task: its state, tries, dependencies and outcome; it
 * says which tasks go into the next unit, and what becomes of those that come
 * back.
 *
 *     mf_book_add()      a task: WAITING for others, or READY
 *     mf_book_take()     READY to PLACED: the next ones, for a unit
 *     mf_book_end()      PLACED to DONE, or READY again, or FAILED
 *     mf_book_return()   PLACED to READY: it was not run
 *     mf_book_cancel()   anything to CANCELLED
 *     mf_book_hear()     the ended tasks that somebody waits to hear of
 *
 * Pure: no clock, no I/O. One owner, one thread. All calls are O(1) but for the
 * order of priorities, O(log priorities) where those change, what is said of
 * ranges, and where a comment says so.
 */
#ifndef MF_CORE_BOOK_H
#define MF_CORE_BOOK_H

#include "base/heap.h"
#include "core/task.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mf_book;
struct mf_range;

/** A task in the book: its place, and a count that tells it from others there; 0 is none. */
typedef uint64_t mf_ticket;

/** Bytes of input or result that need no memory of their own. */
#define MF_BOOKING_SMALL 16

/** Function numbers are below this. */
#define MF_BOOK_MAX_FUNCTIONS 65536

/** Causes that the book itself gives. Values as enum mpifarm_cause. */
enum mf_book_cause {
    MF_BOOK_TOO_LONG = 1, /* the result is longer than its place in the range */
    MF_BOOK_OUT_OF_MEMORY = 7,
};

/** How the end of a task is heard of. Values as enum mpifarm_delivery. */
enum mf_delivery {
    MF_DELIVER_FUTURE = 0,
    MF_DELIVER_QUEUE = 1,
    MF_DELIVER_CALLBACK = 2,
    MF_DELIVER_NONE = 3,
};

/**
 * What hardly any task has.
 *
 * @n_waiting_for tasks it is to come after that are not done
 * @successors    n_successors tickets of tasks that come after it
 * @predecessors  n_predecessors tickets, in the order in which they were named, of tasks whose
 *                results it is to be given; none once it has them, or has ended
 * @n_takers      how often it is a predecessor; it stays in the book until that is 0
 * @is_concluded  what follows from its end was carried out
 * @checkpoint    malloc()ed, checkpoint_size bytes
 * @range         many tasks instead of one: see range.h. Owned
 * @range_of, @element   the range that the task is element number `element` of; 0 for none
 */
struct mf_booking_rare {
    uint32_t n_waiting_for;
    uint32_t n_successors;
    uint32_t successors_capacity;
    uint32_t n_predecessors;
    uint32_t n_takers;
    bool is_concluded;
    mf_ticket *successors;
    mf_ticket *predecessors;
    uint8_t *checkpoint;
    size_t checkpoint_size;
    struct mf_range *range;
    mf_ticket range_of;
    uint64_t element;
};

/** What is called at the end of a task; both are the submitter's. */
struct mf_hearer {
    void (*hear)(void);
    void *arg;
};

/**
 * What few tasks have. With what malloc() takes for itself it is 48 bytes, and 64 with a hearer: so
 * a task that has options is no more than two cache lines.
 *
 * @rare          NULL for most
 * @max_attempts, @tries   allowed, and used up
 * @rank          the worker it must run on, 0 for any
 * @avoid         worker of the last failed try plus 1, 0 for none
 * @n_lost        workers that disappeared while they ran it
 * @has_results   the input is a bundle (base/bundle.h): its own, and the predecessors' results
 * @is_borrowed   its bytes are its range's
 * @hearer        one, of a task that was added with one; else there is no room for it
 */
struct mf_booking_extra {
    int64_t timeout_ns;
    struct mf_booking_rare *rare;
    int32_t priority;
    uint32_t max_attempts;
    uint32_t tries;
    uint32_t rank;
    uint32_t avoid;
    uint32_t n_lost : 30;
    uint32_t has_results : 1;
    uint32_t is_borrowed : 1;
    struct mf_hearer hearer[];
};

_Static_assert(sizeof(struct mf_booking_extra) == 40, "with a hearer, one cache line of malloc()");

/**
 * One task, in one cache line, as there may be hundreds of millions.
 *
 * @generation  upper half of its ticket; 0 when this place is free
 * @state       an enum mf_task_state
 * @delivery    an enum mf_delivery
 * @is_held     its future was not released
 * @is_alone    it travels in a unit of its own
 * @is_on_heap  its bytes are malloc()ed or borrowed, rather than in small
 * @is_heard    it was told by mf_book_hear()
 * @cause       once FAILED: an enum mpifarm_cause
 * @size        of the input, or once it has ended of the result or message
 * @extra       NULL for most
 * @next, @prev neighbours in the list it is in: READY ones, or ended ones to be heard of
 * @unit        the caller's, while PLACED
 * @code        once FAILED: what the function returned
 */
struct mf_booking {
    uint32_t generation;
    uint16_t state : 3;
    uint16_t delivery : 2;
    uint16_t is_held : 1;
    uint16_t is_alone : 1;
    uint16_t is_on_heap : 1;
    uint16_t is_heard : 1;
    uint16_t cause : 7;
    uint16_t function;
    uint64_t tag;
    size_t size;
    struct mf_booking_extra *extra;
    union {
        uint8_t small[MF_BOOKING_SMALL];
        uint8_t *bytes;
    };
    uint32_t next, prev;
    union {
        uint32_t unit;
        int32_t code;
    };
    uint32_t group;
};

_Static_assert(sizeof(struct mf_booking) == 64, "one cache line");

/** The input, result or message. */
static inline const uint8_t *mf_booking_bytes(const struct mf_booking *booking)
{
    return booking->is_on_heap ? booking->bytes : booking->small;
}

/** What hardly any task has, or NULL. */
static inline struct mf_booking_rare *mf_booking_rare(const struct mf_booking *booking)
{
    return booking->extra ? booking->extra->rare : NULL;
}

/** What an earlier try saved, NULL for nothing, and its size. */
static inline const uint8_t *mf_booking_checkpoint(const struct mf_booking *booking,
                                                   size_t *ret_size)
{
    const struct mf_booking_rare *rare = mf_booking_rare(booking);

    *ret_size = rare ? rare->checkpoint_size : 0;
    return rare ? rare->checkpoint : NULL;
}

/**
 * What is said of a new task.
 *
 * @input         size bytes, copied
 * @after         n_after tickets: see mf_book_add()
 * @extra fields  as in struct mf_booking_extra
 * @is_held       somebody has its ticket
 * @hearer        what is called at its end; hear is NULL for nothing
 */
struct mf_order {
    uint16_t function;
    const void *input;
    size_t size;
    uint64_t tag;
    uint32_t group;
    int32_t priority;
    uint32_t max_attempts;
    int64_t timeout_ns;
    uint32_t rank;
    const mf_ticket *after;
    size_t n_after;
    enum mf_delivery delivery;
    bool is_held;
    struct mf_hearer hearer;
};

/**
 * Limits of a unit.
 *
 * @n_calls      most calls
 * @n_bytes      most bytes of them, but for a single one
 * @duration_ns  longest time they should take in all
 * @call_bytes   what a call takes beside its input
 * @details_bytes  what it takes beyond that if it is more than a function and an input
 * @run_bytes    what a run of calls takes beside their inputs, 0 if none travels as one
 * @large_bytes  a call with a larger input travels alone, as one with a checkpoint
 */
struct mf_unit_limits {
    uint32_t n_calls;
    size_t n_bytes;
    int64_t duration_ns;
    size_t call_bytes;
    size_t details_bytes;
    size_t run_bytes;
    size_t large_bytes;
};

/**
 * Whether tasks are a run: calls alike but for their inputs, at their first try, the ticket and the
 * tag of each by a step beyond those of the one before, to travel as one. A step down wraps around.
 */
struct mf_run {
    bool is_one;
    uint64_t ticket_step;
    uint64_t tag_step;
};

/** Bytes that a task takes in a unit, if its input travels there. */
static inline size_t mf_booking_call_bytes(const struct mf_booking *booking,
                                           const struct mf_unit_limits *limits)
{
    bool has_details = booking->tag || booking->group || booking->extra;
    size_t checkpoint_size;

    mf_booking_checkpoint(booking, &checkpoint_size);
    return limits->call_bytes + (has_details ? limits->details_bytes : 0) +
           (booking->size <= limits->large_bytes ? booking->size : 0) + checkpoint_size;
}

/** Tasks in each state, and what went on. */
struct mf_book_counts {
    uint64_t submitted;
    uint64_t by_state[MF_TASK_STATE_COUNT];
    uint64_t unfinished;
    uint64_t retried;
};

/** Returns 0 or -ENOMEM. max_attempts: of tasks that do not say, at least 1. */
int mf_book_create(uint32_t max_attempts, struct mf_book **ret_book);

/** Frees all tasks too; NULL is accepted. */
void mf_book_destroy(struct mf_book *book);

/**
 * mf_book_add() - a new task.
 *
 * It is READY, or WAITING until all of `after` are DONE, or SKIPPED at once
 * when one of those ended otherwise. Their results are kept for it, also when
 * they are released, and put behind its input when it is taken.
 *
 * Returns 0 with its ticket; -ESTALE if one of `after` is not in the book; -ENOMEM.
 */
int mf_book_add(struct mf_book *book, const struct mf_order *order, mf_ticket *ret_ticket);

/**
 * mf_book_add_array() - n tasks that are alike.
 *
 * Each is as mf_book_add() has it; the inputs lie one behind the other, and the
 * tags count up.
 *
 * @first        the first one
 * @ret_tickets  room for n
 * @ret_n        how many were added: n, unless one fails
 *
 * Returns 0, or what mf_book_add() returned for the first that failed.
 */
int mf_book_add_array(struct mf_book *book, const struct mf_order *first, size_t n,
                      mf_ticket *ret_tickets, size_t *ret_n);

/** The task, or NULL if it was released. */
struct mf_booking *mf_book_find(const struct mf_book *book, mf_ticket ticket);

/** The task of that number, which is in the book; and its ticket. */
struct mf_booking *mf_book_at(const struct mf_book *book, uint32_t number);
mf_ticket mf_book_ticket(const struct mf_book *book, uint32_t number);

/**
 * mf_book_take() - tasks for the next unit.
 *
 * From the READY ones of highest priority: one, and those behind it that are
 * like it (same priority and rank) as far as the limits allow, up to the next
 * range, whose elements mf_book_take_stretch() takes.
 *
 * @rank         tasks for this rank alone; 0: those that may run anywhere
 * @limits       of the unit
 * @unit         kept in the tasks
 * @ret_numbers  room for limits->n_calls
 * @ret_run      whether they are a run
 *
 * Returns how many, 0 when there is none or a range is first.
 */
uint32_t mf_book_take(struct mf_book *book, uint32_t rank, const struct mf_unit_limits *limits,
                      uint32_t unit, uint32_t *ret_numbers, struct mf_run *ret_run);

/** How many tasks are READY that may run anywhere. */
uint64_t mf_book_n_ready(const struct mf_book *book);

/** The number of the task or range that is next for a rank (0: any). Returns whether there is one.
 */
bool mf_book_first(const struct mf_book *book, uint32_t rank, uint32_t *ret_number);

/** Whether there are READY tasks for one rank alone; and how many for this one. */
bool mf_book_has_ranks(const struct mf_book *book);
uint64_t mf_book_n_ready_for(const struct mf_book *book, uint32_t rank);

/**
 * mf_book_next_rank() - the ranks that READY tasks are for alone.
 *
 * @cursor  0 to begin; changed by each call
 *
 * Returns such a rank, or 0 after the last. O(ranks with such tasks).
 */
uint32_t mf_book_next_rank(const struct mf_book *book, size_t *cursor);

/** The priority of a task. */
int32_t mf_booking_priority(const struct mf_booking *booking);

/**
 * mf_book_end() - a try of a PLACED task came to its end.
 *
 * DONE if cause is 0. Else it is READY again, before others of its priority and
 * alone, while it has tries left; then FAILED.
 *
 * @cause     0, or why it failed: an enum mpifarm_cause
 * @code      what the function returned
 * @worker    where it was
 * @bytes     result or message; copied, or taken if is_taken (then malloc()ed)
 *
 * A detached element of a range whose result is longer than its place is FAILED, whatever tries it
 * has left: another one would give as much.
 *
 * Returns 0 or -ENOMEM, which has failed the task with cause MF_BOOK_OUT_OF_MEMORY.
 */
int mf_book_end(struct mf_book *book, uint32_t number, uint8_t cause, int32_t code,
                mf_worker_id worker, const void *bytes, size_t size, bool is_taken);

/**
 * mf_book_return() - a PLACED task was not run, or its worker is gone: READY
 * again, before others of its priority.
 */
void mf_book_return(struct mf_book *book, uint32_t number);

/**
 * mf_book_lose() - the worker of a PLACED task disappeared while it ran it.
 *
 * READY again and alone; FAILED with `cause` and `message` once it lost `limit` workers.
 */
void mf_book_lose(struct mf_book *book, uint32_t number, uint32_t limit, uint8_t cause,
                  const char *message);

/** Fails a task, or the elements of a range, that no worker can run. */
void mf_book_refuse(struct mf_book *book, uint32_t number, uint8_t cause, const char *message);

/** Withdraws an unfinished task, or what is left of a range but its detached tasks: CANCELLED. One
 * in a unit is the caller's to take out of it. */
void mf_book_cancel(struct mf_book *book, uint32_t number);

/** Keeps bytes for the next try of a PLACED task, copied. Returns 0 or -ENOMEM. */
int mf_book_checkpoint(struct mf_book *book, uint32_t number, const void *bytes, size_t size);

/** The same of bytes that are malloc()ed, and taken if 0 is returned. */
int mf_book_take_checkpoint(struct mf_book *book, uint32_t number, uint8_t *bytes, size_t size);

/**
 * mf_book_release() - the future of a task is not needed any more; an ended
 * task goes out of the book.
 *
 * Returns 0, or -ESTALE if it was released before, or is no task's.
 */
int mf_book_release(struct mf_book *book, mf_ticket ticket);

/** As if a task that was added, and not taken, had never been: nobody hears of it, and it is not
 * counted. One that was skipped or failed at once, and that nobody wanted, stays counted. */
void mf_book_undo_add(struct mf_book *book, mf_ticket ticket);

/**
 * mf_book_hear() - the next ended task with that delivery (QUEUE or CALLBACK), in
 * order of their ends.
 *
 * Returns 1 with its ticket, 0 when there is none.
 */
int mf_book_hear(struct mf_book *book, enum mf_delivery delivery, mf_ticket *ret_ticket);

/** Unfinished tasks of a group. */
uint64_t mf_book_group_size(const struct mf_book *book, uint32_t group);

/**
 * mf_book_next() - walk over all tasks in the book, in no particular order.
 *
 * @cursor  0 to begin; changed by each call
 *
 * Returns 1 with a number, 0 after the last. Tasks may change and leave meanwhile.
 */
int mf_book_next(const struct mf_book *book, uint64_t *cursor, uint32_t *ret_number);

/** Counts how long a call of a function took, for the limits of units. */
void mf_book_note_duration(struct mf_book *book, uint16_t function, uint32_t n_calls,
                           int64_t duration_ns);

/** How long a call of a function takes on average, in ns; below 0 when none has ended. */
double mf_book_duration_ns(const struct mf_book *book, uint16_t function);

void mf_book_count(const struct mf_book *book, struct mf_book_counts *ret_counts);

/** Of the tasks ever added: those that are in no final state, and the others. */
uint64_t mf_book_n_unfinished(const struct mf_book *book);
uint64_t mf_book_n_ended(const struct mf_book *book);

/** Verifies every invariant. For tests: O(tasks). Returns NULL, or a sentence (static text). */
const char *mf_book_check(const struct mf_book *book);

#endif
