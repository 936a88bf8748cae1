/*
 * The rank's end of its nursery: the fork, what is said, and the end. See
 * nursery.h and host_caller_parts.h.
 */
#include "exec/helper.h"
#include "exec/host_caller_parts.h"
#include "exec/nursery.h"

#include "base/clock.h"
#include "base/io.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long a nursery may take to end, which first waits for all processes below it. */
#define END_LIMIT_NS (3 * MF_NS_PER_S)

int mf_nursery_fork(struct mf_nursery *ret_nursery, struct mf_error *err)
{
    pid_t rank_pid = getpid();
    int fds[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
        return mf_error_set(err, -errno, "cannot create a socket for executor processes: %s",
                            strerror(errno));
    /* What is written so far is written once, not by each copy. */
    fflush(NULL);
    pid = fork();
    if (pid < 0) {
        int error = -errno;

        mf_close(&fds[0]);
        mf_close(&fds[1]);
        return mf_error_set(err, error, "cannot create the process that forks executors: %s",
                            strerror(-error));
    }
    if (pid == 0)
        mf_nursery_main(fds[1], rank_pid);
    mf_close(&fds[1]);
    *ret_nursery = (struct mf_nursery){.pid = pid, .fd = fds[0]};
    return 0;
}

void mf_nursery_stop(struct mf_nursery *nursery)
{
    int status;

    if (nursery->pid <= 0)
        return;
    mf_close(&nursery->fd);
    (void)mf_helper_reap(nursery->pid, END_LIMIT_NS, &status);
    *nursery = (struct mf_nursery){.fd = -1};
}

/* --- what is said --- */

static int handle_frame(struct mf_host_caller *caller, struct mf_frame *frame)
{
    uint32_t index = mf_reader_get_u32(&frame->body);
    uint32_t life = mf_reader_get_u32(&frame->body);
    uint32_t value = mf_reader_get_u32(&frame->body);
    struct mf_seat *seat;

    if (mf_reader_finish(&frame->body) < 0 || index >= caller->n_seats)
        return -EBADMSG;
    seat = caller->seats[index];
    if (seat->life != life)
        return -EBADMSG;
    if (frame->kind == MF_NURSERY_FORKED) {
        seat->pid = (pid_t)value;
        seat->refused_since_ns = seat->pause_ns = 0;
        return 0;
    }
    if (frame->kind != MF_NURSERY_DIED && frame->kind != MF_NURSERY_UNBORN)
        return -EBADMSG;
    seat->has_died = true;
    seat->is_unborn = frame->kind == MF_NURSERY_UNBORN;
    seat->status = (int)value;
    return 0;
}

void mf_host_caller_listen(struct mf_host_caller *caller)
{
    struct mf_frame frame;
    int result = caller->channel_error;

    if (result == 0)
        result = mf_channel_receive(&caller->channel);
    while (result >= 0 && (result = mf_channel_next(&caller->channel, &frame)) == 1)
        result = handle_frame(caller, &frame);
    if (result < 0)
        caller->channel_error = result;
}

void mf_host_caller_talk(struct mf_host_caller *caller)
{
    int result = caller->channel_error;

    if (result == 0 && mf_channel_backlog(&caller->channel) > 0)
        result = mf_channel_flush(&caller->channel);
    if (result >= 0 && caller->watch)
        result = mf_loop_modify(caller->loop, caller->watch,
                                result == MF_CHANNEL_E_FULL ? EPOLLIN | EPOLLOUT : EPOLLIN);
    if (result < 0)
        caller->channel_error = result;
}

void mf_host_caller_send_registry(struct mf_host_caller *caller, uint32_t rank)
{
    const struct mf_functions *functions = caller->functions;
    struct mf_buffer *body = mf_channel_begin(&caller->channel, MF_NURSERY_HOOKS);

    mf_buffer_put_u32(body, rank);
    mf_buffer_put_u64(body, (uintptr_t)functions->init);
    mf_buffer_put_u64(body, (uintptr_t)functions->finish);
    mf_buffer_put_u64(body, (uintptr_t)functions->hook_user);
    mf_buffer_put_u64(body, (uintptr_t)functions->farm);
    mf_channel_end(&caller->channel);
    for (uint32_t i = 0; i < functions->n_items; i++) {
        body = mf_channel_begin(&caller->channel, MF_NURSERY_FUNCTION);
        mf_buffer_put_u64(body, (uintptr_t)functions->items[i].call);
        mf_buffer_put_u64(body, (uintptr_t)functions->items[i].user);
        mf_buffer_put_text(body, functions->items[i].name);
        mf_channel_end(&caller->channel);
    }
}

void mf_host_caller_on_channel(void *arg, uint32_t events)
{
    struct mf_host_caller *caller = arg;

    if (events & EPOLLOUT)
        mf_host_caller_talk(caller);
    mf_host_caller_listen(caller);
    /* What broke it is told in the next turn; until then it must not wake the rank for ever. */
    if (caller->channel_error < 0)
        (void)mf_loop_modify(caller->loop, caller->watch, 0);
}

int mf_host_caller_close_nursery(struct mf_host_caller *caller)
{
    int status = -1;

    mf_loop_remove(caller->loop, caller->watch);
    mf_loop_remove(caller->loop, caller->bell_watch);
    caller->watch = caller->bell_watch = NULL;
    mf_channel_finish(&caller->channel);
    if (caller->nursery.pid > 0 && mf_helper_reap(caller->nursery.pid, END_LIMIT_NS, &status) == 1)
        mf_host_caller_kill_left(caller);
    caller->nursery = (struct mf_nursery){.fd = -1};
    return status;
}

/* The kernel takes executors with a nursery that was killed, but not what they have started. */
void mf_host_caller_kill_left(struct mf_host_caller *caller)
{
    for (uint32_t i = 0; i < caller->n_seats; i++)
        if (caller->seats[i]->is_alive && !caller->seats[i]->has_died && caller->seats[i]->pid > 0)
            (void)kill(-caller->seats[i]->pid, SIGKILL);
}
