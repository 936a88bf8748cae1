/* TAKEOVER, REPORT and SUPERSEDED to bytes and back: see handover.h. */
#include "runtime/handover.h"

#include <errno.h>

/* Bytes of one holding. */
#define HOLDING_BYTES (8 + 4 + 4 + 1 + 8 + 8)

static void encode_share(const struct mf_needs *share, struct mf_buffer *buffer)
{
    mf_buffer_put_u32(buffer, share->n_slots);
    mf_buffer_put_u32(buffer, share->n_gpus);
    mf_buffer_put_u64(buffer, share->mem_bytes);
}

static struct mf_needs decode_share(struct mf_reader *reader)
{
    struct mf_needs share = {0};

    share.n_slots = mf_reader_get_u32(reader);
    share.n_gpus = mf_reader_get_u32(reader);
    share.mem_bytes = mf_reader_get_u64(reader);
    return share;
}

void mf_takeover_encode(const struct mf_takeover *takeover, struct mf_buffer *buffer)
{
    mf_buffer_put_u64(buffer, takeover->epoch);
    encode_share(&takeover->share, buffer);
    mf_buffer_put_u32(buffer, takeover->n_heirs);
    for (uint32_t i = 0; i < takeover->n_heirs; i++)
        mf_buffer_put_u32(buffer, takeover->heirs[i]);
}

int mf_takeover_decode(const void *data, size_t size, struct mf_takeover *ret_takeover)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_takeover takeover = {.epoch = mf_reader_get_u64(&reader)};

    takeover.share = decode_share(&reader);
    takeover.n_heirs = mf_reader_get_u32(&reader);
    if (reader.has_failed || takeover.epoch == 0 || takeover.n_heirs > MF_MAX_HEIRS)
        return -EBADMSG;
    for (uint32_t i = 0; i < takeover.n_heirs; i++)
        takeover.heirs[i] = mf_reader_get_u32(&reader);
    if (mf_reader_finish(&reader) < 0)
        return -EBADMSG;
    *ret_takeover = takeover;
    return 0;
}

void mf_report_encode(const struct mf_report *report, struct mf_buffer *buffer)
{
    encode_share(&report->share, buffer);
    mf_buffer_put_u32(buffer, report->n_holdings);
}

void mf_holding_encode(const struct mf_holding *holding, struct mf_buffer *buffer)
{
    mf_buffer_put_u64(buffer, holding->task);
    mf_buffer_put_u32(buffer, holding->attempt);
    mf_buffer_put_u32(buffer, holding->try_number);
    mf_buffer_put_u8(buffer, (uint8_t)holding->state);
    mf_buffer_put_u64(buffer, holding->fingerprint);
    mf_buffer_put_i64(buffer, holding->ran_ns);
}

int mf_report_decode(const void *data, size_t size, struct mf_report *ret_report,
                     struct mf_reader *ret_reader)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_report report = {.share = decode_share(&reader)};

    report.n_holdings = mf_reader_get_u32(&reader);
    if (reader.has_failed || reader.left != (uint64_t)report.n_holdings * HOLDING_BYTES)
        return -EBADMSG;
    *ret_report = report;
    *ret_reader = reader;
    return 0;
}

int mf_holding_decode(struct mf_reader *reader, struct mf_holding *ret_holding)
{
    struct mf_holding holding = {.task = mf_reader_get_u64(reader)};
    uint8_t state;

    holding.attempt = mf_reader_get_u32(reader);
    holding.try_number = mf_reader_get_u32(reader);
    state = mf_reader_get_u8(reader);
    holding.fingerprint = mf_reader_get_u64(reader);
    holding.ran_ns = mf_reader_get_i64(reader);
    if (reader->has_failed || holding.task == 0 || holding.attempt == 0 ||
        holding.try_number == 0 || holding.ran_ns < 0 ||
        (state != MF_TASK_RUNNING && state != MF_TASK_SUSPENDED && state != MF_TASK_DONE))
        return -EBADMSG;
    holding.state = (enum mf_task_state)state;
    *ret_holding = holding;
    return 0;
}

void mf_superseded_encode(const struct mf_superseded *superseded, struct mf_buffer *buffer)
{
    mf_buffer_put_u64(buffer, superseded->epoch);
    mf_buffer_put_u32(buffer, superseded->rank);
}

int mf_superseded_decode(const void *data, size_t size, struct mf_superseded *ret_superseded)
{
    struct mf_reader reader = mf_reader_over(data, size);
    struct mf_superseded superseded = {.epoch = mf_reader_get_u64(&reader)};

    superseded.rank = mf_reader_get_u32(&reader);
    if (mf_reader_finish(&reader) < 0)
        return -EBADMSG;
    *ret_superseded = superseded;
    return 0;
}
