/*
 * A stream of bytes through shared memory, from one process to one other.
 *
 * Each side has a struct mf_ring of its own. It trusts the other side with
 * nothing: the position of the other is read once at a time and checked, and
 * lengths are those of this side. No system call, no waiting: see host.h.
 */
#ifndef MF_EXEC_RING_H
#define MF_EXEC_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** In shared memory, starts as zeros: bytes written, and bytes read, since the beginning. */
struct mf_ring_ends {
    _Alignas(64) _Atomic uint64_t written;
    _Alignas(64) _Atomic uint64_t read;
};

/**
 * One side of it.
 *
 * @ends, @data   shared; capacity bytes of data, a power of two
 * @own       bytes that this side has written or read, told to the other or not
 * @other     what is known of the other side
 */
struct mf_ring {
    struct mf_ring_ends *ends;
    uint8_t *data;
    size_t capacity;
    uint64_t own;
    uint64_t other;
};

/** Bytes that can be written, as far as is known. */
static inline size_t mf_ring_room(const struct mf_ring *ring)
{
    return ring->capacity - (size_t)(ring->own - ring->other);
}

/** Bytes that can be read, as far as is known. */
static inline size_t mf_ring_filled(const struct mf_ring *ring)
{
    return (size_t)(ring->other - ring->own);
}

/** What the reader has read by now. Returns false if that cannot be: the memory is damaged. */
static inline bool mf_ring_look_for_room(struct mf_ring *ring)
{
    uint64_t read = atomic_load_explicit(&ring->ends->read, memory_order_acquire);

    if (read - ring->other > ring->own - ring->other)
        return false;
    ring->other = read;
    return true;
}

/** What the writer has written by now. Returns false if that cannot be: the memory is damaged. */
static inline bool mf_ring_look_for_bytes(struct mf_ring *ring)
{
    uint64_t written = atomic_load_explicit(&ring->ends->written, memory_order_acquire);

    if (written - ring->own > ring->capacity || written - ring->own < ring->other - ring->own)
        return false;
    ring->other = written;
    return true;
}

/** Writes n bytes, at most the room there is; the reader sees them when they are published. */
void mf_ring_write(struct mf_ring *ring, const void *data, size_t n);

/** Lets the reader see what was written. */
static inline void mf_ring_publish(struct mf_ring *ring)
{
    atomic_store_explicit(&ring->ends->written, ring->own, memory_order_release);
}

/** Reads n bytes, at most those there are; the writer gets the room when they are released. */
void mf_ring_read(struct mf_ring *ring, void *data, size_t n);

/** Gives the writer the room of what was read. */
static inline void mf_ring_release(struct mf_ring *ring)
{
    atomic_store_explicit(&ring->ends->read, ring->own, memory_order_release);
}

#endif
