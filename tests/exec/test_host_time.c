/*
 * Executor processes that do not go on, and the time they get. The time of
 * turns is what a test says.
 */
#include "host_rig.h"
#include "rig.h"

#include "base/clock.h"
#include "base/process_stat.h"
#include "exec/host.h"

#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOUR_NS (3600 * MF_NS_PER_S)

static int *shared_ints(void)
{
    int *numbers = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(numbers, MAP_FAILED);
    return numbers;
}

static void wait_set(const int *number)
{
    while (!__atomic_load_n(number, __ATOMIC_SEQ_CST))
        usleep(100);
}

/* As in /proc: S sleeps, T was stopped. */
static void wait_state(pid_t pid, char wanted)
{
    struct mf_process_stat stat = {0};

    while (stat.state != wanted)
        cr_assert_eq(mf_process_stat_read(pid, &stat), 0);
}

static pid_t find_pid(struct host_rig *rig)
{
    return *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;
}

static int turn_at(struct host_rig *rig, int64_t now_ns)
{
    return rig->caller->ops->turn(rig->caller, now_ns);
}

Test(host_time, large_result_of_a_call_that_ended_in_time_may_take_its_time)
{
    uint64_t size = 5 << 20;
    int *has_returned = shared_ints();
    struct host_rig *rig = host_rig_create((struct host_options){.user = has_returned});
    int64_t now_ns = mf_clock_monotonic_ns();
    pid_t pid = find_pid(rig);

    host_call_with(rig, HOST_GROW, &size, sizeof(size), 0, NULL);
    host_call_with(rig, HOST_GROW, &size, sizeof(size), HOUR_NS, NULL);
    host_start(rig);
    turn_at(rig, now_ns);
    /* The second one is not known to have begun before the first has been taken in. */
    for (int i = 0; i < 2; i++) {
        while (rig->units[2].n_reported < (uint32_t)i)
            turn_at(rig, now_ns);
        wait_set(has_returned);
        if (i == 0)
            *has_returned = 0;
    }
    wait_state(pid, 'S');
    turn_at(rig, now_ns);
    turn_at(rig, now_ns + 2 * HOUR_NS);
    while (!rig->units[2].is_over)
        turn_at(rig, now_ns + 3 * HOUR_NS);
    cr_assert_eq(rig->tasks[2].cause, MPIFARM_CAUSE_NONE);
    cr_assert_eq(rig->tasks[2].size, size);
    cr_assert_eq(find_pid(rig), pid);
    host_rig_destroy(rig);
}

/* Reads what the process has told, which nobody has taken. */
static void wait_begun(uint64_t n_calls)
{
    struct mf_host_memory *memory = host_find_memory();

    while (atomic_load(&memory->n_begun) < n_calls)
        usleep(100);
}

Test(host_time, call_is_ended_while_nothing_it_tells_is_taken)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    int64_t now_ns = mf_clock_monotonic_ns();
    pid_t pid = find_pid(rig);

    for (int i = 0; i < 100; i++)
        host_call(rig, HOST_ECHO, "abc", 3);
    host_call_with(rig, HOST_HANG, NULL, 0, HOUR_NS, NULL);
    host_start(rig);
    turn_at(rig, now_ns);
    /* A process that has not come that far in hours would be replaced for standing still. */
    wait_begun(102);
    while (kill(pid, 0) == 0) {
        now_ns += HOUR_NS;
        rig->caller->ops->keep_time(rig->caller, now_ns);
        usleep(100);
    }
    cr_assert_eq(rig->units[2].n_reported, 0);
    host_wait_all(rig);
    cr_assert(host_ended(&rig->tasks[100], MPIFARM_CAUSE_NONE, 0, "abc"));
    cr_assert(
        host_ended(&rig->tasks[101], MPIFARM_CAUSE_TIMEOUT, 0, "over its time limit of 3600.0 s"));
    host_rig_destroy(rig);
}

/* What is begun behind a stopped portion must not be taken for a call of that. */
Test(host_time, calls_behind_recalled_units_have_their_own_limits)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    for (int i = 0; i < 300; i++) {
        uint64_t unit;

        for (int k = 0; k < 50; k++)
            host_call_with(rig, HOST_NULL, NULL, 0, 1, NULL);
        unit = host_start(rig);
        host_call_with(rig, HOST_ECHO, "abc", 3, 60 * MF_NS_PER_S, NULL);
        host_start(rig);
        host_turn(rig);
        rig->caller->ops->recall(rig->caller, unit, 1);
        host_wait_all(rig);
        cr_assert(host_ended(&rig->tasks[rig->n_tasks - 1], MPIFARM_CAUSE_NONE, 0, "abc"));
    }
    host_rig_destroy(rig);
}

/* --- what cannot be --- */

static void forge(const void *bytes, size_t size)
{
    struct host_rig *rig = host_rig_create((struct host_options){.naps = true});

    host_call(rig, HOST_FORGE, bytes, size);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_wait(rig, host_start(rig));
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_CRASHED, SIGKILL,
                         "the memory that its process shares was overwritten, in function "
                         "\"forge\" or one that ran next to it"));
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

static void forge_header(struct mf_entry_header header)
{
    uint8_t bytes[128] = {0};

    memcpy(bytes, &header, sizeof(header));
    forge(bytes, sizeof(header) + (header.size < 64 ? header.size : 0));
}

Test(host_time, sizes_that_cannot_be_are_not_waited_for)
{
    forge_header((struct mf_entry_header){.kind = MF_ENTRY_RESULT, .size = UINT32_MAX});
    forge_header((struct mf_entry_header){.kind = MF_ENTRY_RESULT, .cause = 1, .size = 4001});
    forge_header((struct mf_entry_header){.kind = MF_ENTRY_CHILD, .size = UINT32_MAX});
    forge_header((struct mf_entry_header){.kind = MF_HOST_ENTRY_STOPPED, .size = 1});
    forge_header((struct mf_entry_header){.kind = MF_HOST_ENTRY_CHECKPOINT, .size = UINT32_MAX});
    forge_header((struct mf_entry_header){.kind = MF_HOST_ENTRY_CHECKPOINT,
                                          .size = MF_CALL_LARGE_BYTES + 1});
    forge_header((struct mf_entry_header){.kind = MF_HOST_ENTRY_LARGE, .size = 7000});
    forge_header((struct mf_entry_header){.kind = MF_HOST_ENTRY_LARGE_CHECKPOINT, .size = 7000});
    forge_header((struct mf_entry_header){.kind = 77, .size = 7000});
}

Test(host_time, results_that_cannot_be_are_not_passed_on)
{
    struct {
        struct mf_entry_header announce;
        uint64_t size;
        uint8_t data[8];
        struct mf_entry_header result;
        uint64_t task;
    } large = {.announce = {.kind = MF_HOST_ENTRY_LARGE, .size = 8},
               .size = 8,
               .result = {.flags = MF_CALL_IS_LARGE, .size = 8},
               .task = 1};

    forge_header((struct mf_entry_header){.cause = MPIFARM_CAUSE_MEMORY + 1});
    forge_header((struct mf_entry_header){.flags = 4});
    forge_header((struct mf_entry_header){.flags = MF_CALL_IS_LARGE, .size = 8});
    forge(&large, sizeof(large));
    large.task = 0;
    large.result.cause = MPIFARM_CAUSE_FUNCTION;
    forge(&large, sizeof(large));
    large.result.cause = 0;
    large.result.size = 7;
    forge(&large, sizeof(large));
}

Test(host_time, children_that_cannot_be_are_not_passed_on)
{
    struct {
        struct mf_entry_header header;
        struct mf_child child;
    } entry = {.header = {.kind = MF_ENTRY_CHILD, .size = sizeof(entry.child)},
               .child = {.function = HOST_N_FUNCTIONS, .delivery = MPIFARM_DELIVER_NONE}};

    forge(&entry, sizeof(entry));
    entry.child.function = HOST_NULL;
    entry.child.delivery = MPIFARM_DELIVER_CALLBACK;
    forge(&entry, sizeof(entry));
    entry.child.delivery = MPIFARM_DELIVER_NONE;
    entry.header.flags = MF_CALL_IS_LARGE;
    forge(&entry, sizeof(entry));
    entry.header.flags = 0;
    entry.header.cause = 1;
    forge(&entry, sizeof(entry));
}

Test(host_time, call_does_not_escape_its_limit_by_overwriting_counters)
{
    static const int64_t cases[][2] = {{100, 0}, {100, 100}, {1, 1},        {0, -100},
                                       {0, 2},   {-1, -1},   {INT64_MAX, 7}};
    struct host_rig *rig = host_rig_create((struct host_options){.naps = true});

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t task;

        host_call(rig, HOST_ECHO, "abc", 3);
        task = host_call_with(rig, HOST_POKE, cases[i], sizeof(cases[i]), MF_NS_PER_S / 20, NULL);
        host_wait(rig, host_start(rig));
        cr_assert(rig->tasks[task].cause == MPIFARM_CAUSE_CRASHED ||
                  rig->tasks[task].cause == MPIFARM_CAUSE_TIMEOUT);
    }
    host_rig_destroy(rig);
}

Test(host_time, many_children_come_in_pieces)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint64_t n = 20000;
    struct host_task *task = host_run(rig, HOST_CHILDREN, &n, sizeof(n));

    cr_assert_eq(task->cause, MPIFARM_CAUSE_NONE);
    cr_assert_eq(task->n_children, n);
    host_rig_destroy(rig);
}

/* --- processes that get nowhere --- */

Test(host_time, process_that_stands_still_before_a_call_is_replaced)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    int64_t now_ns = mf_clock_monotonic_ns();
    pid_t pid = find_pid(rig);
    int n_turns = 0;

    wait_state(pid, 'S');
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    wait_state(pid, 'T');
    host_call(rig, HOST_PID, NULL, 0);
    host_start(rig);
    /* A rank that was away for hours does not hold that against its processes. */
    turn_at(rig, now_ns += HOUR_NS);
    turn_at(rig, now_ns += HOUR_NS);
    for (; kill(pid, 0) == 0; n_turns++) {
        turn_at(rig, now_ns += MF_NS_PER_S);
        usleep(1000);
    }
    cr_assert_geq(n_turns, 8);
    host_wait_all(rig);
    cr_assert_eq(rig->tasks[1].cause, MPIFARM_CAUSE_NONE);
    cr_assert_neq(*(pid_t *)rig->tasks[1].data, pid);
    host_rig_destroy(rig);
}

/* user: how many have begun, and the number of the second one, which hangs. */
static int hang_second(struct mpifarm *farm, void *user)
{
    int *numbers = user;

    if (__atomic_fetch_add(&numbers[0], 1, __ATOMIC_SEQ_CST) == 1) {
        __atomic_store_n(&numbers[1], (int)getpid(), __ATOMIC_SEQ_CST);
        for (;;)
            pause();
    }
    return 0;
}

Test(host_time, replacement_whose_init_hook_hangs_is_replaced)
{
    int *numbers = shared_ints();
    struct host_rig *rig =
        host_rig_create((struct host_options){.init = hang_second, .user = numbers});
    int64_t now_ns = mf_clock_monotonic_ns();
    int n_turns = 0;

    host_run(rig, HOST_SEGV, NULL, 0);
    while (!__atomic_load_n(&numbers[1], __ATOMIC_SEQ_CST))
        host_turn(rig);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    /* Only while it hangs: the time of its successor is not to pass as quickly. */
    for (; kill(numbers[1], 0) == 0; n_turns++) {
        turn_at(rig, now_ns += MF_NS_PER_S);
        usleep(1000);
    }
    cr_assert_geq(n_turns, 58);
    host_wait_all(rig);
    cr_assert_eq(numbers[0], 3);
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

/* Kills the process as soon as it has received so much, as a kernel without memory would. */
static void *kill_at_input(void *arg)
{
    struct mf_host_memory *memory = arg;

    while (atomic_load(&memory->to_ends.read) < 100000)
        usleep(100);
    raise(SIGKILL);
    return NULL;
}

/* user: the number of the process. */
static int plan_death(struct mpifarm *farm, void *user)
{
    pthread_t thread;

    __atomic_store_n((int *)user, (int)getpid(), __ATOMIC_SEQ_CST);
    return pthread_create(&thread, NULL, kill_at_input, host_find_memory());
}

/* Whether the process has so much of its input that it is about to be killed. */
static bool is_dying(const int *pid)
{
    return atomic_load(&host_find_memory()->to_ends.read) >= 100000 &&
           kill(__atomic_load_n(pid, __ATOMIC_SEQ_CST), 0) == 0;
}

Test(host_time, input_that_kills_its_process_fails_its_call_alone)
{
    enum { SIZE = 32 << 20 };
    int *pid = shared_ints();
    struct host_rig *rig = host_rig_create((struct host_options){.init = plan_death, .user = pid});
    uint8_t *input = calloc(SIZE, 1);

    host_call(rig, HOST_ECHO, "abc", 3);
    host_call(rig, HOST_SUM, input, SIZE);
    host_call(rig, HOST_SUM, input, SIZE);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    /* The input does not go on while a process dies of it: no process receives all of it. */
    while (!rig->units[1].is_over) {
        while (is_dying(pid))
            usleep(100);
        turn_at(rig, mf_clock_monotonic_ns());
    }
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_NONE, 0, "abc"));
    for (int i = 1; i < 3; i++)
        cr_assert(host_ended(&rig->tasks[i], MPIFARM_CAUSE_MEMORY, 0,
                             "its process was killed by signal 9 (Killed) when it was given the "
                             "task, 2 times"));
    cr_assert(host_ended(&rig->tasks[3], MPIFARM_CAUSE_NONE, 0, "abc"));
    free(input);
    host_rig_destroy(rig);
}

/* --- a system that is short of something --- */

/* The nursery of a user without privileges cannot fork. */
static struct host_rig *create_limited(void)
{
    struct host_rig *rig;

    if (geteuid() == 0)
        cr_assert_eq(setresuid(65534, 65534, 65534), 0);
    rig = host_rig_create((struct host_options){0});
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, 0);
    return rig;
}

static void limit_processes(struct host_rig *rig, bool is_limited)
{
    struct rlimit limit;

    cr_assert_eq(prlimit(rig->nursery_pid, RLIMIT_NPROC, NULL, &limit), 0);
    limit.rlim_cur = is_limited ? 1 : limit.rlim_max;
    cr_assert_eq(prlimit(rig->nursery_pid, RLIMIT_NPROC, &limit, NULL), 0);
}

/*
 * Lets the caller try to have a process at that time, which stands still until
 * it has been refused. Returns when it will try again.
 */
static int64_t wait_refused(struct host_rig *rig, int64_t now_ns)
{
    int64_t left_ns;

    /* It looks after a process that it waits for each second, and tries again sooner. */
    do {
        turn_at(rig, now_ns);
        mf_loop_wait(rig->loop, MF_NS_PER_MS);
        left_ns = rig->caller->ops->next_ns(rig->caller) - now_ns;
    } while (rig->tasks[0].n_results == 0 || left_ns <= 0 || left_ns >= MF_NS_PER_S);
    return now_ns + left_ns;
}

Test(host_time, process_that_cannot_be_forked_for_a_while_is_forked_later)
{
    struct host_rig *rig = create_limited();
    int64_t now_ns = mf_clock_monotonic_ns();

    limit_processes(rig, true);
    cr_assert_eq(kill(host_wait_pid(rig, 0), SIGKILL), 0);
    for (int i = 0; i < 8; i++)
        now_ns = wait_refused(rig, now_ns);
    cr_assert_eq(rig->n_broken, 0);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_CRASHED);
    limit_processes(rig, false);
    cr_assert(host_ended(host_run(rig, HOST_ECHO, "abc", 3), MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host_time, process_that_can_never_be_forked_breaks_the_caller)
{
    struct host_rig *rig = create_limited();
    int64_t begun_ns = mf_clock_monotonic_ns(), now_ns = begun_ns;

    limit_processes(rig, true);
    cr_assert_eq(kill(host_wait_pid(rig, 0), SIGKILL), 0);
    while (rig->n_broken == 0) {
        turn_at(rig, now_ns += MF_NS_PER_S / 10);
        usleep(100);
    }
    cr_assert_geq(now_ns - begun_ns, 10 * MF_NS_PER_S);
    cr_assert_str_eq(rig->broken.text, "executor process 1 could not be created for 10 s: "
                                       "Resource temporarily unavailable");
    host_rig_destroy(rig);
}

/* Leaves the rank, number *user, with exactly one free descriptor, and crashes. */
static int use_up_descriptors(struct mpifarm *farm, void *user)
{
    pid_t rank = *(int *)user;
    struct rlimit limit;
    char path[64];
    int fd = 0;

    /* It has closed what it sent along with the birth of this process when it waits for it. */
    wait_state(rank, 'S');
    do
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)rank, fd++);
    while (access(path, F_OK) == 0);
    prlimit(rank, RLIMIT_NOFILE, NULL, &limit);
    limit.rlim_cur = (rlim_t)fd;
    prlimit(rank, RLIMIT_NOFILE, &limit, NULL);
    abort();
}

Test(host_time, replacement_that_there_is_no_descriptor_for_fails_the_begin)
{
    int *rank = shared_ints();

    *rank = getpid();
    host_rig_destroy(host_rig_create(
        (struct host_options){.init = use_up_descriptors, .user = rank, .begin_result = -EMFILE}));
}

/* --- the nursery --- */

Test(host_time, stopped_nursery_does_not_keep_the_rank)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    pid_t pid = find_pid(rig);

    cr_assert_eq(kill(rig->nursery_pid, SIGSTOP), 0);
    rig->caller->ops->stop(rig->caller);
    cr_assert_eq(waitpid(rig->nursery_pid, NULL, WNOHANG), -1);
    rig_wait_gone(pid);
    host_rig_destroy(rig);
}

Test(host_time, stopped_nursery_that_nobody_needs_does_not_keep_the_rank)
{
    struct mf_nursery nursery;
    pid_t pid;

    cr_assert_eq(mf_nursery_fork(&nursery, NULL), 0);
    pid = nursery.pid;
    cr_assert_eq(kill(pid, SIGSTOP), 0);
    mf_nursery_stop(&nursery);
    cr_assert_eq(waitpid(pid, NULL, WNOHANG), -1);
}

Test(host_time, functions_find_the_signals_as_the_program_has_set_them)
{
    struct host_rig *rig;
    sigset_t mask;

    (void)signal(SIGPIPE, SIG_IGN);
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
    rig = host_rig_create((struct host_options){0});
    cr_assert(host_ended(host_run(rig, HOST_SIGNALS, NULL, 0), MPIFARM_CAUSE_NONE, 0, "ib"));
    host_rig_destroy(rig);
}
