/*
 * Growing bytes to write, bounds-checked bytes to read: see buffer.h.
 *
 * A buffer owns its memory, a reader borrows that of its message. Neither is
 * shared between threads.
 */
#include "base/buffer.h"

#include "base/large.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most buffers are one small message: the first allocation should hold it. */
#define FIRST_CAPACITY ((size_t)256)

void mf_buffer_finish(struct mf_buffer *buffer)
{
    if (!buffer)
        return;
    free(buffer->data);
    *buffer = (struct mf_buffer){0};
}

static int fail(struct mf_buffer *buffer)
{
    buffer->has_failed = true;
    return -ENOMEM;
}

int mf_buffer_grow(struct mf_buffer *buffer, size_t n)
{
    size_t capacity = buffer->capacity ? buffer->capacity : FIRST_CAPACITY;
    size_t needed;
    uint8_t *data;

    if (buffer->has_failed)
        return -ENOMEM;
    if (__builtin_add_overflow(buffer->size, n, &needed))
        return fail(buffer);
    while (capacity < needed)
        if (__builtin_mul_overflow(capacity, (size_t)2, &capacity))
            capacity = needed;

    data = realloc(buffer->data, capacity);
    if (!data)
        return fail(buffer);
    mf_large_advise(data, capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

void mf_buffer_consume(struct mf_buffer *buffer, size_t n)
{
    assert(n <= buffer->size);
    if (n == 0)
        return;
    buffer->size -= n;
    memmove(buffer->data, buffer->data + n, buffer->size);
}

int mf_buffer_status(const struct mf_buffer *buffer)
{
    return buffer->has_failed ? -ENOMEM : 0;
}

static void encode_little_endian(uint8_t *bytes, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
}

static void put_integer(struct mf_buffer *buffer, uint64_t value, size_t n)
{
    uint8_t bytes[sizeof(value)];

    encode_little_endian(bytes, value, n);
    mf_buffer_append(buffer, bytes, n);
}

void mf_buffer_put_u8(struct mf_buffer *buffer, uint8_t value)
{
    put_integer(buffer, value, sizeof(value));
}

void mf_buffer_put_u16(struct mf_buffer *buffer, uint16_t value)
{
    put_integer(buffer, value, sizeof(value));
}

void mf_buffer_put_u32(struct mf_buffer *buffer, uint32_t value)
{
    put_integer(buffer, value, sizeof(value));
}

void mf_buffer_put_u64(struct mf_buffer *buffer, uint64_t value)
{
    put_integer(buffer, value, sizeof(value));
}

void mf_buffer_put_i64(struct mf_buffer *buffer, int64_t value)
{
    put_integer(buffer, (uint64_t)value, sizeof(value));
}

void mf_buffer_put_bytes(struct mf_buffer *buffer, const void *data, size_t n)
{
    if (n > UINT32_MAX) {
        fail(buffer);
        return;
    }
    mf_buffer_put_u32(buffer, (uint32_t)n);
    mf_buffer_append(buffer, data, n);
}

void mf_buffer_put_text(struct mf_buffer *buffer, const char *text)
{
    mf_buffer_put_bytes(buffer, text, text ? strlen(text) : 0);
}

void mf_buffer_print(struct mf_buffer *buffer, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) {
        fail(buffer);
        return;
    }
    /* vsnprintf() ends with a NUL, which needs room but is no part of the text. */
    if (mf_buffer_reserve(buffer, (size_t)n + 1) < 0)
        return;

    va_start(args, format);
    vsnprintf((char *)buffer->data + buffer->size, (size_t)n + 1, format, args);
    va_end(args);
    buffer->size += (size_t)n;
}

void mf_buffer_patch_u32(struct mf_buffer *buffer, size_t offset, uint32_t value)
{
    /* After a failure the place may never have been written. */
    if (buffer->has_failed)
        return;
    assert(buffer->size >= sizeof(value) && offset <= buffer->size - sizeof(value));
    encode_little_endian(buffer->data + offset, value, sizeof(value));
}

struct mf_reader mf_reader_over(const void *data, size_t size)
{
    return (struct mf_reader){.data = data, .left = size};
}

const uint8_t *mf_reader_get_raw(struct mf_reader *reader, size_t n)
{
    const uint8_t *data = reader->data;

    if (reader->has_failed || n > reader->left) {
        reader->has_failed = true;
        return NULL;
    }
    if (n > 0)
        reader->data += n;
    reader->left -= n;
    return data;
}

static uint64_t get_integer(struct mf_reader *reader, size_t n)
{
    const uint8_t *bytes = mf_reader_get_raw(reader, n);
    uint64_t value = 0;

    if (!bytes)
        return 0;
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)bytes[i] << (8 * i);
    return value;
}

uint8_t mf_reader_get_u8(struct mf_reader *reader)
{
    return (uint8_t)get_integer(reader, sizeof(uint8_t));
}

uint16_t mf_reader_get_u16(struct mf_reader *reader)
{
    return (uint16_t)get_integer(reader, sizeof(uint16_t));
}

uint32_t mf_reader_get_u32(struct mf_reader *reader)
{
    return (uint32_t)get_integer(reader, sizeof(uint32_t));
}

uint64_t mf_reader_get_u64(struct mf_reader *reader)
{
    return get_integer(reader, sizeof(uint64_t));
}

int64_t mf_reader_get_i64(struct mf_reader *reader)
{
    return (int64_t)get_integer(reader, sizeof(int64_t));
}

const uint8_t *mf_reader_get_bytes(struct mf_reader *reader, size_t *ret_n)
{
    size_t n = mf_reader_get_u32(reader);
    const uint8_t *bytes = mf_reader_get_raw(reader, n);

    *ret_n = bytes ? n : 0;
    return bytes;
}

void mf_reader_get_text(struct mf_reader *reader, char *text, size_t size)
{
    size_t n;
    const uint8_t *bytes = mf_reader_get_bytes(reader, &n);

    if (n >= size) {
        reader->has_failed = true;
        n = 0;
    }
    if (n > 0)
        memcpy(text, bytes, n);
    if (size > 0)
        text[n] = '\0';
}

int mf_reader_finish(const struct mf_reader *reader)
{
    return reader->has_failed || reader->left > 0 ? -EBADMSG : 0;
}
