/* Signals: the first lets running tasks end, the second ends them, and --resume goes on. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(stop, .init = t_enter_dir, .fini = t_leave_dir);

Test(stop, the_first_signal_lets_running_tasks_end)
{
    t_write("tasks.txt", "touch started; sleep 1; touch ended\ntouch second\n");
    struct t_result result = t_sh("mpifarm run -j 1 tasks.txt & pid=$!; "
                                  "while [ ! -e started ]; do sleep 0.01; done; "
                                  "kill $pid; wait $pid; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
    cr_assert(eq(int, t_sh("test -e ended && test ! -e second").status, 0));
    cr_assert(eq(int, t_sh("mpifarm run --resume tasks.txt").status, 0));
    cr_assert(eq(int, t_sh("test -e second").status, 0));
}

Test(stop, the_second_signal_ends_them)
{
    t_write("tasks.txt", "touch started; sleep 300\n");
    struct t_result result =
        t_sh("mpifarm run tasks.txt & pid=$!; "
             "while [ ! -e started ]; do sleep 0.01; done; "
             "kill -TERM $pid; sleep 0.2; kill -TERM $pid; wait $pid; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
    cr_assert(t_has(result.err, "--resume"), "%s", result.err);
}

Test(stop, a_killed_rank_leaves_no_task_behind)
{
    t_write("tasks.txt", "sleep 300 & echo $! > pid; touch started; wait\n");
    struct t_result result =
        t_sh("mpifarm run tasks.txt & pid=$!; while [ ! -e started ]; do sleep 0.01; done; "
             "kill -9 $pid; for i in $(seq 200); do kill -0 $(cat pid) || break; sleep 0.01; done; "
             "kill -0 $(cat pid) 2>/dev/null && echo alive");
    cr_assert(eq(str, result.out, ""));
}

Test(stop, it_works_over_mpi_too)
{
    t_write("tasks.txt", "touch started; sleep 1; touch ended\ntouch second\n");
    struct t_result result = t_sh("%s run -j 1 tasks.txt & "
                                  "while [ ! -e started ]; do sleep 0.01; done; "
                                  "kill $(pgrep -P $! -o mpifarm); wait $!; echo $?",
                                  t_mpifarm(2));
    cr_assert(eq(str, result.out, "3\n"), "%s", result.err);
    cr_assert(eq(int, t_sh("test -e ended && test ! -e second").status, 0));
}
