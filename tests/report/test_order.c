/* Tests of report/order.c. */
#include "report/order.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#define N 20000

/* Every third number is skipped; all arrive in an order of the seed's choosing. */
static void check_permutation(uint64_t seed)
{
    static struct mf_order_item items[N + 1];
    static uint64_t arrivals[N];
    struct mf_order order;
    struct mf_order_item *item;
    struct mf_rng rng;
    uint64_t last = 0, n_out = 0;

    mf_rng_init(&rng, seed);
    mf_order_init(&order);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t j = mf_rng_below(&rng, i + 1);

        arrivals[i] = arrivals[j];
        arrivals[j] = i + 1;
    }
    for (uint64_t i = 0; i < N; i++) {
        uint64_t number = arrivals[i];

        if (number % 3 == 0) {
            cr_assert_eq(mf_order_skip(&order, number), 0);
        } else {
            items[number] = (struct mf_order_item){.number = number};
            cr_assert_eq(mf_order_add(&order, &items[number]), 0);
        }
        while ((item = mf_order_next(&order))) {
            cr_assert(item->number == last + 1 || (item->number == last + 2 && last % 3 == 2));
            last = item->number;
            n_out++;
        }
    }
    cr_assert_eq(n_out, N - N / 3);
    mf_order_finish(&order);
}

Test(order, items_come_out_in_order_and_at_once_whatever_the_order_of_arrival)
{
    for (uint64_t seed = 1; seed <= 5; seed++)
        check_permutation(seed);
}

Test(order, a_million_numbers_skipped_ahead_cost_a_bit_each)
{
    struct mf_order order;
    struct mf_order_item first = {.number = 1}, last = {.number = 1000001};

    mf_order_init(&order);
    for (uint64_t number = 1000000; number > 1; number--)
        cr_assert_eq(mf_order_skip(&order, number), 0);
    cr_assert(order.n_bits <= 1 << 20);
    cr_assert_eq(mf_order_add(&order, &last), 0);
    cr_assert_null(mf_order_next(&order));
    cr_assert_eq(mf_order_add(&order, &first), 0);
    cr_assert_eq(mf_order_next(&order), &first);
    cr_assert_eq(mf_order_next(&order), &last);
    mf_order_finish(&order);
}

Test(order, numbers_skipped_in_order_need_no_memory)
{
    struct mf_order order;

    mf_order_init(&order);
    for (uint64_t number = 1; number <= 100000; number++)
        cr_assert_eq(mf_order_skip(&order, number), 0);
    cr_assert_null(order.skipped);
    cr_assert_eq(order.next, 100001u);
    mf_order_finish(&order);
}

Test(order, a_number_whose_turn_is_over_is_told_apart)
{
    struct mf_order order;
    struct mf_order_item item = {.number = 1};

    mf_order_init(&order);
    cr_assert_eq(mf_order_skip(&order, 1), 0);
    cr_assert_eq(mf_order_add(&order, &item), -EEXIST);
    cr_assert_eq(mf_order_skip(&order, 1), 0);
    mf_order_finish(&order);
}

Test(order, what_waits_can_be_taken_out_in_order_in_spite_of_gaps)
{
    struct mf_order order;
    struct mf_order_item a = {.number = 9}, b = {.number = 4};

    mf_order_init(&order);
    cr_assert_eq(mf_order_add(&order, &a), 0);
    cr_assert_eq(mf_order_add(&order, &b), 0);
    cr_assert_null(mf_order_next(&order));
    cr_assert_eq(mf_order_pop(&order), &b);
    cr_assert_eq(mf_order_pop(&order), &a);
    cr_assert_null(mf_order_pop(&order));
    mf_order_finish(&order);
}

Test(order, a_number_too_far_away_to_remember_is_an_error)
{
    struct mf_order order;

    mf_order_init(&order);
    cr_assert_eq(mf_order_skip(&order, UINT64_MAX), -ENOMEM);
    mf_order_finish(&order);
}
