/*
 * Ranges: core/range.c, alone and among tasks of the book. Every step checks all
 * invariants of the book.
 */
#include "core/book_private.h"
#include "core/range.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Each Criterion test is a process of its own. */
static struct mf_book *book;

static void check(void)
{
    const char *breach = mf_book_check(book);

    cr_assert_null(breach, "%s", breach);
}

static void open_book(void)
{
    cr_assert_eq(mf_book_create(2, &book), 0);
    /* Of the function something is known, so that units are not cut short. */
    mf_book_note_duration(book, 0, 100000, 0);
}

static void close_book(void)
{
    check();
    mf_book_destroy(book);
}

TestSuite(range, .init = open_book, .fini = close_book);

static const struct mf_unit_limits plenty = {
    .n_calls = 1000, .n_bytes = 1 << 20, .duration_ns = 1 << 30, .large_bytes = 1 << 16};

static mf_ticket add_range(struct mf_order order, uint64_t n,
                           const struct mf_range_results *results)
{
    mf_ticket ticket = 0;

    cr_assert_eq(mf_book_add_range(book, &order, n, results, &ticket), 0);
    check();
    return ticket;
}

static mf_ticket add_task(struct mf_order order)
{
    mf_ticket ticket;

    cr_assert_eq(mf_book_add(book, &order, &ticket), 0);
    return ticket;
}

static struct mf_stretch *take_within(struct mf_unit_limits limits)
{
    int error;
    struct mf_stretch *stretch = mf_book_take_stretch(book, 0, &limits, &error);

    cr_assert_eq(error, 0);
    check();
    return stretch;
}

static struct mf_stretch *take(uint32_t n)
{
    struct mf_unit_limits limits = plenty;

    limits.n_calls = n;
    return take_within(limits);
}

static void give_back(struct mf_stretch *stretch, bool is_suspect)
{
    mf_book_return_stretch(book, stretch, is_suspect);
    check();
}

static void end(struct mf_stretch *stretch, uint64_t n, const void *results, size_t size)
{
    mf_book_end_elements(book, stretch, n, results, size);
    check();
}

static struct mf_book_counts count(void)
{
    struct mf_book_counts counts;

    mf_book_count(book, &counts);
    return counts;
}

static struct mf_range *range_of(mf_ticket ticket)
{
    return mf_booking_range(mf_book_find(book, ticket));
}

Test(range, it_is_one_entry_of_the_book_whose_elements_are_taken_in_order)
{
    mf_ticket ticket = add_range((struct mf_order){0}, 1000000, NULL);
    struct mf_stretch *first, *second;

    cr_assert_eq(book->bookings.chunks[0]->n_used, 1);
    cr_assert_eq(count().by_state[MF_TASK_READY], 1000000);
    cr_assert_eq(mf_book_n_ready(book), 1000000);
    first = take(1000);
    second = take(10);
    cr_assert(first->first == 0 && first->n == 1000);
    cr_assert(second->first == 1000 && second->n == 10);
    cr_assert_eq(count().by_state[MF_TASK_PLACED], 1010);
    cr_assert_eq(mf_book_n_ready(book), 1000000 - 1010);
    end(first, 1000, NULL, 0);
    cr_assert_eq(count().by_state[MF_TASK_DONE], 1000);
    give_back(first, false);
    give_back(second, false);
    mf_book_cancel(book, (uint32_t)ticket);
    cr_assert_null(mf_book_find(book, ticket));
    cr_assert_eq(count().by_state[MF_TASK_CANCELLED], 1000000 - 1000);
}

Test(range, limits_of_bytes_time_and_what_is_known_bound_a_stretch)
{
    struct mf_unit_limits limits = plenty;
    struct mf_stretch *stretch;

    add_range((struct mf_order){.function = 1, .input = "aabbccddeeff", .size = 2}, 6, NULL);
    stretch = take_within(limits);
    cr_assert_eq(stretch->n, 1, "nothing is known of how long the function takes");
    give_back(stretch, false);
    mf_book_note_duration(book, 1, 100, INT64_C(100) * 40);
    limits.call_bytes = 10;
    limits.details_bytes = 20;
    limits.n_bytes = 30 + 7;
    stretch = take_within(limits);
    cr_assert_eq(stretch->n, 3);
    give_back(stretch, false);
    limits.duration_ns = 100;
    stretch = take_within(limits);
    cr_assert_eq(stretch->n, 2);
    give_back(stretch, false);
    limits.n_bytes = 5;
    stretch = take_within(limits);
    cr_assert_eq(stretch->n, 1, "one travels whatever the limits say");
    give_back(stretch, false);
}

Test(range, one_pause_of_a_rank_makes_the_next_stretches_little_shorter)
{
    struct mf_unit_limits limits = plenty;
    struct mf_stretch *stretch;

    limits.duration_ns = 100000;
    mf_book_note_duration(book, 1, 1000, INT64_C(1000) * 100);
    add_range((struct mf_order){.function = 1}, 100000, NULL);
    mf_book_note_duration(book, 1, 1000, INT64_C(1000) * 100 + 1000000000);
    stretch = take_within(limits);
    cr_assert(stretch->n >= 60 && stretch->n < 1000, "%d", (int)stretch->n);
    give_back(stretch, false);
    /* Calls that have become long are known as such soon. */
    for (int i = 0; i < 5; i++)
        mf_book_note_duration(book, 1, 20, INT64_C(20) * 1000000);
    stretch = take_within(limits);
    cr_assert(stretch->n <= 2, "%d", (int)stretch->n);
    give_back(stretch, false);
}

Test(range, elements_with_a_time_limit_travel_together)
{
    struct mf_stretch *stretch;

    add_range((struct mf_order){.timeout_ns = 5}, 10, NULL);
    stretch = take(10);
    cr_assert_eq(stretch->n, 10);
    give_back(stretch, false);
}

Test(range, what_comes_back_goes_first_and_joins_its_neighbours)
{
    struct mf_stretch *first, *second, *stretch;

    add_range((struct mf_order){0}, 30, NULL);
    first = take(10);
    second = take(10);
    end(first, 3, NULL, 0);
    give_back(second, false);
    give_back(first, false);
    stretch = take(1000);
    cr_assert(stretch->first == 3 && stretch->n == 27);
    give_back(stretch, false);
}

Test(range, suspects_travel_one_by_one)
{
    struct mf_stretch *suspects, *stretch;

    add_range((struct mf_order){0}, 10, NULL);
    suspects = take(3);
    give_back(suspects, true);
    for (uint64_t i = 0; i < 3; i++) {
        stretch = take(1000);
        cr_assert(stretch->first == i && stretch->n == 1);
        end(stretch, 1, NULL, 0);
        give_back(stretch, false);
    }
    stretch = take(1000);
    cr_assert(stretch->first == 3 && stretch->n == 7);
    give_back(stretch, false);
}

Test(range, results_are_filled_up_with_zeros_and_longer_ones_fail)
{
    uint8_t places[8];
    struct mf_range_results results = {places, 2};
    mf_ticket ticket = add_range((struct mf_order){.is_held = true}, 4, &results);
    struct mf_stretch *stretch = take(4);

    memset(places, 9, sizeof(places));
    end(stretch, 1, (const uint8_t *)"ab", 2);
    end(stretch, 1, (const uint8_t *)"c", 1);
    end(stretch, 1, (const uint8_t *)"def", 3);
    end(stretch, 1, NULL, 0);
    give_back(stretch, false);
    cr_assert_eq(memcmp(places, "abc\0\t\t\0\0", 8), 0);
    cr_assert_eq(mf_book_find(book, ticket)->state, MF_TASK_DONE);
    cr_assert_eq(range_of(ticket)->n_not_done, 1);
    cr_assert_eq(count().by_state[MF_TASK_DONE], 3);
    cr_assert_eq(count().by_state[MF_TASK_FAILED], 1);
    mf_book_release(book, ticket);
    cr_assert_null(mf_book_find(book, ticket));
}

/* The book of these tests allows two tries. */
Test(range, a_detached_element_with_too_long_a_result_fails_and_is_not_tried_again)
{
    uint8_t places[8];
    struct mf_range_results results = {places, 4};
    mf_ticket ticket = add_range((struct mf_order){.is_held = true}, 2, &results);
    struct mf_stretch *stretch = take(2);
    uint32_t detached;

    memset(places, 9, sizeof(places));
    detached = mf_book_detach(book, stretch, 5);
    mf_book_end(book, detached, 0, 0, 1, "longer", 6, false);
    check();
    detached = mf_book_detach(book, stretch, 5);
    give_back(stretch, false);
    mf_book_end(book, detached, 0, 0, 1, strdup("longer"), 6, true);
    check();
    cr_assert_eq(mf_book_find(book, ticket)->state, MF_TASK_DONE);
    cr_assert_eq(range_of(ticket)->n_not_done, 2);
    cr_assert_eq(count().by_state[MF_TASK_FAILED], 2);
    cr_assert_eq(count().retried, 0);
    cr_assert_eq(memcmp(places, "\t\t\t\t\t\t\t\t", 8), 0);
    mf_book_release(book, ticket);
}

/* Whatever becomes of it: with its range's own copy, and with the submitter's memory. */
Test(range, a_detached_element_has_its_input_where_the_range_has_it)
{
    enum { N = 4, SIZE = 100 };
    char inputs[N * SIZE];
    struct mf_range_results results = {0};

    memset(inputs, 'i', sizeof(inputs));
    for (int i = 0; i < 2; i++) {
        mf_ticket ticket =
            add_range((struct mf_order){.is_held = true, .input = inputs, .size = SIZE}, N,
                      i ? &results : NULL);
        struct mf_stretch *stretch = take(N);
        uint32_t detached[N];

        for (uint64_t j = 0; j < N; j++) {
            detached[j] = mf_book_detach(book, stretch, 5);
            cr_assert_eq(mf_booking_bytes(mf_book_at(book, detached[j])),
                         range_of(ticket)->inputs + j * SIZE);
        }
        give_back(stretch, false);
        mf_book_end(book, detached[0], 0, 0, 1, "r", i ? 0 : 1, false);
        mf_book_end(book, detached[1], 1, 1, 1, "no", 3, false);
        mf_book_cancel(book, detached[2]);
        check();
        cr_assert_eq(mf_book_take(book, 0, &plenty, 5, &detached[1], &(struct mf_run){0}), 1);
        cr_assert_eq(mf_booking_bytes(mf_book_at(book, detached[1])),
                     range_of(ticket)->inputs + SIZE, "at its second try too");
        mf_book_end(book, detached[1], 1, 1, 1, "no", 3, false);
        mf_book_release(book, ticket);
        mf_book_end(book, detached[3], 0, 0, 1, NULL, 0, false);
        check();
        cr_assert_null(mf_book_find(book, ticket));
    }
    for (int i = 0; i < N * SIZE; i++)
        cr_assert_eq(inputs[i], 'i');
}

Test(range, a_detached_element_is_tried_again_as_itself)
{
    const uint16_t inputs[] = {100, 101, 102};
    uint16_t places[3] = {0};
    struct mf_range_results results = {places, 2};
    mf_ticket ticket = add_range(
        (struct mf_order){.is_held = true, .input = inputs, .size = 2, .tag = 50, .group = 7}, 3,
        &results);
    struct mf_stretch *stretch = take(3);
    uint32_t number, again;
    uint64_t id;

    end(stretch, 1, (const uint8_t *)"ab", 2);
    number = mf_book_detach(book, stretch, 5);
    check();
    id = mf_book_task_id(book, number);
    cr_assert_eq(id, range_of(ticket)->first_id + 1);
    cr_assert_eq(mf_book_at(book, number)->tag, 51);
    cr_assert_eq(memcmp(mf_booking_bytes(mf_book_at(book, number)), &inputs[1], 2), 0);
    mf_book_end(book, number, 1, 3, 9, "no", 3, false);
    check();
    end(stretch, 1, (const uint8_t *)"ef", 2);
    give_back(stretch, false);
    cr_assert_eq(mf_book_group_size(book, 7), 1);
    cr_assert_eq(mf_book_find(book, ticket)->state, MF_TASK_PLACED, "one of it has not ended");
    cr_assert_eq(mf_book_take(book, 0, &plenty, 5, &again, &(struct mf_run){0}), 1);
    cr_assert_eq(again, number);
    cr_assert_eq(mf_book_at(book, again)->extra->tries, 1);
    cr_assert_eq(mf_book_task_id(book, again), id);
    mf_book_end(book, again, 0, 0, 9, "cd", 2, false);
    check();
    cr_assert_eq(memcmp(places, "abcdef", 6), 0);
    cr_assert_eq(mf_book_find(book, ticket)->state, MF_TASK_DONE);
    cr_assert_eq(range_of(ticket)->n_not_done, 0);
    cr_assert_eq(count().retried, 1);
    cr_assert_eq(mf_book_group_size(book, 7), 0);
    mf_book_release(book, ticket);
}

Test(range, what_is_out_of_a_withdrawn_one_has_no_part_in_it)
{
    mf_ticket ticket = add_range((struct mf_order){.group = 3}, 20, NULL);
    struct mf_stretch *stretch = take(10), *other = take(5);
    uint32_t detached = mf_book_detach(book, stretch, 5);

    mf_book_cancel(book, (uint32_t)ticket);
    check();
    cr_assert_eq(stretch->range, MF_NO_RANGE);
    cr_assert_eq(count().by_state[MF_TASK_CANCELLED], 19);
    cr_assert_not_null(mf_book_find(book, ticket), "its detached task is its own");
    end(stretch, 4, NULL, 0);
    give_back(stretch, true);
    give_back(other, false);
    cr_assert_eq(count().by_state[MF_TASK_DONE], 0);
    mf_book_end(book, detached, 0, 0, 1, NULL, 0, false);
    check();
    cr_assert_null(mf_book_find(book, ticket));
    cr_assert_eq(count().unfinished, 0);
}

Test(range, one_that_comes_after_a_failed_task_is_skipped_whole)
{
    mf_ticket before = add_task((struct mf_order){.is_held = true, .max_attempts = 1});
    mf_ticket range = add_range(
        (struct mf_order){.is_held = true, .after = &before, .n_after = 1, .group = 2}, 50, NULL);
    uint32_t number;

    cr_assert_eq(count().by_state[MF_TASK_WAITING], 50);
    cr_assert_eq(mf_book_take(book, 0, &plenty, 0, &number, &(struct mf_run){0}), 1);
    mf_book_end(book, number, 1, 1, 1, NULL, 0, false);
    check();
    cr_assert_eq(count().by_state[MF_TASK_SKIPPED], 50);
    cr_assert_eq(range_of(range)->n_not_done, 50);
    cr_assert_eq(mf_book_group_size(book, 2), 0);
}

Test(range, it_begins_when_the_task_before_it_is_done_and_each_element_is_given_its_result)
{
    mf_ticket before = add_task((struct mf_order){0});
    struct mf_stretch *stretch;
    uint32_t number;

    add_range((struct mf_order){.after = &before, .n_after = 1}, 3, NULL);
    cr_assert_null(take(50), "a task is first");
    cr_assert_eq(mf_book_take(book, 0, &plenty, 0, &number, &(struct mf_run){0}), 1);
    cr_assert_null(take(50), "nothing is ready");
    mf_book_end(book, number, 0, 0, 1, "result", 6, false);
    check();
    for (int i = 0; i < 3; i++) {
        stretch = take(50);
        cr_assert_eq(stretch->n, 1, "they become tasks to travel");
        number = mf_book_detach(book, stretch, 0);
        check();
        cr_assert(mf_book_at(book, number)->extra->has_results);
        cr_assert_not_null(memmem(mf_booking_bytes(mf_book_at(book, number)),
                                  mf_book_at(book, number)->size, "result", 6));
        give_back(stretch, false);
        mf_book_end(book, number, 0, 0, 1, NULL, 0, false);
        check();
    }
    cr_assert_null(mf_book_find(book, before), "nobody is to be given its result any more");
    cr_assert_eq(count().by_state[MF_TASK_DONE], 4);
}

Test(range, tasks_before_and_behind_it_and_more_urgent_ones_keep_their_order)
{
    uint32_t numbers[8];
    mf_ticket before = add_task((struct mf_order){.tag = 1});
    struct mf_stretch *stretch;

    add_range((struct mf_order){.tag = 2}, 3, NULL);
    mf_ticket behind = add_task((struct mf_order){.tag = 5});

    cr_assert_eq(mf_book_take(book, 0, &(struct mf_unit_limits){.n_calls = 8, .n_bytes = 1000}, 0,
                              numbers, &(struct mf_run){0}),
                 1);
    cr_assert_eq(numbers[0], (uint32_t)before);
    cr_assert_eq(mf_book_take(book, 0, &plenty, 0, numbers, &(struct mf_run){0}), 0,
                 "the range is next");
    stretch = take(2);
    cr_assert_eq(stretch->n, 2);
    mf_ticket urgent = add_task((struct mf_order){.priority = 9});

    cr_assert_null(take(1));
    cr_assert_eq(mf_book_take(book, 0, &plenty, 0, numbers, &(struct mf_run){0}), 1);
    cr_assert_eq(numbers[0], (uint32_t)urgent);
    give_back(stretch, false);
    stretch = take(3);
    cr_assert_eq(stretch->n, 3);
    cr_assert_eq(mf_book_take(book, 0, &plenty, 0, numbers, &(struct mf_run){0}), 1);
    cr_assert_eq(numbers[0], (uint32_t)behind);
    give_back(stretch, false);
}

Test(range, one_for_a_rank_that_is_gone_is_refused_whole)
{
    mf_ticket ticket = add_range((struct mf_order){.rank = 3, .is_held = true}, 9, NULL);
    uint32_t number;

    cr_assert_not(mf_book_first(book, 0, &number));
    cr_assert(mf_book_first(book, 3, &number));
    cr_assert_eq(mf_book_n_ready_for(book, 3), 9);
    mf_book_refuse(book, number, 6, "gone");
    check();
    cr_assert_eq(range_of(ticket)->n_not_done, 9);
    cr_assert_eq(count().by_state[MF_TASK_FAILED], 9);
    cr_assert_not(mf_book_has_ranks(book));
}

Test(range, an_unknown_predecessor_refuses_it_and_leaves_nothing)
{
    mf_ticket none = 77, ticket;
    struct mf_order order = {.after = &none, .n_after = 1, .group = 3};

    cr_assert_eq(mf_book_add_range(book, &order, 5, NULL, &ticket), -ESTALE);
    check();
    cr_assert_eq(count().submitted, 0);
    cr_assert_eq(mf_book_group_size(book, 3), 0);
}

Test(range, no_task_has_the_number_of_an_element)
{
    struct mf_stretch *stretch;
    uint32_t number;

    book->bookings.generation = MF_BOOKING_GENERATIONS - 2;
    mf_ticket last = add_task((struct mf_order){.priority = -1});
    mf_ticket range = add_range((struct mf_order){0}, 2, NULL);

    stretch = take(2);
    number = mf_book_detach(book, stretch, 0);
    cr_assert_gt(mf_book_task_id(book, number), last);
    cr_assert_gt(mf_book_task_id(book, number), range);
    give_back(stretch, false);
    mf_book_return(book, number);
}
