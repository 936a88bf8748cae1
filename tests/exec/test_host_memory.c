/*
 * Executor processes with a limit of memory. The time of the rank is what a test says, so that it
 * looks when it should.
 */
#include "host_rig.h"
#include "rig.h"

#include "base/clock.h"

#include <criterion/criterion.h>

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)

/* Longer than between any two looks. */
#define LONG_NS (100 * MF_NS_PER_MS)

static int *shared_int(void)
{
    int *number = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(number, MAP_FAILED);
    return number;
}

static struct host_rig *create(struct host_options options)
{
    options.stands_still = true;
    return host_rig_create(options);
}

static void pass_long(struct host_rig *rig)
{
    rig->still_ns += LONG_NS;
    rig->caller->ops->turn(rig->caller, rig->still_ns);
}

/* Lets time pass with each turn until all units are over. */
static void pass_time(struct host_rig *rig)
{
    int64_t end_ns = mf_clock_monotonic_ns() + 60 * MF_NS_PER_S;

    while (rig->n_units_over < rig->n_units) {
        cr_assert_lt(mf_clock_monotonic_ns(), end_ns, "not all units end");
        rig->still_ns += 5 * MF_NS_PER_MS;
        rig->caller->ops->turn(rig->caller, rig->still_ns);
        cr_assert_eq(rig->n_broken, 0, "%s", rig->broken.text);
        usleep(100);
    }
}

static uint64_t leaked_of(const struct host_task *task)
{
    uint64_t n_leaked;

    cr_assert_eq(task->cause, MPIFARM_CAUSE_NONE);
    memcpy(&n_leaked, task->data, sizeof(n_leaked));
    return n_leaked;
}

static bool is_over_memory(const struct host_task *task, const char *beginning)
{
    return task->n_results == 1 && task->cause == MPIFARM_CAUSE_MEMORY && task->code == 0 &&
           strncmp((const char *)task->data, beginning, strlen(beginning)) == 0;
}

Test(host_memory, call_that_takes_too_much_is_ended_and_those_beside_it_go_on)
{
    struct host_rig *rig = create((struct host_options){.memory_bytes = 8 * MIB});
    uint64_t size = 16 * MIB;

    for (int i = 0; i < 201; i++)
        host_call(rig, i == 100 ? HOST_SWALLOW : HOST_ECHO, i == 100 ? (void *)&size : "abcdefgh",
                  8);
    host_start(rig);
    pass_time(rig);
    for (int i = 0; i < 201; i++)
        if (i != 100)
            cr_assert(host_ended(&rig->tasks[i], MPIFARM_CAUSE_NONE, 0, "abcdefgh"));
    cr_assert(
        is_over_memory(&rig->tasks[100], "over its memory limit of 8.0 MiB: its process had got "),
        "%s", (char *)rig->tasks[100].data);
    cr_assert(strstr((char *)rig->tasks[100].data, " MiB in function \"swallow\""));
    host_rig_destroy(rig);
}

/* The rank sees that the process is over its limit, and lets its call go on. */
static struct host_rig *hold(int *is_open)
{
    struct host_rig *rig = create((struct host_options){.memory_bytes = 8 * MIB, .user = is_open});
    uint64_t size = 12 * MIB;

    host_call(rig, HOST_HOLD, &size, sizeof(size));
    host_start(rig);
    host_wait_pid(rig, 0);
    for (int i = 0; i < 4; i++) {
        rig->still_ns += 20 * MF_NS_PER_MS;
        rig->caller->ops->turn(rig->caller, rig->still_ns);
    }
    return rig;
}

Test(host_memory, call_that_ends_soon_costs_no_try_when_its_process_is_replaced)
{
    int *is_open = shared_int();
    struct host_rig *rig = hold(is_open);
    pid_t pid;

    memcpy(&pid, rig->tasks[0].saved, sizeof(pid));
    __atomic_store_n(is_open, 1, __ATOMIC_SEQ_CST);
    host_wait_all(rig);
    cr_assert_eq(leaked_of(&rig->tasks[0]), 12 * MIB);
    cr_assert_neq(*(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data, pid);
    host_rig_destroy(rig);
}

Test(host_memory, call_that_goes_on_is_ended)
{
    struct host_rig *rig = hold(shared_int());

    pass_time(rig);
    cr_assert(is_over_memory(&rig->tasks[0], "over its memory limit of 8.0 MiB: "));
    host_rig_destroy(rig);
}

static void note_finish(struct mpifarm *farm, void *user)
{
    __atomic_fetch_add((int *)user, 1, __ATOMIC_SEQ_CST);
}

Test(host_memory, process_that_is_over_its_limit_between_calls_is_replaced_at_no_cost)
{
    int *n_finished = shared_int();
    struct host_rig *rig = create(
        (struct host_options){.memory_bytes = 8 * MIB, .finish = note_finish, .user = n_finished});
    uint64_t size = 3 * MIB;

    for (int i = 0; i < 30; i++) {
        cr_assert_leq(leaked_of(host_run(rig, HOST_LEAK, &size, sizeof(size))), 9 * MIB);
        pass_long(rig);
        pass_long(rig);
    }
    /* Three calls each; the last has been asked to leave, and may not have done so yet. */
    cr_assert_geq(__atomic_load_n(n_finished, __ATOMIC_SEQ_CST), 9);
    host_rig_destroy(rig);
}

/* Results take the rank's turns, in each of which it looks. */
Test(host_memory, process_is_replaced_between_short_calls_that_follow_each_other)
{
    enum { N = 4000 };
    struct host_rig *rig = create((struct host_options){.memory_bytes = 8 * MIB});
    uint64_t size = 16 * KIB, before = 0;
    int n_replaced = 0, n_over = 0;

    for (int i = 0; i < N; i++)
        host_call(rig, HOST_LEAK, &size, sizeof(size));
    host_start(rig);
    pass_time(rig);
    for (int i = 0; i < N; i++) {
        if (is_over_memory(&rig->tasks[i], "over its memory limit of 8.0 MiB: ")) {
            n_over++;
            continue;
        }
        cr_assert_leq(leaked_of(&rig->tasks[i]), 32 * MIB);
        n_replaced += leaked_of(&rig->tasks[i]) < before;
        before = leaked_of(&rig->tasks[i]);
    }
    cr_assert_gt(n_replaced, 0);
    /* At most one for each process, the last one included. */
    cr_assert_leq(n_over, n_replaced + 1);
    host_rig_destroy(rig);
}

Test(host_memory, input_that_is_too_large_fails_no_call_but_its_own)
{
    enum { SIZE = 16 << 20 };
    struct host_rig *rig = create((struct host_options){.memory_bytes = 8 * MIB});
    uint8_t *input = calloc(SIZE, 1);

    for (int i = 0; i < 3; i++) {
        host_call(rig, HOST_ECHO, "abc", 3);
        host_call(rig, HOST_SUM, input, SIZE);
    }
    host_start(rig);
    pass_time(rig);
    /* The call is over in no time, perhaps in less than it takes to see what it has. */
    for (int i = 0; i < 3; i++) {
        const struct host_task *sum = &rig->tasks[2 * i + 1];

        cr_assert(host_ended(&rig->tasks[2 * i], MPIFARM_CAUSE_NONE, 0, "abc"));
        cr_assert_eq(sum->n_results, 1);
        cr_assert(sum->cause == MPIFARM_CAUSE_NONE || is_over_memory(sum, "over its memory"));
    }
    free(input);
    host_rig_destroy(rig);
}

/* What the init hook takes. */
static int take_much(struct mpifarm *farm, void *user)
{
    static uint8_t *volatile table;

    table = malloc(16 * MIB);
    memset(table, 1, 16 * MIB);
    return 0;
}

Test(host_memory, what_the_init_hook_has_taken_is_not_counted)
{
    struct host_rig *rig =
        create((struct host_options){.memory_bytes = 8 * MIB, .init = take_much});
    pid_t pid = *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;

    for (int i = 0; i < 3; i++) {
        pass_long(rig);
        cr_assert_eq(*(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data, pid);
    }
    host_rig_destroy(rig);
}
