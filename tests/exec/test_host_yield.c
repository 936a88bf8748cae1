/* Calls that yield at a checkpoint: their processes sleep while others serve the slot. */
#include "host_rig.h"

#include "base/call.h"
#include "base/clock.h"
#include "exec/host.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HOUR_NS (3600 * MF_NS_PER_S)

/* What lets HOST_STEPS end. */
static int *gate;

static struct host_rig *create(struct host_options options)
{
    gate = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(gate, MAP_FAILED);
    options.user = gate;
    return host_rig_create(options);
}

static void open_gate(void)
{
    __atomic_store_n(gate, 1, __ATOMIC_SEQ_CST);
}

/* Starts a call of HOST_STEPS that has got somewhere; returns its process. Units are numbered as
 * they are started. */
static pid_t start_steps(struct host_rig *rig, int64_t timeout_ns)
{
    uint64_t task = host_call_with(rig, HOST_STEPS, NULL, 0, timeout_ns, NULL);

    host_start(rig);
    return host_wait_pid(rig, task);
}

static void ask(struct host_rig *rig, uint64_t unit)
{
    cr_assert_eq(rig->caller->ops->yield(rig->caller, unit, 1), 0);
}

static void wait_yielded(struct host_rig *rig, uint64_t unit, unsigned n)
{
    while (rig->units[unit].n_yielded < n) {
        cr_assert_eq(rig->n_broken, 0, "%s", rig->broken.text);
        cr_assert(!rig->units[unit].is_over, "it ended");
        host_turn(rig);
    }
    cr_assert_eq(rig->units[unit].n_yielded, n);
}

static void yield(struct host_rig *rig, uint64_t unit)
{
    unsigned n = rig->units[unit].n_yielded;

    ask(rig, unit);
    wait_yielded(rig, unit, n + 1);
}

static void go_on(struct host_rig *rig, uint64_t unit, uint32_t slot)
{
    rig->caller->ops->go_on(rig->caller, unit, 1, slot);
}

static pid_t find_pid(struct host_rig *rig)
{
    return *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;
}

static void wait_gone(pid_t pid)
{
    while (kill(pid, 0) == 0)
        usleep(100);
    cr_assert_eq(errno, ESRCH);
}

Test(host_yield, call_yields_its_slot_at_a_checkpoint_and_goes_on_in_its_process)
{
    struct host_rig *rig = create((struct host_options){0});
    pid_t pid = start_steps(rig, 0), other;

    yield(rig, 1);
    cr_assert_gt(rig->units[1].ran_ns, 0);
    other = find_pid(rig);
    cr_assert_neq(other, pid);
    cr_assert_eq(find_pid(rig), other);
    cr_assert(!rig->units[1].is_over);
    go_on(rig, 1, 1);
    open_gate();
    host_wait(rig, 1);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_NONE);
    cr_assert_eq(*(pid_t *)rig->tasks[0].data, pid);
    /* The slot is that process's again. */
    cr_assert_eq(find_pid(rig), pid);
    host_rig_destroy(rig);
}

Test(host_yield, there_are_as_many_processes_as_calls_have_yielded_at_a_time)
{
    struct host_rig *rig = create((struct host_options){0});
    pid_t first = start_steps(rig, 0), second, third;

    yield(rig, 1);
    second = start_steps(rig, 0);
    yield(rig, 2);
    third = find_pid(rig);
    cr_assert(third != first && third != second && second != first);
    for (int i = 0; i < 5; i++) {
        go_on(rig, 1 + i % 2, 1);
        yield(rig, 1 + i % 2);
        cr_assert_eq(find_pid(rig), third);
    }
    open_gate();
    for (uint64_t unit = 1; unit <= 2; unit++) {
        go_on(rig, unit, 1);
        host_wait(rig, unit);
    }
    cr_assert_eq(*(pid_t *)rig->tasks[0].data, first);
    cr_assert_eq(*(pid_t *)rig->tasks[1].data, second);
    host_rig_destroy(rig);
}

Test(host_yield, call_that_comes_to_no_checkpoint_runs_on_to_its_end)
{
    struct host_rig *rig = create((struct host_options){0});
    struct mf_host_memory *memory = host_find_memory();
    pid_t pid = find_pid(rig);

    host_call(rig, HOST_WAIT, NULL, 0);
    host_start(rig);
    ask(rig, 2);
    /* Until there is a spare process, and so it is asked in earnest. */
    while (atomic_load(&memory->portions[2].yielding) != MF_HOST_IS_TO_YIELD)
        host_turn(rig);
    open_gate();
    host_wait(rig, 2);
    cr_assert_eq(rig->units[2].n_yielded, 0);
    /* Nobody who comes after it is asked. */
    cr_assert_eq(find_pid(rig), pid);
    host_rig_destroy(rig);
}

Test(host_yield, call_that_is_over_is_not_asked)
{
    struct host_rig *rig = create((struct host_options){0});

    host_run(rig, HOST_NULL, NULL, 0);
    ask(rig, 1);
    ask(rig, 77);
    go_on(rig, 1, 1);
    cr_assert_eq(host_run(rig, HOST_NULL, NULL, 0)->cause, MPIFARM_CAUSE_NONE);
    host_rig_destroy(rig);
}

Test(host_yield, call_goes_on_in_the_slot_that_it_is_given)
{
    struct host_rig *rig = create((struct host_options){.n_executors = 2});
    pid_t first = start_steps(rig, 0), second = start_steps(rig, 0);

    yield(rig, 1);
    yield(rig, 2);
    /* Crosswise: both slots are free. */
    go_on(rig, 1, 2);
    go_on(rig, 2, 1);
    cr_assert_eq(rig->caller->ops->process(rig->caller, 2), first);
    cr_assert_eq(rig->caller->ops->process(rig->caller, 1), second);
    open_gate();
    host_wait_all(rig);
    cr_assert_eq(*(pid_t *)rig->tasks[0].data, first);
    host_rig_destroy(rig);
}

/* Whether a process is on one processor alone. */
static bool is_on(pid_t pid, uint32_t cpu)
{
    cpu_set_t set;

    cr_assert_eq(sched_getaffinity(pid, sizeof(set), &set), 0);
    return CPU_COUNT(&set) == 1 && CPU_ISSET(cpu, &set);
}

Test(host_yield, process_is_pinned_to_the_slot_that_it_serves)
{
    uint32_t cpus[2];
    struct host_rig *rig;
    cpu_set_t set;
    int n = 0;
    pid_t pid;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    if (CPU_COUNT(&set) < 2)
        cr_skip_test("there is one processor only");
    for (uint32_t cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET(cpu, &set))
            cpus[n++] = cpu;
    rig = create((struct host_options){.n_executors = 2, .cpus = cpus});
    pid = start_steps(rig, 0);
    start_steps(rig, 0);
    yield(rig, 1);
    yield(rig, 2);
    cr_assert(is_on(pid, cpus[0]));
    go_on(rig, 1, 2);
    while (!is_on(pid, cpus[1])) {
        (void)rig->caller->ops->turn(rig->caller, mf_clock_monotonic_ns());
        sched_yield();
    }
    host_rig_destroy(rig);
}

Test(host_yield, killed_process_of_a_call_that_has_yielded_is_that_calls_crash)
{
    struct host_rig *rig = create((struct host_options){0});
    pid_t pid = start_steps(rig, 0), other;

    yield(rig, 1);
    other = find_pid(rig);
    cr_assert_eq(kill(pid, SIGKILL), 0);
    host_wait(rig, 1);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_CRASHED);
    cr_assert_eq(rig->tasks[0].code, SIGKILL);
    cr_assert_eq(find_pid(rig), other);
    /* There is a place for the next one. */
    start_steps(rig, 0);
    yield(rig, rig->n_units);
    open_gate();
    go_on(rig, rig->n_units, 1);
    host_wait_all(rig);
    host_rig_destroy(rig);
}

Test(host_yield, killed_spare_process_is_replaced_when_one_is_needed)
{
    struct host_rig *rig = create((struct host_options){0});
    pid_t spare;

    start_steps(rig, 0);
    yield(rig, 1);
    spare = find_pid(rig);
    go_on(rig, 1, 1);
    cr_assert_eq(kill(spare, SIGKILL), 0);
    wait_gone(spare);
    yield(rig, 1);
    cr_assert_neq(find_pid(rig), spare);
    go_on(rig, 1, 1);
    open_gate();
    host_wait(rig, 1);
    cr_assert_eq(rig->n_broken, 0);
    host_rig_destroy(rig);
}

Test(host_yield, cancelled_call_that_has_yielded_is_asked_to_stop_and_needs_no_slot)
{
    struct host_rig *rig = create((struct host_options){0});
    uint64_t blocker;

    start_steps(rig, 0);
    yield(rig, 1);
    blocker = host_call(rig, HOST_GATE, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, blocker);
    rig->caller->ops->cancel(rig->caller, 1, 1, 0);
    host_wait(rig, 1);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_FUNCTION, 7, "as asked"));
    cr_assert(!rig->units[2].is_over);
    open_gate();
    host_wait_all(rig);
    host_rig_destroy(rig);
}

Test(host_yield, time_in_which_a_call_has_yielded_is_none_that_it_may_run)
{
    struct host_rig *rig = create((struct host_options){.stands_still = true});

    start_steps(rig, HOUR_NS);
    yield(rig, 1);
    rig->still_ns += 3 * HOUR_NS;
    for (int i = 0; i < 5; i++)
        (void)rig->caller->ops->turn(rig->caller, rig->still_ns);
    go_on(rig, 1, 1);
    rig->still_ns += HOUR_NS / 2;
    for (int i = 0; i < 5; i++)
        (void)rig->caller->ops->turn(rig->caller, rig->still_ns);
    open_gate();
    host_wait(rig, 1);
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_NONE);
    host_rig_destroy(rig);
}

Test(host_yield, call_that_goes_on_is_ended_when_its_time_is_over)
{
    struct host_rig *rig = create((struct host_options){.stands_still = true});

    start_steps(rig, HOUR_NS);
    yield(rig, 1);
    rig->still_ns += 3 * HOUR_NS;
    (void)rig->caller->ops->turn(rig->caller, rig->still_ns);
    go_on(rig, 1, 1);
    while (!rig->units[1].is_over) {
        rig->still_ns += HOUR_NS / 4;
        host_turn(rig);
    }
    cr_assert_eq(rig->tasks[0].cause, MPIFARM_CAUSE_TIMEOUT);
    host_rig_destroy(rig);
}

Test(host_yield, end_of_all_is_the_end_of_calls_that_have_yielded)
{
    struct host_rig *rig = create((struct host_options){0});
    pid_t pid = start_steps(rig, 0);

    yield(rig, 1);
    host_rig_destroy(rig);
    wait_gone(pid);
}

Test(host_yield, process_that_says_it_has_yielded_unasked_is_damaged)
{
    struct mf_entry_header header = {.kind = MF_HOST_ENTRY_YIELDED};
    struct host_rig *rig = create((struct host_options){0});
    const struct host_task *task = host_run(rig, HOST_FORGE, &header, sizeof(header));

    cr_assert_eq(task->cause, MPIFARM_CAUSE_CRASHED);
    host_rig_destroy(rig);
}
