/* A few large buffers: see spares.h. */
#include "transport/spares.h"

#define LARGE_BYTES ((size_t)64 << 10)

bool mf_spares_is_large(const struct mf_buffer *buffer)
{
    return buffer->capacity > LARGE_BYTES;
}

void mf_spares_put(struct mf_spares *spares, struct mf_buffer *buffer)
{
    if (!mf_spares_is_large(buffer) || buffer->capacity > MF_SPARE_BYTES ||
        spares->n == MF_N_SPARES) {
        mf_buffer_finish(buffer);
        return;
    }
    mf_buffer_clear(buffer);
    spares->buffers[spares->n++] = *buffer;
    *buffer = (struct mf_buffer){0};
}

struct mf_buffer mf_spares_take(struct mf_spares *spares)
{
    return spares->n > 0 ? spares->buffers[--spares->n] : (struct mf_buffer){0};
}

void mf_spares_finish(struct mf_spares *spares)
{
    while (spares->n > 0)
        mf_buffer_finish(&spares->buffers[--spares->n]);
}
