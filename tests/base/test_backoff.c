/* Tests of base/backoff.c: time is an input, nothing here waits. */
#include "base/backoff.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#define START (100 * MF_NS_PER_S)

Test(backoff, traffic_is_followed_by_polling_for_20_microseconds)
{
    struct mf_backoff backoff = {0};

    cr_assert_eq(mf_backoff_next(&backoff, true, START), 0);
    cr_assert_eq(mf_backoff_next(&backoff, false, START + 19 * MF_NS_PER_US), 0);
    cr_assert_gt(mf_backoff_next(&backoff, false, START + 20 * MF_NS_PER_US), 0);
}

Test(backoff, naps_double_from_50_microseconds_to_a_millisecond)
{
    static const int64_t expected_us[] = {50, 100, 200, 400, 800, 1000, 1000};
    struct mf_backoff backoff = {0};
    int64_t now = START;

    mf_backoff_next(&backoff, true, now);
    now += 20 * MF_NS_PER_US;
    for (size_t i = 0; i < sizeof(expected_us) / sizeof(expected_us[0]); i++) {
        int64_t nap = mf_backoff_next(&backoff, false, now);

        cr_assert_eq(nap, expected_us[i] * MF_NS_PER_US, "nap %zu", i);
        now += nap;
    }
}

Test(backoff, a_second_of_silence_makes_naps_of_four_milliseconds)
{
    struct mf_backoff backoff = {0};

    mf_backoff_next(&backoff, true, START);
    cr_assert_lt(mf_backoff_next(&backoff, false, START + MF_NS_PER_S - 1), MF_NS_PER_MS);
    cr_assert_eq(mf_backoff_next(&backoff, false, START + MF_NS_PER_S), 4 * MF_NS_PER_MS);
}

Test(backoff, traffic_after_silence_starts_over)
{
    struct mf_backoff backoff = {0};
    int64_t now = START;

    mf_backoff_next(&backoff, true, now);
    mf_backoff_next(&backoff, false, now += MF_NS_PER_MS);
    mf_backoff_next(&backoff, false, now += MF_NS_PER_S);
    cr_assert_eq(mf_backoff_next(&backoff, true, now), 0);
    cr_assert_eq(mf_backoff_next(&backoff, false, now + MF_NS_PER_MS), 50 * MF_NS_PER_US);
}

Test(backoff, a_fresh_state_begins_by_polling)
{
    struct mf_backoff backoff = {0};

    cr_assert_eq(mf_backoff_next(&backoff, false, START), 0);
    cr_assert_eq(mf_backoff_next(&backoff, false, START + MF_NS_PER_MS), 50 * MF_NS_PER_US);
}
