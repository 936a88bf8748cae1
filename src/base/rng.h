/*
 * Pseudo-random numbers: xoshiro256** (Blackman and Vigna 2018), seeded with
 * splitmix64. Equal seeds give equal sequences on every machine.
 */
#ifndef MF_BASE_RNG_H
#define MF_BASE_RNG_H

#include <stdint.h>

struct mf_rng {
    uint64_t state[4];
};

void mf_rng_init(struct mf_rng *rng, uint64_t seed);

/** Uniform in 0 .. 2^64-1. */
uint64_t mf_rng_next(struct mf_rng *rng);

/** Uniform in 0 .. bound-1, without bias; bound > 0. */
uint64_t mf_rng_below(struct mf_rng *rng, uint64_t bound);

/** Uniform in [0, 1). */
double mf_rng_unit(struct mf_rng *rng);

#endif
