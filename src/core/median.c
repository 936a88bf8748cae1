/* Streaming median: see median.h. Embedded in its owner, one thread. */
#include "core/median.h"

#include <string.h>

/* The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t hash(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Index of the first sample above value. */
static uint32_t upper_bound(const struct mf_median *median, int64_t value)
{
    uint32_t low = 0;
    uint32_t high = median->n_samples;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (median->samples[middle] > value)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static void remove_at(struct mf_median *median, uint32_t at)
{
    median->n_samples--;
    memmove(&median->samples[at], &median->samples[at + 1],
            (median->n_samples - at) * sizeof(median->samples[0]));
}

static void insert_at(struct mf_median *median, uint32_t at, int64_t value)
{
    memmove(&median->samples[at + 1], &median->samples[at],
            (median->n_samples - at) * sizeof(median->samples[0]));
    median->samples[at] = value;
    median->n_samples++;
}

void mf_median_add(struct mf_median *median, int64_t value)
{
    median->n_seen++;
    if (median->n_samples == MF_MEDIAN_SAMPLES) {
        /* One drawn out of all places is as good as one out of the sorted ones. */
        uint64_t lot = hash(median->n_seen) % median->n_seen;

        if (lot >= MF_MEDIAN_SAMPLES)
            return;
        remove_at(median, (uint32_t)lot);
    }
    insert_at(median, upper_bound(median, value), value);
}

int64_t mf_median_get(const struct mf_median *median)
{
    const int64_t *samples = median->samples;
    uint32_t half = median->n_samples / 2;

    if (median->n_samples == 0)
        return 0;
    if (median->n_samples % 2 == 1)
        return samples[half];
    return samples[half - 1] + (samples[half] - samples[half - 1]) / 2;
}
