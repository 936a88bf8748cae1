/*
 * A stream of bytes through shared memory: see ring.h. Each side is used by the
 * only thread of its process.
 */
#include "exec/ring.h"

#include <assert.h>
#include <string.h>

void mf_ring_write(struct mf_ring *ring, const void *data, size_t n)
{
    size_t at = (size_t)ring->own & (ring->capacity - 1);
    size_t first = n < ring->capacity - at ? n : ring->capacity - at;

    assert(n <= mf_ring_room(ring));
    memcpy(ring->data + at, data, first);
    if (first < n)
        memcpy(ring->data, (const uint8_t *)data + first, n - first);
    ring->own += n;
}

void mf_ring_read(struct mf_ring *ring, void *data, size_t n)
{
    size_t at = (size_t)ring->own & (ring->capacity - 1);
    size_t first = n < ring->capacity - at ? n : ring->capacity - at;

    assert(n <= mf_ring_filled(ring));
    memcpy(data, ring->data + at, first);
    if (first < n)
        memcpy((uint8_t *)data + first, ring->data, n - first);
    ring->own += n;
}
