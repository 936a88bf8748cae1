/* What is known of run times: see estimates.h. Owned by one farm, used by its thread. */
#include "core/estimates.h"

#include <errno.h>
#include <stdlib.h>

void mf_estimates_finish(struct mf_estimates *estimates)
{
    size_t cursor = 0;
    void *value;

    if (!estimates->by_kind)
        return;
    while (mf_table_next(estimates->by_kind, &cursor, NULL, &value) == 1)
        free(*(struct mf_median **)value);
    mf_table_destroy(estimates->by_kind);
    estimates->by_kind = NULL;
}

static struct mf_median *find(const struct mf_estimates *estimates, uint32_t kind)
{
    struct mf_median **median;

    if (kind == 0 || !estimates->by_kind)
        return NULL;
    median = mf_table_find(estimates->by_kind, &kind);
    return median ? *median : NULL;
}

int mf_estimates_reserve(struct mf_estimates *estimates, uint32_t kind)
{
    struct mf_median *median;
    void *value;
    int r = 0;

    if (kind == 0 || find(estimates, kind))
        return 0;
    if (!estimates->by_kind)
        r = mf_table_create(sizeof(kind), sizeof(median), &estimates->by_kind);
    if (r < 0 || mf_table_count(estimates->by_kind) >= MF_ESTIMATES_MAX_KINDS)
        return r;
    median = calloc(1, sizeof(*median));
    r = median ? mf_table_insert(estimates->by_kind, &kind, &value) : -ENOMEM;
    if (r < 0) {
        free(median);
        return r;
    }
    *(struct mf_median **)value = median;
    return 0;
}

void mf_estimates_learn(struct mf_estimates *estimates, uint32_t kind, int64_t duration_ns)
{
    struct mf_median *median = find(estimates, kind);

    if (median)
        mf_median_add(median, duration_ns);
}

int mf_estimates_add_earlier(struct mf_estimates *estimates, uint32_t kind, int64_t duration_ns,
                             uint64_t n_samples)
{
    int r = mf_estimates_reserve(estimates, kind);

    if (r < 0)
        return r;
    /* No more than these: else a long history would hide that things have changed. */
    if (n_samples > MF_MEDIAN_SAMPLES)
        n_samples = MF_MEDIAN_SAMPLES;
    for (; n_samples > 0; n_samples--) {
        mf_estimates_learn(estimates, kind, duration_ns);
        mf_median_add(&estimates->earlier, duration_ns);
    }
    return 0;
}

/* A median of 0 is known all the same. */
static int64_t known_median(const struct mf_median *median)
{
    int64_t value = mf_median_get(median);

    return median->n_seen > 0 && value < 1 ? 1 : value;
}

int64_t mf_estimates_of_kind(const struct mf_estimates *estimates, uint32_t kind)
{
    const struct mf_median *median = find(estimates, kind);

    return median ? known_median(median) : 0;
}

int64_t mf_estimates_of_earlier(const struct mf_estimates *estimates)
{
    return known_median(&estimates->earlier);
}

int mf_estimates_next(const struct mf_estimates *estimates, size_t *cursor, uint32_t *ret_kind,
                      int64_t *ret_median_ns, uint64_t *ret_n_samples)
{
    const void *key;
    void *value;

    while (estimates->by_kind && mf_table_next(estimates->by_kind, cursor, &key, &value) == 1) {
        const struct mf_median *median = *(struct mf_median **)value;

        if (median->n_seen == 0)
            continue;
        *ret_kind = *(const uint32_t *)key;
        *ret_median_ns = known_median(median);
        *ret_n_samples = median->n_seen;
        return 1;
    }
    return 0;
}
