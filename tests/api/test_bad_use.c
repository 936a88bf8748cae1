/*
 * What is used wrongly, or to its limits: a documented error or a clear message,
 * and never a hang. Runs bad_use.c under each launcher.
 */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a program that does not end would be cut off at. */
#define LIMIT "timeout -k 1 100 "

static void begin(void)
{
    const char *options = getenv("ASAN_OPTIONS");
    char text[512];

    t_enter_dir();
    unsetenv("MPIFARM_ISOLATE");
    unsetenv("MPIFARM_EXECUTOR_MEMORY");
    /* Open MPI leaves memory behind in modules that it has unloaded, where nothing can name it. */
    snprintf(text, sizeof(text), "%s:detect_leaks=0", options ? options : "");
    setenv("ASAN_OPTIONS", text, 1);
}

TestSuite(bad_use, .init = begin, .fini = t_leave_dir);

static const char *const mpirun = "mpirun --oversubscribe --bind-to none";

/* The program without a launcher (0), or with that many ranks. */
static struct t_result run(int ranks, const char *arguments)
{
    if (ranks == 0)
        return t_sh(LIMIT "bad_use %s", arguments);
    return t_sh(LIMIT "%s -n %d bad_use %s", mpirun, ranks, arguments);
}

static bool has(const struct t_result *result, const char *format, int rank)
{
    char part[256];

    snprintf(part, sizeof(part), format, rank);
    return t_has(result->out, part);
}

Test(bad_use, functions_are_registered_once_each_and_with_a_name)
{
    struct t_result result = run(0, "registering");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "no function -22: function \"a\" cannot be registered"));
    cr_assert(t_has(result.out, "no name -22: "));
    cr_assert(t_has(result.out, "empty name -22: "));
    cr_assert(t_has(result.out, "long name -22: "));
    cr_assert(t_has(result.out, "longest name 0: "));
    cr_assert(t_has(result.out, "taken name -17: "));
    cr_assert(t_has(result.out, "lookup 0: "));
    cr_assert(t_has(result.out, "lookup of none -2: "));
}

/* All ranks return -EPROTO, and the sentence names rank and function. */
static void expect_difference(const char *names, const char *function)
{
    char arguments[256];
    struct t_result result;

    snprintf(arguments, sizeof(arguments), "differing '%s'", names);
    result = run(3, arguments);
    cr_assert(ne(int, result.status, 0));
    cr_assert(ne(int, result.status, 124));
    for (int rank = 0; rank < 3; rank++)
        cr_assert(has(&result, "rank %d: start -71: ", rank), "%s", result.out);
    cr_assert(t_has(result.out, "rank 1 "), "%s", result.out);
    cr_assert(t_has(result.out, function), "%s", result.out);
}

Test(bad_use, ranks_that_registered_other_functions_do_not_start)
{
    expect_difference("one other", "\"other\"");
}

Test(bad_use, ranks_that_registered_fewer_functions_do_not_start)
{
    expect_difference("one", "\"two\"");
}

Test(bad_use, ranks_that_registered_more_functions_do_not_start)
{
    expect_difference("one two three", "\"three\"");
}

Test(bad_use, ranks_that_registered_in_another_order_do_not_start)
{
    expect_difference("two one", "\"two\"");
}

/* How many lines give that result, of those that try_client_calls() prints. */
static int count_results(const char *text, int r)
{
    char part[32];
    int n = 0;

    snprintf(part, sizeof(part), " %d: ", r);
    for (const char *at = text; (at = strstr(at, part)); at++)
        n++;
    return n;
}

Test(bad_use, client_calls_before_the_start_are_refused)
{
    struct t_result result = run(0, "before_start");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(int, count_results(result.out, -22), 19), "%s", result.out);
    cr_assert(t_has(result.out, "submit -22: mpifarm_submit() was called before mpifarm_start()"));
    cr_assert(t_has(result.out, "count -22: mpifarm_count() was called before mpifarm_start()"));
}

Test(bad_use, client_calls_before_the_start_are_refused_on_every_rank)
{
    struct t_result result = run(2, "before_start");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(int, count_results(result.out, -22), 19), "%s", result.out);
    cr_assert(eq(int, count_results(result.out, -1), 19), "%s", result.out);
}

Test(bad_use, calls_without_a_farm_are_refused)
{
    struct t_result result = run(0, "without_a_farm");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(int, count_results(result.out, -22), 19 + 4), "%s", result.out);
    cr_assert(t_has(result.out, "rank 0 of 0: there is no farm"), "%s", result.out);
}

Test(bad_use, client_calls_on_a_worker_are_refused)
{
    struct t_result result = run(3, "on_workers");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(int, count_results(result.out, -1), 2 * 19), "%s", result.out);
    cr_assert(t_has(result.out, "was called on rank 2: only rank 0 may"), "%s", result.out);
    cr_assert(t_has(result.out, "mpifarm_count() was called on rank 2"), "%s", result.out);
}

Test(bad_use, nothing_is_registered_or_started_after_the_start)
{
    static const int ranks[] = {0, 2};

    for (int i = 0; i < 2; i++) {
        struct t_result result = run(ranks[i], "after_start");

        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        for (int rank = 0; rank < (ranks[i] ? 2 : 1); rank++) {
            cr_assert(has(&result, "rank %d: register -22: ", rank), "%s", result.out);
            cr_assert(has(&result, "rank %d: hooks -22: ", rank));
            cr_assert(has(&result, "rank %d: start -22: mpifarm_start() was called twice", rank));
        }
    }
}

Test(bad_use, mpi_must_not_be_in_use_already)
{
    static const int ranks[] = {0, 1, 2};

    for (int i = 0; i < 6; i++) {
        struct t_result result;

        setenv("MPIFARM_ISOLATE", i < 3 ? "0" : "1", 1);
        result = run(ranks[i % 3], "init_after_mpi");
        cr_assert(eq(int, result.status, 0), "%d ranks: %s%s", ranks[i % 3], result.out,
                  result.err);
        cr_assert(t_has(result.out, "init -114: "), "%s", result.out);
        cr_assert(t_has(result.out, "forks 0: "), "%s", result.out);
        cr_assert(t_has(result.err, "MPI"), "the reason is told");
    }
}

/* Without a launcher there is no MPI that could be started but once. */
Test(bad_use, a_process_has_one_farm_over_mpi)
{
    static const int ranks[] = {0, 1, 2};

    for (int i = 0; i < 3; i++) {
        struct t_result result = run(ranks[i], "init_twice");

        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        cr_assert(t_has(result.out, i > 0 ? "second init -114: " : "second init 0: "), "%s",
                  result.out);
        cr_assert(t_has(result.out, i > 0 ? "init after finish -114: " : "init after finish 0: "),
                  "%s", result.out);
    }
}

Test(bad_use, mpi_is_told_of_threads_that_the_program_says_it_has)
{
    struct t_result with = run(2, "threads yes"), without = run(2, "threads no");

    cr_assert(has(&with, "rank %d: threads 1", 0) && has(&with, "rank %d: threads 1", 1), "%s",
              with.out);
    cr_assert(has(&without, "rank %d: threads 0", 0) && has(&without, "rank %d: threads 0", 1),
              "%s", without.out);
}

Test(bad_use, options_that_make_no_sense_are_refused_and_told)
{
    struct t_result result = run(0, "wrong_options");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(int, count_results(result.out, -22), 9));
    cr_assert(t_has(result.out, "init to nowhere -22: "));
    cr_assert(t_has(result.out, "right 0: "), "%s", result.out);
    cr_assert(t_has(result.err, "n_executors"));
    cr_assert(t_has(result.out, "finish of none 0: "));
    cr_assert(t_has(result.err, "isolation"));
    cr_assert(t_has(result.err, "spin_ns"));
    cr_assert(t_has(result.err, "executor_memory_bytes is -1"), "%s", result.err);
    cr_assert(t_has(result.err, "executor_memory_bytes is 64"), "%s", result.err);
    cr_assert(t_has(result.err, "MPIFARM_EXECUTOR_MEMORY is \"much\""), "%s", result.err);
    cr_assert(t_has(result.err, "MPIFARM_EXECUTOR_MEMORY is \"64\""), "%s", result.err);
}

Test(bad_use, a_worker_whose_hook_refuses_leaves_and_is_reported)
{
    static const char *const isolate[] = {"0", "1"};

    for (int i = 0; i < 2; i++) {
        struct t_result result;

        setenv("MPIFARM_ISOLATE", isolate[i], 1);
        result = run(3, "hook_refuses");
        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        cr_assert(t_has(result.out, "drain 0: "), "%s", result.out);
        cr_assert(t_has(result.out, "done 100 workers 1 "), "%s", result.out);
        cr_assert(t_has(result.err, "rank 1"), "%s", result.err);
        cr_assert(t_has(result.err, "hook"), "%s", result.err);
    }
}

Test(bad_use, a_quiet_farm_writes_no_warnings)
{
    struct t_result result = run(3, "hook_refuses_quietly");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(t_has(result.out, "done 100 workers 1 slots 1"), "%s", result.out);
    cr_assert(not(t_has(result.err, "hook")), "%s", result.err);
}

Test(bad_use, without_any_worker_nothing_waits_for_ever)
{
    static const int ranks[] = {0, 1, 3};

    for (int i = 0; i < 3; i++) {
        struct t_result result = run(ranks[i], "all_hooks_refuse");

        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        cr_assert(t_has(result.out, "drain -113: "), "%s", result.out);
        cr_assert(t_has(result.out, "progress -113: "), "%s", result.out);
        cr_assert(t_has(result.out, "submit -113: no worker is left"), "%s", result.out);
        cr_assert(t_has(result.out, "broadcast -113: "), "%s", result.out);
        cr_assert(t_has(result.out, "done 0 workers 0 slots 0"), "%s", result.out);
    }
}

Test(bad_use, hooks_run_once_before_and_after_all_tasks_of_a_worker)
{
    static const struct {
        int ranks, n;
    } cases[] = {{0, 1}, {1, 1}, {4, 3}};

    for (int i = 0; i < 3; i++) {
        struct t_result result = run(cases[i].ranks, "hooks log");
        char *log;

        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        log = t_read("log");
        cr_assert(eq(int, t_count_lines(log, "init"), cases[i].n), "%s", log);
        cr_assert(eq(int, t_count_lines(log, "finish"), cases[i].n), "%s", log);
        cr_assert(not(t_has(log, "another")));
        cr_assert(eq(int, count_results(result.out, -1), cases[i].n), "%s", result.out);
        t_sh("rm log");
    }
}

Test(bad_use, hooks_run_in_each_executor)
{
    struct t_result result;
    char *log;

    setenv("MPIFARM_ISOLATE", "1", 1);
    result = run(3, "hooks log");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    log = t_read("log");
    cr_assert(t_count_lines(log, "init") >= 2, "%s", log);
    cr_assert(eq(int, t_count_lines(log, "finish"), t_count_lines(log, "init")), "%s", log);
    cr_assert(not(t_has(log, "another")));
    cr_assert(t_has(result.out, "submit in a hook -1: "), "%s", result.out);
}

/* Whose hooks take longer than a function gets to return. */
static void expect_patience(const char *isolate)
{
    struct t_result result;
    char *log;

    setenv("MPIFARM_ISOLATE", isolate, 1);
    result = run(3, "slow_hooks log");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    cr_assert(eq(str, result.err, ""));
    log = t_read("log");
    cr_assert(eq(int, t_count_lines(log, "begun"), 2), "%s", log);
    cr_assert(eq(int, t_count_lines(log, "finished"), 2), "%s", log);
}

Test(bad_use, hooks_take_as_long_as_they_like)
{
    expect_patience("0");
}

Test(bad_use, hooks_of_executors_take_as_long_as_they_like)
{
    expect_patience("1");
}

/* No process of this test is there any more; they are known by the path of their log. */
static void expect_nobody_left(void)
{
    struct t_result result = t_sh("for i in $(seq 1000); do pgrep -f \"[b]ad_use .*$PWD/log\" || "
                                  "exit 0; sleep 0.1; done >/dev/null; exit 1");

    cr_assert(eq(int, result.status, 0), "processes are left");
}

Test(bad_use, a_function_that_never_returns_aborts_the_program_at_the_end)
{
    struct t_result result =
        t_sh("begin=$(date +%%s); " LIMIT "%s -n 2 bad_use stuck $PWD/log; status=$?; "
             "echo took $(($(date +%%s) - begin)); exit $status",
             mpirun);
    const char *took = strstr(result.out, "took ");

    cr_assert(ne(int, result.status, 0));
    cr_assert(ne(int, result.status, 124));
    cr_assert(t_has(result.err, "rank 1 "), "%s", result.err);
    cr_assert(t_has(result.err, "\"never_returns\""), "%s", result.err);
    cr_assert(took && atoi(took + 5) >= 4, "%s", result.out);
    expect_nobody_left();
}

Test(bad_use, an_isolated_function_that_never_returns_is_ended_with_its_executor)
{
    static const int ranks[] = {0, 2};

    setenv("MPIFARM_ISOLATE", "1", 1);
    for (int i = 0; i < 2; i++) {
        char arguments[128];
        struct t_result result;

        snprintf(arguments, sizeof(arguments), "stuck $PWD/log");
        result = run(ranks[i], arguments);
        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        expect_nobody_left();
        t_sh("rm log");
    }
}

Test(bad_use, a_client_that_exits_without_finishing_ends_all)
{
    static const char *const isolate[] = {"0", "1"};

    for (int i = 0; i < 2; i++) {
        struct t_result result;

        setenv("MPIFARM_ISOLATE", isolate[i], 1);
        result = run(3, "quit $PWD/log");
        cr_assert(ne(int, result.status, 124), "%s", result.err);
        cr_assert(ne(int, result.status, 0), "%s", result.err);
        expect_nobody_left();
        t_sh("rm log");
    }
}

Test(bad_use, a_client_that_is_killed_ends_all)
{
    static const char *const isolate[] = {"0", "1"};

    for (int i = 0; i < 2; i++) {
        struct t_result result;

        setenv("MPIFARM_ISOLATE", isolate[i], 1);
        result = run(3, "killed $PWD/log");
        cr_assert(ne(int, result.status, 124), "%s", result.err);
        cr_assert(ne(int, result.status, 0), "%s", result.err);
        expect_nobody_left();
        t_sh("rm log");
    }
}

Test(bad_use, an_isolated_client_alone_leaves_no_process_when_it_is_killed)
{
    setenv("MPIFARM_ISOLATE", "1", 1);
    cr_assert(eq(int, run(0, "killed $PWD/log").status, 137));
    expect_nobody_left();
}

Test(bad_use, a_farm_can_end_with_tasks_left)
{
    static const int ranks[] = {0, 1, 3};

    for (int i = 0; i < 3; i++) {
        struct t_result result = run(ranks[i], "tasks_left abcdef");

        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
        cr_assert(eq(str, result.out, ""));
        cr_assert(eq(str, result.err, ""));
    }
}

Test(bad_use, a_farm_can_end_without_a_start)
{
    static const int ranks[] = {0, 2};

    for (int i = 0; i < 4; i++) {
        struct t_result result;

        setenv("MPIFARM_ISOLATE", i < 2 ? "0" : "1", 1);
        result = run(ranks[i % 2], "no_start");
        cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    }
}

Test(bad_use, a_worker_that_ends_without_a_start_is_not_waited_for)
{
    struct t_result result =
        t_sh("begin=$(date +%%s); " LIMIT "%s -n 3 bad_use no_start_on_1; status=$?; "
             "echo took $(($(date +%%s) - begin)); exit $status",
             mpirun);
    const char *took = strstr(result.out, "took ");

    cr_assert(ne(int, result.status, 124));
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    for (int rank = 0; rank < 3; rank += 2)
        cr_assert(has(&result,
                      "rank %d: start -71: rank 1 cannot take part: it has finished without "
                      "mpifarm_start()",
                      rank),
                  "%s", result.out);
    cr_assert(took && atoi(took + 5) < 30, "%s", result.out);
}

Test(bad_use, a_client_that_ends_without_a_start_is_not_waited_for)
{
    struct t_result result = run(3, "no_start_on_0");

    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
    for (int rank = 1; rank < 3; rank++)
        cr_assert(
            has(&result, "rank %d: start -71: rank 0 has finished without mpifarm_start()", rank),
            "%s", result.out);
}

Test(bad_use, the_options_say_how_often_tasks_are_tried)
{
    struct t_result result = run(2, "attempts");

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "status 1 attempts 3\nstatus 2 attempts 1\n"));
}

Test(bad_use, the_options_say_how_long_a_rank_looks_before_it_naps)
{
    struct t_result hardly = run(2, "naps 1"), ever = run(2, "naps 100000000000");
    int n_hardly = -1, n_ever = -1;

    cr_assert(eq(int, sscanf(hardly.out, "naps %d", &n_hardly), 1), "%s", hardly.err);
    cr_assert(eq(int, sscanf(ever.out, "naps %d", &n_ever), 1), "%s", ever.err);
    cr_assert(n_hardly >= 20, "%d naps", n_hardly);
    cr_assert(n_ever >= 0 && n_ever <= 5, "%d naps", n_ever);
}

Test(bad_use, the_options_say_how_many_executors_there_are)
{
    cr_assert(eq(str, run(0, "slots").out, "workers 1 slots 3 done 100\n"));
    cr_assert(eq(str, run(3, "slots").out, "workers 2 slots 6 done 100\n"));
}
