/* Signals: the first lets running tasks end, the second ends them, and --resume goes on. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

TestSuite(stop, .init = t_enter_dir, .fini = t_leave_dir);

/* A task that has started ends when "go" is there; another one comes after it. */
#define UNTIL_LET_GO                                                                               \
    "touch started; while [ ! -e go ]; do sleep 0.01; done; touch ended\ntouch second\n"

Test(stop, the_first_signal_lets_running_tasks_end)
{
    t_write("tasks.txt", UNTIL_LET_GO);
    struct t_result result = t_sh("mpifarm run -j 1 tasks.txt 2>err & pid=$!; "
                                  "await test -e started; kill $pid; "
                                  "await grep -q 'stopped by' err; touch go; "
                                  "wait $pid; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(eq(int, t_sh("test -e ended && test ! -e second").status, 0));
    cr_assert(eq(int, t_sh("mpifarm run --resume tasks.txt").status, 0));
    cr_assert(eq(int, t_sh("test -e second").status, 0));
}

Test(stop, the_second_signal_ends_them)
{
    t_write("tasks.txt", "touch started; sleep 300\n");
    struct t_result result = t_sh("mpifarm run tasks.txt 2>err & pid=$!; await test -e started; "
                                  "kill -TERM $pid; await grep -q 'stopped by' err; "
                                  "kill -TERM $pid; wait $pid; echo $?");
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(t_has(t_read("err"), "--resume"), "%s", t_read("err"));
}

Test(stop, a_killed_rank_leaves_no_task_behind)
{
    t_write("tasks.txt", "sleep 300 & echo $! > pid; touch started; wait\n");
    struct t_result result =
        t_sh("mpifarm run tasks.txt & pid=$!; await test -e started; kill -9 $pid; "
             "while is_alive $(cat pid); do sleep 0.01; done");
    cr_assert(eq(int, result.status, 0), "it lives on");
}

Test(stop, it_works_over_mpi_too)
{
    t_write("tasks.txt", UNTIL_LET_GO);
    struct t_result result = t_sh("%s run -j 1 tasks.txt 2>err & await test -e started; "
                                  "kill $(pgrep -P $! -o mpifarm); "
                                  "await grep -q 'stopped by' err; touch go; wait $!; echo $?",
                                  t_mpifarm(2));
    cr_assert(eq(str, result.out, "3\n"), "%s", t_read("err"));
    cr_assert(eq(int, t_sh("test -e ended && test ! -e second").status, 0));
}
