/* The test program: see t_api.h. Rank 0 runs the scenarios, the others serve. */
#include "t_api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const struct {
    const char *name;
    const struct t_scenario *scenarios;
} areas[] = {
    {"placing", t_placing},   {"submitting", t_submitting},   {"after", t_after},
    {"waiting", t_waiting},   {"results", t_results},         {"callbacks", t_callbacks},
    {"children", t_children}, {"cancelling", t_cancelling},   {"sizes", t_sizes},
    {"blocks", t_blocks},     {"million", t_million},         {"crashing", t_crashing},
    {"ranges", t_ranges},     {"checkpoints", t_checkpoints},
};

#define N_AREAS (sizeof(areas) / sizeof(areas[0]))

/* The scenario that runs. */
static const char *current = "the start";
static int n_run;

_Noreturn void t_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;

    printf("not ok %d - %s\n# %s:%d: ", n_run + 1, current, file, line);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\nBail out!\n");
    fflush(stdout);
    fprintf(stderr, "%s:%d: \"%s\" failed\n", file, line, current);
    /* Without an end in order: mpirun ends the other ranks. */
    _exit(1);
}

/* --- what scenarios share --- */

mpifarm_future t_submit_with(struct t_run *t, int function, const void *input, size_t size,
                             const struct mpifarm_task_options *options, const char *file, int line)
{
    mpifarm_future future = 0;
    int r = mpifarm_submit(t->farm, function, input, size, options, &future);

    if (r != 0 || future == 0)
        t_fail(file, line, "mpifarm_submit() is %d: %s", r, mpifarm_error_text(t->farm));
    return future;
}

struct mpifarm_result t_await_at(struct t_run *t, mpifarm_future future, const char *file, int line)
{
    struct mpifarm_result result;
    int r = mpifarm_wait(t->farm, future, T_LIMIT_NS);

    if (r == 0)
        r = mpifarm_result(t->farm, future, &result);
    if (r != 0)
        t_fail(file, line, "waiting for a task: %d: %s", r, mpifarm_error_text(t->farm));
    return result;
}

const void *t_done_at(struct t_run *t, mpifarm_future future, size_t size, const char *file,
                      int line)
{
    struct mpifarm_result result = t_await_at(t, future, file, line);

    if (result.status != MPIFARM_DONE || result.cause != MPIFARM_CAUSE_NONE || result.code != 0)
        t_fail(file, line, "a task has status %d, cause %d and code %d: %s", (int)result.status,
               (int)result.cause, result.code, result.message);
    if (result.size != size || (result.data == NULL) != (size == 0))
        t_fail(file, line, "a result has %zu bytes, not %zu", result.size, size);
    return result.data;
}

void t_release(struct t_run *t, mpifarm_future future)
{
    T_EQ(mpifarm_release(t->farm, future), 0);
}

struct mpifarm_counts t_counts(struct t_run *t)
{
    struct mpifarm_counts counts;

    T_EQ(mpifarm_count(t->farm, &counts), 0);
    return counts;
}

const char *t_path(struct t_run *t, const char *format, ...)
{
    static char paths[8][128];
    static unsigned next;
    char *path = paths[next++ % 8];
    int n = snprintf(path, sizeof(paths[0]), "%s/", t->dir);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(path + n, sizeof(paths[0]) - (size_t)n, format, arguments);
    va_end(arguments);
    return path;
}

void t_await_file(struct t_run *t, const char *path)
{
    int64_t limit_ns = t_now_ns() + T_LIMIT_NS;
    const struct timespec nap = {.tv_nsec = 100000};

    while (!t_is_file(path)) {
        T_CHECK(mpifarm_progress(t->farm, NULL) >= 0);
        if (t_now_ns() > limit_ns)
            t_fail(__FILE__, __LINE__, "%s does not appear", path);
        nanosleep(&nap, NULL);
    }
}

void t_gate_close(struct t_run *t, struct t_gate *gate, uint32_t rank)
{
    static unsigned n_gates;
    char started[160];

    snprintf(gate->path, sizeof(gate->path), "%s", t_path(t, "gate%u", n_gates++));
    snprintf(started, sizeof(started), "%s.started", gate->path);
    gate->future = t_submit(t, T_GATE, gate->path, strlen(gate->path), .rank = rank);
    t_await_file(t, started);
}

void t_gates_close(struct t_run *t, struct t_gate *gates)
{
    for (uint32_t i = 0; i < t->n_workers; i++)
        t_gate_close(t, &gates[i], t->size > 1 ? i + 1 : 0);
}

void t_gate_open(struct t_run *t, struct t_gate *gate)
{
    t_make_file(gate->path);
    t_done(t, gate->future, 0);
    t_release(t, gate->future);
}

/* --- the program --- */

static const char *missing_need(const struct t_run *t, unsigned needs)
{
    struct mpifarm_counts counts = {0};

    mpifarm_count(t->farm, &counts);
    if ((needs & T_NEEDS_CONCURRENCY) && t->is_inline)
        return "tasks run in the client's thread";
    if ((needs & T_NEEDS_RANKS) && t->size < 3)
        return "there is one worker";
    if ((needs & T_NEEDS_ISOLATION) && !t->is_isolated)
        return "no isolation";
    if ((needs & T_NEEDS_NO_ISOLATION) && t->is_isolated)
        return "isolation";
    if ((needs & T_NEEDS_LIMIT) && !t->is_limited)
        return "executors have no limit of memory";
    if ((needs & T_NEEDS_ONE_SLOT) && counts.n_slots != counts.n_workers)
        return "workers run several tasks at once";
    return NULL;
}

/* After each scenario nothing is left, and all tasks are accounted for. */
static void check_counts(struct t_run *t)
{
    struct mpifarm_counts counts;
    mpifarm_future future;

    T_EQ(mpifarm_drain(t->farm, T_LIMIT_NS), 0);
    T_EQ(mpifarm_next(t->farm, 0, &future), -ENOENT);
    counts = t_counts(t);
    T_EQ(counts.n_waiting + counts.n_queued + counts.n_sent, 0);
    T_EQ(counts.n_done + counts.n_failed + counts.n_cancelled + counts.n_skipped,
         counts.n_submitted);
    T_EQ(counts.n_workers, t->n_workers);
    T_CHECK(counts.n_slots >= counts.n_workers);
}

static void run_area(struct t_run *t, const struct t_scenario *scenarios)
{
    for (const struct t_scenario *scenario = scenarios; scenario->name; scenario++) {
        const char *missing = missing_need(t, scenario->needs);
        int64_t begin_ns = t_now_ns();

        current = scenario->name;
        if (!missing) {
            scenario->run(t);
            check_counts(t);
        }
        printf("ok %d - %s%s%s\n", ++n_run, scenario->name, missing ? " # SKIP " : "",
               missing ? missing : "");
        if (getenv("T_TIMES") && !missing)
            printf("# %lld ms\n", (long long)(t_now_ns() - begin_ns) / 1000000);
        fflush(stdout);
    }
}

static void run_all(struct t_run *t, char **names)
{
    char command[128];

    snprintf(t->dir, sizeof(t->dir), "/tmp/mpifarm-api.XXXXXX");
    T_CHECK(mkdtemp(t->dir) != NULL);
    for (; *names; names++) {
        size_t i = 0;

        while (i < N_AREAS && strcmp(areas[i].name, *names) != 0)
            i++;
        if (i == N_AREAS)
            t_fail(__FILE__, __LINE__, "there is no area %s", *names);
        run_area(t, areas[i].scenarios);
    }
    printf("1..%d\n", n_run);
    fflush(stdout);
    snprintf(command, sizeof(command), "rm -rf %s", t->dir);
    T_EQ(system(command), 0);
}

int main(int argc, char **argv)
{
    struct t_run t = {0};
    const char *variable = getenv("MPIFARM_ISOLATE");
    struct mpifarm_options options = {0};
    int r;

    if (getenv("T_LIMIT"))
        options.executor_memory_bytes = T_EXECUTOR_BYTES;
    t.is_limited = getenv("T_LIMIT") || getenv("MPIFARM_EXECUTOR_MEMORY");
    T_EQ(mpifarm_init(&argc, &argv, t.is_limited ? &options : NULL, &t.farm), 0);
    T_STR_EQ(mpifarm_error_text(t.farm), "");
    t_register_functions(t.farm);
    t.size = mpifarm_size(t.farm);
    t.n_workers = t.size > 1 ? t.size - 1 : 1;
    t.is_isolated = variable && strcmp(variable, "1") == 0;
    t.is_inline = t.size == 1 && !t.is_isolated;
    r = mpifarm_start(t.farm);
    if (r == MPIFARM_CLIENT)
        run_all(&t, argv + 1);
    else
        T_EQ(r, MPIFARM_SERVED);
    T_EQ(r, mpifarm_rank(t.farm) == 0 ? MPIFARM_CLIENT : MPIFARM_SERVED);
    T_EQ(mpifarm_finish(t.farm), 0);
    return 0;
}
