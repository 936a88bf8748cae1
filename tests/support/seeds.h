/*
 * Tests that try many seeds: T_SEED=N runs that one alone, T_SEEDS=N as many of each kind.
 * Under sanitizers, which make them slow, a quarter is enough: each seed also runs without.
 */
#ifndef T_SEEDS_H
#define T_SEEDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#ifdef __SANITIZE_ADDRESS__
#define T_SEEDS_SHARE 4
#else
#define T_SEEDS_SHARE 1
#endif

static inline bool t_is_seed_given(void)
{
    return getenv("T_SEED") != NULL;
}

/** The first one, by default 1. */
static inline uint64_t t_seed_first(void)
{
    return t_is_seed_given() ? strtoull(getenv("T_SEED"), NULL, 10) : 1;
}

/** How many, by default n, or a share of it. */
static inline uint64_t t_seed_count(uint64_t n)
{
    if (t_is_seed_given())
        return 1;
    return getenv("T_SEEDS") ? strtoull(getenv("T_SEEDS"), NULL, 10) : n / T_SEEDS_SHARE;
}

#endif
