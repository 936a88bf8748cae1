/*
 * Any bytes as a frame: decoding never reads outside them, and what was decoded
 * survives being encoded again. Commands inside RUN records are decoded too.
 */
#include "base/command.h"
#include "wire/message.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* A command that was accepted encodes to something that is accepted, and the same. */
static void check_command(const struct mf_message *message)
{
    struct mf_buffer once = {0}, twice = {0};
    struct mf_command *command, *again;

    if (mf_command_decode(message->payload, message->payload_size, &command) < 0)
        return;
    mf_command_encode(command, &once);
    require(mf_command_decode(once.data, once.size, &again) == 0);
    mf_command_encode(again, &twice);
    require(once.size == twice.size && memcmp(once.data, twice.data, once.size) == 0);
    mf_buffer_clear(&once);
    mf_command_print(command, &once);
    mf_buffer_finish(&once);
    mf_buffer_finish(&twice);
    free(command);
    free(again);
}

static void check_message(const struct mf_message *message)
{
    struct mf_message got = {0};
    struct mf_buffer frame = {0};
    struct mf_reader reader;

    mf_message_encode(message, &frame);
    require(mf_frame_open(frame.data, frame.size, &reader) == 0);
    require(mf_message_decode(&reader, &got) == 1 && reader.left == 0);
    require(got.kind == message->kind && got.payload_size == message->payload_size);
    require(got.payload_size == 0 || memcmp(got.payload, message->payload, got.payload_size) == 0);
    mf_buffer_finish(&frame);
    if (message->kind == MF_MESSAGE_RUN)
        check_command(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mf_message message = {0};
    struct mf_reader reader;

    if (mf_frame_open(data, size, &reader) < 0)
        return 0;
    while (mf_message_decode(&reader, &message) == 1)
        check_message(&message);
    return 0;
}
