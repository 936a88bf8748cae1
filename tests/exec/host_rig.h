/*
 * A rank with executor processes, for tests: give it units, wait for what it says.
 *
 * The rank waits in its loop for as long as the caller lets it, so a bell that
 * is not rung hangs a test, which fails after a minute without news.
 */
#ifndef T_EXEC_HOST_RIG_H
#define T_EXEC_HOST_RIG_H

#include "exec/caller.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_MAX_TASKS 100000
#define HOST_MAX_UNITS 20000

/** What the functions do with their input. */
enum host_function {
    HOST_NULL,     /* nothing */
    HOST_ECHO,     /* write it */
    HOST_DOUBLE,   /* write twice the uint64_t that it is */
    HOST_FAIL,     /* fail with code 3, and with it as the message */
    HOST_PID,      /* write the number of the process */
    HOST_GROW,     /* write as many bytes as the uint64_t that it is says, each its offset; then
                      set the int at `user`, if any */
    HOST_SUM,      /* write the sum of its bytes, a uint64_t */
    HOST_CHILD,    /* two children: HOST_ECHO with it, HOST_NULL */
    HOST_SAVE,     /* checkpoint it, and write what was restored */
    HOST_SEGV,     /* dereference NULL */
    HOST_ABORT,    /* abort() */
    HOST_EXIT,     /* exit(3) */
    HOST_QUIT,     /* _exit(4) */
    HOST_HANG,     /* checkpoint the number of the process, and run until it is killed */
    HOST_OBEY,     /* checkpoint as well, and run until it should stop; fail with code 7 */
    HOST_FORK,     /* start a child that sleeps, checkpoint its number, and crash */
    HOST_SCRIBBLE, /* write nonsense over the shared memory, and hang */
    HOST_SCRAMBLE, /* write nonsense there, the how many-th it is, and be killed */
    HOST_GATE,     /* checkpoint as HOST_HANG, and run until the int at `user` is set */
    HOST_WAIT,     /* run until the int at `user` is set */
    HOST_STEPS,    /* checkpoint so again and again, until the int at `user` is set; then write it,
                      or if it should stop, fail with code 7 */
    HOST_BLOCK,    /* write block 5 */
    HOST_HOOK,     /* write what the init hook has left */
    HOST_CHILDREN, /* as many children as the uint64_t that it is says */
    HOST_FORGE,    /* send it as if it were entries, and hang */
    HOST_POKE,     /* add its two int64_t to n_begun and n_returned, and hang */
    HOST_SIGNALS,  /* write two chars: whether SIGPIPE is ignored, SIGUSR2 blocked */
    HOST_LEAK,     /* leak as many bytes as the uint64_t that it is says, and write 1 KiB that begin
                      with how many were leaked in the process, a uint64_t */
    HOST_SWALLOW,  /* the same, and then run until it is killed */
    HOST_HOLD,     /* the same as HOST_LEAK, and then as HOST_GATE */
    HOST_N_FUNCTIONS,
};

/** What became of a task: its RESULT entry, and what came with it. */
struct host_task {
    uint32_t n_results;
    enum mpifarm_cause cause;
    int code;
    uint8_t *data;
    size_t size;
    uint32_t n_children;
    uint8_t *saved;
    size_t saved_size;
};

/** A unit, whose calls are the tasks from first_task on. */
struct host_unit {
    uint64_t first_task;
    uint32_t n_calls;
    uint32_t n_reported;
    bool is_over;
    bool is_returned;
    unsigned n_yielded;
    int64_t ran_ns; /* when it yielded */
    int64_t duration_ns, idle_ns;
};

struct host_rig {
    struct mf_functions functions;
    struct mf_loop *loop;
    struct mf_caller *caller;
    pid_t nursery_pid;
    struct host_task tasks[HOST_MAX_TASKS];
    struct host_unit units[HOST_MAX_UNITS];
    uint64_t n_tasks;
    uint64_t n_units;
    uint64_t n_units_over;
    struct mf_buffer calls;
    uint32_t n_calls;
    uint8_t *larges[16];
    size_t large_sizes[16];
    uint64_t large_tasks[16];
    uint32_t n_larges;
    uint64_t n_heard; /* events */
    size_t entries_bytes;
    unsigned n_broken;
    struct mf_error broken;
    bool naps;
    int64_t still_ns;         /* the rank's time, if it does not go on; else 0 */
    int large_error;          /* what taking large inputs returns, if not 0 */
    bool stops_at_checkpoint; /* the caller is stopped when it tells of one */
};

/** Options of a rig; {0} is one unpinned executor and no hooks. */
struct host_options {
    uint32_t n_executors;
    int (*init)(struct mpifarm *farm, void *user);
    void (*finish)(struct mpifarm *farm, void *user);
    void *user;
    uint32_t *cpu;
    uint32_t *cpus;        /* one for each executor */
    int begin_result;      /* what begin() is to return */
    bool naps;             /* the rank looks every 4 ms, as under MPI */
    uint64_t memory_bytes; /* of each executor */
    bool stands_still;     /* the rank's time does not go on: it ends nothing because of time */
};

/** The memory that an executor shares with its rank, as any wild pointer would find it. */
struct mf_host_memory *host_find_memory(void);

struct host_rig *host_rig_create(struct host_options options);
void host_rig_destroy(struct host_rig *rig);

/** Adds a call to the next unit; inputs above the limit travel as large ones. Returns its task. */
uint64_t host_call(struct host_rig *rig, enum host_function function, const void *input,
                   size_t size);

/** The same with a time limit, and what an earlier try saved (text). */
uint64_t host_call_with(struct host_rig *rig, enum host_function function, const void *input,
                        size_t size, int64_t timeout_ns, const char *restored);

/** Adds a stretch of n calls, alone in its unit, with an input of `size` bytes each; returns the
 * first task. */
uint64_t host_stretch(struct host_rig *rig, enum host_function function, const void *inputs,
                      size_t size, uint32_t n);

/** Starts the unit of the calls added; returns its number. */
uint64_t host_start(struct host_rig *rig);

/** One turn, and a wait if that found nothing; fails the test after a minute without any news. */
void host_turn(struct host_rig *rig);

/** Lets it turn until the unit is over, or until all are; returns the unit. */
struct host_unit *host_wait(struct host_rig *rig, uint64_t unit);
void host_wait_all(struct host_rig *rig);

/** Runs one call by itself. */
struct host_task *host_run(struct host_rig *rig, enum host_function function, const void *input,
                           size_t size);

/** Turns until one of the first n tasks has saved something. */
void host_wait_saved(struct host_rig *rig, uint64_t n_tasks);

/** Lets it turn until the task has saved something; returns that as a process number. */
pid_t host_wait_pid(struct host_rig *rig, uint64_t task);

/** Whether a task ended so, with a message. */
bool host_ended(const struct host_task *task, enum mpifarm_cause cause, int code,
                const char *message);

#endif
