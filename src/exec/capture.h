/*
 * What is kept of one stream: all of it within the limit, else its first and
 * its last half of the limit. Up to 64 KiB stay in memory, more goes to an
 * unlinked file.
 *
 * Byte number p of the stream is stored at p while p < limit. From then on the
 * upper half of the storage is a ring that holds the latest bytes.
 */
#ifndef MF_EXEC_CAPTURE_H
#define MF_EXEC_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Storage that stays in memory. */
#define MF_CAPTURE_MEMORY_BYTES ((size_t)64 << 10)

/**
 * @limit     bytes to keep
 * @produced  bytes that the stream had
 * @stored    bytes that went through the storage: fewer than produced once it failed
 * @memory    capacity bytes, owned; the storage while fd is -1
 * @fd        the file that is the storage, owned, or -1
 * @error     why the storage failed: -errno, or 0
 */
struct mf_capture {
    uint64_t limit;
    uint64_t produced;
    uint64_t stored;
    uint8_t *memory;
    size_t capacity;
    int fd;
    int error;
};

/** Where files go: dir, or if that is NULL $TMPDIR, or /tmp. */
const char *mf_capture_spill_dir(const char *dir);

/** Prepares an empty one in place. */
void mf_capture_init(struct mf_capture *capture, uint64_t limit);

/** Frees the storage. */
void mf_capture_finish(struct mf_capture *capture);

/**
 * mf_capture_write() - append to the stream.
 *
 * Once the storage has failed it keeps what it has, and more bytes only count.
 *
 * @spill_dir  where to make the file when memory is not enough
 *
 * Returns 0, or the -errno with which the storage fails; told once.
 */
int mf_capture_write(struct mf_capture *capture, const void *data, size_t n, const char *spill_dir);

/** Bytes in the storage. */
uint64_t mf_capture_kept(const struct mf_capture *capture);

/** Bytes produced and not kept. */
uint64_t mf_capture_dropped(const struct mf_capture *capture);

/** Bytes that reading gives: those kept, and a line about those dropped, if any. */
uint64_t mf_capture_size(const struct mf_capture *capture);

/** Reads up to n bytes at offset of mf_capture_size(). Returns how many, 0 at the end, or -errno.
 */
ssize_t mf_capture_read(const struct mf_capture *capture, uint64_t offset, void *data, size_t n);

#endif
