/*
 * Memory of large frames that are over, for the next ones.
 *
 * Pieces of a large body come one after the other. The C library gives memory
 * of their size back to the kernel, and to get it anew, a page at a time, takes
 * longer than to copy them. One thread.
 */
#ifndef MF_TRANSPORT_SPARES_H
#define MF_TRANSPORT_SPARES_H

#include "base/buffer.h"

#include <stdint.h>

/** Most memory of one: that of a piece. A burst of larger frames is not to stay. */
#define MF_SPARE_BYTES ((size_t)1 << 20)

/** As many frames as pieces are under way to one peer at a time. */
#define MF_N_SPARES 4

/** Starts as {0}. */
struct mf_spares {
    struct mf_buffer buffers[MF_N_SPARES];
    uint32_t n;
};

/** Whether a buffer has so much memory that it is not to stay where it was. */
bool mf_spares_is_large(const struct mf_buffer *buffer);

/** Takes the memory of a buffer, to keep it if it is large, not huge, and one of a few. */
void mf_spares_put(struct mf_spares *spares, struct mf_buffer *buffer);

/** An empty buffer, the caller's, with memory if there is any. */
struct mf_buffer mf_spares_take(struct mf_spares *spares);

void mf_spares_finish(struct mf_spares *spares);

#endif
