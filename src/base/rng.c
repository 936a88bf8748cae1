/*
 * xoshiro256** 1.0 seeded with splitmix64: see rng.h.
 *
 * D. Blackman and S. Vigna, "Scrambled linear pseudorandom number generators",
 * ACM Trans. Math. Softw. 47 (2021); the reference code is in the public
 * domain. The caller owns the state; one thread at a time.
 */
#include "base/rng.h"

#include <assert.h>

/* Steele, Lea and Flood 2014: any seed, 0 included, gives a well mixed state. */
static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, unsigned n)
{
    return (x << n) | (x >> (64 - n));
}

void mf_rng_init(struct mf_rng *rng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++)
        rng->state[i] = splitmix64(&seed);
}

uint64_t mf_rng_next(struct mf_rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

uint64_t mf_rng_below(struct mf_rng *rng, uint64_t bound)
{
    uint64_t excess, x;

    assert(bound > 0);
    /* 2^64 mod bound values too many: reject as many of the lowest, so that the rest divides. */
    excess = -bound % bound;
    do
        x = mf_rng_next(rng);
    while (x < excess);
    return x % bound;
}

double mf_rng_unit(struct mf_rng *rng)
{
    /* 53 bits fill the mantissa: each value is exact and below 1. */
    return (double)(mf_rng_next(rng) >> 11) * 0x1.0p-53;
}
