/*
 * libmpifarm: C functions as tasks.
 *
 * One SPMD program. Every rank makes a farm, registers the same functions in
 * the same order, and starts; rank 0 goes on as the client and submits tasks,
 * the other ranks serve until the client finishes:
 *
 *     struct mpifarm *farm;
 *     int square;
 *
 *     mpifarm_init(&argc, &argv, NULL, &farm);
 *     square = mpifarm_register(farm, "square", square_fn, NULL);
 *     if (mpifarm_start(farm) == MPIFARM_CLIENT) {
 *         mpifarm_future future;
 *         struct mpifarm_result result;
 *
 *         mpifarm_submit(farm, square, &x, sizeof(x), NULL, &future);
 *         mpifarm_wait(farm, future, MPIFARM_FOREVER);
 *         mpifarm_result(farm, future, &result);
 *         ...
 *         mpifarm_release(farm, future);
 *     }
 *     return mpifarm_finish(farm) < 0;
 *
 * A program started without mpirun or srun, or with one rank, runs its tasks
 * itself, in order, inside the calls that wait: the way to use a debugger.
 *
 * Rules that hold everywhere
 *
 *   threads    all calls on one farm come from the thread that made it
 *   results    int: 0 or a documented outcome above 0; below 0 is an error
 *              number of <errno.h>, negated. mpifarm_error_text() has a
 *              sentence for the last one. A failed call has changed nothing
 *   ownership  what a call is given is copied, what it gives is borrowed; the
 *              comment says so where it is otherwise
 *   times      nanoseconds in int64_t; limits are from the moment of the call
 *   who        client calls return -EPERM on other ranks and in tasks;
 *              context calls are for task functions
 *   order      -EINVAL before mpifarm_start() for what needs it, and after it
 *              for what must come before
 *   NULL       -EINVAL where something is needed: a farm, the bytes of a size
 *              above 0, or the place of a ret_x that is not said to be optional.
 *              A context is not looked at
 *
 * With isolation functions run in copies of the process that were made in
 * mpifarm_init(): a pointer to the farm that the program keeps is NULL there,
 * as it was then, unless it was handed to mpifarm_register() as `user`.
 *
 * Usable from C11 and C++.
 */
#ifndef MPIFARM_MPIFARM_H
#define MPIFARM_MPIFARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define MPIFARM_API __attribute__((visibility("default")))
#else
#define MPIFARM_API
#endif

/** A farm, as one rank sees it. */
struct mpifarm;

/** What a task function knows of the task it runs. */
struct mpifarm_context;

/** A submitted task whose outcome is, or will be, with the client; 0 is none. */
typedef uint64_t mpifarm_future;

/** A block of bytes that every rank has; 0 is none. */
typedef uint32_t mpifarm_block;

/** No time limit. */
#define MPIFARM_FOREVER INT64_MAX

/** From mpifarm_start(). */
#define MPIFARM_CLIENT 0 /* this is rank 0: submit tasks */
#define MPIFARM_SERVED 1 /* this was a worker, and the client has finished */

/**
 * A task function.
 *
 * Runs in the worker rank, one at a time, or with isolation in a process of its
 * own. It must not call MPI, which the farm's thread is using. What it forks must not return from
 * it: a child leaves by _exit() or exec().
 *
 * @context  the task; valid until the function returns
 * @user     as given when it was registered; NULL in a module of mpifarm run
 *
 * Returns 0 when the task is done, and anything else when it failed; with
 * mpifarm_fail() it can say why.
 */
typedef int (*mpifarm_function)(struct mpifarm_context *context, void *user);

/* --- making a farm --- */

/** Where task functions run. */
enum mpifarm_isolation {
    /** In executor processes if the variable MPIFARM_ISOLATE is 1, in the rank if it is 0. If it is
       not set: in executor processes where srun started several ranks, as the death of one of
       them would end them all; else in the rank. */
    MPIFARM_ISOLATION_DEFAULT = 0,
    /** In the rank: fastest; a crash ends the rank, and a time limit only asks. */
    MPIFARM_ISOLATION_OFF,
    /**
     * In executor processes, which are forked before MPI_Init: a function that
     * crashes, exits, hangs or takes too much memory ends its executor alone, and limits of time
     * and memory are kept.
     */
    MPIFARM_ISOLATION_ON,
};

/**
 * How to make a farm; {0} is good for most.
 *
 * @isolation      where functions run
 * @n_executors    executor processes of each rank with isolation, at most 4,096; 0 for one
 *                 for each core that is the rank's share of its node
 * @max_attempts   how often a task is tried in all when it does not say, 0 for 1
 * @spin_ns        how long a rank looks for messages without a pause after the last
 *                 one; 0 for 100 us, or hardly at all where ranks outnumber the cores.
 *                 Looking costs no latency and all of a core; after it the rank naps,
 *                 for at most 4 ms
 * @quiet          warnings are not written to standard error
 * @has_threads    functions, or the client, start threads of their own, which do not call
 *                 MPI: it is told so (MPI_THREAD_FUNNELED, else MPI_THREAD_SINGLE). Some
 *                 implementations then lock what they use, at 0.1 us and more a message
 * @executor_memory_bytes
 *                 most that an executor process may get, at least 1 MiB; 0 for what the variable
 *                 MPIFARM_EXECUTOR_MEMORY says, as in 512M or 2G, and for no limit if it is not
 *                 set. Without isolation it has no effect, nor before Linux 4.5.
 *                 Counted is memory of the process's own, resident or swapped out, beyond what it
 *                 had after the init hook: what functions have allocated and written, and left
 *                 there, and the copies of large inputs and results; not blocks, files or other
 *                 memory that is shared, nor processes that functions start. The rank looks every
 *                 5 to 50 ms while an executor works, the sooner the closer it comes to its limit,
 *                 and rank 0 of a program of one process in calls that wait or make progress: what
 *                 grows faster than that is the kernel's business.
 *                 An executor that is over its limit is replaced when its call has ended, which
 *                 costs no try. A call that goes on for 0.1 s, or takes twice the limit, is ended
 *                 with MPIFARM_CAUSE_MEMORY, which is one try of its task: functions that leak cost
 *                 one now and then, so give their tasks two or more
 */
struct mpifarm_options {
    enum mpifarm_isolation isolation;
    uint32_t n_executors;
    uint32_t max_attempts;
    int64_t spin_ns;
    bool quiet;
    bool has_threads;
    int64_t executor_memory_bytes;
};

/**
 * mpifarm_init() - make this process a rank of a farm.
 *
 * On every rank, before MPI_Init, which it calls, and before the program has
 * threads: executor processes are forked from what is here now. They keep what
 * is in memory, and of open files standard input, output and error alone. Once
 * per process, as MPI is; a program without a launcher can make another farm.
 *
 * @argc, @argv   for MPI_Init; NULL is accepted
 * @options       NULL for the defaults
 *
 * Returns 0 with the farm, which mpifarm_finish() frees, or -EINVAL for options that
 * make no sense, -EALREADY if MPI is or was in use already, -EIO if MPI cannot be
 * started, -ENOMEM or another error of the system. The reason is written to standard
 * error.
 */
MPIFARM_API int mpifarm_init(int *argc, char ***argv, const struct mpifarm_options *options,
                             struct mpifarm **ret_farm);

/** This rank, from 0, and how many there are; 0 without a farm. */
MPIFARM_API uint32_t mpifarm_rank(const struct mpifarm *farm);
MPIFARM_API uint32_t mpifarm_size(const struct mpifarm *farm);

/**
 * mpifarm_register() - name a function that tasks can call.
 *
 * Every rank registers the same names in the same order, before it starts.
 *
 * @name  1 to 255 characters; copied
 * @user  handed to each call, may be NULL. With isolation the memory that it points to is that of
 *        mpifarm_init(): what is changed later, executors do not see
 *
 * Returns the function's number, 0 or more, -EEXIST if the name is taken,
 * -EINVAL for no function, a bad name or a farm that was started, -ENOSPC
 * beyond 65,535 functions, -ENOMEM.
 */
MPIFARM_API int mpifarm_register(struct mpifarm *farm, const char *name, mpifarm_function function,
                                 void *user);

/** The number of the function of that name, -ENOENT, or -EINVAL for no name. */
MPIFARM_API int mpifarm_lookup(const struct mpifarm *farm, const char *name);

/**
 * mpifarm_hooks() - state of a worker.
 *
 * @init    called once where tasks run, before the first: in each worker rank, or
 *          with isolation in each executor process. Other than 0 refuses to work:
 *          the worker leaves, and is reported
 * @finish  called after the last task, also in an executor that is replaced between two tasks; not
 *          in one that was killed
 * @user    handed to both; see mpifarm_register()
 *
 * Either may be NULL. They may take as long as they like, to load or save what tasks use:
 * mpifarm_start() on rank 0 does not wait for init, mpifarm_finish() waits for both; a rank that
 * dies in one is noticed as in a task. The init hook of an executor that takes the place of one
 * that died is given a minute, or ten times what the first ones took, and 4 s once the farm ends.
 * Returns 0, or -EINVAL after mpifarm_start().
 */
MPIFARM_API int mpifarm_hooks(struct mpifarm *farm, int (*init)(struct mpifarm *farm, void *user),
                              void (*finish)(struct mpifarm *farm, void *user), void *user);

/**
 * mpifarm_start() - begin.
 *
 * On ranks other than 0 it serves, and returns when the client has finished and the finish hooks of
 * all ranks are through, or some rank was lost; at once when the farm cannot begin.
 * Why it cannot begin is also written to standard error.
 *
 * Returns MPIFARM_CLIENT on rank 0 and MPIFARM_SERVED on the others; -EPROTO, on
 * all, when some rank registered other functions (the sentence names rank and
 * function), or has finished without a start, or died; -ETIMEDOUT, on all that came, when some
 * rank did not within a minute; -EINVAL when called twice; -ECONNABORTED on a rank that lost touch
 * with rank 0, or whose rank 0 is gone.
 */
MPIFARM_API int mpifarm_start(struct mpifarm *farm);

/**
 * mpifarm_finish() - end the farm and free it.
 *
 * On every rank, last, also after a failure. It frees all futures and blocks.
 * Tasks that are not finished are dropped, without a callback; a function that runs is given 5 s to
 * return, in an executor 1 s. If it does not, its executor is killed, or the program is aborted
 * with a message that names rank and function, since MPI could not be ended without it. So it is
 * when a rank does not answer for as long, but hooks are waited for until they have ended. A client
 * that exits without finishing is noticed by mpirun and srun, which then end the other ranks. Once
 * ranks have died, which mpirun --enable-recovery lets the others survive, it waits for nobody, and
 * MPI is not finalized.
 *
 * NULL is accepted. Returns 0, or what went wrong.
 */
MPIFARM_API int mpifarm_finish(struct mpifarm *farm);

/** The sentence for the last error of a call on this farm, "" for none. Of NULL: that it is no
 * farm. */
MPIFARM_API const char *mpifarm_error_text(const struct mpifarm *farm);

/* --- submitting --- */

/** How the client hears of a task's end. */
enum mpifarm_delivery {
    /** Its future is kept until it is released. */
    MPIFARM_DELIVER_FUTURE = 0,
    /** The same, and mpifarm_next() gives it out, in order of completion. */
    MPIFARM_DELIVER_QUEUE,
    /** The callback is called; then the future is released. */
    MPIFARM_DELIVER_CALLBACK,
    /** Not at all: fire and forget. mpifarm_count() counts it. */
    MPIFARM_DELIVER_NONE,
};

/** How a task ended. */
enum mpifarm_status {
    MPIFARM_PENDING = 0, /* it has not ended */
    MPIFARM_DONE,
    MPIFARM_FAILED,    /* its function said so, or could not be run to its end */
    MPIFARM_CANCELLED, /* withdrawn before it was done */
    MPIFARM_SKIPPED,   /* a task that it was to come after was not done */
};

/** Why a task failed. */
enum mpifarm_cause {
    MPIFARM_CAUSE_NONE = 0, /* it did not */
    MPIFARM_CAUSE_FUNCTION, /* the function returned other than 0 */
    MPIFARM_CAUSE_TIMEOUT,  /* over its time limit */
    MPIFARM_CAUSE_CRASHED,  /* a signal killed its executor */
    MPIFARM_CAUSE_EXITED,   /* it ended its executor: exit() */
    MPIFARM_CAUSE_LOST,     /* its rank disappeared, again and again */
    MPIFARM_CAUSE_UNFIT,    /* no worker can ever run it */
    MPIFARM_CAUSE_MEMORY,   /* its executor was over its limit of memory, or there was no memory for
                               its input or result */
};

/**
 * The outcome of a task.
 *
 * @status, @cause   how it ended, and why
 * @code             what the function returned; after CRASHED the signal, after
 *                   EXITED the exit status
 * @message          what the function said with mpifarm_fail(), or a sentence on
 *                   why it was not done; "" when done
 * @data, @size      what the function wrote, size bytes, aligned for any type;
 *                   NULL when that is nothing or the task was not done
 * @tag              the submitter's
 * @attempts         how often it was tried
 */
struct mpifarm_result {
    enum mpifarm_status status;
    enum mpifarm_cause cause;
    int code;
    const char *message;
    const void *data;
    size_t size;
    uint64_t tag;
    uint32_t attempts;
};

/**
 * Called by calls that wait or progress, on the client.
 *
 * May submit, cancel, ask and release. It cannot wait, make progress, map or broadcast (-EDEADLK),
 * but calls that wait give what is there already: of tasks that have ended they return at once.
 */
typedef void (*mpifarm_callback)(struct mpifarm *farm, mpifarm_future future,
                                 const struct mpifarm_result *result, void *arg);

/** The rank of a task that may run anywhere. */
#define MPIFARM_ANY_RANK 0

/**
 * How to run a task; {0} is good for most.
 *
 * @tag           the submitter's own number, handed back with the result
 * @group         tasks of a group can be waited for and cancelled together; 0 for none
 * @priority      higher goes first; tasks of equal priority go in order of submission
 * @max_attempts  how often it is tried in all, 0 for what the farm's options say
 * @timeout_ns    longest run time of an attempt, 0 for none. Without isolation the
 *                function is only asked to stop, by mpifarm_should_stop(); one that
 *                does not ask may be DONE in spite of it
 * @after         n_after futures: it starts when all of them are done, and is
 *                SKIPPED when one of them is not. It is given their results, by
 *                mpifarm_predecessor(): they are kept for it, also when their futures are
 *                released, and copied to it when it is sent
 * @rank          the worker rank it must run on, MPIFARM_ANY_RANK for any
 * @delivery      how its end is heard of
 * @callback, @callback_arg   for MPIFARM_DELIVER_CALLBACK
 */
struct mpifarm_task_options {
    uint64_t tag;
    uint32_t group;
    int32_t priority;
    uint32_t max_attempts;
    int64_t timeout_ns;
    const mpifarm_future *after;
    size_t n_after;
    uint32_t rank;
    enum mpifarm_delivery delivery;
    mpifarm_callback callback;
    void *callback_arg;
};

/**
 * mpifarm_submit() - one task.
 *
 * Returns without waiting; tasks are sent off by this and the other client
 * calls. A queued task costs at most 128 bytes beside its input: 64, and 48 more if it has options
 * other than tag, group, QUEUE and NONE, and 64 if these are a callback. One that comes after
 * others costs some 250, and 16 for each after the first; a priority that no other task in the
 * queue has some 130 more, and such a group some 40.
 *
 * @function    number of a registered function
 * @input       size bytes for it, copied; aligned for any type where it arrives.
 *              NULL if size is 0
 * @options     NULL for the defaults
 * @ret_future  NULL submits it as MPIFARM_DELIVER_NONE, unless options say otherwise
 *
 * Returns 0; -ENOENT for an unknown function; -EINVAL for options that make no sense, no
 * input of a size above 0, and an array that no memory could hold; -ESTALE if a future of
 * after was released; -EHOSTUNREACH if no worker is left, or rank is none; -ENOMEM.
 */
MPIFARM_API int mpifarm_submit(struct mpifarm *farm, int function, const void *input, size_t size,
                               const struct mpifarm_task_options *options,
                               mpifarm_future *ret_future);

/** One task of an array; fields as the parameters of mpifarm_submit(). */
struct mpifarm_task {
    int function;
    const void *input;
    size_t size;
    const struct mpifarm_task_options *options;
};

/**
 * mpifarm_submit_many() - all tasks of an array, or none.
 *
 * @ret_futures  n of them; NULL as for mpifarm_submit()
 *
 * Returns as mpifarm_submit().
 */
MPIFARM_API int mpifarm_submit_many(struct mpifarm *farm, const struct mpifarm_task *tasks,
                                    size_t n, mpifarm_future *ret_futures);

/**
 * mpifarm_submit_array() - one function over an array of inputs.
 *
 * Without futures, and with MPIFARM_DELIVER_NONE, the array is kept as one: it
 * costs its inputs alone, however many tasks it is, and some ten instructions of
 * the client for each. They are tasks all the same: counted, tried again,
 * cancelled with their group.
 *
 * @inputs       n elements of input_size bytes each, copied
 * @options      for each; a tag of T gives element i the tag T + i
 * @ret_futures  n of them; NULL as for mpifarm_submit()
 *
 * Returns as mpifarm_submit(), for all or none.
 */
MPIFARM_API int mpifarm_submit_array(struct mpifarm *farm, int function, const void *inputs,
                                     size_t input_size, size_t n,
                                     const struct mpifarm_task_options *options,
                                     mpifarm_future *ret_futures);

/**
 * mpifarm_map() - results[i] = function(inputs[i]), and wait for all.
 *
 * How many elements travel together follows from how long they take. The map
 * is kept as one, as such an array is, and nothing is copied but to and from
 * messages: the quickest way there is.
 *
 * @inputs   n elements of input_size bytes each; borrowed, like results, until it returns
 * @results  room for n elements of result_size bytes each; what is shorter is
 *           filled up with zeros, what is longer fails its task, which is not tried again
 *           then, as another try would give as much. Elements whose task was not done are
 *           left as they were. NULL if result_size is 0
 * @options  delivery and tag are not used
 *
 * Returns how many tasks were not done, at most INT_MAX; or as mpifarm_submit() and mpifarm_wait().
 */
MPIFARM_API int mpifarm_map(struct mpifarm *farm, int function, const void *inputs,
                            size_t input_size, size_t n, void *results, size_t result_size,
                            const struct mpifarm_task_options *options);

/* --- waiting --- */

/**
 * mpifarm_progress() - do what there is to do, without waiting.
 *
 * For clients with an event loop of their own. Messages of MPI cannot wake
 * anybody, so call it often enough: *ret_next_ns, if not NULL, gets the time in
 * which it should be called again (0: at once; never more than 4 ms while tasks run).
 *
 * Returns how many tasks ended (at most INT_MAX) since the client last waited, tested or made
 * progress, those among them that ended while it submitted or cancelled others; -EHOSTUNREACH
 * when tasks are left and no worker is; -EDEADLK in a callback.
 */
MPIFARM_API int mpifarm_progress(struct mpifarm *farm, int64_t *ret_next_ns);

/**
 * mpifarm_test() - whether a task has ended. Makes progress.
 *
 * Returns 1 if it has, 0 if not; -ESTALE for a released future; -EHOSTUNREACH when no worker is
 * left.
 */
MPIFARM_API int mpifarm_test(struct mpifarm *farm, mpifarm_future future);

/**
 * mpifarm_wait() - wait until a task has ended.
 *
 * Returns 0; -ETIMEDOUT after timeout_ns; -ESTALE for a released future, as that of a task
 * whose callback was called; in a callback -EDEADLK if it has not ended; -EHOSTUNREACH when it
 * cannot end as no worker is left.
 */
MPIFARM_API int mpifarm_wait(struct mpifarm *farm, mpifarm_future future, int64_t timeout_ns);

/** Waits until one of n has ended; *ret_index is the first such. As mpifarm_wait(); -EINVAL for n
 * 0. */
MPIFARM_API int mpifarm_wait_any(struct mpifarm *farm, const mpifarm_future *futures, size_t n,
                                 int64_t timeout_ns, size_t *ret_index);

/** Waits until all of n have ended. As mpifarm_wait(). */
MPIFARM_API int mpifarm_wait_all(struct mpifarm *farm, const mpifarm_future *futures, size_t n,
                                 int64_t timeout_ns);

/** Waits until no task of the group is unfinished, child tasks included. As mpifarm_wait(). */
MPIFARM_API int mpifarm_wait_group(struct mpifarm *farm, uint32_t group, int64_t timeout_ns);

/** Waits until no task at all is unfinished. As mpifarm_wait(). */
MPIFARM_API int mpifarm_drain(struct mpifarm *farm, int64_t timeout_ns);

/**
 * mpifarm_next() - the next task of the completion queue.
 *
 * Returns 0 with a future, the caller's to release; -ENOENT when the queue is
 * empty and no task is unfinished; else as mpifarm_wait().
 */
MPIFARM_API int mpifarm_next(struct mpifarm *farm, int64_t timeout_ns, mpifarm_future *ret_future);

/**
 * mpifarm_result() - how a task ended.
 *
 * @ret_result  filled in; its pointers are borrowed until the future is released
 *
 * Returns 0, -EAGAIN if it has not ended (status PENDING), or -ESTALE.
 */
MPIFARM_API int mpifarm_result(struct mpifarm *farm, mpifarm_future future,
                               struct mpifarm_result *ret_result);

/**
 * mpifarm_release() - give a future back; its result is freed, once all tasks that come after
 * have it or have ended.
 *
 * A task that has not ended goes on, as MPIFARM_DELIVER_NONE. Returns 0 or -ESTALE.
 */
MPIFARM_API int mpifarm_release(struct mpifarm *farm, mpifarm_future future);

/**
 * mpifarm_cancel() - withdraw a task.
 *
 * What has not started will not; a running function is asked to stop, by
 * mpifarm_should_stop(), and with isolation ended after a second. Whatever it
 * still gives is dropped: a task that was not DONE before is CANCELLED, at once.
 *
 * Returns 0, 1 if it had ended already, or -ESTALE.
 */
MPIFARM_API int mpifarm_cancel(struct mpifarm *farm, mpifarm_future future);

/** Withdraws every unfinished task of a group, in a walk over all tasks. Returns how many, at most
 * INT_MAX. */
MPIFARM_API int mpifarm_cancel_group(struct mpifarm *farm, uint32_t group);

/**
 * What the farm has and did.
 *
 * @n_submitted   tasks, child tasks included
 * @n_waiting     for other tasks
 * @n_queued      not sent to a worker
 * @n_sent        with a worker
 * @n_done, @n_failed, @n_cancelled, @n_skipped   ended
 * @n_retried     attempts that ended in another attempt
 * @n_stale       reports of workers about attempts given up
 * @n_workers     ranks that work
 * @n_slots       tasks that can run at once
 * @busy_ns       time spent in functions, of all workers
 */
struct mpifarm_counts {
    uint64_t n_submitted;
    uint64_t n_waiting;
    uint64_t n_queued;
    uint64_t n_sent;
    uint64_t n_done;
    uint64_t n_failed;
    uint64_t n_cancelled;
    uint64_t n_skipped;
    uint64_t n_retried;
    uint64_t n_stale;
    uint32_t n_workers;
    uint32_t n_slots;
    int64_t busy_ns;
};

/** Counts. Returns 0. */
MPIFARM_API int mpifarm_count(const struct mpifarm *farm, struct mpifarm_counts *ret_counts);

/* --- data for all --- */

/**
 * mpifarm_broadcast() - give every worker a block of bytes to read.
 *
 * Kept once per node, in memory (a memfd) that its ranks and their executor processes share, and
 * that has no name in a file system: the system frees it when it is dropped, or with the last of
 * these processes, also if they are killed. Of the ranks of a node in different containers each has
 * its own. Tasks submitted from now on see it; it is there before they start.
 *
 * It takes a file descriptor of the rank that keeps it, and with isolation one of each rank.
 *
 * Returns 0 with the block; -EINVAL for size 0 or no data; -ENOMEM, -EMFILE or another error
 * of the system when some node cannot keep it; -EIO when a rank was lost meanwhile;
 * -EHOSTUNREACH when no worker is left; -EDEADLK in a callback.
 */
MPIFARM_API int mpifarm_broadcast(struct mpifarm *farm, const void *data, size_t size,
                                  mpifarm_block *ret_block);

/** Frees a block everywhere; tasks that use it have ended by now. Returns 0 or -ENOENT. */
MPIFARM_API int mpifarm_drop_block(struct mpifarm *farm, mpifarm_block block);

/* --- in a task function --- */

/** The task's input and its size; aligned for any type; NULL when it is empty. */
MPIFARM_API const void *mpifarm_input(const struct mpifarm_context *context, size_t *ret_size);

/** How many tasks this one came after: n_after of its options. In a module of mpifarm run it is 0:
 * there {out:ID} in the task file gives the path of a file. */
MPIFARM_API size_t mpifarm_predecessors(const struct mpifarm_context *context);

/**
 * mpifarm_predecessor() - the result of a task that this one came after.
 *
 * @i         from 0, in the order of the options' after
 * @ret_size  its size; may be NULL
 *
 * Aligned for any type, and valid while the function runs. Returns NULL when it is empty, or
 * there are not so many.
 */
MPIFARM_API const void *mpifarm_predecessor(const struct mpifarm_context *context, size_t i,
                                            size_t *ret_size);

/** Appends to the task's result. Returns 0; -EINVAL for no data of a size above 0, which appends
 * nothing; or -ENOMEM, which also fails the task. */
MPIFARM_API int mpifarm_write(struct mpifarm_context *context, const void *data, size_t size);

/**
 * mpifarm_reserve() - room for size more bytes of result, to be filled in place.
 *
 * Valid until the next call that writes. Returns NULL when there is no memory,
 * which also fails the task.
 */
MPIFARM_API void *mpifarm_reserve(struct mpifarm_context *context, size_t size);

/**
 * mpifarm_fail() - say why the task fails; at most 4,000 bytes are kept.
 *
 * Returns `code`, or 1 if that is 0: "return mpifarm_fail(context, 3, ...)".
 */
MPIFARM_API int mpifarm_fail(struct mpifarm_context *context, int code, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/** The submitter's number of the task; which attempt this is, from 1; the rank that runs it. */
MPIFARM_API uint64_t mpifarm_task_tag(const struct mpifarm_context *context);
MPIFARM_API uint32_t mpifarm_task_attempt(const struct mpifarm_context *context);
MPIFARM_API uint32_t mpifarm_task_rank(const struct mpifarm_context *context);

/** A number that no other task of this farm has. */
MPIFARM_API uint64_t mpifarm_task_id(const struct mpifarm_context *context);

/** The number of the task's function: what a task that submits its like gives mpifarm_spawn(). */
MPIFARM_API int mpifarm_task_function(const struct mpifarm_context *context);

/** Whether the task was cancelled or is over its time: return soon. Cheap: call it often. */
MPIFARM_API bool mpifarm_should_stop(struct mpifarm_context *context);

/**
 * mpifarm_spawn() - submit a child task.
 *
 * It is submitted when this attempt succeeds, so a retry does not double it.
 *
 * @options  delivery is QUEUE, or else NONE, as there is nobody here to hold a future; group 0 is
 *           the parent's group; after is not supported; NULL for the defaults
 *
 * Returns 0, -ENOENT for an unknown function, -EINVAL for options that make no sense, -EMSGSIZE
 * when the inputs of a task's children would come to more than 1 GiB, or -ENOMEM, which also fails
 * the task. In a module of mpifarm run no function is known: -ENOENT.
 */
MPIFARM_API int mpifarm_spawn(struct mpifarm_context *context, int function, const void *input,
                              size_t size, const struct mpifarm_task_options *options);

/**
 * mpifarm_checkpoint() - save bytes for the next attempt, and let others have the slot.
 *
 * They replace what was saved before, and are sent to rank 0 without waiting for it; while it has
 * not taken in what was sent before, only the last of an attempt is kept, which is sent after that,
 * or when the attempt fails. Without isolation large ones go out during this call,
 * mpifarm_should_stop() and when the function has returned: what had not when its rank died is
 * lost. Of a module of mpifarm run they are sent now and then, and when the attempt fails.
 *
 * Under a policy of mpifarm run that preempts, the call of an isolated function returns when its
 * task has a slot again: others have had it meanwhile. The function goes on in its process, and the
 * time until then counts for no limit. Threads that it has started run on. One that has nothing to
 * save calls it with NULL, 0.
 *
 * Returns 0, -EMSGSIZE for more than 1 GiB, in a module of mpifarm run 1 MiB, -EINVAL for no data
 * of a size above 0, or -ENOMEM.
 */
MPIFARM_API int mpifarm_checkpoint(struct mpifarm_context *context, const void *data, size_t size);

/** What an earlier attempt saved last, and its size; NULL if it saved nothing. */
MPIFARM_API const void *mpifarm_restored(const struct mpifarm_context *context, size_t *ret_size);

/** The bytes of a block; NULL for one that is not there. Valid while the function runs. */
MPIFARM_API const void *mpifarm_block_data(const struct mpifarm_context *context,
                                           mpifarm_block block, size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif
