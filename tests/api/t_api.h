/*
 * A test program on libmpifarm. It runs scenarios on one farm, of any number of
 * ranks, and rank 0 reports each as a line of TAP; the first that fails is
 * reported with file and line, and ends the program.
 *
 *     [mpirun -n RANKS] api_program AREA...
 *
 *     t_api.c       the program, what scenarios share
 *     functions.c   the task functions
 *     the others    one area each: a table of scenarios
 */
#ifndef T_API_H
#define T_API_H

#include <mpifarm/mpifarm.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- checks --- */

/** What takes longer hangs. */
#define T_LIMIT_NS (INT64_C(100) * 1000000000)

/** Reports that the scenario failed, and ends the program. */
_Noreturn void t_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define T_CHECK(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            t_fail(__FILE__, __LINE__, "not so: %s", #condition);                                  \
    } while (0)

#define T_EQ(value, expected)                                                                      \
    do {                                                                                           \
        long long t_value = (long long)(value), t_expected = (long long)(expected);                \
                                                                                                   \
        if (t_value != t_expected)                                                                 \
            t_fail(__FILE__, __LINE__, "%s is %lld, not %lld", #value, t_value, t_expected);       \
    } while (0)

#define T_STR_EQ(value, expected)                                                                  \
    do {                                                                                           \
        const char *t_value = (value), *t_expected = (expected);                                   \
                                                                                                   \
        if (strcmp(t_value, t_expected) != 0)                                                      \
            t_fail(__FILE__, __LINE__, "%s is \"%s\", not \"%s\"", #value, t_value, t_expected);   \
    } while (0)

/** The call returns that error, and there is a sentence for it. */
#define T_ERROR(t, call, error)                                                                    \
    do {                                                                                           \
        T_EQ(call, error);                                                                         \
        T_CHECK(mpifarm_error_text((t)->farm)[0] != '\0');                                         \
    } while (0)

/* --- task functions: functions.c --- */

/** Numbers under which all ranks register them. */
enum t_function {
    T_NOTHING,  /* no result */
    T_SQUARE,   /* uint64_t: its square */
    T_ECHO,     /* the input, written in pieces */
    T_FILL,     /* struct t_fill: that many bytes, reserved */
    T_HASH,     /* uint64_t: t_hash() of the input */
    T_DESCRIBE, /* struct t_description of what it sees */
    T_FAIL,     /* struct t_failure: fails so */
    T_FLAKY,    /* uint32_t n: succeeds at the n-th attempt, with its number */
    T_SAVE,     /* struct t_saving: saves more in each attempt */
    T_WANDER,   /* uint32_t n: fails n - 1 times; the ranks of all attempts */
    T_GATE,  /* text path: PATH.started has its pid; waits for PATH; PATH.stopped if it is asked to
                stop */
    T_TOUCH, /* text path: makes the file */
    T_TIMES, /* int64_t duration: struct t_times of its run */
    T_UNTIL_OVER,  /* returns 7 when it should stop */
    T_TREE,        /* struct t_tree: spawns its children */
    T_SPAWN_MANY,  /* struct t_spawning: spawns so */
    T_SPAWN_WRONG, /* spawns what cannot be */
    T_SPAWN_ON,    /* spawns itself for ever, twice if the input is not empty */
    T_BLOCK,       /* uint32_t block: struct t_block_seen */
    T_CLIENT,      /* calls client functions: their results, then rank and size, int32_t each */
    T_NULLS,       /* int32_t: what context calls with NULL for bytes returned */
    T_RANDOM,      /* struct t_random_task */
    T_BEFORE,      /* uint32_t n, if that is all: fails n times; struct t_before_seen */
    T_CRASH,       /* a signal kills it in each attempt up to the uint32_t given, else in all */
    T_EXIT,        /* exit(int32_t) */
    T_HANG,        /* never returns, whatever it is asked */
    T_FLOOD, /* text path: PATH.started when it has begun; when PATH.away is there, saves often, and
                makes PATH.much if the rank needed much memory for that, and PATH; fails, and is
                done at the second attempt if it is given what was saved last */
    T_LEAK,  /* uint64_t n: leaks n bytes; how many were leaked in its process, a uint64_t */
    T_SWALLOW, /* takes memory, and never returns */
    T_N_FUNCTIONS,
};

/** Bytes of T_FILL: size of them, as t_pattern() makes from seed. */
struct t_fill {
    uint64_t size;
    uint64_t seed;
};

struct t_description {
    uint64_t tag, id;
    uint64_t input_size, restored_size;
    uint32_t attempt, rank;
    uint32_t n_inits;     /* how often the init hook ran where this task runs */
    uint32_t is_user_set; /* the function was given what it was registered with */
    uint32_t has_input, is_aligned, should_stop;
    int32_t pid;
};

/** @code returned; size bytes of message, all `letter`; or none if size is 0 */
struct t_failure {
    int32_t code;
    uint32_t size;
    char letter;
    bool also_writes;
};

/** Saves size bytes more than it was given, n times an attempt; succeeds at the last attempt. */
struct t_saving {
    uint32_t size, n, last;
};

struct t_times {
    int64_t begin_ns, end_ns;
};

struct t_tree {
    uint32_t depth, n_children;
    uint32_t delivery;
};

/** Children: n of T_SQUARE with tags from tag; fails n_failures times when it has spawned them. */
struct t_spawning {
    uint64_t tag;
    uint32_t n, n_failures;
    uint32_t delivery;
    uint32_t group;
};

/** What a task sees of a block: its bytes, and which memory they are in. */
struct t_block_seen {
    uint64_t size, hash, inode;
    uint32_t is_null;
};

/**
 * What a task sees of those that it came after: a hash over all their results.
 *
 * @n_unaligned  results that are not aligned for any type
 * @is_odd       there is one more than there should be, or an empty one that is not NULL
 */
struct t_before_seen {
    uint64_t n, n_bytes, hash, input_hash;
    uint32_t n_unaligned, is_odd, attempt, unused;
};

/** How many client calls T_CLIENT makes. */
#define T_N_CLIENT_CALLS 20

/** Spins, and gives size bytes back, the first of which are value squared. */
struct t_random_task {
    uint64_t value;
    uint32_t size, spin_ns;
};

/** T_FLOOD: checkpoints.c. */
int t_flood(struct mpifarm_context *context, void *arg);

/** Registers all of them, and the hooks; on every rank. */
void t_register_functions(struct mpifarm *farm);

/** n bytes made from seed. */
void t_pattern(void *bytes, size_t n, uint64_t seed);

uint64_t t_hash(const void *bytes, size_t n);

int64_t t_now_ns(void);

/* --- scenarios --- */

/** The limit of executors, where there is one. */
#define T_EXECUTOR_BYTES (INT64_C(64) << 20)

/**
 * @size         ranks
 * @n_workers    ranks that work
 * @is_inline    tasks run in this thread, inside of calls that wait
 * @is_isolated  they run in executor processes
 * @is_limited   which may get T_EXECUTOR_BYTES
 * @dir          a directory for files, the program's own
 */
struct t_run {
    struct mpifarm *farm;
    uint32_t size, n_workers;
    bool is_inline, is_isolated, is_limited;
    char dir[64];
};

/** What a scenario needs, else it is skipped. */
enum t_need {
    T_NEEDS_NOTHING = 0,
    T_NEEDS_CONCURRENCY = 1, /* the client goes on while tasks run */
    T_NEEDS_RANKS = 2,       /* at least two worker ranks */
    T_NEEDS_ISOLATION = 4,
    T_NEEDS_NO_ISOLATION = 8,
    T_NEEDS_ONE_SLOT = 16, /* each worker runs one task at a time */
    T_NEEDS_LIMIT = 32,    /* executors have a limit of memory */
};

/** One thing that is so, as a sentence. */
struct t_scenario {
    const char *name;
    void (*run)(struct t_run *t);
    unsigned needs;
};

/** Scenarios up to one without a name. */
extern const struct t_scenario t_placing[], t_submitting[], t_waiting[], t_results[], t_callbacks[],
    t_after[], t_children[], t_cancelling[], t_sizes[], t_blocks[], t_million[], t_crashing[],
    t_ranges[], t_checkpoints[];

/* --- what scenarios share --- */

/** Submits; any error fails the scenario. */
#define t_submit(t, function, input, size, ...)                                                    \
    t_submit_with(t, function, input, size, &(struct mpifarm_task_options){__VA_ARGS__}, __FILE__, \
                  __LINE__)
mpifarm_future t_submit_with(struct t_run *t, int function, const void *input, size_t size,
                             const struct mpifarm_task_options *options, const char *file,
                             int line);

/** Waits for the task's end and returns its result, which is valid until it is released. */
#define t_await(t, future) t_await_at(t, future, __FILE__, __LINE__)
struct mpifarm_result t_await_at(struct t_run *t, mpifarm_future future, const char *file,
                                 int line);

/** The same, of a task that has to be DONE with that many bytes. */
#define t_done(t, future, size) t_done_at(t, future, size, __FILE__, __LINE__)
const void *t_done_at(struct t_run *t, mpifarm_future future, size_t size, const char *file,
                      int line);

void t_release(struct t_run *t, mpifarm_future future);

struct mpifarm_counts t_counts(struct t_run *t);

/** A path in the run's directory; valid for the next 8 calls. */
const char *t_path(struct t_run *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool t_is_file(const char *path);
void t_make_file(const char *path);

/** Makes progress until the file is there. */
void t_await_file(struct t_run *t, const char *path);

/** A task that holds up the worker rank (0: any) until its gate is opened, and has begun. */
struct t_gate {
    char path[128];
    mpifarm_future future;
};

void t_gate_close(struct t_run *t, struct t_gate *gate, uint32_t rank);

/** Closes gates on all workers; there is room for t->n_workers. */
void t_gates_close(struct t_run *t, struct t_gate *gates);

/** Lets the task end and waits for it. */
void t_gate_open(struct t_run *t, struct t_gate *gate);

#endif
