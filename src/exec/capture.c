/*
 * The captured part of one stream. The launcher writes it, hands the file or
 * the bytes over, and the rank reads it: each side owns its own struct and
 * uses it from its only thread.
 */
#include "exec/capture.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAPACITY ((size_t)1024)

/* Holds the line about dropped bytes. */
#define MARKER_SIZE 64

/* Head, marker, and the ring from its oldest byte to its end and from its start. */
#define MAX_PARTS 4

/* A run of the bytes that reading presents: of the storage, or of the marker. */
struct part {
    bool is_marker;
    uint64_t offset;
    uint64_t size;
};

const char *mf_capture_spill_dir(const char *dir)
{
    if (!dir)
        dir = getenv("TMPDIR");
    return dir && dir[0] ? dir : "/tmp";
}

void mf_capture_init(struct mf_capture *capture, uint64_t limit)
{
    *capture = (struct mf_capture){.limit = limit, .fd = -1};
}

void mf_capture_finish(struct mf_capture *capture)
{
    free(capture->memory);
    capture->memory = NULL;
    mf_close(&capture->fd);
}

uint64_t mf_capture_kept(const struct mf_capture *capture)
{
    return capture->stored < capture->limit ? capture->stored : capture->limit;
}

uint64_t mf_capture_dropped(const struct mf_capture *capture)
{
    return capture->produced - mf_capture_kept(capture);
}

static uint64_t head_size(const struct mf_capture *capture)
{
    return capture->limit / 2;
}

/* Where byte number p of the stream is stored; limit > 0. */
static uint64_t place(const struct mf_capture *capture, uint64_t p)
{
    uint64_t head = head_size(capture);

    return p < capture->limit ? p : head + (p - head) % (capture->limit - head);
}

static int open_spill(const char *dir)
{
    char path[PATH_MAX];
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    /* Not every file system has unnamed files, and old kernels see a directory opened to write. */
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd >= 0 ? fd : -errno;
    if (snprintf(path, sizeof(path), "%s/mpifarm-XXXXXX", dir) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

/* Moves the storage from memory to a file. */
static int spill(struct mf_capture *capture, const char *dir)
{
    int fd = open_spill(dir);
    int result;

    if (fd < 0)
        return fd;
    result = mf_pwrite_all(fd, capture->memory, mf_capture_kept(capture), 0);
    if (result < 0) {
        mf_close(&fd);
        return result;
    }
    free(capture->memory);
    capture->memory = NULL;
    capture->fd = fd;
    return 0;
}

static int grow(struct mf_capture *capture, size_t size)
{
    size_t capacity = capture->capacity ? capture->capacity : FIRST_CAPACITY;
    uint8_t *memory;

    if (size <= capture->capacity)
        return 0;
    while (capacity < size)
        capacity *= 2;
    memory = realloc(capture->memory, capacity);
    if (!memory)
        return -ENOMEM;
    capture->memory = memory;
    capture->capacity = capacity;
    return 0;
}

/* Puts n bytes at offset of the storage, which may have to grow. */
static int store(struct mf_capture *capture, uint64_t offset, const void *data, size_t n,
                 const char *spill_dir)
{
    int result;

    if (capture->fd < 0 && offset + n > MF_CAPTURE_MEMORY_BYTES) {
        result = spill(capture, spill_dir);
        if (result < 0)
            return result;
    }
    if (capture->fd >= 0)
        return mf_pwrite_all(capture->fd, data, n, offset);
    result = grow(capture, (size_t)offset + n);
    if (result < 0)
        return result;
    memcpy(capture->memory + offset, data, n);
    return 0;
}

int mf_capture_write(struct mf_capture *capture, const void *data, size_t n, const char *spill_dir)
{
    const uint8_t *bytes = data;

    capture->produced += n;
    if (capture->error)
        return 0;
    if (capture->limit == 0) {
        capture->stored += n;
        return 0;
    }
    while (n > 0) {
        uint64_t offset = place(capture, capture->stored);
        uint64_t room = capture->limit - offset;
        size_t run = n < room ? n : (size_t)room;

        capture->error = store(capture, offset, bytes, run, spill_dir);
        if (capture->error < 0)
            return capture->error;
        capture->stored += run;
        bytes += run;
        n -= run;
    }
    return 0;
}

static size_t print_marker(const struct mf_capture *capture, char text[MARKER_SIZE])
{
    return (size_t)snprintf(text, MARKER_SIZE, "\n[mpifarm: %" PRIu64 " bytes dropped]\n",
                            mf_capture_dropped(capture));
}

/* What reading presents, in order; parts may be empty. */
static void lay_out(const struct mf_capture *capture, struct part parts[MAX_PARTS])
{
    bool has_wrapped = capture->stored > capture->limit;
    uint64_t head = has_wrapped ? head_size(capture) : capture->stored;
    char marker[MARKER_SIZE];

    memset(parts, 0, MAX_PARTS * sizeof(*parts));
    parts[0].size = head;
    parts[1].is_marker = true;
    if (mf_capture_dropped(capture) > 0)
        parts[1].size = print_marker(capture, marker);
    if (has_wrapped && capture->limit > 0) {
        uint64_t oldest = place(capture, capture->stored);

        parts[2].offset = oldest;
        parts[2].size = capture->limit - oldest;
        parts[3].offset = head;
        parts[3].size = oldest - head;
    }
}

uint64_t mf_capture_size(const struct mf_capture *capture)
{
    struct part parts[MAX_PARTS];
    uint64_t size = 0;

    lay_out(capture, parts);
    for (int i = 0; i < MAX_PARTS; i++)
        size += parts[i].size;
    return size;
}

static ssize_t read_part(const struct mf_capture *capture, const struct part *part, uint64_t offset,
                         void *data, size_t n)
{
    char marker[MARKER_SIZE];

    if (part->is_marker) {
        print_marker(capture, marker);
        memcpy(data, marker + offset, n);
        return (ssize_t)n;
    }
    if (capture->fd >= 0)
        return mf_pread_all(capture->fd, data, n, part->offset + offset);
    memcpy(data, capture->memory + part->offset + offset, n);
    return (ssize_t)n;
}

ssize_t mf_capture_read(const struct mf_capture *capture, uint64_t offset, void *data, size_t n)
{
    struct part parts[MAX_PARTS];
    size_t done = 0;

    if (n > SSIZE_MAX)
        n = SSIZE_MAX;
    lay_out(capture, parts);
    for (int i = 0; i < MAX_PARTS && done < n; i++) {
        uint64_t left;
        size_t want;
        ssize_t got;

        if (offset >= parts[i].size) {
            offset -= parts[i].size;
            continue;
        }
        left = parts[i].size - offset;
        want = n - done < left ? n - done : (size_t)left;
        got = read_part(capture, &parts[i], offset, (char *)data + done, want);
        if (got < 0)
            return got;
        done += (size_t)got;
        if ((size_t)got < want)
            break;
        offset = 0;
    }
    return (ssize_t)done;
}
