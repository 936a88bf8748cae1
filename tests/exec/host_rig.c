/* See host_rig.h. One per test, in the test's own process and only thread. */
#include "host_rig.h"

#include "base/clock.h"
#include "base/rng.h"
#include "exec/host.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_NS (60 * MF_NS_PER_S)
#define NAP_NS (4 * MF_NS_PER_MS)

/* --- functions --- */

static int fn_null(struct mpifarm_context *context, void *user)
{
    return 0;
}

static int fn_echo(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);

    return mpifarm_write(context, input, size);
}

static uint64_t number_of(struct mpifarm_context *context)
{
    return *(const uint64_t *)mpifarm_input(context, NULL);
}

static int fn_double(struct mpifarm_context *context, void *user)
{
    uint64_t twice = 2 * number_of(context);

    return mpifarm_write(context, &twice, sizeof(twice));
}

static int fn_fail(struct mpifarm_context *context, void *user)
{
    size_t size;
    const char *input = mpifarm_input(context, &size);

    return mpifarm_fail(context, 3, "%.*s", (int)size, input);
}

static int fn_pid(struct mpifarm_context *context, void *user)
{
    pid_t pid = getpid();

    return mpifarm_write(context, &pid, sizeof(pid));
}

static int fn_grow(struct mpifarm_context *context, void *user)
{
    uint64_t size = number_of(context);
    uint8_t *data = mpifarm_reserve(context, size);

    for (uint64_t i = 0; i < size; i++)
        data[i] = (uint8_t)i;
    if (user)
        __atomic_store_n((int *)user, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int fn_sum(struct mpifarm_context *context, void *user)
{
    size_t size;
    const uint8_t *input = mpifarm_input(context, &size);
    uint64_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += input[i];
    return mpifarm_write(context, &sum, sizeof(sum));
}

static int fn_child(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);

    return mpifarm_spawn(context, HOST_ECHO, input, size, NULL) < 0 ||
           mpifarm_spawn(context, HOST_NULL, NULL, 0, NULL) < 0;
}

static int fn_children(struct mpifarm_context *context, void *user)
{
    static const char input[100];
    int result = 0;

    for (uint64_t n = number_of(context); n > 0 && result == 0; n--)
        result = mpifarm_spawn(context, HOST_ECHO, input, sizeof(input), NULL);
    return result;
}

static int fn_save(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *input = mpifarm_input(context, &size);
    const void *restored;

    if (mpifarm_checkpoint(context, input, size) < 0)
        return 1;
    restored = mpifarm_restored(context, &size);
    return mpifarm_write(context, restored, size);
}

static int fn_segv(struct mpifarm_context *context, void *user)
{
    raise(SIGSEGV);
    return 0;
}

static int fn_abort(struct mpifarm_context *context, void *user)
{
    abort();
}

static int fn_exit(struct mpifarm_context *context, void *user)
{
    exit(3);
}

static int fn_quit(struct mpifarm_context *context, void *user)
{
    _exit(4);
}

static void save_pid(struct mpifarm_context *context, pid_t pid)
{
    (void)mpifarm_checkpoint(context, &pid, sizeof(pid));
}

static int fn_hang(struct mpifarm_context *context, void *user)
{
    save_pid(context, getpid());
    while (pause() < 0)
        ;
    return 0;
}

static int fn_obey(struct mpifarm_context *context, void *user)
{
    save_pid(context, getpid());
    while (!mpifarm_should_stop(context))
        usleep(100);
    return mpifarm_fail(context, 7, "as asked");
}

static int fn_fork(struct mpifarm_context *context, void *user)
{
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    save_pid(context, pid);
    abort();
}

/* The shared memory is found as any wild pointer would find it. */
static uint8_t *find_memory(size_t *ret_size)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    unsigned long start = 0, end = 0;
    char line[512];

    while (fgets(line, sizeof(line), maps))
        if (strstr(line, "mpifarm-host"))
            (void)sscanf(line, "%lx-%lx", &start, &end);
    fclose(maps);
    if (start == 0)
        abort();
    *ret_size = end - start;
    return (uint8_t *)start;
}

static int fn_scribble(struct mpifarm_context *context, void *user)
{
    size_t size;
    uint8_t *memory = find_memory(&size);

    memset(memory, 0xa5, size);
    while (pause() < 0)
        ;
    return 0;
}

/* An entry that looks nearly like one. */
static void forge_entry(struct mf_rng *rng, struct mf_buffer *bytes)
{
    static const uint8_t kinds[] = {MF_ENTRY_RESULT,
                                    MF_ENTRY_RESULT,
                                    MF_ENTRY_CHILD,
                                    MF_HOST_ENTRY_STOPPED,
                                    MF_HOST_ENTRY_LARGE,
                                    MF_HOST_ENTRY_CHECKPOINT,
                                    MF_HOST_ENTRY_YIELDED,
                                    MF_HOST_ENTRY_LARGE_CHECKPOINT,
                                    77};
    struct mf_entry_header header = {
        .kind = kinds[mf_rng_below(rng, sizeof(kinds))],
        .cause = (uint8_t)mf_rng_below(rng, 10),
        .flags = mf_rng_below(rng, 4) == 0 ? (uint16_t)mf_rng_below(rng, 4) : 0,
        .size = mf_rng_below(rng, 4) == 0 ? (uint32_t)mf_rng_below(rng, 100) : 8,
    };

    mf_buffer_append(bytes, &header, sizeof(header));
    for (uint32_t i = 0; i < header.size; i += 8)
        mf_buffer_put_u64(bytes, mf_rng_below(rng, 2) ? mf_rng_below(rng, 50) : mf_rng_next(rng));
}

/* Writes on where the executor would, and then into the words that steer. */
static int fn_scramble(struct mpifarm_context *context, void *user)
{
    size_t size;
    struct mf_host_memory *memory = (struct mf_host_memory *)(void *)find_memory(&size);
    uint64_t at = atomic_load(&memory->back_ends.written);
    struct mf_buffer bytes = {0};
    struct mf_rng rng;
    uint64_t n;

    mf_rng_init(&rng, number_of(context));
    for (n = 1 + mf_rng_below(&rng, 6); n > 0; n--)
        forge_entry(&rng, &bytes);
    for (size_t i = 0; i < bytes.size; i++)
        memory->back[(at + i) % MF_HOST_RING_BYTES] = bytes.data[i];
    atomic_store(&memory->back_ends.written, at + bytes.size);
    for (n = mf_rng_below(&rng, 4); n > 1; n--) {
        size_t word = mf_rng_below(&rng, offsetof(struct mf_host_memory, portions) / 8);
        uint64_t value = mf_rng_below(&rng, 2) ? mf_rng_below(&rng, 200) : mf_rng_next(&rng);

        memcpy((uint8_t *)memory + 8 * word, &value, sizeof(value));
    }
    raise(SIGKILL);
    return 0;
}

struct mf_host_memory *host_find_memory(void)
{
    size_t size;

    return (struct mf_host_memory *)(void *)find_memory(&size);
}

_Noreturn static void hang(void)
{
    for (;;)
        pause();
}

static int fn_forge(struct mpifarm_context *context, void *user)
{
    struct mf_host_memory *memory = host_find_memory();
    uint64_t at = atomic_load(&memory->back_ends.written);
    size_t size;
    const uint8_t *input = mpifarm_input(context, &size);

    for (size_t i = 0; i < size; i++)
        memory->back[(at + i) % MF_HOST_RING_BYTES] = input[i];
    atomic_store(&memory->back_ends.written, at + size);
    hang();
}

static int fn_poke(struct mpifarm_context *context, void *user)
{
    struct mf_host_memory *memory = host_find_memory();
    const int64_t *input = mpifarm_input(context, NULL);

    atomic_fetch_add(&memory->n_begun, (uint64_t)input[0]);
    atomic_fetch_add(&memory->n_returned, (uint64_t)input[1]);
    hang();
}

static int fn_signals(struct mpifarm_context *context, void *user)
{
    struct sigaction action;
    sigset_t mask;
    char found[2];

    sigaction(SIGPIPE, NULL, &action);
    sigprocmask(SIG_SETMASK, NULL, &mask);
    found[0] = action.sa_handler == SIG_IGN ? 'i' : '-';
    found[1] = sigismember(&mask, SIGUSR2) ? 'b' : '-';
    return mpifarm_write(context, found, sizeof(found));
}

static int fn_gate(struct mpifarm_context *context, void *user)
{
    save_pid(context, getpid());
    while (!__atomic_load_n((int *)user, __ATOMIC_SEQ_CST))
        usleep(100);
    return 0;
}

static int fn_wait(struct mpifarm_context *context, void *user)
{
    while (!__atomic_load_n((int *)user, __ATOMIC_SEQ_CST))
        usleep(100);
    return 0;
}

static int fn_steps(struct mpifarm_context *context, void *user)
{
    pid_t pid = getpid();

    while (!__atomic_load_n((int *)user, __ATOMIC_SEQ_CST)) {
        save_pid(context, pid);
        if (mpifarm_should_stop(context))
            return mpifarm_fail(context, 7, "as asked");
        usleep(100);
    }
    return mpifarm_write(context, &pid, sizeof(pid));
}

static int fn_block(struct mpifarm_context *context, void *user)
{
    size_t size;
    const void *data = mpifarm_block_data(context, 5, &size);

    return data ? mpifarm_write(context, data, size) : 9;
}

static int fn_hook(struct mpifarm_context *context, void *user)
{
    return mpifarm_write(context, user, sizeof(int));
}

static uint64_t n_leaked;

static int fn_leak(struct mpifarm_context *context, void *user)
{
    /* Nobody may see that it is not used. */
    static uint8_t *volatile leak;
    uint64_t size = number_of(context), told[128] = {0};

    leak = malloc(size);
    memset(leak, 1, size);
    told[0] = n_leaked += size;
    return mpifarm_write(context, told, sizeof(told));
}

static int fn_swallow(struct mpifarm_context *context, void *user)
{
    (void)fn_leak(context, user);
    hang();
}

static int fn_hold(struct mpifarm_context *context, void *user)
{
    (void)fn_leak(context, user);
    return fn_gate(context, user);
}

static const struct {
    const char *name;
    mpifarm_function call;
} known[HOST_N_FUNCTIONS] = {
    [HOST_NULL] = {"null", fn_null},
    [HOST_ECHO] = {"echo", fn_echo},
    [HOST_DOUBLE] = {"double", fn_double},
    [HOST_FAIL] = {"fail", fn_fail},
    [HOST_PID] = {"pid", fn_pid},
    [HOST_GROW] = {"grow", fn_grow},
    [HOST_SUM] = {"sum", fn_sum},
    [HOST_CHILD] = {"child", fn_child},
    [HOST_SAVE] = {"save", fn_save},
    [HOST_SEGV] = {"segv", fn_segv},
    [HOST_ABORT] = {"abort", fn_abort},
    [HOST_EXIT] = {"exit", fn_exit},
    [HOST_QUIT] = {"quit", fn_quit},
    [HOST_HANG] = {"hang", fn_hang},
    [HOST_OBEY] = {"obey", fn_obey},
    [HOST_FORK] = {"fork", fn_fork},
    [HOST_SCRIBBLE] = {"scribble", fn_scribble},
    [HOST_SCRAMBLE] = {"scramble", fn_scramble},
    [HOST_GATE] = {"gate", fn_gate},
    [HOST_WAIT] = {"wait", fn_wait},
    [HOST_STEPS] = {"steps", fn_steps},
    [HOST_BLOCK] = {"block", fn_block},
    [HOST_HOOK] = {"hook", fn_hook},
    [HOST_CHILDREN] = {"children", fn_children},
    [HOST_FORGE] = {"forge", fn_forge},
    [HOST_POKE] = {"poke", fn_poke},
    [HOST_SIGNALS] = {"signals", fn_signals},
    [HOST_LEAK] = {"leak", fn_leak},
    [HOST_SWALLOW] = {"swallow", fn_swallow},
    [HOST_HOLD] = {"hold", fn_hold},
};

/* --- what is heard --- */

static struct host_unit *unit_of(struct host_rig *rig, const struct mf_caller_event *event)
{
    struct host_unit *unit = &rig->units[event->unit];

    cr_assert(event->unit >= 1 && event->unit <= rig->n_units);
    cr_assert_eq(event->attempt, 1);
    cr_assert(!unit->is_over, "unit %d was already over", (int)event->unit);
    return unit;
}

static void end_unit(struct host_rig *rig, struct host_unit *unit)
{
    unit->is_over = true;
    rig->n_units_over++;
}

/* A call was told of: the next of its unit. */
static void hear_result(struct host_rig *rig, struct host_unit *unit,
                        const struct mf_entry_header *header, const uint8_t *data, size_t size)
{
    struct host_task *task = &rig->tasks[unit->first_task + unit->n_reported++];

    task->n_results++;
    task->cause = header->cause;
    task->code = header->code;
    if (header->flags & MF_CALL_IS_LARGE) {
        uint64_t number;

        cr_assert_eq(size, sizeof(number));
        memcpy(&number, data, sizeof(number));
        cr_assert_eq(number, (uint64_t)(task - rig->tasks));
        return;
    }
    task->size = size;
    task->data = calloc(size + 1, 1);
    memcpy(task->data, data, size);
}

static void hear_entries(struct host_rig *rig, const struct mf_caller_event *event)
{
    struct host_unit *unit = unit_of(rig, event);
    struct mf_reader reader = mf_reader_over(event->entries, event->size);
    struct mf_entry_header header;
    const uint8_t *data;
    uint32_t before = unit->n_reported;

    rig->entries_bytes += event->size;
    unit->duration_ns += event->duration_ns;
    unit->idle_ns += event->idle_ns;
    while (mf_entry_get(&reader, &header, &data) == 1) {
        struct host_task *task = &rig->tasks[unit->first_task + unit->n_reported];

        if (header.kind == MF_ENTRY_CHILD) {
            struct mf_child child;

            memcpy(&child, data, sizeof(child));
            cr_assert_lt(child.function, HOST_N_FUNCTIONS);
            cr_assert(child.delivery == MPIFARM_DELIVER_NONE ||
                      child.delivery == MPIFARM_DELIVER_QUEUE);
            task->n_children++;
            continue;
        }
        for (uint32_t i = 0, n = header.n_more + 1; i < n; i++)
            hear_result(rig, unit, &header, data + i * (header.size / n), header.size / n);
    }
    cr_assert_eq(reader.left, 0);
    cr_assert_eq(unit->n_reported - before, event->n_calls);
    cr_assert_eq(event->is_last, unit->n_reported == unit->n_calls);
    if (event->is_last)
        end_unit(rig, unit);
}

static void heard(void *arg, const struct mf_caller_event *event)
{
    struct host_rig *rig = arg;
    struct host_unit *unit;
    struct host_task *task;

    rig->n_heard++;
    cr_assert_eq(rig->n_broken, 0, "an event after BROKEN");
    switch (event->kind) {
    case MF_CALLER_ENTRIES:
        hear_entries(rig, event);
        return;
    case MF_CALLER_LARGE:
        unit = unit_of(rig, event);
        task = &rig->tasks[event->task];
        cr_assert_eq(event->task, unit->first_task + unit->n_reported);
        task->data = event->data;
        task->size = event->size;
        return;
    case MF_CALLER_CHECKPOINT:
        unit = unit_of(rig, event);
        cr_assert_eq(event->index, unit->n_reported);
        task = &rig->tasks[unit->first_task + event->index];
        free(task->saved);
        task->saved = calloc(event->size + 1, 1);
        memcpy(task->saved, event->data, event->size);
        free(event->data);
        task->saved_size = event->size;
        if (rig->stops_at_checkpoint)
            rig->caller->ops->stop(rig->caller);
        return;
    case MF_CALLER_YIELDED:
        unit = unit_of(rig, event);
        unit->n_yielded++;
        unit->ran_ns = event->duration_ns;
        return;
    case MF_CALLER_RETURNED:
        unit = unit_of(rig, event);
        cr_assert_lt(unit->n_reported, unit->n_calls);
        unit->is_returned = true;
        end_unit(rig, unit);
        return;
    case MF_CALLER_BROKEN:
        rig->n_broken++;
        rig->broken = *event->error;
        return;
    }
}

static int take_large(void *arg, uint64_t task, uint8_t **ret_data, size_t *ret_size)
{
    struct host_rig *rig = arg;

    if (rig->large_error < 0)
        return rig->large_error;
    for (uint32_t i = 0; i < rig->n_larges; i++) {
        if (rig->large_tasks[i] != task || !rig->larges[i])
            continue;
        *ret_data = rig->larges[i];
        *ret_size = rig->large_sizes[i];
        rig->larges[i] = NULL;
        return 0;
    }
    return -ENOENT;
}

/* --- the rig --- */

static void begin(struct host_rig *rig, const struct host_options *options)
{
    struct mf_slot slots[16] = {{0}};
    uint32_t n = options->n_executors ? options->n_executors : 1;

    for (uint32_t i = 0; i < n; i++) {
        slots[i].number = i + 1;
        slots[i].n_cpus = options->cpu ? 1 : 0;
        slots[i].cpus = options->cpu;
        if (options->cpus) {
            slots[i].n_cpus = 1;
            slots[i].cpus = &options->cpus[i];
        }
    }
    cr_assert_eq(rig->caller->ops->begin(rig->caller, &rig->functions, 7, slots, n),
                 options->begin_result);
}

struct host_rig *host_rig_create(struct host_options options)
{
    struct host_rig *rig = calloc(1, sizeof(*rig));
    struct mf_nursery nursery;
    struct mf_error err = {0};

    cr_assert(rig);
    cr_assert_eq(mf_nursery_fork(&nursery, &err), 0, "%s", err.text);
    rig->nursery_pid = nursery.pid;
    rig->naps = options.naps;
    rig->still_ns = options.stands_still ? mf_clock_monotonic_ns() : 0;
    for (int i = 0; i < HOST_N_FUNCTIONS; i++)
        cr_assert_eq(mf_functions_add(&rig->functions, known[i].name, known[i].call, options.user),
                     i);
    rig->functions.init = options.init;
    rig->functions.finish = options.finish;
    rig->functions.hook_user = options.user;
    cr_assert_eq(mf_loop_create(&rig->loop), 0);
    cr_assert_eq(
        mf_host_caller_create(&(struct mf_caller_config){.heard = heard,
                                                         .take_large = take_large,
                                                         .arg = rig,
                                                         .memory_bytes = options.memory_bytes},
                              &nursery, rig->loop, &rig->caller),
        0);
    begin(rig, &options);
    return rig;
}

void host_rig_destroy(struct host_rig *rig)
{
    mf_caller_destroy(rig->caller);
    mf_loop_destroy(rig->loop);
    mf_functions_finish(&rig->functions);
    mf_buffer_finish(&rig->calls);
    for (uint64_t i = 0; i < rig->n_tasks; i++) {
        free(rig->tasks[i].data);
        free(rig->tasks[i].saved);
    }
    for (uint32_t i = 0; i < rig->n_larges; i++)
        free(rig->larges[i]);
    free(rig);
}

uint64_t host_call_with(struct host_rig *rig, enum host_function function, const void *input,
                        size_t size, int64_t timeout_ns, const char *restored)
{
    uint64_t task = rig->n_tasks++;
    struct mf_call call = {
        .task = task,
        .function = (uint16_t)function,
        .size = size,
        .input = input,
        .is_large = size > MF_CALL_LARGE_BYTES,
        .checkpoint = (const uint8_t *)restored,
        .details = {.try_number = 1,
                    .timeout_ns = timeout_ns,
                    .checkpoint_size = restored ? strlen(restored) : 0},
    };

    cr_assert_lt(task, HOST_MAX_TASKS);
    if (call.is_large) {
        uint32_t i = rig->n_larges++;

        rig->larges[i] = malloc(size);
        memcpy(rig->larges[i], input, size);
        rig->large_sizes[i] = size;
        rig->large_tasks[i] = task;
    }
    mf_call_put(&rig->calls, &call);
    rig->n_calls++;
    return task;
}

uint64_t host_call(struct host_rig *rig, enum host_function function, const void *input,
                   size_t size)
{
    return host_call_with(rig, function, input, size, 0, NULL);
}

uint64_t host_stretch(struct host_rig *rig, enum host_function function, const void *inputs,
                      size_t size, uint32_t n)
{
    struct mf_call call = {
        .task = rig->n_tasks,
        .function = (uint16_t)function,
        .size = size,
        .input = inputs,
        .details = {.try_number = 1, .n_more = n - 1},
        .steps = {1, 1},
    };

    rig->n_tasks += n;
    rig->n_calls += n;
    cr_assert_lt(rig->n_tasks, HOST_MAX_TASKS);
    mf_call_put(&rig->calls, &call);
    return call.task;
}

uint64_t host_start(struct host_rig *rig)
{
    uint64_t number = ++rig->n_units;
    struct mf_caller_unit unit = {
        .unit = number,
        .attempt = 1,
        .n_calls = rig->n_calls,
        .calls = rig->calls.data,
        .size = rig->calls.size,
    };

    cr_assert_lt(number, HOST_MAX_UNITS);
    rig->units[number] =
        (struct host_unit){.first_task = rig->n_tasks - rig->n_calls, .n_calls = rig->n_calls};
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), 0);
    mf_buffer_clear(&rig->calls);
    rig->n_calls = 0;
    return number;
}

static int64_t time_of(const struct host_rig *rig)
{
    return rig->still_ns ? rig->still_ns : mf_clock_monotonic_ns();
}

void host_turn(struct host_rig *rig)
{
    int64_t left_ns;

    if (rig->caller->ops->turn(rig->caller, time_of(rig)) != 0)
        return;
    left_ns = rig->caller->ops->next_ns(rig->caller);
    left_ns -= left_ns < INT64_MAX ? time_of(rig) : 0;
    if (left_ns < 0)
        left_ns = 0;
    if (left_ns > PATIENCE_NS)
        left_ns = PATIENCE_NS;
    if (rig->naps && left_ns > NAP_NS)
        left_ns = NAP_NS;
    cr_assert(mf_loop_wait(rig->loop, left_ns) > 0 || left_ns < PATIENCE_NS,
              "nothing happened for too long");
}

struct host_unit *host_wait(struct host_rig *rig, uint64_t unit)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;

    while (!rig->units[unit].is_over) {
        uint64_t n_heard = rig->n_heard;

        host_turn(rig);
        cr_assert_eq(rig->n_broken, 0, "%s", rig->broken.text);
        if (rig->n_heard != n_heard)
            end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;
        cr_assert_lt(mf_clock_monotonic_ns(), end_ns, "unit %d does not end", (int)unit);
    }
    return &rig->units[unit];
}

void host_wait_all(struct host_rig *rig)
{
    for (uint64_t unit = 1; unit <= rig->n_units; unit++)
        host_wait(rig, unit);
}

struct host_task *host_run(struct host_rig *rig, enum host_function function, const void *input,
                           size_t size)
{
    uint64_t task = host_call(rig, function, input, size);

    host_wait(rig, host_start(rig));
    cr_assert_eq(rig->tasks[task].n_results, 1);
    return &rig->tasks[task];
}

void host_wait_saved(struct host_rig *rig, uint64_t n_tasks)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;

    for (uint64_t task = 0; !rig->tasks[task].saved; task = (task + 1) % n_tasks) {
        host_turn(rig);
        cr_assert_lt(mf_clock_monotonic_ns(), end_ns, "nothing is saved");
    }
}

pid_t host_wait_pid(struct host_rig *rig, uint64_t task)
{
    int64_t end_ns = mf_clock_monotonic_ns() + PATIENCE_NS;
    pid_t pid;

    while (!rig->tasks[task].saved) {
        host_turn(rig);
        cr_assert_lt(mf_clock_monotonic_ns(), end_ns, "task %d saves nothing", (int)task);
    }
    cr_assert_eq(rig->tasks[task].saved_size, sizeof(pid));
    memcpy(&pid, rig->tasks[task].saved, sizeof(pid));
    return pid;
}

bool host_ended(const struct host_task *task, enum mpifarm_cause cause, int code,
                const char *message)
{
    const char *text = task->data ? (const char *)task->data : "";

    if (task->n_results == 1 && task->cause == cause && task->code == code &&
        strcmp(text, message) == 0)
        return true;
    fprintf(stderr, "%u results, cause %d, code %d, \"%s\"\n", task->n_results, (int)task->cause,
            task->code, text);
    return false;
}
