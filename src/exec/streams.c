/*
 * Pipes to captures, read by the launcher's only thread.
 *
 * The pipes stay in blocking mode, which saves two system calls for each
 * command: this process is their only reader, and reads only after poll() or
 * epoll said that there is something to read. They are not watched from the
 * start either, since a short command has ended before that could be of use:
 * one drain at its end finds everything.
 */
#include "exec/streams.h"

#include "base/io.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

/* A pipe may hold 1 MiB (fs.pipe-max-size); more than that was written meanwhile. */
#define MAX_DRAIN_ROUNDS 17

void mf_streams_init(struct mf_streams *streams, const struct mf_streams_config *config,
                     mf_streams_fn fn, void *arg)
{
    streams->config = config;
    streams->fn = fn;
    streams->arg = arg;
    for (int i = 0; i < MF_N_STREAMS; i++) {
        struct mf_stream_reader *reader = &streams->readers[i];

        reader->streams = streams;
        reader->fd = -1;
        reader->has_ended = true;
        reader->watch = NULL;
        mf_capture_init(&reader->capture, config->limit);
    }
}

static void close_reader(struct mf_stream_reader *reader)
{
    mf_loop_remove(reader->streams->config->loop, reader->watch);
    reader->watch = NULL;
    mf_close(&reader->fd);
    reader->has_ended = true;
}

/*
 * The last writer is gone. A pipe that is not watched is closed only with the
 * streams, so that the slot is used again before that is paid for.
 */
static void end_reader(struct mf_stream_reader *reader)
{
    if (reader->watch)
        close_reader(reader);
    reader->has_ended = true;
}

void mf_streams_finish(struct mf_streams *streams)
{
    mf_streams_close(streams);
    for (int i = 0; i < MF_N_STREAMS; i++)
        mf_capture_finish(&streams->readers[i].capture);
}

void mf_streams_open(struct mf_streams *streams, const int fds[MF_N_STREAMS])
{
    for (int i = 0; i < MF_N_STREAMS; i++) {
        streams->readers[i].fd = fds[i];
        streams->readers[i].has_ended = false;
    }
}

/* Reads once a pipe that has something to read, its end included. Returns 0 or -errno. */
static int read_some(struct mf_stream_reader *reader)
{
    const struct mf_streams_config *config = reader->streams->config;
    ssize_t got = read(reader->fd, config->bytes, MF_STREAMS_READ_BYTES);

    if (got > 0)
        return mf_capture_write(&reader->capture, config->bytes, (size_t)got, config->spill_dir);
    if (got == 0 || errno != EINTR)
        end_reader(reader);
    return 0;
}

static void on_readable(void *arg, uint32_t events)
{
    struct mf_stream_reader *reader = arg;
    struct mf_streams *streams = reader->streams;
    int error = read_some(reader);

    /* The callee may free the streams: they must not be touched after. */
    if (error < 0 || reader->has_ended)
        streams->fn(streams->arg, error);
}

int mf_streams_watch(struct mf_streams *streams)
{
    for (int i = 0; i < MF_N_STREAMS; i++) {
        struct mf_stream_reader *reader = &streams->readers[i];
        int result;

        if (reader->has_ended || reader->watch)
            continue;
        result = mf_loop_add(streams->config->loop, reader->fd, EPOLLIN, on_readable, reader,
                             &reader->watch);
        if (result < 0)
            return result;
    }
    return 0;
}

/* Reads once from each pipe that is ready. Returns how many were, or the -errno of a capture. */
static int drain_round(struct mf_streams *streams)
{
    struct pollfd polled[MF_N_STREAMS];
    int n_ready, result = 0;

    for (int i = 0; i < MF_N_STREAMS; i++)
        polled[i] = (struct pollfd){
            .fd = streams->readers[i].has_ended ? -1 : streams->readers[i].fd,
            .events = POLLIN,
        };
    n_ready = poll(polled, MF_N_STREAMS, 0);
    if (n_ready < 0)
        return 0;
    for (int i = 0; i < MF_N_STREAMS; i++) {
        int error = 0;

        if (polled[i].revents & POLLIN)
            error = read_some(&streams->readers[i]);
        else if (polled[i].revents)
            end_reader(&streams->readers[i]);
        if (error < 0)
            result = error;
    }
    return result < 0 ? result : n_ready;
}

int mf_streams_drain(struct mf_streams *streams)
{
    int result = 0;

    for (int round = 0; round < MAX_DRAIN_ROUNDS && mf_streams_are_open(streams); round++) {
        int n_ready = drain_round(streams);

        if (n_ready < 0)
            result = n_ready;
        if (n_ready == 0)
            break;
    }
    return result;
}

void mf_streams_close(struct mf_streams *streams)
{
    for (int i = 0; i < MF_N_STREAMS; i++)
        close_reader(&streams->readers[i]);
}

bool mf_streams_are_open(const struct mf_streams *streams)
{
    return !streams->readers[MF_STDOUT].has_ended || !streams->readers[MF_STDERR].has_ended;
}
