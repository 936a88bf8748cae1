/* Functions of a module as attempts: in the process itself, in executor processes, beside commands.
 */
#include "exec/fake.h"
#include "exec/function_executor.h"
#include "exec/mixed_executor.h"

#include "base/clock.h"
#include "base/command.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

/* What became of an attempt. */
struct end {
    bool is_told;
    uint32_t slot;
    struct mf_outcome outcome;
    char text[MF_N_STREAMS][256];
    uint64_t size[MF_N_STREAMS];
};

/* Each test is a process of its own. */
static struct mf_loop *loop;
static struct mf_modules *modules;
static struct mf_executor *executor;
static struct end ends[32];
static unsigned n_ended, n_suspended, n_continued, n_saved;
static int64_t ran_ns;
static char saved[64];
static char broken[1024];

static void on_event(void *arg, const struct mf_executor_event *event)
{
    struct end *end = &ends[event->task];

    if (event->kind == MF_EXECUTOR_BROKEN) {
        snprintf(broken, sizeof(broken), "%s", event->error->text);
        return;
    }
    cr_assert(!end->is_told);
    if (event->kind == MF_EXECUTOR_SUSPENDED) {
        n_suspended++;
        ran_ns = event->ran_ns;
        return;
    }
    if (event->kind == MF_EXECUTOR_CONTINUED) {
        n_continued++;
        return;
    }
    if (event->kind == MF_EXECUTOR_SAVED) {
        n_saved++;
        snprintf(saved, sizeof(saved), "%.*s", (int)event->saved_size, (const char *)event->saved);
        return;
    }
    cr_assert_eq(event->kind, MF_EXECUTOR_ENDED);
    end->is_told = true;
    end->slot = event->slot;
    end->outcome = *event->outcome;
    for (int i = 0; i < MF_N_STREAMS && event->output; i++) {
        end->size[i] = mf_output_size(event->output, (enum mf_stream)i);
        cr_assert_geq(mf_output_read(event->output, (enum mf_stream)i, 0, end->text[i],
                                     sizeof(end->text[i]) - 1),
                      0);
    }
    mf_output_close(event->output);
    n_ended++;
}

static void load(bool is_isolated)
{
    const char *path = getenv("T_MODULE");
    struct mf_error err = {0};

    cr_assert_eq(mf_modules_load(&path, 1, is_isolated, &modules, &err), 0, "%s", err.text);
}

/* Two slots, numbered 11 and 12. */
static int make(bool is_isolated, uint64_t limit)
{
    struct mf_slot slots[] = {{.number = 11}, {.number = 12}};
    struct mf_nursery nursery = {.fd = -1};
    struct mf_function_executor_config config = {
        .nursery = is_isolated ? &nursery : NULL, .output_limit_bytes = limit, .fn = on_event};

    load(is_isolated);
    if (is_isolated)
        cr_assert_eq(mf_nursery_fork(&nursery, NULL), 0);
    cr_assert_eq(mf_loop_create(&loop), 0);
    config.modules = modules;
    config.loop = loop;
    cr_assert_eq(mf_function_executor_create(&config, &executor), 0);
    return executor->ops->configure(executor, slots, 2, 3, "");
}

static void set_up(void)
{
    cr_assert_eq(make(true, UINT64_MAX), 0);
}

static void tear_down(void)
{
    executor->ops->destroy(executor);
    mf_loop_destroy(loop);
    mf_modules_destroy(modules);
}

static int give_with(mf_task_id task, uint32_t slot, const char *function, const char *input,
                     int64_t timeout_ns, uint64_t mem_bytes)
{
    struct mf_command command = {
        .id = "x", .seq = 40 + task, .function = function, .n_args = 1, .args = &input};
    struct mf_buffer bytes = {0};
    struct mf_start start = {.task = task,
                             .attempt = 1,
                             .try_number = 1,
                             .n_slots = 1,
                             .slots = &slot,
                             .mem_bytes = mem_bytes,
                             .timeout_ns = timeout_ns};
    int r;

    mf_command_encode(&command, &bytes);
    start.command = bytes.data;
    start.command_size = bytes.size;
    r = executor->ops->start(executor, &start);
    mf_buffer_finish(&bytes);
    return r;
}

static int give(mf_task_id task, uint32_t slot, const char *function, const char *input,
                int64_t timeout_ns)
{
    return give_with(task, slot, function, input, timeout_ns, 0);
}

static void wait_for(unsigned n)
{
    for (;;) {
        cr_assert_eq(executor->ops->flush(executor), 0);
        if (n_ended >= n)
            return;
        cr_assert_geq(mf_loop_wait(loop, 60 * MF_NS_PER_S), 1, "nothing happens");
    }
}

static const struct end *run(const char *function, const char *input)
{
    mf_task_id task = n_ended + 1;

    cr_assert_eq(give(task, 0, function, input, 0), 0);
    wait_for(n_ended + 1);
    return &ends[task];
}

TestSuite(function_executor, .init = set_up, .fini = tear_down);

Test(function_executor, a_result_is_the_output)
{
    const struct end *end = run("t_sum", "3 4");

    cr_assert_eq(end->outcome.cause, MF_CAUSE_NONE);
    cr_assert_str_eq(end->text[MF_STDOUT], "7\n");
    cr_assert_eq(end->size[MF_STDERR], 0);
    cr_assert_eq(end->outcome.slot, 11);
    cr_assert_eq(end->slot, 0);
    cr_assert_gt(end->outcome.duration_ns, 0);
    cr_assert_lt(end->outcome.duration_ns, 10 * MF_NS_PER_S);
    cr_assert_gt(end->outcome.started_wall_ns, 0);
}

Test(function_executor, nothing_in_and_nothing_out)
{
    cr_assert_str_eq(run("t_echo", "")->text[MF_STDOUT], "\n");
    cr_assert_eq(run("t_fail", "0")->size[MF_STDOUT], 0);
}

Test(function_executor, what_is_printed_comes_before_the_result_and_belongs_to_its_task)
{
    cr_assert_str_eq(run("t_print", "1")->text[MF_STDOUT], "printed 1\nwritten\n");
    cr_assert_str_eq(run("t_echo", "x")->text[MF_STDOUT], "x\n");
    cr_assert_str_eq(run("t_print", "2")->text[MF_STDOUT], "printed 2\nwritten\n");
}

Test(function_executor, a_failure_says_why)
{
    const struct end *end = run("t_print_and_fail", "5");

    cr_assert_eq(end->outcome.cause, MF_CAUSE_EXIT);
    cr_assert_eq(end->outcome.exit_status, 7);
    cr_assert_str_eq(end->outcome.detail, "as asked");
    cr_assert_str_eq(end->text[MF_STDOUT], "printed 5\n");
    cr_assert_str_eq(end->text[MF_STDERR], "as asked\nwith a second line\n");
}

Test(function_executor, a_code_is_an_exit_status_other_than_0)
{
    cr_assert_eq(run("t_fail", "255")->outcome.exit_status, 255);
    cr_assert_eq(run("t_fail", "256")->outcome.exit_status, 255);
    cr_assert_eq(run("t_fail", "-22")->outcome.exit_status, 1);
}

Test(function_executor, a_crash_is_a_signal_and_the_next_runs)
{
    const struct end *end = run("t_crash", "");

    cr_assert_eq(end->outcome.cause, MF_CAUSE_SIGNAL);
    cr_assert_eq(end->outcome.signal, 11);
    cr_assert_eq(end->outcome.exit_status, 139);
    cr_assert(strstr(end->text[MF_STDERR], "t_crash"), "%s", end->text[MF_STDERR]);
    cr_assert_str_eq(run("t_sum", "1 1")->text[MF_STDOUT], "2\n");
}

Test(function_executor, ending_the_process_fails_whatever_the_status)
{
    cr_assert_eq(run("t_exit", "3")->outcome.exit_status, 3);
    cr_assert_eq(run("t_exit", "0")->outcome.cause, MF_CAUSE_EXIT);
    cr_assert_eq(ends[2].outcome.exit_status, 1);
    cr_assert(strstr(ends[2].outcome.detail, "ended its process"));
}

Test(function_executor, a_time_limit_ends_it)
{
    cr_assert_eq(give(1, 0, "t_hang", "", 50 * MF_NS_PER_MS), 0);
    wait_for(1);
    cr_assert_eq(ends[1].outcome.cause, MF_CAUSE_TIMEOUT);
    cr_assert_eq(ends[1].outcome.signal, 9);
    cr_assert_geq(ends[1].outcome.duration_ns, 50 * MF_NS_PER_MS);
}

Test(function_executor, a_time_limit_asks_it_to_stop_first)
{
    mf_task_id task = 0;

    /* On a busy machine it may not get to see that before it is killed. */
    do {
        cr_assert_eq(give(++task, 1, "t_obey", "", 50 * MF_NS_PER_MS), 0);
        wait_for((unsigned)task);
        cr_assert_eq(ends[task].outcome.cause, MF_CAUSE_TIMEOUT);
    } while (ends[task].outcome.signal == 9 && task < 30);
    cr_assert_eq(ends[task].outcome.exit_status, 4);
    cr_assert_str_eq(ends[task].text[MF_STDERR], "stopped as asked\n");
}

Test(function_executor, one_over_its_memory_is_ended_and_the_next_runs)
{
    char text[300];

    /* Once there is a process, what it has is known before the function begins. */
    run("t_echo", "");
    cr_assert_eq(give_with(2, 0, "t_use", "200", 0, 100 * MIB), 0);
    wait_for(2);
    cr_assert_eq(ends[2].outcome.cause, MF_CAUSE_MEMORY);
    mf_outcome_describe(&ends[2].outcome, text, sizeof(text));
    cr_assert(strstr(text, "over its memory of 100.0 MiB (used ") == text, "%s", text);
    cr_assert_str_eq(run("t_echo", "again")->text[MF_STDOUT], "again\n");
}

Test(function_executor, one_within_its_memory_goes_on)
{
    cr_assert_eq(give_with(1, 0, "t_use", "40", 0, 100 * MIB), 0);
    wait_for(1);
    cr_assert_str_eq(ends[1].text[MF_STDOUT], "used\n");
}

Test(function_executor, what_another_function_has_left_is_not_charged)
{
    cr_assert_str_eq(run("t_leave", "200")->text[MF_STDOUT], "left\n");
    cr_assert_eq(give_with(2, 0, "t_use", "40", 0, 100 * MIB), 0);
    wait_for(2);
    cr_assert_str_eq(ends[2].text[MF_STDOUT], "used\n");
    cr_assert_eq(give_with(3, 0, "t_use", "200", 0, 100 * MIB), 0);
    wait_for(3);
    cr_assert_eq(ends[3].outcome.cause, MF_CAUSE_MEMORY);
}

Test(function_executor, what_is_ended_has_the_cause_that_was_given)
{
    cr_assert_eq(give(1, 0, "t_obey", "", 0), 0);
    cr_assert_eq(executor->ops->flush(executor), 0);
    executor->ops->end(executor, 1, 1, MF_CAUSE_STOPPED);
    executor->ops->end(executor, 9, 1, MF_CAUSE_STOPPED);
    wait_for(1);
    cr_assert_eq(ends[1].outcome.cause, MF_CAUSE_STOPPED);
}

Test(function_executor, a_slot_has_one_process)
{
    char first[32], second[32];

    for (mf_task_id task = 1; task < 9; task += 2) {
        cr_assert_eq(give(task, 0, "t_process", "", 0), 0);
        cr_assert_eq(give(task + 1, 1, "t_process", "", 0), 0);
        wait_for((unsigned)task + 1);
        if (task == 1) {
            strcpy(first, ends[1].text[MF_STDOUT]);
            strcpy(second, ends[2].text[MF_STDOUT]);
        }
        cr_assert_str_eq(ends[task].text[MF_STDOUT], first);
        cr_assert_str_eq(ends[task + 1].text[MF_STDOUT], second);
    }
    cr_assert_str_neq(first, second);
}

Test(function_executor, one_that_waits_for_its_slot_lets_another_pass)
{
    cr_assert_eq(give(1, 0, "t_crash", "", 0), 0);
    wait_for(1);
    /* Slot 0 may have no process yet. */
    cr_assert_eq(give(2, 0, "t_echo", "a", 0), 0);
    cr_assert_eq(give(3, 1, "t_echo", "b", 0), 0);
    wait_for(3);
    cr_assert_eq(ends[2].outcome.slot, 11);
    cr_assert_eq(ends[3].outcome.slot, 12);
}

Test(function_executor, large_results_arrive)
{
    const struct end *end = run("t_fill", "3000000");

    cr_assert_eq(end->outcome.cause, MF_CAUSE_NONE);
    cr_assert_eq(end->size[MF_STDOUT], 3000000);
    cr_assert_eq(end->outcome.produced_bytes[MF_STDOUT], 3000000);
}

Test(function_executor, a_module_has_a_task_and_no_farm)
{
    cr_assert_str_eq(run("t_ask", "x")->text[MF_STDOUT],
                     "spawn 1, checkpoint 1, block 0, tag 41, aligned 1, user 0\n");
    cr_assert_eq(run("t_hooks", "")->outcome.cause, MF_CAUSE_NONE);
}

Test(function_executor, what_cannot_be_started_is_refused)
{
    struct mf_start staged = {.task = 1, .attempt = 1};

    cr_assert(!executor->can_stage);
    cr_assert_eq(executor->ops->start(executor, &staged), -EINVAL);
    cr_assert_eq(give(1, 2, "t_echo", "", 0), -EINVAL);
    cr_assert_eq(give(1, 0, "t_ehco", "", 0), -ENOSYS);
    cr_assert_eq(give(1, 0, NULL, "true", 0), -EINVAL);
    cr_assert_eq(give(1, 0, "t_echo", "", 0), 0);
    cr_assert_eq(give(2, 0, "t_echo", "", 0), -EEXIST);
    wait_for(1);
}

/* --- yielding: t_meet goes from checkpoint to checkpoint until there is a file --- */

static char meeting[64];

static char *file_of(const char *name)
{
    char *path = NULL;

    cr_assert_geq(asprintf(&path, "%s/%s", meeting, name), 0);
    return path;
}

static void touch(const char *name)
{
    FILE *file = fopen(file_of(name), "w");

    cr_assert(file);
    fclose(file);
}

/* A function that has begun, and goes on until "go" is there. */
static void begin_meeting(mf_task_id task, uint32_t slot, const char *name, int64_t timeout_ns)
{
    char *path = file_of(name), *input = NULL;

    cr_assert_geq(asprintf(&input, "%s %s/go", path, meeting), 0);
    cr_assert_eq(give(task, slot, "t_meet", input, timeout_ns), 0);
    while (access(path, F_OK) < 0) {
        cr_assert_eq(executor->ops->flush(executor), 0);
        cr_assert_geq(mf_loop_wait(loop, MF_NS_PER_MS), 0);
    }
}

static void set_up_meeting(void)
{
    set_up();
    strcpy(meeting, "/tmp/mpifarm-meeting-XXXXXX");
    cr_assert(mkdtemp(meeting));
}

static void tear_down_meeting(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", meeting);
    cr_assert_eq(system(command), 0);
    tear_down();
}

static void wait_suspended(unsigned n)
{
    while (n_suspended < n) {
        cr_assert_eq(executor->ops->flush(executor), 0);
        if (n_suspended < n)
            cr_assert_geq(mf_loop_wait(loop, 60 * MF_NS_PER_S), 1, "nothing happens");
    }
}

static void suspend(mf_task_id task)
{
    unsigned n = n_suspended;

    cr_assert_eq(executor->ops->suspend(executor, task, 1), MF_EXECUTOR_E_LATER);
    wait_suspended(n + 1);
}

static void resume(mf_task_id task, uint32_t slot)
{
    executor->ops->resume(executor, task, 1, &slot, 1);
}

TestSuite(function_yield, .init = set_up_meeting, .fini = tear_down_meeting);

Test(function_yield, a_function_leaves_its_slot_at_a_checkpoint_and_goes_on_later)
{
    begin_meeting(1, 0, "a", 0);
    suspend(1);
    cr_assert_gt(ran_ns, 0);
    /* What comes into the slot runs, and can be given to it before the other has ended. */
    cr_assert_eq(give(2, 0, "t_echo", "between", 0), 0);
    wait_for(1);
    cr_assert_str_eq(ends[2].text[MF_STDOUT], "between\n");
    resume(1, 0);
    cr_assert_eq(n_continued, 1);
    touch("go");
    wait_for(2);
    cr_assert_eq(ends[1].outcome.cause, MF_CAUSE_NONE);
    cr_assert_eq(ends[1].slot, 0);
    cr_assert_geq(ends[1].outcome.duration_ns, ran_ns);
}

Test(function_yield, it_goes_on_in_another_slot_too)
{
    begin_meeting(1, 0, "a", 0);
    begin_meeting(2, 1, "b", 0);
    suspend(1);
    suspend(2);
    begin_meeting(3, 0, "c", 0);
    resume(1, 1);
    cr_assert_eq(give(4, 1, "t_echo", "", 0), -EEXIST);
    touch("go");
    wait_for(2);
    cr_assert_eq(ends[1].outcome.slot, 12);
    cr_assert_eq(ends[3].outcome.slot, 11);
    cr_assert(!ends[2].is_told);
    resume(2, 0);
    wait_for(3);
    cr_assert_eq(ends[2].outcome.slot, 11);
}

Test(function_yield, one_that_is_suspended_can_be_ended)
{
    begin_meeting(1, 0, "a", 0);
    suspend(1);
    begin_meeting(2, 0, "b", 0);
    executor->ops->end(executor, 1, 1, MF_CAUSE_STOPPED);
    wait_for(1);
    cr_assert(ends[1].is_told && !ends[2].is_told);
    cr_assert_eq(ends[1].outcome.cause, MF_CAUSE_STOPPED);
    cr_assert_str_eq(ends[1].text[MF_STDERR], "stopped as asked\n");
    touch("go");
    wait_for(2);
}

Test(function_yield, one_that_is_asked_and_ends_is_not_suspended)
{
    cr_assert_eq(give(1, 0, "t_obey", "", 0), 0);
    cr_assert_eq(executor->ops->suspend(executor, 1, 1), MF_EXECUTOR_E_LATER);
    executor->ops->end(executor, 1, 1, MF_CAUSE_STOPPED);
    wait_for(1);
    cr_assert_eq(n_suspended, 0);
    cr_assert_eq(executor->ops->suspend(executor, 1, 1), 0);
    resume(1, 0);
    cr_assert_eq(n_continued, 0);
    cr_assert_str_eq(run("t_echo", "x")->text[MF_STDOUT], "x\n");
}

Test(function_yield, the_end_of_the_executor_ends_what_is_suspended)
{
    char text[32] = "";
    FILE *file;

    begin_meeting(1, 0, "a", 0);
    suspend(1);
    executor->ops->destroy(executor);
    executor = NULL;
    file = fopen(file_of("a"), "r");
    cr_assert(file && fgets(text, sizeof(text), file));
    fclose(file);
    while (kill((pid_t)atoi(text), 0) == 0)
        usleep(1000);
    /* For what comes after the test. */
    mf_loop_destroy(loop);
    mf_modules_destroy(modules);
    cr_assert_eq(make(true, UINT64_MAX), 0);
}

Test(function_yield, what_a_failing_function_saved_last_is_told_before_its_end)
{
    const struct end *end = run("t_save", "");

    cr_assert_eq(end->outcome.cause, MF_CAUSE_SIGNAL);
    cr_assert_str_eq(saved, "1");
    cr_assert_leq(n_saved, 3);
}

Test(function_yield, a_function_gets_what_an_earlier_try_saved)
{
    static const char *const input = "";
    struct mf_command command = {.id = "x", .function = "t_save", .n_args = 1, .args = &input};
    struct mf_buffer bytes = {0};
    uint32_t slot = 0;

    mf_command_encode(&command, &bytes);
    cr_assert_eq(executor->ops->start(executor, &(struct mf_start){.task = 1,
                                                                   .attempt = 1,
                                                                   .try_number = 3,
                                                                   .n_slots = 1,
                                                                   .slots = &slot,
                                                                   .saved = (const uint8_t *)"12",
                                                                   .saved_size = 2,
                                                                   .command = bytes.data,
                                                                   .command_size = bytes.size}),
                 0);
    mf_buffer_finish(&bytes);
    wait_for(1);
    cr_assert_str_eq(ends[1].text[MF_STDOUT], "123");
}

Test(function_yield, what_it_saves_has_a_limit)
{
    cr_assert_eq(run("t_save_too_much", "")->outcome.cause, MF_CAUSE_NONE);
}

/* --- set up in other ways --- */

Test(function_executor_else, without_isolation_they_run_in_this_process, .fini = tear_down)
{
    char pid[32];

    cr_assert_eq(make(false, UINT64_MAX), 0);
    snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
    cr_assert_eq(give(1, 0, "t_process", "", 0), 0);
    cr_assert_eq(give(2, 1, "t_sum", "x", 0), 0);
    wait_for(2);
    cr_assert_str_eq(ends[1].text[MF_STDOUT], pid);
    cr_assert_str_eq(ends[2].text[MF_STDERR], "\"x\" is not two numbers\n");
}

Test(function_executor_else, output_over_the_limit_is_dropped, .fini = tear_down)
{
    cr_assert_eq(make(true, 1000), 0);
    cr_assert_eq(run("t_fill", "5000")->outcome.dropped_bytes[MF_STDOUT], 4000);
    cr_assert_lt(ends[1].size[MF_STDOUT], 1100);
}

static void refuse_hook(bool is_isolated)
{
    setenv("T_REFUSE", "1", 1);
    cr_assert_eq(make(is_isolated, UINT64_MAX), -ECANCELED);
    cr_assert(strstr(broken, "mpifarm_module_init() refused"), "%s", broken);
    cr_assert_eq(give(1, 0, "t_echo", "", 0), -EPIPE);
}

Test(function_executor_else, a_hook_that_refuses_breaks_it, .fini = tear_down)
{
    refuse_hook(true);
}

Test(function_executor_else, a_hook_that_refuses_breaks_it_without_isolation, .fini = tear_down)
{
    refuse_hook(false);
}

/* --- modules --- */

static const char *load_error(const char *path)
{
    static struct mf_error err;

    cr_assert_eq(mf_modules_load(&path, 1, true, &modules, &err), -ELIBACC);
    return err.text;
}

Test(modules, what_cannot_be_loaded_is_named)
{
    cr_assert(strstr(load_error("./no-such.so"), "./no-such.so"));
    cr_assert(strstr(load_error("/dev/null"), "/dev/null"));
}

Test(modules, only_functions_that_a_module_defines_are_found)
{
    struct mf_error err;

    load(true);
    cr_assert_geq(mf_modules_find(modules, "t_echo"), 0);
    cr_assert_eq(mf_modules_check(modules, "t_echo", &err), 0);
    cr_assert_eq(mf_modules_find(modules, "printf"), -ENOENT);
    cr_assert_eq(mf_modules_find(modules, "n_inits"), -ENOENT);
    cr_assert_eq(mf_modules_find(modules, "mpifarm_module_init"), -ENOENT);
    cr_assert_eq(mf_modules_find(modules, "mpifarm_write"), -ENOENT);
    cr_assert_eq(mf_modules_check(modules, "t_ehco", &err), -ENOENT);
    cr_assert_str_eq(err.text, "no module has a function \"t_ehco\": did you mean \"t_echo\"?");
    cr_assert_eq(mf_modules_check(modules, "zzzzzz", &err), -ENOENT);
    cr_assert_str_eq(err.text, "no module has a function \"zzzzzz\"");
    mf_modules_destroy(modules);
}

Test(modules, of_functions_of_the_same_name_the_first_counts)
{
    const char *paths[] = {getenv("T_MODULE"), getenv("T_MODULE_LINKED")};
    struct mf_error err = {0};

    cr_assert_eq(mf_modules_load(paths, 2, true, &modules, &err), 0, "%s", err.text);
    cr_assert_geq(mf_modules_find(modules, "t_echo"), 0);
    mf_modules_destroy(modules);
}

/* --- commands and functions --- */

Test(mixed, each_kind_goes_to_its_part_and_the_first_break_is_the_last_word)
{
    struct mf_slot slots[] = {{.number = 1}, {.number = 2}};
    struct mf_executor *commands, *functions;

    cr_assert_eq(mf_mixed_executor_create(on_event, NULL, &executor), 0);
    cr_assert_eq(
        mf_fake_executor_create(NULL, mf_mixed_executor_heard, executor, NULL, NULL, &commands), 0);
    cr_assert_eq(
        mf_fake_executor_create(NULL, mf_mixed_executor_heard, executor, NULL, NULL, &functions),
        0);
    mf_mixed_executor_set_parts(executor, commands, functions);
    cr_assert_eq(executor->ops->configure(executor, slots, 2, 0, ""), 0);
    cr_assert(!executor->can_stage);
    cr_assert_eq(give(1, 0, NULL, "true", 0), 0);
    cr_assert_eq(give(2, 1, "t_echo", "", 0), 0);
    mf_fake_executor_advance(functions, 0);
    cr_assert(ends[2].is_told && !ends[1].is_told);
    cr_assert_eq(executor->ops->flush(executor), 0);
    mf_fake_executor_break(functions, "over");
    mf_fake_executor_advance(commands, 0);
    cr_assert_str_eq(broken, "over");
    cr_assert(!ends[1].is_told);
    cr_assert_eq(give(3, 0, NULL, "true", 0), -EPIPE);
    cr_assert_eq(executor->ops->flush(executor), -EPIPE);
    executor->ops->destroy(executor);
}
