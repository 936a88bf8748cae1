/*
 * One thing that is read: a regular file, which stays open and is read at any
 * offset, or a stream, whose bytes are kept in a spool file as they come so
 * that they can be read at any offset as well.
 */
#ifndef MF_TASKFILE_INPUT_H
#define MF_TASKFILE_INPUT_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** How messages name "-". */
#define MF_INPUT_STDIN "stdin"

/**
 * Bytes start to size can be read from fd.
 *
 * @name         for messages, borrowed
 * @fd           the file, or the spool of a stream
 * @stream_fd    where more bytes come from; -1 for a regular file
 * @is_complete  whether nothing will be added
 */
struct mf_input {
    const char *name;
    int fd;
    int stream_fd;
    bool is_stream;
    bool is_complete;
    uint64_t start;
    uint64_t size;
    struct timespec modified;
};

/** The name of a path in messages: the path itself, or "stdin" for "-". Borrowed from path. */
const char *mf_input_name(const char *path);

/**
 * mf_input_open() - open a file for reading.
 *
 * Never blocks, not even on a FIFO without a writer. A regular file that is
 * standard input begins where its offset stands.
 *
 * @path        file, or "-" for standard input; must live as long as the input
 *
 * Returns 0, or -errno with a sentence in err.
 */
int mf_input_open(struct mf_input *ret_input, const char *path, struct mf_error *err);

/** Closes what mf_input_open() opened. */
void mf_input_close(struct mf_input *input);

/**
 * mf_input_fill() - copy what a stream has now to its spool, without waiting.
 *
 * Returns 0 when size grew or is_complete was set, -EAGAIN when nothing is
 * there, or -errno with a sentence in err.
 */
int mf_input_fill(struct mf_input *input, struct mf_error *err);

/** The descriptor to wait for, or -1 when it never has to be waited for. */
int mf_input_wait_fd(const struct mf_input *input);

/** Whether a regular file was written to since it was opened. */
bool mf_input_has_changed(const struct mf_input *input);

#endif
