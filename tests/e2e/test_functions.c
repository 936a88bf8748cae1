/* mpifarm run --module: functions of a library as tasks, as a user sees them. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The module of tests/support/module.c is ./t.so. */
static void enter(void)
{
    t_enter_dir();
    cr_assert(symlink(getenv("T_MODULE"), "t.so") == 0);
}

TestSuite(functions, .init = enter, .fini = t_leave_dir);

/* Runs tasks.txt, alone or on some ranks, with further options. */
static struct t_result run(int ranks, const char *options)
{
    return t_sh("%s run --module ./t.so %s tasks.txt", t_mpifarm(ranks), options);
}

static const char many[] =
    "[func=t_sum] 3 4\necho hello\n[func=t_echo]  some  \"quoted\" $x | text\n"
    "[func=t_print] 5\n[func=t_fill] 3\n[func=t_echo]\n"
    "[func=t_second_try retries=2]\n[func=t_crash_first retries=2]\n";
static const char many_out[] =
    "7\nhello\nsome  \"quoted\" $x | text\nprinted 5\nwritten\nxxx\nsecond\nsurvived\n";

static void expect_many(int ranks)
{
    struct t_result result;

    t_write("tasks.txt", "%s", many);
    result = run(ranks, "-k");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, (char *)many_out));
    cr_assert(t_has(result.err, "8 done, 2 retried"), "%s", result.err);
}

Test(functions, results_of_functions_and_commands_are_printed_in_order)
{
    expect_many(0);
}

Test(functions, the_same_under_mpirun)
{
    expect_many(3);
}

Test(functions, the_same_with_a_module_that_is_linked_with_the_library)
{
    t_write("tasks.txt", "%s", many);
    struct t_result result = t_sh("mpifarm run -k --module \"$T_MODULE_LINKED\" tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, (char *)many_out));
}

static void expect_failures(int ranks)
{
    struct t_result result;
    char *joblog;

    t_write("tasks.txt", "[func=t_sum] 3 x\n[func=t_crash]\n[func=t_exit] 5\n[func=t_exit] 0\n"
                         "[func=t_hang timeout=0.3]\n[func=t_fail] 300\n[func=t_sum] 1 1\n");
    result = run(ranks, "");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(eq(str, result.out, "2\n"));
    cr_assert(t_has(result.err, "1 done, 6 failed"), "%s", result.err);
    cr_assert(t_has(result.err, "1 (exit status 3: \"3 x\" is not two numbers): [func=t_sum] 3 x"),
              "%s", result.err);
    cr_assert(t_has(result.err, "2 (killed by signal 11"), "%s", result.err);
    cr_assert(t_has(result.err, "3 (exit status 5: it ended its process)"), "%s", result.err);
    cr_assert(t_has(result.err, "4 (exit status 1: it ended its process)"), "%s", result.err);
    cr_assert(t_has(result.err, "5 (over its time limit after"), "%s", result.err);
    cr_assert(t_has(result.err, "6 (exit status 255)"), "%s", result.err);
    joblog = t_read("mpifarm-run/joblog.tsv");
    cr_assert(t_has(joblog, "\t3\t0\t[func=t_sum] 3 x\n"), "%s", joblog);
    cr_assert(t_has(joblog, "\t0\t11\t[func=t_crash]\n"), "%s", joblog);
    result = t_sh("mpifarm logs mpifarm-run 1");
    cr_assert(t_has(result.err, "\"3 x\" is not two numbers\n"), "%s", result.err);
}

Test(functions, failures_have_their_causes)
{
    expect_failures(0);
}

Test(functions, failures_have_their_causes_under_mpirun)
{
    expect_failures(3);
}

Test(functions, what_is_printed_before_a_failure_is_kept)
{
    t_write("tasks.txt", "[func=t_print_and_fail] 4\n");
    struct t_result result = run(0, "");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.out, "printed 4\n"));
    cr_assert(t_has(result.err, "as asked\nwith a second line\n"), "%s", result.err);
}

Test(functions, resume_knows_a_function_from_a_command)
{
    t_write("tasks.txt", "[func=t_touch] 1\n[func=t_fail] 1\ntrue 1\n");
    cr_assert(eq(int, run(0, "").status, 1));
    t_write("tasks.txt", "true 1\n[func=t_touch] 2\n[func=t_touch] 1\n[func=t_fail] 1\n1\n");
    struct t_result result = run(0, "--resume");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, t_read("touched"), "1\n2\n"), "%s", result.err);
    cr_assert(t_has(t_read("mpifarm-run/joblog.tsv"), "\t127\t0\t1\n"));
    t_write("tasks.txt", "true 1\n[func=t_touch] 1\n[func=t_echo] 1\n");
    result = run(0, "--resume-failed");
    cr_assert(eq(str, result.out, "1\n"));
    cr_assert(eq(str, t_read("touched"), "1\n2\n"));
}

Test(functions, json_lines_carry_them)
{
    t_write("tasks.txt", "{\"func\": \"t_echo\", \"input\": \"a\\nb\"}\n{\"func\": \"t_echo\"}\n"
                         "{\"cmd\": \"echo c\", \"retries\": 2}\n"
                         "{\"func\": \"t_second_try\", \"retries\": 2, \"id\": \"again\"}\n");
    struct t_result result = run(0, "-k --tag");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "1\ta\n1\tb\n2\t\n3\tc\nagain\tsecond\n"));
}

Test(functions, without_isolation_they_run_in_the_rank)
{
    t_write("tasks.txt", "[func=t_process] a\n[func=t_process] b\necho c\n[func=t_fail] 4\n"
                         "[func=t_obey timeout=0.1]\n");
    struct t_result result = run(0, "-k --no-isolation");
    char *first = result.out, *second = strchr(first, '\n');

    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(second != NULL);
    cr_assert(eq(int, atoi(first), atoi(second)), "%s", result.out);
    cr_assert(t_has(result.out, "\nc\n"));
    cr_assert(t_has(result.err, "exit status 4"), "%s", result.err);
    cr_assert(t_has(result.err, "over its time limit"), "%s", result.err);
    cr_assert(eq(
        int, t_sh("%s run --force --no-isolation --module ./t.so tasks.txt", t_mpifarm(3)).status,
        1));
}

Test(functions, one_over_its_memory_is_ended_and_tried_again_with_more)
{
    t_write("tasks.txt", "[func=t_use mem=60M] 40\n[func=t_use mem=60M] 300\n");
    struct t_result result = run(0, "-k -j 1 --mem 4G --retries 2 --mem-retry x2");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(eq(str, result.out, "used\n"));
    cr_assert(t_has(result.err, "over its memory of 120.0 MiB (used "), "%s", result.err);
}

Test(functions, a_long_input_and_a_long_output_arrive)
{
    for (int ranks = 0; ranks <= 3; ranks += 3) {
        t_sh("(printf '[func=t_echo] '; head -c 1000000 /dev/zero | tr '\\0' x; echo; "
             "echo '[func=t_fill] 5000000') > tasks.txt");
        struct t_result result = run(ranks, "--force");
        cr_assert(eq(int, result.status, 0), "%s", result.err);
        cr_assert(eq(sz, result.out_size, 6000001));
    }
}

Test(functions, ten_thousand_are_run_once_each)
{
    t_sh("for i in $(seq 10000); do echo \"[func=t_sum] $i 0\"; done > tasks.txt");
    struct t_result result = run(3, "-k");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, t_sh("seq 10000").out));
}

Test(functions, halt_ends_what_runs)
{
    t_write("tasks.txt", "[func=t_hang]\n[func=t_sleep] 100\n[func=t_fail] 1\n");
    struct t_result result = run(0, "-j 3 --halt now,fail=1");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_has(result.err, "1 failed, 2 cancelled"), "%s", result.err);
}

Test(functions, signals_let_them_end_and_then_end_them)
{
    t_write("tasks.txt", "echo x > begun\n[func=t_pid_and_hang]\n");
    struct t_result result =
        t_sh("mpifarm run -j 2 --module ./t.so tasks.txt 2>err & await test -s pid; "
             "await grep -qs begun mpifarm-run/joblog.tsv; kill -TERM $!; "
             "await grep -q 'stopped by' err; kill -TERM $!; wait $!; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "1 done, 1 cancelled"), "%s", t_read("err"));
}

Test(functions, nothing_is_left_behind)
{
    t_write("tasks.txt", "[func=t_process]\n[func=t_process]\n[func=t_hang timeout=0.2]\n");
    struct t_result result = run(0, "-j 2");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    result =
        t_sh("for pid in %s; do is_alive $pid && echo alive; done; true", strtok(result.out, "\n"));
    cr_assert(eq(str, result.out, ""));
}

Test(functions, a_killed_rank_takes_its_executors_along)
{
    t_write("tasks.txt", "[func=t_pid_and_hang]\n");
    struct t_result result =
        t_sh("mpifarm run -j 1 --module ./t.so tasks.txt & await test -s pid; kill -KILL $!; "
             "while is_alive $(cat pid); do sleep 0.01; done");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(functions, hooks_run_in_each_process)
{
    t_write("tasks.txt", "[func=t_hooks]\n[func=t_hooks]\n");
    struct t_result result = t_sh("T_FINISHED=finished mpifarm run -j 2 --module ./t.so tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, t_read("finished"), "finished\nfinished\n"));
    result = t_sh("T_REFUSE=1 mpifarm run --force --module ./t.so tasks.txt");
    cr_assert(eq(int, result.status, 3));
    cr_assert(t_has(result.err, "./t.so: mpifarm_module_init() refused to work"), "%s", result.err);
}

Test(functions, dry_run_prints_them)
{
    t_write("tasks.txt", "[id=a func=t_touch timeout=3]   1 \"2\"\n");
    struct t_result result = run(0, "--dry-run");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "[func=t_touch] 1 \"2\"\n"));
    t_write("tasks.txt", "[func=t_tuoch]\n");
    result = run(0, "--dry-run");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "did you mean \"t_touch\"?"), "%s", result.err);
}

Test(functions, the_example_draws_a_symmetric_picture)
{
    struct t_result result = t_sh(
        "MPIFARM=mpifarm MODULE=\"$T_RENDER\" \"$T_SOURCE_DIR\"/jobs/plugin/run -q > picture && "
        "sed -n 2,25p picture > rows && tac rows | cmp - rows && wc -l < picture && "
        "grep -q @ rows && head -1 picture");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "26\nthe Mandelbrot set\n"), "%s", result.out);
}

/* --- bad input --- */

static void refuse(const char *options, const char *text, const char *sentence)
{
    struct t_result result;
    char line[1024];

    t_write("tasks.txt", "%s", text);
    result = t_sh("mpifarm run %s tasks.txt", options);
    snprintf(line, sizeof(line), "mpifarm: %s\n", sentence);
    cr_assert(eq(int, result.status, 2), "%s", result.err);
    cr_assert(eq(str, result.err, line));
    cr_assert(access("touched", F_OK) != 0 && access("mpifarm-run", F_OK) != 0);
}

Test(functions, bad_lines_are_refused_with_their_place)
{
    refuse("--module ./t.so", "[func=t_touch] 1\n\n[func=t_tuoch] 1\n",
           "tasks.txt:3: no module has a function \"t_tuoch\": did you mean \"t_touch\"?");
    refuse("--module ./t.so", "[func=t_touch] 1\n[func=printf] x\n",
           "tasks.txt:2: no module has a function \"printf\"");
    refuse("", "touch touched\n[func=t_touch] 1\n",
           "tasks.txt:2: function \"t_touch\" needs a module that has it: run with --module FILE");
    refuse("--module ./t.so", "[func=t_touch cores=2] 1\n",
           "tasks.txt:1: a function runs on one core, so cores=2 cannot be had: say cores=1");
    refuse("--module ./t.so", "[func=t_touch env=A=1] 1\n",
           "tasks.txt:1: env is for commands: a function runs in a process that it shares with "
           "others");
}

Test(functions, bad_modules_are_refused)
{
    refuse("--module ./no.so", "touch touched\n",
           "cannot load a module: ./no.so: cannot open shared object file: No such file or "
           "directory");
    refuse("--module t.so", "touch touched\n",
           "cannot load a module: t.so: cannot open shared object file: No such file or directory; "
           "the one in this directory is ./t.so");
    refuse("--module ./tasks.txt", "touch touched\n",
           "cannot load a module: ./tasks.txt: file too short");
    refuse("--module ''", "touch touched\n", "--module: the name of a library is missing");
    refuse("--no-isolation", "touch touched\n",
           "--no-isolation is about functions, and needs --module FILE");
    cr_assert(eq(int, t_sh("mpifarm map --module ./t.so echo ::: 1").status, 2));
}

Test(functions, bad_modules_are_told_once_over_mpi)
{
    t_write("tasks.txt", "touch touched\n");
    const char *const launchers[] = {t_mpifarm(3), "mpifarm"};
    const char *const options[] = {"", "--np 3"};

    for (int i = 0; i < 2; i++) {
        struct t_result result =
            t_sh("%s run %s --module ./no.so tasks.txt", launchers[i], options[i]);

        cr_assert(eq(int, result.status, 2), "%s", result.err);
        cr_assert(eq(int, t_count_lines(result.err, "mpifarm: cannot load a module: ./no.so: "), 1),
                  "%s", result.err);
        cr_assert(access("touched", F_OK) != 0);
    }
}

Test(functions, outputs_go_from_functions_to_commands_and_back)
{
    t_write("tasks.txt", "[id=sum func=t_sum] 3 4\n"
                         "expr 1 + $(cat {out:sum})\n"
                         "[func=t_echo] in {out:2} \\{out:2}\n");
    struct t_result result = run(0, "-k -q");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    result = t_sh("%s run --force --module ./t.so -k -q tasks.txt | "
                  "sed 's,/.*/mpifarm-[^/]*/,DIR/,'",
                  t_mpifarm(2));
    cr_assert(eq(str, result.out, "7\n8\nin DIR/out.2 {out:2}\n"), "%s", result.err);
}

/* The first try crashes, the second fails, and each adds to what the one before has saved. */
Test(functions, what_a_function_saves_is_given_to_its_next_try)
{
    struct t_result result;

    t_write("tasks", "[func=t_save retries=3]\n");
    result = t_sh("mpifarm run -q --module \"$T_MODULE\" tasks");
    cr_assert(eq(str, result.out, "123"), "%s", result.err);
    result = t_sh("%s run -q --module \"$T_MODULE\" --run-dir other tasks", t_mpifarm(3));
    cr_assert(eq(str, result.out, "123"), "%s", result.err);
}

Test(functions, what_it_saves_has_a_limit)
{
    struct t_result result;

    t_write("tasks", "[func=t_save_too_much]\n");
    result = t_sh("mpifarm run -q --module \"$T_MODULE\" tasks");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}
