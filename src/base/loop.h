/*
 * An event loop over epoll: file descriptors in, callbacks out, one thread.
 *
 * It never spins and never owns the descriptors it watches. A callback may
 * add, change and remove any watch, its own included.
 */
#ifndef MF_BASE_LOOP_H
#define MF_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct mf_loop;
struct mf_watch;

/** Called with the EPOLL* events that are ready on the watch's fd. */
typedef void (*mf_watch_fn)(void *arg, uint32_t events);

/** Returns 0 and a loop, the caller's to destroy, or -errno. */
int mf_loop_create(struct mf_loop **ret_loop);

/** Frees the loop and forgets its watches; NULL is accepted. */
void mf_loop_destroy(struct mf_loop *loop);

/**
 * mf_loop_add() - watch a descriptor.
 *
 * @events  EPOLLIN, EPOLLOUT or both, level-triggered; an error or a hang-up is
 *          then reported too. 0 waits for nothing at all, not even these.
 *
 * Returns 0 and the watch, owned by the loop until removed, or -errno.
 */
int mf_loop_add(struct mf_loop *loop, int fd, uint32_t events, mf_watch_fn fn, void *arg,
                struct mf_watch **ret_watch);

/** Changes what a watch waits for; no system call when it is the same. Returns 0 or -errno. */
int mf_loop_modify(struct mf_loop *loop, struct mf_watch *watch, uint32_t events);

/** Ends and frees a watch, before its fd is closed. NULL is accepted. */
void mf_loop_remove(struct mf_loop *loop, struct mf_watch *watch);

/**
 * mf_loop_wait() - wait for events and call back for each.
 *
 * @timeout_ns  longest wait; 0 does not wait, below 0 waits without limit
 *
 * Returns how many callbacks ran, 0 after a time-out or a signal, or -errno.
 */
int mf_loop_wait(struct mf_loop *loop, int64_t timeout_ns);

#endif
