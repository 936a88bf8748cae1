/*
 * Programs that use the library wrongly, or to its limits: one each, named by
 * the argument. They print what the calls returned; test_bad_use.c looks at it.
 *
 *     [mpirun -n RANKS] bad_use NAME [PATH]
 */
#include <mpifarm/mpifarm.h>

#include <errno.h>
#include <inttypes.h>
#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The last argument: a file that functions write to. */
static const char *path = "";

/* One line for each call, as several ranks write at the same time. */
static int say(struct mpifarm *farm, const char *what, int r)
{
    char line[1500];
    int n = snprintf(line, sizeof(line), "rank %u: %s %d: %s\n", farm ? mpifarm_rank(farm) : 0,
                     what, r, farm ? mpifarm_error_text(farm) : "");

    (void)!write(STDOUT_FILENO, line, (size_t)n);
    return r;
}

static void append_line(const char *text)
{
    FILE *file = fopen(path, "a");

    if (!file)
        abort();
    fprintf(file, "%s\n", text);
    fclose(file);
}

static int nothing(struct mpifarm_context *context, void *user)
{
    return 0;
}

static int flaky(struct mpifarm_context *context, void *user)
{
    return mpifarm_task_attempt(context) < 3;
}

static int sleeps(struct mpifarm_context *context, void *user)
{
    usleep(300000);
    return 0;
}

static int never_returns(struct mpifarm_context *context, void *user)
{
    append_line("started");
    while (pause() < 0)
        ;
    return 0;
}

static struct mpifarm *make(const struct mpifarm_options *options)
{
    struct mpifarm *farm;
    int r = mpifarm_init(NULL, NULL, options, &farm);

    if (r < 0) {
        printf("mpifarm_init %d\n", r);
        exit(1);
    }
    return farm;
}

/* A farm with one function, started; ranks other than 0 end here. */
static struct mpifarm *start(const struct mpifarm_options *options, const char *name,
                             mpifarm_function function)
{
    struct mpifarm *farm = make(options);

    if (mpifarm_register(farm, name, function, NULL) != 0)
        exit(1);
    if (mpifarm_start(farm) != MPIFARM_CLIENT)
        exit(mpifarm_finish(farm) < 0);
    return farm;
}

static void await_line(struct mpifarm *farm)
{
    while (access(path, F_OK) < 0)
        mpifarm_progress(farm, NULL);
}

/* --- registering --- */

static int registering(void)
{
    static char name[300];
    struct mpifarm *farm = make(NULL);

    memset(name, 'n', 256);
    say(farm, "no function", mpifarm_register(farm, "a", NULL, NULL));
    say(farm, "no name", mpifarm_register(farm, NULL, nothing, NULL));
    say(farm, "empty name", mpifarm_register(farm, "", nothing, NULL));
    say(farm, "long name", mpifarm_register(farm, name, nothing, NULL));
    name[255] = '\0';
    say(farm, "longest name", mpifarm_register(farm, name, nothing, NULL));
    say(farm, "taken name", mpifarm_register(farm, name, nothing, NULL));
    say(farm, "lookup", mpifarm_lookup(farm, name));
    say(farm, "lookup of none", mpifarm_lookup(farm, "none"));
    return mpifarm_finish(farm);
}

/* Rank 1 registers the names in the last argument. */
static int differing(void)
{
    struct mpifarm *farm = make(NULL);
    char list[256];
    int r;

    snprintf(list, sizeof(list), "%s", mpifarm_rank(farm) == 1 ? path : "one two");
    for (char *name = strtok(list, " "); name; name = strtok(NULL, " "))
        mpifarm_register(farm, name, nothing, NULL);
    r = say(farm, "start", mpifarm_start(farm));
    /* All know it by then. */
    MPI_Barrier(MPI_COMM_WORLD);
    mpifarm_finish(farm);
    return r < 0;
}

/* --- order of calls --- */

static void try_client_calls(struct mpifarm *farm)
{
    const struct mpifarm_task task = {0};
    mpifarm_future future = 1;
    struct mpifarm_result result;
    struct mpifarm_counts counts;
    mpifarm_block block;
    size_t index;

    say(farm, "submit", mpifarm_submit(farm, 0, NULL, 0, NULL, NULL));
    say(farm, "submit_many", mpifarm_submit_many(farm, &task, 1, NULL));
    say(farm, "submit_array", mpifarm_submit_array(farm, 0, NULL, 0, 1, NULL, NULL));
    say(farm, "map", mpifarm_map(farm, 0, NULL, 0, 0, NULL, 0, NULL));
    say(farm, "progress", mpifarm_progress(farm, NULL));
    say(farm, "test", mpifarm_test(farm, future));
    say(farm, "wait", mpifarm_wait(farm, future, 0));
    say(farm, "wait_any", mpifarm_wait_any(farm, &future, 1, 0, &index));
    say(farm, "wait_all", mpifarm_wait_all(farm, &future, 1, 0));
    say(farm, "wait_group", mpifarm_wait_group(farm, 1, 0));
    say(farm, "drain", mpifarm_drain(farm, 0));
    say(farm, "next", mpifarm_next(farm, 0, &future));
    say(farm, "result", mpifarm_result(farm, future, &result));
    say(farm, "release", mpifarm_release(farm, future));
    say(farm, "cancel", mpifarm_cancel(farm, future));
    say(farm, "cancel_group", mpifarm_cancel_group(farm, 1));
    say(farm, "broadcast", mpifarm_broadcast(farm, "x", 1, &block));
    say(farm, "drop_block", mpifarm_drop_block(farm, 1));
    say(farm, "count", mpifarm_count(farm, &counts));
}

static int before_start(void)
{
    struct mpifarm *farm = make(NULL);

    try_client_calls(farm);
    return mpifarm_finish(farm);
}

/* As functions in executor processes see a pointer that the program has set after the start. */
static int without_a_farm(void)
{
    int r = mpifarm_finish(make(NULL));

    try_client_calls(NULL);
    say(NULL, "lookup", mpifarm_lookup(NULL, "nothing"));
    say(NULL, "register", mpifarm_register(NULL, "nothing", nothing, NULL));
    say(NULL, "hooks", mpifarm_hooks(NULL, NULL, NULL, NULL));
    say(NULL, "start", mpifarm_start(NULL));
    printf("rank %u of %u: %s\n", mpifarm_rank(NULL), mpifarm_size(NULL), mpifarm_error_text(NULL));
    return r;
}

/* The worker ranks, once they have served. */
static int on_workers(void)
{
    struct mpifarm *farm = make(NULL);

    mpifarm_register(farm, "nothing", nothing, NULL);
    if (mpifarm_start(farm) == MPIFARM_SERVED)
        try_client_calls(farm);
    return mpifarm_finish(farm);
}

static int after_start(void)
{
    struct mpifarm *farm = make(NULL);

    mpifarm_register(farm, "nothing", nothing, NULL);
    mpifarm_start(farm);
    say(farm, "register", mpifarm_register(farm, "late", nothing, NULL));
    say(farm, "hooks", mpifarm_hooks(farm, NULL, NULL, NULL));
    say(farm, "start", mpifarm_start(farm));
    return mpifarm_finish(farm);
}

static int n_forks;

static void count_fork(void)
{
    n_forks++;
}

static int init_after_mpi(void)
{
    struct mpifarm *farm = NULL;
    int r;

    MPI_Init(NULL, NULL);
    pthread_atfork(count_fork, NULL, NULL);
    r = mpifarm_init(NULL, NULL, NULL, &farm);
    say(NULL, farm ? "init made a farm" : "init", r);
    say(NULL, "forks", n_forks);
    MPI_Finalize();
    return r != -EALREADY;
}

static int init_twice(void)
{
    struct mpifarm *first = make(NULL), *second = NULL, *third = NULL;
    int r;

    say(first, "second init", mpifarm_init(NULL, NULL, NULL, &second));
    r = mpifarm_finish(first);
    say(NULL, "init after finish", mpifarm_init(NULL, NULL, NULL, &third));
    return r < 0 || mpifarm_finish(second) < 0 || mpifarm_finish(third) < 0;
}

static int wrong_options(void)
{
    const struct mpifarm_options wrong[] = {{.isolation = (enum mpifarm_isolation)9},
                                            {.spin_ns = -1},
                                            {.executor_memory_bytes = -1},
                                            {.executor_memory_bytes = 64},
                                            {.n_executors = 4097},
                                            {.n_executors = UINT32_MAX}};
    struct mpifarm *farm = NULL;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        say(NULL, "init", mpifarm_init(NULL, NULL, &wrong[i], &farm));
    setenv("MPIFARM_EXECUTOR_MEMORY", "much", 1);
    say(NULL, "init", mpifarm_init(NULL, NULL, NULL, &farm));
    setenv("MPIFARM_EXECUTOR_MEMORY", "64", 1);
    say(NULL, "init", mpifarm_init(NULL, NULL, NULL, &farm));
    unsetenv("MPIFARM_EXECUTOR_MEMORY");
    say(NULL, "init to nowhere", mpifarm_init(NULL, NULL, NULL, NULL));
    say(NULL, "finish of none", mpifarm_finish(NULL));
    if (farm)
        return 1;
    /* What is right can still be done. */
    return say(NULL, "right", mpifarm_finish(make(NULL)));
}

/* --- hooks --- */

static int refuse_on_1(struct mpifarm *farm, void *user)
{
    return mpifarm_rank(farm) == 1;
}

static int refuse(struct mpifarm *farm, void *user)
{
    return -7;
}

static int hook_refuses(bool everywhere, bool is_quiet)
{
    const struct mpifarm_options options = {.quiet = is_quiet};
    struct mpifarm *farm = make(&options);
    struct mpifarm_counts counts;
    int n_looks = 10000;
    uint32_t n_left;
    int r;

    mpifarm_register(farm, "nothing", nothing, NULL);
    mpifarm_hooks(farm, everywhere ? refuse : refuse_on_1, NULL, NULL);
    if (mpifarm_start(farm) != MPIFARM_CLIENT)
        return mpifarm_finish(farm);
    r = mpifarm_submit_array(farm, 0, NULL, 0, 100, NULL, NULL);
    if (r == 0)
        r = mpifarm_drain(farm, MPIFARM_FOREVER);
    say(farm, "drain", r);
    if (everywhere) {
        say(farm, "progress", mpifarm_progress(farm, NULL));
        say(farm, "submit", mpifarm_submit(farm, 0, NULL, 0, NULL, NULL));
        say(farm, "broadcast", mpifarm_broadcast(farm, "x", 1, &(mpifarm_block){0}));
    }
    n_left = everywhere ? 0 : mpifarm_size(farm) - 2;
    /* Who has nothing to do hears of the refusal all the same. */
    do {
        mpifarm_progress(farm, NULL);
        mpifarm_count(farm, &counts);
        usleep(10000);
    } while (counts.n_workers > n_left && --n_looks > 0);
    printf("done %" PRIu64 " workers %u slots %u\n", counts.n_done, counts.n_workers,
           counts.n_slots);
    return mpifarm_finish(farm);
}

static int note_init(struct mpifarm *farm, void *user)
{
    mpifarm_future future;

    append_line(user == &path ? "init" : "init of another");
    say(farm, "submit in a hook", mpifarm_submit(farm, 0, NULL, 0, NULL, &future));
    return 0;
}

static void note_finish(struct mpifarm *farm, void *user)
{
    append_line(user == &path ? "finish" : "finish of another");
}

static int hooks(void)
{
    struct mpifarm *farm = make(NULL);

    mpifarm_register(farm, "nothing", nothing, NULL);
    mpifarm_hooks(farm, note_init, note_finish, &path);
    if (mpifarm_start(farm) == MPIFARM_CLIENT) {
        mpifarm_submit_array(farm, 0, NULL, 0, 1000, NULL, NULL);
        mpifarm_drain(farm, MPIFARM_FOREVER);
    }
    return mpifarm_finish(farm);
}

/* Longer than a function gets to return when the farm ends. */
#define LONG_S 6

static int init_on_1_takes_long(struct mpifarm *farm, void *user)
{
    if (mpifarm_rank(farm) == 1)
        sleep(LONG_S);
    append_line("begun");
    return 0;
}

static void finish_on_2_takes_long(struct mpifarm *farm, void *user)
{
    if (mpifarm_rank(farm) == 2)
        sleep(LONG_S);
    append_line("finished");
}

/* The client ends while the hooks of one worker have not run, those of the other have. */
static int slow_hooks(void)
{
    const struct mpifarm_options options = {.n_executors = 1};
    const struct mpifarm_task_options on_2 = {.rank = 2};
    struct mpifarm *farm = make(&options);
    mpifarm_future future;
    int r = 0;

    mpifarm_register(farm, "nothing", nothing, NULL);
    mpifarm_hooks(farm, init_on_1_takes_long, finish_on_2_takes_long, NULL);
    if (mpifarm_start(farm) == MPIFARM_CLIENT) {
        r = mpifarm_submit(farm, 0, NULL, 0, &on_2, &future);
        if (r == 0)
            r = mpifarm_wait(farm, future, MPIFARM_FOREVER);
    }
    return mpifarm_finish(farm) < 0 || r < 0;
}

/* --- ends --- */

static int stuck_at_the_end(void)
{
    struct mpifarm *farm = start(NULL, "never_returns", never_returns);

    mpifarm_submit(farm, 0, NULL, 0, NULL, NULL);
    await_line(farm);
    return say(NULL, "finish", mpifarm_finish(farm)) < 0;
}

static int quit_without_finishing(void)
{
    struct mpifarm *farm = start(NULL, "never_returns", never_returns);

    mpifarm_submit(farm, 0, NULL, 0, NULL, NULL);
    await_line(farm);
    exit(0);
}

static int killed_client(void)
{
    struct mpifarm *farm = start(NULL, "never_returns", never_returns);

    mpifarm_submit(farm, 0, NULL, 0, NULL, NULL);
    await_line(farm);
    return raise(SIGKILL);
}

static void never(struct mpifarm *farm, mpifarm_future future, const struct mpifarm_result *result,
                  void *arg)
{
    printf("a callback was called at the end\n");
}

static int finish_with_tasks_left(void)
{
    struct mpifarm *farm = start(NULL, "nothing", nothing);
    struct mpifarm_task_options options = {.delivery = MPIFARM_DELIVER_CALLBACK, .callback = never};

    mpifarm_submit_array(farm, 0, NULL, 0, 100000, &options, NULL);
    mpifarm_submit_array(farm, 0, path, 1, strlen(path), NULL, NULL);
    return mpifarm_finish(farm);
}

static int finish_without_start(void)
{
    return mpifarm_finish(make(NULL));
}

static int finish_without_start_on(uint32_t rank)
{
    struct mpifarm *farm = make(NULL);

    mpifarm_register(farm, "nothing", nothing, NULL);
    if (mpifarm_rank(farm) != rank)
        say(farm, "start", mpifarm_start(farm));
    return mpifarm_finish(farm);
}

static int finish_without_start_on_0(void)
{
    return finish_without_start_on(0);
}

static int finish_without_start_on_1(void)
{
    return finish_without_start_on(1);
}

static int attempts_of_the_options(void)
{
    const struct mpifarm_options options = {.max_attempts = 3};
    struct mpifarm *farm = start(&options, "flaky", flaky);
    struct mpifarm_task_options once = {.max_attempts = 1};
    struct mpifarm_result result;
    mpifarm_future futures[2];

    mpifarm_submit(farm, 0, NULL, 0, NULL, &futures[0]);
    mpifarm_submit(farm, 0, NULL, 0, &once, &futures[1]);
    for (int i = 0; i < 2; i++) {
        mpifarm_wait(farm, futures[i], MPIFARM_FOREVER);
        mpifarm_result(farm, futures[i], &result);
        printf("status %d attempts %u\n", (int)result.status, result.attempts);
    }
    return mpifarm_finish(farm);
}

/* Three executors in each rank, if there is isolation. */
static int slots(void)
{
    const struct mpifarm_options options = {.isolation = MPIFARM_ISOLATION_ON, .n_executors = 3};
    struct mpifarm *farm = start(&options, "nothing", nothing);
    struct mpifarm_counts counts;

    mpifarm_submit_array(farm, 0, NULL, 0, 100, NULL, NULL);
    mpifarm_drain(farm, MPIFARM_FOREVER);
    mpifarm_count(farm, &counts);
    printf("workers %u slots %u done %" PRIu64 "\n", counts.n_workers, counts.n_slots,
           counts.n_done);
    return mpifarm_finish(farm);
}

/* How often the client naps while it waits for a task of 0.3 s; the path is its spin_ns. */
static int naps(void)
{
    const struct mpifarm_options options = {.spin_ns = atoll(path)};
    struct mpifarm *farm = start(&options, "sleeps", sleeps);
    struct rusage before, after;
    mpifarm_future future;

    mpifarm_submit(farm, 0, NULL, 0, NULL, &future);
    getrusage(RUSAGE_THREAD, &before);
    mpifarm_wait(farm, future, MPIFARM_FOREVER);
    getrusage(RUSAGE_THREAD, &after);
    printf("naps %ld\n", after.ru_nvcsw - before.ru_nvcsw);
    return mpifarm_finish(farm);
}

/* With a path of "yes" it says that it has threads of its own. */
static int threads(void)
{
    struct mpifarm_options options = {.has_threads = strcmp(path, "yes") == 0};
    struct mpifarm *farm;
    int level;

    if (mpifarm_init(NULL, NULL, &options, &farm) < 0)
        return 1;
    MPI_Query_thread(&level);
    say(farm, "threads", level >= MPI_THREAD_FUNNELED);
    if (mpifarm_start(farm) < 0)
        return 1;
    return mpifarm_finish(farm) < 0;
}

/* --- one of them --- */

static int hook_refuses_on_1(void)
{
    return hook_refuses(false, false);
}

static int hook_refuses_quietly(void)
{
    return hook_refuses(false, true);
}

static int all_hooks_refuse(void)
{
    return hook_refuses(true, false);
}

static const struct {
    const char *name;
    int (*run)(void);
} cases[] = {
    {"registering", registering},
    {"differing", differing},
    {"before_start", before_start},
    {"on_workers", on_workers},
    {"after_start", after_start},
    {"without_a_farm", without_a_farm},
    {"init_after_mpi", init_after_mpi},
    {"init_twice", init_twice},
    {"wrong_options", wrong_options},
    {"hook_refuses", hook_refuses_on_1},
    {"hook_refuses_quietly", hook_refuses_quietly},
    {"all_hooks_refuse", all_hooks_refuse},
    {"hooks", hooks},
    {"slow_hooks", slow_hooks},
    {"stuck", stuck_at_the_end},
    {"quit", quit_without_finishing},
    {"killed", killed_client},
    {"tasks_left", finish_with_tasks_left},
    {"no_start", finish_without_start},
    {"no_start_on_0", finish_without_start_on_0},
    {"no_start_on_1", finish_without_start_on_1},
    {"attempts", attempts_of_the_options},
    {"slots", slots},
    {"naps", naps},
    {"threads", threads},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    if (argc > 2)
        path = argv[2];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(cases[i].name, name) == 0)
            return cases[i].run() ? 1 : 0;
    fprintf(stderr, "there is no case \"%s\"\n", name);
    return 2;
}
