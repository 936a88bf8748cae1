/* The two pipes of a running command, read into captures. */
#ifndef MF_EXEC_STREAMS_H
#define MF_EXEC_STREAMS_H

#include "base/loop.h"
#include "core/outcome.h"
#include "exec/capture.h"

/** Bytes read at once: what a pipe holds unless enlarged. */
#define MF_STREAMS_READ_BYTES ((size_t)64 << 10)

/**
 * What all streams share.
 *
 * @loop       borrowed
 * @spill_dir  where files of captures go
 * @limit      bytes kept of each stream
 * @bytes      MF_STREAMS_READ_BYTES of memory to read into
 */
struct mf_streams_config {
    struct mf_loop *loop;
    const char *spill_dir;
    uint64_t limit;
    uint8_t *bytes;
};

/** One pipe; fd is -1 before it is opened and after it is closed. */
struct mf_stream_reader {
    struct mf_streams *streams;
    int fd;
    bool has_ended;
    struct mf_watch *watch;
    struct mf_capture capture;
};

/** Called when reading from the loop ended a stream (error 0), or could not store it (-errno). */
typedef void (*mf_streams_fn)(void *arg, int error);

/** Both pipes of one attempt. Must not be moved in memory once watched. */
struct mf_streams {
    const struct mf_streams_config *config;
    struct mf_stream_reader readers[MF_N_STREAMS];
    mf_streams_fn fn;
    void *arg;
};

/** Prepares in place, without pipes. config is borrowed. */
void mf_streams_init(struct mf_streams *streams, const struct mf_streams_config *config,
                     mf_streams_fn fn, void *arg);

/** Closes the pipes and frees the captures. */
void mf_streams_finish(struct mf_streams *streams);

/** Takes the reading ends of two pipes. */
void mf_streams_open(struct mf_streams *streams, const int fds[MF_N_STREAMS]);

/** Lets the loop read both from now on. Returns 0 or -errno. */
int mf_streams_watch(struct mf_streams *streams);

/**
 * mf_streams_drain() - read what is in the pipes now.
 *
 * Takes at least what was there when it was called, and not for ever.
 *
 * Returns 0, or the -errno with which a capture failed.
 */
int mf_streams_drain(struct mf_streams *streams);

/** Gives the pipes up, keeping the captures. */
void mf_streams_close(struct mf_streams *streams);

/** Whether some process may still write to one of them. */
bool mf_streams_are_open(const struct mf_streams *streams);

#endif
