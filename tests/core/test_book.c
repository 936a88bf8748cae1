/*
 * The book of function tasks: core/book.c, with its places and its READY lists.
 *
 * Tasks are known by their tags. Every step checks all invariants of the book.
 */
#include "base/bundle.h"
#include "core/book_private.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MANY 100000

/* Each Criterion test is a process of its own. */
static struct mf_book *book;

static void check(void)
{
    const char *breach = mf_book_check(book);

    cr_assert_null(breach, "%s", breach);
}

static void open_book(void)
{
    cr_assert_eq(mf_book_create(1, &book), 0);
}

static void close_book(void)
{
    check();
    mf_book_destroy(book);
}

/* Tasks of the suite have one attempt, unless a test says otherwise. */
TestSuite(book, .init = open_book, .fini = close_book);

static mf_ticket add_order(struct mf_order order, bool is_held)
{
    mf_ticket ticket = 0;

    order.is_held = is_held;
    cr_assert_eq(mf_book_add(book, &order, &ticket), 0);
    cr_assert_neq(ticket, 0);
    return ticket;
}

/* A task whose future somebody holds; one that nobody does. */
#define add(...) add_order((struct mf_order){__VA_ARGS__}, true)
#define add_unheld(...) add_order((struct mf_order){__VA_ARGS__}, false)

static const struct mf_unit_limits plenty = {
    .n_calls = 64, .n_bytes = 1 << 20, .duration_ns = 1 << 30, .large_bytes = 1 << 16};

static uint32_t taken[64], n_taken;

/* The tags of the tasks of the next unit, as "1 2 3". */
static const char *take_within(uint32_t rank, struct mf_unit_limits limits)
{
    static char text[1024];
    size_t n = 0;

    n_taken = mf_book_take(book, rank, &limits, 7, taken, &(struct mf_run){0});
    text[0] = '\0';
    for (uint32_t i = 0; i < n_taken; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, i ? " %d" : "%d",
                              (int)mf_book_at(book, taken[i])->tag);
    check();
    return text;
}

static const char *take(void)
{
    return take_within(0, plenty);
}

/* As take(), with how many bytes there are, where runs travel as one; runs say by how much. */
static const char *take_runs(size_t n_bytes)
{
    static char text[1200];
    const struct mf_unit_limits limits = {.n_calls = 64,
                                          .n_bytes = n_bytes,
                                          .duration_ns = 1 << 30,
                                          .call_bytes = 16,
                                          .details_bytes = 40,
                                          .run_bytes = 72,
                                          .large_bytes = 1 << 16};
    struct mf_run run;
    size_t n = 0;

    mf_book_note_duration(book, 0, 1000, 1000);
    n_taken = mf_book_take(book, 0, &limits, 7, taken, &run);
    if (run.is_one)
        n = (size_t)snprintf(text, sizeof(text), "by %d and %d:", (int)run.ticket_step,
                             (int)run.tag_step);
    for (uint32_t i = 0; i < n_taken; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, n ? " %d" : "%d",
                              (int)mf_book_at(book, taken[i])->tag);
    check();
    return text;
}

static void end(mf_ticket ticket, uint8_t cause)
{
    cr_assert_eq(mf_book_end(book, (uint32_t)ticket, cause, cause, 1, "text", 5, false), 0);
    check();
}

/* Takes the next task, which is that one, and ends it. */
static void run(mf_ticket ticket, uint8_t cause)
{
    const struct mf_unit_limits one = {.n_calls = 1};
    uint32_t number;

    cr_assert_eq(mf_book_take(book, 0, &one, 7, &number, &(struct mf_run){0}), 1);
    cr_assert_eq(number, (uint32_t)ticket);
    end(ticket, cause);
}

static enum mf_task_state state_of(mf_ticket ticket)
{
    const struct mf_booking *booking = mf_book_find(book, ticket);

    cr_assert(booking, "the task is gone");
    return (enum mf_task_state)booking->state;
}

static struct mf_book_counts counts(void)
{
    struct mf_book_counts counts;

    mf_book_count(book, &counts);
    return counts;
}

/* Calls of the function are known to take that long. */
static void set_pace(uint16_t function, int64_t duration_ns)
{
    mf_book_note_duration(book, function, 1000, 1000 * duration_ns);
}

/* --- order --- */

Test(book, tasks_are_taken_in_order_of_submission)
{
    set_pace(0, 0);
    for (uint64_t tag = 1; tag <= 5; tag++)
        add(.tag = tag);
    cr_assert_eq(mf_book_n_ready(book), 5);
    cr_assert_str_eq(take(), "1 2 3 4 5");
    cr_assert_eq(mf_book_n_ready(book), 0);
    cr_assert_str_eq(take(), "");
}

Test(book, higher_priorities_go_first_in_units_of_their_own)
{
    set_pace(0, 0);
    add(.tag = 1);
    add(.tag = 2, .priority = -5);
    add(.tag = 3, .priority = 9);
    add(.tag = 4);
    add(.tag = 5, .priority = 9);
    cr_assert_str_eq(take(), "3 5");
    cr_assert_eq(mf_booking_priority(mf_book_at(book, taken[0])), 9);
    cr_assert_str_eq(take(), "1 4");
    cr_assert_eq(mf_booking_priority(mf_book_at(book, taken[0])), 0);
    cr_assert_str_eq(take(), "2");
    cr_assert_eq(mf_booking_priority(mf_book_at(book, taken[0])), -5);
}

Test(book, the_extremes_of_priorities_are_in_order_too)
{
    add(.tag = 1, .priority = INT32_MIN);
    add(.tag = 2);
    add(.tag = 3, .priority = INT32_MAX);
    cr_assert_str_eq(take(), "3");
    cr_assert_str_eq(take(), "2");
    cr_assert_str_eq(take(), "1");
}

Test(book, tasks_for_one_rank_go_to_it_alone)
{
    set_pace(0, 0);
    add(.tag = 1);
    add(.tag = 2, .rank = 3);
    add(.tag = 3, .rank = 8);
    add(.tag = 4, .rank = 3);
    add(.tag = 5, .rank = 3, .priority = 1);
    cr_assert_eq(mf_book_n_ready(book), 1);
    cr_assert_str_eq(take_within(5, plenty), "");
    cr_assert_str_eq(take_within(3, plenty), "5");
    cr_assert_str_eq(take_within(3, plenty), "2 4");
    cr_assert_str_eq(take_within(3, plenty), "");
    cr_assert_str_eq(take_within(8, plenty), "3");
    cr_assert_str_eq(take(), "1");
}

Test(book, the_ranks_with_ready_tasks_of_their_own_are_listed)
{
    bool is_listed[16] = {false};
    size_t cursor = 0;
    uint32_t rank;

    cr_assert_eq(mf_book_next_rank(book, &cursor), 0);
    for (uint32_t i = 0; i < 9; i++)
        add(.rank = 1 + i % 3 * 4);
    take_within(5, (struct mf_unit_limits){.n_calls = 1});
    cursor = 0;
    while ((rank = mf_book_next_rank(book, &cursor)) != 0) {
        cr_assert(rank < 16 && !is_listed[rank]);
        is_listed[rank] = true;
    }
    cr_assert(is_listed[1] && is_listed[5] && is_listed[9]);
}

/* --- limits of a unit --- */

Test(book, a_unit_has_no_more_calls_than_allowed)
{
    struct mf_unit_limits limits = plenty;

    set_pace(0, 0);
    for (uint64_t tag = 1; tag <= 5; tag++)
        add(.tag = tag);
    limits.n_calls = 2;
    cr_assert_str_eq(take_within(0, limits), "1 2");
    cr_assert_str_eq(take_within(0, limits), "3 4");
    cr_assert_str_eq(take_within(0, limits), "5");
}

Test(book, a_unit_has_no_more_bytes_than_allowed_but_for_a_single_call)
{
    struct mf_unit_limits limits = plenty;
    char bytes[200] = {0};

    set_pace(0, 0);
    for (uint64_t tag = 1; tag <= 4; tag++)
        add(.tag = tag, .input = bytes, .size = 20);
    add(.tag = 5, .input = bytes, .size = 200);
    limits.call_bytes = 10;
    limits.n_bytes = 90;
    cr_assert_str_eq(take_within(0, limits), "1 2 3");
    limits.n_bytes = 89;
    cr_assert_str_eq(take_within(0, limits), "4");
    cr_assert_str_eq(take_within(0, limits), "5");
}

Test(book, tasks_with_a_time_limit_travel_together)
{
    set_pace(0, 0);
    add(.tag = 1, .timeout_ns = 5);
    add(.tag = 2, .timeout_ns = 6);
    add(.tag = 3);
    cr_assert_str_eq(take(), "1 2 3");
}

Test(book, a_unit_takes_no_longer_than_allowed_as_far_as_is_known)
{
    struct mf_unit_limits limits = plenty;

    set_pace(1, 1000);
    set_pace(2, 30);
    limits.duration_ns = 3100;
    for (uint64_t tag = 1; tag <= 5; tag++)
        add(.tag = tag, .function = 1);
    for (uint64_t tag = 6; tag <= 8; tag++)
        add(.tag = tag, .function = 2);
    cr_assert_str_eq(take_within(0, limits), "1 2 3");
    cr_assert_str_eq(take_within(0, limits), "4 5 6 7 8");
}

Test(book, few_calls_of_a_function_travel_together_as_long_as_little_is_known_of_it)
{
    for (uint64_t tag = 1; tag <= 9; tag++)
        add(.tag = tag, .function = 4);
    cr_assert_str_eq(take(), "1");
    mf_book_note_duration(book, 4, 1, 10);
    cr_assert_str_eq(take(), "2 3");
    mf_book_note_duration(book, 4, 1, 10);
    cr_assert_str_eq(take(), "4 5 6 7");
}

Test(book, later_durations_count_for_more_than_those_long_ago)
{
    struct mf_unit_limits limits = plenty;

    for (uint64_t tag = 1; tag <= 9; tag++)
        add(.tag = tag);
    for (int i = 0; i < 100; i++)
        mf_book_note_duration(book, 0, 100, 100 * 1000);
    limits.duration_ns = 2000;
    cr_assert_str_eq(take_within(0, limits), "1 2");
    for (int i = 0; i < 100; i++)
        mf_book_note_duration(book, 0, 100, 100 * 400);
    cr_assert_str_eq(take_within(0, limits), "3 4 5 6");
    /* What makes no sense is passed over. */
    mf_book_note_duration(book, 0, 0, 1000);
    mf_book_note_duration(book, 0, 1, -1);
    mf_book_note_duration(book, MF_BOOK_MAX_FUNCTIONS - 1, 1, 1);
}

Test(book, a_large_input_or_a_checkpoint_makes_a_task_travel_alone)
{
    struct mf_unit_limits limits = plenty;
    char bytes[101] = {0};

    set_pace(0, 0);
    limits.large_bytes = 100;
    add(.tag = 1);
    add(.tag = 2, .input = bytes, .size = 101);
    add(.tag = 3, .input = bytes, .size = 100);
    cr_assert_str_eq(take_within(0, limits), "1");
    cr_assert_str_eq(take_within(0, limits), "2");
    cr_assert_str_eq(take_within(0, limits), "3");
    cr_assert_eq(mf_book_checkpoint(book, taken[0], "half", 4), 0);
    mf_book_return(book, taken[0]);
    add(.tag = 4);
    cr_assert_str_eq(take_within(0, limits), "3");
    cr_assert_str_eq(take_within(0, limits), "4");
}

/* --- a try comes to its end --- */

Test(book, a_done_task_keeps_its_result_until_it_is_released)
{
    static const char result[] = "a result with more bytes than fit into the task";
    mf_ticket small = add(.tag = 1, .input = "in", .size = 3);
    mf_ticket large = add(.tag = 2, .input = result, .size = sizeof(result));

    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, small)), "in");
    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, large)), result);
    run(small, 0);
    take();
    cr_assert_eq(mf_book_find(book, large)->unit, 7);
    cr_assert_eq(mf_book_end(book, (uint32_t)large, 0, 0, 1, result, sizeof(result), false), 0);
    cr_assert_eq(state_of(small), MF_TASK_DONE);
    cr_assert_eq(mf_book_find(book, small)->size, 5);
    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, small)), "text");
    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, large)), result);
    mf_book_release(book, small);
    mf_book_release(book, large);
    cr_assert_null(mf_book_find(book, small));
    cr_assert_null(mf_book_find(book, large));
    cr_assert_eq(counts().by_state[MF_TASK_DONE], 2);
}

Test(book, bytes_that_are_taken_are_not_copied)
{
    char *result = strdup("result"), *message = strdup("message");
    mf_ticket done = add(.input = "input", .size = 6);
    mf_ticket failed = add(.tag = 1);

    take();
    cr_assert_eq(mf_book_end(book, (uint32_t)done, 0, 0, 1, result, 7, true), 0);
    cr_assert_eq(mf_booking_bytes(mf_book_find(book, done)), (uint8_t *)result);
    take();
    cr_assert_eq(mf_book_end(book, (uint32_t)failed, 3, 0, 1, message, 8, true), 0);
    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, failed)), "message");
}

Test(book, a_task_without_tries_left_fails_with_cause_code_and_message)
{
    mf_ticket ticket = add(.input = "x", .size = 2);
    const struct mf_booking *booking = mf_book_find(book, ticket);

    run(ticket, 5);
    cr_assert_eq(booking->state, MF_TASK_FAILED);
    cr_assert_eq(booking->cause, 5);
    cr_assert_eq(booking->code, 5);
    cr_assert_str_eq((const char *)mf_booking_bytes(booking), "text");
    cr_assert_eq(counts().retried, 0);
}

Test(book, a_retry_goes_before_others_of_its_priority_and_alone)
{
    mf_ticket ticket = add(.tag = 1, .max_attempts = 3);

    set_pace(0, 0);
    add(.tag = 2);
    add(.tag = 3);
    add(.tag = 4, .priority = 1);
    cr_assert_str_eq(take(), "4");
    cr_assert_str_eq(take(), "1 2 3");
    end(ticket, 2);
    cr_assert_eq(state_of(ticket), MF_TASK_READY);
    cr_assert_eq(mf_book_find(book, ticket)->extra->tries, 1);
    cr_assert_eq(mf_book_find(book, ticket)->extra->avoid, 2, "worker 1, plus 1");
    mf_book_return(book, taken[2]);
    mf_book_return(book, taken[1]);
    cr_assert_str_eq(take(), "2 3");
    cr_assert_str_eq(take(), "1");
    end(ticket, 2);
    cr_assert_str_eq(take(), "1");
    end(ticket, 2);
    cr_assert_eq(state_of(ticket), MF_TASK_FAILED);
    cr_assert_eq(mf_book_find(book, ticket)->extra->tries, 3);
    cr_assert_eq(counts().retried, 2);
}

Test(book, tasks_that_do_not_say_have_the_attempts_of_the_book)
{
    mf_ticket plain, once, more;

    mf_book_destroy(book);
    cr_assert_eq(mf_book_create(2, &book), 0);
    plain = add(.tag = 1);
    once = add(.tag = 2, .max_attempts = 1);
    more = add(.tag = 3, .max_attempts = 3);
    run(plain, 1);
    run(plain, 1);
    cr_assert_eq(state_of(plain), MF_TASK_FAILED);
    run(once, 1);
    cr_assert_eq(state_of(once), MF_TASK_FAILED);
    run(more, 1);
    run(more, 1);
    run(more, 0);
    cr_assert_eq(state_of(more), MF_TASK_DONE);
    cr_assert_eq(mf_book_find(book, more)->extra->tries, 2);
}

Test(book, a_task_that_was_not_run_goes_back_to_the_front_without_a_try)
{
    mf_ticket first = add(.tag = 1), second = add(.tag = 2);

    set_pace(0, 0);
    add(.tag = 3);
    cr_assert_str_eq(
        take_within(0, (struct mf_unit_limits){.n_calls = 2, .n_bytes = 1, .duration_ns = 1}),
        "1 2");
    mf_book_return(book, (uint32_t)second);
    mf_book_return(book, (uint32_t)first);
    check();
    cr_assert_eq(state_of(first), MF_TASK_READY);
    cr_assert_str_eq(take(), "1 2 3");
    cr_assert_eq(counts().retried, 0);
}

Test(book, a_task_whose_workers_disappear_is_given_up_at_the_limit)
{
    mf_ticket ticket = add(.tag = 1, .max_attempts = 2), other = add(.tag = 2);
    const struct mf_booking *booking = mf_book_find(book, ticket);

    for (int lost = 1; lost < 3; lost++) {
        cr_assert_str_eq(take(), "1");
        mf_book_lose(book, (uint32_t)ticket, 3, 9, "lost");
        check();
        cr_assert_eq(booking->state, MF_TASK_READY);
    }
    cr_assert_eq(booking->extra->tries, 0, "it is not the task's fault");
    cr_assert_str_eq(take(), "1", "alone");
    mf_book_lose(book, (uint32_t)ticket, 3, 9, "lost");
    cr_assert_eq(booking->state, MF_TASK_FAILED);
    cr_assert_eq(booking->cause, 9);
    cr_assert_str_eq((const char *)mf_booking_bytes(booking), "lost");
    cr_assert_eq(counts().retried, 2);
    run(other, 0);
}

Test(book, a_task_can_be_refused_while_it_is_ready_or_placed)
{
    mf_ticket placed = add(.tag = 1), ready = add(.tag = 2, .rank = 5);
    mf_ticket after = add(.tag = 3, .after = &ready, .n_after = 1);

    take();
    mf_book_refuse(book, (uint32_t)placed, 6, "unfit");
    mf_book_refuse(book, (uint32_t)ready, 6, "unfit");
    check();
    cr_assert_eq(state_of(placed), MF_TASK_FAILED);
    cr_assert_eq(state_of(ready), MF_TASK_FAILED);
    cr_assert_eq(state_of(after), MF_TASK_SKIPPED);
    cr_assert_eq(mf_book_find(book, ready)->cause, 6);
    cr_assert_str_eq((const char *)mf_booking_bytes(mf_book_find(book, ready)), "unfit");
    cr_assert_str_eq(take_within(5, plenty), "");
}

Test(book, a_checkpoint_is_kept_for_the_next_try_and_freed_at_the_end)
{
    mf_ticket ticket = add(.max_attempts = 2);
    const struct mf_booking *booking = mf_book_find(book, ticket);

    take();
    cr_assert_eq(mf_book_checkpoint(book, (uint32_t)ticket, "first", 6), 0);
    cr_assert_eq(mf_book_checkpoint(book, (uint32_t)ticket, "2nd", 4), 0);
    end(ticket, 1);
    cr_assert_eq(booking->extra->rare->checkpoint_size, 4);
    cr_assert_str_eq((const char *)booking->extra->rare->checkpoint, "2nd");
    take();
    cr_assert_eq(mf_book_checkpoint(book, (uint32_t)ticket, NULL, 0), 0);
    cr_assert_null(booking->extra->rare->checkpoint);
    cr_assert_eq(mf_book_checkpoint(book, (uint32_t)ticket, "3rd", 4), 0);
    end(ticket, 0);
    cr_assert_null(booking->extra->rare->checkpoint);
}

/* --- tasks that come after others --- */

Test(book, a_task_waits_until_all_that_it_comes_after_are_done)
{
    mf_ticket before[] = {add(.tag = 1), add(.tag = 2)};
    mf_ticket after = add(.tag = 3, .after = before, .n_after = 2);

    check();
    cr_assert_eq(state_of(after), MF_TASK_WAITING);
    cr_assert_eq(counts().by_state[MF_TASK_WAITING], 1);
    run(before[0], 0);
    cr_assert_eq(state_of(after), MF_TASK_WAITING);
    run(before[1], 0);
    cr_assert_eq(state_of(after), MF_TASK_READY);
    run(after, 0);
}

Test(book, a_task_after_one_that_is_done_is_ready_at_once)
{
    mf_ticket before = add();

    run(before, 0);
    cr_assert_eq(state_of(add(.after = &before, .n_after = 1)), MF_TASK_READY);
}

Test(book, a_task_after_one_that_was_not_done_is_skipped_at_once)
{
    mf_ticket failed = add(), cancelled = add(), skipped, done = add();

    run(failed, 1);
    mf_book_cancel(book, (uint32_t)cancelled);
    skipped = add(.after = &failed, .n_after = 1, .input = "x", .size = 2);
    cr_assert_eq(state_of(skipped), MF_TASK_SKIPPED);
    cr_assert_eq(mf_book_find(book, skipped)->size, 0);
    cr_assert_eq(state_of(add(.after = &cancelled, .n_after = 1)), MF_TASK_SKIPPED);
    cr_assert_eq(state_of(add(.after = &skipped, .n_after = 1)), MF_TASK_SKIPPED);
    cr_assert_eq(state_of(add(.after = (mf_ticket[]){done, failed}, .n_after = 2)),
                 MF_TASK_SKIPPED);
    run(done, 0);
}

Test(book, a_task_after_one_that_is_not_in_the_book_is_refused_and_changes_nothing)
{
    mf_ticket held = add(.tag = 1), released = add(.tag = 2), ticket = 77;
    struct mf_order order = {
        .after = (mf_ticket[]){held, released}, .n_after = 2, .group = 4, .is_held = true};

    run(held, 0);
    run(released, 0);
    mf_book_release(book, released);
    held = add(.tag = 3);
    ((mf_ticket *)order.after)[0] = held;
    cr_assert_eq(mf_book_add(book, &order, &ticket), -ESTALE);
    ((mf_ticket *)order.after)[1] = 0;
    cr_assert_eq(mf_book_add(book, &order, &ticket), -ESTALE);
    cr_assert_eq(ticket, 77);
    cr_assert_eq(counts().submitted, 3);
    cr_assert_eq(mf_book_group_size(book, 4), 0);
    check();
    run(held, 0);
}

Test(book, naming_the_same_task_twice_is_as_naming_it_once)
{
    mf_ticket before = add();
    mf_ticket after = add(.after = (mf_ticket[]){before, before}, .n_after = 2);

    check();
    run(before, 0);
    run(after, 0);
}

Test(book, a_released_task_that_has_not_ended_still_lets_others_begin)
{
    mf_ticket before = add();
    mf_ticket after = add(.after = &before, .n_after = 1);

    mf_book_release(book, before);
    check();
    run(before, 0);
    run(after, 0);
    cr_assert_null(mf_book_find(book, before));
}

/* --- results for those that come after --- */

/* The parts of what a task was given, as "input, result, result". */
static const char *given_to(mf_ticket ticket)
{
    static char text[256];
    const struct mf_booking *booking = mf_book_find(book, ticket);
    struct mf_bundle bundle;
    size_t n = 0;

    cr_assert(booking->extra && booking->extra->has_results);
    cr_assert_eq(mf_bundle_open(mf_booking_bytes(booking), booking->size, &bundle), 0);
    for (size_t i = 0; i < bundle.n_parts; i++) {
        size_t size;
        const uint8_t *part = mf_bundle_part(&bundle, i, &size);

        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%.*s", i > 0 ? ", " : "", (int)size,
                              part ? (const char *)part : "");
    }
    return text;
}

/* Takes one task and ends it with a result. */
static void give(mf_ticket ticket, const char *result)
{
    take();
    cr_assert_eq(mf_book_end(book, (uint32_t)ticket, 0, 0, 1, result, strlen(result), false), 0);
    check();
}

Test(book, a_task_is_given_the_results_of_those_that_it_comes_after_in_their_order)
{
    mf_ticket before[] = {add(), add(), add()};
    mf_ticket after;

    give(before[0], "a result that is longer than what a task keeps in place");
    give(before[1], "two");
    after = add(.after = (mf_ticket[]){before[1], before[2], before[0], before[1]}, .n_after = 4,
                .input = "in", .size = 2);
    give(before[2], "");
    take();
    cr_assert_str_eq(given_to(after), "in, two, , a result that is longer than what a task keeps "
                                      "in place, two");
}

Test(book, a_result_is_kept_for_others_when_its_future_is_released)
{
    mf_ticket before = add(), early = add(.after = &before, .n_after = 1), late;

    give(before, "result");
    late = add(.after = &before, .n_after = 1);
    cr_assert_eq(mf_book_release(book, before), 0);
    check();
    cr_assert_eq(mf_book_release(book, before), -ESTALE);
    set_pace(0, 0);
    take();
    cr_assert_str_eq(given_to(early), ", result");
    cr_assert_str_eq(given_to(late), ", result");
    cr_assert_null(mf_book_find(book, before));
}

Test(book, a_task_that_nobody_holds_keeps_its_result_for_others)
{
    mf_ticket before = add(), after = add(.after = &before, .n_after = 1);

    mf_book_release(book, before);
    give(before, "result");
    take();
    cr_assert_str_eq(given_to(after), ", result");
}

Test(book, a_task_that_is_tried_again_is_given_the_same)
{
    mf_ticket before = add(), after = add(.after = &before, .n_after = 1, .max_attempts = 3);

    give(before, "result");
    mf_book_release(book, before);
    take();
    end(after, 1);
    take();
    mf_book_return(book, (uint32_t)after);
    take();
    cr_assert_str_eq(given_to(after), ", result");
}

Test(book, what_will_not_run_any_more_keeps_no_results)
{
    mf_ticket before = add(), failing = add();
    mf_ticket cancelled = add(.after = &before, .n_after = 1);
    mf_ticket skipped = add(.after = (mf_ticket[]){before, failing}, .n_after = 2);

    give(before, "result");
    mf_book_release(book, before);
    mf_book_cancel(book, (uint32_t)cancelled);
    check();
    cr_assert(mf_book_find(book, before));
    take();
    end(failing, 1);
    cr_assert_eq(state_of(skipped), MF_TASK_SKIPPED);
    cr_assert_null(mf_book_find(book, before));
}

Test(book, a_large_result_makes_a_task_travel_alone)
{
    static const char large[1 << 17];
    mf_ticket before = add();

    set_pace(0, 0);
    take();
    cr_assert_eq(mf_book_end(book, (uint32_t)before, 0, 0, 1, large, sizeof(large), false), 0);
    add(.tag = 2, .after = &before, .n_after = 1);
    add(.tag = 3);
    cr_assert_str_eq(take(), "2");
    cr_assert_str_eq(take(), "3");
}

Test(book, a_diamond_runs_from_top_to_bottom)
{
    mf_ticket top = add(.tag = 1);
    mf_ticket sides[] = {add(.tag = 2, .after = &top, .n_after = 1),
                         add(.tag = 3, .after = &top, .n_after = 1)};
    mf_ticket bottom = add(.tag = 4, .after = sides, .n_after = 2);

    set_pace(0, 0);
    cr_assert_str_eq(take(), "1");
    end(top, 0);
    cr_assert_str_eq(take(), "2 3");
    end(sides[1], 0);
    cr_assert_str_eq(take(), "");
    end(sides[0], 0);
    run(bottom, 0);
}

Test(book, a_failure_skips_each_descendant_once)
{
    mf_ticket top = add(.tag = 1), other = add(.tag = 9);
    mf_ticket sides[] = {add(.after = &top, .n_after = 1),
                         add(.after = (mf_ticket[]){top, other}, .n_after = 2)};
    mf_ticket bottom = add(.after = sides, .n_after = 2);

    run(top, 3);
    cr_assert_eq(state_of(sides[0]), MF_TASK_SKIPPED);
    cr_assert_eq(state_of(sides[1]), MF_TASK_SKIPPED);
    cr_assert_eq(state_of(bottom), MF_TASK_SKIPPED);
    cr_assert_eq(counts().by_state[MF_TASK_SKIPPED], 3);
    run(other, 0);
}

Test(book, a_retry_does_not_skip_what_comes_after)
{
    mf_ticket before = add(.max_attempts = 2);
    mf_ticket after = add(.after = &before, .n_after = 1);

    run(before, 1);
    cr_assert_eq(state_of(after), MF_TASK_WAITING);
    run(before, 0);
    run(after, 0);
}

/* A chain of MANY tasks, each after the one before it. */
static void add_chain(mf_ticket *tickets)
{
    tickets[0] = add(.delivery = MF_DELIVER_QUEUE);
    for (int i = 1; i < MANY; i++)
        tickets[i] = add(.delivery = MF_DELIVER_QUEUE, .after = &tickets[i - 1], .n_after = 1);
}

Test(book, a_long_chain_is_skipped_in_order_and_without_recursion)
{
    static mf_ticket tickets[MANY];
    mf_ticket heard;

    add_chain(tickets);
    run(tickets[0], 1);
    cr_assert_eq(counts().by_state[MF_TASK_SKIPPED], MANY - 1);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 1);
        cr_assert_eq(heard, tickets[i]);
    }
}

Test(book, a_long_chain_is_run_in_order)
{
    static mf_ticket tickets[MANY];
    const struct mf_unit_limits one = {.n_calls = 1};
    uint32_t number;

    add_chain(tickets);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(mf_book_take(book, 0, &one, 0, &number, &(struct mf_run){0}), 1);
        cr_assert_eq(number, (uint32_t)tickets[i]);
        cr_assert_eq(mf_book_end(book, number, 0, 0, 0, NULL, 0, false), 0);
    }
    cr_assert_eq(counts().by_state[MF_TASK_DONE], MANY);
}

Test(book, many_tasks_can_come_after_one)
{
    mf_ticket before = add();

    for (int i = 0; i < MANY; i++)
        add(.after = &before, .n_after = 1);
    check();
    run(before, 0);
    cr_assert_eq(mf_book_n_ready(book), MANY);
}

/* --- groups --- */

Test(book, a_group_has_its_unfinished_tasks)
{
    mf_ticket waits, runs = add(.tag = 1, .group = 3), fails = add(.tag = 2, .group = 3);
    mf_ticket other = add(.tag = 3, .group = 4);

    waits = add(.tag = 4, .group = 3, .after = &fails, .n_after = 1);
    add(.tag = 5);
    cr_assert_eq(mf_book_group_size(book, 3), 3);
    cr_assert_eq(mf_book_group_size(book, 4), 1);
    cr_assert_eq(mf_book_group_size(book, 0), 0);
    cr_assert_eq(mf_book_group_size(book, 99), 0);
    run(runs, 0);
    cr_assert_eq(mf_book_group_size(book, 3), 2);
    run(fails, 1);
    cr_assert_eq(state_of(waits), MF_TASK_SKIPPED);
    cr_assert_eq(mf_book_group_size(book, 3), 0);
    mf_book_cancel(book, (uint32_t)other);
    check();
    cr_assert_eq(mf_book_group_size(book, 4), 0);
}

/* --- cancelling --- */

Test(book, an_unfinished_task_can_be_cancelled_in_each_state)
{
    mf_ticket placed = add(.tag = 1, .input = "x", .size = 2), ready = add(.tag = 2);
    mf_ticket waiting = add(.tag = 3, .after = &ready, .n_after = 1);

    cr_assert_str_eq(take(), "1");
    mf_book_cancel(book, (uint32_t)waiting);
    check();
    mf_book_cancel(book, (uint32_t)ready);
    check();
    mf_book_cancel(book, (uint32_t)placed);
    cr_assert_eq(state_of(waiting), MF_TASK_CANCELLED);
    cr_assert_eq(state_of(ready), MF_TASK_CANCELLED);
    cr_assert_eq(state_of(placed), MF_TASK_CANCELLED);
    cr_assert_eq(mf_book_find(book, placed)->size, 0);
    cr_assert_eq(counts().by_state[MF_TASK_CANCELLED], 3);
    cr_assert_eq(counts().unfinished, 0);
    cr_assert_str_eq(take(), "");
}

Test(book, what_comes_after_a_cancelled_task_is_skipped)
{
    mf_ticket before = add();
    mf_ticket after = add(.after = &before, .n_after = 1);

    mf_book_cancel(book, (uint32_t)before);
    cr_assert_eq(state_of(after), MF_TASK_SKIPPED);
}

Test(book, a_task_can_be_cancelled_out_of_the_middle_of_the_ready_ones)
{
    mf_ticket middle;

    set_pace(0, 0);
    add(.tag = 1);
    middle = add(.tag = 2);
    add(.tag = 3);
    mf_book_cancel(book, (uint32_t)middle);
    check();
    cr_assert_str_eq(take(), "1 3");
}

/* --- hearing and releasing --- */

Test(book, ended_tasks_are_heard_of_in_order_of_their_ends)
{
    mf_ticket first = add(.tag = 1, .delivery = MF_DELIVER_QUEUE);
    mf_ticket second = add_unheld(.tag = 2, .delivery = MF_DELIVER_QUEUE);
    mf_ticket called = add_unheld(.tag = 3, .delivery = MF_DELIVER_CALLBACK), heard = 0;

    set_pace(0, 0);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 0);
    take();
    end(second, 1);
    end(called, 0);
    end(first, 0);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_CALLBACK, &heard), 1);
    cr_assert_eq(heard, called);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_CALLBACK, &heard), 0);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 1);
    cr_assert_eq(heard, second);
    check();
    cr_assert(mf_book_find(book, second)->is_held, "who heard of it holds it");
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 1);
    cr_assert_eq(heard, first);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 0);
    mf_book_release(book, second);
    cr_assert_null(mf_book_find(book, second));
}

static void hear_nothing(void)
{
}

Test(book, who_is_to_hear_is_kept_with_the_task)
{
    int arg;
    mf_ticket ticket = add(.delivery = MF_DELIVER_CALLBACK, .hearer = {hear_nothing, &arg});

    run(ticket, 0);
    cr_assert_eq(mf_book_find(book, ticket)->extra->hearer[0].hear, hear_nothing);
    cr_assert_eq(mf_book_find(book, ticket)->extra->hearer[0].arg, (void *)&arg);
}

/* Whatever they were added for, and whether somebody has their tickets. */
Test(book, tasks_whose_addition_is_undone_were_never_there)
{
    mf_ticket failed = add(.max_attempts = 1), heard;
    struct mf_book_counts before;

    run(failed, 1);
    before = counts();
    for (int is_held = 0; is_held < 2; is_held++) {
        for (int delivery = MF_DELIVER_FUTURE; delivery <= MF_DELIVER_NONE; delivery++) {
            struct mf_order order = {.is_held = is_held,
                                     .delivery = (enum mf_delivery)delivery,
                                     .group = 4,
                                     .hearer = {hear_nothing, NULL}};
            mf_ticket ready, skipped;

            cr_assert_eq(mf_book_add(book, &order, &ready), 0);
            mf_book_undo_add(book, ready);
            check();
            order.after = &failed;
            order.n_after = 1;
            cr_assert_eq(mf_book_add(book, &order, &skipped), 0);
            mf_book_undo_add(book, skipped);
            check();
            /* What ended at once and nobody wanted was gone already. */
            if (!is_held && (delivery == MF_DELIVER_FUTURE || delivery == MF_DELIVER_NONE))
                before.submitted++;
            cr_assert_eq(counts().submitted, before.submitted);
            cr_assert_null(mf_book_find(book, ready));
            cr_assert_null(mf_book_find(book, skipped));
        }
    }
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 0);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_CALLBACK, &heard), 0);
    cr_assert_eq(counts().by_state[MF_TASK_CANCELLED], 0);
    cr_assert_eq(mf_book_group_size(book, 4), 0);
}

Test(book, a_task_that_nobody_waits_for_goes_out_of_the_book_when_it_ends)
{
    mf_ticket ticket = add_unheld(.delivery = MF_DELIVER_NONE);
    mf_ticket future = add_unheld(.delivery = MF_DELIVER_FUTURE);

    run(ticket, 0);
    run(future, 1);
    cr_assert_null(mf_book_find(book, ticket));
    cr_assert_null(mf_book_find(book, future));
    cr_assert_eq(counts().submitted, 2);
}

Test(book, a_task_released_before_its_end_is_not_heard_of)
{
    mf_ticket ticket = add(.delivery = MF_DELIVER_QUEUE), heard;

    mf_book_release(book, ticket);
    check();
    cr_assert(mf_book_find(book, ticket), "it goes on");
    run(ticket, 0);
    cr_assert_null(mf_book_find(book, ticket));
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 0);
}

Test(book, a_task_released_after_its_end_is_not_heard_of)
{
    mf_ticket tickets[3], heard;

    for (int i = 0; i < 3; i++)
        tickets[i] = add(.delivery = MF_DELIVER_QUEUE);
    for (int i = 0; i < 3; i++)
        run(tickets[i], 0);
    mf_book_release(book, tickets[1]);
    check();
    cr_assert_null(mf_book_find(book, tickets[1]));
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 1);
    cr_assert_eq(heard, tickets[0]);
    cr_assert_eq(mf_book_hear(book, MF_DELIVER_QUEUE, &heard), 1);
    cr_assert_eq(heard, tickets[2]);
}

/* --- places --- */

Test(book, a_ticket_is_stale_when_its_place_is_used_again)
{
    mf_ticket first = add(.tag = 1), second;

    run(first, 0);
    mf_book_release(book, first);
    second = add(.tag = 2);
    cr_assert_eq((uint32_t)first, (uint32_t)second, "the place is used again");
    cr_assert_neq(first, second);
    cr_assert_null(mf_book_find(book, first));
    cr_assert_eq(mf_book_find(book, second)->tag, 2);
    cr_assert_eq(mf_book_ticket(book, (uint32_t)second), second);
    cr_assert_null(mf_book_find(book, 0));
    cr_assert_null(mf_book_find(book, second + MF_BOOKINGS_PER_CHUNK));
    cr_assert_null(mf_book_find(book, (mf_ticket)(uint32_t)second), "generation 0 is of none");
    cr_assert_null(mf_book_find(book, UINT64_MAX));
}

Test(book, a_successor_that_is_gone_is_not_mistaken_for_who_has_its_place)
{
    mf_ticket before = add(.tag = 1), gone = add(.tag = 2, .after = &before, .n_after = 1), other;

    mf_book_cancel(book, (uint32_t)gone);
    mf_book_release(book, gone);
    other = add(.tag = 3, .after = &before, .n_after = 1);
    cr_assert_eq((uint32_t)gone, (uint32_t)other);
    check();
    run(before, 0);
    cr_assert_eq(state_of(other), MF_TASK_READY);
}

Test(book, generations_pass_over_zero_when_they_wrap_around)
{
    mf_ticket ticket;

    book->bookings.generation = MF_BOOKING_GENERATIONS - 1;
    ticket = add(.tag = 1);
    cr_assert_eq(ticket >> 32, 1);
    cr_assert_eq(mf_book_find(book, ticket)->tag, 1);
}

static uint32_t count_chunks(void)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < book->bookings.n_chunks; i++)
        n += book->bookings.chunks[i] != NULL;
    return n;
}

Test(book, memory_is_given_back_when_tasks_are_gone)
{
    static mf_ticket tickets[20 * MF_BOOKINGS_PER_CHUNK];
    size_t n = sizeof(tickets) / sizeof(tickets[0]);

    for (size_t i = 0; i < n; i++)
        tickets[i] = add(.tag = i);
    cr_assert_eq(count_chunks(), 20);
    for (size_t i = 0; i < n; i++) {
        mf_book_cancel(book, (uint32_t)tickets[i]);
        mf_book_release(book, tickets[i]);
    }
    check();
    cr_assert_eq(count_chunks(), 1);
    for (size_t i = 0; i < n; i++)
        add(.tag = i);
    check();
    cr_assert_eq(book->bookings.n_chunks, 20, "gaps of the directory are filled");
}

Test(book, a_long_stream_keeps_little_even_when_one_task_stays)
{
    mf_ticket stays = add(.tag = 1, .priority = -1);

    for (int i = 0; i < MANY; i++)
        run(add_unheld(.delivery = MF_DELIVER_NONE, .group = 1 + (uint32_t)i, .priority = i % 100),
            0);
    cr_assert(count_chunks() <= 2);
    cr_assert_eq(mf_table_count(book->groups), 0);
    cr_assert_eq(mf_table_count(book->ready.by_key), 1);
    cr_assert_eq(mf_book_find(book, stays)->tag, 1);
}

Test(book, walking_visits_each_task_once_while_tasks_leave)
{
    enum { N = 3 * MF_BOOKINGS_PER_CHUNK };
    static mf_ticket tickets[N];
    static uint8_t n_visits[N];
    uint64_t cursor = 0;
    uint32_t number;
    int n = 0;

    cr_assert_eq(mf_book_next(book, &cursor, &number), 0);
    for (uint64_t i = 0; i < N; i++)
        tickets[i] = add(.tag = i);
    cursor = 0;
    while (mf_book_next(book, &cursor, &number)) {
        mf_ticket ticket = mf_book_ticket(book, number);

        n_visits[mf_book_at(book, number)->tag]++;
        mf_book_cancel(book, number);
        mf_book_release(book, ticket);
        n++;
    }
    cr_assert_eq(n, N);
    for (int i = 0; i < N; i++)
        cr_assert(n_visits[i] == 1 && !mf_book_find(book, tickets[i]));
}

Test(book, a_plain_task_fits_into_one_cache_line)
{
    static mf_ticket tickets[MF_BOOKINGS_PER_CHUNK];

    for (int i = 0; i < MF_BOOKINGS_PER_CHUNK; i++) {
        tickets[i] =
            add(.input = "0123456789abcdef", .size = MF_BOOKING_SMALL, .tag = 5, .group = 6);
        cr_assert(!mf_book_find(book, tickets[i])->extra);
        cr_assert(!mf_book_find(book, tickets[i])->is_on_heap);
    }
    cr_assert_eq(count_chunks(), 1);
    cr_assert(sizeof(struct mf_booking_chunk) / MF_BOOKINGS_PER_CHUNK < 80);
}

Test(book, a_book_can_be_destroyed_with_anything_in_it)
{
    mf_ticket before = add(.input = "12345678901234567890", .size = 21, .max_attempts = 2);

    add(.after = &before, .n_after = 1, .priority = 4, .rank = 2, .group = 5);
    take();
    cr_assert_eq(mf_book_checkpoint(book, (uint32_t)before, "x", 1), 0);
    mf_book_destroy(NULL);
}

/* --- runs --- */

/* n tasks alike with tags from `tag` on. */
static void add_alike(int n, uint64_t tag, size_t size)
{
    for (int i = 0; i < n; i++)
        add(.tag = tag + (uint64_t)i, .input = "input", .size = size);
}

Test(book, tasks_alike_are_a_run)
{
    add_alike(3, 10, 4);
    cr_assert_str_eq(take_runs(1000), "by 1 and 1: 10 11 12");
}

Test(book, one_task_is_no_run)
{
    add_alike(1, 10, 4);
    cr_assert_str_eq(take_runs(1000), "10");
}

Test(book, a_run_goes_down_in_places_that_were_given_back)
{
    mf_ticket tickets[4];

    for (int i = 0; i < 4; i++)
        tickets[i] = add(.tag = 1);
    cr_assert_str_eq(take_runs(1000), "by 1 and 0: 1 1 1 1");
    for (int i = 0; i < 4; i++) {
        end(tickets[i], 0);
        mf_book_release(book, tickets[i]);
    }
    for (int i = 0; i < 3; i++)
        add(.tag = 7);
    cr_assert_str_eq(take_runs(1000), "by -1 and 0: 7 7 7");
}

Test(book, a_long_run_ends_its_unit_where_a_task_is_other)
{
    const struct mf_order others[] = {
        {.tag = 19, .input = "input", .size = 4},
        {.tag = 18, .input = "input", .size = 5},
        {.tag = 18, .input = "input", .size = 4, .function = 1},
        {.tag = 18, .input = "input", .size = 4, .group = 1},
        {.tag = 18, .input = "input", .size = 4, .timeout_ns = 9},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        add_alike(8, 10, 4);
        add_order(others[i], true);
        cr_assert_str_eq(take_runs(1000), "by 1 and 1: 10 11 12 13 14 15 16 17", "other %zu", i);
        cr_assert_str_eq(take_runs(1000), i == 0 ? "19" : "18");
    }
}

Test(book, a_short_run_goes_with_others_one_by_one)
{
    add_alike(7, 10, 4);
    add_alike(2, 30, 4);
    cr_assert_str_eq(take_runs(1000), "10 11 12 13 14 15 16 30 31");
}

Test(book, a_run_takes_as_many_as_fit_as_one)
{
    add_alike(20, 10, 5);
    cr_assert_str_eq(take_runs(72 + 5 * 9 + 4), "by 1 and 1: 10 11 12 13 14 15 16 17 18");
    cr_assert_str_eq(take_runs(72 + 5 * 2), "by 1 and 1: 19 20");
}

Test(book, a_short_run_stays_one_where_no_more_would_fit)
{
    add_alike(3, 10, 4);
    add_alike(3, 30, 4);
    cr_assert_str_eq(take_runs(4 * 60 - 1), "by 1 and 1: 10 11 12");
    cr_assert_str_eq(take_runs(1000), "by 1 and 1: 30 31 32");
    add_alike(3, 10, 4);
    add_alike(3, 30, 4);
    cr_assert_str_eq(take_runs(4 * 60), "10 11 12 30");
}

Test(book, what_is_not_said_of_a_call_makes_no_difference_to_a_run)
{
    add(.tag = 1, .timeout_ns = 5);
    add(.tag = 2, .timeout_ns = 5, .max_attempts = 9);
    add(.tag = 3, .timeout_ns = 5);
    cr_assert_str_eq(take_runs(1000), "by 1 and 1: 1 2 3");
}

Test(book, tasks_that_are_given_results_are_no_run)
{
    mf_ticket before = add(.tag = 1);

    run(before, 0);
    for (uint64_t tag = 2; tag < 5; tag++)
        add(.tag = tag, .after = &before, .n_after = 1);
    cr_assert_str_eq(take_runs(1000), "2 3 4");
}
