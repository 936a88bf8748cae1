/*
 * A farm as the public calls know it. One thread.
 *
 *     farm.c     making, starting and ending it
 *     submit.c   tasks in
 *     wait.c     progress, and waiting
 *     results.c  futures and what came of them; blocks
 *     context.c  what a task function calls
 */
#ifndef MF_API_FARM_H
#define MF_API_FARM_H

#include "base/backoff.h"
#include "base/life.h"
#include "base/log.h"
#include "base/loop.h"
#include "exec/keeper.h"
#include "runtime/client.h"
#include "runtime/launch.h"
#include "runtime/server.h"

#include <mpifarm/mpifarm.h>

/**
 * @is_started, @is_client  how far it is, and whether this is rank 0
 * @is_isolated   functions run in executor processes
 * @is_crowded    there may be more processes on this node than cores
 * @is_sharing_known   that was said by rank 0, which knows all bindings
 * @life, @keeper   of this process, and the process that answers for it, if there is one
 * @remote        to the other ranks; NULL in a program of one process
 * @local, @local_server   between client and server of one process; else NULL
 * @client, @server   of this rank, NULL where there is none
 * @is_in_task    a task function runs in this process
 * @is_in_callback   a callback runs
 * @n_untold      tasks submitted since the last turn
 * @n_ended       tasks that had ended when the client last waited or made progress
 * @now_ns        when the last turn began
 * @error, @err   of the last call that failed
 */
struct mpifarm {
    struct mpifarm_options options;
    struct mf_functions functions;
    struct mf_log log;
    bool is_started;
    bool is_client;
    bool is_isolated;
    bool is_crowded;
    bool is_sharing_known;
    struct mf_launch launch;
    struct mf_life life;
    struct mf_keeper keeper;
    struct mf_nursery nursery;
    struct mf_loop *loop;
    struct mf_transport *remote;
    struct mf_transport *local, *local_server;
    struct mf_core *cores;
    uint32_t n_cores;
    struct mf_client *client;
    struct mf_server *server;
    struct mf_backoff backoff;
    bool is_in_task;
    bool is_in_callback;
    size_t n_untold;
    uint64_t n_ended;
    int64_t now_ns;
    int error;
    struct mf_error err;
};

/** Keeps a sentence as the farm's last error; returns code. */
int mf_api_fail(struct mpifarm *farm, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** For the last error of calls that change nothing else: no farm was made constant. */
static inline struct mpifarm *mf_api_writable(const struct mpifarm *farm)
{
    return (struct mpifarm *)farm;
}

/** Why client calls cannot be used here: -EINVAL before the start or without a farm, -EPERM
 * elsewhere. */
int mf_api_refuse_client(struct mpifarm *farm, const char *call);

/** Whether client calls can be used here: 0, or as above. */
static inline int mf_api_check_client(struct mpifarm *farm, const char *call)
{
    return farm && farm->is_client && !farm->is_in_task ? 0 : mf_api_refuse_client(farm, call);
}

/** Why they cannot be used without a pointer that they need: -EINVAL, or as above. */
int mf_api_refuse_null(struct mpifarm *farm, const char *call, const char *what);

/** Whether client calls with such a pointer can be used here. */
static inline int mf_api_check_pointer(struct mpifarm *farm, const char *call, const void *pointer,
                                       const char *what)
{
    return pointer ? mf_api_check_client(farm, call) : mf_api_refuse_null(farm, call, what);
}

/** The task of a future, or NULL with -ESTALE as the farm's error. */
struct mf_booking *mf_api_find(struct mpifarm *farm, mpifarm_future future);

/** One turn of all there is in this process; returns whether there was traffic. */
bool mf_api_turn(struct mpifarm *farm);

/** Sleeps until something may have happened, at most until deadline_ns. */
void mf_api_pause(struct mpifarm *farm, bool had_traffic, int64_t deadline_ns);

/**
 * mf_api_wait() - turns until something is so.
 *
 * @is_over  1 when it is, 0 when not, below 0 when it can never be
 *
 * Returns 0, what is_over said below 0, -ETIMEDOUT, -EDEADLK or -EHOSTUNREACH.
 */
int mf_api_wait(struct mpifarm *farm, int (*is_over)(struct mpifarm *farm, void *arg), void *arg,
                int64_t timeout_ns);

/** Fills in how a task ended; its pointers are the task's. */
void mf_api_describe(const struct mf_booking *booking, struct mpifarm_result *ret_result);

/** Calls the callbacks of tasks that have ended. */
void mf_api_call_back(struct mpifarm *farm);

#endif
