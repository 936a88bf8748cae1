/* Disks that fill up, cannot be written, or lose the end of what was written. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_TASKS 200

TestSuite(disk, .init = t_enter_dir, .fini = t_leave_dir);

/* Each appends a line to a file of its own, and prints its number and some kilobytes. */
static void write_tasks(const char *seconds)
{
    FILE *file = fopen("tasks.txt", "w");

    cr_assert(file != NULL);
    for (int i = 1; i <= N_TASKS; i++)
        fprintf(file, "sleep %s; echo ran >> ran.%d; echo task %d; printf %%04000d 0\n", seconds, i,
                i);
    cr_assert(fclose(file) == 0);
}

/* Prints tasks that never ran, and those of `reported` that ran more than once. */
static const char verdict[] =
    "for n in $(seq 200); do [ -e ran.$n ] || echo lost $n; done; "
    "for n in $(sed -n 's/^.*task //p' reported); do [ $(wc -l < ran.$n) = 1 ] || echo again $n; "
    "done";

Test(disk, a_full_one_stops_the_run_and_what_was_reported_stays_done)
{
    /* Some are reported before it is full. */
    write_tasks("0.02");
    struct t_result result = t_sh("ulimit -f 300; mpifarm run -q tasks.txt > reported");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_has(result.err, "File too large; make room there"), "%s", result.err);
    int n_reported = atoi(t_sh("grep -c task reported").out);
    cr_assert(n_reported > 0 && n_reported < N_TASKS);
    result = t_sh("mpifarm status | sed -n 's/^tasks: \\([0-9]*\\) of.*/\\1/p'; "
                  "mpifarm explain | sed -n '1s/ done.*//p'; "
                  "mpifarm status | grep -c 'stopped after .* by an error: .*File too large'; "
                  "mpifarm explain | grep -c 'stopped by an error: .*File too large'");
    const char *second = strchr(result.out, '\n') + 1;
    cr_assert(strncmp(result.out, second, (size_t)(second - result.out)) == 0, "%s", result.out);
    cr_assert(t_has(second, "\n1\n1\n"), "%s", result.out);

    result = t_sh("mpifarm run -q --resume tasks.txt > rest; cat rest reported | grep -c 'task '");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "200\n"), "each output is printed, once");
    cr_assert(eq(str, t_sh("%s", verdict).out, ""));
}

/* Kills a run of which some tasks were reported. */
static void die_in_the_middle(void)
{
    write_tasks("0.01");
    t_sh("mpifarm run -q -j 2 tasks.txt > reported & pid=$!; "
         "until [ $(grep -c task reported) -ge 30 ]; do sleep 0.005; done; "
         "kill -9 $pid $(cat /proc/$pid/task/$pid/children); wait $pid");
}

Test(disk, a_journal_that_has_lost_its_end_costs_no_task)
{
    die_in_the_middle();
    struct t_result result = t_sh("truncate -s -2000 mpifarm-run/journal.db-wal; "
                                  "mpifarm run --resume tasks.txt > rest; echo $?; "
                                  "for n in $(seq 200); do [ -e ran.$n ] || echo lost $n; done; "
                                  "mpifarm logs mpifarm-run | grep -c DONE");
    cr_assert(eq(str, result.out, "0\n200\n"), "%s%s", result.out, result.err);
    cr_assert(t_has(result.err, "mpifarm-run: the journal has lost its end, with "), "%s",
              result.err);
    cr_assert(t_has(result.err, "that joblog.tsv tells of; they are run again"), "%s", result.err);
}

Test(disk, a_journal_that_has_lost_its_log_is_not_taken_for_a_new_one)
{
    die_in_the_middle();
    struct t_result result = t_sh("rm mpifarm-run/journal.db-wal; cat ran.* | wc -l > before; "
                                  "mpifarm status | grep -c 'its journal is gone'; "
                                  "mpifarm explain; echo $?; "
                                  "mpifarm run tasks.txt; echo $?; "
                                  "mpifarm run --resume tasks.txt; echo $?; "
                                  "cat ran.* | wc -l | cmp - before");
    cr_assert(eq(str, result.out, "1\n2\n2\n2\n"), "%s%s", result.out, result.err);
    cr_assert(
        eq(int, t_count_lines(result.err, "mpifarm: mpifarm-run/journal.db: knows 0 of the "), 3),
        "%s", result.err);
    result = t_sh("mpifarm run -q --force -j 20 tasks.txt | grep -c 'task '");
    cr_assert(eq(str, result.out, "200\n"), "%s", result.err);
}

Test(disk, a_journal_that_is_damaged_is_refused_and_left_as_it_is)
{
    die_in_the_middle();
    struct t_result result =
        t_sh("head -c 3000 /dev/urandom | dd of=mpifarm-run/journal.db conv=notrunc status=none; "
             "rm -f mpifarm-run/journal.db-wal; cat ran.* | wc -l > before; "
             "cksum mpifarm-run/journal.db > sum; "
             "mpifarm run --resume tasks.txt; echo $?; "
             "cksum mpifarm-run/journal.db | cmp - sum && cat ran.* | wc -l | cmp - before");
    cr_assert(eq(str, result.out, "2\n"), "%s%s", result.out, result.err);
    cr_assert(t_has(result.err, "mpifarm-run/journal.db: "), "%s", result.err);
}

Test(disk, a_run_directory_that_cannot_be_written_is_refused_before_anything_starts)
{
    t_write("tasks.txt", "touch started\n");
    if (t_sh("unshare -m true").status != 0)
        cr_skip_test("only root can mount");
    struct t_result result =
        t_sh("mkdir there; mpifarm run --run-dir there/run tasks.txt; rm started; "
             "unshare -m sh -c 'mount --bind there there && "
             "mount -o remount,ro,bind there there && "
             "(mpifarm run --run-dir there/new tasks.txt; echo $?; "
             "mpifarm run --resume --run-dir there/run tasks.txt; echo $?; "
             "mpifarm run --force --run-dir there/run tasks.txt; echo $?; "
             "mpifarm logs there/run | grep -c DONE)'; test -e started");
    cr_assert(eq(int, result.status, 1), "a task was started");
    cr_assert(eq(str, result.out, "2\n2\n2\n1\n"), "%s%s", result.out, result.err);
    cr_assert(eq(int, t_count_lines(result.err, "mpifarm: there/"), 3), "%s", result.err);
    cr_assert(t_has(result.err, "Read-only file system; use --run-dir"), "%s", result.err);
}
