/* Calls in executor processes that go well. */
#include "host_rig.h"

#include "base/clock.h"
#include "exec/channel.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void run_many(uint32_t n_executors, uint32_t unit_calls, uint64_t n_units)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = n_executors});

    for (uint64_t u = 0; u < n_units; u++) {
        for (uint32_t i = 0; i < unit_calls; i++) {
            uint64_t number = rig->n_tasks;

            host_call(rig, HOST_DOUBLE, &number, sizeof(number));
        }
        host_start(rig);
    }
    host_wait_all(rig);
    for (uint64_t t = 0; t < rig->n_tasks; t++) {
        cr_assert_eq(rig->tasks[t].n_results, 1);
        cr_assert_eq(rig->tasks[t].size, 8);
        cr_assert_eq(*(uint64_t *)rig->tasks[t].data, 2 * t);
    }
    cr_assert(!rig->caller->ops->is_busy(rig->caller));
    host_rig_destroy(rig);
}

Test(host, single_calls_of_one_executor_are_right)
{
    run_many(1, 1, 5000);
}

Test(host, units_of_many_sizes_are_right)
{
    run_many(1, 63, 50);
    run_many(1, 64, 50);
    run_many(1, 65, 50);
    run_many(1, 20000, 2);
}

Test(host, results_that_are_alike_share_entries)
{
    int *is_done =
        mmap(NULL, sizeof(*is_done), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct host_rig *rig = host_rig_create((struct host_options){.user = is_done});
    const uint64_t n = 200, size = 8;

    for (uint64_t i = 0; i < n; i++)
        host_call(rig, i == n / 2 ? HOST_FAIL : HOST_DOUBLE, &i, sizeof(i));
    host_call(rig, HOST_GROW, &size, sizeof(size));
    host_start(rig);
    host_turn(rig);
    /* All of them are there when the rank looks. */
    while (!__atomic_load_n(is_done, __ATOMIC_SEQ_CST))
        usleep(100);
    host_wait_all(rig);
    for (uint64_t i = 0; i < n; i++) {
        cr_assert_eq(rig->tasks[i].n_results, 1);
        cr_assert_eq(rig->tasks[i].code, i == n / 2 ? 3 : 0);
        cr_assert(i == n / 2 || *(uint64_t *)rig->tasks[i].data == 2 * i);
    }
    cr_assert_lt(rig->entries_bytes, n * sizeof(struct mf_entry_header));
    host_rig_destroy(rig);
    munmap(is_done, sizeof(*is_done));
}

Test(host, calls_of_a_stretch_may_have_anything_but_small_results_in_between)
{
    const uint64_t sizes[] = {8, 8, 100000, 8, 0, MF_CALL_LARGE_BYTES, MF_CALL_LARGE_BYTES + 1, 8};
    const uint64_t n_children[] = {0, 0, 3, 0, 1, 0};
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint64_t first = host_stretch(rig, HOST_GROW, sizes, sizeof(sizes[0]), 8);
    uint64_t parent, failed;

    host_start(rig);
    parent = host_stretch(rig, HOST_CHILDREN, n_children, sizeof(n_children[0]), 6);
    host_start(rig);
    failed = host_stretch(rig, HOST_FAIL, "onetwosix", 3, 3);
    host_start(rig);
    host_wait_all(rig);
    for (uint64_t i = 0; i < 8; i++) {
        cr_assert_eq(rig->tasks[first + i].n_results, 1);
        cr_assert_eq(rig->tasks[first + i].size, sizes[i]);
        cr_assert(sizes[i] == 0 ||
                  rig->tasks[first + i].data[sizes[i] - 1] == (uint8_t)(sizes[i] - 1));
    }
    for (uint64_t i = 0; i < 6; i++) {
        cr_assert_eq(rig->tasks[parent + i].n_results, 1);
        cr_assert_eq(rig->tasks[parent + i].n_children, n_children[i]);
    }
    cr_assert(host_ended(&rig->tasks[failed + 1], MPIFARM_CAUSE_FUNCTION, 3, "two"));
    cr_assert(host_ended(&rig->tasks[failed + 2], MPIFARM_CAUSE_FUNCTION, 3, "six"));
    host_rig_destroy(rig);
}

Test(host, calls_of_a_stretch_that_are_cancelled_do_not_run)
{
    int *is_open =
        mmap(NULL, sizeof(*is_open), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct host_rig *rig = host_rig_create((struct host_options){.user = is_open});
    uint64_t first = host_stretch(rig, HOST_GATE, "abcdefghij", 1, 10);
    uint64_t unit = host_start(rig);

    host_wait_pid(rig, first);
    rig->caller->ops->cancel(rig->caller, unit, 1, 1);
    rig->caller->ops->cancel(rig->caller, unit, 1, 8);
    __atomic_store_n(is_open, 1, __ATOMIC_SEQ_CST);
    host_wait_all(rig);
    for (uint64_t i = 0; i < 10; i++) {
        cr_assert_eq(rig->tasks[first + i].n_results, 1);
        cr_assert_eq(rig->tasks[first + i].code, i == 1 || i == 8 ? ECANCELED : 0);
    }
    host_rig_destroy(rig);
    munmap(is_open, sizeof(*is_open));
}

Test(host, three_executors_share_units)
{
    run_many(3, 1, 5000);
    run_many(3, 200, 100);
}

Test(host, every_executor_gets_work)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 3});
    uint64_t tasks[3];
    pid_t pids[3];

    for (int i = 0; i < 3; i++) {
        tasks[i] = host_call(rig, HOST_OBEY, NULL, 0);
        host_start(rig);
    }
    for (int i = 0; i < 3; i++)
        pids[i] = host_wait_pid(rig, tasks[i]);
    cr_assert(pids[0] != pids[1] && pids[1] != pids[2] && pids[0] != pids[2]);
    for (uint32_t i = 0; i < 3; i++)
        rig->caller->ops->cancel(rig->caller, i + 1, 1, 0);
    host_wait_all(rig);
    host_rig_destroy(rig);
}

Test(host, unit_that_waits_behind_a_long_one_moves_to_a_free_executor)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    uint64_t last;

    /* Short calls, so that both executors get units ahead. */
    for (int i = 0; i < 20000; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    host_wait_all(rig);
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    host_call(rig, HOST_NULL, NULL, 0);
    host_call(rig, HOST_NULL, NULL, 0);
    last = host_start(rig);
    host_wait_pid(rig, rig->n_tasks - 4);
    host_wait_pid(rig, rig->n_tasks - 3);
    cr_assert(!rig->units[last].is_over);
    rig->caller->ops->cancel(rig->caller, last - 1, 1, 0);
    host_wait(rig, last);
    cr_assert(!rig->units[last - 2].is_over);
    rig->caller->ops->cancel(rig->caller, last - 2, 1, 0);
    host_wait_all(rig);
    host_rig_destroy(rig);
}

Test(host, no_input_and_no_result)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    cr_assert(host_ended(host_run(rig, HOST_ECHO, NULL, 0), MPIFARM_CAUSE_NONE, 0, ""));
    cr_assert(host_ended(host_run(rig, HOST_ECHO, "", 1), MPIFARM_CAUSE_NONE, 0, ""));
    host_rig_destroy(rig);
}

Test(host, failure_has_code_and_message)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    cr_assert(
        host_ended(host_run(rig, HOST_FAIL, "no luck", 7), MPIFARM_CAUSE_FUNCTION, 3, "no luck"));
    host_rig_destroy(rig);
}

Test(host, large_inputs_and_results_pass_through_small_memory)
{
    enum { SIZE = 5 << 20 };
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    uint8_t *input = malloc(SIZE);
    uint64_t grow = SIZE;
    struct host_task *task;

    for (size_t i = 0; i < SIZE; i++)
        input[i] = (uint8_t)(i * 7);
    task = host_run(rig, HOST_ECHO, input, SIZE);
    cr_assert_eq(task->size, SIZE);
    cr_assert_eq(memcmp(task->data, input, SIZE), 0);

    /* Among small ones in a unit, and in several units at a time. */
    for (int u = 0; u < 4; u++) {
        host_call(rig, HOST_NULL, NULL, 0);
        host_call(rig, HOST_ECHO, input, 100000);
        host_call(rig, HOST_GROW, &grow, sizeof(grow));
        host_call(rig, HOST_ECHO, "abc", 3);
        host_start(rig);
    }
    host_wait_all(rig);
    for (uint64_t t = 1; t < rig->n_tasks; t += 4) {
        cr_assert_eq(rig->tasks[t + 1].size, 100000);
        cr_assert_eq(memcmp(rig->tasks[t + 1].data, input, 100000), 0);
        cr_assert_eq(rig->tasks[t + 2].size, SIZE);
        cr_assert_eq(rig->tasks[t + 2].data[SIZE - 1], (uint8_t)(SIZE - 1));
        cr_assert_str_eq((char *)rig->tasks[t + 3].data, "abc");
    }
    free(input);
    host_rig_destroy(rig);
}

Test(host, inputs_just_below_the_limit_fill_the_ring_many_times)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    static uint8_t input[MF_CALL_LARGE_BYTES];

    for (size_t i = 0; i < sizeof(input); i++)
        input[i] = (uint8_t)(i % 251);
    for (int i = 0; i < 50; i++)
        host_call(rig, HOST_ECHO, input, sizeof(input) - (size_t)i);
    host_start(rig);
    host_wait_all(rig);
    for (uint64_t t = 0; t < 50; t++) {
        cr_assert_eq(rig->tasks[t].size, sizeof(input) - t);
        cr_assert_eq(memcmp(rig->tasks[t].data, input, rig->tasks[t].size), 0);
    }
    host_rig_destroy(rig);
}

Test(host, children_come_with_their_parents)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    struct host_task *task = host_run(rig, HOST_CHILD, "x", 1);

    cr_assert_eq(task->n_children, 2);
    cr_assert_eq(task->cause, MPIFARM_CAUSE_NONE);
    host_rig_destroy(rig);
}

Test(host, checkpoints_come_out_and_go_in)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    host_call(rig, HOST_NULL, NULL, 0);
    host_call_with(rig, HOST_SAVE, "half", 4, 0, "quarter");
    host_start(rig);
    host_wait_all(rig);
    cr_assert_str_eq((char *)rig->tasks[1].saved, "half");
    cr_assert_str_eq((char *)rig->tasks[1].data, "quarter");
    host_rig_destroy(rig);
}

Test(host, large_checkpoints_come_out_whole)
{
    const size_t size = ((size_t)1 << 20) + 3;
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint8_t *bytes = malloc(size);

    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 >> 3);
    host_call(rig, HOST_SAVE, bytes, size);
    host_call(rig, HOST_SAVE, bytes, MF_CALL_LARGE_BYTES + 1);
    host_call(rig, HOST_SAVE, bytes, MF_CALL_LARGE_BYTES);
    host_start(rig);
    host_wait_all(rig);
    cr_assert_eq(rig->tasks[0].saved_size, size);
    cr_assert_eq(rig->tasks[1].saved_size, MF_CALL_LARGE_BYTES + 1);
    cr_assert_eq(rig->tasks[2].saved_size, MF_CALL_LARGE_BYTES);
    for (int i = 0; i < 3; i++)
        cr_assert(memcmp(rig->tasks[i].saved, bytes, rig->tasks[i].saved_size) == 0);
    free(bytes);
    host_rig_destroy(rig);
}

/* In shared memory, since the hooks run elsewhere. */
static int *shared_int(void)
{
    int *number =
        mmap(NULL, sizeof(*number), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(number, MAP_FAILED);
    return number;
}

static int add_one(struct mpifarm *farm, void *user)
{
    __atomic_add_fetch((int *)user, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static void add_hundred(struct mpifarm *farm, void *user)
{
    __atomic_add_fetch((int *)user, 100, __ATOMIC_SEQ_CST);
}

Test(host, hooks_run_once_in_each_executor)
{
    int *number = shared_int();
    struct host_rig *rig = host_rig_create((struct host_options){
        .n_executors = 3, .init = add_one, .finish = add_hundred, .user = number});

    cr_assert_eq(*number, 3);
    cr_assert_eq(*(int *)host_run(rig, HOST_HOOK, NULL, 0)->data, 3);
    rig->caller->ops->stop(rig->caller);
    cr_assert_eq(*number, 303);
    host_rig_destroy(rig);
}

static void finish_late(struct mpifarm *farm, void *user)
{
    usleep(1100000);
    add_hundred(farm, user);
}

/* The call that hangs is given a second, and no more because of the other executor. */
Test(host, finish_hook_may_take_longer_than_a_call_that_does_not_end)
{
    int *number = shared_int();
    struct host_rig *rig = host_rig_create(
        (struct host_options){.n_executors = 2, .finish = finish_late, .user = number});

    host_call(rig, HOST_HANG, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, 0);
    rig->caller->ops->stop(rig->caller);
    cr_assert_eq(*number, 100);
    host_rig_destroy(rig);
}

Test(host, executors_run_on_the_processors_of_their_slot)
{
    uint32_t cpu = 1;
    cpu_set_t set;
    struct host_rig *rig;
    pid_t pid;

    cr_assert_eq(sched_getaffinity(0, sizeof(set), &set), 0);
    if (!CPU_ISSET(1, &set))
        cpu = 0;
    rig = host_rig_create((struct host_options){.cpu = &cpu});
    pid = *(pid_t *)host_run(rig, HOST_PID, NULL, 0)->data;
    cr_assert_eq(sched_getaffinity(pid, sizeof(set), &set), 0);
    cr_assert_eq(CPU_COUNT(&set), 1);
    cr_assert(CPU_ISSET(cpu, &set));
    host_rig_destroy(rig);
}

Test(host, recalled_unit_that_waits_is_returned_at_once)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint64_t busy, waiting;

    host_call(rig, HOST_OBEY, NULL, 0);
    busy = host_start(rig);
    host_wait_pid(rig, 0);
    host_call(rig, HOST_NULL, NULL, 0);
    waiting = host_start(rig);
    rig->caller->ops->recall(rig->caller, waiting, 1);
    cr_assert(rig->units[waiting].is_returned);
    rig->caller->ops->recall(rig->caller, waiting, 1);
    rig->caller->ops->cancel(rig->caller, busy, 1, 0);
    host_wait(rig, busy);
    host_rig_destroy(rig);
}

Test(host, recalled_unit_that_was_sent_ahead_is_returned_at_once)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});

    for (int i = 0; i < 20000; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    host_wait_all(rig);
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    for (int i = 0; i < 100; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, 20000);
    rig->caller->ops->recall(rig->caller, 3, 1);
    cr_assert(rig->units[3].is_returned);
    cr_assert_eq(rig->units[3].n_reported, 0);
    rig->caller->ops->cancel(rig->caller, 2, 1, 0);
    host_wait_all(rig);
    cr_assert_eq(host_run(rig, HOST_ECHO, "abc", 3)->size, 3);
    host_rig_destroy(rig);
}

Test(host, told_to_stop_inside_of_its_turn_it_stops_after_that)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});

    rig->stops_at_checkpoint = true;
    for (int i = 0; i < 3; i++) {
        host_call(rig, HOST_OBEY, NULL, 0);
        host_start(rig);
    }
    host_wait_saved(rig, 2);
    cr_assert_gt(rig->caller->ops->process(rig->caller, 1), 0);
    cr_assert_eq(rig->caller->ops->turn(rig->caller, 0), 0);
    rig->caller->ops->stop(rig->caller);
    cr_assert_eq(rig->caller->ops->process(rig->caller, 1), 0);
    cr_assert(!rig->tasks[2].saved, "nothing more was begun");
    host_rig_destroy(rig);
}

Test(host, unit_recalled_in_its_middle_ends_with_the_call_that_runs)
{
    struct host_rig *rig = host_rig_create((struct host_options){.stands_still = true});
    struct host_unit *unit;

    for (int i = 0; i < 100; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_call(rig, HOST_OBEY, NULL, 0);
    for (int i = 0; i < 1000; i++)
        host_call(rig, HOST_NULL, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, 100);
    rig->caller->ops->recall(rig->caller, 1, 1);
    cr_assert(!rig->units[1].is_over);
    rig->caller->ops->cancel(rig->caller, 1, 1, 100);
    unit = host_wait(rig, 1);
    cr_assert(unit->is_returned);
    cr_assert_eq(unit->n_reported, 101);
    cr_assert(host_ended(&rig->tasks[100], MPIFARM_CAUSE_FUNCTION, 7, "as asked"));

    /* What was taken back must not be in the way of what follows. */
    cr_assert_eq(host_run(rig, HOST_ECHO, "abc", 3)->size, 3);
    host_rig_destroy(rig);
}

Test(host, unit_recalled_in_its_last_call_just_ends)
{
    struct host_rig *rig = host_rig_create((struct host_options){.stands_still = true});

    host_call(rig, HOST_NULL, NULL, 0);
    host_call(rig, HOST_OBEY, NULL, 0);
    host_start(rig);
    host_wait_pid(rig, 1);
    rig->caller->ops->recall(rig->caller, 1, 1);
    rig->caller->ops->cancel(rig->caller, 1, 1, 1);
    cr_assert(!host_wait(rig, 1)->is_returned);
    host_rig_destroy(rig);
}

Test(host, cancelled_calls_that_have_not_begun_do_not_run)
{
    struct host_rig *rig = host_rig_create((struct host_options){.stands_still = true});

    host_call(rig, HOST_OBEY, NULL, 0);
    host_call(rig, HOST_HANG, NULL, 0);
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    host_wait_pid(rig, 0);
    rig->caller->ops->cancel(rig->caller, 1, 1, 1);
    host_call(rig, HOST_HANG, NULL, 0);
    host_start(rig);
    rig->caller->ops->cancel(rig->caller, 2, 1, 0);
    rig->caller->ops->cancel(rig->caller, 2, 1, 99);
    rig->caller->ops->cancel(rig->caller, 3, 1, 0);
    rig->caller->ops->cancel(rig->caller, 1, 1, 0);
    host_wait_all(rig);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_FUNCTION, 7, "as asked"));
    cr_assert(host_ended(&rig->tasks[1], MPIFARM_CAUSE_FUNCTION, ECANCELED, ""));
    cr_assert(host_ended(&rig->tasks[2], MPIFARM_CAUSE_NONE, 0, "abc"));
    cr_assert(host_ended(&rig->tasks[3], MPIFARM_CAUSE_FUNCTION, ECANCELED, ""));
    cr_assert(!rig->tasks[1].saved && !rig->tasks[3].saved);
    host_rig_destroy(rig);
}

static struct mf_block_place make_block(void)
{
    struct mf_block_place place;

    cr_assert_eq(mf_block_create("shared", 6, &place), 0);
    return place;
}

static int attach(struct host_rig *rig, const struct mf_block_place *place, size_t size)
{
    return rig->caller->ops->attach(rig->caller, 5, place, size);
}

Test(host, blocks_are_seen_from_when_they_are_attached_until_they_are_dropped)
{
    struct host_rig *rig = host_rig_create((struct host_options){.n_executors = 2});
    struct mf_block_place place = make_block();

    cr_assert_eq(host_run(rig, HOST_BLOCK, NULL, 0)->code, 9);
    cr_assert_eq(attach(rig, &place, 6), 0);
    cr_assert(host_ended(host_run(rig, HOST_BLOCK, NULL, 0), MPIFARM_CAUSE_NONE, 0, "shared"));
    host_run(rig, HOST_ABORT, NULL, 0);
    cr_assert(host_ended(host_run(rig, HOST_BLOCK, NULL, 0), MPIFARM_CAUSE_NONE, 0, "shared"));
    rig->caller->ops->drop(rig->caller, 5);
    cr_assert_eq(host_run(rig, HOST_BLOCK, NULL, 0)->code, 9);
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(attach(rig, &place, 6), 0);
        cr_assert(host_ended(host_run(rig, HOST_BLOCK, NULL, 0), MPIFARM_CAUSE_NONE, 0, "shared"));
        rig->caller->ops->drop(rig->caller, 5);
    }
    close((int)place.fd);
    host_rig_destroy(rig);
}

Test(host, replacements_see_blocks_that_whoever_made_them_has_closed)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    struct mf_block_place place = make_block();
    struct mf_block_place other = {place.pid, place.fd, place.key + 1};

    cr_assert_eq(attach(rig, &other, 6), -ENOENT);
    cr_assert_eq(attach(rig, &place, 7), -EINVAL);
    cr_assert_eq(attach(rig, &place, 6), 0);
    cr_assert(host_ended(host_run(rig, HOST_BLOCK, NULL, 0), MPIFARM_CAUSE_NONE, 0, "shared"));
    close((int)place.fd);
    for (int i = 0; i < 2; i++) {
        host_run(rig, HOST_ABORT, NULL, 0);
        cr_assert(host_ended(host_run(rig, HOST_BLOCK, NULL, 0), MPIFARM_CAUSE_NONE, 0, "shared"));
    }
    rig->caller->ops->drop(rig->caller, 5);
    host_run(rig, HOST_ABORT, NULL, 0);
    cr_assert_eq(host_run(rig, HOST_BLOCK, NULL, 0)->code, 9);
    host_rig_destroy(rig);
}

Test(host, large_input_of_another_size_is_refused)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    struct mf_call call = {.function = HOST_ECHO,
                           .size = MF_CALL_LARGE_BYTES + 1,
                           .is_large = true,
                           .details = {.try_number = 1}};
    struct mf_buffer bytes = {0};
    struct mf_caller_unit unit = {.unit = 9, .attempt = 1, .n_calls = 1};

    mf_call_put(&bytes, &call);
    unit.calls = bytes.data;
    unit.size = bytes.size;
    rig->larges[0] = malloc(3);
    rig->large_sizes[0] = 3;
    rig->n_larges = 1;
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -EPROTO);
    mf_buffer_finish(&bytes);
    host_rig_destroy(rig);
}

/* The executor had nothing to do from some moment of the first call on. */
Test(host, times_are_those_of_the_functions)
{
    struct host_rig *rig = host_rig_create((struct host_options){.stands_still = true});
    int64_t begun_ns = mf_clock_monotonic_ns(), before_ns, after_ns;

    host_run(rig, HOST_NULL, NULL, 0);
    before_ns = mf_clock_monotonic_ns();
    host_call_with(rig, HOST_OBEY, NULL, 0, 20 * MF_NS_PER_MS, NULL);
    host_start(rig);
    host_wait_all(rig);
    after_ns = mf_clock_monotonic_ns();
    cr_assert_geq(rig->units[2].duration_ns, 20 * MF_NS_PER_MS);
    cr_assert_leq(rig->units[2].duration_ns, after_ns - before_ns);
    cr_assert_gt(rig->units[2].idle_ns, 0);
    cr_assert_leq(rig->units[2].idle_ns, after_ns - begun_ns);
    host_rig_destroy(rig);
}

Test(host, input_that_there_was_no_memory_for_fails_its_call_alone)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    static uint8_t input[100000];

    rig->large_error = -ENOMEM;
    host_call(rig, HOST_ECHO, "abc", 3);
    host_call(rig, HOST_ECHO, input, sizeof(input));
    host_call(rig, HOST_ECHO, "abc", 3);
    host_start(rig);
    host_wait_all(rig);
    cr_assert(host_ended(&rig->tasks[0], MPIFARM_CAUSE_NONE, 0, "abc"));
    cr_assert_eq(rig->tasks[1].cause, MPIFARM_CAUSE_MEMORY);
    cr_assert(host_ended(&rig->tasks[2], MPIFARM_CAUSE_NONE, 0, "abc"));
    host_rig_destroy(rig);
}

Test(host, calls_that_cannot_be_are_refused)
{
    struct host_rig *rig = host_rig_create((struct host_options){0});
    uint8_t bytes[16] = {0};
    struct mf_caller_unit unit = {.unit = 9, .attempt = 1, .n_calls = 1, .calls = bytes};

    for (unit.size = 0; unit.size < sizeof(bytes); unit.size++)
        cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -EBADMSG);
    unit.n_calls = 2;
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -EBADMSG);
    unit.n_calls = 1;
    bytes[12] = HOST_N_FUNCTIONS;
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -EBADMSG);
    bytes[12] = HOST_ECHO;
    bytes[14] = MF_CALL_IS_LARGE;
    cr_assert_eq(rig->caller->ops->start(rig->caller, &unit), -ENOENT);
    cr_assert(!rig->caller->ops->is_busy(rig->caller));
    host_rig_destroy(rig);
}
