/*
 * Several runs of bytes as one: what a call takes that comes after others, its
 * own input and their results.
 *
 *     part 0, part 1, ...   each padded to 16 bytes, so that all are aligned if the first is
 *     u64 offset, u64 size  of each part
 *     u64 number of parts
 *
 * It travels and is kept as the input of the call would be.
 */
#ifndef MF_BASE_BUNDLE_H
#define MF_BASE_BUNDLE_H

#include <stddef.h>
#include <stdint.h>

/** A part to be written; data may be NULL if size is 0. */
struct mf_part_bytes {
    const void *data;
    size_t size;
};

/** An opened bundle; borrowed. {0} has no parts. */
struct mf_bundle {
    const uint8_t *data;
    const uint8_t *index;
    size_t n_parts;
};

/**
 * mf_bundle_make() - put parts together.
 *
 * Returns 0 with malloc()ed bytes, the caller's, or -ENOMEM.
 */
int mf_bundle_make(const struct mf_part_bytes *parts, size_t n_parts, uint8_t **ret_data,
                   size_t *ret_size);

/** Any bytes at all are either a bundle, and 0 is returned, or -EBADMSG. O(parts). */
int mf_bundle_open(const uint8_t *data, size_t size, struct mf_bundle *ret_bundle);

/** A part, which is there; NULL if it is empty. */
const uint8_t *mf_bundle_part(const struct mf_bundle *bundle, size_t i, size_t *ret_size);

#endif
