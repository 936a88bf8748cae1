/* The index of stored output. */
#include "report/catalog.h"

#include <inttypes.h>

static const char header[] = "Id\tAttempt\tState\tFile\tOffset\tStdout\tStderr\n";

int mf_catalog_open(const char *path, bool append, struct mf_tsv **ret_catalog,
                    struct mf_error *err)
{
    return mf_tsv_open(path, header, append, ret_catalog, err);
}

int mf_catalog_add(struct mf_tsv *catalog, const char *id, uint32_t attempt,
                   enum mf_task_state state, const char *file, uint64_t offset,
                   const uint64_t size[MF_N_STREAMS])
{
    struct mf_buffer *lines = mf_tsv_lines(catalog);
    size_t line = lines->size;

    mf_tsv_put_text(catalog, id);
    mf_buffer_print(lines, "\t%" PRIu32 "\t%s\t%s\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64, attempt,
                    state == MF_TASK_READY ? "RETRIED" : mf_task_state_name(state),
                    file ? file : "-", offset, size[MF_STDOUT], size[MF_STDERR]);
    return mf_tsv_end_line(catalog, line);
}
