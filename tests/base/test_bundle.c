/* Runs of bytes put together and taken apart. */
#include "base/bundle.h"

#include "base/rng.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

static const struct mf_part_bytes parts[] = {{"input", 5}, {NULL, 0}, {"seventeen bytes..", 17}};

Test(bundle, parts_come_out_as_they_went_in_and_aligned)
{
    struct mf_bundle bundle;
    uint8_t *data;
    size_t size;

    cr_assert_eq(mf_bundle_make(parts, 3, &data, &size), 0);
    cr_assert_eq(mf_bundle_open(data, size, &bundle), 0);
    cr_assert_eq(bundle.n_parts, 3u);
    for (size_t i = 0; i < 3; i++) {
        size_t n;
        const uint8_t *part = mf_bundle_part(&bundle, i, &n);

        cr_assert_eq(n, parts[i].size);
        if (n == 0)
            cr_assert_null(part);
        else
            cr_assert_eq(memcmp(part, parts[i].data, n), 0);
        cr_assert_eq((uintptr_t)part % alignof(max_align_t), 0u);
    }
    free(data);
}

Test(bundle, what_is_damaged_is_refused_or_stays_within_its_bytes)
{
    struct mf_rng rng;
    uint8_t *data, *damaged;
    size_t size;

    mf_rng_init(&rng, 7);
    cr_assert_eq(mf_bundle_make(parts, 3, &data, &size), 0);
    for (int round = 0; round < 20000; round++) {
        size_t n = mf_rng_below(&rng, size + 1);
        struct mf_bundle bundle;

        damaged = malloc(n + 1);
        memcpy(damaged, data, n);
        if (n > 0)
            damaged[mf_rng_below(&rng, n)] = (uint8_t)mf_rng_below(&rng, 256);
        if (mf_bundle_open(damaged, n, &bundle) == 0)
            for (size_t i = 0; i < bundle.n_parts; i++) {
                size_t n_part;
                const uint8_t *part = mf_bundle_part(&bundle, i, &n_part);

                cr_assert(n_part == 0 || (part >= damaged && part + n_part <= damaged + n));
            }
        free(damaged);
    }
    cr_assert_eq(mf_bundle_open(data, 7, &(struct mf_bundle){0}), -EBADMSG);
    free(data);
}
