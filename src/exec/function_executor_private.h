/*
 * The executor for functions from inside:
 *
 *     function_executor.c   what is asked for, turns, life
 *     function_reports.c    what the caller says of calls
 *     function_limits.c     functions that use more memory than they have
 *
 * The rank owns it and uses it in its only thread.
 */
#ifndef MF_EXEC_FUNCTION_EXECUTOR_PRIVATE_H
#define MF_EXEC_FUNCTION_EXECUTOR_PRIVATE_H

#include "base/list.h"
#include "exec/caller.h"
#include "exec/function_executor.h"
#include "exec/memory_watch.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * An attempt.
 *
 * @slot       it runs in, or ran in before it was suspended
 * @suspended_ns   since when it is suspended, 0 while it runs
 * @started_ns     when it was started, later by the time in which it was suspended
 * @asked      why it was asked to end; NONE if it was not
 * @mem_bytes  most memory that its function may use, 0 for no limit
 * @memory     what it uses, as far as that is watched
 * @saved      saved_size bytes of its last checkpoint that were not told, or NULL
 * @told_ns    when a checkpoint was told last
 * @large      large_size bytes of a result whose entry comes next, or NULL
 */
struct mf_function_run {
    struct mf_list node;
    mf_task_id task;
    uint32_t attempt;
    uint32_t slot;
    int64_t suspended_ns;
    int64_t started_ns;
    int64_t started_wall_ns;
    enum mf_cause asked;
    uint64_t mem_bytes;
    struct mf_memory_watch memory;
    uint8_t *saved;
    size_t saved_size;
    int64_t told_ns;
    uint8_t *large;
    size_t large_size;
};

/** @number  as the user sees it; @run  the attempt that runs there, or NULL */
struct mf_function_slot {
    uint32_t number;
    struct mf_function_run *run;
};

/**
 * @watch      of timer_fd, which fires at timer_ns (INT64_MAX: never)
 * @slots      n_slots
 * @runs       attempts, those that are suspended too
 * @n_limited  attempts whose functions have a limit of memory
 * @look_at_ns, @rest_until_ns   when memory is to be looked at, INT64_MAX for never, and not sooner
 * @call       bytes of the call being started
 */
struct mf_function_executor {
    struct mf_executor base;
    struct mf_function_executor_config config;
    struct mf_caller *caller;
    int timer_fd;
    int64_t timer_ns;
    struct mf_watch *watch;
    struct mf_function_slot *slots;
    uint32_t n_slots;
    struct mf_list runs;
    uint32_t n_limited;
    int64_t look_at_ns;
    int64_t rest_until_ns;
    struct mf_buffer call;
    bool is_broken;
};

/* function_reports.c */

/** The attempt, NULL when there is none. O(attempts). */
struct mf_function_run *mf_function_find_run(struct mf_function_executor *functions, uint64_t task,
                                             uint32_t attempt);

/** Forgets an attempt. */
void mf_function_end_run(struct mf_function_executor *functions, struct mf_function_run *run);

/** Tells that nothing runs any more. */
void mf_function_break(struct mf_function_executor *functions, const struct mf_error *err);

/** From now on an attempt that was suspended runs. */
void mf_function_resume_clock(struct mf_function_run *run);

/** For the caller; arg is the executor. */
void mf_function_heard(void *arg, const struct mf_caller_event *event);

/* function_limits.c */

/**
 * mf_function_watch_limited() - watch each function with a limit in the process that runs it.
 *
 * From before it begins: a process that is not ready yet, or takes the place
 * of one that died, is met here the moment it is.
 */
void mf_function_watch_limited(struct mf_function_executor *functions);

/** Ends functions that use more memory than they have. What fails is tried again at the next look.
 */
void mf_function_look_at_memory(struct mf_function_executor *functions, int64_t now_ns);

#endif
