/* Output: whole, grouped, in order, bounded, and never the end of the farm. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(output, .init = t_enter_dir, .fini = t_leave_dir);

Test(output, is_grouped_by_task)
{
    t_write("tasks.txt", "echo a1; sleep 0.2; echo a2\necho b1; sleep 0.2; echo b2\n");
    struct t_result result = t_sh("mpifarm run -j 2 tasks.txt");
    cr_assert(t_has(result.out, "a1\na2\n") && t_has(result.out, "b1\nb2\n"), "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, ""), 4));
}

Test(output, comes_in_order_of_completion_or_with_k_of_the_input)
{
    /* The slow one ends when the other is known to have ended. */
    t_write("tasks.txt",
            "until grep -qs 'echo quick$' mpifarm-run/joblog.tsv; do sleep 0.01; done; "
            "echo slow\necho quick\n");
    cr_assert(eq(str, t_sh("mpifarm run -j 2 tasks.txt").out, "quick\nslow\n"));
    t_write("tasks.txt", "sleep 0.5; echo slow\necho quick\n");
    cr_assert(eq(str, t_sh("mpifarm run -j 2 -k --force tasks.txt").out, "slow\nquick\n"));
}

Test(output, of_both_streams_goes_where_it_went)
{
    t_write("tasks.txt", "echo out; echo err >&2\n");
    struct t_result result = t_sh("mpifarm run -q tasks.txt");
    cr_assert(eq(str, result.out, "out\n"));
    cr_assert(eq(str, result.err, "err\n"));
}

Test(output, is_tagged_line_by_line)
{
    t_write("tasks.txt", "[id=x] printf 'one\\ntwo'\n");
    cr_assert(eq(str, t_sh("mpifarm run --tag tasks.txt").out, "x\tone\nx\ttwo"));
}

Test(output, keeps_every_byte)
{
    t_write("tasks.txt", "head -c 3000000 /dev/urandom | tee kept\nprintf 'no newline'\n");
    struct t_result result = t_sh("mpifarm run -k -q tasks.txt > got; printf 'no newline' >> kept; "
                                  "cmp got kept");
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
}

Test(output, keeps_every_byte_over_mpi)
{
    t_write("tasks.txt", "head -c 9000000 /dev/urandom | tee kept\n");
    struct t_result result = t_sh("%s run -q tasks.txt > got; cmp got kept", t_mpifarm(2));
    cr_assert(eq(int, result.status, 0), "%s%s", result.out, result.err);
}

Test(output, of_a_gibibyte_passes_through)
{
    t_write("tasks.txt", "head -c 1G /dev/zero\n");
    struct t_result result = t_sh("mpifarm run -q --output-limit 0 tasks.txt | wc -c");
    cr_assert(eq(str, result.out, "1073741824\n"), "%s", result.err);
}

Test(output, over_the_limit_keeps_head_and_tail_and_says_so)
{
    t_write("tasks.txt", "echo first; head -c 100000 /dev/zero | tr '\\0' x; echo; echo last\n");
    struct t_result result = t_sh("mpifarm run --output-limit 4K tasks.txt");
    cr_assert(eq(int, result.status, 0));
    cr_assert(strncmp(result.out, "first\n", 6) == 0);
    cr_assert(t_has(result.out, "x\nlast\n"));
    cr_assert(t_has(result.out, "bytes dropped"), "%s", result.out);
    cr_assert(result.out_size < 4300);
}

Test(output, a_reader_that_leaves_ends_the_farm_cleanly)
{
    struct t_result result = t_sh("yes 'yes | head -c 100000' | head -3000 > tasks.txt; "
                                  "(mpifarm run -q tasks.txt; echo $? > status) | head -1; "
                                  "cat status");
    cr_assert(eq(str, result.out, "y\n3\n"), "%s", result.err);
}

Test(output, a_slow_reader_gets_all_of_it)
{
    struct t_result result = t_sh("yes 'head -c 100000 /dev/zero' | head -100 > tasks.txt; "
                                  "mpifarm run -q tasks.txt | (sleep 1; wc -c)");
    cr_assert(eq(str, result.out, "10000000\n"), "%s", result.err);
}

Test(output, can_be_stored_in_few_files_and_read_by_task)
{
    t_write("tasks.txt", "[id=a] echo from a\n[id=b] echo from b; echo err b >&2\n");
    struct t_result result = t_sh("mpifarm run -q --output stored tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, ""));
    cr_assert(eq(str, t_sh("mpifarm logs mpifarm-run a").out, "from a\n"));
    result = t_sh("mpifarm logs mpifarm-run b");
    cr_assert(eq(str, result.out, "from b\n"));
    cr_assert(eq(str, result.err, "err b\n"));
    cr_assert(eq(int, t_count_lines(t_read("stored/index.tsv"), "a\t"), 1));
    cr_assert(eq(str, t_sh("ls stored | wc -l").out, "2\n"));
}

Test(output, of_each_failed_attempt_is_kept)
{
    t_write("tasks.txt", "[id=x] echo try $MPIFARM_ATTEMPT; false\n");
    struct t_result result = t_sh("mpifarm run --retries 2 tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(str, result.out, "try 2\n"));
    cr_assert(eq(str, t_sh("mpifarm logs --attempt 1 mpifarm-run x").out, "try 1\n"));
    cr_assert(eq(str, t_sh("mpifarm logs mpifarm-run x").out, "try 2\n"));
}

Test(output, standard_input_of_a_task_is_empty)
{
    t_write("tasks.txt", "cat; echo end\n");
    cr_assert(eq(str, t_sh("echo not for tasks | mpifarm run tasks.txt").out, "end\n"));
}

Test(output, leaves_nothing_in_the_spool)
{
    t_write("tasks.txt", "echo one\necho two\n");
    t_sh("mpifarm run tasks.txt");
    cr_assert(eq(str, t_sh("find mpifarm-run/out -type f | wc -l").out, "0\n"));
}

Test(output, a_closed_standard_input_does_no_harm_and_with_closed_output_nothing_starts)
{
    t_write("tasks.txt", "echo a >> log\necho b >> log\n");
    struct t_result result = t_sh("mpifarm run tasks.txt <&- >&- 2>&-; echo $?; ls log; "
                                  "mpifarm run tasks.txt <&-; echo $?");
    cr_assert(eq(str, result.out, "2\n0\n"));
    cr_assert(eq(int, t_count_lines(t_read("log"), ""), 2));
}

Test(output, a_stuck_reader_does_not_keep_signals_from_ending_the_run)
{
    t_write("tasks.txt", "head -c 10000000 /dev/zero\n");
    struct t_result result = t_sh(
        "mkfifo pipe; sleep 600 < pipe & reader=$!; mpifarm run tasks.txt > pipe 2>err & pid=$!; "
        "until [ \"$(find mpifarm-run/out -size +9000k 2>/dev/null)\" ]; do sleep 0.05; done; "
        "kill $pid; await grep -q 'stopped by' err; kill $pid; wait $pid; echo $?; "
        "kill $reader");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
}
