/* Frames between rank and launcher, written and read: see protocol.h. Holds no state. */
#include "exec/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A count that the rest of the frame cannot hold is refused before memory is asked for. */
static uint32_t get_count(struct mf_reader *reader, size_t item_bytes)
{
    uint32_t n = mf_reader_get_u32(reader);

    if (n > reader->left / item_bytes) {
        reader->has_failed = true;
        return 0;
    }
    return n;
}

void mf_protocol_put_key(struct mf_buffer *buffer, struct mf_attempt_key key)
{
    mf_buffer_put_u64(buffer, key.task);
    mf_buffer_put_u32(buffer, (uint32_t)key.attempt);
}

struct mf_attempt_key mf_protocol_get_key(struct mf_reader *reader)
{
    struct mf_attempt_key key;

    key.task = mf_reader_get_u64(reader);
    key.attempt = mf_reader_get_u32(reader);
    return key;
}

void mf_protocol_put_configure(struct mf_channel *channel, const struct mf_slot *slots,
                               uint32_t n_slots, uint32_t rank, const char *run_dir)
{
    struct mf_buffer *body = mf_channel_begin(channel, MF_FRAME_CONFIGURE);

    mf_buffer_put_u32(body, rank);
    mf_buffer_put_text(body, run_dir);
    mf_buffer_put_u32(body, n_slots);
    for (uint32_t i = 0; i < n_slots; i++) {
        mf_buffer_put_u32(body, slots[i].number);
        mf_buffer_put_u32(body, slots[i].n_cpus);
        for (uint32_t k = 0; k < slots[i].n_cpus; k++)
            mf_buffer_put_u32(body, slots[i].cpus[k]);
    }
    mf_channel_end(channel);
}

static int get_slot(struct mf_reader *reader, struct mf_slot *slot)
{
    slot->number = mf_reader_get_u32(reader);
    slot->n_cpus = get_count(reader, sizeof(uint32_t));
    if (slot->n_cpus == 0)
        return 0;
    slot->cpus = malloc(slot->n_cpus * sizeof(*slot->cpus));
    if (!slot->cpus)
        return -ENOMEM;
    for (uint32_t i = 0; i < slot->n_cpus; i++)
        slot->cpus[i] = mf_reader_get_u32(reader);
    return 0;
}

int mf_protocol_get_configure(struct mf_reader *reader, struct mf_configuration *ret_configuration)
{
    struct mf_configuration configuration = {.rank = mf_reader_get_u32(reader)};
    size_t run_dir_bytes;
    const uint8_t *run_dir = mf_reader_get_bytes(reader, &run_dir_bytes);
    int result = 0;

    configuration.n_slots = get_count(reader, 2 * sizeof(uint32_t));
    configuration.slots = calloc(configuration.n_slots + 1, sizeof(*configuration.slots));
    configuration.run_dir = calloc(run_dir_bytes + 1, 1);
    if (!configuration.slots || !configuration.run_dir) {
        result = -ENOMEM;
        goto out;
    }
    if (run_dir_bytes > 0)
        memcpy(configuration.run_dir, run_dir, run_dir_bytes);
    for (uint32_t i = 0; i < configuration.n_slots && result == 0; i++)
        result = get_slot(reader, &configuration.slots[i]);
    if (result == 0)
        result = mf_reader_finish(reader);
out:
    if (result < 0)
        mf_configuration_finish(&configuration);
    else
        *ret_configuration = configuration;
    return result;
}

static int copy_slot(const struct mf_slot *slot, struct mf_slot *ret_copy)
{
    size_t bytes = slot->n_cpus * sizeof(*slot->cpus);

    *ret_copy = *slot;
    ret_copy->cpus = bytes > 0 ? malloc(bytes) : NULL;
    if (bytes > 0 && !ret_copy->cpus)
        return -ENOMEM;
    mf_copy(ret_copy->cpus, slot->cpus, bytes);
    return 0;
}

int mf_configuration_create(const struct mf_slot *slots, uint32_t n_slots, uint32_t rank,
                            const char *run_dir, struct mf_configuration *ret_configuration)
{
    struct mf_configuration configuration = {.rank = rank};
    int result = 0;

    configuration.run_dir = strdup(run_dir);
    configuration.slots = calloc(n_slots + 1, sizeof(*configuration.slots));
    if (!configuration.run_dir || !configuration.slots)
        result = -ENOMEM;
    while (result == 0 && configuration.n_slots < n_slots) {
        result =
            copy_slot(&slots[configuration.n_slots], &configuration.slots[configuration.n_slots]);
        configuration.n_slots++;
    }
    if (result < 0)
        mf_configuration_finish(&configuration);
    else
        *ret_configuration = configuration;
    return result;
}

void mf_configuration_finish(struct mf_configuration *configuration)
{
    if (configuration->slots)
        for (uint32_t i = 0; i < configuration->n_slots; i++)
            free(configuration->slots[i].cpus);
    free(configuration->slots);
    free(configuration->run_dir);
    *configuration = (struct mf_configuration){0};
}

void mf_protocol_put_start(struct mf_channel *channel, const struct mf_start *start,
                           uint64_t ends_seen)
{
    struct mf_buffer *body = mf_channel_begin(channel, MF_FRAME_START);

    mf_protocol_put_key(body, (struct mf_attempt_key){start->task, start->attempt});
    mf_buffer_put_u32(body, start->try_number);
    mf_buffer_put_i64(body, start->timeout_ns);
    mf_buffer_put_u64(body, start->mem_bytes);
    mf_buffer_put_u64(body, ends_seen);
    mf_buffer_put_u32(body, start->n_slots);
    for (uint32_t i = 0; i < start->n_slots; i++)
        mf_buffer_put_u32(body, start->slots[i]);
    mf_buffer_put_text(body, start->gpus ? start->gpus : "");
    mf_buffer_put_bytes(body, start->command, start->command_size);
    mf_channel_end(channel);
}

/* Returns 0 and a copy, NULL of an empty text, or -ENOMEM. */
static int get_gpus(struct mf_reader *reader, char **ret_gpus)
{
    size_t size;
    const uint8_t *text = mf_reader_get_bytes(reader, &size);

    *ret_gpus = NULL;
    if (reader->has_failed || size == 0)
        return 0;
    if (!memchr(text, '=', size))
        return -EBADMSG;
    *ret_gpus = strndup((const char *)text, size);
    return *ret_gpus ? 0 : -ENOMEM;
}

int mf_protocol_get_start(struct mf_reader *reader, struct mf_start *ret_start,
                          uint32_t **ret_slots, char **ret_gpus, uint64_t *ret_ends_seen)
{
    struct mf_attempt_key key = mf_protocol_get_key(reader);
    struct mf_start start = {.task = key.task, .attempt = (uint32_t)key.attempt};
    uint32_t *slots;
    char *gpus;
    int result;

    start.try_number = mf_reader_get_u32(reader);
    start.timeout_ns = mf_reader_get_i64(reader);
    start.mem_bytes = mf_reader_get_u64(reader);
    *ret_ends_seen = mf_reader_get_u64(reader);
    start.n_slots = get_count(reader, sizeof(uint32_t));
    /* A staged attempt has none yet, and gets one later. */
    slots = calloc(start.n_slots ? start.n_slots : 1, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < start.n_slots; i++)
        slots[i] = mf_reader_get_u32(reader);
    result = get_gpus(reader, &gpus);
    start.command = mf_reader_get_bytes(reader, &start.command_size);
    if (result == 0)
        result = mf_reader_finish(reader);
    if (result < 0) {
        free(slots);
        free(gpus);
        return result;
    }
    start.slots = slots;
    start.gpus = gpus;
    *ret_start = start;
    *ret_slots = slots;
    *ret_gpus = gpus;
    return 0;
}

void mf_protocol_put_stream(struct mf_buffer *buffer, const struct mf_capture *capture)
{
    bool is_file = capture->fd >= 0;

    mf_buffer_put_u64(buffer, capture->limit);
    mf_buffer_put_u64(buffer, capture->produced);
    mf_buffer_put_u64(buffer, capture->stored);
    mf_buffer_put_u8(buffer, is_file);
    mf_buffer_put_bytes(buffer, capture->memory, is_file ? 0 : mf_capture_kept(capture));
}

int mf_protocol_get_stream(struct mf_reader *reader, struct mf_capture *capture)
{
    const uint8_t *memory;
    size_t memory_bytes;
    bool is_file;

    capture->limit = mf_reader_get_u64(reader);
    capture->produced = mf_reader_get_u64(reader);
    capture->stored = mf_reader_get_u64(reader);
    is_file = mf_reader_get_u8(reader) != 0;
    memory = mf_reader_get_bytes(reader, &memory_bytes);
    if (reader->has_failed || capture->stored > capture->produced ||
        memory_bytes != (is_file ? 0 : mf_capture_kept(capture)))
        return -EBADMSG;
    if (is_file)
        return 1;
    if (memory_bytes == 0)
        return 0;
    capture->memory = malloc(memory_bytes);
    if (!capture->memory)
        return -ENOMEM;
    memcpy(capture->memory, memory, memory_bytes);
    capture->capacity = memory_bytes;
    return 0;
}

void mf_protocol_put_continue(struct mf_channel *channel, struct mf_attempt_key key,
                              const uint32_t *slots, uint32_t n_slots)
{
    struct mf_buffer *body = mf_channel_begin(channel, MF_FRAME_CONTINUE);

    mf_protocol_put_key(body, key);
    mf_buffer_put_u32(body, n_slots);
    for (uint32_t i = 0; i < n_slots; i++)
        mf_buffer_put_u32(body, slots[i]);
    mf_channel_end(channel);
}

int mf_protocol_get_continue(struct mf_reader *reader, uint32_t **ret_slots, uint32_t *ret_n_slots)
{
    uint32_t n_slots = get_count(reader, sizeof(uint32_t));
    uint32_t *slots = calloc(n_slots + 1, sizeof(*slots));
    int result;

    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i] = mf_reader_get_u32(reader);
    result = n_slots > 0 ? mf_reader_finish(reader) : -EBADMSG;
    if (result < 0) {
        free(slots);
        return result;
    }
    *ret_slots = slots;
    *ret_n_slots = n_slots;
    return 0;
}
