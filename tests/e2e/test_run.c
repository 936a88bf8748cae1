/* mpifarm run: what a user of a task file sees. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(run, .init = t_enter_dir, .fini = t_leave_dir);

Test(run, exits_with_1_when_a_task_failed_and_says_why)
{
    t_write("tasks.txt", "true\nsh -c 'echo oops >&2; exit 3'\nkill -9 $$\n");
    struct t_result result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(t_has(result.err, "1 done, 2 failed"), "%s", result.err);
    cr_assert(t_has(result.err, "exit status 3"), "%s", result.err);
    cr_assert(t_has(result.err, "killed by signal 9"), "%s", result.err);
    cr_assert(t_has(result.err, "mpifarm logs"), "%s", result.err);
}

Test(run, names_a_program_that_is_not_there_or_not_executable)
{
    t_write("tasks.txt", "/no/such/program\n./tasks.txt\n");
    struct t_result result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "No such file or directory"), "%s", result.err);
    cr_assert(t_has(result.err, "Permission denied"), "%s", result.err);
    char *joblog = t_read("mpifarm-run/joblog.tsv");
    cr_assert(t_has(joblog, "\t127\t0\t/no/such/program"), "%s", joblog);
    cr_assert(t_has(joblog, "\t126\t0\t./tasks.txt"), "%s", joblog);
}

Test(run, keys_of_a_line_are_obeyed)
{
    t_write("tasks.txt", "[id=here cwd=/ env=GREETING=hello] echo $PWD $GREETING $MPIFARM_TASK_ID\n"
                         "#FARM env=WHO=all\n"
                         "[id=\"two\"] echo $WHO\n");
    struct t_result result = t_sh("mpifarm run -k tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "/ hello here\nall\n"));
}

Test(run, json_lines_are_told_by_their_content)
{
    t_write("tasks.txt", "{\"id\": \"a\", \"cmd\": [\"printf\", \"%%s|\", \"x y\", \"$HOME\"]}\n"
                         "{\"cmd\": \"echo $((1+1))\", \"retries\": 2}\n");
    struct t_result result = t_sh("mpifarm run -k tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "x y|$HOME|2\n"));
}

Test(run, higher_priority_goes_first)
{
    t_write("tasks.txt",
            "echo a\n[priority=5] echo b\n[priority=-1] echo c\n[priority=5] echo d\n");
    struct t_result result = t_sh("mpifarm run -j 1 tasks.txt");
    cr_assert(eq(str, result.out, "b\nd\na\nc\n"), "%s", result.err);
}

Test(run, a_wide_task_has_its_cores_for_itself)
{
    t_write("tasks.txt", "[cores=2] echo 2 > width; sleep 0.2; rm width\n"
                         "test ! -e width\n[cores=2] test $OMP_NUM_THREADS = 2\ntest ! -e width\n");
    struct t_result result = t_sh("mpifarm run -j 2 tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(run, a_task_of_a_stream_that_fits_no_worker_fails_at_once_with_the_numbers)
{
    t_write("tasks.txt", "[cores=99] true\ntrue\n");
    struct t_result result = t_sh("cat tasks.txt | mpifarm run -j 2 -");
    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "needs 99 cores, and the largest worker has 2"), "%s", result.err);
}

Test(run, a_time_limit_ends_the_whole_process_group)
{
    t_write("tasks.txt", "[timeout=0.3] sleep 300 & echo $! > pid; wait\n");
    struct t_result result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "time limit"), "%s", result.err);
    cr_assert(t_sh("is_alive $(cat pid)").status != 0, "the grandchild is still there");
}

Test(run, a_percentage_of_the_median_ends_what_hangs)
{
    t_write("tasks.txt", "sleep 0.1\nsleep 0.1\nsleep 0.1\nsleep 0.1\nsleep 300\n");
    struct t_result result = t_sh("mpifarm run -j 2 --timeout 2000%% tasks.txt");
    cr_assert(eq(int, result.status, 1));
    cr_assert(t_has(result.err, "4 done, 1 failed"), "%s", result.err);
}

Test(run, halt_soon_starts_nothing_more)
{
    t_write("tasks.txt", "false\ntouch second\ntouch third\n");
    struct t_result result = t_sh("mpifarm run -j 1 --halt soon,fail=1 tasks.txt");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
    cr_assert(t_sh("test -e third").status != 0);
}

Test(run, halt_counts_before_anything_more_is_started)
{
    t_sh("yes 'echo x >> log; false' | head -20 > tasks.txt");
    cr_assert(eq(int, t_sh("mpifarm run -j 1 --halt soon,fail=3 tasks.txt").status, 3));
    cr_assert(eq(int, t_count_lines(t_read("log"), "x"), 3));
}

Test(run, halt_now_ends_what_runs)
{
    t_write("tasks.txt", "sleep 300\nsleep 0.2; false\n");
    struct t_result result = t_sh("mpifarm run -j 2 --halt now,fail=50%% tasks.txt");
    cr_assert(eq(int, result.status, 3), "%s", result.err);
}

Test(run, delay_spaces_the_starts)
{
    t_write("tasks.txt", "date +%%s%%N\ndate +%%s%%N\ndate +%%s%%N\n");
    struct t_result result = t_sh("date +%%s%%N; mpifarm run -k -j 3 --delay 0.3 tasks.txt");
    char *next = result.out;
    long long before = strtoll(next, &next, 10);

    cr_assert(eq(int, result.status, 0), "%s", result.err);
    /* A task may be late, but none can be early. */
    for (int i = 0; i < 3; i++)
        cr_assert(strtoll(next, &next, 10) - before >= i * 290000000LL, "%s", result.out);
}

Test(run, dry_run_prints_the_commands_and_runs_nothing)
{
    t_write("tasks.txt", "touch ran\n[id=x] echo 'a b' | cat\n");
    struct t_result result = t_sh("mpifarm run --dry-run tasks.txt");
    cr_assert(eq(int, result.status, 0));
    cr_assert(eq(str, result.out, "touch ran\necho 'a b' | cat\n"));
    cr_assert(t_sh("test -e ran || test -e mpifarm-run").status != 0);
}

Test(run, the_joblog_has_the_columns_of_gnu_parallel)
{
    t_write("tasks.txt", "true\nexit 4\n");
    struct t_result result = t_sh("mpifarm run -j 1 --joblog log tasks.txt");
    char *joblog = t_read("log");

    cr_assert(eq(int, result.status, 1));
    cr_assert(eq(int,
                 t_count_lines(joblog, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\t"
                                       "Exitval\tSignal\tCommand"),
                 1));
    cr_assert(t_has(joblog, "\t0\t0\ttrue\n"), "%s", joblog);
    cr_assert(t_has(joblog, "\t4\t0\texit 4\n"), "%s", joblog);
}

Test(run, a_joblog_that_the_run_directory_has_anyway_gets_each_line_once)
{
    t_write("tasks.txt", "true\ntrue\n");
    struct t_result result =
        t_sh("mpifarm run tasks.txt; mpifarm run --joblog mpifarm-run/joblog.tsv tasks.txt; "
             "wc -l < mpifarm-run/joblog.tsv");
    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
}

Test(run, tasks_are_pinned_to_different_cores)
{
    /* Each waits for the other. */
    t_write("tasks.txt", "touch a; until [ -e b ]; do sleep 0.01; done; "
                         "grep Cpus_allowed_list /proc/self/status\n"
                         "touch b; until [ -e a ]; do sleep 0.01; done; "
                         "grep Cpus_allowed_list /proc/self/status\n");
    if (atoi(t_sh("nproc").out) < 2)
        cr_skip_test("needs two processors");
    struct t_result result = t_sh("mpifarm run tasks.txt | sort | uniq -c");
    cr_assert(eq(int, t_count_lines(result.out, "      1"), 2), "%s", result.out);
}

Test(run, a_task_sees_no_launcher_but_its_own_variables)
{
    t_write("tasks.txt", "env\n");
    struct t_result result = t_sh("%s run tasks.txt", t_mpifarm(2));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(int, t_count_lines(result.out, "OMPI_"),
                 t_count_lines(result.out, "OMPI_ALLOW_RUN_AS_ROOT")),
              "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "PMIX_"), 0));
    cr_assert(eq(int, t_count_lines(result.out, "MPIFARM_RANK=1"), 1));
    cr_assert(eq(int, t_count_lines(result.out, "MPIFARM_TASK_ID=1"), 1));
}

Test(run, a_task_may_call_mpirun_itself)
{
    t_write("tasks.txt", "mpirun --oversubscribe -n 2 echo nested\n");
    struct t_result result = t_sh("%s run --no-pin tasks.txt", t_mpifarm(2));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(eq(str, result.out, "nested\nnested\n"));
}

Test(run, ten_thousand_failures_with_few_descriptors_are_survived)
{
    struct t_result result = t_sh("ulimit -n 256; yes 'exit 1' | head -10000 > tasks.txt; "
                                  "mpifarm run -j 200 tasks.txt");
    cr_assert(eq(int, result.status, 1), "%s", result.err);
    cr_assert(t_has(result.err, "10,000 failed"), "%s", result.err);
}

Test(run, an_empty_file_is_done_at_once)
{
    t_write("tasks.txt", "# nothing\n\n");
    struct t_result result = t_sh("mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 0), "%s", result.err);
}

Test(run, four_copies_without_mpi_are_refused_with_the_flag_to_use)
{
    t_write("tasks.txt", "touch ran\n");
    struct t_result result = t_sh("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=4 "
                                  "mpifarm run tasks.txt");
    cr_assert(eq(int, result.status, 2));
    cr_assert(t_has(result.err, "--mpi=pmix"), "%s", result.err);
    cr_assert(t_sh("test -e ran").status != 0);
}

Test(run, topo_shows_the_ranks_that_were_started)
{
    struct t_result result = t_sh("%s topo -j 4", t_mpifarm(3));
    cr_assert(eq(int, result.status, 0), "%s", result.err);
    cr_assert(t_has(result.out, "ranks 3; rank 0 schedules"), "%s", result.out);
    cr_assert(t_has(result.out, "slots 4, GPUs "), "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "     1 "), 2), "%s", result.out);
    cr_assert(eq(int, t_count_lines(result.out, "     2 "), 2), "%s", result.out);
}

/* --- the manual --- */

TestSuite(manual, .init = t_enter_dir, .fini = t_leave_dir);

Test(manual, every_example_is_what_it_is_for_and_a_command)
{
    struct t_result result = t_sh("mpifarm help --man > page; grep -A1 '^.nf' page | grep -cx ''; "
                                  "grep -A1 '^.PP' page | grep -c '^mpifarm '; "
                                  "grep -c '^mpifarm ' page");

    cr_assert_eq(strncmp(result.out, "0\n0\n", 4), 0, "%s", result.out);
    cr_assert_gt(atoi(result.out + 4), 20, "%s", result.out);
}
