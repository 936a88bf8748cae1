/* Tests of base/rng.c; the expected numbers come from the authors' reference code. */
#include "base/rng.h"

#include <criterion/criterion.h>

Test(rng, the_sequence_is_that_of_the_published_algorithm)
{
    static const uint64_t expected[] = {
        UINT64_C(11520),
        UINT64_C(0),
        UINT64_C(1509978240),
        UINT64_C(1215971899390074240),
        UINT64_C(1216172134540287360),
        UINT64_C(607988272756665600),
        UINT64_C(16172922978634559625),
        UINT64_C(8476171486693032832),
        UINT64_C(10595114339597558777),
        UINT64_C(2904607092377533576),
    };
    struct mf_rng rng = {{1, 2, 3, 4}};

    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        cr_assert_eq(mf_rng_next(&rng), expected[i], "number %zu", i);
}

Test(rng, the_seed_is_spread_by_splitmix64)
{
    struct mf_rng rng;

    mf_rng_init(&rng, UINT64_C(1477776061723855037));
    cr_assert_eq(rng.state[0], UINT64_C(1985237415132408290));
    cr_assert_eq(rng.state[1], UINT64_C(2979275885539914483));
    cr_assert_eq(rng.state[2], UINT64_C(13511426838097143398));
    cr_assert_eq(rng.state[3], UINT64_C(8488337342461049707));
}

Test(rng, seed_zero_gives_a_usable_state)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 0);
    cr_assert_neq(rng.state[0] | rng.state[1] | rng.state[2] | rng.state[3], 0u);
    cr_assert_neq(mf_rng_next(&rng), mf_rng_next(&rng));
}

Test(rng, numbers_below_a_bound_reach_each_value_about_equally_often)
{
    struct mf_rng rng;
    int counts[6] = {0};

    mf_rng_init(&rng, 5);
    for (int i = 0; i < 60000; i++) {
        uint64_t x = mf_rng_below(&rng, 6);

        cr_assert_lt(x, 6u);
        counts[x]++;
    }
    /* 10,000 expected, 91 standard deviation */
    for (int i = 0; i < 6; i++)
        cr_assert(counts[i] > 9500 && counts[i] < 10500, "%d came %d times", i, counts[i]);
}

Test(rng, a_bound_near_the_range_is_without_bias)
{
    const uint64_t bound = UINT64_C(3) << 62;
    struct mf_rng rng;
    int n_low = 0;

    mf_rng_init(&rng, 6);
    for (int i = 0; i < 30000; i++)
        n_low += mf_rng_below(&rng, bound) < bound / 3;
    /* A plain modulo would hit the lowest third every second time. */
    cr_assert(n_low > 9500 && n_low < 10500, "%d", n_low);
}

Test(rng, a_bound_of_one_gives_zero)
{
    struct mf_rng rng;

    mf_rng_init(&rng, 7);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(mf_rng_below(&rng, 1), 0u);
}

Test(rng, the_unit_interval_excludes_one_and_is_filled_evenly)
{
    struct mf_rng rng;
    double sum = 0;

    mf_rng_init(&rng, 8);
    for (int i = 0; i < 100000; i++) {
        double x = mf_rng_unit(&rng);

        cr_assert(x >= 0 && x < 1);
        sum += x;
    }
    cr_assert_float_eq(sum / 100000, 0.5, 0.01);
}
