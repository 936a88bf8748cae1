/* What one attempt wrote, as its receiver reads it: owned by the receiver, one thread. */
#include "exec/output.h"

#include <stdlib.h>

struct mf_output *mf_output_create(void)
{
    struct mf_output *output = calloc(1, sizeof(*output));

    if (!output)
        return NULL;
    for (int i = 0; i < MF_N_STREAMS; i++)
        mf_capture_init(&output->streams[i], 0);
    return output;
}

uint64_t mf_output_size(const struct mf_output *output, enum mf_stream stream)
{
    return mf_capture_size(&output->streams[stream]);
}

bool mf_output_is_small(const struct mf_output *output)
{
    return output->streams[MF_STDOUT].fd < 0 && output->streams[MF_STDERR].fd < 0;
}

ssize_t mf_output_read(const struct mf_output *output, enum mf_stream stream, uint64_t offset,
                       void *data, size_t n)
{
    return mf_capture_read(&output->streams[stream], offset, data, n);
}

void mf_output_close(struct mf_output *output)
{
    if (!output)
        return;
    for (int i = 0; i < MF_N_STREAMS; i++)
        mf_capture_finish(&output->streams[i]);
    if (output->on_close)
        output->on_close(output->on_close_arg, output->spilled_bytes);
    free(output);
}
