/* {out:ID}: the output of a task as a file for another. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(outs, .init = t_enter_dir, .fini = t_leave_dir);

/* Files of these tests go to a directory of their own, in which none may be left. */
#define IN_SCRATCH "mkdir -p scratch; export TMPDIR=$PWD/scratch; "
#define NOTHING_LEFT "; ls scratch; ls mpifarm-run/out"

/* Alone, and with workers that are other processes. */
static int launches[] = {0, 3};

ParameterizedTestParameters(outs, a_command_reads_what_another_wrote)
{
    return cr_make_param_array(int, launches, 2);
}

ParameterizedTest(int *ranks, outs, a_command_reads_what_another_wrote)
{
    t_write("tasks.txt", "cat {out:words} {out:none} {out:5}\n"
                         "[id=words] printf 'b\\na b\\n'; echo noise >&2\n"
                         "[id=none] true\n"
                         "[id=last] echo \"$(wc -l < \"{out:words}\")\" '{out:1}' > last\n"
                         "sort -r {out:words}\n");
    struct t_result result =
        t_sh(IN_SCRATCH "%s run -k -q tasks.txt 2>/dev/null" NOTHING_LEFT, t_mpifarm(*ranks));
    cr_assert(eq(str, result.out, "b\na b\nb\na b\nb\na b\nb\na b\n"), "%s", result.err);
    result = t_sh("cut -c 1-2 last; cut -d/ -f 3- last | grep -c scratch/mpifarm-.*/out.1");
    cr_assert(eq(str, result.out, "2 \n1\n"));
}

ParameterizedTestParameters(outs, an_output_of_many_megabytes_is_whole)
{
    return cr_make_param_array(int, launches, 2);
}

ParameterizedTest(int *ranks, outs, an_output_of_many_megabytes_is_whole)
{
    t_write("tasks.txt", "[id=big] seq 4000000\n"
                         "cksum < {out:big} > sum.1\n"
                         "cksum < {out:big} > sum.2\n"
                         "[after=2,3] cksum < {out:big} > sum.3\n");
    struct t_result result =
        t_sh(IN_SCRATCH "%s run -q tasks.txt >printed" NOTHING_LEFT
                        "; seq 4000000 | cksum | cmp - sum.1 && cmp sum.1 sum.2 && "
                        "cmp sum.1 sum.3 && cksum < printed | cmp - sum.1 && echo same",
             t_mpifarm(*ranks));
    cr_assert(eq(str, result.out, "same\n"), "%s", result.err);
}

Test(outs, objects_repeats_and_functions_of_shells_take_outputs)
{
    t_write("a.jsonl", "{\"id\":\"a\",\"cmd\":[\"echo\",\"one two\"]}\n"
                       "{\"cmd\":[\"sed\",\"s/.*/& \\\\{out:a}/\",\"{out:a}\"]}\n"
                       "{\"cmd\":[\"echo\",\"\\\\{out:b}\"]}\n");
    t_write("b.txt", "echo 1\n#DISBATCH REPEAT 3 expr 1 + $(cat {out:-1})\n");
    struct t_result result = t_sh("mpifarm run -k -q a.jsonl && mpifarm run --force -k -q b.txt");
    cr_assert(eq(str, result.out, "one two\none two {out:a}\n{out:b}\n1\n2\n3\n4\n"), "%s",
              result.err);
}

Test(outs, a_thousand_outputs_in_a_chain_leave_nothing_behind)
{
    FILE *file = fopen("tasks.txt", "w");

    fputs("echo 1\n", file);
    for (int i = 2; i <= 1000; i++)
        fputs("expr 1 + $(cat {out:-1})\n", file);
    cr_assert(fclose(file) == 0);
    struct t_result result =
        t_sh(IN_SCRATCH "mpifarm run -k -q tasks.txt | tail -n 1" NOTHING_LEFT);
    cr_assert(eq(str, result.out, "1000\n"), "%s", result.err);
}

Test(outs, what_takes_the_output_of_a_failed_task_is_skipped)
{
    t_write("tasks.txt", "[id=a] echo half; false\ncat {out:a} > never\n");
    struct t_result result = t_sh("mpifarm run tasks.txt; echo $?; mpifarm explain mpifarm-run 2");
    cr_assert(t_has(result.out, "1\n") && t_has(result.out, "task a failed"), "%s", result.out);
    cr_assert(t_sh("test -e never").status != 0);
}

Test(outs, an_output_that_was_cut_is_not_given_to_another)
{
    t_write("tasks.txt", "[id=a] seq 100000\ncat {out:a} > never\n[id=b] echo bee\ncat {out:b}\n");
    struct t_result result = t_sh("mpifarm run -q --output-limit 1K tasks.txt >all; echo $?; "
                                  "mpifarm explain mpifarm-run a; grep -c bee all");
    cr_assert(t_has(result.out, "1\n"), "%s", result.out);
    cr_assert(t_has(result.out, "it is longer than --output-limit, and another task takes it"),
              "%s", result.out);
    cr_assert(t_has(result.out, "\n2\n"), "b and what takes it are printed: %s", result.out);
    cr_assert(t_sh("test -e never").status != 0);
}

Test(outs, a_retried_task_finds_the_output_again)
{
    t_write("tasks.txt",
            "[id=a] echo x\n"
            "[retries=3] echo $MPIFARM_ATTEMPT; cat {out:a}; test $MPIFARM_ATTEMPT = 3\n");
    struct t_result result = t_sh(IN_SCRATCH "mpifarm run -k -q tasks.txt" NOTHING_LEFT);
    cr_assert(t_has(result.out, "x\n3\nx\n"), "%s %s", result.out, result.err);
}

Test(outs, stored_output_is_taken_from_where_it_is_stored)
{
    t_write("tasks.txt", "[id=a] echo x\ncat {out:a}\n");
    struct t_result result = t_sh("mpifarm run -q --output kept tasks.txt; echo $?; "
                                  "mpifarm logs mpifarm-run 2; ls mpifarm-run/out");
    cr_assert(eq(str, result.out, "0\nx\n"), "%s", result.err);
}

Test(outs, a_task_fails_that_cannot_be_given_its_file)
{
    t_write("tasks.txt", "[id=a] echo x\ncat {out:a}\n");
    struct t_result result = t_sh("TMPDIR=$PWD/none mpifarm run -q tasks.txt; echo $?; "
                                  "mpifarm explain mpifarm-run 2");
    cr_assert(t_has(result.out, "x\n1\n"), "%s", result.out);
    cr_assert(t_has(result.out, "the output of task number 1 in "), "%s", result.out);
    cr_assert(t_has(result.out, "No such file or directory"), "%s", result.out);
}

/* --- resuming --- */

Test(outs, a_task_that_failed_finds_the_output_of_the_run_before)
{
    t_write("tasks.txt", "[id=a] echo x; echo a >> log\n"
                         "test -e flag && cat {out:a}\n"
                         "cat {out:a}; echo c >> log\n");
    struct t_result result =
        t_sh(IN_SCRATCH "mpifarm run -q tasks.txt; ls scratch; mpifarm run -q --resume tasks.txt; "
                        "touch flag; mpifarm run -q --resume-failed tasks.txt; echo $?" NOTHING_LEFT
                        "; cat log");
    cr_assert(eq(str, result.out, "x\nx\nx\n0\na\nc\n"), "%s", result.err);
}

Test(outs, a_line_that_is_added_later_has_the_task_run_again_whose_output_it_takes)
{
    t_write("tasks.txt", "[id=a] echo x; echo a >> log\n[id=b] cat {out:a}; echo b >> log\n"
                         "[id=c] echo z; echo c >> log\n");
    t_sh("mpifarm run -q tasks.txt");
    t_write("tasks.txt", "[id=d] tr x y < {out:b}\n"
                         "[id=a] echo x; echo a >> log\n[id=b] cat {out:a}; echo b >> log\n"
                         "[id=c] echo z; echo c >> log\n");
    struct t_result result = t_sh("mpifarm run -q --resume -k tasks.txt; echo $?; cat log | sort");
    cr_assert(eq(str, result.out, "y\nx\nx\n0\na\na\nb\nb\nc\n"), "%s", result.err);
    result =
        t_sh("mpifarm run -q -k --resume tasks.txt > out; echo $?; tail -n 1 out; wc -l < log");
    cr_assert(eq(str, result.out, "0\n5\n"), "%s", result.err);
}

Test(outs, what_is_not_tried_again_has_nothing_run_again)
{
    t_write("tasks.txt", "[id=a] echo x; echo a >> log\n[id=b] cat {out:a}; false\n");
    t_sh("mpifarm run -q tasks.txt; rm mpifarm-run/out/feed.*");
    struct t_result result = t_sh("mpifarm run -q --resume tasks.txt 2>&1; wc -l < log; "
                                  "mpifarm run -q --resume-failed tasks.txt 2>&1; wc -l < log");
    cr_assert(eq(str, result.out, "1\nx\nx\n2\n"), "%s", result.err);
}

Test(outs, after_kill_9_outputs_are_found_and_files_removed)
{
    t_write("tasks.txt", "[id=a] echo x; echo a >> log\n"
                         "[id=b] cat {out:a} > b.1; test -e flag || { touch started; sleep 300; }\n"
                         "cat {out:b} {out:a}\n");
    struct t_result result =
        t_sh(IN_SCRATCH "mpifarm run -q tasks.txt > out & pid=$!; "
                        "while [ ! -e started ] || ! grep -q x out; do sleep 0.01; done; "
                        "launcher=$(cat /proc/$pid/task/$pid/children); kill -9 $pid; wait $pid; "
                        "while is_alive ${launcher%% *}; do sleep 0.01; done; ls scratch; "
                        "touch flag; mpifarm run -q -k --resume tasks.txt > out; echo $?; tail -n "
                        "1 out; wc -l < log" NOTHING_LEFT);
    cr_assert(eq(str, result.out, "0\nx\n1\n"), "%s", result.err);
}

Test(outs, nothing_is_kept_of_later_lines_that_were_run_again)
{
    t_write("tasks.txt", "test -e go && cat {out:3}\ncat {out:3}\n"
                         "cat {out:4}; echo x\necho y; echo ran >> log\n");
    t_sh("mpifarm run -q tasks.txt; rm mpifarm-run/out/feed.*");
    struct t_result result =
        t_sh("touch go; " IN_SCRATCH "mpifarm run -q -k --resume-failed tasks.txt; echo $?; "
             "wc -l < log" NOTHING_LEFT);
    cr_assert(eq(str, result.out, "y\nx\ny\nx\ny\n0\n2\n"), "%s", result.err);
}

Test(outs, equal_lines_keep_their_own_outputs_when_resumed)
{
    /* Larger than a file of the store, so that each has a file of its own. */
    static const char big[] = "head -c 5000000 /dev/urandom | base64 -w 0; echo";

    t_write("tasks.txt",
            "until test -e go; do sleep 0.01; done\n"
            "%s\n[after=2] %s\n"
            "[id=shown] until [ \"$(cat out | wc -l)\" = 2 ]; do sleep 0.05; done\n"
            "[after=shown] cksum < {out:2} > 2.taken\n[after=shown] cksum < {out:3} > 3.taken\n",
            big, big);
    /* Under -k nothing of them is printed before the first task ends. */
    struct t_result result =
        t_sh("touch out; mpifarm run -q -k -j 4 tasks.txt & pid=$!; "
             "done_twice() { [ $(mpifarm logs mpifarm-run | grep -c DONE) = 2 ]; }; "
             "await done_twice; launcher=$(cat /proc/$pid/task/$pid/children); kill -9 $pid; "
             "wait $pid; while is_alive ${launcher%% *}; do sleep 0.01; done; "
             "touch go; mpifarm run -q -k -j 4 --resume tasks.txt > out; echo $?; "
             "head -n 1 out | cksum | cmp - 2.taken && tail -n 1 out | cksum | cmp - 3.taken && "
             "ls mpifarm-run/out");
    cr_assert(eq(str, result.out, "0\n"), "%s %s", result.out, result.err);
}

/* --- without running --- */

Test(outs, check_and_simulate_know_them_as_dependencies)
{
    t_write("tasks.txt", "[id=a time=3s] true\n[time=4s] cat {out:a}\n");
    struct t_result result =
        t_sh("mpifarm check tasks.txt; mpifarm simulate tasks.txt --workers 1x9");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "dependencies   1"), "%s", result.out);
    cr_assert(t_has(result.out, "critical path  a 2"), "%s", result.out);
    cr_assert(t_has(t_sh("mpifarm run --dry-run tasks.txt").out, "cat '{out:a}'\n"));
}

Test(outs, bad_names_are_refused_before_anything_starts)
{
    static const char *const bad[][2] = {
        {"cat {out:b}", "tasks.txt:2: unknown task \"b\" in {out:ID}"},
        {"cat {out:2}", "tasks.txt:2: a task cannot come after itself: \"2\" in {out:ID}"},
        {"cat {out:}", "tasks.txt:2: {out:} names no task"},
        {"[id=c after=d] cat {out:d}\\n[id=d after=c] true", "tasks.txt:2: task \"c\" comes after"},
        {"cat {out:1-3}\\ntrue", "tasks.txt:2: "},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct t_result result = t_sh("printf '[id=a] touch ran\\n%s\\n' > tasks.txt; "
                                      "mpifarm run tasks.txt",
                                      bad[i][0]);
        cr_assert(eq(int, result.status, 2), "%s", bad[i][0]);
        cr_assert(t_has(result.err, bad[i][1]), "%s", result.err);
        cr_assert(t_sh("test -e ran").status != 0);
    }
}

Test(outs, sweeps_and_standard_input_refuse_them)
{
    struct t_result result = t_sh("mpifarm map cat {out:1} ::: a; echo $?; "
                                  "echo 'cat {out:1}' | mpifarm run -; echo $?");
    cr_assert(eq(str, result.out, "2\n2\n"));
    cr_assert(t_has(result.err, "the tasks of a sweep cannot take each other's output"), "%s",
              result.err);
    cr_assert(t_has(result.err, "{out:1} needs all of the input before the run"), "%s", result.err);
}
