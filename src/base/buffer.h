/*
 * Growing bytes to write, bounds-checked bytes to read.
 *
 * Every message and record of mpifarm is built from these: little-endian
 * integers and byte strings behind a 32-bit length. Both ends remember their
 * first failure, so that a caller checks once, after the last field.
 */
#ifndef MF_BASE_BUFFER_H
#define MF_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Starts as {0}. After out of memory has_failed is set and writes do nothing. */
struct mf_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool has_failed;
};

/** Frees the bytes and leaves {0}; NULL is accepted. */
void mf_buffer_finish(struct mf_buffer *buffer);

/** memcpy() for bytes that are mostly one number, which then costs no call; from may be NULL. */
static inline void mf_copy(void *to, const void *from, size_t n)
{
    if (!from)
        return;
    if (n == sizeof(uint64_t))
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, n);
}

/** Forgets the bytes and any failure, keeps the memory. */
static inline void mf_buffer_clear(struct mf_buffer *buffer)
{
    buffer->size = 0;
    buffer->has_failed = false;
}

/** Grows the memory so that n more bytes fit; for mf_buffer_reserve(). */
int mf_buffer_grow(struct mf_buffer *buffer, size_t n);

/** Makes room for n more bytes. Returns 0 or -ENOMEM. */
static inline int mf_buffer_reserve(struct mf_buffer *buffer, size_t n)
{
    if (n <= buffer->capacity - buffer->size && !buffer->has_failed)
        return 0;
    return mf_buffer_grow(buffer, n);
}

/** Drops the first n bytes (n <= size), moving the rest to the front. */
void mf_buffer_consume(struct mf_buffer *buffer, size_t n);

/** Returns 0, or -ENOMEM if any write since the last clear failed. */
int mf_buffer_status(const struct mf_buffer *buffer);

/** Inline, as most of what is appended has a size that the compiler knows. */
static inline void mf_buffer_append(struct mf_buffer *buffer, const void *data, size_t n)
{
    /* memcpy() from NULL is undefined even for no bytes. */
    if (n == 0 || mf_buffer_reserve(buffer, n) < 0)
        return;
    memcpy(buffer->data + buffer->size, data, n);
    buffer->size += n;
}

void mf_buffer_put_u8(struct mf_buffer *buffer, uint8_t value);
void mf_buffer_put_u16(struct mf_buffer *buffer, uint16_t value);
void mf_buffer_put_u32(struct mf_buffer *buffer, uint32_t value);
void mf_buffer_put_u64(struct mf_buffer *buffer, uint64_t value);
void mf_buffer_put_i64(struct mf_buffer *buffer, int64_t value);

/** A 32-bit length and n bytes; n above UINT32_MAX fails the buffer. */
void mf_buffer_put_bytes(struct mf_buffer *buffer, const void *data, size_t n);

/** A 32-bit length and the characters without their NUL; NULL is written as "". */
void mf_buffer_put_text(struct mf_buffer *buffer, const char *text);

/** Appends formatted text, without a NUL. */
void mf_buffer_print(struct mf_buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Overwrites four bytes at offset, which must exist: a length known only later. */
void mf_buffer_patch_u32(struct mf_buffer *buffer, size_t offset, uint32_t value);

/** Bytes still to read, borrowed. After a short read has_failed is set and reads give zeros. */
struct mf_reader {
    const uint8_t *data;
    size_t left;
    bool has_failed;
};

struct mf_reader mf_reader_over(const void *data, size_t size);

uint8_t mf_reader_get_u8(struct mf_reader *reader);
uint16_t mf_reader_get_u16(struct mf_reader *reader);
uint32_t mf_reader_get_u32(struct mf_reader *reader);
uint64_t mf_reader_get_u64(struct mf_reader *reader);
int64_t mf_reader_get_i64(struct mf_reader *reader);

/** A view of n raw bytes inside the message; NULL after a failure. */
const uint8_t *mf_reader_get_raw(struct mf_reader *reader, size_t n);

/** A view of a byte string written by put_bytes; *ret_n is its length, 0 after a failure. */
const uint8_t *mf_reader_get_bytes(struct mf_reader *reader, size_t *ret_n);

/** Copies a text written by put_text into size bytes with a NUL; a longer one fails the reader. */
void mf_reader_get_text(struct mf_reader *reader, char *text, size_t size);

/** Returns 0 when all was read and nothing failed, else -EBADMSG. */
int mf_reader_finish(const struct mf_reader *reader);

#endif
