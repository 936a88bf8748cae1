/*
 * A descriptor that somebody else opened, written to without ever blocking and
 * without changing its flags, which other processes may share.
 */
#ifndef MF_REPORT_SINK_H
#define MF_REPORT_SINK_H

#include "base/loop.h"

#include <stdbool.h>
#include <sys/types.h>

enum mf_sink_kind {
    MF_SINK_FILE,    /* never makes a writer wait: a regular file, /dev/null */
    MF_SINK_PRIVATE, /* pipe or terminal, opened again as non-blocking for us alone */
    MF_SINK_SOCKET,  /* non-blocking call by call */
    MF_SINK_POLLED,  /* pipe or terminal that cannot be opened again */
};

/**
 * @fd        where bytes go: the given one, or own_fd
 * @own_fd    to close, -1 for none
 * @watch     says when it can take more; NULL for a file
 */
struct mf_sink {
    enum mf_sink_kind kind;
    int fd;
    int own_fd;
    struct mf_loop *loop;
    struct mf_watch *watch;
};

/**
 * mf_sink_init() - prepare to write to fd (borrowed).
 *
 * Returns 0 or -errno; mf_sink_finish() cleans up in either case.
 */
int mf_sink_init(struct mf_sink *sink, int fd, struct mf_loop *loop);

void mf_sink_finish(struct mf_sink *sink);

/** Writes what fits of n > 0 bytes. Returns how many, 0 when it would block, or -errno. */
ssize_t mf_sink_write(struct mf_sink *sink, const void *data, size_t n);

/** Whether a write would take something, or fail, now. */
bool mf_sink_is_ready(const struct mf_sink *sink);

/** Lets the loop wake up when more can be written, or not. Returns 0 or -errno. */
int mf_sink_set_waiting(struct mf_sink *sink, bool is_waiting);

#endif
