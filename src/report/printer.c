/*
 * The printer: see printer.h.
 *
 * Groups go out one after the other, each with all of its standard output
 * before its standard error: the two may be one pipe, and a group stays whole
 * even if only one of them is stuck. The printer owns the groups it was given
 * until they are out. Used by rank 0, one thread.
 */
#include "report/printer.h"

#include "base/io.h"
#include "report/sink.h"
#include "report/order.h"
#include "report/stage.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What one turn writes at most: about a millisecond's work. */
#define TURN_BYTES ((size_t)1 << 20)

/**
 * @wake_fd     always readable: wakes the loop while more can be written to a file
 * @is_blocked  the last write would have blocked
 * @failure     0, or why nothing is printed any more, in error's words
 */
struct mf_printer {
    struct mf_printer_config config;
    struct mf_sink sinks[2];
    struct mf_loop *loop;
    struct mf_stage stage;
    struct mf_order order;
    int wake_fd;
    struct mf_watch *wake;
    bool is_blocked;
    int failure;
    struct mf_error error;
};

/* The loop is to wake up, no more: its owner calls mf_printer_turn(). */
static void wake_up(void *arg, uint32_t events)
{
    (void)arg;
    (void)events;
}

static int open_wake(struct mf_printer *printer)
{
    printer->wake_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    if (printer->wake_fd < 0)
        return -errno;
    return mf_loop_add(printer->loop, printer->wake_fd, 0, wake_up, NULL, &printer->wake);
}

int mf_printer_create(const struct mf_printer_config *config, struct mf_loop *loop,
                      struct mf_printer **ret_printer)
{
    struct mf_printer *printer = calloc(1, sizeof(*printer));
    int code;

    if (!printer)
        return -ENOMEM;
    printer->config = *config;
    printer->loop = loop;
    printer->wake_fd = -1;
    for (int i = 0; i < 2; i++)
        printer->sinks[i] = (struct mf_sink){.own_fd = -1};
    mf_order_init(&printer->order);
    code = mf_stage_init(&printer->stage);
    if (!code)
        code = open_wake(printer);
    for (int i = 0; !code && i < 2; i++)
        code = mf_sink_init(&printer->sinks[i], config->fds[i], loop);
    if (code) {
        mf_printer_destroy(printer);
        return code;
    }
    *ret_printer = printer;
    return 0;
}

static void drop_waiting(struct mf_printer *printer)
{
    struct mf_order_item *item;

    while ((item = mf_order_pop(&printer->order)))
        free(mf_container_of(item, struct mf_job, order));
    mf_order_finish(&printer->order);
    mf_stage_finish(&printer->stage);
}

void mf_printer_destroy(struct mf_printer *printer)
{
    if (!printer)
        return;
    drop_waiting(printer);
    for (int i = 0; i < 2; i++)
        mf_sink_finish(&printer->sinks[i]);
    mf_loop_remove(printer->loop, printer->wake);
    mf_close(&printer->wake_fd);
    free(printer);
}

/* Queues what has its turn now. */
static void queue_ordered(struct mf_printer *printer)
{
    struct mf_order_item *item;

    while ((item = mf_order_next(&printer->order)))
        mf_stage_push(&printer->stage, mf_container_of(item, struct mf_job, order));
}

int mf_printer_add(struct mf_printer *printer, const struct mf_group *group)
{
    struct mf_job *job;
    int code;

    if (printer->failure)
        return 0;
    code = mf_job_create(group, &job);
    if (code)
        return code;
    code = -EEXIST;
    if (printer->config.keep_order)
        code = mf_order_add(&printer->order, &job->order);
    /* A number whose turn is over need not wait for anything. */
    if (code == -EEXIST) {
        mf_stage_push(&printer->stage, job);
        return 0;
    }
    if (code) {
        free(job);
        return code;
    }
    queue_ordered(printer);
    return 0;
}

int mf_printer_skip(struct mf_printer *printer, uint64_t seq)
{
    int code;

    if (printer->failure || !printer->config.keep_order)
        return 0;
    code = mf_order_skip(&printer->order, seq);
    if (!code)
        queue_ordered(printer);
    return code;
}

void mf_printer_release_order(struct mf_printer *printer)
{
    struct mf_order_item *item;

    /* What comes later has nothing left to wait for either. */
    printer->config.keep_order = false;
    while ((item = mf_order_pop(&printer->order)))
        mf_stage_push(&printer->stage, mf_container_of(item, struct mf_job, order));
}

/* Keeps the sentence, and gives up what was to be printed. */
static int fail(struct mf_printer *printer, int code, bool is_reading)
{
    const char *name = printer->stage.stream ? "standard error" : "standard output";

    if (is_reading)
        mf_error_set(&printer->error, code, "captured output cannot be read back: %s",
                     strerror(-code));
    else if (code == -EPIPE || code == -ECONNRESET)
        code = mf_error_set(&printer->error, -EPIPE, "%s: its reader is gone", name);
    else
        mf_error_set(&printer->error, code, "%s: cannot be written: %s%s", name, strerror(-code),
                     code == -ENOSPC || code == -EDQUOT || code == -EFBIG ? "; make room there"
                                                                          : "");
    printer->failure = code;
    drop_waiting(printer);
    return code;
}

/* Tells of the groups that are out. */
static void settle(struct mf_printer *printer)
{
    struct mf_job *job;

    while ((job = mf_stage_pop(&printer->stage))) {
        if (printer->config.printed)
            printer->config.printed(printer->config.arg, &job->group);
        free(job);
    }
}

static bool has_block(const struct mf_printer *printer)
{
    return printer->stage.n_done < printer->stage.n_block;
}

/* Writes until all is out, the reader is slow, or the turn is long enough. */
static int write_blocks(struct mf_printer *printer)
{
    struct mf_stage *stage = &printer->stage;
    size_t n_turn = 0;
    int code = 0;

    while (!code && n_turn < TURN_BYTES) {
        ssize_t n;

        if (!has_block(printer))
            code = mf_stage_fill(stage);
        if (code)
            return fail(printer, code, true);
        settle(printer);
        if (!has_block(printer))
            return 0;
        if (printer->is_blocked && !mf_sink_is_ready(&printer->sinks[stage->stream]))
            return 0;
        printer->is_blocked = false;
        if (n_turn == 0 && printer->config.before_write)
            printer->config.before_write(printer->config.arg);
        n = mf_sink_write(&printer->sinks[stage->stream], stage->block + stage->n_done,
                          stage->n_block - stage->n_done);
        if (n < 0)
            return fail(printer, (int)n, false);
        if (n == 0) {
            printer->is_blocked = true;
            return 0;
        }
        mf_stage_advance(stage, (size_t)n);
        settle(printer);
        n_turn += (size_t)n;
    }
    return code;
}

/* Has the loop wake up when more can be written: no longer than that, lest it spin. */
static int watch(struct mf_printer *printer)
{
    bool is_waiting = !mf_stage_is_empty(&printer->stage);
    int stream = has_block(printer) ? printer->stage.stream : printer->stage.at;
    bool is_file = printer->sinks[stream].kind == MF_SINK_FILE;
    bool is_ready = is_waiting && (is_file || !has_block(printer));
    int code = mf_sink_set_waiting(&printer->sinks[!stream], false);

    if (!code)
        code = mf_sink_set_waiting(&printer->sinks[stream], is_waiting && !is_ready);
    if (!code)
        code = mf_loop_modify(printer->loop, printer->wake, is_ready ? EPOLLIN : 0);
    return code;
}

int mf_printer_turn(struct mf_printer *printer, struct mf_error *err)
{
    int code;

    if (!printer->failure) {
        code = write_blocks(printer);
        if (!code)
            code = watch(printer);
        else
            (void)watch(printer);
        if (code && !printer->failure)
            return mf_error_set(err, code, "output cannot be watched: %s", strerror(-code));
    }
    if (printer->failure)
        return mf_error_set(err, printer->failure, "%s", printer->error.text);
    return 0;
}

uint64_t mf_printer_backlog(const struct mf_printer *printer)
{
    return mf_stage_size(&printer->stage);
}

bool mf_printer_is_idle(const struct mf_printer *printer)
{
    return mf_stage_is_empty(&printer->stage) && printer->order.waiting.n_items == 0;
}
