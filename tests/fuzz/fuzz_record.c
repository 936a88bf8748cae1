/*
 * Any bytes as a frame of records: decoding never reads outside them, and what
 * was decoded survives being encoded again. The bodies of UNIT and RESULT are
 * decoded too.
 */
#include "wire/message.h"
#include "wire/record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static bool is_same(const void *a, const void *b, size_t size)
{
    return size == 0 || (a && b && memcmp(a, b, size) == 0);
}

static void check_calls(struct mf_reader body)
{
    struct mf_reader skipping = body;
    struct mf_call_header header;
    struct mf_call call, again;
    uint64_t n;

    while (mf_call_get(&body, &call)) {
        struct mf_buffer bytes = {0};

        require(mf_call_skip(&skipping, &header, &n) && skipping.left == body.left);
        require(header.task == call.task && header.function == call.function);
        require(n == (uint64_t)call.details.n_more + 1);

        mf_call_put(&bytes, &call);
        struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
        require(mf_call_get(&reader, &again) && reader.left == 0);
        require(again.task == call.task && again.function == call.function);
        require(again.size == call.size && again.is_large == call.is_large);
        require(call.is_large || is_same(again.input, call.input, call.size * n));
        require(again.details.n_more == call.details.n_more);
        require(again.details.tag == call.details.tag);
        require(again.details.timeout_ns == call.details.timeout_ns);
        require(again.details.group == call.details.group);
        require(again.details.try_number == call.details.try_number);
        require(is_same(again.checkpoint, call.checkpoint, call.details.checkpoint_size));
        mf_buffer_finish(&bytes);
    }
    require(!mf_call_skip(&skipping, &header, &n) && skipping.has_failed == body.has_failed);
}

static void check_entries(struct mf_reader body)
{
    struct mf_entry_header header, again;
    const uint8_t *data, *data_again;

    mf_reader_get_raw(&body, sizeof(struct mf_unit_times));
    while (mf_entry_get(&body, &header, &data) == 1) {
        struct mf_buffer bytes = {0};

        mf_entry_put(&bytes, &header, data);
        struct mf_reader reader = mf_reader_over(bytes.data, bytes.size);
        require(mf_entry_get(&reader, &again, &data_again) == 1 && reader.left == 0);
        require(memcmp(&header, &again, sizeof(header)) == 0);
        require(is_same(data, data_again, header.size));
        mf_buffer_finish(&bytes);
    }
}

static void check_record(const struct mf_record *record, const struct mf_reader *body)
{
    struct mf_buffer frame = {0};
    struct mf_record got;
    struct mf_reader reader, got_body;

    mf_record_put(&frame, record, body->data, body->left);
    require(mf_frame_open(frame.data, frame.size, &reader) == 0);
    require(mf_record_next(&reader, &got, &got_body) == 1 && reader.left == 0);
    require(memcmp(&got, record, sizeof(got)) == 0);
    require(got_body.left == body->left && is_same(got_body.data, body->data, body->left));
    mf_buffer_finish(&frame);
    if (record->kind == MF_RECORD_UNIT)
        check_calls(*body);
    if (record->kind == MF_RECORD_RESULT)
        check_entries(*body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_record record;
    struct mf_reader reader, body;

    if (mf_frame_open(data, size, &reader) < 0)
        return 0;
    while (mf_record_next(&reader, &record, &body) == 1)
        check_record(&record, &body);
    return 0;
}
