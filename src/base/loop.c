/*
 * An event loop over epoll: see loop.h.
 *
 * The loop owns its watches, never their descriptors. A watch that is removed
 * while events are handed out stays in memory until the whole batch is done,
 * since later events of the batch may still point to it. A watch that waits
 * for nothing is not in the epoll set at all: level-triggered EPOLLHUP cannot
 * be masked, and would make the loop spin. One thread.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/list.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Level-triggered events that do not fit come with the next wait. */
#define BATCH 64

/**
 * @link     in loop->watches, or in loop->removed
 * @fd       borrowed
 * @events   what it waits for; 0 when it is not in the epoll set, and after removal
 */
struct mf_watch {
    struct mf_list link;
    int fd;
    uint32_t events;
    mf_watch_fn fn;
    void *arg;
};

/**
 * @epoll_fd    owned
 * @watches     those in force
 * @removed     those to free when no batch is being handed out
 * @depth       waits on the stack: a callback may wait on its own loop
 * @has_pwait2  false once the kernel or a seccomp filter refused epoll_pwait2
 */
struct mf_loop {
    int epoll_fd;
    struct mf_list watches;
    struct mf_list removed;
    unsigned depth;
    bool has_pwait2;
};

int mf_loop_create(struct mf_loop **ret_loop)
{
    struct mf_loop *loop = calloc(1, sizeof(*loop));
    int r;

    if (!loop)
        return -ENOMEM;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        r = -errno;
        free(loop);
        return r;
    }
    mf_list_init(&loop->watches);
    mf_list_init(&loop->removed);
    loop->has_pwait2 = true;
    *ret_loop = loop;
    return 0;
}

static void free_watches(struct mf_list *list)
{
    struct mf_list *node;

    while ((node = mf_list_pop_front(list)))
        free(mf_container_of(node, struct mf_watch, link));
}

void mf_loop_destroy(struct mf_loop *loop)
{
    if (!loop)
        return;
    assert(loop->depth == 0);
    free_watches(&loop->watches);
    free_watches(&loop->removed);
    close(loop->epoll_fd);
    free(loop);
}

int mf_loop_modify(struct mf_loop *loop, struct mf_watch *watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int operation = EPOLL_CTL_MOD;

    if (events == watch->events)
        return 0;
    if (watch->events == 0)
        operation = EPOLL_CTL_ADD;
    else if (events == 0)
        operation = EPOLL_CTL_DEL;
    if (epoll_ctl(loop->epoll_fd, operation, watch->fd, &event) < 0)
        return -errno;
    watch->events = events;
    return 0;
}

int mf_loop_add(struct mf_loop *loop, int fd, uint32_t events, mf_watch_fn fn, void *arg,
                struct mf_watch **ret_watch)
{
    struct mf_watch *watch = calloc(1, sizeof(*watch));
    int r;

    assert(fn);
    if (!watch)
        return -ENOMEM;
    watch->fd = fd;
    watch->fn = fn;
    watch->arg = arg;
    r = mf_loop_modify(loop, watch, events);
    if (r < 0) {
        free(watch);
        return r;
    }
    mf_list_push_back(&loop->watches, &watch->link);
    *ret_watch = watch;
    return 0;
}

void mf_loop_remove(struct mf_loop *loop, struct mf_watch *watch)
{
    if (!watch)
        return;
    /* Fails only if the fd was closed too early; then the kernel has dropped it already. */
    (void)mf_loop_modify(loop, watch, 0);
    mf_list_remove(&watch->link);
    if (loop->depth == 0) {
        free(watch);
        return;
    }
    watch->events = 0;
    mf_list_push_back(&loop->removed, &watch->link);
}

/* Whole milliseconds, rounded up: a shorter wait would poll until the time has come. */
static int timeout_ms(int64_t timeout_ns)
{
    int64_t ms;

    if (timeout_ns < 0)
        return -1;
    ms = timeout_ns / MF_NS_PER_MS + (timeout_ns % MF_NS_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* Returns how many events there are, 0 after a time-out or a signal, or -errno. */
static int wait_events(struct mf_loop *loop, struct epoll_event events[BATCH], int64_t timeout_ns)
{
    int n = 0;

    if (loop->has_pwait2) {
        struct timespec timeout = {
            .tv_sec = timeout_ns / MF_NS_PER_S,
            .tv_nsec = timeout_ns % MF_NS_PER_S,
        };

        n = epoll_pwait2(loop->epoll_fd, events, BATCH, timeout_ns < 0 ? NULL : &timeout, NULL);
        /* Kernels before 5.11 lack it, and some container sandboxes forbid it. */
        if (n < 0 && (errno == ENOSYS || errno == EPERM))
            loop->has_pwait2 = false;
    }
    if (!loop->has_pwait2)
        n = epoll_wait(loop->epoll_fd, events, BATCH, timeout_ms(timeout_ns));
    if (n < 0)
        return errno == EINTR ? 0 : -errno;
    return n;
}

int mf_loop_wait(struct mf_loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[BATCH];
    int n_called = 0;
    int n = wait_events(loop, events, timeout_ns);

    if (n < 0)
        return n;

    loop->depth++;
    for (int i = 0; i < n; i++) {
        struct mf_watch *watch = events[i].data.ptr;
        uint32_t ready = events[i].events & (watch->events | EPOLLERR | EPOLLHUP);

        /* An earlier callback of this batch may have ended it or changed what it waits for. */
        if (watch->events == 0 || ready == 0)
            continue;
        watch->fn(watch->arg, ready);
        n_called++;
    }
    if (--loop->depth == 0)
        free_watches(&loop->removed);
    return n_called;
}
