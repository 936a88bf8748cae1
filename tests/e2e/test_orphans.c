/* Whatever dies, no process of a task outlives what it ran in: neither one that it left in the
 * background nor one that made a session of its own. */
#include "support/shell.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>

static void begin(void)
{
    t_enter_dir();
    setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    /* Where it is tried again it has nothing to do. */
    t_write("tasks.txt", "test -e started && exit; sleep 300 & echo $! > pid.1; "
                         "setsid sleep 300 & echo $! > pid.2; echo $$ > pid.3; touch started; "
                         "wait\n");
}

TestSuite(orphans, .init = begin, .fini = t_leave_dir);

/* The launcher of rank $1 is the child of its keeper, which is the rank's first one. */
#define FIND_HELPERS                                                                               \
    "keeper_of() { pgrep -P $1 mpifarm-keep; }; "                                                  \
    "launcher_of() { pgrep -P $(keeper_of $1) mpifarm-launch; }; "

#define UNTIL_GONE                                                                                 \
    "for i in 1 2 3; do while is_alive $(cat pid.$i); do sleep 0.01; done; done; "                 \
    "ls scratch"

/* Starts a run in the background as $pid, does something to it, and waits until nothing is left. */
static void expect_none_left(const char *start, const char *killing)
{
    struct t_result result =
        t_sh("mkdir scratch; export TMPDIR=$PWD/scratch; " FIND_HELPERS
             "%s run -j 1 tasks.txt 2>err & pid=$!; await test -e started; %s; " UNTIL_GONE,
             start, killing);

    cr_assert(eq(int, result.status, 0), "a process lives on: %s", t_read("err"));
}

/* Without mpirun the run is the rank; with it the only task is on rank 1. */
Test(orphans, of_a_killed_rank)
{
    expect_none_left("mpifarm", "kill -9 $pid");
    cr_assert(eq(str, t_sh("ls scratch").out, ""), "files are left");
}

Test(orphans, of_a_killed_launcher)
{
    expect_none_left("mpifarm", "kill -9 $(launcher_of $pid); wait $pid");
    cr_assert(eq(str, t_sh("ls scratch").out, ""), "files are left");
}

Test(orphans, of_a_killed_keeper)
{
    expect_none_left("mpifarm", "kill -9 $(keeper_of $pid); wait $pid");
    cr_assert(eq(str, t_sh("ls scratch").out, ""), "files are left");
}

Test(orphans, of_a_launcher_killed_together_with_its_keeper)
{
    expect_none_left("mpifarm", "keeper=$(keeper_of $pid); launcher=$(launcher_of $pid); "
                                "kill -STOP $keeper; kill -9 $launcher; kill -9 $keeper");
}

Test(orphans, of_a_rank_killed_together_with_its_launcher)
{
    expect_none_left("mpifarm", "launcher=$(launcher_of $pid); kill -STOP $launcher; "
                                "kill -9 $pid; kill -9 $launcher");
    cr_assert(eq(str, t_sh("ls scratch").out, ""), "files are left");
}

Test(orphans, of_a_rank_killed_together_with_its_keeper)
{
    expect_none_left("mpifarm", "keeper=$(keeper_of $pid); kill -STOP $keeper; "
                                "kill -9 $pid; kill -9 $keeper");
}

Test(orphans, of_a_killed_rank_of_mpirun)
{
    expect_none_left(t_mpifarm(2), "kill -9 $(rank_of $pid 1)");
}

Test(orphans, of_a_killed_mpirun)
{
    expect_none_left(t_mpifarm(2), "kill -9 $pid");
}

Test(orphans, of_a_killed_mpirun_whose_ranks_would_go_on)
{
    expect_none_left(t_mpifarm_surviving(2), "kill -9 $pid");
}

Test(orphans, of_an_mpirun_that_is_interrupted_twice)
{
    expect_none_left(t_mpifarm(2), "kill -INT $pid; kill -INT $pid; wait $pid");
}

Test(orphans, of_a_run_that_is_stopped_twice)
{
    expect_none_left("mpifarm", "kill -TERM $pid; await grep -q 'stopped by' err; kill -TERM $pid; "
                                "wait $pid");
    cr_assert(eq(str, t_sh("ls scratch").out, ""), "files are left");
}

Test(orphans, of_a_hang_up)
{
    expect_none_left("mpifarm", "kill -HUP $pid; await grep -q 'stopped by' err; kill -HUP $pid; "
                                "wait $pid");
}

Test(orphans, of_a_supervisor_killed_together_with_mpirun)
{
    struct t_result result =
        t_sh("export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0; mkdir scratch; "
             "mpifarm run --np 2 -j 1 tasks.txt 2>err & pid=$!; await test -e started; "
             "mpirun=$(pgrep -P $pid mpirun); kill -STOP $mpirun; kill -9 $pid; kill -9 "
             "$mpirun; " UNTIL_GONE);

    cr_assert(eq(int, result.status, 0), "a process lives on: %s", t_read("err"));
}
