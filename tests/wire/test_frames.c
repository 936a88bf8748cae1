/*
 * The frames that the fuzzers begin with: all are valid, and there is one for each kind, so that
 * the fuzzers find their way into each.
 */
#include "base/call.h"
#include "base/command.h"
#include "support/frames.h"
#include "wire/message.h"
#include "wire/record.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

TestSuite(frames);

/* How often each kind came. */
struct seen {
    int n[UINT8_MAX + 1];
};

static struct mf_reader open_frame(const char *name, const struct mf_buffer *frame)
{
    struct mf_reader reader;

    cr_assert(eq(int, mf_frame_open(frame->data, frame->size, &reader), 0), "%s", name);
    return reader;
}

static void read_messages(void *arg, const char *name, const struct mf_buffer *frame)
{
    struct mf_reader reader = open_frame(name, frame);
    struct mf_message message = {0};
    struct mf_buffer again = {0};
    struct seen *seen = arg;
    int r;

    while ((r = mf_message_decode(&reader, &message)) == 1) {
        seen->n[message.kind]++;
        mf_message_encode(&message, &again);
        if (message.kind == MF_MESSAGE_RUN) {
            struct mf_command *command;

            cr_assert(
                eq(int, mf_command_decode(message.payload, message.payload_size, &command), 0));
            free(command);
        }
    }
    cr_assert(eq(int, r, 0), "%s is refused behind %zu bytes", name, frame->size - reader.left);
    cr_assert(eq(sz, again.size, frame->size), "%s", name);
    cr_assert(memcmp(again.data, frame->data, frame->size) == 0, "%s", name);
    mf_buffer_finish(&again);
}

Test(frames, there_is_a_valid_one_for_each_kind_of_message)
{
    struct mf_message message = {0};
    struct seen seen = {0};

    t_frames_of_messages(read_messages, &seen);
    for (int kind = 1; kind <= MF_MESSAGE_KIND_MAX; kind++)
        cr_assert(eq(int, seen.n[kind], 2), "kind %d: by itself, and among all", kind);
    for (int kind = MF_MESSAGE_KIND_MAX + 1; kind <= UINT8_MAX; kind++) {
        struct mf_buffer frame = {0};
        struct mf_reader reader;

        message.kind = (enum mf_message_kind)kind;
        mf_message_encode(&message, &frame);
        reader = open_frame("a higher one", &frame);
        cr_assert(eq(int, mf_message_decode(&reader, &message), -EBADMSG), "kind %d", kind);
        mf_buffer_finish(&frame);
    }
}

static void read_calls(struct mf_reader body, uint32_t n)
{
    struct mf_call call = {0};

    while (mf_call_next(&body, &call))
        n--;
    cr_assert(not(body.has_failed));
    cr_assert(eq(u32, n, 0), "there are as many calls as the unit says");
}

static void read_entries(struct mf_reader body, uint32_t n)
{
    struct mf_entry_header header;
    const uint8_t *data;
    int r;

    mf_reader_get_raw(&body, sizeof(struct mf_unit_times));
    while ((r = mf_entry_get(&body, &header, &data)) == 1)
        n -= header.kind == MF_ENTRY_RESULT ? header.n_more + 1 : 0;
    cr_assert(eq(int, r, 0));
    cr_assert(eq(u32, n, 0), "there are as many results as the record says");
}

static void read_records(void *arg, const char *name, const struct mf_buffer *frame)
{
    struct mf_reader body, reader = open_frame(name, frame);
    struct mf_record record;
    struct seen *seen = arg;
    int r;

    while ((r = mf_record_next(&reader, &record, &body)) == 1) {
        seen->n[record.kind]++;
        if (record.kind == MF_RECORD_UNIT)
            read_calls(body, record.number);
        if (record.kind == MF_RECORD_RESULT)
            read_entries(body, record.number);
    }
    cr_assert(eq(int, r, 0), "%s is refused behind %zu bytes", name, frame->size - reader.left);
}

Test(frames, there_is_a_valid_one_for_each_kind_of_record)
{
    struct seen seen = {0};

    t_frames_of_records(read_records, &seen);
    for (int kind = MF_RECORD_HELLO; kind <= MF_RECORD_HOOKS; kind++)
        cr_assert(eq(int, seen.n[kind], 2), "kind %d", kind);
    for (int kind = MF_RECORD_WELCOME; kind <= MF_RECORD_END; kind++)
        cr_assert(eq(int, seen.n[kind], 2), "kind %d", kind);
}
