/* Runs of bytes put together: see bundle.h. No state; any thread. */
#include "base/bundle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT ((size_t)16)

/* An entry of the index, as it stands. */
struct entry {
    uint64_t offset;
    uint64_t size;
};

static size_t padded(size_t n)
{
    return (n + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

int mf_bundle_make(const struct mf_part_bytes *parts, size_t n_parts, uint8_t **ret_data,
                   size_t *ret_size)
{
    uint64_t n = n_parts;
    size_t size = n_parts * sizeof(struct entry) + sizeof(n);
    uint8_t *data, *index;

    for (size_t i = 0; i < n_parts; i++)
        size += padded(parts[i].size);
    data = malloc(size);
    if (!data)
        return -ENOMEM;
    index = data + size - sizeof(n) - n_parts * sizeof(struct entry);
    for (size_t i = 0, offset = 0; i < n_parts; i++) {
        struct entry entry = {.offset = offset, .size = parts[i].size};

        if (parts[i].size > 0)
            memcpy(data + offset, parts[i].data, parts[i].size);
        memset(data + offset + parts[i].size, 0, padded(parts[i].size) - parts[i].size);
        offset += padded(parts[i].size);
        memcpy(index + i * sizeof(entry), &entry, sizeof(entry));
    }
    memcpy(data + size - sizeof(n), &n, sizeof(n));
    *ret_data = data;
    *ret_size = size;
    return 0;
}

static struct entry entry_at(const struct mf_bundle *bundle, size_t i)
{
    struct entry entry;

    memcpy(&entry, bundle->index + i * sizeof(entry), sizeof(entry));
    return entry;
}

int mf_bundle_open(const uint8_t *data, size_t size, struct mf_bundle *ret_bundle)
{
    struct mf_bundle bundle = {.data = data};
    size_t n_bytes;
    uint64_t n;

    if (size < sizeof(n))
        return -EBADMSG;
    memcpy(&n, data + size - sizeof(n), sizeof(n));
    if (n == 0 || n > (size - sizeof(n)) / sizeof(struct entry))
        return -EBADMSG;
    n_bytes = size - sizeof(n) - n * sizeof(struct entry);
    bundle.index = data + n_bytes;
    bundle.n_parts = n;
    for (size_t i = 0; i < n; i++) {
        struct entry entry = entry_at(&bundle, i);

        if (entry.offset % ALIGNMENT != 0 || entry.offset > n_bytes ||
            entry.size > n_bytes - entry.offset)
            return -EBADMSG;
    }
    *ret_bundle = bundle;
    return 0;
}

const uint8_t *mf_bundle_part(const struct mf_bundle *bundle, size_t i, size_t *ret_size)
{
    struct entry entry = entry_at(bundle, i);

    *ret_size = entry.size;
    return entry.size > 0 ? bundle->data + entry.offset : NULL;
}
