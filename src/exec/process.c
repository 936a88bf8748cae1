/*
 * The rank's side of the executor for commands: requests go to the launcher.
 * See process_private.h for its other parts.
 *
 * The rank owns it and uses it in its only thread.
 */
#include "exec/process_private.h"

#include "base/command.h"
#include "base/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

static struct mf_process_executor *of_base(struct mf_executor *executor)
{
    return mf_container_of(executor, struct mf_process_executor, base);
}

void mf_process_on_channel(void *arg, uint32_t events)
{
    struct mf_process_executor *process = arg;
    struct mf_frame frame;
    int result = 0;

    if (events & EPOLLOUT)
        (void)process->base.ops->flush(&process->base);
    if (events & ~(uint32_t)EPOLLOUT)
        result = mf_channel_receive(&process->channel);
    while (result >= 0 && (result = mf_channel_next(&process->channel, &frame)) == 1)
        result = mf_process_handle(process, &frame);
    if (result < 0)
        mf_process_lose(process, result);
}

/* --- requests --- */

static int flush(struct mf_executor *executor)
{
    struct mf_process_executor *process = of_base(executor);
    int result;

    if (process->is_broken)
        return -EPIPE;
    if (mf_process_is_between(process))
        return 0;
    result = mf_channel_flush(&process->channel);
    /* What it said last is still to be read, and its end is found there. */
    if (result == -EPIPE || result == -ECONNRESET)
        return mf_loop_modify(process->loop, process->watch, EPOLLIN);
    if (result < 0)
        return result;
    return mf_loop_modify(process->loop, process->watch,
                          result == MF_CHANNEL_E_FULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static int configure(struct mf_executor *executor, const struct mf_slot *slots, uint32_t n_slots,
                     uint32_t rank, const char *run_dir)
{
    struct mf_process_executor *process = of_base(executor);
    int result;

    if (process->configuration.n_slots > 0 || n_slots == 0)
        return -EINVAL;
    result = mf_configuration_create(slots, n_slots, rank, run_dir, &process->configuration);
    if (result < 0)
        return result;
    mf_process_send_configuration(process);
    return flush(executor);
}

/* Whether its slots are there. */
static bool are_slots_valid(const struct mf_process_executor *process, const struct mf_start *start)
{
    for (uint32_t i = 0; i < start->n_slots; i++)
        if (start->slots[i] >= process->configuration.n_slots)
            return false;
    return process->configuration.n_slots > 0;
}

static int start(struct mf_executor *executor, const struct mf_start *start)
{
    struct mf_process_executor *process = of_base(executor);
    struct mf_attempt_key key = {start->task, start->attempt};
    void *place;
    int result;

    if (process->is_broken)
        return -EPIPE;
    if (mf_command_is_function(start->command, start->command_size))
        return -ENOSYS;
    if (start->command_size > MF_PROTOCOL_MAX_COMMAND)
        return -E2BIG;
    if (!are_slots_valid(process, start) || (start->n_slots == 0 && !process->base.can_stage))
        return -EINVAL;
    result = mf_table_insert(process->records, &key, &place);
    if (result != 0)
        return result < 0 ? result : -EEXIST;
    *(struct mf_process_record *)place =
        (struct mf_process_record){.slot = start->n_slots > 0 ? start->slots[0] : MF_SLOT_NONE,
                                   .held_slot = MF_SLOT_NONE,
                                   .staged_as = start->n_slots > 0 ? 0 : ++process->n_staged};
    mf_protocol_put_start(&process->channel, start, process->ends_seen);
    return 0;
}

static void unstage(struct mf_executor *executor, mf_task_id task, uint32_t attempt)
{
    struct mf_process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};

    if (process->is_broken || !mf_table_find(process->records, &key))
        return;
    mf_protocol_put_key(mf_channel_begin(&process->channel, MF_FRAME_UNSTAGE), key);
    mf_channel_end(&process->channel);
}

static void end(struct mf_executor *executor, mf_task_id task, uint32_t attempt,
                enum mf_cause cause)
{
    struct mf_process_executor *process = of_base(executor);
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
    struct mf_process_executor *process = of_base(executor);
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
    struct mf_process_executor *process = of_base(executor);
    struct mf_attempt_key key = {task, attempt};

    if (!process->is_broken && mf_table_find(process->records, &key))
        mf_protocol_put_continue(&process->channel, key, slots, n_slots);
}

static void warn(struct mf_executor *executor, int number)
{
    struct mf_process_executor *process = of_base(executor);

    if (process->is_broken)
        return;
    mf_buffer_put_u32(mf_channel_begin(&process->channel, MF_FRAME_WARN), (uint32_t)number);
    mf_channel_end(&process->channel);
}

static void destroy(struct mf_executor *executor)
{
    struct mf_process_executor *process;

    if (!executor)
        return;
    process = of_base(executor);
    if (!process->is_broken)
        mf_process_leave(process);
    mf_tenants_destroy(process->launcher.tenants);
    process->closing->executor = NULL;
    mf_closing_leave(process->closing);
    mf_configuration_finish(&process->configuration);
    mf_table_destroy(process->records);
    mf_table_destroy(process->lost);
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

/* Begins to listen to a launcher. Returns 0 or -errno. */
static int listen_to(struct mf_process_executor *process, const struct mf_launcher *launcher)
{
    int result = mf_loop_add(process->loop, launcher->fd, EPOLLIN, mf_process_on_channel, process,
                             &process->watch);

    if (result == 0)
        result = mf_loop_add(process->loop, launcher->lifeline_fd, EPOLLIN, mf_process_on_lifeline,
                             process, &process->lifeline_watch);
    if (result < 0)
        mf_loop_remove(process->loop, process->watch);
    return result;
}

int mf_process_executor_create(struct mf_launcher *launcher, struct mf_loop *loop,
                               mf_executor_fn fn, void *arg, struct mf_executor **ret_executor)
{
    struct mf_process_executor *process = calloc(1, sizeof(*process));
    int result;

    if (!process)
        return -ENOMEM;
    process->base.ops = &ops;
    process->base.can_stage = true;
    process->loop = loop;
    process->fn = fn;
    process->arg = arg;
    result = mf_closing_create(process, &process->closing);
    if (result == 0)
        result = mf_table_create(sizeof(struct mf_attempt_key), sizeof(struct mf_process_record),
                                 &process->records);
    if (result == 0)
        result = listen_to(process, launcher);
    if (result < 0) {
        mf_table_destroy(process->records);
        free(process->closing);
        free(process);
        return result;
    }
    process->launcher = *launcher;
    mf_channel_init(&process->channel, launcher->fd);
    *launcher = (struct mf_launcher){.fd = -1, .lifeline_fd = -1};
    *ret_executor = &process->base;
    return 0;
}
