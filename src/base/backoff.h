/*
 * How long a rank that polls may sleep: not at all just after traffic, then
 * in naps that grow while nothing comes.
 *
 * A nap costs the first message after a silence up to its own length; what a
 * nap of 50 us .. 4 ms costs in processor time is measured by bench/idle.
 */
#ifndef MF_BASE_BACKOFF_H
#define MF_BASE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/** Starts as {0}; spin_ns may be set to poll without a nap for other than 20 us, shortest_nap_ns
 * for a first nap of other than 50 us. */
struct mf_backoff {
    int64_t spin_ns;
    int64_t shortest_nap_ns;
    int64_t quiet_since_ns;
    int64_t nap_ns;
};

/**
 * mf_backoff_next() - how long to nap before the next poll.
 *
 * @had_traffic  whether the poll just done found anything
 * @now_ns       monotonic time
 *
 * Returns 0 (poll again at once) within 20 us of traffic or spin_ns, then 50 us or
 * shortest_nap_ns doubling to 1 ms, and 4 ms after a second of silence.
 */
int64_t mf_backoff_next(struct mf_backoff *backoff, bool had_traffic, int64_t now_ns);

/** Between two looks in a row: leaves the core to its other hardware thread for some ten ns. */
static inline void mf_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
