/*
 * What the launcher reports, as events. An output that was handed over may outlive
 * the executor or its launcher, so they share a small block that says whether
 * there is still one to hear of its closing. Runs in the rank's only thread.
 */
#include "exec/process_private.h"

#include "exec/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- outputs --- */

int mf_closing_create(struct mf_process_executor *process, struct mf_closing **ret_closing)
{
    struct mf_closing *closing = calloc(1, sizeof(*closing));

    if (!closing)
        return -ENOMEM;
    *closing = (struct mf_closing){.n_owners = 1, .executor = process};
    *ret_closing = closing;
    return 0;
}

void mf_closing_leave(struct mf_closing *closing)
{
    if (--closing->n_owners == 0)
        free(closing);
}

/* The launcher holds back new commands while too much is not closed, so it is told at once. */
static void on_output_closed(void *arg, uint64_t bytes)
{
    struct mf_closing *closing = arg;
    struct mf_process_executor *process = closing->executor;

    if (process && !process->is_broken) {
        mf_buffer_put_u64(mf_channel_begin(&process->channel, MF_FRAME_CLOSED), bytes);
        mf_channel_end(&process->channel);
        (void)process->base.ops->flush(&process->base);
    }
    mf_closing_leave(closing);
}

/* Gives the files of a frame to its captures; one that got lost on the way loses its bytes. */
static void attach_files(struct mf_process_executor *process, struct mf_output *output,
                         const bool is_file[MF_N_STREAMS], struct mf_outcome *outcome)
{
    int fds[MF_CHANNEL_MAX_FDS];
    uint32_t n_fds = mf_channel_take_fds(&process->channel, fds);
    uint32_t next = 0;

    for (int i = 0; i < MF_N_STREAMS; i++) {
        struct mf_capture *capture = &output->streams[i];

        if (!is_file[i])
            continue;
        output->spilled_bytes += mf_capture_kept(capture);
        if (next < n_fds) {
            capture->fd = fds[next++];
            continue;
        }
        capture->stored = 0;
        outcome->dropped_bytes[i] = capture->produced;
        if (outcome->cause == MF_CAUSE_NONE)
            outcome->cause = MF_CAUSE_OUTPUT;
        snprintf(outcome->detail, sizeof(outcome->detail), "cannot take over output: %s",
                 strerror(EMFILE));
    }
    output->on_close = on_output_closed;
    output->on_close_arg = process->closing;
    process->closing->n_owners++;
}

/* Returns 0 with the output, NULL when there was none, or -errno. */
static int read_output(struct mf_process_executor *process, struct mf_reader *body,
                       struct mf_outcome *outcome, struct mf_output **ret_output)
{
    struct mf_output *output = mf_output_create();
    bool is_file[MF_N_STREAMS] = {false};
    uint64_t produced = 0;

    if (!output)
        return -ENOMEM;
    for (int i = 0; i < MF_N_STREAMS; i++) {
        int result = mf_protocol_get_stream(body, &output->streams[i]);

        if (result < 0) {
            mf_output_close(output);
            return result;
        }
        is_file[i] = result == 1;
        produced += output->streams[i].produced;
    }
    if (is_file[MF_STDOUT] || is_file[MF_STDERR])
        attach_files(process, output, is_file, outcome);
    if (produced == 0) {
        mf_output_close(output);
        output = NULL;
    }
    *ret_output = output;
    return 0;
}

/* --- reports --- */

static int on_started(struct mf_process_executor *process, struct mf_reader *body)
{
    struct mf_attempt_key key = mf_protocol_get_key(body);
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_STARTED, .task = key.task, .attempt = (uint32_t)key.attempt};
    struct mf_process_record *record = mf_table_find(process->records, &key);
    bool was_staged;

    event.slot = mf_reader_get_u32(body);
    if (!record)
        return -EBADMSG;
    record->slot = event.slot;
    record->pid = mf_reader_get_u32(body);
    was_staged = mf_reader_get_u8(body) != 0;
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    if (was_staged)
        process->fn(process->arg, &event);
    return 0;
}

static int on_unstaged(struct mf_process_executor *process, struct mf_reader *body)
{
    struct mf_attempt_key key = mf_protocol_get_key(body);
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_UNSTAGED,
        .task = key.task,
        .attempt = (uint32_t)key.attempt,
        .slot = MF_SLOT_NONE,
    };

    if (mf_reader_finish(body) < 0 || mf_table_remove(process->records, &key) < 0)
        return -EBADMSG;
    process->ends_seen++;
    process->fn(process->arg, &event);
    return 0;
}

static int on_suspended(struct mf_process_executor *process, struct mf_reader *body, bool continued)
{
    struct mf_attempt_key key = mf_protocol_get_key(body);
    struct mf_executor_event event = {
        .kind = continued ? MF_EXECUTOR_CONTINUED : MF_EXECUTOR_SUSPENDED,
        .task = key.task,
        .attempt = (uint32_t)key.attempt,
        .slot = MF_SLOT_NONE,
        .ran_ns = continued ? 0 : mf_reader_get_i64(body),
    };

    if (mf_reader_finish(body) < 0 || !mf_table_find(process->records, &key))
        return -EBADMSG;
    process->fn(process->arg, &event);
    return 0;
}

static int on_ended(struct mf_process_executor *process, struct mf_reader *body)
{
    struct mf_attempt_key key = mf_protocol_get_key(body);
    struct mf_outcome outcome;
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_ENDED,
        .task = key.task,
        .attempt = (uint32_t)key.attempt,
        .outcome = &outcome,
    };
    int result;

    event.slot = mf_reader_get_u32(body);
    mf_outcome_decode(body, &outcome);
    result = read_output(process, body, &outcome, &event.output);
    if (result < 0)
        return result;
    if (mf_reader_finish(body) < 0 || mf_table_remove(process->records, &key) < 0) {
        mf_output_close(event.output);
        return -EBADMSG;
    }
    process->ends_seen++;
    process->fn(process->arg, &event);
    return 0;
}

int mf_process_handle(struct mf_process_executor *process, struct mf_frame *frame)
{
    switch (frame->kind) {
    case MF_FRAME_STARTED:
        return on_started(process, &frame->body);
    case MF_FRAME_UNSTAGED:
        return on_unstaged(process, &frame->body);
    case MF_FRAME_SUSPENDED:
        return on_suspended(process, &frame->body, false);
    case MF_FRAME_CONTINUED:
        return on_suspended(process, &frame->body, true);
    case MF_FRAME_ENDED:
        return on_ended(process, &frame->body);
    default:
        return -EBADMSG;
    }
}
