/* The task functions of the test programs: see t_api.h. They run in workers and executors. */
#include "t_api.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static uint32_t n_inits;
static int user;

/* --- what both sides use --- */

int64_t t_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void t_pattern(void *bytes, size_t n, uint64_t seed)
{
    uint8_t *at = bytes;
    uint64_t state = seed * 2 + 1;

    for (; n >= sizeof(state); n -= sizeof(state), at += sizeof(state)) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(at, &state, sizeof(state));
    }
    memcpy(at, &state, n);
}

uint64_t t_hash(const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    uint64_t hash = n, word = 0;

    for (; n >= sizeof(word); n -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    word = 0;
    if (n > 0)
        memcpy(&word, at, n);
    return (hash ^ word) * 0x9e3779b97f4a7c15u;
}

bool t_is_file(const char *path)
{
    return access(path, F_OK) == 0;
}

void t_make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    if (fd < 0)
        abort();
    close(fd);
}

/* --- simple ones --- */

/* Copies an input of that size; another one is zeros, and fails the task. */
static int take_input(struct mpifarm_context *context, void *input, size_t size)
{
    size_t given;
    const void *bytes = mpifarm_input(context, &given);

    if (given == size) {
        memcpy(input, bytes, size);
        return 0;
    }
    memset(input, 0, size);
    return mpifarm_fail(context, 99, "the input has %zu bytes, not %zu", given, size);
}

static int nothing(struct mpifarm_context *context, void *arg)
{
    return 0;
}

static int square(struct mpifarm_context *context, void *arg)
{
    uint64_t x;
    int r = take_input(context, &x, sizeof(x));

    if (r != 0)
        return r;
    x *= x;
    return mpifarm_write(context, &x, sizeof(x));
}

static int echo(struct mpifarm_context *context, void *arg)
{
    size_t size, half;
    const uint8_t *input = mpifarm_input(context, &size);

    half = size / 2;
    if (mpifarm_write(context, input, half) < 0 || mpifarm_write(context, NULL, 0) < 0)
        return 1;
    return size > 0 ? mpifarm_write(context, input + half, size - half) : 0;
}

static int fill(struct mpifarm_context *context, void *arg)
{
    struct t_fill what;
    int r = take_input(context, &what, sizeof(what));
    void *room;

    if (r != 0)
        return r;
    room = mpifarm_reserve(context, what.size);
    if (!room)
        return 1;
    t_pattern(room, what.size, what.seed);
    return 0;
}

static int hash(struct mpifarm_context *context, void *arg)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);
    uint64_t sum = t_hash(input, size);

    return mpifarm_write(context, &sum, sizeof(sum));
}

static int describe(struct mpifarm_context *context, void *arg)
{
    struct t_description seen = {
        .tag = mpifarm_task_tag(context),
        .id = mpifarm_task_id(context),
        .attempt = mpifarm_task_attempt(context),
        .rank = mpifarm_task_rank(context),
        .n_inits = n_inits,
        .is_user_set = arg == &user,
        .should_stop = mpifarm_should_stop(context),
        .pid = getpid(),
    };
    size_t size;
    const void *input = mpifarm_input(context, &size);

    seen.input_size = size;
    seen.has_input = input != NULL;
    seen.is_aligned = (uintptr_t)input % alignof(max_align_t) == 0;
    seen.is_aligned &= mpifarm_input(context, NULL) == input;
    if (mpifarm_restored(context, &size) || size > 0)
        seen.restored_size = size;
    return mpifarm_write(context, &seen, sizeof(seen));
}

static int fail(struct mpifarm_context *context, void *arg)
{
    static char message[8192];
    struct t_failure how;
    int r = take_input(context, &how, sizeof(how));

    if (r != 0)
        return r;
    if (how.also_writes)
        mpifarm_write(context, "unwanted", 8);
    if (how.size == 0)
        return how.code;
    memset(message, how.letter, how.size);
    message[how.size] = '\0';
    mpifarm_fail(context, 5, "replaced by the next");
    return mpifarm_fail(context, how.code, "%s", message);
}

static int flaky(struct mpifarm_context *context, void *arg)
{
    uint32_t n, attempt = mpifarm_task_attempt(context);
    int r = take_input(context, &n, sizeof(n));

    if (r != 0)
        return r;
    mpifarm_write(context, &attempt, sizeof(attempt));
    return attempt >= n ? 0 : mpifarm_fail(context, 3, "attempt %" PRIu32, attempt);
}

static int save(struct mpifarm_context *context, void *arg)
{
    struct t_saving how;
    int r = take_input(context, &how, sizeof(how));
    size_t size, n;
    const void *restored = mpifarm_restored(context, &size);
    uint8_t *bytes;

    if (r != 0)
        return r;
    n = size + (size_t)how.size * how.n;
    bytes = malloc(n + 1);
    if (!bytes)
        return 1;
    if (size > 0)
        memcpy(bytes, restored, size);
    for (uint32_t i = 0; i < how.n && r == 0; i++) {
        t_pattern(bytes + size, how.size, mpifarm_task_attempt(context) * 100 + i);
        size += how.size;
        r = mpifarm_checkpoint(context, bytes, size);
    }
    /* A size that is refused keeps what was saved before. */
    if (r == 0 && mpifarm_checkpoint(context, bytes, ((size_t)1 << 30) + 1) != -EMSGSIZE)
        r = 98;
    if (r == 0 && mpifarm_task_attempt(context) < how.last)
        r = 1;
    if (r == 0)
        r = mpifarm_write(context, bytes, size);
    free(bytes);
    return r;
}

static int wander(struct mpifarm_context *context, void *arg)
{
    uint32_t ranks[16], n;
    int r = take_input(context, &n, sizeof(n));
    size_t size;
    const void *restored = mpifarm_restored(context, &size);

    if (r != 0)
        return r;
    if (size > 0)
        memcpy(ranks, restored, size);
    ranks[size / sizeof(ranks[0])] = mpifarm_task_rank(context);
    size += sizeof(ranks[0]);
    mpifarm_checkpoint(context, ranks, size);
    if (mpifarm_task_attempt(context) < n)
        return 1;
    return mpifarm_write(context, ranks, size);
}

/* --- those that take time --- */

static void nap(void)
{
    const struct timespec time = {.tv_nsec = 200000};

    nanosleep(&time, NULL);
}

/* The input as a path, with the suffix. */
static void get_path(const struct mpifarm_context *context, const char *suffix, char path[256])
{
    size_t size;
    const char *input = mpifarm_input(context, &size);

    snprintf(path, 256, "%.*s%s", (int)size, input, suffix);
}

/* Who finds the file finds the number in it. */
static void make_pid_file(const char *path)
{
    char making[300];
    FILE *file;

    snprintf(making, sizeof(making), "%s.made", path);
    file = fopen(making, "w");
    if (!file || fprintf(file, "%d\n", (int)getpid()) < 0 || fclose(file) != 0 ||
        rename(making, path) < 0)
        abort();
}

static int gate(struct mpifarm_context *context, void *arg)
{
    char path[256], started[256], stopped[256];

    get_path(context, "", path);
    get_path(context, ".started", started);
    get_path(context, ".stopped", stopped);
    make_pid_file(started);
    while (!t_is_file(path)) {
        if (mpifarm_should_stop(context)) {
            t_make_file(stopped);
            return 4;
        }
        nap();
    }
    return 0;
}

static int touch(struct mpifarm_context *context, void *arg)
{
    char path[256];

    get_path(context, "", path);
    t_make_file(path);
    return 0;
}

static void spin(int64_t duration_ns)
{
    int64_t end_ns = t_now_ns() + duration_ns;

    while (duration_ns > 0 && t_now_ns() < end_ns)
        ;
}

static int times(struct mpifarm_context *context, void *arg)
{
    struct t_times seen = {.begin_ns = t_now_ns()};
    int64_t duration_ns;
    int r = take_input(context, &duration_ns, sizeof(duration_ns));

    spin(r == 0 ? duration_ns : 0);
    seen.end_ns = t_now_ns();
    return r == 0 ? mpifarm_write(context, &seen, sizeof(seen)) : r;
}

static int until_over(struct mpifarm_context *context, void *arg)
{
    while (!mpifarm_should_stop(context))
        ;
    return mpifarm_fail(context, 7, "it was asked to stop");
}

static int nulls(struct mpifarm_context *context, void *arg)
{
    int32_t results[3] = {mpifarm_write(context, NULL, 5), mpifarm_checkpoint(context, NULL, 5),
                          mpifarm_write(context, NULL, 0)};

    return mpifarm_write(context, results, sizeof(results));
}

static int random_task(struct mpifarm_context *context, void *arg)
{
    struct t_random_task what;
    size_t size;
    const void *input = mpifarm_input(context, &size);
    uint8_t *room;

    if (size < sizeof(what))
        return 1;
    memcpy(&what, input, sizeof(what));
    spin(what.spin_ns);
    room = mpifarm_reserve(context, sizeof(what.value) + what.size);
    if (!room)
        return 1;
    what.value *= what.value;
    memcpy(room, &what.value, sizeof(what.value));
    t_pattern(room + sizeof(what.value), what.size, what.value);
    return 0;
}

/* --- children --- */

static int tree(struct mpifarm_context *context, void *arg)
{
    struct t_tree node;
    int r = take_input(context, &node, sizeof(node));
    struct mpifarm_task_options options = {.tag = mpifarm_task_tag(context) + 1,
                                           .delivery = (enum mpifarm_delivery)node.delivery};

    if (r != 0)
        return r;
    for (uint32_t i = 0; node.depth > 0 && i < node.n_children && r == 0; i++) {
        struct t_tree child = {node.depth - 1, node.n_children, node.delivery};

        r = mpifarm_spawn(context, T_TREE, &child, sizeof(child), &options);
    }
    return r;
}

static int spawn_many(struct mpifarm_context *context, void *arg)
{
    struct t_spawning how;
    int r = take_input(context, &how, sizeof(how));

    if (r != 0)
        return r;
    for (uint64_t i = 0; i < how.n && r == 0; i++) {
        struct mpifarm_task_options options = {.tag = how.tag + i,
                                               .group = how.group,
                                               .delivery = (enum mpifarm_delivery)how.delivery};

        r = mpifarm_spawn(context, T_SQUARE, &i, sizeof(i), &options);
    }
    if (r == 0 && mpifarm_task_attempt(context) <= how.n_failures)
        return 1;
    return r;
}

/* What each wrong call returned. */
static int spawn_wrong(struct mpifarm_context *context, void *arg)
{
    const mpifarm_future after = 1;
    const struct mpifarm_task_options wrong[] = {
        {.delivery = (enum mpifarm_delivery)4},
        {.delivery = MPIFARM_DELIVER_CALLBACK},
        {.delivery = (enum mpifarm_delivery)9},
        {.delivery = MPIFARM_DELIVER_NONE, .after = &after, .n_after = 1},
        {.delivery = MPIFARM_DELIVER_NONE, .timeout_ns = -1},
    };
    int32_t results[10] = {0};
    int n = 0;

    for (; n < 5; n++)
        results[n] = mpifarm_spawn(context, T_NOTHING, NULL, 0, &wrong[n]);
    results[n++] = mpifarm_spawn(context, T_NOTHING, NULL, 5, NULL);
    results[n++] = mpifarm_spawn(context, -1, NULL, 0, NULL);
    results[n++] = mpifarm_spawn(context, T_N_FUNCTIONS, NULL, 0, NULL);
    results[n++] = mpifarm_spawn(context, T_NOTHING, results, ((size_t)1 << 30) + 1, NULL);
    results[n++] = mpifarm_spawn(context, T_NOTHING, NULL, 0, NULL);
    return mpifarm_write(context, results, sizeof(results));
}

static int spawn_on(struct mpifarm_context *context, void *arg)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);
    int r = mpifarm_spawn(context, T_SPAWN_ON, input, size, NULL);

    return r == 0 && size > 0 ? mpifarm_spawn(context, T_SPAWN_ON, NULL, 0, NULL) : r;
}

/* --- blocks --- */

/* The inode of the memory at an address: the same for all who share it. */
static uint64_t inode_at(const void *address)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    uintptr_t from, to, wanted = (uintptr_t)address;
    uint64_t inode = 0, found = 0;
    char line[512];

    while (maps && fgets(line, sizeof(line), maps)) {
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, &from, &to, &inode) ==
                3 &&
            from <= wanted && wanted < to)
            found = inode;
    }
    if (maps)
        fclose(maps);
    return found;
}

static int block(struct mpifarm_context *context, void *arg)
{
    struct t_block_seen seen = {0};
    uint32_t number;
    size_t size = 77;
    int r = take_input(context, &number, sizeof(number));
    const void *data = r == 0 ? mpifarm_block_data(context, number, &size) : NULL;

    if (r != 0)
        return r;
    seen.size = size;
    seen.is_null = data == NULL;
    if (data) {
        seen.hash = t_hash(data, size);
        seen.inode = inode_at(data);
    }
    return mpifarm_write(context, &seen, sizeof(seen));
}

/* --- what came before --- */

/* An input of at least 4 bytes begins with how often it fails. */
static int before(struct mpifarm_context *context, void *arg)
{
    struct t_before_seen seen = {.n = mpifarm_predecessors(context),
                                 .attempt = mpifarm_task_attempt(context)};
    uint32_t n_failures = 0;
    size_t size = 77;
    const void *input = mpifarm_input(context, &size);

    if (size == sizeof(n_failures))
        memcpy(&n_failures, input, size);
    if (seen.attempt <= n_failures)
        return 5;
    seen.input_hash = t_hash(input, size);
    for (size_t i = 0; i < seen.n; i++) {
        const void *data = mpifarm_predecessor(context, i, &size);

        seen.is_odd |=
            (data == NULL) != (size == 0) || mpifarm_predecessor(context, i, NULL) != data;
        seen.n_unaligned += (uintptr_t)data % alignof(max_align_t) != 0;
        seen.n_bytes += size;
        seen.hash = seen.hash * 31 + t_hash(data, size);
    }
    seen.is_odd |= mpifarm_predecessor(context, seen.n, &size) != NULL || size != 0;
    return mpifarm_write(context, &seen, sizeof(seen));
}

/* --- bad ones --- */

static void never(struct mpifarm *farm, mpifarm_future future, const struct mpifarm_result *result,
                  void *arg)
{
    abort();
}

/* Calls of the client are not for tasks. */
static int client(struct mpifarm_context *context, void *arg)
{
    struct mpifarm *farm = arg;
    const struct mpifarm_task_options options = {.delivery = MPIFARM_DELIVER_CALLBACK,
                                                 .callback = never};
    const struct mpifarm_task task = {.function = T_NOTHING};
    mpifarm_future future = 1;
    struct mpifarm_result result;
    struct mpifarm_counts counts;
    mpifarm_block number;
    size_t index;
    int64_t next_ns;
    int32_t results[T_N_CLIENT_CALLS + 2];
    int n = 0;

    results[n++] = mpifarm_submit(farm, T_NOTHING, NULL, 0, &options, NULL);
    results[n++] = mpifarm_submit_many(farm, &task, 1, NULL);
    results[n++] = mpifarm_submit_array(farm, T_NOTHING, NULL, 0, 1, NULL, NULL);
    results[n++] = mpifarm_map(farm, T_NOTHING, NULL, 0, 0, NULL, 0, NULL);
    results[n++] = mpifarm_progress(farm, &next_ns);
    results[n++] = mpifarm_test(farm, future);
    results[n++] = mpifarm_wait(farm, future, 0);
    results[n++] = mpifarm_wait_any(farm, &future, 1, 0, &index);
    results[n++] = mpifarm_wait_all(farm, &future, 1, 0);
    results[n++] = mpifarm_wait_group(farm, 1, 0);
    results[n++] = mpifarm_drain(farm, 0);
    results[n++] = mpifarm_next(farm, 0, &future);
    results[n++] = mpifarm_result(farm, future, &result);
    results[n++] = mpifarm_release(farm, future);
    results[n++] = mpifarm_cancel(farm, future);
    results[n++] = mpifarm_cancel_group(farm, 1);
    results[n++] = mpifarm_count(farm, &counts);
    results[n++] = mpifarm_broadcast(farm, "x", 1, &number);
    results[n++] = mpifarm_drop_block(farm, 1);
    results[n++] = mpifarm_finish(farm);
    results[n++] = (int32_t)mpifarm_rank(farm);
    results[n++] = (int32_t)mpifarm_size(farm);
    return mpifarm_write(context, results, (size_t)n * sizeof(results[0]));
}

/* Without a core file. */
static int crash(struct mpifarm_context *context, void *arg)
{
    const struct rlimit none = {0, 0};
    size_t size;
    const void *input = mpifarm_input(context, &size);
    uint32_t n = UINT32_MAX;

    if (size == sizeof(n))
        memcpy(&n, input, size);
    if (mpifarm_task_attempt(context) > n)
        return 0;
    mpifarm_checkpoint(context, "saved", 5);
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    return 0;
}

static int leave(struct mpifarm_context *context, void *arg)
{
    int32_t status;
    int r = take_input(context, &status, sizeof(status));

    if (r != 0)
        return r;
    _exit(status);
}

static int hang(struct mpifarm_context *context, void *arg)
{
    char path[256];

    get_path(context, "", path);
    if (path[0])
        t_make_file(path);
    while (pause() < 0)
        ;
    return 0;
}

/* Returns how many bytes were leaked here, with these. */
static uint64_t lose(size_t size)
{
    /* Nobody may see that it is not used. */
    static uint8_t *volatile lost;
    static uint64_t n_lost;

    lost = malloc(size);
    if (lost)
        memset(lost, 1, size);
    return n_lost += size;
}

static int leak(struct mpifarm_context *context, void *arg)
{
    uint64_t n_bytes;
    int r = take_input(context, &n_bytes, sizeof(n_bytes));

    if (r != 0)
        return r;
    n_bytes = lose(n_bytes);
    return mpifarm_write(context, &n_bytes, sizeof(n_bytes));
}

/* So much that it is seen, and not more than a machine has. */
static int swallow(struct mpifarm_context *context, void *arg)
{
    for (int i = 0; i < 256; i++)
        lose(1 << 20);
    return hang(context, arg);
}

/* --- all of them --- */

static const struct {
    const char *name;
    mpifarm_function call;
} functions[] = {
    [T_NOTHING] = {"nothing", nothing},
    [T_SQUARE] = {"square", square},
    [T_ECHO] = {"echo", echo},
    [T_FILL] = {"fill", fill},
    [T_HASH] = {"hash", hash},
    [T_DESCRIBE] = {"describe", describe},
    [T_FAIL] = {"fail", fail},
    [T_FLAKY] = {"flaky", flaky},
    [T_SAVE] = {"save", save},
    [T_WANDER] = {"wander", wander},
    [T_GATE] = {"gate", gate},
    [T_TOUCH] = {"touch", touch},
    [T_TIMES] = {"times", times},
    [T_UNTIL_OVER] = {"until_over", until_over},
    [T_TREE] = {"tree", tree},
    [T_SPAWN_MANY] = {"spawn_many", spawn_many},
    [T_SPAWN_WRONG] = {"spawn_wrong", spawn_wrong},
    [T_SPAWN_ON] = {"spawn_on", spawn_on},
    [T_BLOCK] = {"block", block},
    [T_CLIENT] = {"client", client},
    [T_NULLS] = {"nulls", nulls},
    [T_RANDOM] = {"random", random_task},
    [T_BEFORE] = {"before", before},
    [T_CRASH] = {"crash", crash},
    [T_EXIT] = {"exit", leave},
    [T_HANG] = {"hang", hang},
    [T_FLOOD] = {"flood", t_flood},
    [T_LEAK] = {"leak", leak},
    [T_SWALLOW] = {"swallow", swallow},
};

_Static_assert(sizeof(functions) / sizeof(functions[0]) == T_N_FUNCTIONS, "each has its place");

static int init_hook(struct mpifarm *farm, void *arg)
{
    if (arg == &user)
        n_inits++;
    return 0;
}

void t_register_functions(struct mpifarm *farm)
{
    for (int i = 0; i < T_N_FUNCTIONS; i++)
        T_EQ(mpifarm_register(farm, functions[i].name, functions[i].call,
                              i == T_CLIENT ? (void *)farm : (void *)&user),
             i);
    T_EQ(mpifarm_lookup(farm, "describe"), T_DESCRIBE);
    T_EQ(mpifarm_hooks(farm, init_hook, NULL, &user), 0);
}
