/*
 * The rank's side of the executor for commands: requests go to the launcher,
 * its reports become events.
 *
 * The rank owns it and uses it in its only thread. An output that was handed
 * over may outlive the executor, so the two share a small block that says
 * whether the executor is still there to hear of its closing.
 */
#include "exec/process.h"

#include "base/clock.h"
#include "base/command.h"
#include "base/io.h"
#include "base/table.h"
#include "exec/channel.h"
#include "exec/descendants.h"
#include "exec/output.h"
#include "exec/protocol.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct process_executor;

/* How long processes left behind by a launcher that died may take to disappear. */
#define KILL_LIMIT_NS (2 * MF_NS_PER_S)

/* Shared by the executor and its open outputs; freed with the last of them. */
struct closing {
    uint64_t n_owners;
    struct process_executor *executor;
};

/* What the rank knows of an attempt: its process group, 0 before it has started. */
struct record {
    uint32_t pid;
};

/**
 * @records     of all attempts, by mf_attempt_key
 * @n_slots     as configured, 0 before
 * @ends_seen   ENDED and UNSTAGED frames taken in
 * @is_broken   the launcher is gone
 */
struct process_executor {
    struct mf_executor base;
    struct mf_launcher launcher;
    struct mf_loop *loop;
    struct mf_watch *watch;
    struct mf_channel channel;
    mf_executor_fn fn;
    void *arg;
    struct mf_table *records;
    struct closing *closing;
    uint32_t n_slots;
    uint64_t ends_seen;
    bool is_broken;
};

static struct process_executor *of_base(struct mf_executor *executor)
{
    return mf_container_of(executor, struct process_executor, base);
}

/* --- outputs --- */

static void leave_closing(struct closing *closing)
{
    if (--closing->n_owners == 0)
        free(closing);
}

/* The launcher holds back new commands while too much is not closed, so it is told at once. */
static void on_output_closed(void *arg, uint64_t bytes)
{
    struct closing *closing = arg;
    struct process_executor *process = closing->executor;

    if (process && !process->is_broken) {
        mf_buffer_put_u64(mf_channel_begin(&process->channel, MF_FRAME_CLOSED), bytes);
        mf_channel_end(&process->channel);
        (void)process->base.ops->flush(&process->base);
    }
    leave_closing(closing);
}

/* Gives the files of a frame to its captures; one that got lost on the way loses its bytes. */
static void attach_files(struct process_executor *process, struct mf_output *output,
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
static int read_output(struct process_executor *process, struct mf_reader *body,
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

static int on_started(struct process_executor *process, struct mf_reader *body)
{
    struct mf_attempt_key key = mf_protocol_get_key(body);
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_STARTED, .task = key.task, .attempt = (uint32_t)key.attempt};
    struct record *record = mf_table_find(process->records, &key);
    bool was_staged;

    event.slot = mf_reader_get_u32(body);
    if (!record)
        return -EBADMSG;
    record->pid = mf_reader_get_u32(body);
    was_staged = mf_reader_get_u8(body) != 0;
    if (mf_reader_finish(body) < 0)
        return -EBADMSG;
    if (was_staged)
        process->fn(process->arg, &event);
    return 0;
}

static int on_unstaged(struct process_executor *process, struct mf_reader *body)
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

static int on_suspended(struct process_executor *process, struct mf_reader *body, bool continued)
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

static int on_ended(struct process_executor *process, struct mf_reader *body)
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

static int handle_frame(struct process_executor *process, struct mf_frame *frame)
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

/* --- the end of the launcher --- */

/* Reaps the launcher, and says how it ended. Returns whether it ended in order. */
static bool reap_launcher(struct process_executor *process, char *text, size_t size)
{
    int status;
    pid_t pid;

    do
        pid = waitpid(process->launcher.pid, &status, 0);
    while (pid < 0 && errno == EINTR);
    if (pid < 0)
        snprintf(text, size, "has disappeared");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "was killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, size, "has exited with status %d", WEXITSTATUS(status));
    return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/*
 * Nobody else will: the launcher took only the main processes with it. What it
 * had started and not yet told of came to this process, a subreaper.
 */
static void kill_left(struct process_executor *process)
{
    size_t cursor = 0;
    void *value;

    while (mf_table_next(process->records, &cursor, NULL, &value)) {
        const struct record *record = value;

        if (record->pid > 0)
            (void)kill(-(pid_t)record->pid, SIGKILL);
    }
    (void)mf_descendants_kill(KILL_LIMIT_NS);
}

static void break_executor(struct process_executor *process, int error)
{
    struct mf_error text;
    struct mf_executor_event event = {
        .kind = MF_EXECUTOR_BROKEN, .slot = MF_SLOT_NONE, .error = &text};
    char how[128];

    process->is_broken = true;
    mf_loop_remove(process->loop, process->watch);
    process->watch = NULL;
    /* One that still lives has said what cannot be understood. */
    if (error != -EPIPE && error != -ECONNRESET)
        (void)kill(process->launcher.pid, SIGKILL);
    mf_close(&process->channel.fd);
    reap_launcher(process, how, sizeof(how));
    kill_left(process);
    (void)mf_error_set(&text, error, "the launcher process %d %s", (int)process->launcher.pid, how);
    process->fn(process->arg, &event);
}

static void on_channel(void *arg, uint32_t events)
{
    struct process_executor *process = arg;
    struct mf_frame frame;
    int result = 0;

    if (events & EPOLLOUT)
        (void)process->base.ops->flush(&process->base);
    if (events & ~(uint32_t)EPOLLOUT)
        result = mf_channel_receive(&process->channel);
    while (result >= 0 && (result = mf_channel_next(&process->channel, &frame)) == 1)
        result = handle_frame(process, &frame);
    if (result < 0)
        break_executor(process, result);
}

/* --- requests --- */

static int flush(struct mf_executor *executor)
{
    struct process_executor *process = of_base(executor);
    int result;

    if (process->is_broken)
        return -EPIPE;
    result = mf_channel_flush(&process->channel);
    if (result < 0)
        return result;
    return mf_loop_modify(process->loop, process->watch,
                          result == MF_CHANNEL_E_FULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct process_executor *process = of_base(executor);

    if (process->n_slots > 0 || n_slots == 0)
        return -EINVAL;
    mf_protocol_put_configure(&process->channel, slots, n_slots, rank, run_dir);
    process->n_slots = n_slots;
    return flush(executor);
}

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct process_executor *process = of_base(executor);
    struct mf_attempt_key key = {start->task, start->attempt};
    int result;

    if (process->is_broken)
        return -EPIPE;
    if (mf_command_is_function(start->command, start->command_size))
        return -ENOSYS;
    if (start->command_size > MF_PROTOCOL_MAX_COMMAND)
        return -E2BIG;
    if (process->n_slots == 0)
        return -EINVAL;
    for (uint32_t i = 0; i < start->n_slots; i++)
        if (start->slots[i] >= process->n_slots)
            return -EINVAL;
    result = mf_table_insert(process->records, &key, NULL);
    if (result != 0)
        return result < 0 ? result : -EEXIST;
    mf_protocol_put_start(&process->channel, start, process->ends_seen);
    return 0;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};

    if (process->is_broken || !mf_table_find(process->records, &key))
        return;
    mf_protocol_put_key(mf_channel_begin(&process->channel, MF_FRAME_UNSTAGE), key);
    mf_channel_end(&process->channel);
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};
    struct mf_buffer *body;

    if (process->is_broken || !mf_table_find(process->records, &key))
        return;
    body = mf_channel_begin(&process->channel, MF_FRAME_END);
    mf_protocol_put_key(body, key);
    mf_buffer_put_u8(body, (uint8_t)cause);
    mf_channel_end(&process->channel);
}

static int suspend(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};

    if (process->is_broken || !mf_table_find(process->records, &key))
        return 0;
    mf_protocol_put_key(mf_channel_begin(&process->channel, MF_FRAME_SUSPEND), key);
    mf_channel_end(&process->channel);
    return 0;
}

static void resume(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                   const uint32_t *slots, uint32_t n_slots)
{
    struct process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};

    if (!process->is_broken && mf_table_find(process->records, &key))
        mf_protocol_put_continue(&process->channel, key, slots, n_slots);
}

static void warn(struct mf_executor *executor, int number)
{
    struct process_executor *process = of_base(executor);

    if (process->is_broken)
        return;
    mf_buffer_put_u32(mf_channel_begin(&process->channel, MF_FRAME_WARN), (uint32_t)number);
    mf_channel_end(&process->channel);
}

/* The launcher takes the end of the socket as the end of everything. */
static void destroy(struct mf_executor *executor)
{
    struct process_executor *process;
    char how[128];

    if (!executor)
        return;
    process = of_base(executor);
    mf_loop_remove(process->loop, process->watch);
    mf_channel_finish(&process->channel);
    /* It may have been killed without anybody having noticed yet. */
    if (!process->is_broken && !reap_launcher(process, how, sizeof(how)))
        kill_left(process);
    process->closing->executor = NULL;
    leave_closing(process->closing);
    mf_table_destroy(process->records);
    free(process);
}

static const struct mf_executor_ops ops = {
    .configure = configure,
    .start = start,
    .unstage = unstage,
    .end = end,
    .suspend = suspend,
    .resume = resume,
    .warn = warn,
    .flush = flush,
    .destroy = destroy,
};

int mf_process_executor_create(struct mf_launcher *launcher, struct mf_loop *loop,
                               mf_executor_fn fn, void *arg, struct mf_executor **ret_executor)
{
    struct process_executor *process = calloc(1, sizeof(*process));
    struct closing *closing = calloc(1, sizeof(*closing));
    int result = -ENOMEM;

    if (!process || !closing)
        goto out;
    *closing = (struct closing){.n_owners = 1, .executor = process};
    process->base.ops = &ops;
    process->base.can_stage = true;
    process->launcher = *launcher;
    process->loop = loop;
    process->fn = fn;
    process->arg = arg;
    process->closing = closing;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
        result = -errno;
        goto out;
    }
    result =
        mf_table_create(sizeof(struct mf_attempt_key), sizeof(struct record), &process->records);
    if (result == 0)
        result = mf_loop_add(loop, launcher->fd, EPOLLIN, on_channel, process, &process->watch);
out:
    if (result < 0) {
        if (process)
            mf_table_destroy(process->records);
        free(process);
        free(closing);
        return result;
    }
    mf_channel_init(&process->channel, launcher->fd);
    *launcher = (struct mf_launcher){.fd = -1};
    *ret_executor = &process->base;
    return 0;
}
