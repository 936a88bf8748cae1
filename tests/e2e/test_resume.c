/* The journal: what was reported done is never run again, and all the rest is. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(resume, .init = t_enter_dir, .fini = t_leave_dir);

Test(resume, runs_only_what_is_not_done)
{
    t_write("tasks.txt", "echo a >> log\n[id=flag] test -e flag\necho c >> log\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 1));
    cr_assert(eq(int, t_sh("mpifarm run --resume tasks.txt").status, 1), "failed stays failed");
    struct t_result result = t_sh("touch flag; mpifarm run --resume-failed tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(int, t_count_lines(t_read("log"), ""), 2));
}

Test(resume, finds_tasks_by_id_and_command_after_the_file_was_edited)
{
    t_write("tasks.txt", "echo a >> log\n[id=b] echo b >> log\necho c >> log\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 0));
    t_write("tasks.txt", "# moved\necho new >> log\necho c >> log\n[id=b] echo b2 >> log\n\n"
                         "echo a >> log\n");
    struct t_result result = t_sh("mpifarm run --resume tasks.txt; sort log");
    cr_assert(eq(str, result.out, "a\nb\nb2\nc\nnew\n"), "%s", result.err);
}

Test(resume, counts_equal_lines)
{
    t_write("tasks.txt", "echo x >> log\necho x >> log\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 0));
    t_write("tasks.txt", "echo x >> log\necho x >> log\necho x >> log\n");
    cr_assert(eq(int, t_sh("mpifarm run --resume tasks.txt").status, 0));
    cr_assert(eq(int, t_count_lines(t_read("log"), "x"), 3));
}

Test(resume, an_unfinished_run_is_not_replaced_by_accident)
{
    t_write("tasks.txt", "false\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 1));
    struct t_result result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "--resume") && t_has(result.err, "--force"), "%s", result.err);
    cr_assert(eq(int, t_sh("mpifarm run --force tasks.txt").status, 1));
}

Test(resume, a_second_farm_on_the_same_directory_is_refused)
{
    t_write("slow.txt", "touch started; sleep 300\n");
    t_write("tasks.txt", "touch intruder\n");
    struct t_result result = t_sh("mpifarm run slow.txt 2>err & pid=$!; await test -e started; "
                                  "mpifarm run --resume tasks.txt; echo $?; "
                                  "mpifarm run --force tasks.txt; echo $?; kill $pid; "
                                  "await grep -q 'stopped by' err; kill $pid; wait $pid");
    cr_assert(eq(str, result.out, "2\n2\n"), "%s", result.err);
    cr_assert(t_has(result.err, "in use"), "%s", result.err);
    cr_assert(t_sh("test -e intruder").status != 0);
}

Test(resume, after_kill_9_of_everything_nothing_is_lost_or_repeated)
{
    FILE *file = fopen("tasks.txt", "w");

    for (int i = 1; i <= 400; i++)
        fprintf(file, "[id=t%d] echo ran >> ran.%d; echo t%d\n", i, i, i);
    cr_assert(fclose(file) == 0);
    /* Killed when some 100 more are printed. What was printed by then must not run again; what
     * ran and was not reported may. */
    for (int round = 0; round < 3; round++) {
        t_write("out", "%s", "");
        t_sh("mpifarm run --resume -q -j 2 tasks.txt > out & pid=$!; "
             "while kill -0 $pid && [ $(wc -l < out) -lt 100 ]; do sleep 0.002; done; "
             "kill -9 $pid $(cat /proc/$pid/task/$pid/children); wait $pid; "
             "for t in $(cat out); do echo $t $(wc -l < ran.${t#t}); done >> reported");
    }
    cr_assert(t_count_lines(t_read("reported"), "") >= 300);
    struct t_result result = t_sh("mpifarm run --resume -q tasks.txt > out");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    result = t_sh("while read t n; do [ $(wc -l < ran.${t#t}) = $n ] || echo again $t; done < "
                  "reported; for n in $(seq 400); do [ -e ran.$n ] || echo lost $n; done; "
                  "(cat out; cut -d' ' -f1 reported) | sort -u | wc -l");
    cr_assert(eq(str, result.out, "400\n"));
}

Test(resume, leaves_a_readable_journal)
{
    t_write("tasks.txt", "[id=x] exit 5\n");
    t_sh("mpifarm run tasks.txt");
    struct t_result result = t_sh("mpifarm logs mpifarm-run");
    cr_assert(t_has(result.out, "FAILED") && t_has(result.out, "exit status 5"), "%s", result.out);
    cr_assert(eq(str, t_sh("stat -c %%a mpifarm-run").out, "700\n"));
}

Test(resume, a_failed_task_that_was_run_again_does_not_stand_for_an_equal_line)
{
    t_write("tasks.txt", "echo x >> log; test -e ok\necho x >> log; test -e ok\n");
    cr_assert(eq(int, t_sh("mpifarm run -j 1 --halt soon,fail=1 tasks.txt").status, 3));
    cr_assert(
        eq(int, t_sh("mpifarm run -j 1 --halt soon,fail=1 --resume-failed tasks.txt").status, 3));
    cr_assert(eq(int, t_count_lines(t_read("log"), "x"), 2));
    t_sh("touch ok");
    struct t_result result = t_sh("mpifarm run --resume-failed tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(int, t_count_lines(t_read("log"), "x"), 4));
}

Test(resume, what_was_not_printed_is_printed_by_the_next_run)
{
    t_write("tasks.txt", "echo one\necho two\nyes | head -c 1000000\n");
    /* Its reader has two lines, and leaves when the third task's output is there and does not fit.
     */
    t_sh("mpifarm run -q -j 1 -k tasks.txt | "
         "(head -c 8 > /dev/null; "
         "until [ \"$(find mpifarm-run/out -size +900k)\" ]; do sleep 0.01; done)");
    struct t_result result = t_sh("mpifarm run -q -k --resume tasks.txt | wc -c");
    cr_assert(eq(str, result.out, "1000000\n"), "%s%s", result.out, result.err);
}

Test(resume, a_refused_run_leaves_the_earlier_one_as_it_was)
{
    t_write("tasks.txt", "[id=x] echo kept; false\n");
    t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, t_sh("mpifarm run --force --joblog /no/such/dir/log tasks.txt").status, 2));
    cr_assert(eq(int, t_sh("mpifarm run --force --output /no/such/dir tasks.txt").status, 2));
    cr_assert(eq(str, t_sh("mpifarm logs mpifarm-run x").out, "kept\n"));
}

Test(resume, stored_output_stays_in_one_place)
{
    t_write("tasks.txt", "false\n");
    t_sh("mpifarm run tasks.txt");
    struct t_result result = t_sh("mpifarm run --resume-failed --output other tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "without --output"), "%s", result.err);
}

Test(resume, attempts_are_numbered_on)
{
    t_write("tasks.txt", "[id=a retries=1] echo $MPIFARM_ATTEMPT >> tries; test -e go\n");
    cr_assert(eq(int, t_sh("mpifarm run tasks.txt").status, 1));
    cr_assert(eq(int, t_sh("mpifarm run --resume-failed tasks.txt").status, 1));
    cr_assert(eq(int, t_sh("touch go; mpifarm run --resume-failed tasks.txt").status, 0));
    cr_assert(eq(str, t_read("tries"), "1\n2\n3\n"));

    struct t_result result =
        t_sh("mpifarm explain mpifarm-run a | awk 'NR > 2 {print $1}' | tr '\\n' ' '");
    cr_assert(eq(str, result.out, "1 2 3 "), "%s", t_sh("mpifarm explain mpifarm-run a").out);
}
