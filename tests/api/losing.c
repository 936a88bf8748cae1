/*
 * Programs whose ranks are killed while they work: one each, named by the
 * argument. They print what became of the tasks; test_losing.c looks at it.
 *
 *     mpirun --enable-recovery -n RANKS losing NAME [SIZE]
 */
#include <mpifarm/mpifarm.h>

#include <fcntl.h>
#include <inttypes.h>
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_CALLS 20000
#define DEADLY 7777

/* True once among all processes in this directory. */
static int is_first(const char *name)
{
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int input_of(const struct mpifarm_context *context)
{
    int number;

    memcpy(&number, mpifarm_input(context, NULL), sizeof(number));
    return number;
}

/* The square of its input; one of them kills the rank that it is first in. */
static int square(struct mpifarm_context *context, void *user)
{
    int number = input_of(context), result = number * number;

    if (number == DEADLY && is_first("killed"))
        kill(getpid(), SIGKILL);
    return mpifarm_write(context, &result, sizeof(result));
}

/* Kills whatever rank it is in. */
static int deadly(struct mpifarm_context *context, void *user)
{
    kill(getpid(), SIGKILL);
    return 0;
}

/* Has a few children of which one is deadly once. */
static int parent(struct mpifarm_context *context, void *user)
{
    for (int i = DEADLY - 5; i < DEADLY + 5; i++)
        if (mpifarm_spawn(context, 0, &i, sizeof(i), NULL) < 0)
            return 1;
    return 0;
}

/* Waits in the rank until the client has been killed. */
static int lasting(struct mpifarm_context *context, void *user)
{
    while (access("killed", F_OK) < 0)
        usleep(1000);
    return 0;
}

/* The bytes of the block that it is given the number of. */
static int block_size(struct mpifarm_context *context, void *user)
{
    size_t size;

    if (!mpifarm_block_data(context, (mpifarm_block)input_of(context), &size))
        return 1;
    return mpifarm_write(context, &size, sizeof(size));
}

enum { SQUARE, DEADLY_TASK, PARENT, LASTING, BLOCK_SIZE };

static void print_result(struct mpifarm *farm, const char *what, mpifarm_future future)
{
    struct mpifarm_result result;

    if (mpifarm_wait(farm, future, MPIFARM_FOREVER) < 0 ||
        mpifarm_result(farm, future, &result) < 0)
        printf("%s: %s\n", what, mpifarm_error_text(farm));
    else
        printf("%s: status %d cause %d\n", what, result.status, result.cause);
    fflush(stdout);
    mpifarm_release(farm, future);
}

static void map(struct mpifarm *farm)
{
    static int inputs[N_CALLS], results[N_CALLS];
    struct mpifarm_counts counts;
    int n_right = 0;
    int r;

    for (int i = 0; i < N_CALLS; i++)
        inputs[i] = i;
    r = mpifarm_map(farm, SQUARE, inputs, sizeof(int), N_CALLS, results, sizeof(int), NULL);
    for (int i = 0; i < N_CALLS; i++)
        n_right += results[i] == i * i;
    mpifarm_count(farm, &counts);
    printf("map %d: %d right, %" PRIu32 " workers left\n", r, n_right, counts.n_workers);
}

static void target(struct mpifarm *farm)
{
    const struct mpifarm_task_options options = {.rank = 2};
    int number = 3;
    mpifarm_future first, second, other;

    mpifarm_submit(farm, DEADLY_TASK, NULL, 0, &options, &first);
    mpifarm_submit(farm, SQUARE, &number, sizeof(number), &options, &second);
    mpifarm_submit(farm, SQUARE, &number, sizeof(number), NULL, &other);
    print_result(farm, "first", first);
    print_result(farm, "second", second);
    print_result(farm, "other", other);
    printf("third: %d\n", mpifarm_submit(farm, SQUARE, &number, sizeof(number), &options, &first));
}

static void poison(struct mpifarm *farm)
{
    int number = 3;
    mpifarm_future bad, good;

    mpifarm_submit(farm, DEADLY_TASK, NULL, 0, NULL, &bad);
    print_result(farm, "poison", bad);
    mpifarm_submit(farm, SQUARE, &number, sizeof(number), NULL, &good);
    print_result(farm, "good", good);
}

static void children(struct mpifarm *farm)
{
    const struct mpifarm_task_options options = {.group = 5};
    struct mpifarm_counts counts;
    mpifarm_future future;

    mpifarm_submit(farm, PARENT, NULL, 0, &options, &future);
    mpifarm_wait_group(farm, 5, MPIFARM_FOREVER);
    print_result(farm, "parent", future);
    mpifarm_count(farm, &counts);
    printf("%" PRIu64 " done\n", counts.n_done);
}

/* Rank 0 dies. */
static void client(struct mpifarm *farm)
{
    mpifarm_future future;

    for (uint32_t i = 1; i < mpifarm_size(farm); i++)
        mpifarm_submit(farm, LASTING, NULL, 0, NULL, &future);
    mpifarm_progress(farm, NULL);
    is_first("killed");
    kill(getpid(), SIGKILL);
}

/* So it does while the others wait for it to start. */
static void absent(struct mpifarm *farm)
{
    (void)farm;
    kill(getpid(), SIGKILL);
}

/* Called by the library, which is not to call it when a rank has died: it would wait for that. */
int MPI_Finalize(void)
{
    fprintf(stderr, "MPI_Finalize was called\n");
    return PMPI_Finalize();
}

/* Rank 2 dies in its hook, when the others have been through theirs for a while. */
static void die_on_2(struct mpifarm *farm)
{
    if (mpifarm_rank(farm) != 2)
        return;
    usleep(300000);
    kill(getpid(), SIGKILL);
}

static int deadly_init(struct mpifarm *farm, void *user)
{
    die_on_2(farm);
    return 0;
}

static void deadly_finish(struct mpifarm *farm, void *user)
{
    die_on_2(farm);
}

static void add_hooks(struct mpifarm *farm, const char *scenario)
{
    if (strcmp(scenario, "init") == 0)
        mpifarm_hooks(farm, deadly_init, NULL, NULL);
    if (strcmp(scenario, "finish") == 0)
        mpifarm_hooks(farm, NULL, deadly_finish, NULL);
}

/* --- blocks --- */

/* Bytes of the block, which make it known in /dev/shm. */
static size_t n_bytes;

/* Gives all a block, and sees to it that it is everywhere. */
static void broadcast(struct mpifarm *farm)
{
    void *bytes = calloc(1, n_bytes);
    mpifarm_future future;
    mpifarm_block block;
    int number;

    if (!bytes || mpifarm_broadcast(farm, bytes, n_bytes, &block) < 0)
        return;
    number = (int)block;
    for (uint32_t rank = mpifarm_size(farm) > 1; rank < mpifarm_size(farm); rank++) {
        const struct mpifarm_task_options options = {.rank = rank};
        struct mpifarm_result result;
        size_t size = 0;

        mpifarm_submit(farm, BLOCK_SIZE, &number, sizeof(number), &options, &future);
        mpifarm_wait(farm, future, MPIFARM_FOREVER);
        if (mpifarm_result(farm, future, &result) == 0 && result.size == sizeof(size))
            memcpy(&size, result.data, sizeof(size));
        printf("rank %" PRIu32 " has %zu\n", rank, size);
    }
    fflush(stdout);
    free(bytes);
}

/* The rank that has stored it is killed. */
static void block_killed(struct mpifarm *farm)
{
    const struct mpifarm_task_options options = {.rank = 1};
    mpifarm_future future;

    broadcast(farm);
    mpifarm_submit(farm, DEADLY_TASK, NULL, 0, &options, &future);
    print_result(farm, "killed", future);
}

static void block_exit(struct mpifarm *farm)
{
    broadcast(farm);
    exit(0);
}

/* What the key does that is for that. */
static void block_interrupt(struct mpifarm *farm)
{
    broadcast(farm);
    kill(getppid(), SIGINT);
    for (;;)
        mpifarm_progress(farm, NULL);
}

static const struct {
    const char *name;
    void (*run)(struct mpifarm *farm);
} scenarios[] = {{"map", map},
                 {"target", target},
                 {"poison", poison},
                 {"children", children},
                 {"client", client},
                 {"block", broadcast},
                 {"block-killed", block_killed},
                 {"block-exit", block_exit},
                 {"block-interrupt", block_interrupt}};

int main(int argc, char **argv)
{
    struct mpifarm *farm;
    int r;

    n_bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc < 2 || mpifarm_init(NULL, NULL, NULL, &farm) < 0)
        return 2;
    mpifarm_register(farm, "square", square, NULL);
    mpifarm_register(farm, "deadly", deadly, NULL);
    mpifarm_register(farm, "parent", parent, NULL);
    mpifarm_register(farm, "lasting", lasting, NULL);
    add_hooks(farm, argv[1]);
    mpifarm_register(farm, "block_size", block_size, NULL);
    if (strcmp(argv[1], "absent") == 0 && mpifarm_rank(farm) == 0)
        absent(farm);
    r = mpifarm_start(farm);
    for (size_t i = 0; r == MPIFARM_CLIENT && i < sizeof(scenarios) / sizeof(scenarios[0]); i++)
        if (strcmp(argv[1], scenarios[i].name) == 0)
            scenarios[i].run(farm);
    if (r < 0)
        fprintf(stderr, "start %d\n", r);
    return mpifarm_finish(farm) < 0;
}
